"""A value that a limit of ours kept from being read: the next command reads it from the log, without training."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.model import model_of
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Curve, Record
from kfp_bayesopt.study.sources import pattern
from kfp_bayesopt.study.sources.base import NoValueError, UnreadError
from kfp_bayesopt.study.sources.pattern import matches
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.attempt import run_trial
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError
from kfp_bayesopt_pipeline.places import in_process as local
from tests.builders import a_suggestion, write_study

SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}
# Each evaluation leaves a mark.
TRAIN = "import os, pathlib\nfolder = pathlib.Path('marks')\nfolder.mkdir(exist_ok=True)\n" + (
    "(folder / f\"{os.environ['BAYESOPT_TRIAL']}-{os.getpid()}\").touch()\n"
    "(pathlib.Path(os.environ['BAYESOPT_OUTPUT']) / 'model').write_text('m')\n"
    "print('epoch 1: loss is 0.5')\nprint('epoch 2: loss is', float(os.environ['x']) + 1)\n"
)
VALUE = {"source": "pattern", "pattern": r"loss is (\S+)"}
LOST = {"kind": "lost", "message": "its worker gave no more sign of life"}


def study_of(folder: Path, **changes: Any) -> Path:
    (folder / "train.py").write_text(TRAIN)
    objective = {
        "command": ["python", "train.py"],
        "args": "environment",
        "value": VALUE,
        **changes.pop("objective", {}),
    }
    asked = {"iterations": 2, "parallel_trials": 2, "optimizer": {"engine": "random"}, **changes}
    return write_study(folder, space=SPACE, objective=objective, **asked)


def run(path: Path, **options: Any) -> list[Record]:
    out = path.parent / "out"
    with contextlib.suppress(UserError):  # where no trial has completed
        local.run(str(path), str(out), 2, local.Options(**options))
    return StudyFolder(str(out), Study.from_file(path)).read().ledger


def fail(*_: Any, **__: Any) -> None:
    raise subprocess.TimeoutExpired("python", 600.0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "objective": {
                "value": {"source": "intermediate", "take": "last"},
                "intermediate": {"pattern": r"epoch (?P<step>\d+): loss is (?P<value>\S+)"},
            }
        },
    ],
    ids=["pattern", "intermediate"],
)
def test_what_could_not_be_read_is_read_from_the_log_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    path = study_of(tmp_path, max_failed_trials=4, **changes)
    run_as_is = subprocess.run
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **options: fail() if "-S" in command else run_as_is(command, **options),
    )
    unread = run(path)
    assert [(each.state, each.attempt, each.is_unread) for each in unread] == [("failed", 1, True)] * 4
    assert unread[0].reason is not None
    assert unread[0].reason.message.endswith(
        "in 600 s, as this machine was too busy; the same command reads it again from its log, without evaluating it"
    )
    monkeypatch.undo()
    marks = sorted((tmp_path / "marks").iterdir())
    ledger = run(path)
    assert [(each.state, each.attempt, each.evaluated) for each in ledger] == [("completed", 2, 1)] * 4
    assert [each.values["value"] for each in ledger] == [float(str(each.parameters["x"])) + 1 for each in ledger]
    assert sorted((tmp_path / "marks").iterdir()) == marks, "nothing was evaluated again"
    assert [(each.seconds, each.started, each.log) for each in ledger] == [
        (each.seconds, each.started, "log-1.txt") for each in unread
    ]
    assert run(path) == ledger, "and it is read once"
    folder = StudyFolder(str(tmp_path / "out"), Study.from_file(path))
    assert [list(model_of(folder, each).objects) for each in ledger] == [["model"]] * 4


def test_workers_read_it_again_too(tmp_path: Path) -> None:
    path = study_of(tmp_path, schedule="asynchronous")
    ledger = run(path)
    folder = StudyFolder(str(tmp_path / "out"), Study.from_file(path))
    record = ledger[1]
    told = {"kind": "value", "message": "no time", "unread": True}
    content = {**json.loads(record.to_line()), "state": "failed", "values": {}, "reason": told}
    Path(folder.record_uri(2, 1)).write_text(json.dumps(content) + "\n")
    marks = sorted((tmp_path / "marks").iterdir())
    again = run(path)
    assert (again[1].values, again[1].attempt, again[1].read_from) == (record.values, 2, 1)
    assert sorted((tmp_path / "marks").iterdir()) == marks


RESUMED = """
import os, time
state = os.path.join(os.environ["BAYESOPT_CHECKPOINT"], "state")
if not os.path.exists(state):
    print("epoch 1: loss is 0.25", flush=True)
    open(state, "w").close()
    time.sleep(60)
print("epoch 2: loss is 0.75")
"""


@pytest.mark.long
@pytest.mark.parametrize("is_there", [True, False], ids=["it is there", "it was deleted"])
@pytest.mark.parametrize("source", ["pattern", "intermediate"])
def test_what_was_said_before_a_checkpoint_counts_where_the_value_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, is_there: bool
) -> None:
    (tmp_path / "train.py").write_text(RESUMED)
    value = {**VALUE, "take": "best"} if source == "pattern" else {"source": "intermediate", "take": "best"}
    intermediate = {"pattern": r"epoch (?P<step>\d+): loss is (?P<value>\S+)"}
    objective = {"command": ["python", "train.py"], "args": "environment", "value": value, "intermediate": intermediate}
    asked: dict[str, Any] = {"optimizer": {"engine": "random"}, "checkpoint": True}
    study = Study.from_file(str(write_study(tmp_path, space=SPACE, objective=objective, **asked)))
    folder = StudyFolder(str(tmp_path / "out"), study)
    folder.write_suggestions([a_suggestion(study, 1, {"x": 5.0})])

    def evaluate() -> Record | None:
        with Sessions() as sessions:
            return run_trial(folder, 1, tmp_path, sessions)

    def stop(sessions: Sessions) -> None:
        while not Path(f"{folder.checkpoint_uri(1)}/state").exists():
            time.sleep(0.05)
        time.sleep(2)
        sessions.stop()

    with Sessions() as sessions:
        threading.Thread(target=stop, args=(sessions,)).start()
        with pytest.raises(StoppedError):
            run_trial(folder, 1, tmp_path, sessions)
    run_as_is = subprocess.run
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", lambda it, **more: fail() if "-S" in it else run_as_is(it, **more))
        unread = evaluate()
    assert unread is not None
    assert (unread.attempt, unread.is_unread) == (2, True)
    if not is_there:
        Path(folder.said_uri(1, 1)).unlink()
    record = evaluate()
    assert record is not None
    assert (record.attempt, record.read_from) == (3, 2)
    if is_there:
        assert record.value == 0.25, record.reason
        if source == "intermediate":
            assert record.steps is not None
            assert (record.steps.first, record.steps.last, record.steps.count) == (1, 2, 2)
            assert read_document(Curve, folder.curve_uri(1, 2), study).values == [0.25, 0.75]
    else:
        assert record.outcome == "it had gone on from a checkpoint, and what it had said before is not there any more"
    assert [path.name for path in Path(folder.root).rglob("said-*")] == []


def test_it_is_read_again_after_whoever_was_to_do_that_was_lost(tmp_path: Path) -> None:
    path = study_of(tmp_path, iterations=1, parallel_trials=1)
    (record,) = run(path)
    folder = StudyFolder(str(tmp_path / "out"), Study.from_file(path))
    content = json.loads(record.to_line())
    for attempt, reason in ((1, {"kind": "value", "message": "no time", "unread": True}), (2, LOST)):
        failed = {**content, "attempt": attempt, "state": "failed", "values": {}, "reason": reason}
        Path(folder.record_uri(1, attempt)).write_text(json.dumps(failed) + "\n")
    (tmp_path / "train.py").write_text("raise SystemExit('evaluated again')")
    with Sessions() as sessions:
        again = run_trial(folder, 1, tmp_path, sessions)
    assert again is not None
    assert (again.attempt, again.read_from, again.values) == (3, 1, record.values)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (None, "the log cannot be read again: "),
        (b"loss is 0.2***\n", "the log cannot be read again: a secret was hidden in a number of it"),
        (b"loss is 3.5\nloss is ***\n", "the log cannot be read again: a secret was hidden in a number of it"),
        (b"nothing of ***\n", "nothing that it printed matches the pattern"),
    ],
)
def test_what_cannot_be_read_again_has_failed_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: bytes | None, said: str
) -> None:
    monkeypatch.setenv("PORT", "2026")
    path = study_of(
        tmp_path, objective={"env": {"PORT": {"from_environment": "PORT"}}}, iterations=1, parallel_trials=1
    )
    (record,) = run(path)
    folder = StudyFolder(str(tmp_path / "out"), Study.from_file(path))
    old = "the pattern 'x' took longer than 1 s over the output; make it simpler: without nested repetitions"
    content = {
        **json.loads(record.to_line()),
        "state": "failed",
        "values": {},
        "reason": {"kind": "value", "message": old},
    }
    Path(folder.record_uri(1, 1)).write_text(json.dumps(content) + "\n")
    Path(folder.log_uri(1, 1)).unlink()
    if log is not None:
        Path(folder.log_uri(1, 1)).write_bytes(log)
    (again,) = run(path)
    assert again.reason is not None
    assert said in again.reason.message
    assert (again.attempt, again.is_unread) == (2, False)
    assert run(path) == [again]


@pytest.mark.long
def test_a_machine_that_is_busy_takes_no_time_from_a_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(8)]
    try:
        assert matches(r"loss is (\S+)", b"loss is 0.5\n" * 1000, seconds=1.0)[-1] == {"value": "0.5"}
        with pytest.raises(UnreadError, match=r"took longer than 0\.2 s of processor time over the output"):
            matches("(a*)*b", b"a" * 50, seconds=0.2)
    finally:
        for each in busy:
            each.kill()
            each.wait()
    monkeypatch.setattr(pattern, "PATIENT_SECONDS", 0.1)
    with pytest.raises(NoValueError) as caught:
        matches("(a*)*b", b"a" * 50, seconds=0.1)
    assert not isinstance(caught.value, UnreadError), "it had all the time there is"
