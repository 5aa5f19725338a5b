"""Runs a study on this machine: the same steps on its folder, each trial in a process of its own.

What the folder has is kept, so that a run that was stopped, here or elsewhere, goes on where it was.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt import hints, session
from kfp_bayesopt.exchange.dialects import naming_other_tools
from kfp_bayesopt.folder.data import read_data
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.roots import local_root
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.code import code_here
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.session.progress import Progress
from kfp_bayesopt.session.view import View
from kfp_bayesopt.steps import REPORT_PAGE, WORKER, trial_step
from kfp_bayesopt.study.budget import workers as workers_of
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places.batches import run_batches
from kfp_bayesopt_pipeline.places.protocol import Place
from kfp_bayesopt_pipeline.places.workers import run_workers
from kfp_bayesopt_pipeline.plan.prices import Prices


class InProcess(Place):
    """This process, and those that it starts."""

    name = "in-process"
    elsewhere = "in_process"
    step_seconds = 1.0

    def assumptions(self, study: Study, prices: Prices) -> Iterator[str]:
        """Yield what is assumed of this machine."""
        yield f"- {self.step_seconds:g} s to propose a batch; {hints.JOBS(jobs=workers_of(study))}, and a core for each"


PLACE = InProcess()


@dataclass(frozen=True, kw_only=True)
class Options(GoingOn):
    """How a study goes on here.

    Attributes:
        watch: Serve the report meanwhile.
        data: What the objective is given: a text, a URI, or a path from the working folder.
    """

    watch: bool = False
    data: str = ""


def run(study_path: str, root: str | None, workers: int | None, options: Options, view: View | None = None) -> Best:
    """Run a study to its end, show it, and return the best trial.

    Args:
        study_path: The study file.
        root: The study folder, here or in a bucket; `out/<study name>` by default.
        workers: How many trials run at the same time; by default one for each core, and no more than
            `parallel_trials`.
        options: How it goes on.
        view: How it is shown; by default not at all.

    Raises:
        UserError: The study has a mistake, its objective cannot be called, the folder holds
            another study or is in use, or the study has failed.
    """
    with naming_other_tools(study_path):
        study, content = Study.read(study_path)
    return run_study(study, content, Path(study_path).resolve().parent, root, workers, options, view)


def run_study(
    study: Study,
    content: bytes,
    code_folder: Path,
    root: str | None,
    workers: int | None,
    options: Options,
    view: View | None = None,
) -> Best:
    """Run a study to its end, show it, and return the best trial.

    Args:
        study: The study.
        content: Its study file, which the study folder gets.
        code_folder: The folder in which the objective runs, and below which its code is.
        root: The study folder, as for `run`.
        workers: How many trials run at the same time, as for `run`.
        options: How it goes on.
        view: How it is shown; by default not at all.

    Raises:
        UserError: As for `run`.
    """
    folder = StudyFolder(root or local_root(study), study)
    data = read_data(options.data, folder=Path.cwd())
    workers = workers or min(study.parallel_trials, os.cpu_count() or 1)
    code = code_here(study, code_folder)
    with (
        session.open(folder, content, PLACE.name, code=code, going_on=options, beside=code_folder, data=data) as opened,
        opened.shown(view, workers) as progress,
    ):
        if opened.note:
            progress.note(opened.note)
        if data is not None:
            progress.note(f"data: {data}, a {data.kind}")
        with _watched(folder, options, progress):
            with opened.mistakes_end_it():
                work = run_workers if trial_step(study.schedule) is WORKER else run_batches
                work(opened, code_folder, workers, progress)
            verdict = opened.report()
            progress.finish(verdict, f"{folder.root}/{REPORT_PAGE}")
    return verdict.best_of_success()


@contextlib.contextmanager
def _watched(folder: StudyFolder, options: Options, progress: Progress) -> Iterator[None]:
    """Serve the report meanwhile, where that is asked for."""
    if not options.watch:
        yield
        return
    from kfp_bayesopt.session.watching import watching

    with watching(folder) as server:
        progress.note(f"watch it at {server.url}")
        yield
