"""One worker among many on one bucket: its storage requests and its processor time for a trial.

A process plays the other workers by writing their files: between two trials of the measured worker each of them ends a
trial and begins another. So the figures do not depend on the number of cores.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from kfp_bayesopt.folder.jobs import Job, now
from kfp_bayesopt.folder.known import is_kept_at, write_known
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Claim, Record, Suggestion
from kfp_bayesopt.store import gcs
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt.trial.working import worker as loop
from tests.builders import a_record, a_suggestion, write_folder
from tests.fake_storage import fake_storage
from tests.proofs.faulty_storage import door

TRIALS = 10
"""The trials that are measured."""
FIRST = 2
"""The worker's first trials, in which it imports its modules, do not count."""
CASES = ((8, 200), (64, 200), (64, 2000))
"""The number of workers, and of trials that have ended when they begin."""
ROOT = "gs://bucket/among"


@dataclass(frozen=True)
class Cost:
    """The cost of a trial to a worker, without its objective.

    Attributes:
        requests: The number of each kind.
        seconds: Processor time of each trial, sorted.
    """

    requests: dict[str, float]
    seconds: list[float]


def table() -> str:
    """Return the figures as Markdown."""
    kinds = ("create", "list", "read")
    rows = []
    for workers, before in CASES:
        cost = among(workers, before)
        requests = " | ".join(f"{cost.requests.get(kind, 0.0):.1f}" for kind in kinds)
        at_95 = cost.seconds[int(len(cost.seconds) * 0.95)]
        rows.append(f"| {workers} | {before:,} | {median(cost.seconds):.3f} s | {at_95:.3f} s | {requests} |\n")
    return (
        f"One worker among many, engine `random`, four parameters: processor time of ours and requests for a trial "
        f"({TRIALS} trials):\n\n"
        f"| workers | trials before | median | 95th percentile | {' | '.join(kinds)} |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n" + "".join(rows)
    )


def among(workers: int, before: int) -> Cost:
    """Measure one of several workers in a study with a given number of ended trials."""
    with fake_storage() as address:
        with door(address.removeprefix("http://")) as between:
            marks = _run(address, between.address, workers, before, lambda: Counter(between.operations))
        requests = marks[-1][1] - marks[0][1]
        each = {kind: count / (len(marks) - 1) for kind, count in requests.items()}
    with fake_storage() as address:
        times = _run(address, address, workers, before, Counter)
    seconds = [after[0][0] - begun[0][1] for begun, after in pairwise(times)]
    return Cost(each, sorted(seconds))


Mark = tuple[tuple[float, float], Counter[str]]
"""The processor time when a trial was proposed, and when it begins to end; and the requests until then."""


class _EnoughError(Exception):
    """The worker has evaluated all trials that are measured."""


def _run(address: str, for_worker: str, workers: int, before: int, requests: Any) -> list[Mark]:
    """Run a worker among others, and return its marks at each trial that counts."""
    study = _study(workers, before + (TRIALS + FIRST + 2) * workers * 2)
    marks: list[Mark] = []
    own: set[int] = set()
    with _others(address, study, before) as others, _storage_at(for_worker), tempfile.TemporaryDirectory() as here:

        def run_attempt(folder: StudyFolder, suggestion: Suggestion, *_: object) -> Record:
            proposed = time.process_time()
            own.add(suggestion.trial)
            counted = requests()
            if len(marks) == TRIALS + FIRST:
                raise _EnoughError
            others.send(own)
            others.recv()
            marks.append(((proposed, time.process_time()), counted))
            record = _record(study, suggestion.trial)
            folder.write_record(record)
            return record

        job = Job(
            study=study.name, fingerprint=study.fingerprint, job="among", study_file="study/none.yaml",
            place="in-process", submitted=now(), by="bench",
        )  # fmt: skip
        with mock.patch.object(loop, "run_attempt", run_attempt), Sessions() as sessions:
            worker = loop.Worker(StudyFolder(ROOT, study), job, 1, Path(here), sessions)
            with contextlib.suppress(_EnoughError):
                worker.run()
    return marks[FIRST:]


@contextlib.contextmanager
def _storage_at(address: str) -> Iterator[None]:
    gcs._client.cache_clear()
    with mock.patch.dict(os.environ, {"STORAGE_EMULATOR_HOST": address}):
        yield
    gcs._client.cache_clear()


@contextlib.contextmanager
def _others(address: str, study: Study, before: int) -> Iterator[Connection]:
    """Play the other workers; each message names the trials that are not theirs, and is answered after they act."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_play, args=(address, there, study.parallel_trials, study.budget, before), daemon=True
    )
    process.start()
    here.recv()
    try:
        yield here
    finally:
        here.send(None)
        process.join()


def _play(address: str, pipe: Connection, workers: int, budget: int, before: int) -> None:
    os.environ["STORAGE_EMULATOR_HOST"] = address
    study = _study(workers, budget)
    records = [_record(study, trial) for trial in range(1, before + 1)]
    folder = write_folder(ROOT, study, [_suggestion(study, each.trial) for each in records], records)
    folder.fold(records)
    running: list[int] = []
    latest: list[Record] = []
    following = before + 1
    pipe.send(None)
    while (own := pipe.recv()) is not None:
        ending = list(running)
        for _ in range(workers - 1):
            if ending:
                record = _record(study, ending.pop(0))
                folder.write_record(record)
                running.remove(record.trial)
                latest = [*latest, record][-2 * workers :]
            while following in own:
                following += 1
            _begin(folder, following)
            running.append(following)
            if is_kept_at(folder, following):
                write_known(folder, following, latest, [_suggestion(study, trial) for trial in running])
            following += 1
        pipe.send(None)


def _begin(folder: StudyFolder, trial: int) -> None:
    study = folder.study
    claim = Claim(
        study=study.name, fingerprint=study.fingerprint, trial=trial, attempt=1, worker="other:1", token="0" * 32,
        claimed=now(),
    )  # fmt: skip
    assert folder.claim(claim)
    folder.write_suggestions([_suggestion(study, trial)])


def _study(workers: int, budget: int) -> Study:
    asked = {
        "name": "among", "objective": {"python": "mine:objective"}, "schedule": "asynchronous", "trials": budget,
        "parallel_trials": workers, "optimizer": {"engine": "random"},
        "space": {name: {"type": "real", "low": 0.0, "high": 1.0} for name in ("a", "b", "c", "d")},
    }  # fmt: skip
    return Study.from_text(json.dumps(asked).encode())


def _point(study: Study, trial: int) -> dict[str, Any]:
    numbers = random.Random(trial)
    return {name: numbers.random() for name in study.space}


def _suggestion(study: Study, trial: int) -> Suggestion:
    return a_suggestion(study, trial, _point(study, trial), iteration=None)


def _record(study: Study, trial: int) -> Record:
    return a_record(study, trial, trial % 97 / 97, parameters=_point(study, trial), iteration=None, worker="other:1")
