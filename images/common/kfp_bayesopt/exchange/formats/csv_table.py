"""Tables as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from kfp_bayesopt.errors import UserError
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
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study

LONGEST_LINE = 10_000_000


def write_csv(study: Study, ledger: Sequence[Record], path: Path) -> None:
    """Write a line for each trial: parameters as `parameter.NAME`, metrics as `metric.NAME`; text as in JSON."""
    if is_there(path):
        check_table(path, storage.read_range(str(path), 0, 100).startswith(",".join(FIRST).encode()))
    columns = columns_of(study, ledger)
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(columns)
    table.writerows(zip(*columns.values(), strict=True))
    storage.replace(str(path), file.getvalue().encode())


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
            yield where, [cells[column] if column < len(cells) else None for column in columns]

    return Table(names, rows)


def _csv_rows(content: bytes, source: str) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader(_lines(content, source), strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{source}: line {reader.line_num}: {error}") from None
        where = f"line {reader.line_num}"
        if len(cells) > MOST_COLUMNS:
            raise UserError(f"{source}: {where}: has more than {MOST_COLUMNS:,} columns")
        if max(map(len, cells), default=0) > LONGEST_CELL:
            raise UserError(f"{source}: {where}: a cell has more than {LONGEST_CELL:,} characters")
        if cells:
            yield where, cells


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
