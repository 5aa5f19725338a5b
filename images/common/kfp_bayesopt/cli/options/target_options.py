"""The target that a person chooses on the command line, and its settings: options, variables and a file."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
from click.core import ParameterSource

from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.errors import UserError
from kfp_bayesopt_pipeline.places import TARGETS, load_target
from kfp_bayesopt_pipeline.places.settings import Setting, Settings, config_file, option, read_config

if TYPE_CHECKING:
    from kfp_bayesopt_pipeline.places.protocol import Target


@dataclass(frozen=True)
class Choice:
    """The chosen target, its settings, and their mistakes.

    Attributes:
        name: Name of the target; empty if it may be any.
        settings: The valid settings.
        problems: A line for each that is malformed or missing.
    """

    name: str
    settings: Settings
    problems: list[str]

    @property
    def pipeline_root(self) -> str:
        """The prefix of studies in the bucket, for commands that need no other setting; empty if not set.

        Raises:
            UserError: It is malformed: looking elsewhere would answer another question.
        """
        if wrong := [problem for problem in self.problems if re.match(r"(.*: )?pipeline_root: ", problem)]:
            raise UserError("\n".join(wrong))
        return self.settings.pipeline_root

    def load(self) -> Target:
        """Return the target.

        Raises:
            UserError: A setting is malformed or missing.
        """
        if self.problems:
            raise UserError("\n".join(self.problems))
        return load_target(self.name, self.settings)


_ROOT = Settings.described()["pipeline_root"]


@dataclass(frozen=True)
class AnyTarget(Settings):
    """The settings of a command for any target: where study folders are, on the volume of a cluster too."""

    pipeline_root: Annotated[str, replace(_ROOT, rule=rf"{_ROOT.rule}|/\S+")] = ""


with_config = click.option(
    "--config", type=path_options.path, help="File of settings.  [default: the nearest vertex_config.json]"
)


def with_target(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --target and one for each setting; it gets the `Choice` as `chosen`."""
    decorated = _with_settings(command, _every_setting())
    return click.option(
        "--target", type=click.Choice(list(TARGETS)), default="vertex", show_default=True, help="Where jobs run."
    )(decorated)


def with_root_of_target(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where study folders are; it gets the `Choice` as `chosen`, of any target."""
    decorated = _with_settings(command, {"pipeline_root": AnyTarget.described()["pipeline_root"]})
    about = "Where jobs will run: its own store, if it has one, is the root by default.  [default: anywhere]"
    return click.option("--target", type=click.Choice(list(TARGETS)), help=about)(decorated)


def _every_setting() -> dict[str, Setting]:
    return {name: setting for model in TARGETS.values() for name, setting in model.described().items()}


def _with_settings(command: Callable[..., None], settings: dict[str, Setting]) -> Callable[..., None]:
    @functools.wraps(command)
    @click.pass_context
    def wrapped(context: click.Context, /, target: str | None, config: Path | None, **options: Any) -> None:
        model = TARGETS[target] if target else AnyTarget
        config = config_file(config)
        given, problems = read_config(config, list(_every_setting())) if config else ({}, [])
        given = {name: value for name, value in given.items() if name in settings}
        of_config = set(given)
        for name in settings:
            value = options.pop(name)
            typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            if value and typed and name not in model.described():
                raise click.UsageError(f"{option(name)} is no setting of the target {target}; choose another --target")
            if value:
                given[name] = value
                of_config.discard(name)
        good, lines = model.read(given, str(context.info_name), config, of_config)
        command(chosen=Choice(target or "", good, problems + lines), **options)

    decorated: Callable[..., None] = wrapped
    for name, setting in reversed(settings.items()):
        owners = [target for target, model in TARGETS.items() if name in model.described()]
        about = setting.help if len(owners) == len(TARGETS) else f"{', '.join(owners)}: {setting.help}"
        decorated = click.option(option(name), name, envvar=setting.variable, show_envvar=True, help=about)(decorated)
    return with_config(decorated)
