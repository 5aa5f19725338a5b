"""Where the time of a study went."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bayesopt.jobs import Job
from bayesopt.trials import Record
from reporting.times import times_of
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
    found = times_of([record(1, 10, 100, 10), record(2, 10, 40, 10), record(3, 120, 50, 5), record(4, 120, 50, 5)], [])
    assert [[span.trial for span in lane.spans] for lane in found.lanes] == [[1, 3], [2, 4]]
    assert found.running == 240
    assert found.starting == 10 + 10 + 5 + 5
    assert found.waiting == pytest.approx((10 - 5) + (70 - 5))


def test_what_lies_between_two_jobs_is_no_waiting() -> None:
    found = times_of([record(1, 0, 100), record(2, 1000, 100)], [job(-5), job(950)])
    assert found.pauses == [(100.0, 950.0)]
    assert found.waiting == 50.0


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
    assert found.waiting == 20.0


def test_without_trials_there_is_no_time() -> None:
    found = times_of([], [job(0)])
    assert (found.begin, found.lanes, found.running, found.waiting) == (None, [], 0, 0)
