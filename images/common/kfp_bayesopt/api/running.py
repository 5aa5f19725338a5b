"""Runs a study on this machine, from a script or a notebook."""

from __future__ import annotations

import sys
from os import PathLike
from pathlib import Path
from typing import Any

from kfp_bayesopt import workspace
from kfp_bayesopt.api.result import Result, absolute
from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt.folder.roots import local_root
from kfp_bayesopt.session.lines import Lines
from kfp_bayesopt.session.view import View
from kfp_bayesopt.store import storage
from kfp_bayesopt.strict import plain
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places import in_process


def run(
    study: Study | str | PathLike[str],
    *,
    jobs: int | None = None,
    root: str | PathLike[str] | None = None,
    fresh: bool = False,
    keep: bool = False,
    same_code: bool = False,
    retry_failed: bool = False,
    ended: str | None = None,
    join: bool = False,
    data: str | PathLike[str] = "",
    progress: bool = True,
) -> Result:
    """Run a study on this machine to its end, trials in processes of their own, as `bayesopt run` does.

    A study that was stopped, here or elsewhere, continues: after Ctrl-C the same call goes on from there. The objective
    runs in the folder of the study file, that of a study from arguments in the working folder, where its module is
    looked for too.

    Args:
        study: A study, its file, or a folder with `study.yaml`.
        jobs: How many trials run at the same time. Default: one for each core, and no more than `parallel_trials`.
        root: The study folder, here or in a bucket, such as `gs://BUCKET/PREFIX`. Default: `out/NAME`, where there is
            a folder `out` from the working folder upwards, else at the root of the repository, else in the working
            folder.
        fresh: Start over; the content of the folder is moved aside.
        keep: The study was changed: start over, with the trials that are still useful.
        same_code: Continue although the code has changed; it gives the same values.
        retry_failed: Evaluate failed trials again.
        ended: Treat this job as ended (it crashed without reporting).
        join: Add workers to a running asynchronous study.
        data: What the objective is given, as `BAYESOPT_DATA` and `{data}`: a text, a URI, or a path.
        progress: Write a line for each trial, and the results, on standard error.

    Returns:
        The study folder, to read the results from.

    Raises:
        UserError: The study has a mistake, its objective cannot be called, the folder holds another study or is in
            use, or the study has failed.
    """
    workers: Any = plain(jobs)
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise UserError(f"run: jobs must be a whole number of 1 or more, but got {shown(jobs)}")
    options = in_process.Options(
        fresh=fresh, keep=keep, same_code=same_code, retry_failed=retry_failed, ended=ended, join=join, data=str(data)
    )
    if isinstance(study, Study):
        content = study.to_text().encode()
    else:
        study, content = Study.read(_file_of(str(study)))
    folder = absolute(storage.given(str(root)) if root is not None else local_root(study))
    view = Lines(_say) if progress else View()
    code_folder = Path(study.folder or Path.cwd())
    in_process.run_study(study, content, code_folder, folder, workers, options, view)
    return Result(folder, study)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _file_of(given: str) -> str:
    """Return the study file that a person means."""
    path = storage.given(given)
    return str(Path(path) / workspace.STUDY_FILE) if storage.is_local(path) and Path(path).is_dir() else path
