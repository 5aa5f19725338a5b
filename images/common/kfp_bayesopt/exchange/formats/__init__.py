"""The list of formats of files with trials; each has a file of this folder, which is imported when it is used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the help of commands names the formats, and waits for nothing
    from pathlib import Path

    from kfp_bayesopt.exchange.formats.base import Functions
    from kfp_bayesopt.extras import Extra


@dataclass(frozen=True)
class Format:
    """A kind of file that holds trials.

    Attributes:
        name: What a person calls it.
        suffix: What the names of its files end with.
        module: The file of this folder that has its `FUNCTIONS`.
        extra: The extra that it needs; None where it needs none.
    """

    name: str
    suffix: str
    module: str
    extra: Extra | None = None

    @property
    def functions(self) -> Functions:
        """What writes and reads it."""
        found: Functions = importlib.import_module(f"{__name__}.{self.module}").FUNCTIONS
        return found


FORMATS = {
    each.name: each
    for each in (
        Format("csv", ".csv", "csv_table"),
        Format("parquet", ".parquet", "parquet_table", "parquet"),
        Format("optuna", ".db", "optuna", "optuna"),
    )
}
"""The formats by name; the first is the default for writing."""


def format_of(path: Path | None) -> Format:
    """Return the format of a file to write, by its name."""
    first = next(iter(FORMATS.values()))
    return next((form for form in FORMATS.values() if path is not None and path.suffix == form.suffix), first)
