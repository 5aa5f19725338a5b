"""The sources of a value: a file for each, and their list."""

from __future__ import annotations

from bayesopt.sources.file import File
from bayesopt.sources.hypertune import Hypertune
from bayesopt.sources.intermediate import OfCurve
from bayesopt.sources.last_line import LastLine
from bayesopt.sources.pattern import Pattern
from bayesopt.sources.printed import Printed
from bayesopt.sources.returned import Returned
from bayesopt.sources.tensorboard import TensorBoard

AnySource = Returned | LastLine | Printed | Pattern | File | Hypertune | TensorBoard | OfCurve

__all__ = ["AnySource", "LastLine", "Printed", "Returned"]
