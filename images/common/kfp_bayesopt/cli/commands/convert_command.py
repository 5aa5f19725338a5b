"""The command that converts search spaces: `convert`."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.meant import study_file
from kfp_bayesopt.cli.options.study_options import study_of
from kfp_bayesopt.errors import UserError, shortened, shown
from kfp_bayesopt.exchange.dialects import DIALECTS
from kfp_bayesopt.steps.command import Command

if TYPE_CHECKING:  # `--help` waits for nothing
    from kfp_bayesopt.exchange.dialects.base import Converted


@click.command(cls=Command)
@click.argument("path", shell_complete=path_options.files)
@click.option(
    "--to", type=click.Choice(["study", *DIALECTS]), default="study", show_default=True, help="Form to print."
)
def convert(path: str, to: str) -> None:
    """Convert a search space of Katib or Vertex, or to theirs.

    PATH is a Katib Experiment, a Vertex StudySpec or a study file; its search space is printed. Anything that cannot be
    kept is named in comments.

    \b
    Example:
      bayesopt convert my-study --to katib
    """  # noqa: D301 - click wants the character \b
    dialect = DIALECTS.get(to)
    converted = read_space(path) if dialect is None else dialect.functions.write(study_of(study_file(path))[0])
    click.echo(text_of(converted, as_json=dialect is not None and dialect.as_json))


def read_space(path: str) -> Converted:
    """Return the search space of a file of Katib or Vertex as keys of a study file.

    Raises:
        UserError: It is not a table.
    """
    from kfp_bayesopt.exchange.foreign import read_foreign_yaml

    data = read_foreign_yaml(path)
    if not isinstance(data, dict):
        documents = " or ".join(each.document for each in DIALECTS.values())
        raise UserError(f"{path}: must be {documents}, as YAML or JSON, but got {shown(data)}")
    *others, last = DIALECTS.values()
    read = next((each for each in others if each.functions.recognises(data)), last).functions.read(data, path)
    return replace(read, mistakes=_mistakes(read))


def _mistakes(converted: Converted) -> list[str]:
    """Return what a study would refuse in converted keys, with a command in the place of one that is yet to be said."""
    from kfp_bayesopt.study.study import Study

    keys = {"name": "converted", "trials": 1, "parallel_trials": 1, **converted.data}
    if "command" not in keys["objective"]:
        keys["objective"] = {"args": "json-file", **keys["objective"], "command": ["COMMAND", "{parameters_file}"]}
    try:
        Study.from_text(json.dumps(keys), "study")
    except UserError as error:
        return error.message.split("\n")
    return []


def text_of(converted: Converted, as_json: bool = False) -> str:
    """Return the text of a search space, with anything that could not be kept."""
    from kfp_bayesopt.study.study_file import text_of as study_text

    file = io.StringIO()
    if as_json:
        file.write(json.dumps(converted.data, indent=2) + "\n")
        for each in converted.notes():
            click.echo(shortened(each), err=True)
        return file.getvalue().rstrip()
    for each in converted.notes():
        file.write(f"# {shortened(each)}\n")
    file.write(study_text(converted.data))
    return file.getvalue().rstrip()
