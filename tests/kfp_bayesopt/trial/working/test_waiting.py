"""The end of a study whose dead workers nobody starts again: one worker waits for the others, and takes over."""

from __future__ import annotations

import functools
import json
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from kfp_bayesopt.errors import ExistsError, RetainedError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.proposing.verify import verify
from kfp_bayesopt.store import storage
from kfp_bayesopt.trial.attempt import run_attempt
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError
from kfp_bayesopt.trial.working import worker as loop
from kfp_bayesopt.trial.working.heartbeat import LOOKS_A_LEASE, MOST_SILENT_LOOKS, lease_of
from kfp_bayesopt.trial.working.worker import Worker
from tests.builders import a_record
from tests.kfp_bayesopt.trial.working.test_worker import a_folder, a_job, attempts, claim, suggest
from tests.proofs.conftest import SEED, share

LEASE = 5.0


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "JITTER_SECONDS", 0.0)


class Clock:
    """Lets the time of the storage of a folder pass at each pause, instead of waiting."""

    def __init__(self, folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.pauses = 0
        self.at: dict[int, Any] = {}
        monkeypatch.setattr(Worker, "_rest", lambda _: self.passes(LEASE / LOOKS_A_LEASE))

    def passes(self, minutes: float) -> None:
        """Let everything be older; at some pauses something else happens."""
        self.pauses += 1
        assert self.pauses < 100, "it waits for ever"
        for path in Path(self.folder.root).rglob("*.json"):
            then = path.stat().st_mtime - minutes * 60
            os.utime(path, (then, then))
        self.at.get(self.pauses, lambda: None)()


def work(folder: StudyFolder, place: int | None = None, **changes: Any) -> Worker:
    """Let a worker of a cluster work until it ends."""
    job = a_job(folder, changes.pop("job", "job-1"), **{"lease_minutes": LEASE, **changes})
    with Sessions() as sessions:
        worker = Worker(folder, job, place, Path(folder.root).parent, sessions)
        worker.run()
    return worker


def waits(folder: StudyFolder) -> list[str]:
    return sorted(path.name for path in Path(folder.root, "jobs/job-1").glob("waits-*"))


def check(folder: StudyFolder, trials: int = 4) -> None:
    """Check that the study is complete, and every suggestion can be computed again."""
    found = folder.read()
    assert sorted(found.records) == list(range(1, trials + 1))
    assert not found.pending
    suggestions = folder.read_suggestions(folder.suggested())
    verdicts = Counter(each.verdict for each in verify(folder.study, found.ledger, suggestions, retried=False))
    assert verdicts == {"same": trials}


@pytest.mark.parametrize("is_proposed", [True, False])
def test_the_last_worker_waits_for_a_dead_one_and_evaluates_its_trial(
    is_proposed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = a_folder(tmp_path)
    clock = Clock(folder, monkeypatch)
    a_job(folder)
    claim(folder, 1)
    if is_proposed:
        suggest(folder, 1)
    work(folder)
    check(folder)
    assert attempts(folder, 1) == [(1, "lost"), (2, "completed")]
    assert clock.pauses == LOOKS_A_LEASE  # by then its claim is older than the lease
    assert waits(folder) == [f"waits-{clock.pauses}.json"]
    assert caplog.messages.count("branin: nothing is left to claim; waits for trial 1") == 1
    assert caplog.messages[-1] == "branin: nothing is left to claim"


def test_it_waits_as_long_as_the_other_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial may take days; its worker gives signs of life."""
    folder = a_folder(tmp_path)
    clock = Clock(folder, monkeypatch)
    a_job(folder)
    claim(folder, 1)
    suggest(folder, 1)
    for pause in range(3, 20, 3):
        clock.at[pause] = lambda: storage.replace(folder.heartbeat_uri(1, 1), b"{}")
    ended = folder.read_suggestion(1)
    record = a_record(folder.study, 1, 1.0, parameters=ended.parameters, iteration=None)
    clock.at[20] = lambda: folder.write_record(record)
    work(folder)
    assert clock.pauses == 20
    assert attempts(folder, 1) == [(1, "completed")]


def test_where_a_dead_worker_is_started_again_nobody_waits(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    a_job(folder)
    claim(folder, 1)
    work(folder, lease_minutes=None)
    assert attempts(folder, 1) == []
    assert waits(folder) == []


def test_where_nothing_is_open_nobody_waits(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    work(folder)
    check(folder)
    assert waits(folder) == []


def test_one_worker_waits_and_another_leaves_once_it_has_seen_a_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = a_folder(tmp_path)
    clock = Clock(folder, monkeypatch)
    a_job(folder)
    claim(folder, 1)
    storage.create(jobs.waits_uri(folder.root, "job-1", 7), b"{}")
    clock.at[2] = lambda: storage.create(jobs.waits_uri(folder.root, "job-1", 8), b"{}")
    work(folder)
    assert clock.pauses == 2
    assert caplog.messages[-1] == "branin: nothing is left to claim, and another worker waits for trial 1"
    assert attempts(folder, 1) == []
    assert waits(folder) == ["waits-7.json", "waits-8.json"]


def test_of_two_that_wait_one_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that slept has a successor when it wakes up."""
    folder = a_folder(tmp_path)
    clock = Clock(folder, monkeypatch)
    a_job(folder)
    claim(folder, 1)
    for pause, number in ((1, 5), (2, 6)):
        uri = jobs.waits_uri(folder.root, "job-1", number)
        clock.at[pause] = functools.partial(storage.create, uri, b"{}")
    work(folder)
    assert clock.pauses == 2
    assert attempts(folder, 1) == []


def test_of_two_that_want_to_wait_at_the_same_moment_one_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_folder(tmp_path)
    Clock(folder, monkeypatch)
    a_job(folder)
    claim(folder, 1)
    create = storage.create

    def overtaken(uri: str, content: bytes) -> None:
        if uri.endswith("/waits-1.json"):
            create(uri, content + b" ")
            raise ExistsError(uri)
        create(uri, content)

    monkeypatch.setattr(storage, "create", overtaken)
    work(folder)
    assert attempts(folder, 1) == []
    assert waits(folder) == ["waits-1.json"]


def test_where_the_one_that_waited_is_gone_the_next_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It created a file at each look, and three looks show no new one."""
    folder = a_folder(tmp_path)
    clock = Clock(folder, monkeypatch)
    a_job(folder)
    claim(folder, 1)
    storage.create(jobs.waits_uri(folder.root, "job-1", 7), b"{}")
    clock.at[MOST_SILENT_LOOKS + 1] = lambda: seen.extend(waits(folder))
    seen: list[str] = []
    work(folder)
    check(folder)
    assert seen == ["waits-7.json", "waits-8.json"]


def test_the_one_that_waits_evaluates_and_another_one_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may die too, of the same trial; when it is back it leaves to the other."""
    folder = a_folder(tmp_path)
    clock = Clock(folder, monkeypatch)
    a_job(folder)
    claim(folder, 1)

    def taken_long(*given: Any) -> Any:
        if given[1].trial == 1:
            clock.passes(3)
            work(folder)
        return run_attempt(*given)

    monkeypatch.setattr("kfp_bayesopt.trial.working.worker.run_attempt", taken_long)
    work(folder)
    check(folder)
    assert attempts(folder, 1)[:2] == [(1, "lost"), (2, "lost")]


def test_a_claim_of_another_job_is_taken_after_the_lease_of_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers need not give signs of life as often."""
    folder = a_folder(tmp_path)
    clock = Clock(folder, monkeypatch)
    a_job(folder, "job-0")
    claim(folder, 1, job="job-0")
    work(folder)
    check(folder)
    assert clock.pauses == folder.study.lease_minutes / (LEASE / LOOKS_A_LEASE)


class KilledError(BaseException):
    """A worker that is killed does nothing more."""


@contextmanager
def killed_at(change: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Kill the worker of the block just before one of its changes to the storage, and yield those that it made."""
    made: list[str] = []

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if len(made) + 1 >= change:
                raise KilledError
            made.append(f"{function.__name__} {next(each for each in given if isinstance(each, str))}")
            return function(*given, **named)

        return call

    with monkeypatch.context() as patch, suppress(KilledError):
        for name in ("create", "create_in", "replace", "delete"):
            patch.setattr(storage, name, counted(getattr(storage, name)))
        yield made


@pytest.mark.parametrize("who", ["a worker on its trial", "the one that waits", "both"])
def test_whoever_is_killed_and_wherever_the_study_is_complete(
    who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each change of a file; where nobody is left the next job goes on."""

    def begun(name: str) -> StudyFolder:
        folder = a_folder(tmp_path / name, trials=2)
        Clock(folder, monkeypatch)
        a_job(folder)
        if who != "a worker on its trial":
            claim(folder, 1)
        return folder

    with killed_at(10**9, monkeypatch) as changes:
        work(begun("whole"))
    assert len(changes) > (10 if who == "a worker on its trial" else 20)
    expected = [record.parameters for record in a_folder(tmp_path / "whole", trials=2).read().ledger]
    for change in random.Random(SEED).sample(range(1, len(changes) + 1), share(len(changes), 4)):
        folder = begun(f"killed-at-{change}")
        with killed_at(change, monkeypatch):
            work(folder)
        if who == "both":
            jobs.end(folder.root, "job-1", "failed", "1 of 2 trials have ended", "report")
            work(folder, job="job-2")
        else:
            work(folder)
        check(folder, 2)
        assert [record.parameters for record in folder.read().ledger] == expected, (change, changes[change - 1])
        assert all(record.value is not None for record in folder.read().ledger)


def test_the_lease_that_a_study_asks_for_counts(tmp_path: Path) -> None:
    asked = a_folder(tmp_path, lease_minutes=20)
    given = a_job(asked, lease_minutes=LEASE)
    assert lease_of(asked.study, given) == timedelta(minutes=20)
    plain = a_folder(tmp_path / "plain")
    assert lease_of(plain.study, given) == timedelta(minutes=LEASE)
    assert lease_of(plain.study, a_job(plain)) == timedelta(minutes=20)


def test_a_bucket_that_keeps_everything_does_not_hold_it_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(uri: str, below: str | None = None) -> bool:  # noqa: ARG001
        raise RetainedError(f"{uri}: is kept by the bucket")

    folder = a_folder(tmp_path)
    clock = Clock(folder, monkeypatch)
    a_job(folder)
    claim(folder, 1)
    monkeypatch.setattr(storage, "delete", refuse)
    work(folder)
    check(folder)
    assert len(waits(folder)) == clock.pauses


def test_one_that_is_told_to_stop_while_it_waits_stops_at_once(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    job = a_job(folder, lease_minutes=LEASE)
    claim(folder, 1)
    with Sessions() as sessions:
        worker = Worker(folder, job, None, tmp_path, sessions)
        running = Thread(target=_ended, args=(worker,))
        running.start()
        while not waits(folder):
            assert running.is_alive()
        worker.stop()
        running.join(30)
        assert not running.is_alive()
    assert attempts(folder, 1) == []


def _ended(worker: Worker) -> None:
    with pytest.raises(StoppedError):
        worker.run()


def test_older_jobs_say_nothing_of_it(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    path = Path(jobs.job_uri(folder.root, a_job(folder).job))
    assert "lease_minutes" not in json.loads(path.read_bytes())
    assert Job.model_validate_json(path.read_bytes()).lease_minutes is None
