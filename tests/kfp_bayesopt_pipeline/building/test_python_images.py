"""The images for functions of a minor version of Python: which are asked for, what is in them, and who finds them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.building.build import has_code
from kfp_bayesopt_pipeline.building.dockerfile import of_python
from kfp_bayesopt_pipeline.building.python_images import PythonImages, check_python
from kfp_bayesopt_pipeline.images import load_images_of, trial_image
from kfp_bayesopt_pipeline.preflight import function as preflight
from kfp_bayesopt_pipeline.preflight.function import check_objective
from tests.builders import BRANIN_SPACE
from tests.kfp_bayesopt_pipeline.shapes import IMAGES
from tests.registry import DIGEST

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study file with a function, in a folder with requirements of something else."""
    script: dict[str, Any] = {"__name__": "__main__"}
    exec("def train(x1, x2): return x1", script)
    (tmp_path / "requirements.txt").write_text("numpy\n")
    made = Study(name="cell", objective=script["train"], space=BRANIN_SPACE, trials=2, parallel_trials=2)
    made.save(tmp_path / "study.yaml")
    return Study.from_file(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("3", "python: expected a minor version, such as 3.11, but got '3'"),
        ("3.11.7", "python: expected a minor version, such as 3.11, but got '3.11.7'"),
        ("2.7", "python: expected a minor version, such as 3.11, but got '2.7'"),
        ("3.8", "python: functions travel to Python 3.9 and later, but got 3.8"),
    ],
)
def test_what_is_no_minor_version_is_refused_before_anything_is_built(version: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        check_python(version)
    assert refused.value.message == message
    ended = CliRunner().invoke(cli, ["build", "--python", version])
    assert ended.exit_code == 1
    assert message in ended.output
    assert "building" not in ended.output


@pytest.mark.parametrize("others", [["--only", "worker"], ["--python", "3.12", "--python-image", "mine:1"]])
def test_options_that_exclude_each_other_are_refused(others: list[str]) -> None:
    ended = CliRunner().invoke(cli, ["build", "--python", "3.11", *others])
    assert ended.exit_code == 1
    assert "building" not in ended.output


def test_an_image_has_its_python_the_runtime_and_nobodys_code() -> None:
    recipe = of_python("python:3.11-slim-trixie", "3.11", "registry/worker:1")
    words = [line.split()[0] for line in recipe.splitlines()]
    assert words == ["FROM", "RUN", "WORKDIR", "RUN", "COPY", "USER"]
    assert "COPY --from=registry/worker:1 /opt/bayesopt /opt/bayesopt\n" in recipe


def test_each_version_has_an_image_beside_those_of_the_steps() -> None:
    images = PythonImages(["3.11", "3.12"], "host/mine", "1", "linux/amd64")
    assert images.names == {"3.11": "host/mine/python-3.11:1", "3.12": "host/mine/python-3.12:1"}


def test_a_study_file_with_a_function_runs_in_the_image_of_its_python(study: Study, tmp_path: Path) -> None:
    file, path = tmp_path / "images.json", str(tmp_path / "study.yaml")
    file.write_text(json.dumps(IMAGES))
    with pytest.raises(UserError, match=f"no image of Python {PYTHON}, which train needs; `make build FLAGS="):
        load_images_of(study, path, file)
    file.write_text(json.dumps({**IMAGES, f"python-{PYTHON}": f"host/python@{DIGEST}"}))
    assert trial_image(study, load_images_of(study, path, file)) == f"host/python@{DIGEST}"


def test_a_function_is_no_code_of_its_folder(study: Study, tmp_path: Path) -> None:
    assert not has_code(study, tmp_path)


@pytest.mark.parametrize(
    ("status", "printed", "problem"),
    [
        (0, f"{PYTHON}\n", None),
        (0, "3.99\n", "its Python is 3.99, and train needs"),
        (127, "", "it has no Python, and"),
    ],
)
def test_an_image_with_another_python_is_refused_before_anything_is_sent(
    status: int, printed: str, problem: str | None, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "_docker", lambda *_: subprocess.CompletedProcess([], status, printed, ""))
    found = check_objective(study, "mine:1", {"x1": 0.0, "x2": 0.0})
    if problem is None:
        assert found == []
    else:
        (line,) = found
        assert line.startswith(f"mine:1: {problem}")
        assert f"--python {PYTHON} --push" in line
