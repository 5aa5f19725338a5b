"""From the folder of a study to its image, and on to every place that runs containers."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest

from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.building.check import middle_of
from kfp_bayesopt_pipeline.preflight.function import check_objective
from tests.e2e.conftest import REGISTRY, make, run
from tests.ledgers import check_agreement, comparable

STUDY = """\
name: {name}
objective: {{command: [python, train.py], args: flags, value: loss}}
iterations: 2
parallel_trials: 2
space: {{x: {{type: real, low: 0, high: 3}}}}
optimizer: {{engine: random}}
"""
TRAIN = "import sys; print('loss=' + str(float(sys.argv[1].partition('=')[2]) + float(open('data.txt').read())))\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a study: a relative script that reads a relative file. Its images go when the test ends."""
    made = tmp_path / "a b ü"
    made.mkdir()
    (made / "study.yaml").write_text(STUDY.format(name="built"))
    (made / "train.py").write_text(TRAIN)
    (made / "data.txt").write_text("1")
    yield made
    listed = run("docker", "images", "--quiet", f"{REGISTRY}/study-built").stdout.split()
    run("docker", "rmi", "--force", *set(listed))


def _image(folder: Path, out: Path, *variables: str, push: bool = False) -> subprocess.CompletedProcess[str]:
    """Build the image of a study as `make build` does, on the images of the steps that are there."""
    return run(
        *(sys.executable, "-m", "pipeline", "image", str(folder), "--registry", REGISTRY, "--tag", "test"),
        *("--python-image", "python:3.13-slim-trixie", "--out", str(out), *(["--push"] if push else []), *variables),
    )


@pytest.mark.usefixtures("images")
def test_a_folder_becomes_an_image_once_and_gives_the_same_ledger_everywhere(folder: Path, tmp_path: Path) -> None:
    noted = tmp_path / "images.json"
    first = _image(folder, noted, push=True)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(f"{folder}: 3 files, 0.0 MB\nbuilding {REGISTRY}/study-built:")
    pushed = json.loads(noted.read_text())
    assert pushed["evaluate"].startswith(f"{REGISTRY}/study-built@sha256:")
    again = _image(folder, noted, push=True)
    assert "is there already" in again.stdout
    assert json.loads(noted.read_text()) == pushed

    in_process = run(sys.executable, "-m", "pipeline", "run", str(folder), "--out", str(tmp_path / "here"))
    assert in_process.returncode == 0, in_process.stderr
    compose = make("compose", f"STUDY={folder}", f"IMAGES={noted}", f"OUT={tmp_path}/compose")
    assert compose.returncode == 0, compose.stderr[-3000:]
    kfp = make("run-kfp", f"STUDY={folder}", f"IMAGES={noted}", f"OUT={tmp_path}/kfp")
    assert kfp.returncode == 0, kfp.stderr[-3000:]
    ledgers = [comparable((tmp_path / place / "trials.jsonl").read_text()) for place in ("here", "compose", "kfp")]
    assert len(ledgers[0]) == 4
    for other in ledgers[1:]:
        check_agreement(deepcopy(ledgers[0]), other)

    (folder / "train.py").write_text(TRAIN + "# changed\n")
    changed = make("compile", f"STUDY={folder}", f"IMAGES={noted}")
    assert (
        f"Error: {folder}: has changed since the image in {noted} was built from it; `make push STUDY="
        in changed.stderr
    )


@pytest.mark.long
@pytest.mark.usefixtures("images")
def test_a_dockerfile_of_ones_own_gets_the_runtime_and_one_that_fails_shows_its_last_lines(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "Dockerfile").write_text("FROM python:3.13-slim-trixie\nWORKDIR /mine\nCOPY train.py data.txt ./\n")
    built = _image(folder, tmp_path / "images.json")
    assert built.returncode == 0, built.stderr
    image = json.loads((tmp_path / "images.json").read_text())["evaluate"]
    tried = run(sys.executable, "-m", "pipeline", "check", str(folder), "--in", image)
    assert tried.returncode == 0, tried.stderr
    assert "value 2.5\n" in tried.stdout

    (folder / "Dockerfile").write_text("FROM python:3.13-slim-trixie\nRUN echo no such package >&2; exit 7\n")
    failed = _image(folder, tmp_path / "images.json")
    assert failed.returncode == 1
    assert f"Error: {folder}: Docker cannot build the image" in failed.stderr
    assert "no such package" in failed.stderr
    assert "Traceback" not in failed.stderr


def _wheel(index: Path, name: str, requires: str = "") -> None:
    """Add a package of one module to an index."""
    path = index / name / f"{name}-1.0-py3-none-any.whl"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "VALUE = 7\n")
        about = f"{name}-1.0.dist-info"
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")


@pytest.mark.long
@pytest.mark.usefixtures("images")
def test_requirements_come_from_a_private_index_whose_settings_stay_out_of_the_image(
    folder: Path, tmp_path: Path
) -> None:
    _wheel(tmp_path / "index", "mine")
    _wheel(tmp_path / "index", "other", "Requires-Dist: mine>=2\n")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "index"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nindex-url = http://user:token@127.0.0.1:{server.server_port}/\n")
    (folder / "requirements.txt").write_text("mine==1.0\n")
    (folder / "train.py").write_text("import mine; print('loss=' + str(mine.VALUE))\n")
    try:
        built = _image(folder, tmp_path / "images.json", "--pip-conf", str(settings), "--network", "host")
        assert built.returncode == 0, built.stderr
        image = json.loads((tmp_path / "images.json").read_text())["evaluate"]
        (folder / "requirements.txt").write_text("mine==1.0\nother==1.0\n")
        conflict = _image(folder, tmp_path / "conflict.json", "--pip-conf", str(settings), "--network", "host")
    finally:
        server.shutdown()
        server.server_close()
    (folder / "requirements.txt").write_text("mine==1.0\n")
    tried = run(sys.executable, "-m", "pipeline", "check", str(folder), "--in", image)
    assert "value 7.0\n" in tried.stdout, tried.stderr
    assert "token" not in run("docker", "history", "--no-trunc", image).stdout
    assert run("docker", "run", "--rm", image, "test", "-s", "/etc/pip.conf").returncode != 0
    assert conflict.returncode == 1
    assert "The user requested mine==1.0\n" in conflict.stderr
    assert "other 1.0 depends on mine>=2\n" in conflict.stderr
    assert not (tmp_path / "conflict.json").exists()


@pytest.mark.long
def test_a_submission_says_what_an_image_cannot_call_with_all_else_that_is_wrong(images: Path, tmp_path: Path) -> None:
    whole = STUDY.format(name="wrong")
    wrong = whole.replace("command: [python, train.py], args: flags, value: loss", "python: 'json:dmps'")
    (tmp_path / "study.yaml").write_text(wrong)
    ended = make("submit", f"STUDY={tmp_path}", f"IMAGES={images}", "FLAGS=--project-id my-project --region nowhere-9")
    assert ended.returncode != 0
    said = ended.stderr.splitlines()
    assert "Error: nothing was submitted:" in said
    assert any("objective.python: json:dmps: /usr/" in line and "does not define 'dmps'" in line for line in said)
    assert any("pipeline_root" in line for line in said), "and the settings"


@pytest.mark.long
def test_what_an_image_cannot_call_is_known_before_anything_is_sent(images: Path, tmp_path: Path) -> None:
    image = json.loads(images.read_text())["evaluate"]

    def problems(objective: str) -> list[str]:
        text = STUDY.format(name="checked").replace(
            "{command: [python, train.py], args: flags, value: loss}", objective
        )
        (tmp_path / "study.yaml").write_text(text)
        study = Study.from_file(str(tmp_path / "study.yaml"))
        return [each.removeprefix(f"{image}: ") for each in check_objective(study, image, middle_of(study))]

    assert problems("{command: [python, train.py], args: flags}") == []
    assert problems("{command: [no-such, '{x}']}") == [
        "objective.command: 'no-such' is not in the image; install it, or copy it to its WORKDIR"
    ]
    (said,) = problems("{python: 'nowhere:f'}")
    assert said.startswith("objective.python: nowhere:f: no module named 'nowhere'")
    (said,) = problems("{python: 'objectives.branin:branin'}")
    assert "objective.python: cannot call objectives.branin:branin(x1: float, x2: float)" in said
    assert problems("{python: 'json:dumps', args: dict}") == []
