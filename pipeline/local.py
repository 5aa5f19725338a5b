"""Runs a study on this machine: the same steps on local paths, trials in parallel processes.

What a step has written is kept, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from bayesopt import storage
from bayesopt.errors import NotFoundError, UserError
from bayesopt.study import Study
from bayesopt.study_file import load_study
from bayesopt.trials import Batch, Best, Record, read_batch, read_best, read_record
from images.init import main as init
from images.update import main as update
from pipeline import ROOT, STEP_PATHS
from pipeline.chain import Chain
from pipeline.progress import Progress

LOCK = ".lock"
RESULTS = ("best.json", "trials.jsonl", "optimizer.dill")


def run(study_path: str, out: Path | None, jobs: int | None, fresh: bool) -> Best:
    """Run a study to its end and return the best trial.

    Args:
        study_path: The study file.
        out: The folder of the results; `out/<study name>` by default.
        jobs: How many trials run at the same time; by default one for each core, and no more than
            `parallel_trials`.
        fresh: Move aside what the folder holds and start anew, instead of going on.

    Raises:
        UserError: The study has a mistake, its objective cannot be called, the folder holds
            another study or is in use, or too many trials have failed.
    """
    study = load_study(study_path)
    folder = out or Path("out") / study.name
    if folder.parts[0] == "gs:":
        raise UserError(f"{folder}: a local folder must be given; on this machine a study keeps its results there")
    chain = Chain(str(Path(study_path).resolve()), str(folder))
    jobs = jobs or min(study.parallel_trials, os.cpu_count() or 1)
    with _locked(folder), Progress(study, folder, jobs) as progress:
        if fresh:
            _move_aside(folder)
        try:
            batch = read_batch(chain.suggestions(0), study)
        except NotFoundError:
            _call_step(init.main, chain.init())
            batch = read_batch(chain.suggestions(0), study)
        storage.write(str(folder / "study.yaml"), storage.read(study_path))
        iteration = 0
        while batch.suggestions:
            iteration = batch.iteration
            batch = _iterate(study, chain, batch, jobs, progress)
        return read_best(chain.best(iteration), study)


def _iterate(study: Study, chain: Chain, batch: Batch, jobs: int, progress: Progress) -> Batch:
    """Evaluate a batch, learn from it and return the next one."""
    for record, kept in _evaluate_all(study, chain, batch, jobs):
        progress.show(record, kept)
    try:
        following = read_batch(chain.suggestions(batch.iteration), study)
    except NotFoundError:
        following = None
    # An empty batch is made again: the budget of the study may have grown since.
    if following is None or not following.suggestions:
        try:
            _call_step(update.main, chain.update(batch.iteration, len(batch.suggestions)))
        finally:
            _publish(chain, batch.iteration)
        following = read_batch(chain.suggestions(batch.iteration), study)
    return following


def _move_aside(folder: Path) -> None:
    """Move what the folder holds to a folder beside it, named by the time."""
    kept = [item for item in folder.iterdir() if item.name != LOCK]
    if kept:
        aside = Path(f"{folder}.{datetime.now():%Y-%m-%dT%H-%M-%S}")
        aside.mkdir()
        for item in kept:
            item.rename(aside / item.name)


def _publish(chain: Chain, iteration: int) -> None:
    """Copy the results of an iteration to where a person looks for them."""
    for name in RESULTS:
        with contextlib.suppress(NotFoundError):
            storage.write(f"{chain.root}/{name}", storage.read(chain.path(iteration, name)))


def _evaluate_all(study: Study, chain: Chain, batch: Batch, jobs: int) -> Iterator[tuple[Record, bool]]:
    """Yield the records of a batch as they come, and whether the folder held them already."""
    processes = _Processes()

    def evaluate(index: int) -> tuple[Record, bool]:
        path = chain.record(batch.iteration, index)
        with contextlib.suppress(NotFoundError):
            return read_record(path, study), True
        log = Path(path).with_suffix(".log")
        _run_step("evaluate", chain.evaluate(batch.iteration, index), log, jobs, processes)
        return read_record(path, study), False

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(evaluate, index) for index in range(len(batch.suggestions))]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.stop()
            raise


class _Processes:
    """The processes that run, and after `stop` none: not even one that a thread was just about to start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, command: list[str], log: Path, environment: dict[str, str]) -> int:
        """Run a program with its output in a file and return its exit status."""
        with self._lock, log.open("wb") as output:
            if self._stopped:
                return -signal.SIGTERM
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
            )
            self._running.add(process)
        status = process.wait()
        with self._lock:
            self._running.discard(process)
        return status

    def stop(self) -> None:
        """End what runs."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()


def _call_step(step: click.Command, arguments: list[str]) -> None:
    """Call a step in this process."""
    try:
        step.main(arguments, standalone_mode=False)
    except click.Abort:  # what click makes of Ctrl-C
        raise KeyboardInterrupt from None


def _run_step(step: str, arguments: list[str], log: Path, jobs: int, processes: _Processes) -> None:
    """Run a step in a process of its own, with its output in a file."""
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    path = os.pathsep.join([STEP_PATHS[0], *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONPATH": path}
    log.parent.mkdir(parents=True, exist_ok=True)
    status = processes.run([sys.executable, str(ROOT / "images" / step / "main.py"), *arguments], log, environment)
    if status == 1 and "\nError: " in (text := "\n" + log.read_text(errors="replace")):
        raise UserError(text.rpartition("\nError: ")[2].strip())
    if status:
        raise RuntimeError(f"{step} exited {status}; its output is in {log}")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[Any]:
    """Keep other runs out of the folder; the lock ends with this process, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise UserError(f"{folder}: a folder that can be written must be given, but: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another run is writing there; wait for it, or give another folder") from None
        yield
