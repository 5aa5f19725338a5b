"""What the last step hands on to the pipeline that a study is part of."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from images.report.main import main
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import ensure_job, has_ended
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.proposing.recommendation import recommend
from kfp_bayesopt.report.handing_on import as_json
from kfp_bayesopt.report.report import report
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.steps import REPORT
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.output_files import OutputFiles
from kfp_bayesopt.trial.process.sessions import Sessions
from tests.builders import a_batch, a_record, records_of, several, study_text, write_folder

LISTS = {"type": "categorical", "choices": [[64, {"cells": 8}], [1e-05, None, True], "plain"]}
SPACE: dict[str, Any] = {
    "rate": {"type": "real", "low": 0.0, "high": 1.0},
    "units": {"type": "constant", "value": 2**60 + 1},
    "shape": LISTS,
    "extra": {"type": "integer", "low": 1, "high": 9, "when": {"shape": "plain"}},
}
POINTS: list[dict[str, Any]] = [
    {"rate": 0.1, "units": 2**60 + 1, "shape": [64, {"cells": 8}]},
    {"rate": 1 / 3, "units": 2**60 + 1, "shape": [1e-05, None, True]},
    {"rate": 0.7, "units": 2**60 + 1, "shape": "plain", "extra": 4},
]
NAMED: dict[str, Any] = {
    "limits": {"accuracy": ">= 0.9"}, "objective": {"python": "a:b", "value": "loss"},
}  # fmt: skip
ASKED: dict[str, Any] = {"space": SPACE, "optimizer": {"engine": "gp"}, "schedule": "asynchronous", "iterations": None}


@pytest.fixture(params=["disk", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{tmp_path}/out" if request.param == "disk" else f"{request.getfixturevalue('bucket')}/s"


def a_folder(root: str, *values: float | None, metrics: dict[str, float] | None = None, **asked: Any) -> StudyFolder:
    """Return the folder of a study of which the trials have given these values."""
    content = study_text(**{**ASKED, "trials": len(values), **asked})
    study = Study.from_text(content)
    points = [POINTS[number % len(POINTS)] for number in range(len(values))]
    batch = a_batch(study, points)
    records = records_of(study, batch, values)
    kept = [each if each.value is None else _with(each, metrics) for each in records]
    folder = write_folder(root, study, batch, kept)
    folder.write_study(content)
    return folder


def _with(record: Record, metrics: dict[str, float] | None) -> Record:
    return record.model_copy(update={"values": {**record.values, **(metrics or {})}})


def keep(folder: StudyFolder, trial: int, files: dict[str, bytes], tmp_path: Path) -> None:
    """Keep files as those that a trial has written to BAYESOPT_OUTPUT."""
    uri = folder.output_uri(trial, 1)
    own = Path(uri) if storage.is_local(uri) else tmp_path / f"own-{trial}"
    for name, content in files.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_bytes(content)
    OutputFiles(folder, trial, 1, own, Sessions()).keep()


def handed_on(folder: StudyFolder, job: str | None = None) -> Outputs:
    (entry,) = storage.entries(f"{folder.root}/study/")
    return report(folder.root, entry.uri, job)


def test_the_best_trial_is_handed_on_whole(root: str, tmp_path: Path) -> None:
    folder = a_folder(root, 0.5, 0.25, None, metrics={"accuracy": 0.75})
    keep(folder, 1, {"w": b"of 1"}, tmp_path)
    keep(folder, 2, {"w": b"of 2", "a/.b": b""}, tmp_path)
    given = handed_on(folder)
    assert given.values["parameters"] == POINTS[1]
    assert given.values["parameters_json"] == (
        '{"rate": 0.3333333333333333, "units": 1152921504606846977, "shape": [1e-05, null, true]}'
    )
    assert given.values["value"] == 0.25
    assert given.values["metrics"] == {
        "accuracy": 0.75, "best value": 0.25, "trials completed": 2, "trials failed": 1,
    }  # fmt: skip
    assert given.about["model"] == {"study folder": folder.output_uri(2, 1), "trial": 2, "value": 0.25, "files": 2}
    assert given.trees["model"].copy_to(f"{tmp_path}/model") is None
    assert (tmp_path / "model/w").read_bytes() == b"of 2"
    assert (tmp_path / "model/a/.b").read_bytes() == b""
    assert given.files["report"] == f"{root}/report.html"
    assert given.about["trials"] == {"study folder": f"{root}/trials.jsonl", "trials": 3}


def test_the_table_has_a_row_for_each_trial_and_nothing_where_a_parameter_is_not_there(tmp_path: Path) -> None:
    given = handed_on(a_folder(f"{tmp_path}/out", 0.5, None, 0.25))
    rows = list(csv.DictReader(io.StringIO(given.contents["trials"].decode(), newline=""), strict=True))
    assert [(row["trial"], row["state"], row["value"], row["reason"]) for row in rows] == [
        ("1", "completed", "0.5", ""), ("2", "failed", "", "ValueError: no"), ("3", "completed", "0.25", ""),
    ]  # fmt: skip
    assert [row["parameter.extra"] for row in rows] == ["", "", "4"]
    assert [row["parameter.units"] for row in rows] == [str(2**60 + 1)] * 3
    assert json.loads(rows[0]["parameter.shape"]) == POINTS[0]["shape"]
    assert {"seconds", "cost"} <= rows[0].keys()


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (None, "is not there: it wrote no files to BAYESOPT_OUTPUT"),
        (lambda folder: storage.delete(f"{folder.output_uri(2, 1)}/w"), "is not whole: of its 1 files w is missing"),
        (lambda folder: storage.replace(folder.manifest_uri(2, 1), b"{"), "damaged list of files"),
    ],
)
def test_a_model_that_is_not_there_or_not_whole_is_an_empty_folder_that_says_so(
    does: Any, said: str, tmp_path: Path
) -> None:
    folder = a_folder(f"{tmp_path}/out", 0.5, 0.25)
    if does is not None:
        keep(folder, 2, {"w": b"of 2"}, tmp_path)
        does(folder)
    given = handed_on(folder)
    assert given.values["value"] == 0.25
    assert said in str(given.about["model"]["missing"])
    assert given.about["model"]["trial"] == 2
    assert given.trees["model"].copy_to(f"{tmp_path}/model") is None
    assert list((tmp_path / "model").iterdir()) == []


def test_of_a_noisy_study_all_is_of_the_recommended_trial(tmp_path: Path) -> None:
    space = {"x1": SPACE["rate"]}
    content = study_text(space=space, noisy=True, optimizer={"engine": "gp"}, iterations=1, parallel_trials=12)
    study = Study.from_text(content)
    points = [number / 12 for number in range(12)]
    batch = a_batch(study, [{"x1": each} for each in points])
    # The lowest value is a lucky one among bad ones.
    values = [(each - 0.7) ** 2 for each in points]
    values[1] = min(values) - 0.05
    records = records_of(study, batch, values)
    folder = write_folder(tmp_path / "out", study, batch, records)
    folder.write_study(content)
    recommended = recommend(study, records)
    assert recommended is not None
    assert recommended.trial != 2
    keep(folder, recommended.trial, {"w": b"recommended"}, tmp_path)
    keep(folder, 2, {"w": b"lucky"}, tmp_path)
    given = handed_on(folder)
    assert given.values["parameters"] == recommended.parameters
    assert given.values["value"] == recommended.value
    assert given.values["metrics"]["recommended value"] == recommended.value
    assert given.values["metrics"]["best value"] == min(values)
    assert given.about["model"]["trial"] == recommended.trial
    assert [Path(uri).read_bytes() for uri, _ in given.trees["model"].files.values()] == [b"recommended"]


@pytest.mark.parametrize(
    ("values", "asked", "said"),
    [
        ((None, None), {}, "no trial has completed (2 failed); failures.json has the reasons"),
        ((0.5, 0.25), NAMED, "none of the 2 completed trials keeps all limits"),
    ],
)
def test_without_a_trial_that_counts_nothing_is_handed_on_and_the_status_is_1(
    values: tuple[float | None, ...], asked: dict[str, Any], said: str, tmp_path: Path
) -> None:
    folder = a_folder(f"{tmp_path}/out", *values, metrics={"accuracy": 0.5}, **asked)
    with pytest.raises(UserError, match=said.replace("(", r"\(").replace(")", r"\)")):
        handed_on(folder)
    (entry,) = storage.entries(f"{folder.root}/study/")
    ensure_job(folder, "job-1", entry.uri)
    ran = CliRunner().invoke(
        main,
        ["--root", folder.root, "--study", entry.uri, "--job", "job-1", "--outputs", f"{tmp_path}/outputs.json"],
    )  # fmt: skip
    assert ran.exit_code == 1
    assert f"Error: {said}" in ran.stderr
    assert not (tmp_path / "outputs.json").exists()
    assert has_ended(folder.root, "job-1", REPORT.name)


def test_several_objectives_have_a_table_and_no_best_trial(tmp_path: Path) -> None:
    study = several(iterations=1)
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}, {"x1": 2.0, "x2": 2.0}])
    records = [a_record(study, n, values={"accuracy": 0.9, "latency": float(n)}) for n in (1, 2)]
    records = [each.model_copy(update={"parameters": batch[each.trial - 1].parameters}) for each in records]
    folder = write_folder(tmp_path / "out", study, batch, records)
    folder.write_study(study_text(**{**_SEVERAL, "iterations": 1}))
    given = handed_on(folder)
    assert given.contents["trials"].count(b"\r\n") == 3
    assert "parameters" not in given.values
    assert "model" not in given.trees


_SEVERAL = {
    "objective": {"python": "mine:objective"}, "optimizer": {"engine": "gp"},
    "objectives": {"accuracy": "maximize", "latency": "minimize"},
}  # fmt: skip


@pytest.mark.parametrize("text", ["{{workflow.name}}", "{{{{", "{{{", "\\{{", 'a"{{', "\U0001f600", "\u2028", "\n"])
def test_parameters_as_json_are_ascii_and_no_template_and_mean_the_same(text: str) -> None:
    parameters: Parameters = {"a": text, "b": {text: [text, {}]}, "c": {"d": {"e": {}}}}
    written = as_json(parameters)
    assert json.loads(written) == parameters
    assert written.isascii()
    assert "{{" not in written


def test_parameters_as_json_keep_each_digit() -> None:
    parameters: Parameters = {"a": 0.1 + 0.2, "b": 10**249, "c": 1e-05, "d": 5e-324, "e": 6, "f": 6.0, "g": -0.0}
    assert as_json(parameters) == (
        f'{{"a": 0.30000000000000004, "b": {10**249}, "c": 1e-05, "d": 5e-324, "e": 6, "f": 6.0, "g": -0.0}}'
    )
