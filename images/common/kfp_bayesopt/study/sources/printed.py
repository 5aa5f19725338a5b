"""The source `printed`: metrics by name in the lines that an objective prints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal, Self

from pydantic import PrivateAttr, field_validator

from kfp_bayesopt.study.sources.base import Metrics, NamedSource
from kfp_bayesopt.study.sources.lines import check_name, pairs_of, without_escapes


class Printed(NamedSource):
    """Metrics such as `val_acc=0.93 val_loss=0.2`, `val_acc: 0.93`, or a line of JSON, `{"val_acc": 0.93}`.

    The named one may have any characters and no sign, `Validation AUC 0.93`, and may be a column of a table.
    """

    source: Literal["printed"]
    _asked: frozenset[str] = PrivateAttr(frozenset())

    @field_validator("name")
    @classmethod
    def _check(cls, name: str | None) -> str | None:
        return name if name is None else check_name(name)

    def check_name(self, name: str) -> None:
        """Check that a line can have a metric of this name."""
        check_name(name)

    def asking(self, names: Iterable[str]) -> Self:
        """Return the same source, which finds more names in any form: objectives, and metrics with limits."""
        found = self.model_copy()
        found._asked = frozenset(names)
        return found

    def look(self, line: str, metrics: Metrics) -> None:
        """Add the metrics of a line."""
        text = without_escapes(line)
        if text.startswith("{"):
            try:
                found = json.loads(text)
            except (ValueError, RecursionError):
                found = None
            if isinstance(found, dict):
                metrics.add_all(found, has_texts=True)
                return
        asked = self._asked if self.name is None else self._asked | {self.name}
        for name, number in pairs_of(line, asked, metrics.memory):
            metrics.add(name, number)

    @property
    def origin(self) -> str:
        """The output."""
        return "what it printed"
