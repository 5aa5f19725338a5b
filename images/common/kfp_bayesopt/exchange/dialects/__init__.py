"""The dialects of search spaces: a file for each, and their list."""

from __future__ import annotations

from kfp_bayesopt.exchange.dialects.base import Dialect
from kfp_bayesopt.exchange.dialects.katib import KATIB
from kfp_bayesopt.exchange.dialects.vertex import VERTEX

DIALECTS: dict[str, Dialect] = {each.name: each for each in (KATIB, VERTEX)}
"""The dialects by name; an unrecognised file is read as the last one, which names the missing parts."""
