"""Tables of trials written by other tools: CSV and Parquet, read a few rows at a time and within limits.

A small file may hold very many rows, and a row very much: the unpacked size counts. So there are limits on rows,
columns and cells, not only on bytes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from kfp_bayesopt.errors import UserError, listed, shown
from kfp_bayesopt.exchange.foreign import of_a_library

MOST_BYTES = 100_000_000
MOST_ROWS = 100_000
MOST_COLUMNS = 10_000
MOST_VALUES = 1_000_000
"""The most values of a column, including those in its lists."""
LONGEST_CELL = 131_072
LONGEST_LINE = 10_000_000
_AT_ONCE = 1000

Row = tuple[str, list[str | None]]
"""The position, such as `line 2`, and the cells in the form of a text table."""


@dataclass(frozen=True)
class Table:
    """A table with its header read.

    Attributes:
        names: The names of its columns.
        rows: Yields the cells of some columns, by their indices, row by row.
    """

    names: Sequence[str]
    rows: Callable[[Sequence[int]], Iterator[Row]]


def of_csv(content: bytes, source: str) -> Table:
    """Return a table of text; `source` names it in messages.

    Raises:
        UserError: It is not a table.
    """
    lines = _csv_rows(content, source)
    _, names = next(lines, ("line 1", []))

    def rows(columns: Sequence[int]) -> Iterator[Row]:
        for number, (where, cells) in enumerate(lines, 1):
            _check_rows(number, source)
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


def _check_rows(number: int, source: str) -> None:
    if number > MOST_ROWS:
        raise UserError(f"{source}: has more than {MOST_ROWS:,} rows; keep the best of them, and some others")


def of_parquet(content: bytes, source: str) -> Table:
    """Return a table in a Parquet file; `source` names it in messages.

    Raises:
        UserError: It is not one, or pyarrow is not installed here.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(f"{source}: reading it needs the package pyarrow, which `make import` has") from None
    with of_a_library(source, "Parquet file"):
        file = parquet.ParquetFile(pyarrow.BufferReader(content))
        names, count, columns = file.schema_arrow.names, file.metadata.num_rows, file.metadata.num_columns
    if columns > MOST_COLUMNS:
        raise UserError(f"{source}: has more than {MOST_COLUMNS:,} columns")
    _check_rows(count, source)

    def rows(columns: Sequence[int]) -> Iterator[Row]:
        for column in columns:
            _check_type(file.schema_arrow.field(column), source)
        if not columns:
            return
        for number, cells in enumerate(_parquet_rows(content, [names[column] for column in columns], source), 1):
            _check_rows(number, source)  # the footer may say anything
            yield f"row {number}", [_text(cell) for cell in cells]

    return Table(names, rows)


def _check_type(field: Any, source: str) -> None:
    """Refuse a column whose cells are not values of parameters and metrics, such as times."""
    from pyarrow import types

    kind = field.type
    for inner in (types.is_dictionary, types.is_list, types.is_large_list, types.is_fixed_size_list):
        if inner(kind):
            kind = kind.value_type
    known = (
        types.is_null, types.is_boolean, types.is_integer, types.is_floating, types.is_decimal, types.is_string,
        types.is_large_string, types.is_binary, types.is_large_binary, types.is_dictionary,
    )  # fmt: skip
    if not any(is_known(kind) for is_known in known):
        raise UserError(
            listed(source, [f"column {shown(field.name)} holds {field.type}; write its cells as numbers or as text"])
        )


def _parquet_rows(content: bytes, names: list[str], source: str) -> Iterator[tuple[Any, ...]]:
    """Yield the cells of columns.

    Texts stay in their dictionary until they are measured: a file with one very long text that every row refers to is
    small.
    """
    import pyarrow
    from pyarrow import compute, parquet

    def longest(array: Any) -> int:
        if hasattr(array, "flatten") and hasattr(array.type, "value_field"):
            array = array.flatten()
        array = getattr(array, "dictionary", array)
        is_text = pyarrow.types.is_string(array.type) or pyarrow.types.is_binary(array.type)
        return (compute.max(compute.binary_length(array)).as_py() or 0) if is_text else 0

    with of_a_library(source, "Parquet file"):
        footer = parquet.read_metadata(pyarrow.BufferReader(content))
        leaves = [footer.schema.column(number) for number in range(footer.num_columns)]
        used = [number for number, leaf in enumerate(leaves) if leaf.path.partition(".list.")[0] in names]
        texts = [leaves[number].path for number in used if leaves[number].physical_type == "BYTE_ARRAY"]
        chunks = [footer.row_group(group).column(number) for group in range(footer.num_row_groups) for number in used]
        size = sum(chunk.total_uncompressed_size for chunk in chunks)
        most = max([sum(chunk.num_values for chunk in chunks[place :: len(used)]) for place in range(len(used))] or [0])
        file = parquet.ParquetFile(pyarrow.BufferReader(content), read_dictionary=texts)
        batches = file.iter_batches(batch_size=_AT_ONCE, columns=names, use_threads=False)
    if size > MOST_BYTES or most > MOST_VALUES:
        raise UserError(f"{source}: has {most:,} values in a column, and {size:,} bytes of them; keep fewer")
    while True:
        with of_a_library(source, "Parquet file"):
            batch = next(batches, None)
            long = batch is not None and max(map(longest, batch.columns), default=0) > LONGEST_CELL
            cells = [] if batch is None or long else [each.to_pylist() for each in batch.columns]
        if long:
            raise UserError(f"{source}: a text in it has more than {LONGEST_CELL:,} bytes")
        if batch is None:
            return
        yield from zip(*cells, strict=True)


def _text(cell: Any) -> str | None:
    """Return a cell in the form of a text table."""
    match cell:
        case None | str():
            return cell
        case bytes():
            return cell.decode(errors="replace")
        case Decimal():
            return f"{cell:f}"
        case _:
            return json.dumps(cell, default=str)
