"""Trials of other studies: from folders, tables and storages of Optuna, and from a study before it was changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.report_commands import import_
from kfp_bayesopt.cli.views import view_for
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.formats.csv_table import write_csv
from kfp_bayesopt.exchange.formats.optuna import write_optuna
from kfp_bayesopt.exchange.formats.parquet_table import write_parquet
from kfp_bayesopt.exchange.importing import MOST_TRIALS, collect
from kfp_bayesopt.folder.earlier import NAME, read_earlier
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.proposing.verify import verify
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places import in_process as local
from tests.builders import BRANIN_SPACE, MIXED, a_record, a_study, several, write_study

CODE = "def objective(x1, x2):\n    return (x1 - 2) ** 2 + (x2 - 3) ** 2\n"
GP: dict[str, Any] = {"optimizer": {"engine": "gp"}}


def ran(folder: Path, out: Path, **changes: Any) -> StudyFolder:
    """Run a study of its own folder into another one."""
    study = write_study(folder, CODE, **{**GP, **changes})
    local.run(str(study), str(out), 1, local.Options())
    return StudyFolder(str(out), Study.from_file(study))


def test_trials_of_the_same_objective_count_as_those_of_the_study(tmp_path: Path) -> None:
    ran(tmp_path / "a", tmp_path / "a-out", iterations=4)
    folder = ran(tmp_path / "b", tmp_path / "b-out", iterations=2, name="other", warm_start=["../a-out"])
    earlier = read_earlier(folder.root)
    assert len(earlier) == 8
    assert all(each.same and each.origin == "../a-out" and "value" in each.values for each in earlier)
    cold = ran(tmp_path / "c", tmp_path / "c-out", iterations=2, name="other")
    assert folder.read().ledger[0].parameters != cold.read().ledger[0].parameters
    suggestions = folder.read_suggestions(folder.suggested())
    assert all(each.asked == {"earlier": 8} for each in suggestions)
    checked = verify(folder.searched, folder.read().ledger, suggestions, False)
    assert {each.verdict for each in checked} == {"same"}


def test_earlier_trials_are_read_once(tmp_path: Path) -> None:
    ran(tmp_path / "a", tmp_path / "a-out", iterations=2)
    ran(tmp_path / "b", tmp_path / "b-out", iterations=1, name="other", warm_start=["../a-out"])
    before = (tmp_path / "b-out" / NAME).read_bytes()
    ran(tmp_path / "a", tmp_path / "a-out", iterations=4)
    ran(tmp_path / "b", tmp_path / "b-out", iterations=2, name="other", warm_start=["../a-out"])
    assert (tmp_path / "b-out" / NAME).read_bytes() == before


def test_trials_of_another_objective_are_a_hint(tmp_path: Path) -> None:
    ran(tmp_path / "a", tmp_path / "a-out", iterations=4, direction="maximize")
    study = Study.from_file(str(write_study(tmp_path / "b", CODE, **GP)))
    found = collect(study, ["../a-out"], tmp_path / "b")
    assert not any(each.same for each in found)
    assert all(each.values["value"] <= 0 for each in found), "what was maximised is turned round"


def test_a_study_that_was_changed_takes_its_trials_along(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ran(tmp_path, tmp_path / "out", iterations=3)
    narrower = {**BRANIN_SPACE, "x1": {**BRANIN_SPACE["x1"], "low": 0.0}}
    study = str(write_study(tmp_path, CODE, space=narrower, **GP))
    with pytest.raises(UserError, match=r"space.x1.low was -5.0 and is 0.0; .* KEEP=1"):
        local.run(study, str(tmp_path / "out"), 1, local.Options())
    inside = sum(float(record.parameters["x1"]) >= 0 for record in folder.read().ledger)  # type: ignore[arg-type]
    capsys.readouterr()
    best = local.run(study, str(tmp_path / "out"), 1, local.Options(keep=True), view_for())
    assert best.completed == 4
    assert f"{inside} as its own, {6 - inside} as a hint where to look" in capsys.readouterr().out
    assert len(list(tmp_path.glob("out.*/trials.jsonl"))) == 1, "what was there stays"
    local.run(study, str(tmp_path / "out"), 1, local.Options(keep=True))
    assert len(list(tmp_path.glob("out.*"))) == 1, "the study that the folder holds goes on"


RECORDS = [a_record(a_study(), number, number / 2, parameters={"x1": float(number), "x2": 1.5}) for number in (1, 2, 3)]


def test_a_table_and_a_storage_that_were_exported_come_back(tmp_path: Path) -> None:
    study = a_study(**GP)
    ledger = [*RECORDS, a_record(study, 4, None, parameters={"x1": 4.0, "x2": 0.5})]
    write_csv(study, ledger, tmp_path / "trials.csv")
    write_parquet(study, ledger, tmp_path / "trials.parquet")
    write_optuna(study, ledger, tmp_path / "study.db")
    for source in ("trials.csv", "trials.parquet", "study.db"):
        found = collect(study, [source], tmp_path)
        assert [each.parameters for each in found] == [record.parameters for record in ledger]
        assert [each.values.get("value") for each in found] == [0.5, 1.0, 1.5, None]
        assert all(each.same for each in found)


def test_a_table_of_any_space_comes_back(tmp_path: Path) -> None:
    study = a_study(space=MIXED, objective={"python": "a:b"}, **GP)
    parameters = {name: each.value_at(0) if each.levels else each.low for name, each in study.space.items()}  # type: ignore[union-attr]
    write_csv(study, [a_record(study, 1, 2.0, parameters=parameters)], tmp_path / "trials.csv")
    write_parquet(study, [a_record(study, 1, 2.0, parameters=parameters)], tmp_path / "trials.parquet")
    for source in ("trials.csv", "trials.parquet"):
        (found,) = collect(study, [source], tmp_path)
        assert json.dumps(found.parameters, sort_keys=True) == json.dumps(parameters, sort_keys=True)
        assert found.same


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"warm_start: t\.parquet: is no Parquet file"):
        collect(a_study(**GP), ["t.parquet"], tmp_path)


def test_a_table_of_somebody_else_needs_a_column_for_each_parameter_and_value(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x1,x2,accuracy,latency\n1.5,2,0.5,3\n,2,0.25,\n")
    first, second = collect(several(), ["t.csv"], tmp_path)
    assert (first.parameters, first.values, first.same) == ({"x1": 1.5, "x2": 2}, {"accuracy": 0.5, "latency": 3}, True)
    assert (second.parameters, second.values, second.same) == ({"x2": 2}, {}, False)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("x1,x2\n1,2\n", "there is no column 'value'; it has x1, x2"),
        ('x1,x2,value\n1,2,"0,5"\n', "line 2: value must be a number, but got '0,5'; write it with a point"),
        ("x1,x2,value\n1,2,good\n", "line 2: value must be a number, but got 'good'"),
        ("", "there is no column 'value'; it has none"),
        ("a,b,value\n1,2,3\n", "no trial in it has a parameter of the study: x1, x2"),
        ("x1,x2,value\n100,200,3\n", "no trial in it has a parameter of the study"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_why(table: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(UserError, match=said):
        collect(a_study(**GP), ["t.csv"], tmp_path)


def test_of_very_many_trials_the_best_and_some_others_are_taken_each_once(tmp_path: Path) -> None:
    rows = [f"{(number % 30_000) / 3000},{number % 7},{number % 30_000}" for number in range(100_000)]
    (tmp_path / "t.csv").write_text("\n".join(["x1,x2,value", *rows]) + "\n")
    found = collect(a_study(**GP), ["t.csv"], tmp_path)
    assert len(found) == MOST_TRIALS
    assert len({str(each.parameters) for each in found}) == MOST_TRIALS
    values = sorted(each.values["value"] for each in found)
    assert values[400] < 130
    assert values[-1] > 25_000


@pytest.mark.parametrize("source", ["nowhere", "nowhere.csv", "nowhere.db"])
def test_a_source_that_is_missing_is_named(source: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=source):
        collect(a_study(**GP), [source], tmp_path)


def test_the_engine_skopt_knows_no_other_studies() -> None:
    with pytest.raises(UserError, match="warm_start: the engine 'skopt' knows none"):
        a_study(warm_start=["a"], optimizer={"engine": "skopt"})


def test_damaged_earlier_trials_are_told(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"origin": 1}\n')
    with pytest.raises(
        UserError, match=r"earlier.jsonl: damaged earlier trials: .*; restore it from a copy, or delete it"
    ):
        read_earlier(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parameters": {"x1": "a", "x2": 1.0}}, 'its x1="a" is not of type real'),
        ({"parameters": {"x1": 1e9, "x2": 1.0}}, "its x1=1000000000.0 does not lie between -5.0 and 10.0"),
        ({"parameters": {"x1": 1.0}}, "it has no x2"),
        ({"parameters": {"x1": 1.0, "x2": 1.0, "\x1b[2J": 1}}, "its \\x1b[2J is no parameter of the study"),
        ({"same": False, "parameters": {"x1": [1]}}, "its x1=[1] is not of type real"),
        ({"same": False, "parameters": {"\x1b[2J": 1}}, "its '\\x1b[2J' is no parameter of the study"),
        ({"values": {"value": float("inf")}}, "Input should be a finite number"),
        ({"values": {"value": "1"}}, "Input should be a valid number"),
        ({"same": 1}, "Input should be a valid boolean"),
    ],
)
def test_an_earlier_trial_that_is_none_of_the_space_is_refused_by_line(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    good = {"origin": "a", "same": True, "parameters": {"x1": 1.0, "x2": 2.0}, "values": {"value": 1.0}}
    path = tmp_path / NAME
    path.write_text(json.dumps(good) + "\n" + json.dumps({**good, **changes}) + "\n")
    with pytest.raises(UserError) as raised:
        _ = StudyFolder(str(tmp_path), a_study(**GP)).searched
    assert raised.value.message == (
        f"{path}: damaged earlier trials: line 2: {said}; restore it from a copy, or delete it, and the search goes on "
        "without them"
    )


def test_a_hint_may_leave_parameters_out(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"origin":"a","same":false,"parameters":{"x1":1.0},"values":{"value":1.0}}\n')
    assert len(StudyFolder(str(tmp_path), a_study(**GP)).searched.earlier) == 1


def test_import_brings_trials_into_the_folder_of_a_study_once(tmp_path: Path) -> None:
    study = str(write_study(tmp_path / "b", CODE, **GP))
    write_csv(a_study(**GP), RECORDS, tmp_path / "trials.csv")
    words = [study, "--from", str(tmp_path / "trials.csv"), "--out", str(tmp_path / "out")]
    said = CliRunner().invoke(import_, words)
    assert (
        said.output
        == f"{tmp_path}/out: begins with 3 trials of {tmp_path}/trials.csv: 3 as its own, 0 as a hint where to look\n"
    )
    assert len(read_earlier(str(tmp_path / "out"))) == 3
    again = CliRunner().invoke(import_, words)
    assert again.exit_code == 1
    assert "begins with trials of other studies already" in again.output
    assert local.run(study, str(tmp_path / "out"), 1, local.Options()).completed == 4


def test_an_engine_that_knows_no_other_studies_moves_nothing(tmp_path: Path) -> None:
    folder = ran(tmp_path, tmp_path / "out", iterations=1)
    study = str(write_study(tmp_path, CODE, direction="maximize", optimizer={"engine": "skopt"}))
    with pytest.raises(UserError, match="the engine 'skopt' knows no trials of other studies"):
        local.run(study, str(tmp_path / "out"), 1, local.Options(keep=True))
    assert len(folder.read().ledger) == 2, "it is where it was"
