"""A study folder of 10,000 trials: reading, folding and going on, compared with reading the same bytes as JSON."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import kfp_bayesopt_pipeline  # noqa: F401 - it makes the packages of the steps importable
from kfp_bayesopt.folder.publish import publish
from kfp_bayesopt.folder.study_folder import FOLD, StudyFolder
from kfp_bayesopt.folder.trials import Record, Seen, Suggestion, digest_of
from kfp_bayesopt.proposing.batches import advance
from kfp_bayesopt.study.study import Study

TRIALS = 10_000
BATCH = 16
UNFOLDED = FOLD
"""Trials after the last fold."""
STUDY: dict[str, object] = {
    "name": "large",
    "objective": {"python": "large:objective"},
    "iterations": TRIALS // BATCH + 1,
    "parallel_trials": BATCH,
    "space": {f"x{number}": {"type": "real", "low": 0, "high": 1} for number in range(4)},
}


def measure(runs: int = 5) -> str:
    """Return the figures as Markdown."""
    study = Study.from_text(json.dumps(STUDY).encode())
    with tempfile.TemporaryDirectory() as out:
        folder = StudyFolder(out, study)
        records = _write(folder, study)
        names = [Path(folder.record_uri(record.trial, 1)) for record in records]
        plain = _time(lambda: [json.loads(name.read_bytes()) for name in names], runs)
        unfolded = _time(folder.read, runs)
        began = time.perf_counter()
        folder.fold(records[: TRIALS - UNFOLDED])
        folding = time.perf_counter() - began
        folded = _time(folder.read, runs)
        publishing = _time(lambda: publish(folder, records), runs)
        proposing = _time(lambda: _propose(folder), runs)
    rows = {
        f"`json.loads` of {TRIALS:,} records, one file each": plain,
        "read a folder without folds": unfolded,
        f"fold {TRIALS - UNFOLDED:,} of them, once": folding,
        f"read it with folds and {UNFOLDED} records after them": folded,
        "write ledger, best trial, failures and summary": publishing,
        f"read it and propose {BATCH} trials (`gp`)": proposing,
    }
    return (
        f"A study folder of {TRIALS:,} trials on a disk, in one process, median of {runs}:\n\n"
        "| what | seconds | ratio |\n| --- | --- | --- |\n"
        + "".join(f"| {what} | {seconds:.2f} | {seconds / plain:.1f} |\n" for what, seconds in rows.items())
    )


def _write(folder: StudyFolder, study: Study) -> list[Record]:
    """Write the trials as `evaluate` does, and return their records."""
    records = []
    for trial in range(1, TRIALS + 1):
        common: dict[str, Any] = {
            "study": study.name,
            "fingerprint": study.fingerprint,
            "trial": trial,
            "iteration": (trial - 1) // BATCH + 1,
            "parameters": {
                name: (trial * prime) % 10_007 / 10_007 for name, prime in zip(study.space, PRIMES, strict=True)
            },
        }
        seen = Seen(highest=0, ledger=digest_of([]))  # as if all were proposed at once
        folder.write_suggestions([Suggestion(**common, seen=seen, optimizer={}, versions={})])
        value = sum((x - 0.3) ** 2 for x in common["parameters"].values())
        record = Record(
            **common, state="completed", values={"value": value}, started="2026-01-01T00:00:00+00:00", seconds=60,
            machine="vm", worker="vm:1", code=f"files:sha256:{'0' * 64}", processor_seconds=59.0,
        )  # fmt: skip
        folder.write_record(record)
        records.append(record)
    return records


PRIMES = (4999, 5003, 6007, 7001)


def _propose(folder: StudyFolder) -> None:
    trials = folder.read()
    advance(folder, trials, TRIALS)
    for number in trials.pending:
        Path(folder.suggestion_uri(number)).unlink()


def _time(function: Callable[[], object], runs: int) -> float:
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return median(seconds)
