"""Tells a program of ours to stop at every line that it runs between the claim of a trial and its record.

As a program: PROGRAM STUDY FOLDER PART SEED. PROGRAM is `worker` or `evaluate`; PART says how many lines are tried, 0
all of them. It prints a line of JSON for each: where the signal came, how the program ended, what it printed, and what
another one, who knows nothing of it, finds and does right after.
"""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Claim, Record
from kfp_bayesopt.proposing.batches import begin
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.evaluate import evaluate
from kfp_bayesopt.trial.interrupts import exit_when_told
from kfp_bayesopt.trial.working import worker as loop
from kfp_bayesopt.trial.working.work import work
from tests import ROOT

OURS = str(ROOT / "images")
JOB = "job"

Line = tuple[str, int]


class Tracer:
    """Calls a function at the first time that each line of ours is run, in any thread, from the claim to the record."""

    def __init__(self, at: Callable[[Line], None]) -> None:
        self._at = at
        self._seen: set[Line] = set()
        self._is_between = False

    def start(self) -> None:
        """Begin to trace this thread and those that it starts."""
        begin_with, end_with = StudyFolder.claim, StudyFolder.write_record
        tracer = self

        def claimed(self: StudyFolder, claim: Claim) -> bool:
            tracer._is_between = True
            return begin_with(self, claim)

        def written(self: StudyFolder, record: Record, room: Path | None = None) -> None:
            end_with(self, record, room)
            tracer._is_between = False

        StudyFolder.claim, StudyFolder.write_record = claimed, written  # type: ignore[method-assign]
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        line = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and self._is_between and line not in self._seen:
            self._seen.add(line)
            self._at(line)
        return self._trace


def run(program: str, study: Path, root: Path, worker: int) -> None:
    if program == "worker":
        work(str(root), str(study), JOB, worker, folder=study.parent)
    else:
        evaluate(str(root), str(study), JOB, 1)


def prepare(program: str, study: Path, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    folder = StudyFolder(str(root), Study.from_file(study))
    job = jobs.ensure_job(folder, JOB, folder.write_study(study.read_bytes()))
    if program == "evaluate":
        begin(folder, folder.read(), job)


def lines_of(program: str, study: Path, root: Path) -> list[Line]:
    """Return the lines that are run, in the order in which they are run first."""
    prepare(program, study, root)
    path = root.with_name("lines")

    def noted() -> None:
        found: list[Line] = []
        Tracer(found.append).start()
        run(program, study, root, 1)
        sys.settrace(None)
        path.write_text(json.dumps(found))

    assert fork(noted, root.with_name("printed")) == 0
    return [(str(name), int(number)) for name, number in json.loads(path.read_text())]


def fork(function: Callable[[], None], printed: Path) -> int:
    """Call a function in a process of its own and return its exit status."""
    child = os.fork()
    if child == 0:
        file = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        exit_when_told()
        function()
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def tell_at(line: Line, program: str, study: Path, root: Path) -> dict[str, Any]:
    prepare(program, study, root)
    printed = root.with_name("printed")

    def tell(reached: Line) -> None:
        if reached == line:
            os.kill(os.getpid(), signal.SIGTERM)

    def told() -> None:
        Tracer(tell).start()
        run(program, study, root, 1)

    status = fork(told, printed)
    said = printed.read_text()
    after = fork(lambda: run(program, study, root, 2), printed)
    folder = StudyFolder(str(root), Study.from_file(study))
    records = [[each.trial, each.attempt, each.state] for each in folder.read().ledger]
    where = f"{Path(line[0]).relative_to(OURS)}:{line[1]}"
    return {
        "at": where,
        "status": status,
        "said": said,
        "after": after,
        "then": printed.read_text(),
        "records": records,
    }


def main() -> None:
    program, study, folder, part, seed = sys.argv[1:]
    logging.basicConfig(level=logging.ERROR)
    loop.JITTER_SECONDS = 0.0
    root = Path(folder, "out")
    lines = lines_of(program, Path(study), root)
    for line in random.Random(int(seed)).sample(lines, int(part)) if int(part) else lines:
        sys.stdout.write(json.dumps(tell_at(line, program, Path(study), root)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
