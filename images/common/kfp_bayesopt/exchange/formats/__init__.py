"""The list of formats of files with trials; each has a file of this folder, which is imported when it is used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the help of commands names the formats, and waits for nothing
    from kfp_bayesopt.exchange.formats.base import Functions


@dataclass(frozen=True)
class Format:
    """A kind of file that holds trials.

    Attributes:
        name: What a person calls it.
        suffix: What the names of its files end with.
        module: The file of this folder that has its `FUNCTIONS`.
        package: What has to be installed for it; None where nothing has.
    """

    name: str
    suffix: str
    module: str
    package: str | None = None

    @property
    def functions(self) -> Functions:
        """What writes and reads it."""
        found: Functions = importlib.import_module(f"{__name__}.{self.module}").FUNCTIONS
        return found


FORMATS = {
    each.name: each
    for each in (
        Format("csv", ".csv", "csv_table"),
        Format("parquet", ".parquet", "parquet_table", "pyarrow"),
        Format("optuna", ".db", "optuna", "optuna"),
    )
}
"""The formats by name; the first is the default for writing."""
