"""Runs the workers of an asynchronous study on this machine: a process each, restarted when it is killed.

As a program it is one of them: ROOT STUDY JOB WORKER CODE-FOLDER.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.store import storage
from kfp_bayesopt.trial.interrupts import exit_when_told, seconds_between_looks
from kfp_bayesopt.trial.process.call import describe_end
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt.trial.working.work import work as work_as

if TYPE_CHECKING:
    from kfp_bayesopt.session import Session
    from kfp_bayesopt.session.progress import Progress

# A worker killed more often than this before another trial has ended is not restarted.
MOST_RESTARTS = 5
SECONDS_TO_STOP = 30.0
SECONDS_BETWEEN_POLLS = 0.1


@dataclass
class _Worker:
    """A worker among those of the job.

    Attributes:
        process: It runs, or ran last.
        restarts: How often it was begun again since a trial has ended.
    """

    process: subprocess.Popen[bytes]
    restarts: int = 0


@dataclass
class Pool:
    """Workers of a job, as processes of this machine.

    Attributes:
        folder: The study folder.
        job: The job.
        code_folder: The folder that the objective runs in.
        count: The number of workers.
    """

    folder: StudyFolder
    job: Job
    code_folder: Path
    count: int
    _workers: dict[int, _Worker] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start the workers; at the end of the block they are told to stop, and killed if they do not."""
        with Sessions() as sessions:
            try:
                for number in range(1, self.count + 1):
                    self._workers[number] = _Worker(self._start(number, sessions))
                self._sessions = sessions
                yield
            finally:
                self._stop()

    def is_running(self) -> bool:
        """Tell whether a worker runs; a killed one is restarted, and finishes its trial."""
        found = False
        for number, worker in self._workers.items():
            status = worker.process.poll()
            if status is not None and status < 0 and worker.restarts < MOST_RESTARTS:
                self._sessions.end(worker.process)
                worker.process, worker.restarts = self._start(number, self._sessions), worker.restarts + 1
                status = None
            found = found or status is None
        return found

    def check(self) -> None:
        """Check that a worker finished, once none runs.

        Raises:
            UserError: All of them were killed, or ended by a mistake.
        """
        ends = [worker.process.returncode for worker in self._workers.values()]
        if not any(status == 0 for status in ends):
            which = "the only worker" if len(ends) == 1 else f"the last of {len(ends)} workers"
            raise UserError(
                f"no worker came to its end: {which} {describe_end(ends[-1])}; what it printed says why; mend it and "
                "run the same command again"
            )

    def has_progressed(self) -> None:
        """Note that a trial has ended, so that workers killed from now on are restarted again."""
        for worker in self._workers.values():
            worker.restarts = 0

    def _start(self, number: int, sessions: Sessions) -> subprocess.Popen[bytes]:
        root = self.folder.root if not storage.is_local(self.folder.root) else str(Path(self.folder.root).resolve())
        command = [
            # Nothing of the folder that it runs in is imported (-P).
            *(sys.executable, "-P", "-m", "kfp_bayesopt_pipeline.places.workers"),
            *(root, f"{root}/{self.job.study_file}", self.job.job, str(number), str(self.code_folder)),
        ]
        threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // self.count))}
        process = sessions.start(command, [], None, {**threads, **os.environ})
        assert process.stdin is not None
        process.stdin.close()  # it asks for nothing
        return process

    def _stop(self) -> None:
        processes = [worker.process for worker in self._workers.values()]
        for process in processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + SECONDS_TO_STOP
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))


def run_workers(opened: Session, code_folder: Path, count: int, progress: Progress) -> None:
    """Run workers on a study until they find nothing more to do, and show the trials as they end.

    Raises:
        UserError: A file is damaged, or storage refuses to read or to write.
    """
    # The workers are processes of this module, and need not load these.
    from kfp_bayesopt.proposing.batches import begin
    from kfp_bayesopt.session.activity import Activity

    folder, trials, job = opened.folder, opened.trials, opened.job
    pause_of_looks, looked = seconds_between_looks(folder.root), time.monotonic()
    begin(folder, trials, job)
    activity = Activity(folder, trials)
    for record in trials.ledger:
        if job.tries_again(record):
            activity.reopen(record.trial)
        else:
            progress.show(record, kept=True)
    pool = Pool(folder, job, code_folder, count)
    pause = SECONDS_BETWEEN_POLLS * (1 if storage.is_local(folder.root) else 20)
    with opened.results_meanwhile() as write_results:
        with pool.running():
            is_running = True
            while is_running:
                is_running = pool.is_running()  # before the look, so that nothing is missed
                activity.look()
                if activity.new:
                    pool.has_progressed()
                progress.follow(activity)
                write_results()
                if time.monotonic() - looked > pause_of_looks:
                    looked = time.monotonic()
                    if opened.was_stopped():
                        return  # the workers are told to stop
                time.sleep(pause if is_running else 0)
        pool.check()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    exit_when_told()
    try:
        root, study, job, worker, code = sys.argv[1:]
        work_as(root, study, job, int(worker), folder=Path(code))
    except UserError as error:
        error.show()
        sys.exit(error.exit_code)
