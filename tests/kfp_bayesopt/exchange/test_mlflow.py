"""Runs of MLflow: once for each trial, whoever writes them and however often; a server that does not take them."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.report_commands import export
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.exporters import EXPORTERS, export_all
from kfp_bayesopt.exchange.exporters.mlflow_api import Api
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Claim, Reason, Steps
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.output_files import OutputFiles
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt.trial.said import keep_curve
from tests.builders import a_batch, a_record, a_study, study_text, write_folder
from tests.mlflow_stand_in import Server, serving

STATUSES = {"study": "FINISHED", "1": "FINISHED", "2": "FINISHED", "3": "KILLED", "4": "FAILED"}
NAMED: dict[str, Any] = {"x1": 1.0, "x2": 2.0}


@pytest.fixture
def stand_in() -> Iterator[tuple[str, Server]]:
    with serving() as served:
        yield served


@pytest.fixture
def uri(stand_in: tuple[str, Server]) -> str:
    """Return the address of a server: the stand-in, or a real one that the environment names."""
    return os.environ.get("MLFLOW_SERVER") or stand_in[0]


def asked(uri: str, **more: str) -> Study:
    mlflow = {"uri": uri, "experiment": f"e-{uuid.uuid4()}", **more}
    return a_study(optimizer={"engine": "gp"}, objective={"python": "mine:f"}, export={"mlflow": mlflow})


def a_folder(study: Study, tmp_path: Path, count: int = 4) -> StudyFolder:
    """Return a folder of trials, of which the last one failed and the third was stopped."""
    reason = Reason(kind="raised", message="ValueError: no")
    records = [
        a_record(study, 1, 0.5, parameters=NAMED, values={"value": 0.5, "f1(macro)": 0.25}),
        a_record(study, 2, 0.25, parameters=NAMED),
        a_record(study, 3, 0.75, parameters=NAMED).model_copy(update={"state": "stopped"}),
        a_record(study, 4, None, parameters=NAMED, reason=reason),
    ][:count]
    return write_folder(tmp_path / "out", study, a_batch(study, [NAMED] * count), records)


def fold(folder: StudyFolder) -> str:
    trials = folder.read()
    exporter = EXPORTERS["mlflow"]
    return exporter.fold(folder, trials, Best.of(folder.study, trials.ledger), exporter.asked(folder.study, None))


def runs_of(folder: StudyFolder) -> dict[str, dict[str, Any]]:
    """Return the runs of a study, by the number of the trial, as the server has them."""
    mlflow = folder.study.export.mlflow
    assert mlflow is not None
    api = Api(mlflow.uri)
    experiment = api.get("experiments/get-by-name", experiment_name=mlflow.experiment)["experiment"]["experiment_id"]
    wanted = f"tags.`kfp-bayesopt.fingerprint` = '{folder.study.fingerprint}'"
    (parent,) = api.pages("runs/search", "runs", experiment_ids=[experiment], filter=wanted)
    wanted = f"tags.`kfp-bayesopt.study` = '{_tags(parent)['kfp-bayesopt.study']}'"
    found = list(api.pages("runs/search", "runs", experiment_ids=[experiment], filter=wanted))
    tagged = {_tags(run)["kfp-bayesopt.trial"]: run for run in found}
    assert len(tagged) == len(found), "no run is there twice"
    return tagged


def _tags(run: dict[str, Any]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in run["data"]["tags"]}


def test_each_trial_is_a_run_below_that_of_the_study(uri: str, tmp_path: Path) -> None:
    folder = a_folder(asked(uri), tmp_path)
    assert fold(folder).endswith("a run for each of 4 trials (4 new, 0 changed, 0 as they were)")
    runs = runs_of(folder)
    assert {name: run["info"]["status"] for name, run in runs.items()} == STATUSES
    parent = runs.pop("study")
    assert {_tags(run)["mlflow.parentRunId"] for run in runs.values()} == {parent["info"]["run_id"]}
    assert _tags(parent)["kfp-bayesopt.best"] == "2"
    first = runs["1"]["info"]
    assert (parent["info"]["start_time"], parent["info"]["end_time"]) == (first["start_time"], first["end_time"])
    assert {each["key"]: each["value"] for each in parent["data"]["metrics"]} == {"best_value": 0.25}
    assert {each["key"]: each["value"] for each in runs["1"]["data"]["params"]} == {"x1": "1.0", "x2": "2.0"}
    assert {each["key"]: each["value"] for each in runs["1"]["data"]["metrics"]} == {"value": 0.5, "f1_macro_": 0.25}
    assert _tags(runs["4"])["kfp-bayesopt.reason"] == "ValueError: no"


def check_known_by_both_names(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that a folder is new by its name in the working folder, and no other by its whole path."""
    monkeypatch.chdir(Path(folder.root).parent)
    assert "4 new" in fold(StudyFolder("out", folder.study))
    assert "4 as they were" in fold(folder)


def test_a_study_is_known_however_its_folder_is_named_and_no_other_one_is_taken_for_it(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = asked(uri)
    for name in "ab":
        folder = a_folder(study, tmp_path / name)
        claim = Claim(
            study=study.name, fingerprint=study.fingerprint, trial=1, attempt=1, worker="w", token=name,
            claimed="2026-01-01T00:00:00.000+00:00",
        )  # fmt: skip
        assert folder.claim(claim)
        check_known_by_both_names(folder, monkeypatch)
    shutil.copytree("out", tmp_path / "copied")
    assert "4 as they were" in fold(StudyFolder(str(tmp_path / "copied"), study))


def test_a_study_without_claims_is_known_by_its_folder(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = asked(uri)
    for name in "ab":
        check_known_by_both_names(a_folder(study, tmp_path / name), monkeypatch)


def test_metrics_whose_names_are_those_of_no_file_are_written_too(uri: str, tmp_path: Path) -> None:
    study = asked(uri)
    values = {"value": 0.5, "/a": 1.0, "..": 2.0, "b//c": 3.0, "..d": 4.0, "e/f": 5.0}
    records = [a_record(study, 1, 0.5, parameters=NAMED, values=values)]
    folder = write_folder(tmp_path / "out", study, a_batch(study, [NAMED]), records)
    fold(folder)
    found = {each["key"]: each["value"] for each in runs_of(folder)["1"]["data"]["metrics"]}
    assert found == {"value": 0.5, "_a": 1.0, "__": 2.0, "b__c": 3.0, "__d": 4.0, "e/f": 5.0}


def test_a_second_time_nothing_is_written(uri: str, tmp_path: Path) -> None:
    folder = a_folder(asked(uri), tmp_path)
    fold(folder)
    before = runs_of(folder)
    assert fold(folder).endswith("(0 new, 0 changed, 4 as they were)")
    assert runs_of(folder) == before


def test_what_a_killed_fold_has_begun_is_completed_without_doubles(
    stand_in: tuple[str, Server], tmp_path: Path
) -> None:
    folder = a_folder(asked(stand_in[0]), tmp_path)
    server = stand_in[1]
    whole = a_folder(asked(stand_in[0]), tmp_path / "whole")
    fold(whole)
    requests = len(server.asked)
    died = 0
    for ends_after in range(1, requests):  # each of its requests is the last one in turn
        server.asked.clear()
        server.runs.clear()
        server.first[:] = []
        died += _dies(server, folder, ends_after)
        fold(folder)
        runs = runs_of(folder)
        assert {name: run["info"]["status"] for name, run in runs.items()} == STATUSES
        assert all(len(run["data"]["params"]) == 2 for name, run in runs.items() if name != "study")
    assert died > 10


def _dies(server: Server, folder: StudyFolder, ends_after: int) -> bool:
    answer = server.answer

    def until(method: str, body: dict[str, Any]) -> dict[str, Any]:
        if len(server.asked) > ends_after:
            raise ConnectionError
        return answer(method, body)

    server.answer = until  # type: ignore[method-assign]
    try:
        fold(folder)
    except UserError as error:
        return "does not answer" in error.message
    finally:
        server.answer = answer  # type: ignore[method-assign]
    return False


def test_a_curve_of_many_points_is_written_in_requests_that_the_server_takes(uri: str, tmp_path: Path) -> None:
    folder = a_folder(asked(uri), tmp_path, count=2)
    record = folder.read().records[2].model_copy(update={"steps": Steps(first=0, last=1999, count=2000, value=0.25)})
    Path(folder.record_uri(2, 1)).write_bytes(record.to_bytes())
    keep_curve(folder, 2, 1, list(range(2000)), [step / 7 for step in range(2000)])
    fold(folder)
    points = [each for each in runs_of(folder)["2"]["data"]["metrics"] if each["key"] == "intermediate"]
    last = max(points, key=lambda point: int(point["step"]))  # a real server tells the last one alone here
    assert (int(last["step"]), last["value"]) == (1999, 1999 / 7)


def test_the_best_model_is_registered_once(stand_in: tuple[str, Server], tmp_path: Path) -> None:
    # Of a real server the source of a version must not be a path of a disk.
    folder = a_folder(asked(stand_in[0], model=f"m-{uuid.uuid4()}"), tmp_path)
    assert "no version, as trial 2 wrote no file to BAYESOPT_OUTPUT" in fold(folder)
    own = Path(folder.output_uri(2, 1))
    own.mkdir()
    (own / "w").write_text("w")
    OutputFiles(folder, 2, 1, own, Sessions()).keep()
    assert fold(folder).endswith(": trial 2 is version 1")
    assert fold(folder).endswith(": trial 2 is version 1 already")
    ((version,),) = stand_in[1].models.values()
    assert version["run_id"] == runs_of(folder)["2"]["info"]["run_id"]
    assert version["source"] == folder.output_uri(2, 1)
    described = {"parameters": NAMED, "values": {"value": 0.25}, "files": ["w"]}
    assert json.loads(version["description"]) == described


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([(200, "<html>a proxy</html>")], "does not answer as a server of MLflow does (status 200)"),
        ([(401, "no")], "permission denied; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        ([(400, '{"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}')], "refused experiments/get-by-name: no"),
        ([(504, "a gateway")], "does not answer as a server of MLflow does (status 504)"),
        ([(302, "")], "does not answer as a server of MLflow does (status 302)"),
    ],
)
def test_a_server_that_does_not_take_them_is_one_message_and_harms_no_study(
    answers: list[tuple[int, str]], said: str, stand_in: tuple[str, Server], tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    folder = a_folder(asked(stand_in[0]), tmp_path)
    stand_in[1].first += answers
    trials = folder.read()
    export_all(folder, trials, Best.of(folder.study, trials.ledger))
    (record,) = caplog.records
    assert record.getMessage().startswith("the study folder has all trials, but ")
    assert said in record.getMessage()
    assert record.getMessage().endswith("`make export TO=mlflow` writes what is missing")


def test_a_busy_server_is_asked_again(stand_in: tuple[str, Server], tmp_path: Path) -> None:
    folder = a_folder(asked(stand_in[0]), tmp_path, count=1)
    stand_in[1].first += [(429, "later"), (503, "later")]
    assert "1 new" in fold(folder)


def test_the_command_writes_them_after_the_fact(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = a_folder(a_study(optimizer={"engine": "gp"}, objective={"python": "mine:f"}), tmp_path)
    folder.write_study(study_text(optimizer={"engine": "gp"}, objective={"python": "mine:f"}))
    refused = CliRunner().invoke(export, ["--out", folder.root, "--to", "mlflow"])
    assert "or export: {mlflow: ADDRESS} in the study" in refused.output
    refused = CliRunner().invoke(export, ["--out", folder.root, "--to", "mlflow", "--uri", "sqlite:///a.db"])
    assert refused.exit_code == 1
    shown = CliRunner().invoke(export, ["--out", folder.root, "--to", "mlflow", "--uri", uri])
    assert shown.exit_code == 0, shown.output
    assert "a run for each of 4 trials" in shown.output


@pytest.mark.parametrize("given", ["file:///mlruns", "databricks", "https://user:secret@host", "http://host?x=1", ""])
def test_an_address_is_that_of_a_server_without_a_secret(given: str) -> None:
    with pytest.raises(UserError, match=r"export\.mlflow"):
        a_study(export={"mlflow": given})


def test_where_trials_are_written_does_not_identify_a_study() -> None:
    assert a_study(export={"mlflow": "https://mlflow.example.com"}).fingerprint == a_study().fingerprint
