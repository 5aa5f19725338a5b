"""Many workers on one bucket: the pause between a worker's trials, its storage requests, and their cost.

The storage is the tests' fake one, on this machine, whose cores all workers share: the seconds depend on the machine,
the requests do not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks import ROOT
from benchmarks.among import table
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.study.study import Study
from tests.builders import a_record, a_suggestion, write_folder
from tests.fake_storage import fake_storage
from tests.proofs.faulty_storage import door

WORKERS = int(os.environ.get("WORKERS", "8"))
TRIALS = int(os.environ.get("TRIALS", "200"))
SECONDS = float(os.environ.get("SECONDS", "0.02"))
"""The mean duration of a trial; from half to one and a half of it, so that they do not all end at once."""
BEFORE = int(os.environ.get("BEFORE", "0"))
"""The number of trials in the study when they begin."""
COUNTED = 200
"""Trials of one worker whose requests are counted, twice: the second ones find the first ones there."""
OBJECTIVE = "import time\ndef objective(x):\n    time.sleep({seconds} * (0.5 + x))\n    return x\n"


@dataclass(frozen=True)
class Load:
    """The figures of many workers.

    Attributes:
        pauses: Seconds from the end of each trial to the start of the next one of its worker, sorted.
        seconds: Duration of the whole run.
        megabytes: Peak memory of a worker, without its objectives.
    """

    pauses: list[float]
    seconds: float
    megabytes: float


def measure() -> str:
    """Return the figures as Markdown."""
    with fake_storage() as address:
        load = many(address, WORKERS, TRIALS)
        first, second = counted(address)
    before = f" in a study that has {BEFORE:,} already" if BEFORE else ""
    at = [load.pauses[int(len(load.pauses) * share)] for share in (0.5, 0.95)]
    return (
        f"One worker, requests for each of {COUNTED} trials, and for each of {COUNTED} more in the same study:\n\n"
        "| requests | first | more |\n| --- | --- | --- |\n"
        + "".join(f"| {kind} | {first[kind]:.1f} | {second.get(kind, 0.0):.1f} |\n" for kind in sorted(first))
        + f"\n{WORKERS} workers, {TRIALS:,} trials of {SECONDS:g} s{before}, engine `random`, on this machine and a "
        f"fake Cloud Storage: {load.seconds:.0f} s. From the end of a trial to the start of the next one of "
        f"its worker: median {at[0]:.2f} s, 95th percentile {at[1]:.2f} s. A worker had {load.megabytes:.0f} MB "
        f"at most.\n\n" + table()
    )


def counted(address: str) -> tuple[dict[str, float], dict[str, float]]:
    """Return the requests of each kind of one worker for a trial, at the begin of a study and later."""
    found = []
    with tempfile.TemporaryDirectory() as temporary, door(address.removeprefix("http://")) as between:
        for budget in (COUNTED, 2 * COUNTED):
            between.open()
            _run(between.address, Path(temporary), "gs://bucket/counted", 1, budget)
            found.append({kind: count / COUNTED for kind, count in Counter(between.operations).items()})
    return found[0], found[1]


def many(address: str, workers: int, trials: int) -> Load:
    """Run many workers on a study."""
    with tempfile.TemporaryDirectory() as temporary:
        fill(address, Path(temporary), "gs://bucket/many", workers, BEFORE)
        began = time.perf_counter()
        megabytes = _run(address, Path(temporary), "gs://bucket/many", workers, BEFORE + trials, SECONDS)
        seconds = time.perf_counter() - began
        records = _ledger(address, Path(temporary), "gs://bucket/many")
    by_worker: dict[str | None, list[Record]] = {}
    for record in sorted(records[BEFORE:], key=lambda each: each.started):
        by_worker.setdefault(record.worker, []).append(record)
    pauses = [
        (datetime.fromisoformat(after.started) - datetime.fromisoformat(before.started)).total_seconds()
        - before.seconds
        for own in by_worker.values()
        for before, after in pairwise(own)
    ]
    return Load(sorted(pauses), seconds, megabytes)


def fill(address: str, folder: Path, root: str, workers: int, trials: int) -> None:
    """Fill a study with a number of ended trials."""
    os.environ["STORAGE_EMULATOR_HOST"] = address
    study = Study.from_file(str(_study(folder, workers, max(trials, 1), 0)))
    batch = [a_suggestion(study, trial, {"x": trial / (trials + 1)}, iteration=None) for trial in range(1, trials + 1)]
    records = [
        a_record(study, each.trial, 0.5, parameters=each.parameters, iteration=None, worker="before") for each in batch
    ]
    write_folder(root, study, batch, records).fold(records)


def _study(folder: Path, workers: int, trials: int, seconds: float) -> Path:
    """Write a study and its objective, and return the study file."""
    study = folder / "study.yaml"
    asked = {
        "name": "load", "objective": {"python": "mine:objective"}, "schedule": "asynchronous", "trials": trials,
        "parallel_trials": workers, "optimizer": {"engine": "random"},
        "space": {"x": {"type": "real", "low": 0.0, "high": 1.0}},
    }  # fmt: skip
    study.write_text(json.dumps(asked))
    study.with_name("mine.py").write_text(OBJECTIVE.format(seconds=seconds))
    return study


def _run(address: str, folder: Path, root: str, workers: int, trials: int, seconds: float = 0.02) -> float:
    """Run workers to the end of a budget, and return the median of their peak megabytes."""
    study = _study(folder, workers, trials, seconds)
    environment = {**os.environ, "STORAGE_EMULATOR_HOST": address, "PYTHONPATH": str(ROOT)}
    job = f"load-{trials}"
    command = [sys.executable, "-m", "images.worker.main", "--root", root, "--study", str(study), "--job", job]
    processes = [
        subprocess.Popen(
            [*command, "--worker", str(number)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for number in range(1, workers + 1)
    ]
    most: dict[int, float] = {}
    while any(process.poll() is None for process in processes):
        for process in processes:
            most[process.pid] = max(most.get(process.pid, 0.0), _megabytes(process.pid))
        time.sleep(0.2)
    for process in processes:
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()
    return median(most.values())


def _megabytes(process: int) -> float:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines.get("VmHWM", "0 kB").split()[0]) / 1000


def _ledger(address: str, folder: Path, root: str) -> list[Record]:
    os.environ["STORAGE_EMULATOR_HOST"] = address
    return StudyFolder(root, Study.from_file(str(folder / "study.yaml"))).read().ledger
