"""Runs a study on this machine: the same steps on local paths, each trial in a process of its own.

What a step has written is kept, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime
from pathlib import Path

import click

from bayesopt import storage
from bayesopt.errors import NotFoundError, UserError
from bayesopt.steps import UPDATE
from bayesopt.study import Study
from bayesopt.study_file import load_study
from bayesopt.trials import Batch, Best, Record, read_batch, read_best, read_record, write_record
from images.evaluate.evaluation import evaluate
from images.evaluate.sessions import Sessions
from images.init import main as init
from images.update import main as update
from optimizer.stopping import still_due
from pipeline.chain import Chain
from pipeline.progress import Progress

LOCK = ".lock"


def run(study_path: str, out: Path | None, jobs: int | None, fresh: bool) -> Best:
    """Run a study to its end and return the best trial.

    Args:
        study_path: The study file.
        out: The folder of the results; `out/<study name>` by default.
        jobs: How many trials run at the same time; by default one for each core, and no more than
            `parallel_trials`.
        fresh: Move aside what the folder holds and start over, instead of going on.

    Raises:
        UserError: The study has a mistake, its objective cannot be called, the folder holds
            another study or is in use, or too many trials have failed.
    """
    study = load_study(study_path)
    folder = out or Path("out") / study.name
    if folder.parts[0] == "gs:":
        raise UserError(f"{out}: not a local folder; a run on this machine keeps its results in one")
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
        ledger: list[Record] = []
        with Sessions() as sessions:
            while batch.suggestions:
                iteration = batch.iteration
                records = []
                # Closed at once, or trials would go on where a line about one of them cannot be shown.
                with contextlib.closing(_evaluate(study, chain, batch, ledger, jobs, sessions)) as evaluated:
                    for record, kept in evaluated:
                        progress.show(record, kept)
                        records.append(record)
                ledger += sorted(records, key=lambda record: record.trial or 0)
                batch = _following(study, chain, batch, len(records))
        return read_best(chain.best(iteration), study)


def _following(study: Study, chain: Chain, batch: Batch, evaluated: int) -> Batch:
    """Learn from the records of a batch, of all its trials or the first of them, and return the next batch."""
    if evaluated == len(batch.suggestions):
        with contextlib.suppress(NotFoundError):
            following = read_batch(chain.suggestions(batch.iteration), study)
            # An empty batch is made again: the budget of the study may have grown since.
            if following.suggestions:
                return following
    try:
        _call_step(update.main, chain.update(batch.iteration, evaluated))
    finally:
        _publish(chain, batch.iteration)
    return read_batch(chain.suggestions(batch.iteration), study)


def _move_aside(folder: Path) -> None:
    """Move what the folder holds to a new folder beside it, named by the time."""
    kept = [item for item in folder.iterdir() if item.name != LOCK]
    if not kept:
        return
    name = f"{folder}.{datetime.now().astimezone():%Y-%m-%dT%H-%M-%S}"
    for aside in (Path(name + end) for end in itertools.chain([""], (f"-{n}" for n in itertools.count(2)))):
        with contextlib.suppress(FileExistsError):
            aside.mkdir()
            break
    for item in kept:
        item.rename(aside / item.name)


def _publish(chain: Chain, iteration: int) -> None:
    """Copy the results of an iteration to where a person looks for them."""
    for name in UPDATE.results.values():
        with contextlib.suppress(NotFoundError):
            storage.write(f"{chain.root}/{name}", storage.read(chain.path(iteration, name)))


def _evaluate(
    study: Study, chain: Chain, batch: Batch, ledger: Sequence[Record], jobs: int, sessions: Sessions
) -> Generator[tuple[Record, bool]]:
    """Yield the records of a batch as they come, and whether the folder held them already.

    They are those of all its trials, or of the first of them where the study has changed since it was proposed.
    """
    kept: dict[int, Record] = {}
    for index in range(len(batch.suggestions)):
        with contextlib.suppress(NotFoundError):
            kept[index] = read_record(chain.record(batch.iteration, index), study)
    due = still_due(study, batch, ledger) if len(kept) < len(batch.suggestions) else len(kept)
    missing = [index for index in range(due) if index not in kept]
    # What was paid for counts, as long as the numbers of the trials have no gap.
    beyond = itertools.takewhile(kept.__contains__, range(due, len(batch.suggestions)))
    for index in [*(index for index in range(due) if index in kept), *beyond]:
        yield kept[index], True

    folder = Path(chain.study).parent
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs)), **os.environ}

    def evaluate_one(index: int) -> Record:
        path = Path(chain.record(batch.iteration, index))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".log").open("wb") as log:
            record = evaluate(study, batch, index, folder, sessions, log, environment)
        write_record(str(path), record)
        return record

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(evaluate_one, index) for index in missing]
        try:
            for future in as_completed(futures):
                yield future.result(), False
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            sessions.stop()
            raise


def _call_step(step: click.Command, arguments: list[str]) -> None:
    """Call a step in this process."""
    try:
        step.main(arguments, standalone_mode=False)
    except click.Abort:  # what click makes of Ctrl-C
        raise KeyboardInterrupt from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder; the lock ends with this process, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise UserError(f"{folder}: cannot write results there: {error.strerror}; give another folder") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another run is writing there; wait for it, or give another folder") from None
        yield
