"""The formats of files with trials: a file for each, and their list."""

from __future__ import annotations

from kfp_bayesopt.exchange.formats.base import Format
from kfp_bayesopt.exchange.formats.csv_table import CSV
from kfp_bayesopt.exchange.formats.optuna import OPTUNA
from kfp_bayesopt.exchange.formats.parquet_table import PARQUET

FORMATS: dict[str, Format] = {each.name: each for each in (CSV, PARQUET, OPTUNA)}
"""The formats by name; the first is the default for writing."""
