"""The list of formats of files with trials; each has a file of this folder, which is imported when it is used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import PurePath
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
        suffix: What the names of its files end with, when we write one.
        module: The file of this folder that has its `FUNCTIONS`.
        extra: The extra that it needs; None where it needs none.
        others: What else the names of files end with that are read as it.
    """

    name: str
    suffix: str
    module: str
    extra: Extra | None = None
    others: tuple[str, ...] = ()

    @property
    def functions(self) -> Functions:
        """What writes and reads it."""
        found: Functions = importlib.import_module(f"{__name__}.{self.module}").FUNCTIONS
        return found


FORMATS = {
    each.name: each
    for each in (
        Format("csv", ".csv", "csv_table", others=(".tsv",)),
        Format("parquet", ".parquet", "parquet_table", "parquet"),
        Format("optuna", ".db", "optuna", "optuna", (".sqlite3", ".sqlite", ".log", ".journal")),
    )
}
"""The formats by name; the first is the default for writing."""


def read_by(path: str) -> Format | None:
    """Return the format of a file to read, by its name; None for a folder."""
    suffix = PurePath(path).suffix.lower()
    return next((form for form in FORMATS.values() if suffix in (form.suffix, *form.others)), None)


def format_of(path: Path | None) -> Format:
    """Return the format of a file to write, by its name."""
    first = next(iter(FORMATS.values()))
    return next((form for form in FORMATS.values() if path is not None and path.suffix == form.suffix), first)
