"""Reads metrics from printed tables: the columns below a header that has a name which is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kfp_bayesopt.space.numerals import read_number

BARS = "|\u2502\u2503"
"""What stands between the cells of tables, in ASCII and in frames."""
_FRAMED, _TABBED, _PADDED, _LISTED, _SPACED = map(re.compile, (rf"[{BARS}]", r"\t+", r"\s{2,}", r"[,;]", r"\s+"))
_SPLITS = (_FRAMED, _TABBED, _PADDED, _LISTED, _SPACED)
"""What may separate cells; the first that gives a column with an asked name is that of a table."""
_PROGRESS = re.compile(r"(?<!\s):?\s{1,80}\d{1,3}%(?:\||\s|$).*")
"""A progress bar behind a row."""
_LEADS = " ./_:-"
"""What may stand between the label of a row and the name of a column."""
_OF_ALL = {"all", "overall", "total"}
"""The labels of rows that stand for a whole table."""
_OF_SENTENCES = re.compile(r"\b(?:an?|and|as|at|by|for|from|in|is|not|of|on|than|the|to|was|with)\b", re.IGNORECASE)
_OF_REPORTS = "support"
"""A column of scikit-learn's report, in which a number that begins a row is the label of a class."""
MOST_CELLS = 200


@dataclass(frozen=True)
class Table:
    """The header of a table: the names of its columns, and what separates them."""

    columns: tuple[str, ...]
    split: re.Pattern[str]


def columns_of(asked: Iterable[str]) -> frozenset[str]:
    """Return the possible names of columns: of `macro avg.f1-score` also `f1-score`."""
    after = {name[index + 1 :] for name in asked for index, each in enumerate(name) if each in _LEADS}
    return frozenset({*asked, *after} - {""})


def read_row(
    line: str, asked: Iterable[str], columns: Iterable[str], above: Table | None
) -> tuple[Table | None, list[tuple[str, float]]]:
    """Return the header for the next lines, and the asked metrics of a line that is a row below one.

    Args:
        line: The line.
        asked: The names that are asked for.
        columns: The columns that they may be.
        above: The header above.
    """
    may_be_header = any(column in line for column in columns)
    if not may_be_header and above is None:
        return None, []
    line = _PROGRESS.sub("", line, count=1).strip()
    if may_be_header and (table := _header(line, frozenset(columns), above)):
        return table, []
    return above, list(_row(line, asked, above)) if above is not None and line else []


def _header(line: str, wanted: frozenset[str], above: Table | None) -> Table | None:
    """Return the header that a line is; None if it is none with a column that is wanted."""
    for split in _SPLITS:
        cells = _cells(line, split)
        is_sentence = (above is not None and above.split is not split) or _OF_SENTENCES.search(line)
        if split is _SPACED and is_sentence:
            return None
        columns = tuple(_without_groups(cells))
        if len(cells) < 2 or not wanted & set(columns):
            continue
        if all(cell and read_number(cell) is None for cell in cells[1:]) and read_number(cells[0] or "x") is None:
            return Table(columns, split)
    return None


def _row(line: str, asked: Iterable[str], table: Table) -> Iterator[tuple[str, float]]:
    cells = _cells(line, table.split)
    if table.split is _PADDED and len(cells) < len(table.columns):
        cells = _cells(line, _SPACED)  # wide numbers leave one space
    more = len(cells) - len(table.columns)
    if more not in (0, 1) or len(cells) < 2:
        return
    # A row of pandas begins with its number; 75% of its `describe` is a label.
    is_counted = cells[0].isdigit() and _OF_REPORTS not in table.columns
    label = cells[0] if read_number(cells[0]) is None or (more and not is_counted) else ""
    values = cells[more:]
    if table.split is _SPACED and any(read_number(each) is None for each in values[bool(label) and not more :]):
        return  # a sentence of as many words
    for column, cell in zip(table.columns, values, strict=True):
        number = read_number(cell) if table.columns.count(column) == 1 else None
        if number is not None:
            yield from ((name, number) for name in asked if _is_of(name, label, column))


def _is_of(name: str, label: str, column: str) -> bool:
    """Tell whether a name is that of a column, or of a row and a column, such as `macro avg.f1-score`."""
    if name == column:
        return not label or label.lower() in _OF_ALL
    return bool(label) and name in {f"{label}{lead}{column}" for lead in _LEADS}


def _cells(line: str, split: re.Pattern[str]) -> list[str]:
    cells = [each.strip() for each in split.split(line, maxsplit=MOST_CELLS)]
    if split is _FRAMED and len(cells) > 1:
        cells = cells[0 if cells[0] else 1 : None if cells[-1] else -1]
    return cells


def _without_groups(cells: Iterable[str]) -> Iterator[str]:
    """Yield the names of columns of which some have a name together: Box(P, R, mAP50, mAP50-95)."""
    for cell in cells:
        if cell.count("(") > cell.count(")"):
            yield cell.partition("(")[2]
        else:
            yield cell.rstrip(")") if cell.count(")") > cell.count("(") else cell
