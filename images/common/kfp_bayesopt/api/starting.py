"""Starts or continues a study from Python, and says where its folder is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

from kfp_bayesopt.api.views import view_of
from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt.folder.jobs import Job, end_of, list_jobs
from kfp_bayesopt.folder.roots import absolute, local_root
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.store import storage
from kfp_bayesopt.strict import plain
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places import in_process


def start_here(
    study: Study,
    content: bytes,
    options: in_process.Options,
    *,
    jobs: int | None = None,
    root: str | PathLike[str] | None = None,
    progress: bool = True,
    source: str = "run",
) -> str:
    """Run a study on this machine to its end, and return its folder.

    Args:
        study: The study.
        content: Its study file.
        options: How it goes on.
        jobs: How many trials run at the same time.
        root: The study folder.
        progress: Show the trials.
        source: The function that a person has called, for messages.

    Raises:
        UserError: As for `run`.
    """
    workers: Any = plain(jobs)
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise UserError(f"{source}: jobs must be a whole number of 1 or more, but got {shown(jobs)}")
    folder = absolute(storage.given(str(root)) if root is not None else local_root(study))
    in_process.run_study(study, content, Path(study.folder or Path.cwd()), folder, workers, options, view_of(progress))
    return folder


def go_on(
    folder: StudyFolder, trials: int, going_on: GoingOn, *, jobs: int | None = None, progress: bool = True
) -> Study:
    """Go on with more trials, and return the study with that budget.

    They come on top of what the last job that has succeeded had, so that a call that was stopped is the same again.

    Args:
        folder: The study folder.
        trials: How many more.
        going_on: How it goes on.
        jobs: How many trials run at the same time.
        progress: Show the trials.

    Raises:
        UserError: The study cannot go on, or has failed.
    """
    wanted: Any = plain(trials)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise UserError(f"more: trials must be a whole number of 1 or more, but got {shown(trials)}")
    known = list_jobs(folder.root)
    study = folder.study.model_copy(update={"iterations": None, "trials": _budget(folder, known) + wanted})
    data = known[-1].data if known else None
    options = in_process.Options(**asdict(going_on), data=(data.uri or data.given) if data else "")
    start_here(study, study.to_text().encode(), options, jobs=jobs, root=folder.root, progress=progress, source="more")
    return study


def _budget(folder: StudyFolder, known: Sequence[Job]) -> int:
    """Return the budget of the last job that has succeeded, else that of the study."""
    for job in reversed(known):
        ended = end_of(folder.root, job.job)
        if ended is not None and ended.state == "succeeded":
            return Study.from_file(f"{folder.root}/{job.study_file}").budget
    return folder.study.budget
