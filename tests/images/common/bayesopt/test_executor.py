"""What the executor tells KFP about the outputs of a step."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bayesopt import storage
from bayesopt.errors import NotFoundError, UserError
from bayesopt.executor import executor_output, main, write_output
from bayesopt.steps import STEPS
from bayesopt.trials import Best, write_best
from tests.builders import a_record, a_study


def _input(folder: Path | str, *artifacts: str, parameters: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return an executor input as the engines of KFP make it."""
    return {
        "inputs": {"parameterValues": {"study": f"{folder}/study.yaml"}},
        "outputs": {
            "artifacts": {
                name: {"artifacts": [{"name": name, "uri": f"{folder}/{name}", "type": {}, "metadata": {}}]}
                for name in artifacts
            },
            "parameters": {name: {"outputFile": f"{folder}/parameters/{name}"} for name in parameters},
            "outputFile": f"{folder}/executor_output.json",
        },
    }


@pytest.mark.parametrize("step", STEPS)
def test_every_output_of_a_step_reaches_kfp(step: str, tmp_path: Path) -> None:
    write_best(str(tmp_path / "best"), Best.of(a_study(), []))
    files = [port.name for port in STEPS[step].writes if port.kind in ("file", "metrics")]
    values = [port.name for port in STEPS[step].writes if port.name not in files]
    told = executor_output(_input(tmp_path, *files, parameters=tuple(values)))
    assert list(told["artifacts"]) == files
    assert list(told["parameterValues"]) == values


def test_an_output_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    """A trial as a custom job has one that its launcher writes."""
    told = executor_output(_input(tmp_path, "record", parameters=("record_uri", "gcp_resources")))
    assert told["parameterValues"] == {"record_uri": f"{tmp_path}/record"}


def test_every_artifact_is_named_with_its_uri_and_parameters_repeat_it(tmp_path: Path) -> None:
    told = executor_output(_input(tmp_path, "record", parameters=("record_uri",)))
    assert told == {
        "artifacts": {"record": {"artifacts": [{"name": "record", "uri": f"{tmp_path}/record"}]}},
        "parameterValues": {"record_uri": f"{tmp_path}/record"},
    }


def test_the_best_trial_becomes_parameters_and_metrics(tmp_path: Path) -> None:
    study = a_study()
    write_best(str(tmp_path / "best"), Best.of(study, [a_record(study, 1, 0.25), a_record(study, 2, None)]))
    told = executor_output(_input(tmp_path, "best", "metrics", parameters=("best_value", "best_parameters")))
    assert told["parameterValues"] == {"best_value": "0.25", "best_parameters": {"x1": 1.0, "x2": 2.0}}
    assert told["artifacts"]["metrics"]["artifacts"][0]["metadata"] == {
        "best value": 0.25,
        "trials completed": 1,
        "trials failed": 1,
    }


def test_the_metrics_are_a_file_too(tmp_path: Path) -> None:
    """Else `kfp.local` would never take an update from its cache."""
    study = a_study()
    write_best(str(tmp_path / "best"), Best.of(study, [a_record(study, 1, 0.25)]))
    told = executor_output(_input(tmp_path, "best", "metrics"))
    assert json.loads((tmp_path / "metrics").read_text()) == told["artifacts"]["metrics"]["artifacts"][0]["metadata"]


def test_without_a_completed_trial_there_is_no_best_value(tmp_path: Path) -> None:
    study = a_study()
    write_best(str(tmp_path / "best"), Best.of(study, [a_record(study, 1, None)]))
    told = executor_output(_input(tmp_path, "best", "metrics", parameters=("best_value", "best_parameters")))
    assert told["parameterValues"] == {"best_value": "none", "best_parameters": {}}
    assert told["artifacts"]["metrics"]["artifacts"][0]["metadata"] == {"trials completed": 0, "trials failed": 1}


def test_the_outputs_of_a_program_that_succeeds_are_written(tmp_path: Path) -> None:
    order = _input(tmp_path, "record", parameters=("record_uri",))
    assert main([json.dumps(order), sys.executable, "-c", "pass"]) == 0
    assert json.loads((tmp_path / "executor_output.json").read_text()) == executor_output(order)


def test_a_program_that_fails_keeps_its_status_and_has_no_outputs(tmp_path: Path) -> None:
    assert main([json.dumps(_input(tmp_path, "record")), sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert not (tmp_path / "executor_output.json").exists()


def test_the_output_below_gcs_goes_through_the_storage_client_where_the_file_cannot_be_written(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only_the_storage_client_may_write(monkeypatch)
    write_output("/gcs/bucket/run/update/output_metadata.json", b"{}")
    assert storage.read(f"{bucket}/run/update/output_metadata.json") == b"{}"


def test_the_output_below_gcs_is_a_file_where_that_can_be_written(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher of a KFP cluster reads the file and not the bucket."""
    written: dict[str, bytes] = {}
    monkeypatch.setattr(storage, "write", written.__setitem__)
    write_output("/gcs/bucket/run/init/output_metadata.json", b"{}")
    assert written == {"/gcs/bucket/run/init/output_metadata.json": b"{}"}
    with pytest.raises(NotFoundError):
        storage.read(f"{bucket}/run/init/output_metadata.json")


def test_an_output_that_can_be_written_nowhere_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _only_the_storage_client_may_write(monkeypatch)
    with pytest.raises(UserError, match="permission denied"):
        write_output("/tmp/kfp_outputs/output_metadata.json", b"{}")


def _only_the_storage_client_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    write = storage.write

    def refuse(uri: str, content: bytes) -> None:
        if storage.is_local(uri):
            raise UserError(f"{uri}: permission denied")
        write(uri, content)

    monkeypatch.setattr(storage, "write", refuse)
