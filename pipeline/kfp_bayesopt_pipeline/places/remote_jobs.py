"""What a person does with a job, on every target alike: its status, cancel it, follow it, fetch its results."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kfp_bayesopt import hints
from kfp_bayesopt.errors import NotFoundError, UserError, named
from kfp_bayesopt.folder.jobs import Job, end, end_of, id_of, whoami
from kfp_bayesopt.folder.publish import results_of
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.session import NoAnswerError
from kfp_bayesopt.session.activity import COMPLETE, Activity
from kfp_bayesopt.session.copying import MOST_BYTES
from kfp_bayesopt.session.opening import IsRunning, runs_here
from kfp_bayesopt.steps import REPORT_PAGE, RESULTS
from kfp_bayesopt.store import storage
from kfp_bayesopt_pipeline.places.protocol import FAILED, NOT_RUN, SUCCEEDED, RefusedError, States, Target

Look = Callable[[str], None]

# The number of silent polls in a row before following stops: the pauses grow with each.
MAX_SILENT_POLLS = 10


def print_nothing(root: str) -> None:
    """Look at nothing: only the states of the job are followed."""


def follow(target: Target, job: str, seconds: float, look: Look = print_nothing) -> Iterator[str]:
    """Yield a line for each change of state of a job and its tasks, until the job has ended.

    Args:
        target: The target of the job.
        job: Its id.
        seconds: Pause between two polls.
        look: Shows the trials of a study folder; it is called at each poll.

    Raises:
        NoAnswerError: The service has been silent for too long.
        UserError: The service refuses to show the job.
    """
    seen: dict[str, str] = {}
    silent = 0
    while True:
        try:
            found = target.find(job)
            states = target.states(found)
        except NoAnswerError as error:
            silent += 1
            if silent > MAX_SILENT_POLLS:
                raise
            if silent == 1:
                yield _line(f"{error.message}; trying again")
        else:
            silent = 0
            for title, state in {**_said(count(states)), job: states.job}.items():
                if seen.get(title) != state:
                    seen[title] = state
                    yield _line(f"{title}: {state}")
            with contextlib.suppress(UserError):  # what it says is nice to have
                look(target.inputs(found).root)
            if states.job in target.final:
                return
        time.sleep(seconds * (1 + silent))


class JobFailedError(UserError):
    """A job that somebody waits for has failed, and its study is not complete."""


def wait(target: Target, job: str, out: Path, seconds: float, look: Look = print_nothing) -> Iterator[str]:
    """Follow a job to its end and fetch its results into a folder.

    A job may fail after all was there, as that of several workers of which one was lost: then it says so, and the
    results are fetched.

    Raises:
        JobFailedError: The job has failed, and the study is not complete.
        UserError: It was stopped, or cannot be followed any longer.
    """
    with _going_on(target, job):
        yield from follow(target, job, seconds, look)
        found = target.find(job)
    state = target.states(found).job
    if state != SUCCEEDED:
        why = f"job {job}: {verdict(target, found)}"
        if not _is_complete(target, found):
            fetches = hints.RESULTS(target=target.name, job=job)
            problem = f"{why}; `{fetches}` fetches what is there"
            raise JobFailedError(problem) if state == FAILED else UserError(problem)
        yield f"{why}; {COMPLETE}"
    fetch(target, job, found, out)


def follow_states(target: Target, job: str, seconds: float) -> Iterator[str]:
    """Follow a job to its end, as `wait` does, and fetch nothing.

    Raises:
        UserError: It cannot be followed any longer.
    """
    with _going_on(target, job):
        yield from follow(target, job, seconds)


@contextlib.contextmanager
def _going_on(target: Target, job: str) -> Iterator[None]:
    """Say of what ends our looking at a job that the job goes on: a token lasts an hour, and a study a night."""
    try:
        yield
    except (NoAnswerError, RefusedError) as error:
        raise type(error)(f"{error.message}; {goes_on(target, job)}") from None


def goes_on(target: Target, job: str) -> str:
    """Return that a job goes on without us, and how to look at it."""
    return f"the job goes on: `{hints.STATUS(target=target.name, job=job)}`"


def _is_complete(target: Target, found: Any) -> bool:
    """Tell whether the study of a job has all that it was asked for, as far as known."""
    try:
        root, ours = target.inputs(found)
        return Activity(study_folder(root)).is_complete(ours)
    except UserError:  # the folder is gone, damaged, or was never there
        return False


def facts(target: Target, job: str) -> dict[str, Any]:
    """Return the state of a job and of its tasks, why it failed, where its study is, and whether we reach that.

    `over` is our id of a job that has ended without success, and None of any other.
    """
    found = target.find(job)
    states = target.states(found)
    why = reason(target, found) if states.job == FAILED else None
    root, ours = target.inputs(found)
    way_out = target.unreached(root)
    remarks = [line for line in target.remarks(found) if line != why]
    if way_out is not None:
        remarks.append(f"{root}: trials and results are there; {way_out}")
    return {
        "job": job,
        "state": states.job,
        "tasks": count(states),
        "reason": why,
        "remarks": remarks,
        "root": root,
        "reached": way_out is None,
        "over": ours if states.job in target.final and states.job != SUCCEEDED else None,
    }


def lines(job: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines about the facts of a job that a person reads; none where there is none."""
    if job["job"] is None:
        return
    yield from (f"{title}: {state}" for title, state in _said(job["tasks"]).items())
    yield f"{job['job']}: {job['state']}"
    if job["reason"]:
        yield job["reason"]
    yield from job["remarks"]


def cancel(target: Target, job: str) -> str:
    """Stop a job, and return what a person can do next.

    Raises:
        UserError: It has already ended.
    """
    found = target.find(job)
    state = target.states(found).job
    asks, fetches = (hint(target=target.name, job=job) for hint in (hints.STATUS, hints.RESULTS))
    if state in target.final:
        raise UserError(f"job {job} has already ended: {state}; `{fetches}` fetches its results")
    target.cancel(found)
    root, ours = target.inputs(found)
    if target.unreached(root) is None:  # its running steps see it, and nobody who continues the study needs to ask
        end(root, ours, "failed", f"{whoami()} stopped it", "cancel")
    return f"{job}: asked to stop; `{asks}`, `{fetches}`"


def verdict(target: Target, found: Any) -> str:
    """Return the state of a job, with the reason if it failed."""
    state = target.states(found).job
    return f"{state}: {reason(target, found)}" if state == FAILED else state


def reason(target: Target, found: Any) -> str:
    """Return the reason a job failed: a step's in the study folder, else the service's.

    A service knows the failed step, which is always the last one, but not the reason.
    """
    ended = None
    with contextlib.suppress(UserError):  # the folder is gone, or was never there
        root, ours = target.inputs(found)
        ended = end_of(root, ours) if target.unreached(root) is None else None
    return (ended and ended.state == "failed" and ended.reason) or target.reason(found)


def fetch(target: Target, job: str, found: Any, out: Path) -> list[Path]:
    """Copy the results of a job's study into a folder and return the files; all are read before any is written.

    Raises:
        UserError: There are none yet.
    """
    root, ours = target.inputs(found)
    if (way_out := target.unreached(root)) is not None:
        raise UserError(f"{root} is not reached from here: {way_out}")
    contents: dict[Path, bytes] = {}
    for name in RESULTS:
        try:
            contents[out / name] = storage.read(f"{root}/{name}", MOST_BYTES)
        except NotFoundError:  # it is written later, or by a step that did not get to it
            continue
    if end_of(root, ours) is None:  # what is there may be old
        contents |= {out / name: content for name, content in _results_now(root).items()}
    if not contents:
        raise UserError(
            f"job {job}: no results yet in {root}: no trial has ended; `{hints.STATUS(target=target.name, job=job)}`"
        )
    for path, content in contents.items():
        storage.replace(str(path), content)
    return list(contents)


def _results_now(root: str) -> dict[str, bytes]:
    """Return the results by the existing records; none before the first."""
    try:
        folder = study_folder(root)
    except NotFoundError:
        return {}
    trials = folder.read()
    if not trials.ledger:
        return {}
    from kfp_bayesopt.report.write import report_of  # scipy takes long to import

    best = Best.of(folder.study, trials.ledger)
    return results_of(folder.study, trials.ledger, best) | {REPORT_PAGE: report_of(folder, trials, best)}


def asks(target: Target, root: str) -> IsRunning:
    """Return a function that tells whether another job of a study folder runs, by asking its target."""

    def is_running(job: Job) -> bool | None:
        if job.place != target.name:
            return runs_here(job)
        try:
            return target.states(target.find(id_of(root, job.job))).job not in target.final
        except NoAnswerError:
            raise
        except UserError:  # another project or cluster may have it, or it is being submitted right now
            return None

    return is_running


def count(states: States) -> dict[str, str]:
    """Return the state of each task by its title; the number of tasks in each state if several have the same title."""
    by_title: dict[str, Counter[str]] = {}
    for title, state in states.tasks:
        by_title.setdefault(title, Counter())[state] += 1
    return {
        title: ", ".join(f"{number} {state}" for state, number in sorted(found.items()))
        if found.total() > 1
        else next(iter(found))
        for title, found in by_title.items()
    }


def _said(tasks: Mapping[str, str]) -> dict[str, str]:
    """Return the state of each task by its title, and those that were not run together: there may be many."""
    omitted = [title for title, state in tasks.items() if state == NOT_RUN]
    begun = {title: state for title, state in tasks.items() if state != NOT_RUN}
    return {**begun, NOT_RUN: named(omitted)} if omitted else begun


def _line(text: str) -> str:
    return text if text.startswith(" ") else f"{datetime.now(UTC):%H:%M:%S}  {text}"
