"""Tunes a function, a command or a study, from a notebook or a script."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from kfp_bayesopt.api.described import Described, study_of
from kfp_bayesopt.api.result import Result
from kfp_bayesopt.api.starting import start_here
from kfp_bayesopt.space.parameters import Parameter
from kfp_bayesopt_pipeline.places import in_process


def tune(
    objective: Described,
    space: Mapping[str, Parameter | Mapping[str, Any]] | None = None,
    *,
    trials: int | None = None,
    parallel: int | None = None,
    name: str | None = None,
    metric: str | None = None,
    maximize: bool = False,
    root: str | PathLike[str] | None = None,
    jobs: int | None = None,
    data: str | PathLike[str] = "",
    fresh: bool = False,
    keep: bool = False,
    same_code: bool = False,
    retry_failed: bool = False,
    ended: str | None = None,
    progress: bool = True,
    **keys: Any,
) -> Result:
    """Find the parameters with the best value, and return the study that did.

    A function travels to its trials as it is now, with the helpers, classes and variables that it refers to: what is
    changed after the call changes no trial. The same call goes on where it was stopped, and evaluates nothing twice.

    Args:
        objective: A function of parameters that returns a number, or a mapping of metrics; a command as a list of
            words, with `{name}` for the value of a parameter, or without any, which gets them as `--name=value`; a text
            `module:function`; the section `objective` of a study file as a mapping. A `Study`, or the path of a study
            file, says everything of the study itself.
        space: The parameters by name, such as `{"lr": Real(1e-4, 1, log=True)}`.
        trials: How many trials there are in all.
        parallel: How many are proposed and run at a time.
        name: Names the study and its folder. Default: by the function, or by the program of the command.
        metric: Which of the metrics is tuned: a key of the mapping that the function returns, or a name that the
            command prints. Default: the number that is returned, the last line that is printed.
        maximize: A higher value is better.
        root: The study folder, here or in a bucket, such as `gs://BUCKET/PREFIX`. Default: as for `run`.
        jobs: How many trials run at the same time here. Default: one for each core, and no more than `parallel`.
        data: What the objective is given, as `BAYESOPT_DATA` and `{data}`: a text, a URI, or a path.
        fresh: Start over; the content of the folder is moved aside.
        keep: The study was changed: start over, with the trials that are still useful.
        same_code: Continue although the function has changed; it gives the same values.
        retry_failed: Evaluate failed trials again.
        ended: Treat this job as ended (it crashed without reporting).
        progress: Show the trials, and the results.
        **keys: Other keys of a study file, such as `constraints`, `limits`, `objectives`, `early_stopping`, `schedule`
            or `optimizer`.

    Returns:
        The study, to read its results from.

    Raises:
        UserError: There are mistakes, which the message names by the arguments; the function cannot travel; the folder
            holds another study or is in use; or the study has failed.
    """
    arguments = {"trials": trials, "parallel": parallel, "name": name, "metric": metric, "maximize": maximize}
    study, content = study_of(objective, space, arguments, keys)
    options = in_process.Options(
        fresh=fresh, keep=keep, same_code=same_code, retry_failed=retry_failed, ended=ended, data=str(data)
    )
    folder = start_here(study, content, options, jobs=jobs, root=root, progress=progress, source="tune")
    return Result(folder, study)
