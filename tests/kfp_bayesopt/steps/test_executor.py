"""What the executor shows KFP of the results of a step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.folder.publish import publish
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.steps import ARTIFACTS, EVALUATE, INIT, REPORT, STEPS, UPDATE, WORKER, Step, executor
from kfp_bayesopt.steps.executor import executor_output, in_full, main, options_of, step_of, write_output
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.steps.tuning import tuned
from kfp_bayesopt.store import storage
from tests.builders import a_record, a_study

STUDY = a_study()
RESULTS = [UPDATE.name, REPORT.name]
"""The steps that show results of the study folder."""


def _results(root: str, *records: Record) -> str:
    """Write what a study folder has of these records, and return it."""
    publish(StudyFolder(root, STUDY), records)
    return root


def _input(step: Step, folder: Path | str, *others: str) -> dict[str, Any]:
    """Return an executor input as the engines of KFP make it; others are parameters that are not ours."""
    artifacts = [port.name for port in step.writes if port.kind in ARTIFACTS]
    parameters = [*(port.name for port in step.writes if port.kind not in ARTIFACTS), *others]
    return {
        "inputs": {"parameterValues": {"root": "ignored", "job": "ignored"}},
        "outputs": {
            "artifacts": {
                name: {"artifacts": [{"name": name, "uri": f"{folder}/{name}", "type": {}, "metadata": {}}]}
                for name in artifacts
            },
            "parameters": {name: {"outputFile": f"{folder}/parameters/{name}"} for name in parameters},
            "outputFile": f"{folder}/executor_output.json",
        },
    }


def _read(uri: str) -> bytes:
    return storage.read(uri, limit=100_000)


def _show(step: Step, root: str, kfp: Path | str) -> dict[str, Any]:
    return executor_output(_input(step, kfp), step.writes, Outputs.of_results(step, root))


@pytest.mark.parametrize("step", RESULTS)
def test_every_output_of_a_step_reaches_kfp(step: str, tmp_path: Path) -> None:
    root = _results(str(tmp_path / "root"), a_record(STUDY, 1, 0.25))
    shown = _show(STEPS[step], root, tmp_path / "kfp")
    assert [*shown["artifacts"], *shown["parameterValues"]] == [port.name for port in STEPS[step].writes]


@pytest.mark.parametrize("step", RESULTS)
def test_every_file_that_a_step_shows_is_one_of_the_study_folder(step: str, tmp_path: Path) -> None:
    """KFP shows what lies where it wanted it; the metadata name the file of the study folder."""
    root = _results(str(tmp_path / "root"), a_record(STUDY, 1, 0.25), a_record(STUDY, 2, None))
    shown = _show(STEPS[step], root, tmp_path / "kfp")["artifacts"]
    files = [port for port in STEPS[step].writes if port.kind in ("file", "markdown") and port.file]
    assert files
    for port in files:
        assert shown[port.name] == {
            "artifacts": [
                {
                    "name": port.name,
                    "uri": f"{tmp_path}/kfp/{port.name}",
                    "metadata": {"study folder": f"{root}/{port.file}"},
                }
            ]
        }
        assert _read(f"{tmp_path}/kfp/{port.name}") == _read(f"{root}/{port.file}")


def test_the_results_are_copied_from_bucket_to_bucket(bucket: str) -> None:
    root = _results(f"{bucket}/root", a_record(STUDY, 1, 0.25))
    _show(UPDATE, root, f"{bucket}/run")
    assert _read(f"{bucket}/run/best") == _read(f"{root}/best.json")


@pytest.mark.parametrize("scheme", executor.VIEWS)
def test_results_are_written_where_the_launcher_of_a_cluster_takes_them(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store of the cluster is none that we were told of, such as the default minio://mlpipeline/v2/artifacts."""
    assert executor.VIEWS == {"gs": "/gcs", "s3": "/s3", "minio": "/minio"}
    monkeypatch.setitem(executor.VIEWS, scheme, str(tmp_path / "view"))
    (tmp_path / "view/mlpipeline/v2/artifacts/run").mkdir(parents=True)
    root = _results(str(tmp_path / "root"), a_record(STUDY, 1, 0.25))
    shown = _show(UPDATE, root, f"{scheme}://mlpipeline/v2/artifacts/run")
    assert _read(f"{tmp_path}/view/mlpipeline/v2/artifacts/run/best") == _read(f"{root}/best.json")
    assert shown["artifacts"]["best"]["artifacts"][0]["uri"] == f"{scheme}://mlpipeline/v2/artifacts/run/best"


@pytest.mark.parametrize("is_there", [True, False])
def test_results_go_to_the_bucket_where_no_local_folder_takes_them(
    is_there: bool, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = bucket.removeprefix("gs://")
    monkeypatch.setitem(executor.VIEWS, "gs", str(tmp_path / "view"))
    if is_there:
        (tmp_path / "view" / name / "run").mkdir(parents=True)
        _only_the_storage_client_may_write(monkeypatch)
    root = _results(f"{bucket}/root", a_record(STUDY, 1, 0.25))
    _show(UPDATE, root, f"{bucket}/run")
    assert _read(f"{bucket}/run/best") == _read(f"{root}/best.json")


def test_an_output_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    root = _results(str(tmp_path / "root"), a_record(STUDY, 1, 0.25))
    order = _input(UPDATE, tmp_path / "kfp", "gcp_resources")
    order["outputs"]["artifacts"]["executor-logs"] = {"artifacts": [{"name": "executor-logs", "uri": "gs://b/logs"}]}
    shown = executor_output(order, UPDATE.writes, Outputs.of_results(UPDATE, root))
    assert shown["parameterValues"] == {}
    assert "executor-logs" not in shown["artifacts"]


def test_the_best_trial_becomes_parameters_and_metrics(tmp_path: Path) -> None:
    root = _results(str(tmp_path / "root"), a_record(STUDY, 1, 0.25), a_record(STUDY, 2, None))
    shown = _show(REPORT, root, tmp_path / "kfp")
    assert shown["parameterValues"] == {"best_value": "0.25", "best_parameters": {"x1": 1.0, "x2": 2.0}}
    assert shown["artifacts"]["metrics"]["artifacts"] == [
        {
            "name": "metrics",
            "uri": f"{tmp_path}/kfp/metrics",
            "metadata": {"best value": 0.25, "trials completed": 1, "trials failed": 1},
        }
    ]


def test_a_study_without_a_completed_trial_has_a_best_value_none_and_no_such_metric(tmp_path: Path) -> None:
    root = _results(str(tmp_path / "root"), a_record(STUDY, 1, None))
    shown = _show(REPORT, root, tmp_path / "kfp")
    assert shown["parameterValues"] == {"best_value": "none", "best_parameters": {}}
    metrics = shown["artifacts"]["metrics"]["artifacts"][0]["metadata"]
    assert metrics == {"trials completed": 0, "trials failed": 1}


@pytest.mark.parametrize("step", RESULTS)
def test_a_step_that_found_nothing_to_do_in_an_empty_folder_still_has_all_its_outputs(
    step: str, tmp_path: Path
) -> None:
    """KFP fails a task of which a parameter is missing; a file that is missing it takes."""
    shown = _show(STEPS[step], str(tmp_path / "root"), tmp_path / "kfp")
    assert [*shown["artifacts"], *shown["parameterValues"]] == [port.name for port in STEPS[step].writes]
    assert not (tmp_path / "kfp").exists()


def _program(folder: Path, step: Step, does: str) -> str:
    """Write a program of the name of a step, and return its path."""
    path = folder / step.name
    path.write_text(f"#!{sys.executable}\nimport sys\n{does}\n")
    path.chmod(0o755)
    return str(path)


def test_the_outputs_of_a_program_that_succeeds_are_written(tmp_path: Path) -> None:
    (tmp_path / "best.json").write_text("{}")
    given = {"values": {"metrics": {"n": 1}}, "files": {"best": f"{tmp_path}/best.json"}, "about": {"best": {"k": "v"}}}
    write = f"open(sys.argv[-1], 'w').write({json.dumps(given)!r})"
    program = _program(
        tmp_path, UPDATE, f"assert sys.argv[1:-1] == ['--after', '1', '--outputs']\n{write}"
    )  # fmt: skip
    order = _input(UPDATE, tmp_path / "kfp")
    assert main([json.dumps(order), program, "--after", "1"]) == 0
    shown = json.loads((tmp_path / "kfp/executor_output.json").read_text())["artifacts"]
    assert shown["metrics"]["artifacts"][0]["metadata"] == {"n": 1}
    assert shown["best"]["artifacts"][0]["metadata"] == {"k": "v"}
    assert (tmp_path / "kfp/best").read_text() == "{}"


@pytest.mark.parametrize("step", STEPS.values(), ids=lambda step: step.name)
def test_a_program_that_writes_nothing_leaves_no_output_out(step: Step, tmp_path: Path) -> None:
    assert main([json.dumps(_input(step, tmp_path / "kfp")), _program(tmp_path, step, "")]) == 0
    shown = json.loads((tmp_path / "kfp/executor_output.json").read_text())
    assert {*shown["artifacts"], *shown["parameterValues"]} == {port.name for port in step.writes}
    assert None not in shown["parameterValues"].values()


def test_a_component_may_be_newer_than_the_image_as_long_as_nothing_new_is_asked_for(tmp_path: Path) -> None:
    order = json.dumps(_input(UPDATE, tmp_path / "kfp"))
    program = _program(tmp_path, UPDATE, "sys.exit(2 if '--new' in sys.argv else 0)")
    assert main([order, program, "--after", "1", "--job", "", "--new", ""]) == 0
    assert main([order, program, "--after", "1", "--new", "asked for"]) == 2
    assert executor.understood(["--job", "", "--new", ""], UPDATE) == ["--job", ""]


def test_what_is_written_as_outputs_is_what_is_read(tmp_path: Path) -> None:
    given = Outputs(values={"a": 1}, files={"b": "gs://b/c"}, contents={"d": b"e"}, about={"b": {"f": "g"}})
    given.write(str(tmp_path / "outputs.json"))
    files = {"b": "gs://b/c", "d": str(tmp_path / "d")}
    assert Outputs.read(tmp_path / "outputs.json") == Outputs(values={"a": 1}, files=files, about={"b": {"f": "g"}})
    assert (tmp_path / "d").read_bytes() == b"e"


def _artifact(uri: str, **metadata: str) -> dict[str, Any]:
    return {"artifacts": [{"name": "7", "uri": uri, "metadata": metadata}]}


def test_the_study_folder_as_it_was_opened_becomes_the_options_of_a_step() -> None:
    opened = _artifact(
        "minio://b/run/opened", root="gs://b/s", study="gs://b/s/study/1.yaml", job="j", display_name="x"
    )
    order = {"inputs": {"artifacts": {"opened": opened}}, "outputs": {}}
    step = step_of(WORKER.program, order)
    assert step == tuned(WORKER)
    assert list(options_of(order, step)) == ["--root", "gs://b/s", "--study", "gs://b/s/study/1.yaml", "--job", "j"]


def test_data_of_an_earlier_step_is_given_as_the_path_where_the_launcher_has_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(executor.VIEWS, "minio", str(tmp_path))
    (tmp_path / "b").mkdir()
    (tmp_path / "b/here").touch()
    step = tuned(INIT, data=True)
    for uri, path in {
        "minio://b/here": f"{tmp_path}/b/here", "minio://b/gone": "minio://b/gone", "/local/path": "/local/path",
    }.items():  # fmt: skip
        order = {"inputs": {"artifacts": {"data": _artifact(uri)}}, "outputs": {"artifacts": {"opened": {}}}}
        assert step_of(INIT.program, order) == step
        assert list(options_of(order, step)) == ["--data", path, "--data-uri", uri]


def test_an_edge_is_no_option() -> None:
    order = {"inputs": {"artifacts": {"batch": _artifact("gs://b/1")}, "parameterValues": {"trial": 1}}, "outputs": {}}
    assert list(options_of(order, step_of(EVALUATE.program, order))) == []


def test_a_program_that_fails_keeps_its_status_and_shows_nothing(tmp_path: Path) -> None:
    """KFP would not look at it either."""
    root = _results(str(tmp_path / "root"), a_record(STUDY, 1, 0.25))
    program = _program(tmp_path, REPORT, "sys.exit(3)")
    assert main([json.dumps(_input(REPORT, tmp_path / "kfp")), program, "--root", root]) == 3
    assert not (tmp_path / "kfp").exists()


def test_storage_that_refuses_is_one_message_and_status_1(
    tmp_path: Path, answering: Callable[[Callable[[BaseHTTPRequestHandler], None]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def refuse(request: BaseHTTPRequestHandler) -> None:
        request.send_response(403)
        request.send_header("Content-Length", "0")
        request.end_headers()

    answering(refuse)
    given = json.dumps({"files": {"best": "gs://bucket/root/best.json"}})
    program = _program(tmp_path, UPDATE, f"open(sys.argv[-1], 'w').write({given!r})")
    assert main([json.dumps(_input(UPDATE, tmp_path)), program]) == 1
    message = capsys.readouterr().err
    assert message.startswith("Error: gs://bucket/root/best.json: ")
    assert message.count("\n") == 1


def test_the_output_below_gcs_goes_through_the_storage_client_where_the_file_cannot_be_written(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only_the_storage_client_may_write(monkeypatch)
    write_output("/gcs/bucket/run/update/output_metadata.json", b"{}")
    assert _read(f"{bucket}/run/update/output_metadata.json") == b"{}"


def test_the_output_below_gcs_is_a_file_where_that_can_be_written(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher of a KFP cluster reads the file and not the bucket."""
    written: dict[str, bytes] = {}
    monkeypatch.setattr(storage, "replace", written.__setitem__)
    write_output("/gcs/bucket/run/init/output_metadata.json", b"{}")
    assert written == {"/gcs/bucket/run/init/output_metadata.json": b"{}"}
    with pytest.raises(NotFoundError):
        _read(f"{bucket}/run/init/output_metadata.json")


def test_an_output_that_can_be_written_nowhere_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _only_the_storage_client_may_write(monkeypatch)
    with pytest.raises(UserError, match="permission denied"):
        write_output("/tmp/kfp_outputs/output_metadata.json", b"{}")


def _only_the_storage_client_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    replace = storage.replace

    def refuse(uri: str, content: bytes) -> None:
        if storage.is_local(uri):
            raise UserError(f"{uri}: permission denied")
        replace(uri, content)

    monkeypatch.setattr(storage, "replace", refuse)


@pytest.mark.parametrize(
    ("name", "job"),
    [
        (
            "projects/1/locations/us-east1/metadataStores/default/artifacts/7",
            "projects/1/locations/us-east1/pipelineJobs/mine",
        ),
        ("best", "mine"),  # of KFP's engine here, and of a cluster
        ("", "mine"),
    ],
)
def test_what_vertex_calls_a_run_has_the_project_and_region_of_its_artifacts(
    name: str, job: str, tmp_path: Path
) -> None:
    given = _input(REPORT, tmp_path)
    for each in given["outputs"]["artifacts"].values():
        each["artifacts"][0]["name"] = name
    options = ["--root", "gs://b/x", "--pipeline-job", "mine"]
    assert in_full(options, given, REPORT) == [*options[:-1], job]
    assert in_full(["--root", "mine"], given, INIT) == ["--root", "mine"]
