"""Opens a job on a study folder, and refuses one that would spoil what is there or pay for it twice."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from bayesopt import storage
from bayesopt.documents import read_document
from bayesopt.errors import ExistsError, NotFoundError, UserError, shown
from bayesopt.folder import StudyFolder, study_uri
from bayesopt.jobs import Job, Rate, Submitted, end, job_uri, list_jobs, now, read_job, submitted_uri, whoami
from bayesopt.study import Study
from bayesopt.study_file import load_study
from bayesopt.trials import Record, Trials

MOST_CHANGES = 5
HERE = ("in-process", "kfp.local")
"""The places where a job is a process of a machine."""

IsRunning = Callable[[Job], bool | None]

_JOB = re.compile(r"[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?\.json")


def runs_here(job: Job) -> bool | None:
    """Tell whether a job of this machine runs; None where that cannot be known from here."""
    if job.place not in HERE or job.process is None or job.by.rpartition("@")[2] != socket.gethostname():
        return None
    if job.process == os.getpid():  # this process opens one job at a time, and is about to open another
        return False
    try:
        os.kill(job.process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is there, and somebody else's
        return True
    return True


def open_job(
    folder: StudyFolder,
    content: bytes,
    place: str,
    *,
    job: str,
    code: str | None,
    same_code: bool = False,
    retry_failed: bool = False,
    images: Mapping[str, str] | None = None,
    rate: Rate | None = None,
    is_running: IsRunning = runs_here,
    ended: str | None = None,
    join: bool = False,
    trials: Trials | None = None,
) -> Job:
    """Write a study file and a job into a study folder, and return the job.

    Of two that open one at once in a bucket, the first goes on, by the times of the objects. Files of this machine do
    not say when they became visible: there, the caller holds the lock of the folder.

    Args:
        folder: The study folder.
        content: The study file.
        place: Where the job runs.
        job: Its id.
        code: What evaluates its trials, where that is known.
        same_code: Go on where the code is another one than that of the records.
        retry_failed: Failed trials are evaluated again.
        images: The image of each step.
        rate: What its trials cost, where that is known.
        is_running: Tells whether another job runs; None where it does not know.
        ended: Id of a job of which the person says that it has ended.
        join: Work beside jobs that have not ended, on an asynchronous study.
        trials: What the folder holds, if the caller has read it.

    Raises:
        UserError: The folder is of another study, another job has not ended, or the code has changed.
    """
    root, study = folder.root, folder.study
    check_study(folder, content)
    if join and study.schedule != "asynchronous":
        raise UserError(
            f"{root}: JOIN=1 adds workers to an asynchronous study, and this one has batches; say schedule: "
            "asynchronous in its study file, or wait for the job that runs"
        )
    if ended is not None:
        say_ended(root, ended)
    _refuse_second(study, root, unended(root), is_running, join)
    if code is not None and not same_code:
        check_code(folder, code, retry_failed, folder.read() if trials is None else trials)
    opened = Job(
        study=study.name,
        fingerprint=study.fingerprint,
        job=job,
        study_file=folder.write_study(content).removeprefix(f"{root}/"),
        place=place,
        submitted=now(),
        by=whoami(),
        process=os.getpid() if place in HERE else None,
        code=code,
        same_code=same_code,
        retry_failed=retry_failed,
        images=dict(images or {}),
        rate=rate,
    )
    storage.create(job_uri(root, job), opened.to_bytes())
    try:
        _refuse_second(study, root, _earlier(root, job), is_running, join)
    except UserError as error:
        end(root, job, "failed", error.message, "opening")
        raise
    return opened


# --- another study -----------------------------------------------------------------------------


def check_study(folder: StudyFolder, content: bytes) -> None:
    """Refuse a folder that holds another study, also one whose fingerprint is the same by chance.

    Raises:
        UserError: It is of another study, or a study file there was changed.
    """
    ours = study_uri(folder.root, content)
    kept = _study_files(folder.root)
    if not kept or ours in kept:
        return  # each was compared with those before it
    theirs = load_study(kept[-1])
    if theirs.identity != folder.study.identity:
        raise UserError(
            f"{folder.root}: holds another study, {theirs.name!r} ({theirs.fingerprint}), and not "
            f"{folder.study.name!r} ({folder.study.fingerprint}): {_difference(theirs, folder.study)}; use another "
            "folder, start again with FRESH=1, or take the trials along that still tell something with KEEP=1"
        )


def is_other(folder: StudyFolder) -> bool:
    """Tell whether a folder holds another study, such as the same one before it was changed."""
    kept = _study_files(folder.root)
    return bool(kept) and load_study(kept[-1]).identity != folder.study.identity


def _study_files(root: str) -> list[str]:
    """Return the study files of a folder, the last one last."""
    kept = [entry for entry in storage.entries(f"{root}/study/") if entry.uri.endswith(".yaml")]
    return [entry.uri for entry in sorted(kept, key=lambda entry: (entry.created, entry.uri))]


def _difference(theirs: Study, ours: Study) -> str:
    """Return what has changed, by its place in the study file."""
    changes = list(_changes(theirs.identity, ours.identity))
    more = f" and {len(changes) - MOST_CHANGES} more" if len(changes) > MOST_CHANGES else ""
    return f"{'; '.join(changes[:MOST_CHANGES])}{more}"


def _changes(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Yield what is different in two sections of the identities of studies."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in dict.fromkeys([*theirs, *ours]):
            yield from _changes(theirs.get(key), ours.get(key), f"{path}.{key}" if path else str(key))
    elif json.dumps(theirs) != json.dumps(ours):
        was, now_ = (shown(each) if each is not None else "not there" for each in (theirs, ours))
        yield f"{path} was {was} and is {now_}"


# --- another job -------------------------------------------------------------------------------


def job_ids(root: str) -> dict[str, bool]:
    """Return the jobs of a study folder, the first submitted first, and whether each has ended."""
    prefix = f"{root}/jobs/"
    found = {entry.uri.removeprefix(prefix): entry.created for entry in storage.entries(prefix)}
    own = sorted((created, name) for name, created in found.items() if _JOB.fullmatch(name))
    ids = [name.removesuffix(".json") for _, name in own]
    return {job: f"{job}/ended.json" in found for job in ids}


def say_ended(root: str, job: str) -> None:
    """Write that a job has ended, because the person says so.

    Raises:
        UserError: The folder has no such job.
    """
    known = job_ids(root)
    if job not in known:
        raise UserError(f"{root}: has no job {job!r}; {_named(known)}")
    end(root, job, "failed", f"{whoami()} said that it had ended", "opening")


def _named(known: Iterable[str]) -> str:
    last = list(known)[-5:]
    return f"its last ones are {', '.join(last)}" if last else "there are none"


def refuse_running(root: str, is_running: IsRunning = runs_here) -> None:
    """Refuse to go on while a job of a study folder has not ended.

    Raises:
        UserError: One has not, as far as is known.
    """
    _refuse_second(None, root, unended(root), is_running)


def unended(root: str) -> Iterator[Job]:
    """Yield the jobs of a study folder that have not ended, the first submitted first."""
    for job, has_ended in job_ids(root).items():
        if not has_ended:
            yield read_job(root, job)


def _earlier(root: str, ours: str) -> Iterator[Job]:
    for job in unended(root):
        if job.job == ours:
            return
        yield job


def _refuse_second(
    study: Study | None, root: str, others: Iterable[Job], is_running: IsRunning, join: bool = False
) -> None:
    for other in others:
        if is_running(other) is False:
            # So that nobody needs to ask again. It cannot come back: its steps would see this.
            end(root, other.job, "failed", "it was no longer running, and had not said why", "opening")
            continue
        if join:
            continue
        if study is not None and study.schedule == "asynchronous":
            why, joins = "", ", add workers to it with JOIN=1"
        else:
            why, joins = ", and two jobs at once would evaluate the same trials", ""
        raise UserError(
            f"{root}: job {other.job} has not ended ({other.place}, submitted by {other.by} at {other.submitted})"
            f"{why}; {_way_out(root, other)}{joins}, or say ENDED={other.job} if it is over"
        )


def _way_out(root: str, job: Job) -> str:
    if job.place in HERE:
        return f"wait for it, or stop process {job.process} on {job.by.rpartition('@')[2]}"
    if job.place in ("vertex", "kfp"):
        return f"wait for it, stop it with `make cancel TARGET={job.place} JOB={id_of(root, job.job)}`"
    return "wait for it, or stop it"


def id_of(root: str, job: str) -> str:
    """Return what its target calls a job; its own id where that is not known."""
    try:
        return read_document(Submitted, submitted_uri(root, job)).id
    except NotFoundError:
        return job


# --- other code --------------------------------------------------------------------------------


def check_code(folder: StudyFolder, code: str, retry_failed: bool, trials: Trials) -> None:
    """Refuse to go on with other code than that of the records; an image cannot be compared with files.

    All that is there is taken for the same: each job was compared with the records before it.

    Args:
        folder: The study folder.
        code: What is to evaluate trials.
        retry_failed: Whether failed trials are evaluated again, so that what they ran does not count.
        trials: What the folder holds.

    Raises:
        UserError: No record is of this code, and nobody has said that it gives the same values.
    """
    kind = code.partition(":")[0]
    counting = [
        record
        for record in trials.ledger
        if record.is_final and (record.code or "").startswith(f"{kind}:") and not (retry_failed and record.reason)
    ]
    if not counting or any(record.code == code for record in counting):
        return
    jobs = list_jobs(folder.root)
    if any(job.same_code and job.code == code for job in jobs):
        return
    what = "the evaluate image is another one" if kind == "image" else "source files of the study's folder have changed"
    raise UserError(
        f"{folder.root}: {what} since {_whose(counting, jobs)}: {_short(counting[-1].code)} then, {_short(code)} now; "
        "say CODE=same if it gives the same values, or start again with FRESH=1"
    )


def _whose(records: list[Record], jobs: list[Job]) -> str:
    codes = {record.code for record in records}
    people = dict.fromkeys(job.by for job in jobs if job.code in codes)
    machines = dict.fromkeys(record.machine or "an unknown machine" for record in records)
    since = min(record.started for record in records)
    trials = f"trial {records[0].trial} was" if len(records) == 1 else f"{len(records)} trials were"
    return f"{trials} evaluated (by {', '.join(list(people or machines)[:3])}, from {since})"


def _short(code: str | None) -> str:
    kind, _, digest = (code or "").partition(":sha256:")
    return f"{kind}:{digest[:12]}"


def record_submission(root: str, job: str, submitted: Submitted) -> None:
    """Write down what a target calls a job."""
    with contextlib.suppress(ExistsError):  # what was written first stays
        storage.create(submitted_uri(root, job), submitted.to_bytes())
