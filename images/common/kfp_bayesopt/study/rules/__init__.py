"""The rules of early stopping: a file for each, and their list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from kfp_bayesopt.study.rules.asha import Asha
from kfp_bayesopt.study.rules.base import Rule
from kfp_bayesopt.study.rules.hyperband import Hyperband
from kfp_bayesopt.study.rules.median import Median

RULES: dict[str, Rule] = {each.word: each for each in (Median(), Asha(), Hyperband())}

if TYPE_CHECKING:
    RuleWord = str
else:
    RuleWord = Literal[tuple(RULES)]
"""The word of a rule in a study file."""
