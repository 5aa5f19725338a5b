"""What is sent to Cloud Build for the image of a study: good by Google's own type, and nothing that stays out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.cloud.devtools.cloudbuild_v1 import Build

from kfp_bayesopt_pipeline.building.cloud import CONFIG, CloudImage, stage
from kfp_bayesopt_pipeline.building.context import read_context
from tests.builders import a_study

WANTED = CloudImage("r.example/p/studies", f"r.example/p/bayesopt/evaluate@sha256:{'0' * 64}", "python:3.13-slim")


@pytest.mark.parametrize("own", [False, True], ids=["requirements", "own Dockerfile"])
def test_the_folder_that_is_sent_builds_the_image(tmp_path: Path, own: bool) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "study.yaml").touch()
    (folder / ".env").write_text("SECRET=1\n")
    (folder / "requirements.txt").write_text("numpy\n")
    if own:
        (folder / "Dockerfile").write_text("FROM debian\n")
    image = stage(a_study(), read_context(folder), WANTED, tmp_path / "sent")
    assert image.startswith("r.example/p/studies/study-branin:")
    sent = {path.relative_to(tmp_path / "sent").as_posix() for path in (tmp_path / "sent").rglob("*") if path.is_file()}
    assert {name for name in sent if not name.startswith(".bayesopt/")} == {"study.yaml", "requirements.txt"}
    build = json.loads((tmp_path / "sent" / CONFIG).read_text())
    Build.from_json(json.dumps(build))
    tags = [argument for step in build["steps"] for argument in step["args"] if argument.startswith("--tag=")]
    assert tags == ([f"--tag={image}-base", f"--tag={image}"] if own else [f"--tag={image}"])
    files = [step["args"][1].removeprefix("--file=") for step in build["steps"][:-1]]
    last = (tmp_path / "sent" / files[-1]).read_text()
    assert last.startswith(f"FROM {image}-base\n" if own else "FROM python:3.13-slim\n")
    assert f"COPY --from={WANTED.runtime_image} /opt/bayesopt /opt/bayesopt\n" in last
    assert build["steps"][-1]["args"] == ["push", image]
    (folder / "study.yaml").write_text("changed")
    assert stage(a_study(), read_context(folder), WANTED, tmp_path / "sent") != image
