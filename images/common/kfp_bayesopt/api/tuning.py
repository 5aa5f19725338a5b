"""Tunes a function, a command or a study, from a notebook or a script."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from kfp_bayesopt.api.described import Described, study_of
from kfp_bayesopt.api.result import Result
from kfp_bayesopt.api.starting import How, start
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.space.parameters import Parameter


def tune(
    objective: Described,
    space: Mapping[str, Parameter | Mapping[str, Any]] | None = None,
    *,
    trials: int | None = None,
    parallel: int | None = None,
    name: str | None = None,
    metric: str | None = None,
    maximize: bool = False,
    on: str | None = None,
    max_cost: float | None = None,
    image: str | None = None,
    root: str | PathLike[str] | None = None,
    jobs: int | None = None,
    data: str | PathLike[str] = "",
    fresh: bool = False,
    keep: bool = False,
    same_code: bool = False,
    retry_failed: bool = False,
    ended: str | None = None,
    wait: bool = True,
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
        parallel: How many are proposed and run at a time. Default: 4.
        name: Names the study and its folder. Default: by the function, or by the program of the command.
        metric: Which of the metrics is tuned: a key of the mapping that the function returns, or a name that the
            command prints. Default: the number that is returned, the last line that is printed.
        maximize: A higher value is better.
        on: Where trials run: `compose`, `kfp.local`, `kfp` or `vertex`, with the settings of `bayesopt submit` from
            the environment and `.env`. Default: here, in processes of this Python.
        max_cost: What the trials may cost where they have a price: the study ends there. Default: what it may cost is
            shown, and you are asked.
        image: Of a study elsewhere: the image of its trials, or `build` for one that is built for it. Default: that of
            this Python, with the packages that the function imports.
        root: The study folder, here or in a bucket, such as `gs://BUCKET/PREFIX`. Default: as for `run`; of a job on
            `kfp` or `vertex` below its pipeline root.
        jobs: How many trials run at the same time here. Default: one for each core, and no more than `parallel`.
        data: What the objective is given, as `BAYESOPT_DATA` and `{data}`: a text, a URI, or a path.
        fresh: Start over; the content of the folder is moved aside.
        keep: The study was changed: start over, with the trials that are still useful.
        same_code: Continue although the function has changed; it gives the same values.
        retry_failed: Evaluate failed trials again.
        ended: Treat this job as ended (it crashed without reporting).
        wait: Wait for the end of a job on `kfp` or `vertex`, which goes on without us.
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
    study, content = study_of(objective, space, arguments, keys, tune.__kwdefaults__ or ())
    going_on = GoingOn(fresh=fresh, keep=keep, same_code=same_code, retry_failed=retry_failed, ended=ended)
    how = How(
        source="tune",
        on=on,
        root=root,
        jobs=jobs,
        data=data,
        image=image,
        max_cost=max_cost,
        wait=wait,
        progress=progress,
    )
    return Result(start(study, content, going_on, how), study)
