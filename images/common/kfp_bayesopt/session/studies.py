"""Lists the studies below a bucket's root or in a folder of this machine, and the jobs of a study."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kfp_bayesopt.errors import NotFoundError, UnavailableError, UserError
from kfp_bayesopt.folder.documents import data_of, number_in, read_document
from kfp_bayesopt.folder.jobs import Ended, Job, end_of, id_of, last_job, list_jobs, read_job
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.roots import home_of_studies, runs_below
from kfp_bayesopt.folder.study_folder import THREADS
from kfp_bayesopt.session.opening import runs_here
from kfp_bayesopt.store import storage

_RECORD = re.compile(r"record-[0-9]+\.json")

UNKNOWN = "-"


@dataclass(frozen=True)
class Found:
    """A study folder.

    Attributes:
        root: Its path or URI.
        last: The job that was submitted last, if it can be read.
        ended: The end of that job, if it has ended.
        best: The best trial and the numbers of trials, once there are results.
    """

    root: str
    last: Job | None
    ended: Ended | None
    best: Best | None

    @property
    def state(self) -> str:
        """The state of its last job; `running` also if nobody has checked that it still is."""
        return UNKNOWN if self.last is None else state_of(self.last, self.ended)

    def row(self) -> list[str]:
        """Return name, fingerprint, run or folder, state, trials and best value."""
        known = self.best or self.last
        run = self.root.rpartition("/")[2] if not storage.is_local(self.root) else self.root
        trials = f"{self.best.done} of {self.best.trials}" if self.best else UNKNOWN
        value = UNKNOWN
        if self.best is not None and self.best.is_found:
            value = f"front of {len(self.best.front)}" if self.best.front else repr(self.best.value)
        return [
            known.study if known else UNKNOWN, known.fingerprint if known else UNKNOWN, run, self.state, trials, value,
        ]  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Return it as data for JSON; what is not known is None."""
        known = self.best or self.last
        return {
            "root": self.root,
            "study": known.study if known else None,
            "fingerprint": known.fingerprint if known else None,
            "state": None if self.last is None else self.state,
            "trials": self.best.trials if self.best else None,
            "done": self.best.done if self.best else None,
            "best": data_of(self.best) if self.best else None,
        }


def state_of(job: Job, ended: Ended | None) -> str:
    """Return the state of a job in a word."""
    if ended is not None:
        return ended.state
    return "stopped" if runs_here(job) is False else "running"


def last_state(root: str) -> tuple[str, str]:
    """Return the state of the last job of a study folder in a word, `-` without one, and why it ended so.

    Raises:
        UserError: The folder cannot be read.
    """
    job = last_job(root)
    if job is None:
        return "-", ""
    ended = end_of(root, job)
    return state_of(read_job(root, job), ended), (ended.reason if ended else None) or ""


def studies_below(pipeline_root: str) -> list[Found]:
    """Return the studies below a pipeline root, each run by itself.

    Raises:
        UserError: The bucket cannot be listed.
    """
    home = home_of_studies(pipeline_root)
    roots = [
        f"{home}/{name}/{fingerprint}/{run}"
        for name in storage.folders(f"{home}/")
        for fingerprint in storage.folders(f"{home}/{name}/")
        for run in runs_below(f"{home}/{name}/{fingerprint}")
    ]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(look_at, roots))


def studies_in(folder: str) -> list[Found]:
    """Return the study folders side by side in a folder."""
    found = [look_at(f"{folder}/{name}") for name in storage.folders(f"{folder}/")]
    return [each for each in found if each.last is not None or each.best is not None]


def look_at(root: str) -> Found:
    """Return the summary of a study folder from its results and jobs; damaged ones are left out."""
    last: Job | None = None
    ended: Ended | None = None
    best: Best | None = None
    try:
        if (job := last_job(root)) is not None:
            last, ended = read_job(root, job), end_of(root, job)
    except UnavailableError:
        raise
    except UserError:
        pass
    try:
        best = read_document(Best, f"{root}/best.json")
    except UnavailableError:
        raise
    except UserError:
        pass
    return Found(root, last, ended, best)


def jobs_of(root: str) -> Iterator[dict[str, str | None]]:
    """Yield the jobs of a study folder as data for JSON, with the id that the target gave each."""
    for job in list_jobs(root):
        ended = end_of(root, job.job)
        yield {
            "job": job.job,
            "place": job.place,
            "id": id_of(root, job.job),
            "by": job.by,
            "submitted": job.submitted,
            "state": state_of(job, ended),
            "reason": (ended and ended.reason) or None,
        }


def job_row(job: Mapping[str, str | None]) -> list[str]:
    """Return the row of a job in a table: id, place with the target's id, submitter, time, and end."""
    place = f"{job['place']}" if job["id"] == job["job"] else f"{job['place']} {job['id']}"
    reason = f": {job['reason']}" if job["reason"] else ""
    return [f"{job['job']}", place, f"{job['by']}", f"{job['submitted']}", f"{job['state']}{reason}"]


def recorded(root: str) -> int:
    """Return the number of recorded trials of a study folder."""
    prefix = f"{root}/trials/"
    parts = (entry.uri.removeprefix(prefix).partition("/") for entry in storage.entries(prefix))
    return len({number for number, _, name in parts if number_in(number, 6) and _RECORD.fullmatch(name)})


def best_of(root: str) -> Best | None:
    """Return the best trial of a study folder, or None without results.

    Raises:
        UserError: It cannot be read.
    """
    try:
        return read_document(Best, f"{root}/best.json")
    except NotFoundError:
        return None


def table(title: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table with columns as narrow as possible."""
    lines = [title, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(title) - 1)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        yield "  ".join([*cells, line[-1]]).rstrip()
