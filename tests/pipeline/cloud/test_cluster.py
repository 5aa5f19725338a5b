"""`submit --target kfp` with the real client library against a stand-in for a KFP cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cloud.commands import submit
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


def test_a_run_is_made_and_followed_to_its_end(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    ended = _submit(
        cluster, images, "--pipeline-root", f"{bucket}/root", "--experiment-name", "tuning", "--token", "secret",
        "--run-name", "first", "--wait",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    (run,) = cluster.runs
    assert run["display_name"] == "first"
    assert run["runtime_config"]["pipeline_root"] == f"{bucket}/root"
    assert run["runtime_config"]["parameters"]["study_uri"].startswith(f"{bucket}/root/studies/")
    assert cluster.experiments == ["tuning"]
    assert "Bearer secret" in cluster.tokens
    assert f"run run-1\n{cluster.host}/#/runs/details/run-1\n" in ended.output
    assert ended.output.endswith("branin: PENDING\nbranin: RUNNING\nbranin: SUCCEEDED\n")


def test_a_run_that_fails_is_an_error(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    cluster.states = ["FAILED"]
    ended = _submit(cluster, images, "--pipeline-root", bucket, "--wait")
    assert ended.exit_code == 1
    assert "Error: run run-1: FAILED; the page of the run says why\n" in ended.output


def test_a_refused_token_is_said(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    cluster.refusal = 401
    ended = _submit(cluster, images, "--pipeline-root", bucket)
    assert ended.exit_code == 1
    assert f"Error: {cluster.host}: the token must be accepted, but got 401 Unauthorized; give --token" in ended.output


def test_a_cluster_that_does_not_answer_is_said(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    cluster.stop()
    ended = _submit(cluster, images, "--pipeline-root", bucket)
    assert ended.exit_code == 1
    assert ended.output == (
        f"Error: nothing was submitted:\n  {cluster.host} must answer, but: [Errno 111] Connection refused; "
        "check the network, the proxy and the region or host\n"
    )
    assert "Traceback" not in ended.output


@pytest.mark.parametrize("root", ["minio://bucket/root", "s3://bucket/root", "pipelines/root"])
def test_a_pipeline_root_that_the_storage_does_not_speak_is_refused_first(
    cluster: KfpStandIn, images: Path, root: str
) -> None:
    ended = _submit(cluster, images, "--pipeline-root", root)
    assert ended.exit_code == 1
    assert (
        f"pipeline_root must be gs://BUCKET/PREFIX, because the steps read and write gs:// paths, but got '{root}'"
        in (ended.output)
    )
    assert cluster.runs == []


def test_spot_machines_are_of_vertex(cluster: KfpStandIn, images: Path, bucket: str, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(
        Path("studies/branin.yaml").read_text() + "steps: {evaluate: {machine_type: n1-standard-4, spot: true}}\n"
    )
    ended = _submit(cluster, images, "--pipeline-root", bucket, study=str(study))
    assert ended.exit_code == 1
    assert "steps.evaluate.machine_type and spot are of Vertex, but the target is a KFP cluster" in ended.output
