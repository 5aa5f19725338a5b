"""A worker: what it claims, takes over and leaves, and when it ends."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from images.worker.main import main
from kfp_bayesopt.errors import RetainedError, UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.jobs import Job, Rate, ensure_job
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.roots import move_aside
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Claim, Reason, Record
from kfp_bayesopt.proposing.asynchronous import propose_beside
from kfp_bayesopt.session.summary import summary
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial import interrupts
from kfp_bayesopt.trial.evaluate import evaluate
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt.trial.working import heartbeat
from kfp_bayesopt.trial.working import worker as loop
from kfp_bayesopt.trial.working.work import work as work_as
from kfp_bayesopt.trial.working.worker import Worker
from tests.builders import a_record, write_study

SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}
VALUE = "def objective(x): return x"
RANDOM = {"engine": "random"}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "JITTER_SECONDS", 0.0)


def a_folder(tmp_path: Path, code: str = VALUE, **changes: Any) -> StudyFolder:
    """Return the folder of an asynchronous study of 4 trials."""
    asked = {
        "schedule": "asynchronous", "iterations": None, "trials": 4, "optimizer": RANDOM, "space": SPACE, **changes,
    }  # fmt: skip
    return StudyFolder(str(tmp_path / "out"), Study.from_file(str(write_study(tmp_path, code, **asked))))


def a_job(folder: StudyFolder, name: str = "job-1", **changes: Any) -> Job:
    """Return a job that the folder knows."""
    job = ensure_job(folder, name, "study.yaml").model_copy(update=changes)
    storage.replace(jobs.job_uri(folder.root, name), job.to_bytes())
    return job


def work(folder: StudyFolder, job: Job | None = None, place: int | None = None, code: Path | None = None) -> Worker:
    """Let a worker work until it ends, with the code beside a folder of this machine unless it is somewhere else."""
    with Sessions() as sessions:
        worker = Worker(folder, job or a_job(folder), place, code or Path(folder.root).parent, sessions)
        worker.run()
    return worker


def attempts(folder: StudyFolder, trial: int) -> list[tuple[int, str]]:
    """Return the records of a trial: number of the attempt, and its state or why it failed."""
    records = [folder.read_record(trial, attempt) for attempt in sorted(folder.files_of(trial).records)]
    return [(each.attempt, each.reason.kind if each.reason else each.state) for each in records]


def claim(
    folder: StudyFolder, trial: int, attempt: int = 1, job: str | None = "job-1", place: int | None = None
) -> None:
    """Claim an attempt for somebody who is never seen again."""
    whose = Claim(
        study=folder.study.name, fingerprint=folder.study.fingerprint, trial=trial, attempt=attempt, worker="gone:1",
        place=place, token="t", job=job, claimed=jobs.now(),
    )  # fmt: skip
    assert folder.claim(whose)


def age(folder: StudyFolder, minutes: float, paths: Iterable[str] = ()) -> None:
    """Let everything of the trials, or some files, have been written so long ago, by the clock of the storage."""
    then = time.time() - minutes * 60
    for path in [Path(each) for each in paths] or Path(folder.root, "trials").rglob("*.json"):
        os.utime(path, (then, then))


def suggest(folder: StudyFolder, *trials: int) -> None:
    """Propose trials, as a worker does that dies then."""
    for trial in trials:
        suggestion = propose_beside(folder.study, folder.read(), [], trial)
        assert suggestion is not None
        folder.write_suggestions([suggestion])


# --- what it does ------------------------------------------------------------------------------


def test_a_worker_alone_spends_the_budget(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    worker = work(folder)
    assert [attempts(folder, trial) for trial in (1, 2, 3, 4)] == [[(1, "completed")]] * 4
    assert list(worker.lookout.trials.records) == [1, 2, 3, 4]
    assert folder.files_of(5).claims == []


def test_a_suggestion_says_what_it_had_seen(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    claim(folder, 1)
    suggest(folder, 1)
    claim(folder, 2)  # and not proposed
    work(folder)
    third, fourth = folder.read_suggestion(3).seen, folder.read_suggestion(4).seen
    assert (third.highest, third.pending, third.unknown) == (0, [1], [2])
    assert (fourth.highest, fourth.pending, fourth.unknown) == (3, [1], [2])
    assert folder.read_suggestion(4).iteration is None


def test_a_point_that_somebody_has_just_taken_is_not_tried_again(tmp_path: Path) -> None:
    """Two workers that do not know of each other come upon one point, and the first is gone before it says so."""
    folder = a_folder(tmp_path, optimizer={"engine": "gp"})
    claim(folder, 1)
    second = propose_beside(folder.study, folder.read(), [1], 2)
    assert second is not None
    first = second.model_copy(update={"trial": 1, "seen": second.seen.model_copy(update={"unknown": []})})
    assert folder.take_point(first) == first
    work(folder)
    assert folder.read_suggestion(1) == first
    assert folder.read_suggestion(2).parameters != first.parameters
    assert folder.read_suggestion(2).seen.pending == [1]


def test_a_point_whose_trial_was_proposed_anew_is_free(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    claim(folder, 1)
    second = propose_beside(folder.study, folder.read(), [1], 2)
    assert second is not None
    folder.take_point(second.model_copy(update={"trial": 1}))
    suggest(folder, 1)
    work(folder)
    assert folder.read_suggestion(2).parameters == second.parameters
    assert folder.read_suggestion(1).parameters != second.parameters


def test_more_workers_than_trials_find_nothing_to_do(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, trials=1, parallel_trials=1)
    work(folder)
    work(folder)
    assert attempts(folder, 1) == [(1, "completed")]
    assert list(folder.read().records) == [1]


def test_a_worker_that_is_slower_than_many_others_finds_a_number_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they have claimed since it looked costs it a few requests, and not one for each of their trials."""
    folder = a_folder(tmp_path, trials=200)
    asked: list[int] = []
    create_claim = Worker._create_claim

    def counted(self: Worker, number: int, attempt: int) -> bool:
        if not asked:
            for other in range(1, 101):
                claim(folder, other)
        asked.append(number)
        has_it = create_claim(self, number, attempt)
        if has_it:
            self._stop("enough")
        return has_it

    monkeypatch.setattr(Worker, "_create_claim", counted)
    work(folder)
    assert asked[0] == 1
    assert asked[-1] > 100
    assert len(asked) < 30
    assert len(set(asked)) == len(asked)


def test_a_larger_budget_goes_on_and_a_smaller_one_ends(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    work(folder)
    smaller = a_folder(tmp_path, trials=2)
    assert smaller.root == folder.root
    claim(smaller, 6)  # by a worker that knows a larger budget
    work(smaller)
    larger = a_folder(tmp_path, trials=6)
    work(larger)
    assert sorted(larger.read().records) == [1, 2, 3, 4, 5]
    assert larger.files_of(6).records == []


def test_trials_of_batches_are_finished_and_others_follow(tmp_path: Path) -> None:
    """One line of the study file changes the schedule, also where trials are proposed and not evaluated."""
    folder = a_folder(tmp_path)
    suggest(folder, 1, 2)
    work(folder)
    assert [attempts(folder, trial) for trial in (1, 2, 3, 4)] == [[(1, "completed")]] * 4


def test_a_failed_trial_is_data(tmp_path: Path) -> None:
    folder = a_folder(
        tmp_path, "def objective(x):\n    if x > 4: raise ValueError(x)\n    return x", max_failed_trials=4
    )
    work(folder)
    states = {state for trial in (1, 2, 3, 4) for _, state in attempts(folder, trial)}
    assert states == {"completed", "raised"}


# --- when it ends ------------------------------------------------------------------------------


def test_a_target_ends_the_job_for_all_workers(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, stop={"target": 9.0})
    work(folder)
    ended = jobs.end_of(folder.root, "job-1")
    assert ended is not None
    assert (ended.state, ended.step) == ("succeeded", "worker")
    assert sorted(folder.read().records) == [1]
    work(folder)
    assert sorted(folder.read().records) == [1]


def test_too_many_failed_trials_end_the_job(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "def objective(x): raise ValueError(x)", max_failed_trials=1)
    work(folder)
    ended = jobs.end_of(folder.root, "job-1")
    assert ended is not None
    assert ended.state == "failed"
    assert (ended.reason or "").startswith("2 of 2 trials have failed, more than 1")


def test_two_equal_mistakes_end_the_job(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "import no_such_module")
    work(folder)
    ended = jobs.end_of(folder.root, "job-1")
    assert ended is not None
    assert ended.state == "failed"
    assert "no_such_module" in (ended.reason or "")
    assert len(folder.read().records) == 2


def test_a_worker_whose_job_ends_between_two_trials_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = a_folder(tmp_path, stop={"target": 9.0})
    work(folder)
    work(folder)
    assert caplog.messages[-1].startswith("worker: nothing more to do, job job-1 has ended: the best value, ")


@pytest.mark.parametrize("step", ["worker", "evaluate"])
def test_a_step_whose_job_fails_while_it_evaluates_says_why_it_stops(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(interrupts, "SECONDS_BETWEEN_LOOKS", 0.05)
    caplog.set_level(logging.INFO)
    code = "import pathlib, time\ndef objective(x):\n    pathlib.Path('called').touch()\n    time.sleep(600)"
    folder = a_folder(tmp_path, code)
    a_job(folder)
    suggest(folder, 1)
    given = (folder.root, str(tmp_path / "study.yaml"), "job-1", 1)
    running = Thread(target=work_as if step == "worker" else evaluate, args=given)
    running.start()
    while not (tmp_path / "called").exists():
        time.sleep(0.01)
    jobs.end(folder.root, "job-1", "failed", "too many trials have failed", "worker")
    running.join(30)
    assert not running.is_alive()
    assert caplog.messages[-1] == f"{step}: nothing more to do, job job-1 has ended: too many trials have failed"
    assert attempts(folder, 1) == []


def test_an_emptied_space_ends_the_job(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, space={"x": {"type": "integer", "low": 1, "high": 2}})
    work(folder)
    ended = jobs.end_of(folder.root, "job-1")
    assert ended is not None
    assert ended.reason == "every point of the space has been tried, 2 trials"
    assert sorted(folder.read().records) == [1, 2]


def test_improvement_is_counted_in_trials(tmp_path: Path) -> None:
    code = "import os\ndef objective(x): return abs(int(os.environ['BAYESOPT_TRIAL']) - 2)"
    folder = a_folder(tmp_path, code, trials=20, stop={"no_improvement_trials": 3})
    work(folder)
    assert sorted(folder.read().records) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("seconds", "ended"), [(3600.0, 2), (3400.0, 4)])
def test_hours_are_those_of_all_workers(seconds: float, ended: int, tmp_path: Path) -> None:
    """By the trials' own clocks: of 2 workers an hour has passed when their trials have taken two."""
    folder = a_folder(tmp_path, stop={"max_hours": 1.0})
    suggest(folder, 1, 2)
    for trial, pending in folder.read().pending.items():
        record = a_record(folder.study, trial, parameters=pending.parameters, iteration=None, seconds=seconds)
        folder.write_record(record)
    work(folder)
    assert sorted(folder.read().records) == list(range(1, ended + 1))


def test_trials_cost_what_their_machine_does_and_the_first_one_its_start(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, trials=20, stop={"max_cost": 1.0})
    rate = Rate(hour=3600.0, start_seconds=0.8, currency="USD", prices="2026-11-27")
    work(folder, a_job(folder, rate=rate))
    ledger = folder.read().ledger
    assert ledger[0].cost == pytest.approx(ledger[0].seconds + 0.8)
    assert ledger[1].cost == pytest.approx(ledger[1].seconds)
    cost = sum(record.cost or 0 for record in ledger)
    assert 1.0 <= cost < 1.0 + (ledger[-1].cost or 0)
    assert len(ledger) < 20
    best = Best.of(folder.study, ledger)
    assert best.cost == pytest.approx(cost)
    assert f"the trials have cost about {best.cost:.2f}" in summary(best)


def test_an_engine_that_raises_ends_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("matrix is singular")

    folder = a_folder(tmp_path)
    monkeypatch.setattr(loop, "propose_beside", fail)
    with pytest.raises(UserError) as raised:
        work(folder)
    assert raised.value.message == (
        "optimizer: the engine 'random' cannot propose trial 1: ValueError: matrix is singular; all records are kept: "
        "go on with another engine, such as random"
    )


def test_a_folder_that_is_moved_away_gets_nothing_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """FRESH=1 while a worker runs."""
    folder = a_folder(tmp_path)
    with Sessions() as sessions:
        worker = Worker(folder, a_job(folder), None, tmp_path, sessions)
        worker._begin()
        move_aside(Path(folder.root))
        worker._begin = lambda: None  # type: ignore[method-assign]
        worker.run()
    assert not list(Path(folder.root).glob("trials/*"))
    assert "was moved away or deleted while this worker ran" in caplog.text


# --- claims --------------------------------------------------------------------------------------


def test_of_two_that_a_store_lets_claim_one_trial_the_one_whose_claim_is_there_has_it(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As SeaweedFS did: both are told that they have created it."""
    folder = StudyFolder(f"{bucket}/lying", a_folder(tmp_path).study)
    real = StudyFolder.claim

    def claims(self: StudyFolder, claim: Claim) -> bool:
        created = real(self, claim)
        if claim.trial == 2:
            theirs = claim.model_copy(update={"token": "theirs", "worker": "faster:1"})
            storage.replace(self.claim_uri(claim.trial, claim.attempt), theirs.to_bytes())
        return created

    monkeypatch.setattr(StudyFolder, "claim", claims)
    work(folder, code=tmp_path)
    assert attempts(folder, 2) == []
    assert folder.files_of(2).suggested is None
    assert [attempts(folder, trial) for trial in (1, 3, 4)] == [[(1, "completed")]] * 3
    assert "trial 2: attempt 1: its store let another worker claim it too, who has it" in caplog.text


def test_a_worker_that_loses_every_claim_of_a_large_budget_has_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of 64 that begin together may; a hundred lost ones are more than doublings that a number of Python has."""
    folder = a_folder(tmp_path, trials=100)
    tried: list[int] = []
    monkeypatch.setattr(StudyFolder, "claim", lambda _, claim: tried.append(claim.trial))
    work(folder)
    assert sorted(tried) == list(range(1, 101))


def test_a_claim_is_kept_where_what_a_list_gives_is_no_md5(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder(f"{bucket}/own-keys", a_folder(tmp_path).study)
    real = storage.entries
    monkeypatch.setattr(
        storage, "entries", lambda *args, **more: (replace(each, md5="0" * 32) for each in real(*args, **more))
    )
    work(folder, code=tmp_path)
    assert [attempts(folder, trial) for trial in (1, 2, 3, 4)] == [[(1, "completed")]] * 4


# --- what others leave -------------------------------------------------------------------------


@pytest.mark.parametrize("is_proposed", [True, False])
def test_a_trial_without_a_sign_of_life_is_taken_over(is_proposed: bool, tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    a_job(folder)
    claim(folder, 1)
    if is_proposed:
        suggest(folder, 1)
    age(folder, 21)
    work(folder)
    assert attempts(folder, 1) == [(1, "lost"), (2, "completed")]
    assert sorted(folder.read().records) == [1, 2, 3, 4]


def test_a_trial_whose_worker_lives_is_left_alone(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    claim(folder, 1)
    suggest(folder, 1)
    age(folder, 60)
    storage.replace(folder.heartbeat_uri(1, 1), b"{}")
    age(folder, 19, [folder.heartbeat_uri(1, 1)])
    work(folder)
    assert attempts(folder, 1) == []
    assert sorted(folder.read().records) == [2, 3, 4]


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_clock_that_is_wrong_by_hours_changes_nothing(hours: int, tmp_path: Path) -> None:
    """What a claim says of its time is for people."""
    folder = a_folder(tmp_path)
    claim(folder, 1)
    path = Path(folder.claim_uri(1, 1))
    wrong = (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="milliseconds")
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "claimed": wrong}))
    work(folder)
    assert attempts(folder, 1) == []
    age(folder, 21)
    jobs.end(folder.root, "job-1", "failed", "x", "test")
    work(folder, a_job(folder, "job-2"))
    assert attempts(folder, 1) == [(1, "lost"), (2, "completed")]


def test_a_trial_of_a_job_that_has_ended_is_taken_at_once(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    a_job(folder, "job-0")
    claim(folder, 1, job="job-0")
    jobs.end(folder.root, "job-0", "failed", "somebody stopped it", "cancel")
    work(folder)
    assert attempts(folder, 1) == [(1, "lost"), (2, "completed")]


def test_a_worker_that_starts_again_in_its_place_finishes_what_it_had(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    claim(folder, 1, place=1)
    claim(folder, 2, place=2)
    suggest(folder, 1, 2)
    work(folder, place=1)
    assert attempts(folder, 1) == [(1, "lost"), (2, "completed")]
    assert attempts(folder, 2) == []


@pytest.mark.parametrize("how", ["its worker wakes up", "another worker has taken it over"])
def test_a_trial_that_ends_while_it_is_taken_over_is_left_alone(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look of a worker and what it does then, anything may happen: pending and ended exclude each other."""
    folder = a_folder(tmp_path, trials=6)
    suggest(folder, 1)
    claim(folder, 1)
    age(folder, 21)
    parameters = folder.read_suggestion(1).parameters
    take = Worker._take

    def overtaken(self: Worker, number: int, attempt: int) -> bool:
        if how == "another worker has taken it over":
            folder.write_record(a_lost_record(folder, 1, parameters))
            claim(folder, 1, 2)
            folder.write_record(a_record(folder.study, 1, 1.0, parameters=parameters, iteration=None, attempt=2))
        else:
            folder.write_record(a_record(folder.study, 1, 1.0, parameters=parameters, iteration=None))
        return take(self, number, attempt)

    monkeypatch.setattr(Worker, "_take", overtaken)
    worker = work(folder)
    assert not worker.lookout.trials.pending
    assert [folder.read_suggestion(number).seen.pending for number in range(2, 7)] == [[]] * 5
    assert len(list(Path(folder.root, "points").iterdir())) == 5  # nobody proposed the first one once more
    assert list(folder.read().records) == [1, 2, 3, 4, 5, 6]


def test_a_trial_that_ends_just_after_it_was_claimed_is_not_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_folder(tmp_path)
    suggest(folder, 1)
    claim(folder, 1)
    age(folder, 21)
    parameters = folder.read_suggestion(1).parameters
    create = Worker._create_claim

    def overtaken(self: Worker, number: int, attempt: int) -> bool:
        claimed = create(self, number, attempt)
        if (number, attempt) == (1, 2):
            folder.write_record(a_record(folder.study, 1, 1.0, parameters=parameters, iteration=None, attempt=2))
        return claimed

    monkeypatch.setattr(Worker, "_create_claim", overtaken)
    work(folder)
    assert attempts(folder, 1) == [(1, "lost"), (2, "completed")]
    assert [folder.read_suggestion(number).seen.pending for number in (2, 3, 4)] == [[]] * 3
    assert list(folder.read().records) == [1, 2, 3, 4]


def test_a_trial_that_has_ended_is_pending_for_no_suggestion(tmp_path: Path) -> None:
    """Whatever a picture of the trials says: that it has ended wins."""
    folder = a_folder(tmp_path)
    suggest(folder, 1)
    trials = folder.read()
    pending = dict(trials.pending)
    trials.add(a_record(folder.study, 1, 1.0, parameters=pending[1].parameters, iteration=None))
    trials.pending.update(pending)
    second = propose_beside(folder.study, trials, [], 2)
    assert second is not None
    assert (second.seen.highest, second.seen.pending) == (1, [])


@pytest.mark.parametrize("name", ["claim-1.json", "record-1.json"])
@pytest.mark.parametrize("trial", ["000002", "000700", "100000000"])
def test_a_file_that_somebody_planted_blocks_no_trial(name: str, trial: str, tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    path = Path(folder.root, "trials", trial, name)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    age(folder, 21)
    work(folder)
    assert list(folder.read().records) == [1, 2, 3, 4]


def test_after_three_lost_workers_a_trial_has_failed(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    suggest(folder, 1)
    for number in (1, 2, 3):
        a_job(folder, f"job-{number}")
        claim(folder, 1, number, job=f"job-{number}")
        jobs.end(folder.root, f"job-{number}", "failed", "its machine was lost", "test")
        if number < 3:
            lost = folder.read_suggestion(1).parameters
            folder.write_record(a_lost_record(folder, number, lost))
    work(folder, a_job(folder, "job-4"))
    assert attempts(folder, 1) == [(1, "lost"), (2, "lost"), (3, "abandoned")]
    record = folder.read().records[1]
    assert record.is_final
    assert record.reason is not None
    assert record.reason.message == "its worker was lost 3 times, often because the machine had no memory left"
    assert sorted(folder.read().records) == [1, 2, 3, 4]


def a_lost_record(folder: StudyFolder, attempt: int, parameters: Any, status: int | None = None) -> Record:
    """Return the record of an attempt whose worker was lost."""
    return Record(
        study=folder.study.name, fingerprint=folder.study.fingerprint, trial=1, attempt=attempt, parameters=parameters,
        state="failed", reason=Reason(kind="lost", exit=status, message="lost"), started=jobs.now(), seconds=0,
    )  # fmt: skip


def test_machines_that_are_taken_away_are_no_lost_workers(tmp_path: Path) -> None:
    """A spot machine says that it goes: however often, the trial is tried again."""
    folder = a_folder(tmp_path)
    suggest(folder, 1)
    for number in range(1, 6):
        claim(folder, 1, number)
        folder.write_record(a_lost_record(folder, number, folder.read_suggestion(1).parameters, status=-signal.SIGTERM))
    work(folder)
    assert attempts(folder, 1)[-1] == (6, "completed")


def test_of_a_worker_that_wakes_up_too_late_nothing_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever took its trial has written the record of its attempt."""
    code = "import pathlib, time\ndef objective(x):\n    pathlib.Path('called').touch()\n"
    code += "    while not pathlib.Path('go').exists(): time.sleep(0.01)\n    return x"
    folder = a_folder(tmp_path, code, trials=1, parallel_trials=1)
    slow = Thread(target=work, args=(folder,))
    slow.start()
    while not (tmp_path / "called").exists():
        time.sleep(0.01)
    parameters = folder.read_suggestion(1).parameters
    folder.write_record(a_lost_record(folder, 1, parameters))
    (tmp_path / "go").touch()
    slow.join(60)
    assert attempts(folder, 1)[0] == (1, "lost")
    assert attempts(folder, 1)[-1][1] == "completed"  # it has taken the trial itself, as another attempt
    assert "attempt 1 was taken for lost; its value does not count" in caplog.text


def test_a_lost_trial_of_an_earlier_job_and_a_mistake_are_tried_again(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "import no_such_module", trials=2)
    work(folder)
    (tmp_path / "mine.py").write_text(VALUE)
    work(folder, a_job(folder, "job-2"))
    assert [attempts(folder, trial) for trial in (1, 2)] == [[(1, "mistake"), (2, "completed")]] * 2


def test_failed_trials_are_tried_again_once_where_the_job_says_so(tmp_path: Path) -> None:
    code = "def objective(x): raise ValueError(x)"
    folder = a_folder(tmp_path, code, trials=3, max_failed_trials=3)
    work(folder)
    again = a_job(folder, "job-2", retry_failed=True)
    work(folder, again)
    work(folder, again)
    assert [attempts(folder, trial) for trial in (1, 2, 3)] == [[(1, "raised"), (2, "raised")]] * 3


@pytest.mark.parametrize("hole", [1, 2, 3])
def test_a_number_that_nobody_has_is_claimed(hole: int, tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    work(folder)
    for path in Path(folder.root, "trials", f"{hole:06d}").iterdir():
        path.unlink()
    work(folder, a_job(folder, "job-2"))
    assert attempts(folder, hole) == [(1, "completed")]


def test_a_record_without_a_claim_counts(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    work(folder)
    for trial in (1, 2):
        Path(folder.claim_uri(trial, 1)).unlink()
    work(folder, a_job(folder, "job-2"))
    assert [attempts(folder, trial) for trial in (1, 2)] == [[(1, "completed")]] * 2


# --- signs of life -----------------------------------------------------------------------------

SLOW = "import time\ndef objective(x):\n    time.sleep(0.5)\n    return x"


def test_a_trial_that_takes_long_gets_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEATS_A_LEASE", 20 * 60 / 0.1)
    folder = a_folder(tmp_path, SLOW, trials=1, parallel_trials=1)
    work(folder)
    assert json.loads(Path(folder.heartbeat_uri(1, 1)).read_bytes())["attempt"] == 1


def test_a_short_trial_needs_none(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, trials=1, parallel_trials=1)
    work(folder)
    assert not Path(folder.heartbeat_uri(1, 1)).exists()


def test_a_sign_of_life_that_is_refused_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(uri: str, _: bytes) -> None:
        raise RetainedError(f"{uri}: is kept by the bucket")

    monkeypatch.setattr(heartbeat, "BEATS_A_LEASE", 20 * 60 / 0.1)
    folder = a_folder(tmp_path, SLOW, trials=1, parallel_trials=1)
    job = a_job(folder)
    monkeypatch.setattr(storage, "replace", refuse)
    work(folder, job)
    assert attempts(folder, 1) == [(1, "completed")]
    assert "no sign of life can be written, so that it is taken for lost after 20 minutes" in caplog.text


def test_what_it_does_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    work(a_folder(tmp_path, trials=1, parallel_trials=1))
    assert "trial 1: completed: " in caplog.text
    assert caplog.messages[-1] == "branin: nothing is left to claim"


def test_a_thousand_records_are_folded_by_one_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a worker that comes later reads few files."""
    monkeypatch.setattr(loop, "FOLD", 4)
    monkeypatch.setattr("kfp_bayesopt.folder.study_folder.FOLD", 4)
    folder = a_folder(tmp_path, trials=7)
    work(folder)
    assert [path.name for path in Path(folder.root).glob("ledger-*")] == ["ledger-00000004.jsonl"]
    assert len(folder.read().records) == 7


def test_by_hand_a_worker_ends_the_job_that_it_has_made(tmp_path: Path) -> None:
    """Or no other job could begin."""
    folder = a_folder(tmp_path, trials=1, parallel_trials=1)
    arguments = ["--root", folder.root, "--study", str(tmp_path / "study.yaml")]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    (job,) = jobs.list_jobs(folder.root)
    assert job.job.startswith("by-hand-")
    ended = jobs.end_of(folder.root, job.job)
    assert ended is not None
    assert ended.state == "succeeded"
