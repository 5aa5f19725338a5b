"""The command that converts search spaces: `convert`."""

from __future__ import annotations

import io
import json
from typing import Any

import click
from ruamel.yaml import YAML

from bayesopt.errors import UserError
from bayesopt.study_file import read_study
from bayesopt.yaml_reader import UnreadableError, read_yaml
from pipeline.folder_commands import study_of
from pipeline.spaces.converted import Converted
from pipeline.spaces.katib import KIND, from_katib, to_katib
from pipeline.spaces.vertex import from_vertex, to_vertex
from pipeline.study_argument import study_path

FORMS = ("study", "katib", "vertex")


@click.command()
@click.argument("path")
@click.option(
    "--to", type=click.Choice(["study", "katib", "vertex"]), default="study", show_default=True, help="What to print."
)
def convert(path: str, to: str) -> None:
    """Print the search space of a Katib Experiment or a Vertex StudySpec as a study file, or that of a study as theirs.

    What cannot be kept is named in comments.

    \b
    Example:
      python -m pipeline convert studies/digits --to katib
    """  # noqa: D301 - click wants the character \b
    if to != "study":
        study = study_of(study_path(path))[0]
        converted = to_katib(study) if to == "katib" else to_vertex(study)
    else:
        data = _read(path)
        converted = from_katib(data) if data.get("kind") == KIND else from_vertex(data)
    click.echo(_shown(converted, as_json=to == "vertex"))


def _read(path: str) -> dict[str, Any]:
    try:
        data, problems = read_yaml(read_study(path))
    except UnreadableError as error:
        raise UserError(f"{path}: {error}") from None
    if problems or not isinstance(data, dict):
        raise UserError(
            f"{path}: {problems[0] if problems else 'must be an Experiment or a StudySpec, as YAML or JSON'}"
        )
    return data


def _shown(converted: Converted, as_json: bool) -> str:
    file = io.StringIO()
    if as_json:
        file.write(json.dumps(converted.data, indent=2) + "\n")
        for each in converted.lost:
            click.echo(f"not kept: {each}", err=True)
        return file.getvalue().rstrip()
    for each in converted.lost:
        file.write(f"# not kept: {each}\n")
    writer = YAML()
    writer.default_flow_style = None
    writer.width = 110
    writer.dump(converted.data, file)
    return file.getvalue().rstrip()
