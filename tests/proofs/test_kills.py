"""A step or a run is killed at any moment: what was written is whole, and the same command goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import ROOT
from tests.builders import write_study
from tests.ledgers import comparable
from tests.proofs.conftest import SEED, share
from tests.proofs.faulty_storage import Door, Exchange
from tests.proofs.test_faults import Call, Reference, invoke, run_reference

# The client leaves the connections of failed downloads to the garbage collector.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

KILLER = str(ROOT / "tests" / "proofs" / "killed")
# Writes down which trial it is asked for.
OBJECTIVE = """
import os, pathlib
def objective(x):
    with (pathlib.Path(__file__).parent / "evaluated").open("a") as file:
        file.write(os.environ["BAYESOPT_TRIAL"] + "\\n")
    return (x - 0.3) ** 2
"""


def start(command: list[str], **environment: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([KILLER, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def status(command: list[str], **environment: str) -> int:
    with start(command, **environment) as process:
        return process.wait(120)


def program(call: Call) -> list[str]:
    step, arguments = call
    return [sys.executable, "-m", f"images.{step}.main", *arguments]


def count(command: list[str], name: str, folder: Path) -> int:
    """Run a command to its end; return how many changes it makes to a folder."""
    counted = folder.parent / f"{folder.name}.count"
    assert status(command, KILL_PROGRAM=name, KILL_FOLDER=str(folder), KILL_COUNT=str(counted)) == 0
    return int(counted.read_text())


# --- steps -----------------------------------------------------------------------------------------


def test_a_step_that_is_killed_at_any_change_of_a_file_is_run_again(tmp_path: Path) -> None:
    reference = Reference(str(tmp_path / "reference")).run(lambda: None, lambda: 0)
    steps = range(len(reference.calls))
    for number in random.Random(SEED).sample(steps, share(len(steps), 3)):
        root = tmp_path / f"step-{number}"
        call = reference.copy_for(number, str(root))
        name = f"images.{call[0]}.main"
        changes = count(program(call), name, root)
        assert changes >= 2  # to open a file and to put it into place
        for at in random.Random(SEED).sample(range(1, changes + 1), share(changes, 1)):
            root = tmp_path / f"step-{number}-killed-at-{at}"
            call = reference.copy_for(number, str(root))
            killed = status(program(call), KILL_PROGRAM=name, KILL_FOLDER=str(root), KILL_AT=str(at))
            assert killed == -signal.SIGKILL, (call, at)
            assert invoke(call).exit_code == 0
            reference.check(number, str(root))


def test_a_step_that_is_killed_at_any_operation_of_a_store_is_run_again(faulty_store: Door) -> None:
    """Before the operation is done, or when it is done and its answer is not there yet."""
    reference = run_reference(f"{faulty_store.bucket}/kills", faulty_store)
    moments = [
        (number, operation, done)
        for number, operations in enumerate(reference.operations)
        for operation in range(1, operations + 1)
        for done in (False, True)
    ]
    chosen = random.Random(SEED).sample(moments, share(len(moments), 2))
    for case, (number, operation, done) in enumerate(chosen):
        faulty_store.open()
        root = f"{faulty_store.bucket}/kill-{case}"
        call = reference.copy_for(number, root)
        reached, killed = threading.Event(), threading.Event()

        def wait_to_be_killed(
            exchange: Exchange, done: bool = done, reached: threading.Event = reached, killed: threading.Event = killed
        ) -> None:
            if done:
                exchange.forward()
            reached.set()
            killed.wait(60)
            exchange.hang_up()

        faulty_store.close_after(operation, wait_to_be_killed)
        with start(program(call)) as process:
            assert reached.wait(60)
            process.kill()
        killed.set()
        faulty_store.open()
        assert invoke(call).exit_code == 0
        reference.check(number, root)


# --- make run --------------------------------------------------------------------------------------


def a_run(folder: Path) -> list[str]:
    study = write_study(
        folder,
        OBJECTIVE,
        space={"x": {"type": "real", "low": 0.0, "high": 1.0}},
        optimizer={"engine": "gp", "n_initial_points": 2, "random_state": 1},
    )
    return [sys.executable, "-m", "pipeline", "run", str(study), "--out", str(folder / "out"), "--jobs", "2"]


def evaluated(folder: Path) -> list[int]:
    log = folder / "evaluated"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def recorded(folder: Path) -> set[int]:
    return {json.loads(path.read_bytes())["trial"] for path in (folder / "out").rglob("record-?.json")}


def test_a_run_that_is_killed_at_any_change_of_a_file_goes_on_where_it_was(tmp_path: Path) -> None:
    """The ledger is that of a run which was left alone, and no trial that has a record is evaluated again."""
    whole = tmp_path / "whole"
    changes = count(a_run(whole), "-m pipeline run", whole / "out")
    assert changes > 20
    expected = comparable((whole / "out" / "trials.jsonl").read_bytes())
    assert sorted(evaluated(whole)) == [1, 2, 3, 4]
    for at in random.Random(SEED).sample(range(1, changes + 1), share(changes, 2)):
        folder = tmp_path / f"killed-at-{at}"
        command = a_run(folder)
        killed = status(command, KILL_PROGRAM="-m pipeline run", KILL_FOLDER=str(folder / "out"), KILL_AT=str(at))
        assert killed == -signal.SIGKILL
        before, kept = evaluated(folder), recorded(folder)
        assert status(command) == 0
        assert comparable((folder / "out" / "trials.jsonl").read_bytes()) == expected, at
        assert not kept & set(evaluated(folder)[len(before) :]), at
