"""What a study has come to, read from its folder: here or in a bucket, while it runs or afterwards."""

from __future__ import annotations

import contextlib
import re
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfp_bayesopt import workspace
from kfp_bayesopt.api import frames
from kfp_bayesopt.api.outcome import Best, Status, best_from, described, status_of
from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt.folder.jobs import end_of, last_job
from kfp_bayesopt.folder.roots import absolute, is_study_folder, study_folder
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.copying import there
from kfp_bayesopt.session.reporting import decisions_again, suggestions_again, verdict_again
from kfp_bayesopt.steps import REPORT_PAGE
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.wording import NAME

if TYPE_CHECKING:  # whoever only reads a folder needs no numpy
    from kfp_bayesopt.api.figures import Figure, Figures
    from kfp_bayesopt.proposing.verify import Checked


class Result:
    """A study folder and what is in it; each look reads it again, and none but `report` writes.

    Attributes:
        root: The study folder: an absolute path, or in a bucket, such as `gs://BUCKET/PREFIX`.
    """

    def __init__(self, root: str, study: Study) -> None:
        """Take a study folder; `open_study` and `run` return one."""
        self.root = root
        self._folder = StudyFolder(root, study)
        self._figures: Figures | None = None

    def __repr__(self) -> str:
        return f"open_study({self.root!r})"

    def _repr_html_(self) -> str:
        return described(self._folder)

    @property
    def study(self) -> Study:
        """The study, as it was run last; saved, it has the file of its function beside it."""
        study = self._folder.study
        if study.objective.function is None or study.carried is not None:
            return study
        try:
            file = self._folder.function
        except UserError:  # one is missing, which only those mind who save it or go on
            return study
        assert file is not None
        return study.carrying(file)

    @property
    def status(self) -> Status:
        """How far the study is.

        Raises:
            UserError: The folder cannot be read.
        """
        return status_of(self._folder)

    @property
    def best(self) -> Best | None:
        """The best trial that keeps all limits, of a noisy study the recommended one; None while there is none.

        Raises:
            UserError: There are several objectives, of which `front` has the best compromises; or the folder cannot
                be read.
        """
        if self._folder.study.objectives:
            raise UserError(f"{self.root}: several objectives have no best trial; front has the best compromises")
        return next(iter(self.front), None)

    @property
    def front(self) -> list[Best]:
        """The trials than which none is better in all objectives, by the first of these; of one, the best trial.

        Raises:
            UserError: The folder cannot be read.
        """
        return [best_from(record) for record in frames.front_of(self._folder)]

    @property
    def trials(self) -> Any:
        """A table of the trials that have ended, a row for each, in the order of their numbers.

        The columns are `trial`, `state` (completed, failed or stopped), `value`, `parameter.NAME` for each parameter,
        `metric.NAME` for each other number that the objective gave, `broken` (the limits that it breaks, in words),
        `iteration`, `seconds`, `cost`, `started` (ISO 8601) and `reason` (why it failed). What a trial does not have
        is missing: None, or NaN in a column of numbers of a frame.

        It is a pandas.DataFrame where pandas is installed, else a list of mappings from the same names.

        Raises:
            UserError: The folder cannot be read.
        """
        return self.frame("trials")

    @property
    def curves(self) -> Any:
        """A table of the intermediate values of the trials that have ended, a row for each step of a trial.

        The columns are `trial`, `step` and `value`.

        It is a pandas.DataFrame where pandas is installed, else a list of mappings from the same names.

        Raises:
            UserError: The folder cannot be read.
        """
        return self.frame("curves")

    @property
    def importance(self) -> Any:
        """A table of how much each parameter matters, as the report shows it, the most important one first.

        The columns are `objective` (where there are several), `parameter`, `share` (from 0 to 1: of the variance of the
        objective, what the parameter is part of, alone or with others), `low` and `high` (a 90 % interval).
        There are no rows while the trials allow any order of the parameters.

        It is a pandas.DataFrame where pandas is installed, else a list of mappings from the same names.

        Raises:
            UserError: The folder cannot be read.
        """
        return self.frame("importance")

    def frame(self, what: str) -> Any:
        """A table of the study.

        Args:
            what: `trials`, `curves` or `importance`, as the properties; or `front`, rows of `trials`: of several
                objectives the trials than which none is better in all, by the first of these; of one, the best trial.

        Returns:
            A pandas.DataFrame where pandas is installed, else a list of mappings from the names of the columns.

        Raises:
            UserError: There is no such table, or the folder cannot be read.
        """
        return frames.frame(self._folder, what)

    def more(
        self,
        trials: int,
        *,
        on: str | None = None,
        max_cost: float | None = None,
        image: str | None = None,
        jobs: int | None = None,
        same_code: bool = False,
        retry_failed: bool = False,
        ended: str | None = None,
        wait: bool = True,
        progress: bool = True,
    ) -> Result:
        """Go on with a larger budget: that of the last job that has succeeded, and more.

        The function need not be there: its file is in the study folder. A module of a study `module:function` is looked
        for where the study file is, else in the working folder. After Ctrl-C the same call goes on from there.

        Args:
            trials: How many trials more.
            on: Where they run, as for `tune`. Default: where the last job ran.
            max_cost: What the trials of the study may cost, as for `tune`.
            image: The image of the trials elsewhere, as for `tune`.
            jobs: How many trials run at the same time here, as for `tune`.
            same_code: Continue although the code has changed; it gives the same values.
            retry_failed: Evaluate failed trials again.
            ended: Treat this job as ended (it crashed without reporting).
            wait: Wait for the end, as for `tune`.
            progress: Show the trials, and the results.

        Returns:
            The study, which is this one.

        Raises:
            UserError: The study cannot go on, or has failed.
        """
        from kfp_bayesopt.api.starting import How, go_on  # whoever only reads needs no places
        from kfp_bayesopt.session.opening import GoingOn

        how = How(source="more", on=on, max_cost=max_cost, image=image, jobs=jobs, wait=wait, progress=progress)
        going_on = GoingOn(same_code=same_code, retry_failed=retry_failed, ended=ended)
        self._folder = StudyFolder(self.root, go_on(self._folder, trials, going_on, how))
        return self

    def stop(self) -> None:
        """Stop the job that runs: on a service, and here also where another process, notebook or thread runs it.

        Its running trials are stopped, and evaluated again when the study goes on, as with Ctrl-C.

        Raises:
            UserError: No job runs, or it cannot be stopped from here.
        """
        job = last_job(self.root)
        if job is None or end_of(self.root, job) is not None:
            raise UserError(f"{self.root}: no job runs, so there is none to stop")
        from kfp_bayesopt_pipeline.elsewhere.running import stop_elsewhere  # whoever only reads needs no places

        stop_elsewhere(self.root)

    @property
    def figures(self) -> list[str]:
        """The names of the figures of the report page, in its order: `history`, `importance`, `slices` and others."""
        from kfp_bayesopt.api.figures import names

        return names()

    def figure(self, name: str) -> Figure:
        """One figure of the report page, as the study is now; as the last line of a cell, a notebook draws it.

        Args:
            name: One of `figures`.

        Returns:
            The figure; `save("figure.html")` writes it into a file.

        Raises:
            UserError: There is no such figure, or the folder cannot be read.
        """
        from kfp_bayesopt.api.figures import Figures

        if self._figures is None or self._figures.folder is not self._folder:
            self._figures = Figures(self._folder)
        return self._figures.named(name)

    def watch(self) -> None:
        """Show the report page while the study runs, until it has ended; Ctrl-C ends the watching, not the study.

        In a notebook the page is below the cell, and needs no server: also where the browser is on another machine.
        Elsewhere the page is served at an address of this machine, which is written on standard error.

        Raises:
            UserError: The folder cannot be read.
        """
        with contextlib.suppress(KeyboardInterrupt):  # it ends the watching, and nothing else
            from kfp_bayesopt.api.watching import watch

            watch(self._folder)

    def verify(self) -> list[Checked]:
        """Compute every suggestion and every decision to stop a trial early again, from what it had seen.

        Returns:
            The verdict on the suggestion of each trial, in the order of their numbers, then the decisions that differ:
            `same`; `equally good`, of another processor's rounding; `not checked`, by other versions; or `differs`.

        Raises:
            UserError: The folder holds no trial, or is damaged.
        """
        from kfp_bayesopt.proposing.verify import Checked

        wrong = [Checked(rung.trial, "differs", why) for rung, why in decisions_again(self._folder) if why]
        return [*suggestions_again(self._folder), *wrong]

    def report(self, to: str | PathLike[str] | None = None, *, full: bool = False) -> str:
        """Write the results and the report page again from the records.

        Args:
            to: A file for the page alone; nothing is written into the study folder then.
            full: Show hosts, paths and the last lines of failed trials too.

        Returns:
            The page: a path, or an object of the bucket.

        Raises:
            UserError: The folder is damaged, or in use.
        """
        path = None if to is None else Path(storage.given(str(to)))
        verdict_again(self._folder, full=full, to=path)
        return f"{self.root}/{REPORT_PAGE}" if path is None else str(path)


def open_study(root: str | PathLike[str], on: str | None = None) -> Result:
    """Open a study folder: to read it, to go on, or to stop what runs.

    Args:
        root: The folder, such as `out/branin`, or in a bucket, such as `gs://BUCKET/PREFIX`; or the name of a study,
            whose folder is `out/NAME`, where `tune` and `run` put it.
        on: Of a name: the place where the study ran, such as `vertex`, whose newest folder of that name is opened.

    Raises:
        UserError: It does not exist, or holds no study.
    """
    found = absolute(_where(root, on))
    return Result(found, study_folder(there(found)).study)


def _where(root: str | PathLike[str], on: str | None) -> str:
    given = storage.given(str(root))
    if not (isinstance(root, str) and re.fullmatch(NAME, root)):
        if on is not None:
            raise UserError(f"open_study: on: is for the name of a study, but got {shown(str(root))}; leave it out")
        return given
    if on is not None:
        from kfp_bayesopt_pipeline.elsewhere.running import find_root  # whoever only reads needs no places

        return find_root(root, on)
    return given if is_study_folder(given) else str(workspace.out(root))
