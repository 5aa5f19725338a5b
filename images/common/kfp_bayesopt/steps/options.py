"""The options of every step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.store import storage

OPTIONS = (
    click.option("--root", required=True, help="Study folder."),
    click.option("--study", "study_uri", required=True, help="Study file to read."),
    click.option("--job", help="Id of the job that the step belongs to, below `jobs` of the study folder."),
    click.option("--run", help="What the service calls this run: the id of a job that has no other."),
    click.option("--outputs", help="File of this machine for what the step gives, as JSON."),
)


def with_folder(command: Callable[..., Outputs]) -> Callable[..., None]:
    """Give a step the common options: it gets `root`, without a slash at its end, `study_uri` and `job`."""

    @functools.wraps(command)
    def wrapped(
        root: str, study_uri: str, job: str | None, run: str | None, outputs: str | None, **options: Any
    ) -> None:
        given = command(root=storage.given(root), study_uri=storage.given(study_uri), job=job or run or None, **options)
        if outputs is not None:
            given.write(outputs)

    for give in reversed(OPTIONS):
        wrapped = give(wrapped)
    return wrapped
