"""Tables as Parquet."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from kfp_bayesopt import extras
from kfp_bayesopt.errors import UserError, listed, shown
from kfp_bayesopt.exchange.foreign import of_a_library
from kfp_bayesopt.exchange.formats.base import Found, Functions
from kfp_bayesopt.exchange.formats.table import (
    FIRST,
    LONGEST_CELL,
    MOST_BYTES,
    MOST_COLUMNS,
    MOST_VALUES,
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

_AT_ONCE = 1000


def write_parquet(study: Study, ledger: Sequence[Record], path: Path) -> None:
    """Write the same table as `write_csv`, with a type for each column; choices of several types become JSON.

    Raises:
        UserError: pyarrow is not installed here.
    """
    with extras.needed_by("writing Parquet", "parquet"):
        import pyarrow
        from pyarrow import parquet
    if is_there(path):
        try:
            found = tuple(parquet.read_schema(path).names[: len(FIRST)])
        except (pyarrow.ArrowException, OSError):
            found = ()
        check_table(path, found == FIRST)
    columns = {name: pyarrow.array(_of_one_type(cells)) for name, cells in columns_of(study, ledger).items()}
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file)
    storage.replace(str(path), file.getvalue())


def _of_one_type(cells: Sequence[Value]) -> Sequence[Value]:
    """Return cells that are all text, all whole numbers or all numbers; as JSON otherwise."""
    kinds = {type(cell) for cell in cells if cell is not None}
    large = any(isinstance(cell, int) and not -(2**63) <= cell < 2**63 for cell in cells)
    if len(kinds) <= 1 and not large:
        return cells
    if kinds <= {int, float}:
        return [None if cell is None else float(cell) for cell in cells]  # type: ignore[arg-type]
    return [cell if cell is None or isinstance(cell, str) else json.dumps(cell) for cell in cells]


def read_parquet(study: Study, path: str, origin: str) -> Iterator[Found]:
    """Yield the trials of the same table as Parquet."""
    yield from found_in(study, of_parquet(storage.read(path, limit=MOST_BYTES), origin), origin)


def of_parquet(content: bytes, source: str) -> Table:
    """Return a table in a Parquet file; `source` names it in messages.

    Raises:
        UserError: It is not one, or pyarrow is not installed here.
    """
    with extras.needed_by(f"{source}: reading it", "parquet"):
        import pyarrow
        from pyarrow import parquet
    with of_a_library(source, "Parquet file"):
        file = parquet.ParquetFile(pyarrow.BufferReader(content))
        names, count, columns = file.schema_arrow.names, file.metadata.num_rows, file.metadata.num_columns
    if columns > MOST_COLUMNS:
        raise UserError(f"{source}: has more than {MOST_COLUMNS:,} columns")
    check_rows(count, source)

    def rows(columns: Sequence[int]) -> Iterator[Row]:
        for column in columns:
            _check_type(file.schema_arrow.field(column), source)
        if not columns:
            return
        for number, cells in enumerate(_parquet_rows(content, [names[column] for column in columns], source), 1):
            check_rows(number, source)  # the footer may say anything
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
        most = max(
            [sum(chunk.num_values for chunk in chunks[column :: len(used)]) for column in range(len(used))] or [0]
        )
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


FUNCTIONS = Functions(write_parquet, read_parquet)
