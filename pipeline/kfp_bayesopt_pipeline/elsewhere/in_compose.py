"""Runs a study of a notebook or a script in containers of Docker Compose."""

from __future__ import annotations

from pathlib import Path

from kfp_bayesopt import workspace
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.following import Follower, verdict_of
from kfp_bayesopt.session.progress import Progress
from kfp_bayesopt.steps import REPORT_PAGE
from kfp_bayesopt_pipeline.elsewhere import in_process
from kfp_bayesopt_pipeline.elsewhere.images import images_here
from kfp_bayesopt_pipeline.elsewhere.order import Order
from kfp_bayesopt_pipeline.places import compose

stop = in_process.stop


def run(order: Order) -> str:
    """Run a study to its end, and return the copy of its folder.

    The containers begin with an empty folder each time; what was there before is moved aside.
    """
    images = images_here(order)
    study = order.prepared(str(workspace.out().resolve()))
    target, content = Path(order.root or _copy_of(study.name)), study.to_text().encode()
    with Progress(study, str(target), study.parallel_trials, order.view) as progress:
        look = Follower(progress).look
        compose.run_read(study, content, order.folder, images, target, order.data, look)
        look(str(target))
    progress.finish(verdict_of(StudyFolder(str(target), study)), f"{target}/{REPORT_PAGE}")
    return str(target)


def find(name: str, _on: str) -> str:
    """Return the copy of the study folder of a name.

    Raises:
        NotFoundError: There is none.
    """
    return in_process.found(_copy_of(name))


def _copy_of(name: str) -> Path:
    return workspace.out(f"{name}-compose")
