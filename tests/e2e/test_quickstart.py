"""docs/quickstart.md to the letter: three commands to a result in process, two more to the same in containers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.e2e.conftest import REGISTRY, run
from tests.ledgers import check_agreement, comparable

pytestmark = pytest.mark.long

PAGE = (ROOT / "docs" / "quickstart.md").read_text()
BASE = "python:3.13-slim-trixie"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of the page, with the environment in which its script runs already."""
    for name, content in re.findall(r"^```\w+ (\w+/[\w.]+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    # It has the very versions that the page requires; the lock of the benchmarks names them.
    (tmp_path / "iris" / ".venv").symlink_to(ROOT / ".venv-peers")
    yield tmp_path / "iris"
    run("docker", "rmi", "--force", *run("docker", "images", "--quiet", f"{REGISTRY}/study-iris").stdout.split())


def test_the_requirements_of_the_page_are_what_the_lock_has(folder: Path) -> None:
    lock = (ROOT / "benchmarks" / "requirements.txt").read_text()
    for line in (folder / "requirements.txt").read_text().splitlines():
        assert f"\n{line} " in lock


@pytest.mark.usefixtures("images")
def test_a_script_is_tuned_in_three_commands_and_in_containers_in_two_more(folder: Path, tmp_path: Path) -> None:
    commands = re.findall(r"^\$ (.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 5
    # The images are those of the tests, and each command finds the environments that are there.
    given = f'-o .venv/installed -o .venv-cloud/installed BAYESOPT="{sys.executable} -m pipeline"'
    steps = f"REGISTRY={REGISTRY} TAG=test PYTHON_IMAGE={BASE}"
    script = "\n".join(
        command.replace("source iris", f"source {folder}")
        .replace("STUDY=iris", f"STUDY={folder}")
        .replace("make ", f"make --silent {given} {steps} " if "build" in command else f"make --silent {given} ")
        for command in commands
    )
    out = {place: tmp_path / place for place in ("here", "containers")}
    script = script.replace("make --silent", 'make --silent "IMAGES=$IMAGES"')
    script = re.sub(r"( run STUDY=\S+)", rf"\1 OUT={out['here']}", script)
    script = re.sub(r"( compose STUDY=\S+)", rf"\1 OUT={out['containers']}", script)
    script = re.sub(r"^(.* build STUDY=\S+)", rf"\1 FLAGS='--out {tmp_path}/images.json'", script, flags=re.MULTILINE)
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
        env={**os.environ, "IMAGES": str(tmp_path / "images.json")},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    ours, theirs = (comparable((out[place] / "trials.jsonl").read_text()) for place in ("here", "containers"))
    assert len(ours) == 6
    check_agreement(ours, theirs)
