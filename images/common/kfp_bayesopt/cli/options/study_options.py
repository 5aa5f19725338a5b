"""The argument STUDY of every command, and the options that say what a study runs in and how it goes on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.meant import is_near, study_file

if TYPE_CHECKING:  # `--help` waits for nothing
    from kfp_bayesopt.study.study import Study


def with_study(required: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the argument STUDY; it gets the path of the study file.

    Args:
        required: Whether the command needs a study; another one gets None where none is named, and none is near.
    """

    def parse(context: click.Context, _parameter: click.Parameter, given: str | None) -> str | None:
        if context.resilient_parsing or (given is None and not required and not is_near()):
            return given
        return study_file(given)

    return click.argument("study", required=False, callback=parse, shell_complete=path_options.files)


def study_of(path: str) -> tuple[Study, bytes]:
    """Read a study, and return it with the content of its file.

    Raises:
        UserError: It is missing or has mistakes.
    """
    from kfp_bayesopt.exchange.dialects import naming_other_tools
    from kfp_bayesopt.study.study import Study

    with naming_other_tools(path):
        return Study.read(path)


with_data = click.option(
    "--data",
    default="",
    help="What the objective is given, as BAYESOPT_DATA and {data}: a text, a URI, or a path of a run on this machine.",
)

with_images = click.option(
    "--images",
    type=path_options.path,
    help="File with the image of each step.  "
    "[default: out/NAME/images.json of a study with code, else out/images.json]",
)


def with_going_on(can_join: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that say how a study goes on; it gets them as `going_on`."""
    names = ("fresh", "keep", "same_code", "retry_failed", "ended", *(["join"] if can_join else []))

    def give(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(**options: Any) -> None:
            from kfp_bayesopt.session.opening import GoingOn

            command(going_on=GoingOn(**{name: options.pop(name) for name in names}), **options)

        decorated: Callable[..., None] = wrapped
        for option in (
            *([click.option("--join", is_flag=True, help="Add workers to a running asynchronous study.")] * can_join),
            click.option("--ended", metavar="JOB", help="Treat this job as ended (it crashed without reporting)."),
            click.option("--retry-failed", is_flag=True, help="Evaluate failed trials again."),
            click.option(
                "--same-code", is_flag=True, help="Continue although the code has changed; it gives the same values."
            ),
            click.option(
                "--keep", is_flag=True, help="The study was changed: start over, with the trials that are still useful."
            ),
            click.option("--fresh", is_flag=True, help="Start over; the trials that are there are kept aside."),
        ):
            decorated = option(decorated)
        return decorated

    return give
