"""A person's settings for each target: on the command line, in the environment, in .env or in vertex_config.json.

The options, the names of environment variables and the keys of the file all come from the fields of these classes.
`--help` reads them, so that what reads files is imported by the function that needs it.
"""

from __future__ import annotations

import difflib
import functools
import io
import logging
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self, TypeVar, get_type_hints

from kfp_bayesopt import hints, workspace
from kfp_bayesopt.errors import UserError, named, shown, shown_name
from kfp_bayesopt.store import storage, stores

if TYPE_CHECKING:
    from kfp_bayesopt.study.study import Study
    from kfp_bayesopt_pipeline.cluster import Cluster

logger = logging.getLogger(__name__)

SUBMIT = ("submit", "ready")
EVERY_COMMAND = (*SUBMIT, "status", "cancel", "results")
MAX_BYTES = 100_000
CONFIG = "vertex_config.json"
MOST_REFERENCES = 20
"""A few more references that each name the one before twice would fill any memory."""


@dataclass(frozen=True)
class Setting:
    """The description of a field.

    Attributes:
        variable: Its environment variable.
        help: Its description, for `--help`.
        rule: The pattern of its value.
        words: The rule in words.
        needed_by: The commands that require it.
        secret: Whether messages must not show its value.
        near: Returns the value that was probably meant by another one, if that is known.
    """

    variable: str
    help: str
    rule: str = r"(?s).*"
    words: str = ""
    needed_by: tuple[str, ...] = ()
    secret: bool = False
    near: Callable[[str], str | None] | None = None

    def problem_with(self, value: str) -> str | None:
        """Return the reason a value cannot be taken; None if it can."""
        got = "" if self.secret else f", but got {shown(value)}"
        if not re.fullmatch(self.rule, value, re.ASCII):
            near = self.near(value) if self.near else None
            fits = near is not None and re.fullmatch(self.rule, near, re.ASCII)
            return f"expected {self.words}{got}" + (f"; did you mean {near}?" if fits else "")
        if not value.isprintable():
            return f"expected text without control characters{got}"
        return None


Found = TypeVar("Found", bound="Settings")


@dataclass(frozen=True)
class Settings:
    """The settings that all targets share; an empty one was not given."""

    pipeline_root: Annotated[
        str,
        Setting(
            "PIPELINE_ROOT",
            f"Where the steps write: {stores.ROOT}.",
            stores.ROOTS,
            f"{stores.ROOT}, because the steps read and write there",
            SUBMIT,
            near=storage.meant,
        ),
    ] = ""
    credentials_path: Annotated[
        str,
        Setting("GOOGLE_APPLICATION_CREDENTIALS", "Key file, instead of the credentials of `gcloud auth`."),
    ] = ""
    experiment_name: Annotated[
        str,
        Setting(
            "EXPERIMENT_NAME",
            "Experiment that the job is added to, as one run.",
            r"[a-z0-9][a-z0-9-]{0,127}",
            "lower case letters, digits and hyphens, at most 128",
        ),
    ] = ""

    def cluster(self, root: str) -> Cluster | None:
        """Return what the pipeline of a study is compiled with, if it is for a KFP cluster.

        Args:
            root: The study folder, or the prefix of it.
        """
        return None

    def of_custom_jobs(self) -> dict[str, str]:
        """Return what custom jobs do not take over from the pipeline job that they are of, by the names of inputs."""
        return {}

    def of_component(self, study: Study) -> dict[str, str]:
        """Return the inputs of the component of a study that are set, by name: their defaults in it.

        Args:
            study: The study.
        """
        return {}

    @classmethod
    @functools.cache
    def described(cls) -> dict[str, Setting]:
        """Return the description of each field, by name."""
        return {name: hint.__metadata__[0] for name, hint in get_type_hints(cls, include_extras=True).items()}

    @classmethod
    def read(
        cls, given: Mapping[str, str], command: str, config: Path | None = None, of_config: Collection[str] = ()
    ) -> tuple[Self, list[str]]:
        """Return the valid settings, and a line for each that is malformed or missing.

        Args:
            given: Values by the names of fields; those of other targets are left alone.
            command: The command that needs them.
            config: The file that some of them are from.
            of_config: The names of these: what is said of one of them names the file.
        """
        valid: dict[str, str] = {}
        lines = []
        for name, setting in cls.described().items():
            if value := given.get(name):
                if problem := setting.problem_with(value):
                    lines.append(f"{config}: {name}: {problem}" if name in of_config else f"{name}: {problem}")
                else:
                    valid[name] = value
            elif command in setting.needed_by:
                given_by = hints.SETTING(option=option(name), variable=setting.variable)
                lines.append(
                    f"{name} is missing; give {given_by} in the environment or .env, or {name} in vertex_config.json"
                )
        return cls(**valid), lines


def option(name: str) -> str:
    """Return the option of the command line that gives a setting."""
    return f"--{name.replace('_', '-')}"


def config_file(named: Path | None) -> Path | None:
    """The file of settings that a person names, else the nearest `vertex_config.json`, if there is one."""
    return named or workspace.found(CONFIG, os.path.isfile)


def read_config(path: Path, known: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Read a vertex_config.json, whose keys are names of settings; null and "" mean that one is not given.

    Args:
        path: The file.
        known: The names of all settings.

    Returns:
        The values, and a line for each key that is wrong.

    Raises:
        UserError: It cannot be read, or is not a JSON object.
    """
    from kfp_bayesopt.exchange.foreign import read_foreign_json

    config = read_foreign_json(str(path), MAX_BYTES, 'an example is {"region": "europe-west1"}')
    values, lines = {}, []
    for key, value in config.items():
        if key not in known:
            near = difflib.get_close_matches(key[:100], known, 1)
            lines.append(
                f"{path}: unknown key {shown(key)}; "
                + (f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}")
            )
        elif value is not None and not isinstance(value, str):
            lines.append(f"{path}: {key}: must be a string, but got {shown(value)}")
        elif value:
            values[key] = value
    return values, lines


def find_settings(
    model: type[Found], command: str, known: Sequence[str], warn: Callable[[str], None] = logger.warning
) -> tuple[Found, list[str]]:
    """Return the settings that are found without options, as `Settings.read` does: for somebody in Python.

    They are of the environment, of `.env` and of the nearest vertex_config.json.

    Args:
        model: The settings of the target.
        command: The command that needs them.
        known: The names of the settings of all targets, which may share the file.
        warn: Takes a line about what is left out of `.env`.

    Raises:
        UserError: A file cannot be read.
    """
    load_env(warn=warn)
    config = config_file(None)
    given, problems = read_config(config, known) if config else ({}, [])
    said = {name: os.environ.get(setting.variable, "") for name, setting in model.described().items()}
    said = {name: value for name, value in said.items() if value}
    valid, lines = model.read(given | said, command, config, given.keys() - said.keys())
    return valid, problems + lines


def load_env(path: Path | None = None, warn: Callable[[str], None] = logger.warning) -> None:
    """Add the variables of a file to the environment, without changing existing ones.

    Args:
        path: The file; by default the nearest `.env`.
        warn: Takes a line about what is left out.

    Raises:
        UserError: The file cannot be read, or has a name that cannot be a variable's.
    """
    path = path or workspace.found(".env", _holds_variables)
    if path is None or not _holds_variables(path):
        return
    from dotenv.main import DotEnv
    from dotenv.parser import parse_stream

    from kfp_bayesopt.exchange.foreign import of_a_library

    # Password managers give the file as a pipe, which storage refuses.
    content = path.read_bytes() if path.is_fifo() else storage.read(str(path), limit=MAX_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; save it as UTF-8, or move it away") from None
    if text.count("${") > MOST_REFERENCES:
        raise UserError(f"{path}: refers to other variables with ${{…}} more than {MOST_REFERENCES} times")
    with of_a_library(str(path), "file of variables"):
        wrong = [binding.original.line for binding in parse_stream(io.StringIO(text)) if binding.error]
        logging.getLogger(DotEnv.__module__).setLevel(logging.ERROR)  # what it says of each line is said once here
        found = DotEnv(None, stream=io.StringIO(text), override=False).dict()
    if wrong:
        warn(f"{path}: left out what is no NAME=value: line {named(map(str, wrong))}")
    for name, value in found.items():
        if value is None or name in os.environ:
            continue
        if len(value) > MAX_BYTES:
            raise UserError(f"{path}: {shown_name(name)}: has {len(value):,} characters; shorten it")
        try:
            os.environ[name] = value
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: {shown_name(name)}: cannot be a variable: {error}; correct it") from None


def _holds_variables(path: Path) -> bool:
    """Tell whether a path is a file; a folder named `.env` is often an environment of Python."""
    try:
        return path.is_file() or path.is_fifo()
    except OSError:  # a folder above that nobody may look into
        return False
