"""The options of every step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.store import storage


class Numeral(click.IntRange):
    """A whole number. KFP's engine on a machine writes an item of a list, such as 2, as 2.0."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number that a text is."""
        whole: Any = value.removesuffix(".0") if isinstance(value, str) else value
        return super().convert(whole, param, ctx)


FOLDER = (
    click.option("--root", required=True, help="Study folder."),
    click.option("--study", "study_uri", required=True, help="Study file to read."),
)
OPTIONS = (
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

    for give in reversed((*FOLDER, *OPTIONS)):
        wrapped = give(wrapped)
    return wrapped


ABOVE = (
    click.option("--root", help="Study folder."),
    click.option("--study", "study_uri", help="Study file to read."),
    click.option(
        "--below", metavar="ROOT", help="Instead of both: what is above all studies; --content is opened there."
    ),
    click.option("--task", default="", help="With --below: what the service calls this task of the run."),
    click.option("--image", default="", help="With --below: image of the workers."),
    click.option(
        "--data-uri", default="", help="With --below: where the data lie, if --data is the path of an artifact."
    ),
    click.option("--going-on", default="", help="With --below: words of same-code, retry-failed, fresh, ended=JOB."),
    click.option("--made-for", default="", help="With --below: fingerprint of the study that the pipeline is for."),
)


def with_folder_or_root(opens: Callable[..., Outputs]) -> Callable[[Callable[..., Outputs]], Callable[..., None]]:
    """Give a step the options of `with_folder`, and those by which it opens the study itself.

    Args:
        opens: The work of the step then; it gets `below`, `run`, `content`, `data`, and what goes with --below.
    """

    def give_to(command: Callable[..., Outputs]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(below: str | None, root: str | None, study_uri: str | None, **options: Any) -> None:
            outputs, run, job = (options.pop(name) for name in ("outputs", "run", "job"))
            opening = {name: options.pop(name) for name in ("task", "image", "data_uri", "going_on", "made_for")}
            if below is not None and root is None and study_uri is None:
                texts = {name: options[name] for name in ("content", "data")}
                given = opens(below=below, run=run or "", **texts, **opening)
            elif below is None and root is not None and study_uri is not None:
                folder = {"root": storage.given(root), "study_uri": storage.given(study_uri)}
                given = command(**folder, job=job or run or None, **options)
            else:
                missing = "Missing option '--root'." if root is None else "Missing option '--study'."
                exclude = "--below stands for --root and --study; give it without them"
                raise click.UsageError(missing if below is None else exclude)
            if outputs is not None:
                given.write(outputs)

        for give in reversed((*ABOVE, *OPTIONS)):
            wrapped = give(wrapped)
        return wrapped

    return give_to
