"""Where the time of a study went."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.report.times import times_of
from tests.builders import a_record, a_study
from tests.made_ledgers import BEGIN

STUDY = a_study()


def record(trial: int, start: float, seconds: float, startup: float = 0.0, **changes: Any) -> Record:
    return a_record(
        STUDY,
        trial,
        started=(BEGIN + timedelta(seconds=start)).isoformat(),
        suggested=(BEGIN + timedelta(seconds=start - startup)).isoformat(),
        startup_seconds=startup,
        seconds=seconds,
        **changes,
    )


def job(submitted: float) -> Job:
    return Job(
        study=STUDY.name, fingerprint=STUDY.fingerprint, job="job-1", study_file="study/0.yaml", place="vertex",
        submitted=(BEGIN + timedelta(seconds=submitted)).isoformat(), by="me@here",
    )  # fmt: skip


def test_trials_side_by_side_have_a_place_each_and_wait_for_the_slowest() -> None:
    found = times_of(
        [record(1, 10, 100, 10), record(2, 10, 40, 10), record(3, 120, 50, 5, iteration=2),
         record(4, 120, 50, 5, iteration=2)], [],
    )  # fmt: skip
    assert [[span.trial for span in lane.spans] for lane in found.lanes] == [[1, 3], [2, 4]]
    assert found.running == 240
    assert found.idle == {"starting": 10 + 10 + 5 + 5, "proposing": pytest.approx(5 + 5), "waiting": pytest.approx(60)}
    assert found.total == pytest.approx(240 + 30 + 10 + 60)


def test_what_lies_between_the_slowest_of_a_batch_and_the_next_proposals_is_our_own_proposing() -> None:
    ledger = [record(1, 0, 10), record(2, 0, 4), record(3, 80, 10, 2, iteration=2), record(4, 80, 10, 2, iteration=2)]
    found = times_of(ledger, [])
    assert found.idle == {"starting": 4, "proposing": pytest.approx(2 * 68), "waiting": pytest.approx(6)}


def test_where_no_record_says_when_its_trial_was_proposed_nobody_knows_more_than_the_waiting() -> None:
    ledger = [record(1, 0, 10), record(2, 0, 4), record(3, 80, 10, 2, iteration=2), record(4, 80, 10, 2, iteration=2)]
    old = [each.model_copy(update={"suggested": None, "startup_seconds": None}) for each in ledger]
    assert times_of(old, []).idle == {
        "starting": 0, "proposing": 0, "waiting": pytest.approx(6), "unknown": pytest.approx(140),
    }  # fmt: skip


def test_trials_of_a_batch_that_came_one_after_another_were_not_proposed_in_between() -> None:
    """Two places for a batch of four: the second two were proposed with the first two."""
    ledger = [record(1, 0, 10), record(2, 0, 10), record(3, 12, 10, 12), record(4, 13, 10, 13)]
    assert times_of(ledger, []).idle == {"starting": 2 + 3, "proposing": 0, "waiting": 0}


def test_clocks_that_differ_make_no_time_negative() -> None:
    ledger = [record(1, 0, 10), record(2, 9, 10, iteration=2), record(3, 15, 1, 30, iteration=2)]
    found = times_of([each.model_copy(update={"startup_seconds": None}) for each in ledger], [])
    assert all(seconds >= 0 for seconds in found.idle.values())


def test_what_lies_between_two_jobs_is_no_waiting() -> None:
    found = times_of([record(1, 0, 100), record(2, 1000, 100, iteration=2)], [job(-5), job(950)])
    assert found.pauses == [(100.0, 950.0)]
    assert found.idle == {"starting": 0, "proposing": 50.0, "waiting": 0}


def test_a_job_that_joins_is_no_pause() -> None:
    assert times_of([record(1, 0, 100), record(2, 60, 100)], [job(-5), job(50)]).pauses == []


def test_a_worker_is_a_machine() -> None:
    ledger = [record(1, 0, 10, worker="a:1", iteration=None), record(2, 20, 10, worker="b:1", iteration=None),
              record(3, 30, 10, worker="a:1", iteration=None)]  # fmt: skip
    found = times_of(ledger, [])
    assert [(lane.worker, [span.trial for span in lane.spans]) for lane in found.lanes] == [
        ("a:1", [1, 3]),
        ("b:1", [2]),
    ]
    assert found.idle == {"starting": 0, "proposing": 20.0, "waiting": 0}, "a worker waits for nobody"


def test_without_trials_there_is_no_time() -> None:
    found = times_of([], [job(0)])
    assert (found.begin, found.lanes, found.running, found.total) == (None, [], 0, 0)
