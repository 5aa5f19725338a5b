"""Tables of somebody else: read within limits, whatever is in them."""

from __future__ import annotations

import resource
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.formats.table import MOST_ROWS
from kfp_bayesopt.exchange.importing import collect
from tests.builders import a_study

STUDY = a_study(optimizer={"engine": "gp"})
SEVEN = "1.5,2,7"


def read(folder: Path, name: str, content: bytes) -> Any:
    (folder / name).write_bytes(content)
    return collect(STUDY, [name], folder)


def refused(folder: Path, name: str, content: bytes) -> str:
    with pytest.raises(UserError) as raised:
        read(folder, name, content)
    assert raised.value.message.replace("\n", "").isprintable()
    return raised.value.message


def written(folder: Path, table: Any, **options: Any) -> bytes:
    parquet.write_table(table, folder / "written", **options)
    return (folder / "written").read_bytes()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
def test_a_table_may_have_the_line_ends_of_any_system(end: str, begin: str, tmp_path: Path) -> None:
    lines = [f"{begin}x1,x2,value,note", f"{SEVEN},a\u2028b\x85c", "", '2,3,8,"a, b\nc"', ""]
    found = read(tmp_path, "t.csv", end.join(lines).encode())
    assert [each.values["value"] for each in found] == [7.0, 8.0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x1,x2,value\n1,2,1_000\n", "line 2: value must be a number, but got '1_000'"),
        ("x1,x2,value\n1,2,\u0663\n".encode(), "line 2: value must be a number, but got '\u0663'"),
        (
            b"x1,x2,value\n0,5,1,2\n",
            "line 2: has 4 cells, but the table has 3 columns; write numbers with a point, and text with a comma in "
            "quotes",
        ),
        (b"x1,state,value,state\n1,failed,3,completed\n", "the columns state and state hold the same; leave one of"),
        (b"x1,parameter.x2, x1,value\n1,2,3,4\n", "the columns x1 and x1 hold the same; leave one of them out"),
        (b'x1,x2,value\n1,2,"3\n', "line 2: unexpected end of data"),
        (b'"x1,x2,value\n1,2,3\n', "line 2: unexpected end of data"),
        (b'x1,x2,value\n1,2,"3"4\n', "line 2: ',' expected after '\"'"),
        ("x1,x2,value\n1,2,3\n".encode("utf-16"), "is not UTF-8; save the table as UTF-8"),
        (b"x1,x2,value\n1,2,3\n\xff\n", "is not UTF-8; save the table as UTF-8"),
        (b"\x1b[2J\x1b]0;hers\x07,x2\n", r"there is no column 'value'; it has '\x1b[2J\x1b]0;hers\x07', x2"),
        (b"a" * 100_000 + b",x2\n", f"there is no column 'value'; it has '{'a' * 37}...{'a' * 38}', x2"),
        (b"a" * 200_000 + b",x2\n", "line 1: "),
        (b"x1,x2,value\n1,2,3\n" + b"a" * 131_073 + b",2,3\n", "line 3: "),
        (b"," * 20_000 + b"\n", "line 1: has more than 10,000 columns"),
        (b"a," * 9_000 + b"\n", "there is no column 'value'; it has a, "),
        (b"x1,x2,value\n" + b"," * 2 * 10**7, "a line has more than 10,000,000 characters"),
        (b"x1,x2,value\n" + b"1,2,3\n" * (MOST_ROWS + 1), "has more than 100,000 rows; keep the best"),
    ],
)
def test_a_table_of_text_that_cannot_be_read_is_one_message(content: bytes, said: str, tmp_path: Path) -> None:
    message = refused(tmp_path, "t.csv", content)
    assert message.startswith(f"warm_start: t.csv: {said}")
    assert len(message) < 2000


@pytest.mark.parametrize("cell", ["1" + "0" * 400, "9" * 5000, "[" * 100_000, "nan", "1e999", '"""\x00"""'])
def test_a_cell_that_is_no_value_leaves_its_row_out_with_a_word(
    cell: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (found,) = read(tmp_path, "t.csv", f"x1,value\n{cell},1\n0.5,2\n".encode())
    assert (found.parameters, found.values) == ({"x1": 0.5}, {"value": 2.0})
    (record,) = caplog.records
    assert record.getMessage().startswith("warm_start: t.csv: left out 1 of 2 trials; line 2: x1=")


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "NaN", "1e999", ""])
def test_a_value_that_is_not_finite_is_that_of_a_failed_trial(cell: str, tmp_path: Path) -> None:
    (found,) = read(tmp_path, "t.csv", f"x1,x2,value\n1,2,{cell}\n".encode())
    assert (found.values, found.same) == ({}, True)


def test_numbers_of_any_type_are_read_from_parquet(tmp_path: Path) -> None:
    columns = {
        "x1": pyarrow.array([Decimal("1.50"), Decimal("2")], pyarrow.decimal128(5, 2)),
        "x2": pyarrow.array([3, 4], pyarrow.uint8()),
        "value": pyarrow.array([0.5, 0.25], pyarrow.float16()),
        "state": pyarrow.array(["completed", "failed"]).dictionary_encode(),
        "begun": pyarrow.array([2**62, 0], pyarrow.timestamp("ms")),  # no date of Python
    }
    first, second = read(tmp_path, "t.parquet", written(tmp_path, pyarrow.table(columns)))
    assert (first.parameters, first.values, first.same) == ({"x1": 1.5, "x2": 3}, {"value": 0.5}, True)
    assert (second.parameters, second.values, second.same) == ({"x1": 2, "x2": 4}, {}, True)


def test_choices_that_are_lists_are_read_from_parquet(tmp_path: Path) -> None:
    shapes = {"shape": {"type": "categorical", "choices": [[64, 32], [8], "flat"]}}
    study = a_study(space=shapes, objective={"python": "a:b"}, optimizer={"engine": "gp"})
    table = pyarrow.table({"shape": [[64, 32], [8]], "value": [1, 2]})
    (tmp_path / "t.parquet").write_bytes(written(tmp_path, table))
    assert [each.parameters["shape"] for each in collect(study, ["t.parquet"], tmp_path)] == [[64, 32], [8]]


def a_table(**columns: Any) -> Any:
    return pyarrow.table({"x1": [1.0], "x2": [2.0], "value": [3.0], **columns})


def bomb(rows: int, **columns: Any) -> Any:
    """Return a table of equal rows, which a file keeps as one and how many there are."""
    return pyarrow.table({"x1": pyarrow.repeat(1.0, rows), "x2": pyarrow.repeat(2.0, rows), **columns})


BOMBS = {
    "rows": lambda: bomb(20_000_000, value=pyarrow.repeat(3.0, 20_000_000)),
    "texts": lambda: bomb(100_000, value=pyarrow.DictionaryArray.from_arrays(
        pyarrow.repeat(pyarrow.scalar(0, pyarrow.int32()), 100_000), ["7" * 1_000_000]
    )),
    "lists": lambda: pyarrow.table({
        "x1": pyarrow.ListArray.from_arrays([0, 20_000_000], pyarrow.repeat(1.0, 20_000_000)), "value": [1.0],
    }),
    "a long text": lambda: a_table(x1=["7" * 200_000]),
    "many columns": lambda: pyarrow.table({f"c{number}": [1.0] for number in range(10_001)}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("rows", "has more than 100,000 rows; keep the best of them, and some others"),
        ("texts", "a text in it has more than 131,072 bytes"),
        ("lists", "has 20,000,000 values in a column, and "),
        ("a long text", "a text in it has more than 131,072 bytes"),
        ("many columns", "has more than 10,000 columns"),
    ],
)
def test_a_small_file_of_very_much_is_refused_soon(made: str, said: str, tmp_path: Path) -> None:
    content = written(tmp_path, BOMBS[made](), compression="gzip")
    assert len(content) < 4_000_000
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert refused(tmp_path, "t.parquet", content).startswith(f"warm_start: t.parquet: {said}")
    assert time.process_time() - begun < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"value": [datetime(2026, 1, 1, tzinfo=UTC)]}, "column 'value' holds timestamp[us, tz=UTC]; write its cells"),
        ({"x1": pyarrow.array([2**62], pyarrow.timestamp("ns"))}, "column 'x1' holds timestamp[ns]; write its cells"),
        ({"x1": [{"a": 1}]}, "column 'x1' holds struct<a: int64>; write its cells as numbers or as text"),
        ({"x1": pyarrow.array([b"\xff"])}, "no trial in it has a parameter of the study"),
    ],
)
def test_a_column_of_parquet_that_holds_no_values_is_named(columns: Any, said: str, tmp_path: Path) -> None:
    if "no trial" in said:
        columns = {**columns, "x2": ["?"]}
    assert refused(tmp_path, "t.parquet", written(tmp_path, a_table(**columns))).startswith(
        f"warm_start: t.parquet: {said}"
    )


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\x00" * 100 + b"PAR1", b"x1,x2,value\n1,2,3\n"])
def test_what_is_no_parquet_is_one_message(content: bytes, tmp_path: Path) -> None:
    assert refused(tmp_path, "t.parquet", content).startswith(
        "warm_start: t.parquet: is no Parquet file that can be read: "
    )
