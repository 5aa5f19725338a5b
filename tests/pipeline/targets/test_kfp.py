"""`submit --target kfp` with the real client library against a stand-in for a KFP cluster."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click import Command
from click.testing import CliRunner, Result

from bayesopt import storage
from bayesopt.trials import Best
from pipeline.commands import cancel, results, status, submit
from tests.builders import a_record, a_study
from tests.kfp_stand_in import KfpStandIn

pytestmark = [
    pytest.mark.usefixtures("_root"),
    pytest.mark.filterwarnings("ignore"),  # of the client libraries, in their own code
]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpStandIn]:
    # The client keeps settings of its own in the home folder.
    monkeypatch.setenv("HOME", str(tmp_path))
    stand_in = KfpStandIn()
    yield stand_in
    stand_in.stop()


def _submit(cluster: KfpStandIn, images: Path, *arguments: str, study: str = "studies/branin.yaml") -> Result:
    where = ["--target", "kfp", "--host", cluster.host, "--images", str(images), "--every", "0.01"]
    return CliRunner().invoke(submit, [study, *where, *arguments])


def _task(name: str, state: str = "SUCCEEDED") -> dict[str, Any]:
    return {"run_id": "run-1", "task_id": name, "display_name": name, "state": state}


def _finish(cluster: KfpStandIn, root: str) -> None:
    """Let a run have tasks and outputs, where a cluster puts them."""
    loop = [_task(name) for name in ("root", "for-loop-2", "evaluate", "evaluate", "evaluate-2", "evaluate-2")]
    cluster.tasks = [_task("init"), *loop, _task("update"), _task("update-2")]
    for number, task in enumerate(("update", "update-2"), 1):
        best = Best.of(a_study(), [a_record(a_study(), value=0.5 / number, parameters={"x1": 1.5})])
        for output, content in (("best", best.model_dump_json()), ("next_ledger", "{}\n"), ("next_optimizer", "-")):
            storage.write(f"{root}/branin/run-1/{task}/5f2a/{output}", content.encode())


def test_a_run_is_made_and_followed_to_its_end(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    _finish(cluster, f"{bucket}/runs")
    ended = _submit(
        cluster, images, "--pipeline-root", f"{bucket}/runs", "--experiment-name", "tuning", "--token", "secret",
        "--run-name", "first", "--wait",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    (run,) = cluster.runs
    assert run["display_name"] == "first"
    assert run["runtime_config"]["pipeline_root"] == f"{bucket}/runs"
    assert run["runtime_config"]["parameters"]["study_uri"].startswith(f"{bucket}/runs/studies/")
    assert cluster.experiments == ["tuning"]
    assert "Bearer secret" in cluster.tokens
    assert ended.output.startswith(f"job run-1\n{cluster.host}/#/runs/details/run-1\n")
    told = [line.partition("  ")[2] for line in ended.output.splitlines() if re.match(r"\d\d:\d\d:\d\d  ", line)]
    assert told == [
        "init: SUCCEEDED", "iteration 1: evaluate: 2 SUCCEEDED", "iteration 2: evaluate: 2 SUCCEEDED",
        "iteration 1: update: SUCCEEDED", "iteration 2: update: SUCCEEDED",
        "run-1: PENDING", "run-1: RUNNING", "run-1: SUCCEEDED",
    ]  # fmt: skip
    assert ended.output.endswith(
        "\nbest value 0.25\n  x1 = 1.5\nin trial 1, iteration 1; 1 completed, 0 failed\nresults in out/run-1\n"
    )


def test_a_run_that_fails_is_an_error(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    cluster.states = ["FAILED"]
    ended = _submit(cluster, images, "--pipeline-root", bucket, "--wait")
    assert ended.exit_code == 1
    assert ended.output.endswith(
        "Error: job run-1: FAILED: The pod of a task was killed.; `make results TARGET=kfp JOB=run-1` fetches what is "
        "there\n"
    )


def _ask(command: Command, cluster: KfpStandIn, *arguments: str) -> Result:
    where = ["--target", "kfp", "--host", cluster.host]
    return CliRunner().invoke(command, [*where, *arguments])


def test_a_run_can_be_looked_at_and_stopped(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    cluster.states = ["RUNNING"]
    cluster.tasks = [_task("init"), _task("evaluate"), _task("evaluate", "RUNNING")]
    assert _submit(cluster, images, "--pipeline-root", bucket).exit_code == 0
    shown = _ask(status, cluster, "run-1")
    assert shown.output == "init: SUCCEEDED\niteration 1: evaluate: 1 RUNNING, 1 SUCCEEDED\nrun-1: RUNNING\n"
    stopped = _ask(cancel, cluster, "run-1")
    assert stopped.exit_code == 0, stopped.output
    assert _ask(status, cluster, "run-1").output.endswith("run-1: CANCELED\n")


def test_the_results_are_those_of_the_last_whole_iteration(
    cluster: KfpStandIn, images: Path, bucket: str, tmp_path: Path
) -> None:
    root = f"{bucket}/runs"
    _finish(cluster, root)
    storage.write(f"{root}/branin/run-1/update-3/77aa/best", b"{}")  # the update was killed before it wrote the rest
    assert _submit(cluster, images, "--pipeline-root", root).exit_code == 0
    fetched = _ask(results, cluster, "run-1", "--out", str(tmp_path / "out"))
    assert fetched.exit_code == 0, fetched.output
    assert json.loads((tmp_path / "out" / "best.json").read_text())["value"] == 0.25
    assert (tmp_path / "out" / "trials.jsonl").read_text() == "{}\n"


def test_results_of_a_run_without_an_iteration_say_so(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    assert _submit(cluster, images, "--pipeline-root", f"{bucket}/nothing").exit_code == 0
    ended = CliRunner().invoke(results, ["run-1", "--target", "kfp", "--host", cluster.host])
    assert ended.exit_code == 1
    assert ended.output == (
        f"Error: job run-1: no results under {bucket}/nothing/branin/run-1: no iteration has ended, or all of them "
        "came from the cache; `make status TARGET=kfp JOB=run-1`\n"
    )


@pytest.mark.usefixtures("bucket")
def test_a_run_that_is_not_there_is_said(cluster: KfpStandIn) -> None:
    ended = _ask(status, cluster, "nothing")
    assert ended.exit_code == 1
    assert ended.output == "Error: job nothing: the cluster has no such job; check the id and the host\n"


def test_a_refused_token_is_said(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    cluster.refusal = 401
    ended = _submit(cluster, images, "--pipeline-root", bucket)
    assert ended.exit_code == 1
    assert ended.output == (
        f"Error: {cluster.host}: the cluster refused the token (401 Unauthorized); set KFP_TOKEN to a new one\n"
    )


def test_a_cluster_that_does_not_answer_is_said(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    cluster.stop()
    ended = _submit(cluster, images, "--pipeline-root", bucket)
    assert ended.exit_code == 1
    assert ended.output == (
        f"Error: nothing was submitted:\n  cannot reach {cluster.host}: [Errno 111] Connection refused; "
        "check the network, the proxy (HTTPS_PROXY), and the region or host\n"
    )
    assert "Traceback" not in ended.output


@pytest.mark.parametrize("root", ["minio://bucket/root", "s3://bucket/root", "pipelines/root"])
def test_a_pipeline_root_that_the_storage_does_not_speak_is_refused_first(
    cluster: KfpStandIn, images: Path, root: str
) -> None:
    ended = _submit(cluster, images, "--pipeline-root", root)
    assert ended.exit_code == 1
    assert (
        f"pipeline_root: expected gs://BUCKET/PREFIX, because the steps read and write gs:// paths, but got '{root}'"
        in ended.output
    )
    assert cluster.runs == []


def test_spot_machines_are_of_vertex(cluster: KfpStandIn, images: Path, bucket: str, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(
        Path("studies/branin.yaml").read_text() + "steps: {evaluate: {machine_type: n1-standard-4, spot: true}}\n"
    )
    ended = _submit(cluster, images, "--pipeline-root", bucket, study=str(study))
    assert ended.exit_code == 1
    assert "  steps.evaluate: machine_type and spot work on Vertex only; give cpu and memory instead\n" in ended.output
