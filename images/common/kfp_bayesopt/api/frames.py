"""What a study has come to as tables: a frame where pandas is installed, else rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from kfp_bayesopt.errors import UserError, named, shown
from kfp_bayesopt.exchange.formats.table import columns_of
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.session.reporting import best_of
from kfp_bayesopt.wording import nearest

Columns = Mapping[str, Sequence[Any]]
"""The cells of each column, by its name."""


def _trials(folder: StudyFolder) -> Columns:
    return columns_of(folder.study, folder.read().ledger, as_text=False)


def _curves(folder: StudyFolder) -> Columns:
    curves = sorted(folder.read_curves(folder.read().ledger), key=lambda curve: curve.trial)
    return {
        "trial": [curve.trial for curve in curves for _ in curve.steps],
        "step": [step for curve in curves for step in curve.steps],
        "value": [value for curve in curves for value in curve.values],
    }


def _front(folder: StudyFolder) -> Columns:
    return columns_of(folder.study, front_of(folder), as_text=False)


def _importance(folder: StudyFolder) -> Columns:
    from kfp_bayesopt.report.contents import importances_of  # whoever only reads a folder needs no numpy

    found = importances_of(folder.study, folder.read().ledger)
    rows = [(objective, each) for objective, importances in found.items() for each in importances]
    objective = {"objective": [objective for objective, _ in rows]} if folder.study.objectives else {}
    return objective | {
        "parameter": [each.name for _, each in rows],
        "share": [each.share for _, each in rows],
        "low": [each.low for _, each in rows],
        "high": [each.high for _, each in rows],
    }


KINDS: Mapping[str, Callable[[StudyFolder], Columns]] = {
    "trials": _trials,
    "curves": _curves,
    "front": _front,
    "importance": _importance,
}
"""What there are tables of."""


def frame(folder: StudyFolder, what: str) -> Any:
    """Return a table of a study.

    Args:
        folder: The study folder.
        what: The kind of table.

    Returns:
        A pandas.DataFrame where pandas is installed, else a list of mappings from the names of the columns.

    Raises:
        UserError: There is no such kind, or the folder cannot be read.
    """
    if what not in list(KINDS):  # whatever it is
        hint = nearest(str(what), list(KINDS)) or f"there are {named(KINDS)}"
        raise UserError(f"no frame is called {shown(what)}; {hint}")
    columns = KINDS[what](folder)
    if find_spec("pandas") is not None:
        import pandas  # an extra of nobody: whoever wants frames has it

        return pandas.DataFrame(columns)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def front_of(folder: StudyFolder) -> list[Record]:
    """Return the records of the trials on the front, by the first objective; of a single objective, the best."""
    records = folder.read().records
    if not records:
        return []
    found = best_of(folder)
    if found.front is not None:
        return [records[each.trial] for each in found.front]
    number = (found.recommended or found).trial
    return [] if number is None else [records[number]]
