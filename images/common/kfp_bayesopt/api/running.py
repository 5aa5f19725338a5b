"""Runs a study on this machine, from a script or a notebook."""

from __future__ import annotations

from os import PathLike

from kfp_bayesopt.api.described import read_study
from kfp_bayesopt.api.result import Result
from kfp_bayesopt.api.starting import How, start
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.study.study import Study


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
        progress: Show the trials and the results: drawn below the cell of a notebook, elsewhere as lines on standard
            error.

    Returns:
        The study folder, to read the results from.

    Raises:
        UserError: The study has a mistake, its objective cannot be called, the folder holds another study or is in
            use, or the study has failed.
    """
    going_on = GoingOn(fresh=fresh, keep=keep, same_code=same_code, retry_failed=retry_failed, ended=ended, join=join)
    study, content = read_study(study)
    how = How(source="run", root=root, jobs=jobs, data=data, progress=progress)
    return Result(start(study, content, going_on, how), study)
