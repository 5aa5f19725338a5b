"""How the images of steps are named and built, by where study folders are."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.store.stores import layer_of
from kfp_bayesopt_pipeline.building.step_context import read_step_context
from tests import ROOT

VERSION = read_step_context().version


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PIPELINE_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)


def tag(*options: str) -> tuple[str, str]:
    """Return the tag that images get, and the stage of their Dockerfiles."""
    ended = [CliRunner().invoke(cli, ["image-tag", *options, *more]) for more in ([], ["--stage"])]
    assert [each.exit_code for each in ended] == [0, 0], ended[0].output
    return ended[0].output.strip(), ended[1].output.strip()


@pytest.mark.parametrize("root", ["s3://bucket/runs", "minio://mlpipeline/bayesopt", "az://container/runs"])
def test_a_root_beside_googles_is_in_the_tag_and_a_stage_of_its_own(root: str) -> None:
    assert tag("--pipeline-root", root) == (f"{VERSION}-s3", "s3")


def test_a_root_of_google_and_none_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tag() == tag("--pipeline-root", "gs://bucket/runs") == (VERSION, "image")
    monkeypatch.setenv("PIPELINE_ROOT", "gs://bucket/runs")
    assert tag() == (VERSION, "image")


def test_the_root_may_come_from_the_environment_or_the_file_of_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "vertex_config.json").write_text('{"pipeline_root": "s3://bucket/runs", "region": "europe-west1"}')
    assert tag()[1] == "s3"
    assert tag("--pipeline-root", "gs://bucket/runs")[1] == "image"
    (tmp_path / "vertex_config.json").unlink()
    monkeypatch.setenv("PIPELINE_ROOT", "s3://bucket/runs")
    assert tag()[1] == "s3"


def test_a_root_that_is_none_is_refused() -> None:
    ended = CliRunner().invoke(cli, ["image-tag", "--pipeline-root", "ftp://host"])
    assert ended.exit_code == 1
    assert "pipeline_root: expected gs://, s3://, minio:// or az://BUCKET/PREFIX, because " in ended.output


def test_a_path_is_for_the_volume_of_a_cluster() -> None:
    assert tag("--pipeline-root", "/studies") == (VERSION, "image")


def test_every_stage_that_a_root_may_need_is_in_the_dockerfiles() -> None:
    layer = layer_of("s3://bucket")
    assert f"AS {layer}\n" in (ROOT / "images" / "init" / "Dockerfile").read_text()
    assert layer_of("") is layer_of("/studies") is layer_of("gs://bucket") is None
