"""A container with a limit on its memory: the trial that would exhaust it fails, and the container lives."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.steps import EVALUATE
from kfp_bayesopt.study.study import Study
from tests.builders import a_suggestion, write_folder, write_study
from tests.e2e.conftest import run

pytestmark = pytest.mark.long

SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}
MEMORY = "256m"
EATS = {
    "slowly": "import time\ndef objective(x):\n    kept = []\n    while True:\n        kept.append(bytearray(2**20))\n"
    "        time.sleep(0.01)",
    "fast": "def objective(x):\n    kept = []\n    while True:\n        kept.append(bytearray(2**24))",
    "in children": "import os, time\ndef objective(x):\n    for _ in range(4):\n        os.fork()\n    kept = []\n"
    "    while True:\n        kept.append(bytearray(2**18))\n        time.sleep(0.02)",
    "in memory files": "import os, time\ndef objective(x):\n    with open('/dev/shm/eaten', 'wb') as file:\n"
    "        while True:\n            file.write(bytes(2**20))\n            time.sleep(0.01)",
}
READS = """
import os, tempfile
def objective(x):
    with tempfile.TemporaryFile() as file:
        for _ in range(400):
            file.write(bytes(2**20))
        for _ in range(3):
            file.seek(0)
            while file.read(2**20):
                pass
    return x
"""


def evaluated(images: Path, folder: Path, code: str) -> dict[str, Any]:
    """Evaluate a trial in a container with little memory."""
    study = Study.from_file(str(write_study(folder, code, space=SPACE)))
    write_folder(folder / "out", study, [a_suggestion(study, 1, {"x": 2.5})])
    ended = run(
        *("docker", "run", "--rm", "--memory", MEMORY, "--memory-swap", MEMORY, "--shm-size", "1g"),
        *("--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{folder}:/data", "--workdir", "/data"),
        *("--entrypoint", EVALUATE.program, json.loads(images.read_text())[EVALUATE.name]),
        *("--root", "/data/out", "--study", "/data/study.yaml", "--trial", "1"),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr  # 137 where the container was ended with it
    record: dict[str, Any] = json.loads(Path(StudyFolder(str(folder / "out"), study).record_uri(1, 1)).read_text())
    return record


@pytest.mark.parametrize("how", EATS)
def test_a_trial_that_would_exhaust_its_container_fails_and_the_container_lives(
    how: str, images: Path, tmp_path: Path
) -> None:
    """Of one that is faster than we look the kernel ends a process, here that of the trial alone."""
    record = evaluated(images, tmp_path, EATS[how])
    assert (record["state"], record["reason"]["kind"]) == ("failed", "memory")
    message = record["reason"]["message"]
    assert "256 MiB" in message
    if how != "fast":
        assert message.startswith("the objective had ")
        assert record["memory_bytes"] < 2**28


def test_data_that_is_read_again_and_again_fills_the_container_and_ends_nothing(images: Path, tmp_path: Path) -> None:
    record = evaluated(images, tmp_path, READS)
    assert (record["state"], record["values"]) == ("completed", {"value": 2.5})
