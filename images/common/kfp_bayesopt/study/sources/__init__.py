"""The sources of a value: a file for each, and their list."""

from __future__ import annotations

from kfp_bayesopt.study.sources.file import File
from kfp_bayesopt.study.sources.hypertune import Hypertune
from kfp_bayesopt.study.sources.intermediate import OfCurve
from kfp_bayesopt.study.sources.last_line import LastLine
from kfp_bayesopt.study.sources.pattern import Pattern
from kfp_bayesopt.study.sources.printed import Printed
from kfp_bayesopt.study.sources.returned import Returned
from kfp_bayesopt.study.sources.tensorboard import TensorBoard

AnySource = Returned | LastLine | Printed | Pattern | File | Hypertune | TensorBoard | OfCurve

__all__ = ["AnySource", "LastLine", "Printed", "Returned"]
