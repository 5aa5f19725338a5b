"""Starts or continues a study from Python, and says where its folder is."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from kfp_bayesopt.api.views import view_of
from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt.folder.roots import absolute, local_root
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
