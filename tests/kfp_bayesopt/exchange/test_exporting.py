"""The trials of a study for other tools."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pyarrow
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from kfp_bayesopt.cli.commands.report_commands import export
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.formats.csv_table import csv_of, write_csv
from kfp_bayesopt.exchange.formats.optuna import write_optuna
from kfp_bayesopt.exchange.formats.parquet_table import write_parquet
from kfp_bayesopt.exchange.importing import collect
from kfp_bayesopt.folder.trials import Reason, Record
from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt_pipeline.places import in_process as local
from tests.builders import MIXED, RICH, a_record, a_study, write_study

SPACE: dict[str, Any] = {
    **MIXED,
    **{name: each for name, each in RICH.items() if name not in MIXED},
    "extra": {"type": "integer", "low": 1, "high": 3, "when": {"kind": "rbf"}},
}
STUDY = a_study(space=SPACE, objective={"python": "a:b"}, direction="maximize", optimizer={"engine": "gp"})


def ledger() -> list[Record]:
    encoding = Encoding(STUDY.space)
    rows = encoding.from_cube(np.random.default_rng(0).random((20, len(encoding))))
    reason = Reason(kind="raised", message='ValueError: "no", really\nand why')
    records = []
    for number, row in enumerate(rows, 1):
        values = {} if number % 5 == 0 else {"value": number / 3, "loss": 1.0 / number}
        failed: dict[str, Any] = {"reason": reason} if number % 5 == 0 else {"reason": None}
        value = None if number % 5 == 0 else number / 3
        records.append(a_record(STUDY, number, value, parameters=encoding.decode(row), values=values, **failed))
    return records


def test_a_table_has_each_trial_with_all_its_digits(tmp_path: Path) -> None:
    write_csv(STUDY, ledger(), tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == [str(number) for number in range(1, 21)]
    for row, record in zip(rows, ledger(), strict=True):
        assert row["value"] == ("" if record.value is None else repr(record.value))
        assert row["metric.loss"] == ("" if record.value is None else repr(record.values["loss"]))
        assert row["reason"] == (record.reason.message if record.reason else "")
        for name in SPACE:
            cell = row[f"parameter.{name}"]
            if name not in record.parameters:
                assert cell == ""
                continue
            value = record.parameters[name]
            plain = isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool))
            # Of a parameter with the choices 1 and "1" the text is told from the number by its quotes.
            assert cell == (str(value) if plain and value != "1" else json.dumps(value))


FORMULAS = ["=1+1", "+1", "-x", "@SUM(A1)", "'=1", "''-1", "\uff1d1", '=a,"b"\nc']
PLAIN = ["'plain", "1-1", "a=1"]


def test_a_spreadsheet_runs_no_cell_of_a_table_and_the_table_comes_back_as_it_was(tmp_path: Path) -> None:
    study = a_study(space={"kind": {"type": "categorical", "choices": FORMULAS + PLAIN}}, optimizer={"engine": "gp"})
    records = [a_record(study, 1 + at, -1.5, parameters={"kind": each}) for at, each in enumerate(FORMULAS + PLAIN)]
    for number, message in enumerate(("=cmd|' /C calc'!A0", "\t=1", "\r=1", "\n=1"), len(records) + 1):
        failed = Reason(kind="raised", message=message)
        records.append(a_record(study, number, None, parameters={"kind": "1-1"}, values={}, reason=failed))
    table = csv_of(study, records)
    rows = list(csv.DictReader(io.StringIO(table.decode(), newline=""), strict=True))
    kinds = [row["parameter.kind"] for row in rows]
    assert kinds == [*(f"'{each}" for each in FORMULAS), *PLAIN, *["1-1"] * 4]
    assert [row["reason"][:2] for row in rows[-4:]] == ["'=", "'\t", "'\r", "'\n"]
    assert {row["value"] for row in rows} == {"-1.5", ""}, "numbers stay numbers"
    (tmp_path / "t.csv").write_bytes(table)
    found = collect(study, ["t.csv"], tmp_path)
    assert {each.parameters["kind"] for each in found} == {*FORMULAS, *PLAIN}


def test_a_table_has_the_line_ends_of_its_standard(tmp_path: Path) -> None:
    """RFC 4180: CRLF behind each row, and quotes around what has a comma, a quote or a line end."""
    table = csv_of(STUDY, ledger())
    assert table.endswith(b"\r\n")
    assert table.count(b"\r\n") == len(ledger()) + 1
    assert b',"ValueError: ""no"", really\nand why"\r\n' in table
    write_csv(STUDY, ledger(), tmp_path / "trials.csv")
    assert (tmp_path / "trials.csv").read_bytes() == table


def test_optuna_loads_the_study_that_it_is_given(tmp_path: Path) -> None:
    write_optuna(STUDY, ledger(), tmp_path / "out" / "trials.db")
    loaded = optuna.load_study(storage=f"sqlite:///{tmp_path}/out/trials.db", study_name=STUDY.name)
    assert loaded.direction == optuna.study.StudyDirection.MAXIMIZE
    assert len(loaded.trials) == 20
    best = max((record for record in ledger() if record.value is not None), key=lambda record: record.value or 0)
    assert loaded.best_value == best.value
    assert loaded.best_trial.user_attrs["trial"] == best.trial
    assert {name for name in loaded.best_params if name != "extra"} == SPACE.keys() - {"epochs", "extra"}
    assert loaded.best_params["momentum"] == best.parameters["momentum"]
    states = [trial.state.name for trial in loaded.trials]
    assert states.count("FAIL") == 4
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["trials.db"]


def test_parquet_has_the_same_table_with_types(tmp_path: Path) -> None:
    write_csv(STUDY, ledger(), tmp_path / "trials.csv")
    write_parquet(STUDY, ledger(), tmp_path / "trials.parquet")
    table = parquet.read_table(tmp_path / "trials.parquet")
    with (tmp_path / "trials.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert table.column_names == list(lines[0])
    for line, row in zip(lines, table.to_pylist(), strict=True):
        assert {name: "" if cell is None else str(cell) for name, cell in row.items()} == line
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["trial"], types["value"], types["state"]) == ("int64", "double", "string")


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "trials.db").write_text("mine")
    with pytest.raises(UserError, match="is there already; move it away, or give another file: TO=file"):
        write_optuna(STUDY, ledger(), tmp_path / "trials.db")
    assert (tmp_path / "trials.db").read_text() == "mine"


@pytest.mark.parametrize(("write", "name"), [(write_csv, "a.csv"), (write_parquet, "a.parquet")])
def test_a_table_of_somebody_else_is_left_alone_and_one_of_an_export_is_replaced(
    write: Callable[..., None], name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    theirs = io.BytesIO()
    parquet.write_table(pyarrow.table({"trial": [1], "loss": [0.5]}), theirs)
    content = b"trial,loss\n1,0.5\n" if write is write_csv else theirs.getvalue()
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}: is there already, and is no such table; move it away"):
        write(STUDY, ledger(), path)
    assert path.read_bytes() == content
    path.unlink()
    write(STUDY, ledger()[:1], path)
    shorter = path.stat().st_size
    write(STUDY, ledger(), path)
    assert path.stat().st_size > shorter


@pytest.mark.parametrize(
    ("form", "name"), [("csv", "branin.csv"), ("parquet", "branin.parquet"), ("optuna", "branin.db")]
)
def test_the_command_says_what_it_wrote(tmp_path: Path, form: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study = write_study(tmp_path, "def objective(x1, x2): return x1", optimizer={"engine": "random"})
    local.run(str(study), str(tmp_path / "folder"), 1, local.Options())
    monkeypatch.chdir(tmp_path)
    shown: Result = CliRunner().invoke(export, [str(study), "--out", str(tmp_path / "folder"), "--format", form])
    assert (shown.exit_code, shown.output) == (0, f"out/{name}: 4 trials\n")
    assert (tmp_path / "out" / name).exists()
    written = [str(study), "--out", str(tmp_path / "folder"), "--to", f"other{Path(name).suffix}"]
    assert CliRunner().invoke(export, written).exit_code == 0
    beginning = {"csv": b"trial,", "parquet": b"PAR1", "optuna": b"SQLite"}[form]
    assert Path(written[-1]).read_bytes().startswith(beginning), "the suffix says which format it is"


def test_limits_are_constraints_of_optuna_and_a_column_of_the_table(tmp_path: Path) -> None:
    study = a_study(objective={"python": "a:b", "value": "loss"}, limits={"latency": "<= 100", "size": ">= 2"})
    latencies = {1: 90.0, 2: 110.0}
    records = [
        a_record(study, number, 1.0 - number / 10, values={"value": 1.0 - number / 10, "latency": each, "size": 3.0})
        for number, each in latencies.items()
    ]
    write_csv(study, [*records, a_record(study, 3, None)], tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        assert [row["broken"] for row in csv.DictReader(file)] == ["", "latency 110, not <= 100", ""]
    write_optuna(study, [*records, a_record(study, 3, None)], tmp_path / "study.db")
    read = optuna.load_study(study_name=study.name, storage=f"sqlite:///{tmp_path}/study.db")
    assert [each.system_attrs.get("constraints") for each in read.trials] == [[-10.0, -1.0], [10.0, -1.0], None]
    assert read.best_trial.number == 0, "Optuna knows that the second is outside"
