"""Starts or continues a study from Python, here or in another place, and says where its folder is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
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
from kfp_bayesopt_pipeline.places import HERE, SERVICES, in_process

PLACES = HERE | SERVICES


@dataclass(frozen=True, kw_only=True)
class How:
    """Where a study runs, and how, as a person has said it.

    Attributes:
        source: The function that they have called, for messages.
        on: The name of the place; None is here.
        root: The study folder.
        jobs: How many trials run at the same time here.
        data: What the objective is given.
        image: The image of the trials elsewhere.
        max_cost: What the study may cost elsewhere.
        wait: Wait for the end.
        progress: Show the run.
    """

    source: str
    on: str | None = None
    root: str | PathLike[str] | None = None
    jobs: int | None = None
    data: str | PathLike[str] = ""
    image: str | None = None
    max_cost: float | None = None
    wait: bool = True
    progress: bool = True

    @property
    def is_here(self) -> bool:
        """Whether trials are processes of this machine."""
        return self.on is None or self.on == in_process.PLACE.name

    def check(self) -> None:
        """Refuse what has no meaning.

        Raises:
            UserError: There is some.
        """
        for name in ("on", "image"):
            if (given := getattr(self, name)) is not None and not isinstance(given, str):
                raise UserError(f"{self.source}: {name}: must be a text, but got {shown(given)}")
        workers: Any = plain(self.jobs)
        if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
            raise UserError(f"{self.source}: jobs must be a whole number of 1 or more, but got {shown(self.jobs)}")
        if self.is_here and self.image is not None:
            raise UserError(
                f"{self.source}: image: trials run in this Python here; leave it out, or name a place by on="
            )
        if self.is_here and not self.wait:
            raise UserError(
                f"{self.source}: wait: a study runs here as long as the call does; leave it out, or name a place by on="
            )
        if not self.is_here and workers is not None:
            raise UserError(
                f"{self.source}: jobs: is how many trials run on this machine; on {self.on} say max_parallel= instead"
            )


def start(study: Study, content: bytes, going_on: GoingOn, how: How) -> str:
    """Run a study to its end, or hand it over, and return its folder.

    Args:
        study: The study.
        content: Its study file.
        going_on: How it goes on.
        how: Where, and how.

    Raises:
        UserError: As for `run`.
    """
    how.check()
    root = storage.given(str(how.root)) if how.root is not None else None
    if how.is_here:
        folder = absolute(root or local_root(study))
        options = in_process.Options(**asdict(going_on), data=str(how.data))
        code = Path(study.folder or Path.cwd())
        in_process.run_study(study, content, code, folder, plain(how.jobs), options, view_of(how.progress))
        return folder
    assert how.on is not None
    from kfp_bayesopt.api.costs import agreed  # plans and places take a while
    from kfp_bayesopt_pipeline.elsewhere.running import run_elsewhere

    found = run_elsewhere(
        study,
        how.on,
        root=root,
        going_on=going_on,
        image=how.image,
        data=str(how.data),
        max_cost=agreed(study, how.on, how.max_cost, how.source),
        wait=how.wait,
        view=view_of(how.progress),
    )
    return absolute(found)


def go_on(folder: StudyFolder, trials: int, going_on: GoingOn, how: How) -> Study:
    """Go on with more trials where the last job ran, and return the study with that budget.

    They come on top of what the last job that has succeeded had, so that a call that was stopped is the same again.

    Args:
        folder: The study folder.
        trials: How many more.
        going_on: How it goes on.
        how: How; a place that is named is another one than that of the last job.

    Raises:
        UserError: The study cannot go on, or has failed.
    """
    wanted: Any = plain(trials)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise UserError(f"{how.source}: trials must be a whole number of 1 or more, but got {shown(trials)}")
    known = list_jobs(folder.root)
    study = folder.study.model_copy(update={"iterations": None, "trials": _budget(folder, known) + wanted})
    if folder.function is not None:  # it may be in the folder alone
        study = study.carrying(folder.function)
    data = known[-1].data if known else None
    on = how.on or next((job.place for job in reversed(known) if job.place in PLACES), None)
    how = replace(how, on=on, root=folder.root, data=(data.uri or data.given) if data else "")
    start(study, study.to_text().encode(), going_on, how)
    return study


def _budget(folder: StudyFolder, known: Sequence[Job]) -> int:
    """Return the budget of the last job that has succeeded, else that of the study."""
    for job in reversed(known):
        ended = end_of(folder.root, job.job)
        if ended is not None and ended.state == "succeeded":
            return Study.from_file(f"{folder.root}/{job.study_file}").budget
    return folder.study.budget
