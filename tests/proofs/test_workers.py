"""Asynchronous workers, real processes that are killed from outside: nothing is lost, nothing is tried twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from images.worker.main import main as worker_main
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.proposing.verify import verify
from kfp_bayesopt.store import patience, storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.working import worker as loop
from tests.builders import write_study
from tests.fake_storage import empty
from tests.kfp_bayesopt.store.test_stores import FOLDER, place_of
from tests.proofs.conftest import SEED, STORES, share
from tests.proofs.faulty_storage import FAULTS, Door, Exchange, pass_on
from tests.proofs.test_kills import start as start_program

# The client leaves the connections of failed downloads to the garbage collector.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

KINDS = [FOLDER, *STORES]
SPACE = {name: {"type": "real", "low": 0.0, "high": 1.0} for name in ("x", "y")}
# 5 to 50 ms, by the point; and a file for each call.
OBJECTIVE = """
import os, time
def objective(x, y):
    time.sleep(0.005 + 0.045 * x)
    return (x - 0.3) ** 2 + y
"""
# The same, once all workers have begun.
GATED = """
import os, time
def objective(x, y):
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    time.sleep(0.005 + 0.045 * x)
    return (x - 0.3) ** 2 + y
"""
KILLS_ITS_WORKER = """
import os, signal
def objective(x, y):
    if os.environ["BAYESOPT_TRIAL"] == "2":
        os.kill(os.getppid(), signal.SIGKILL)  # as the kernel does where no memory is left
    return x
"""


def a_study(folder: Path, trials: int, workers: int, code: str = OBJECTIVE, **changes: Any) -> Path:
    asked = {
        "schedule": "asynchronous", "iterations": None, "trials": trials, "parallel_trials": workers, "space": SPACE,
        "optimizer": {"engine": "random"}, **changes,
    }  # fmt: skip
    return write_study(folder, code, **asked)


def arguments(study: Path, root: str, worker: int) -> list[str]:
    return ["--root", root, "--study", str(study), "--job", "job", "--worker", str(worker)]


def start(study: Path, root: str, worker: int, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "images.worker.main", *arguments(study, root, worker)]
    return start_program(command, **environment)


@contextmanager
def started(study: Path, root: str, places: range, **environment: str) -> Iterator[dict[int, subprocess.Popen[bytes]]]:
    """Start workers, and wait for them at the end of the block."""
    jobs.ensure_job(StudyFolder(root, Study.from_file(study)), "job", str(study))
    workers = {place: start(study, root, place, **environment) for place in places}
    try:
        yield workers
        for worker in workers.values():
            assert worker.wait(300) in (0, -signal.SIGKILL)
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()


def check(study: Path, root: str, trials: int) -> StudyFolder:
    """Check that each number has one record that counts, no point was tried twice, and all can be computed again."""
    folder = StudyFolder(root, Study.from_file(study))
    found = folder.read()
    assert sorted(found.records) == list(range(1, trials + 1))
    assert not found.pending
    points = [json.dumps(record.parameters) for record in found.ledger]
    assert len(set(points)) == trials
    suggestions = folder.read_suggestions(folder.suggested())
    verdicts = Counter(each.verdict for each in verify(folder.study, found.ledger, suggestions, retried=False))
    assert verdicts == {"same": trials}
    return folder


# --- many at once ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_many_processes_spend_a_budget_exactly(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    workers, each = share(16, 6), share(20, 5)
    for number in range(share(20, 1)):
        study = a_study(tmp_path / f"study-{number}", workers * each, workers, GATED)
        root = place_of(kind, f"many-{number}", request, study.parent)
        if kind == "gs":
            empty(os.environ["STORAGE_EMULATOR_HOST"])  # which takes longer for each request the more it holds
        gate = study.parent / "gate"
        with started(study, root, range(1, workers + 1), GATE=str(gate)):
            while sum("/worker-" in entry.uri for entry in storage.entries(f"{root}/jobs/job/")) < workers:
                time.sleep(0.2)
            gate.touch()
        folder = check(study, root, workers * each)
        records = folder.read().ledger
        assert {record.attempt for record in records} == {1}
        by_worker = Counter(record.worker for record in records)
        assert len(by_worker) == workers
        assert min(by_worker.values()) >= each // 2, by_worker  # none starves
        assert all(folder.files_of(trial).claims == [1] for trial in folder.read().records)


def test_many_processes_learn_from_each_other(tmp_path: Path) -> None:
    workers, trials = share(16, 4), share(200, 24)
    study = a_study(tmp_path, trials, workers, optimizer={"engine": "gp", "random_state": 1})
    root = str(tmp_path / "out")
    with started(study, root, range(1, workers + 1)):
        pass
    folder = check(study, root, trials)
    values = [record.value or 0.0 for record in folder.read().ledger]
    assert min(values) < 0.01


# --- killed and stopped ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_workers_that_are_killed_at_random_lose_nothing(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A new one takes the place of each, as a retry of a service does."""
    rng = random.Random(SEED)
    trials = share(100, 16)
    study = a_study(tmp_path, trials, 4)
    root = place_of(kind, "killed", request, tmp_path)
    with started(study, root, range(1, 5)) as workers:
        for _ in range(share(100, 6)):
            time.sleep(rng.random() * 0.6)
            place = rng.choice(sorted(workers))
            if workers[place].poll() is None:
                workers[place].kill()
                workers[place].wait()
                workers[place] = start(study, root, place)
    with started(study, root, range(1, 2)):  # what none of them lingered for
        pass
    folder = StudyFolder(root, Study.from_file(study))
    assert sorted(folder.read().records) == list(range(1, trials + 1))
    assert {record.state for record in folder.read().ledger} <= {"completed", "failed"}
    kinds = {record.reason.kind for record in folder.read().ledger if record.reason}
    assert kinds <= {"abandoned"}  # of one that was killed three times
    suggestions = folder.read_suggestions(folder.suggested())
    verdicts = {each.verdict for each in verify(folder.study, folder.read().ledger, suggestions, retried=False)}
    assert verdicts == {"same"}


def test_a_worker_that_is_killed_at_any_change_of_a_file_is_begun_again(tmp_path: Path) -> None:
    """In every line from the claim to the record: the next one in its place comes to the same ledger."""

    def of(folder: Path) -> Path:
        return a_study(folder, 3, 1, optimizer={"engine": "gp", "n_initial_points": 2})

    def status(study: Path, **environment: str) -> int:
        root = str(study.parent / "out")
        jobs.ensure_job(StudyFolder(root, Study.from_file(study)), "job", str(study))
        with start(study, root, 1, **environment) as worker:
            return worker.wait(120)

    whole = of(tmp_path / "whole")
    counted = tmp_path / "count"
    counting = {"KILL_PROGRAM": "images.worker.main", "KILL_FOLDER": str(whole.parent / "out")}
    assert status(whole, **counting, KILL_COUNT=str(counted)) == 0
    changes = int(counted.read_text())
    expected = points(whole)
    assert changes > 20
    for at in random.Random(SEED).sample(range(1, changes + 1), share(changes, 4)):
        study = of(tmp_path / f"killed-at-{at}")
        killing = {"KILL_PROGRAM": "images.worker.main", "KILL_FOLDER": str(study.parent / "out")}
        assert status(study, **killing, KILL_AT=str(at)) == -signal.SIGKILL
        assert status(study) == 0
        check(study, str(study.parent / "out"), 3)
        assert points(study) == expected, at


def points(study: Path) -> list[Any]:
    folder = StudyFolder(str(study.parent / "out"), Study.from_file(study))
    return [(record.parameters, record.value) for record in folder.read().ledger]


def test_of_a_worker_that_sleeps_past_its_lease_one_record_counts(tmp_path: Path) -> None:
    """Stopped with SIGSTOP, its trial is taken; when it wakes up its value does not count any more."""
    code = "import os, pathlib, time\ndef objective(x, y):\n"
    code += "    if pathlib.Path('slow').exists():\n        pathlib.Path('slow').unlink()\n        time.sleep(2)\n"
    code += "        return 99.0\n    return x"
    study = a_study(tmp_path, 2, 2, code)
    root = str(tmp_path / "out")
    (tmp_path / "slow").touch()
    with started(study, root, range(1, 2)) as workers:
        while (tmp_path / "slow").exists():
            time.sleep(0.01)
        workers[1].send_signal(signal.SIGSTOP)
        then = time.time() - 21 * 60
        os.utime(tmp_path / "out/trials/000001/claim-1.json", (then, then))
        with start(study, root, 2) as other:
            assert other.wait(60) == 0
        workers[1].send_signal(signal.SIGCONT)
    folder = StudyFolder(root, Study.from_file(study))
    assert [record.attempt for record in folder.read().ledger] == [2, 1]
    assert all(record.value != 99.0 for record in folder.read().ledger)
    first = folder.read_record(1, 1)
    assert first.reason is not None
    assert first.reason.kind == "lost"


def test_an_objective_that_exhausts_memory_fails_one_trial_and_the_study_goes_on(tmp_path: Path) -> None:
    study = a_study(tmp_path, 6, 2, KILLS_ITS_WORKER)
    root = str(tmp_path / "out")
    command = [sys.executable, "-m", "pipeline", "run", str(study), "--out", root, "--jobs", "2"]
    assert start_program(command).wait(120) == 0
    folder = StudyFolder(root, Study.from_file(study))
    kinds = {record.trial: record.reason.kind for record in folder.read().ledger if record.reason}
    assert kinds == {2: "abandoned"}
    assert folder.files_of(2).claims == [1, 2, 3]
    assert sorted(folder.read().records) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("who", ["one on its trial", "the one that waits"])
def test_no_study_ends_with_a_claim_open_whoever_is_killed(who: str, tmp_path: Path) -> None:
    """Nobody starts a dead worker again; a lease of seconds stands for one of minutes."""

    def begun(name: str) -> tuple[Path, str]:
        study = a_study(tmp_path / name, 4, 2, optimizer={"engine": "gp", "n_initial_points": 2})
        root = str(study.parent / "out")
        folder = StudyFolder(root, Study.from_file(study))
        job = jobs.ensure_job(folder, "job", str(study)).model_copy(update={"lease_minutes": 0.1})
        storage.replace(jobs.job_uri(root, "job"), job.to_bytes())
        return study, root

    def killed(study: Path, root: str, at: int) -> subprocess.Popen[bytes]:
        return start(study, root, 1, KILL_PROGRAM="images.worker.main", KILL_FOLDER=root, KILL_AT=str(at))

    for number, at in enumerate(random.Random(SEED).sample(range(1, 30), share(29, 2))):
        study, root = begun(f"killed-{number}")
        if who == "one on its trial":
            with killed(study, root, at) as first, start(study, root, 2) as second:
                assert first.wait(120) in (0, -signal.SIGKILL)
                assert second.wait(120) == 0
        else:
            (study.parent / "mine.py").write_text(GATED)
            gate = study.parent / "gate"
            with start(study, root, 3, GATE=str(gate)) as dead:
                while not has_file(root, "/claim-1.json"):
                    time.sleep(0.05)
                dead.kill()
                dead.wait()
            gate.touch()
            with start(study, root, 1, GATE=str(gate)) as waiting:
                while not has_file(root, "/waits-"):
                    time.sleep(0.05)
                with start(study, root, 2, GATE=str(gate)) as other:
                    time.sleep(random.Random(at).random())
                    waiting.kill()
                    assert other.wait(120) == 0
        check(study, root, 4)


def has_file(root: str, part: str) -> bool:
    """Tell whether a folder has a file whose name has a part."""
    return any(part in str(path) for path in Path(root).rglob("*.json"))


# --- storage -----------------------------------------------------------------------------------


@pytest.fixture
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pauses be short, and a service that stays down be given up soon."""
    monkeypatch.setattr(patience, "RETRY", patience.RETRY.with_delay(initial=0.01, maximum=0.05).with_timeout(20))
    monkeypatch.setattr(loop, "JITTER_SECONDS", 0.0)


@pytest.mark.usefixtures("_patience")
def test_a_fault_at_any_operation_of_a_worker_changes_no_trial(tmp_path: Path, faulty_store: Door) -> None:
    """A worker that storage refuses ends with a message, and the next one in its place goes on."""
    study = a_study(tmp_path, 3, 1, optimizer={"engine": "gp", "n_initial_points": 2})

    def work(root: str) -> int:
        return CliRunner().invoke(worker_main, arguments(study, root, 1), prog_name="main.py").exit_code

    def begin(root: str) -> None:
        faulty_store.open()
        jobs.ensure_job(StudyFolder(root, Study.from_file(study)), "job", str(study))

    begin(f"{faulty_store.bucket}/calm")
    before = faulty_store.requests
    assert work(f"{faulty_store.bucket}/calm") == 0
    operations = faulty_store.requests - before
    assert operations > 20
    expected = said(study, f"{faulty_store.bucket}/calm")
    cases = [(operation, kind) for operation in range(1, operations + 1) for kind in FAULTS]
    for case, (operation, kind) in enumerate(
        random.Random(SEED).sample(cases, share(len(cases), faulty_store.part(12)))
    ):
        root = f"{faulty_store.bucket}/fault-{case}"
        begin(root)
        faulty_store.close_after(operation, FAULTS[kind])
        status = work(root)
        faulty_store.open()
        # A refusal is no mistake of the study that `report` could not tell: the job has ended with it, and begins anew.
        if jobs.end_of(root, "job") is not None or status:
            assert kind == "403", (operation, kind)
            storage.delete(jobs.ended_uri(root, "job"))
            assert work(root) == 0
        assert said(study, root) == expected, (operation, kind)


def said(study: Path, root: str) -> list[Any]:
    folder = StudyFolder(root, Study.from_file(study))
    return [(record.trial, record.parameters, record.value) for record in folder.read().ledger]


@pytest.mark.usefixtures("_patience")
def test_workers_survive_faults_all_over_a_study(tmp_path: Path, faulty_store: Door) -> None:
    """Every seventh operation fails, in another way each time; real processes."""
    kinds = [fault for name, fault in FAULTS.items() if name != "403"]
    chance = random.Random(SEED)

    def sometimes(exchange: Exchange) -> None:
        (chance.choice(kinds) if chance.random() < 1 / 7 else pass_on)(exchange)

    for storm in range(share(5, 1)):
        trials = share(60, 12)
        study = a_study(tmp_path / f"storm-{storm}", trials, 4)
        root = f"{faulty_store.bucket}/storm-{storm}"
        faulty_store.open()
        with started(study, root, range(1, 5)):
            faulty_store.close_after(1, sometimes, stays=True)
        faulty_store.open()
        check(study, root, trials)
