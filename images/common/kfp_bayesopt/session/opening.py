"""Opens a job on a study folder, and refuses one that would spoil it or evaluate trials twice.

Everything is checked before anything is written, so that a refusal leaves the folder as it was.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt.exchange.importing import check_engine, collect, said_of
from kfp_bayesopt.folder.data import Data, check_data
from kfp_bayesopt.folder.jobs import (
    Job,
    Rate,
    end,
    id_of,
    job_ids,
    job_uri,
    list_jobs,
    now,
    unended,
    unended_before,
    whoami,
    with_other_data,
)
from kfp_bayesopt.folder.roots import move_aside, other_study
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record, Trials
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.probe import trust
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study

MOST_CHANGES = 5
_CHANGED = {
    "image": "the evaluate image is another one",
    "files": "source files of the study's folder have changed",
    "function": "the function, or what it refers to, has changed",
}
"""What has changed, by the kind of code."""
HERE = ("in-process", "kfp.local")
"""The places where a job is a process of a machine."""

IsRunning = Callable[[Job], bool | None]


def runs_here(job: Job) -> bool | None:
    """Tell whether a job of this machine runs; None if that is unknown here."""
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


@dataclass(frozen=True, kw_only=True)
class GoingOn:
    """The options for continuing a study.

    Attributes:
        fresh: Move aside the content of the folder and start over.
        keep: Move aside another study in the folder, and begin with its trials.
        same_code: The changed code gives the same values.
        retry_failed: Evaluate failed trials again.
        ended: Id of a job to treat as ended.
        join: Work beside jobs that have not ended, on an asynchronous study.
    """

    fresh: bool = False
    keep: bool = False
    same_code: bool = False
    retry_failed: bool = False
    ended: str | None = None
    join: bool = False


@dataclass(frozen=True)
class Opened:
    """A job that may begin.

    Attributes:
        job: The job.
        trials: What its folder holds.
        note: A summary of the trials of other studies that it begins with.
    """

    job: Job
    trials: Trials
    note: str | None = None


def open_job(
    folder: StudyFolder,
    content: bytes,
    place: str,
    *,
    job: str,
    code: str | None,
    going_on: GoingOn = GoingOn(),
    beside: Path | None = None,
    kept: str | None = None,
    images: Mapping[str, str] | None = None,
    rate: Rate | None = None,
    lease_minutes: float | None = None,
    by: str | None = None,
    data: Data | None = None,
    other_data: str | None = None,
    is_running: IsRunning = runs_here,
) -> Opened:
    """Write a study file and a job into a study folder, and return the job.

    Of two that are opened at once in a bucket, the first goes on, by the times of the objects. Files of this machine do
    not tell when they became visible: there, the caller holds the lock of the folder.

    Args:
        folder: The study folder.
        content: The study file.
        place: Where the job runs.
        job: Its id.
        code: What evaluates its trials, where that is known.
        going_on: How the study goes on.
        beside: Folder of the study file, from which it names the sources of earlier trials.
        kept: Another folder whose trials it begins with too: that of the study before it was changed.
        images: The image of each step.
        rate: What its trials cost, where that is known.
        lease_minutes: The lease of its workers, where a dead one is not started again.
        by: Who submitted it; by default this person on this machine.
        data: What its objective is given.
        other_data: The folder of the same study with other data, whose trials it begins with if it has none yet, and
            if its engine learns from them.
        is_running: Tells whether another job runs; None if unknown.

    Raises:
        UserError: The folder is of another study or damaged, another job has not ended, the code has changed, a source
            of earlier trials cannot be read, or the store would lose trials. Nothing was written then.
    """
    root, study = folder.root, folder.study
    check_data(study, data)
    starts_again = _starts_again(folder, going_on, data)
    if starts_again and going_on.keep:
        kept = str(Path(root).resolve())
    trials, over = Trials(), list[tuple[str, str]]()
    if not starts_again:
        trials, over = _check(folder, content, code, going_on, is_running, data)
    if kept is None and study.optimizer.knows_earlier and not trials.proposed:
        kept = other_data
    earlier = _earlier_trials(folder, beside or Path(), kept, starts_again, data)
    code_files = folder.code
    if not storage.is_local(root):  # `init` tries a disk
        trust(root)

    if starts_again and (aside := move_aside(Path(root))) is not None:
        moved = {"origin": str(aside.resolve())}
        earlier = [each.model_copy(update=moved) if each.origin == kept else each for each in earlier]
    _end(root, over)
    for name, each in code_files.items():
        storage.create(f"{root}/{name}", each)
    # First, so that a folder never holds earlier trials alone, for another study to begin with.
    study_file = folder.write_study(content).removeprefix(f"{root}/")
    if earlier and not folder.write_earlier(earlier):
        earlier = []
    opened = Job(
        study=study.name,
        fingerprint=study.fingerprint,
        job=job,
        study_file=study_file,
        place=place,
        submitted=now(),
        by=by or whoami(),
        process=os.getpid() if place in HERE else None,
        code=code,
        same_code=going_on.same_code,
        retry_failed=going_on.retry_failed,
        images=dict(images or {}),
        rate=rate,
        lease_minutes=lease_minutes,
        data=data,
    )
    storage.create(job_uri(root, job), opened.to_bytes())
    try:
        _end(root, _over(study, root, unended_before(root, job), is_running, going_on))
    except UserError as error:
        end(root, job, "failed", error.message, "opening")
        raise
    return Opened(opened, trials, said_of(earlier) if earlier else None)


def _starts_again(folder: StudyFolder, going_on: GoingOn, data: Data | None) -> bool:
    """Tell whether the content of a folder is moved aside.

    Raises:
        UserError: That is impossible there, or the engine could not learn from it.
    """
    if going_on.keep:
        check_engine(folder.study)
    if going_on.join and (going_on.fresh or going_on.keep):
        raise UserError(
            f"{hints.FRESH if going_on.fresh else hints.KEEP} and {hints.JOIN} exclude each other: give one of them"
        )
    is_other = going_on.keep and (other_study(folder) is not None or with_other_data(folder.root, data) is not None)
    found = going_on.fresh or is_other
    if found and not storage.is_local(folder.root):
        raise UserError(
            f"{folder.root}: {hints.FRESH} and {hints.KEEP} move folders of this machine alone; give another "
            f"{hints.ROOT} instead"
        )
    return found


def _check(
    folder: StudyFolder,
    content: bytes,
    code: str | None,
    going_on: GoingOn,
    is_running: IsRunning,
    data: Data | None,
) -> tuple[Trials, list[tuple[str, str]]]:
    """Return the trials of a folder, and its jobs that are over without saying so, if a study can go on there.

    Raises:
        UserError: It cannot.
    """
    root, study = folder.root, folder.study
    check_study(folder, content)
    _check_same_data(root, data)
    if going_on.join and not SCHEDULES[study.schedule].can_join:
        raise UserError(
            f"{root}: {hints.JOIN} adds workers to an asynchronous study, and this one has batches; say schedule: "
            "asynchronous in its study file, or wait for the job that runs"
        )
    over = _over(study, root, unended(root), is_running, going_on)
    trials = folder.read()
    _ = folder.searched  # read, and so checked
    if code is not None and not going_on.same_code:
        check_code(folder, code, going_on.retry_failed, trials)
    return trials, over


def _earlier_trials(
    folder: StudyFolder, beside: Path, kept: str | None, starts_again: bool, data: Data | None
) -> list[Earlier]:
    """Return the trials of other studies that a study begins with; none if its folder has some already.

    Raises:
        UserError: A source cannot be read.
    """
    sources = [*folder.study.warm_start, *([kept] if kept else [])]
    if not sources or (not starts_again and folder.searched.earlier):
        return []
    check_engine(folder.study)
    return collect(folder.study, sources, beside, data)


# --- another study -----------------------------------------------------------------------------


def check_study(folder: StudyFolder, content: bytes) -> None:
    """Refuse a folder that holds another study, even one with the same fingerprint by chance.

    Raises:
        UserError: It is of another study, or a study file there was changed.
    """
    theirs = other_study(folder, content)
    if theirs is not None:
        raise UserError(
            f"{folder.root}: holds another study, {theirs.name!r} ({theirs.fingerprint}), and not "
            f"{folder.study.name!r} ({folder.study.fingerprint}): {_difference(theirs, folder.study)}; use "
            f"{hints.ANOTHER_FOLDER}, start again with {hints.FRESH}, or take the trials along that still tell "
            f"something with {hints.KEEP}"
        )


def _difference(theirs: Study, ours: Study) -> str:
    """Return the changes, by their paths in the study file."""
    changes = list(_changes(theirs.identity, ours.identity))
    more = f" and {len(changes) - MOST_CHANGES} more" if len(changes) > MOST_CHANGES else ""
    return f"{'; '.join(changes[:MOST_CHANGES])}{more}"


def _changes(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Yield the differences between two sections of the identities of studies."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in dict.fromkeys([*theirs, *ours]):
            yield from _changes(theirs.get(key), ours.get(key), f"{path}.{key}" if path else str(key))
    elif json.dumps(theirs) != json.dumps(ours):
        was, now_ = (shown(each) if each is not None else "not there" for each in (theirs, ours))
        yield f"{path} was {was} and is {now_}"


# --- other data --------------------------------------------------------------------------------


def _check_same_data(root: str, data: Data | None) -> None:
    """Refuse a folder whose trials had other data: their values do not compare.

    Raises:
        UserError: They had.
    """
    other = with_other_data(root, data)
    if other is not None:
        raise UserError(
            f"{root}: its trials had {other.data or 'no data'}, and now it is {data or 'none'}; use "
            f"{hints.ANOTHER_FOLDER}, start again with {hints.FRESH}, or take the trials along as hints with "
            f"{hints.KEEP}"
        )


# --- another job -------------------------------------------------------------------------------


def _named(known: Iterable[str]) -> str:
    last = list(known)[-5:]
    return f"its last ones are {', '.join(last)}" if last else "there are none"


def refuse_running(root: str, ended: str | None = None, is_running: IsRunning = runs_here) -> None:
    """Refuse to go on while a job of a study folder has not ended.

    Raises:
        UserError: One has not ended, as far as known, or the job that the person calls ended does not exist.
    """
    _end(root, _over(None, root, unended(root), is_running, GoingOn(ended=ended)))


def _over(
    study: Study | None, root: str, others: Iterable[Job], is_running: IsRunning, going_on: GoingOn
) -> list[tuple[str, str]]:
    """Return the other jobs that are over without saying so, each with the evidence.

    Raises:
        UserError: One is not over, and this one does not join it; or the job called ended does not exist.
    """
    over = []
    if going_on.ended is not None:
        if going_on.ended not in (known := job_ids(root)):
            raise UserError(f"{root}: has no job {going_on.ended!r}; {_named(known)}")
        over.append((going_on.ended, f"{whoami()} said that it had ended"))
    for other in others:
        if other.job == going_on.ended:
            continue
        if is_running(other) is False:
            over.append((other.job, "it was no longer running, and had not said why"))
            continue
        if going_on.join:
            continue
        if study is not None and SCHEDULES[study.schedule].can_join:
            why, joins = "", f", add workers to it with {hints.JOIN}"
        else:
            why, joins = ", and two jobs at once would evaluate the same trials", ""
        raise UserError(
            f"{root}: job {other.job} has not ended ({other.place}, submitted by {other.by} at {other.submitted})"
            f"{why}; {_way_out(root, other)}{joins}, or say {hints.ENDED(job=other.job)} if it is over"
        )
    return over


def _end(root: str, over: Iterable[tuple[str, str]]) -> None:
    """Write the ends of jobs, so that nobody needs to ask again: their steps would see them too."""
    for job, why in over:
        end(root, job, "failed", why, "opening")


def _way_out(root: str, job: Job) -> str:
    if job.place in HERE:
        return f"wait for it, or stop process {job.process} on {job.by.rpartition('@')[2]}"
    if job.place in ("vertex", "kfp"):
        return f"wait for it, stop it with `{hints.CANCEL(target=job.place, job=id_of(root, job.job))}`"
    return "wait for it, or stop it"


# --- other code --------------------------------------------------------------------------------


def check_code(folder: StudyFolder, code: str, retry_failed: bool, trials: Trials) -> None:
    """Refuse to go on with other code than that of the records; an image cannot be compared with files.

    All recorded code counts as the same: each job was compared with the records before it.

    Args:
        folder: The study folder.
        code: The code that is to evaluate trials.
        retry_failed: Whether failed trials are evaluated again, so that their code does not count.
        trials: The trials in the folder.

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
    what = _CHANGED[kind]
    instead = f"start again with {hints.FRESH}"
    if kind == "function":  # of another notebook, whose function has the same name
        instead = f"{instead}, or use {hints.ANOTHER_FOLDER}"
    raise UserError(
        f"{folder.root}: {what} since {_whose(counting, jobs)}: {_short(counting[-1].code)} then, {_short(code)} now; "
        f"say {hints.SAME_CODE} if it gives the same values, or {instead}"
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
