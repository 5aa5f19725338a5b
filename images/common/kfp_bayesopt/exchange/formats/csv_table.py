"""Tables as CSV, as RFC 4180 has it.

A spreadsheet runs a cell that begins like a formula, with quotes around it or not. An apostrophe before it makes it
text, and one is taken away again when a table is read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kfp_bayesopt.errors import UserError, shortened
from kfp_bayesopt.exchange.formats.base import Found, Functions
from kfp_bayesopt.exchange.formats.table import (
    FIRST,
    LONGEST_CELL,
    MOST_BYTES,
    MOST_COLUMNS,
    Row,
    Table,
    check_rows,
    check_table,
    columns_of,
    found_in,
    is_there,
)
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.space.parameters import Value
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study

LONGEST_LINE = 10_000_000
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""The beginning of a text that some spreadsheet runs, apostrophes before it included; the last four are full-width."""


def write_csv(study: Study, ledger: Sequence[Record], path: Path) -> None:
    """Write the table of `csv_of` into a file."""
    if is_there(path):
        check_table(path, storage.read_range(str(path), 0, 100).startswith(",".join(FIRST).encode()))
    storage.replace(str(path), csv_of(study, ledger))


def csv_of(study: Study, ledger: Sequence[Record]) -> bytes:
    """Return a table with a row for each trial: parameters as `parameter.NAME`, metrics as `metric.NAME`.

    Numbers have all their digits; lists, mappings, booleans and null are JSON. What a trial does not have is empty.
    """
    columns = columns_of(study, ledger)
    file = io.StringIO()
    table = csv.writer(file)
    table.writerow(columns)
    table.writerows(_shown(row) for row in zip(*columns.values(), strict=True))
    return file.getvalue().encode()


def _shown(row: Sequence[Value]) -> list[Value]:
    return [f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell for cell in row]


def _meant(cell: str) -> str:
    """Return the text of a cell, as `_shown` got it."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read_csv(study: Study, path: str, origin: str) -> Iterator[Found]:
    """Yield the trials of a table: as `make export` writes it, or with a column for each parameter and objective."""
    yield from found_in(study, of_csv(storage.read(path, limit=MOST_BYTES), origin), origin)


def of_csv(content: bytes, source: str) -> Table:
    """Return a table of text; `source` names it in messages.

    Raises:
        UserError: It is not a table.
    """
    lines = _csv_rows(content, source)
    _, names = next(lines, ("line 1", []))

    def rows(columns: Sequence[int]) -> Iterator[Row]:
        for number, (where, cells) in enumerate(lines, 1):
            check_rows(number, source)
            beyond = cells[len(names) :]
            if any(cell.strip() for cell in beyond):
                raise UserError(
                    f"{source}: {where}: has {len(cells)} cells, but the table has {len(names)} columns; write numbers "
                    "with a point, and text with a comma in quotes"
                )
            yield where, [_meant(cells[column]) if column < len(cells) else None for column in columns]

    return Table(names, rows)


def _csv_rows(content: bytes, source: str) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader(_lines(content, source), strict=True, delimiter=_delimiter(content))
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{source}: line {reader.line_num}: {shortened(str(error))}") from None
        where = f"line {reader.line_num}"
        if len(cells) > MOST_COLUMNS:
            raise UserError(f"{source}: {where}: has more than {MOST_COLUMNS:,} columns")
        if max(map(len, cells), default=0) > LONGEST_CELL:
            raise UserError(f"{source}: {where}: a cell has more than {LONGEST_CELL:,} characters")
        if cells:
            yield where, cells


def _delimiter(content: bytes) -> str:
    """Return what is between the cells: a comma, or as spreadsheets of other languages and .tsv have it."""
    header = io.BytesIO(content).readline()
    return next((mark for mark in (",", "\t", ";") if mark.encode() in header), ",")


def _lines(content: bytes, source: str) -> Iterator[str]:
    # Without translating line ends: those in quotes are text, and the reader knows the others.
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="")
    while True:
        try:
            line = text.readline(LONGEST_LINE + 1)
        except UnicodeDecodeError:
            raise UserError(f"{source}: is not UTF-8; save the table as UTF-8") from None
        if len(line) > LONGEST_LINE:
            raise UserError(f"{source}: a line has more than {LONGEST_LINE:,} characters")
        if not line:
            return
        yield line


FUNCTIONS = Functions(write_csv, read_csv)
