"""The dialects of search spaces: a file for each, and their list."""

from __future__ import annotations

from kfp_bayesopt.exchange.dialects.base import Dialect
from kfp_bayesopt.exchange.dialects.katib import KATIB
from kfp_bayesopt.exchange.dialects.vertex import VERTEX

DIALECTS: dict[str, Dialect] = {each.name: each for each in (KATIB, VERTEX)}
"""By their names; what none recognises is read as the last, which says what is missing."""
