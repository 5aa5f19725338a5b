"""The objective: the function or command that turns parameters into a value, its input and its output."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from kfp_bayesopt.errors import shown_name
from kfp_bayesopt.identity import IdentityModel
from kfp_bayesopt.space.parameters import PARAMETER_NAME
from kfp_bayesopt.study.environment import FromEnvironment, Variable, check_variable
from kfp_bayesopt.study.function import Function
from kfp_bayesopt.study.sources import AnySource, LastLine, Returned
from kfp_bayesopt.study.sources.intermediate import Intermediate, OfCurve
from kfp_bayesopt.wording import FUNCTION

PARAMETERS_FILE = "parameters_file"
"""The placeholder for the file with the parameters, if `args` asks for one."""
FOLDER = "trial_folder"
"""The placeholder for the folder of the trial."""
DATA = "data"
"""The placeholder for what an earlier step or a person gives to the objective, unless a parameter is called so."""
LONGEST_SHOWN = 120
"""The most characters of a command that are shown."""

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")

Args = Literal[
    "keywords", "dict", "placeholders", "flags", "text-flags", "switches", "key-value", "environment", "json-file",
    "yaml-file",
]  # fmt: skip
BEHIND = ("flags", "text-flags", "switches", "key-value")
"""The forms in which parameters stand behind the arguments of a command."""
OF_FUNCTIONS = ("keywords", "dict")
FILES = {"json-file": "parameters.json", "yaml-file": "parameters.yaml"}
"""The name of the file with the parameters in the folder of the trial, by the value of `args`."""


def _or_name(schema: dict[str, Any]) -> None:
    """Allow the name of a metric in the JSON Schema too."""
    schema["anyOf"].append({"type": "string"})


Value = Annotated[AnySource, Field(discriminator="source")]


class Objective(IdentityModel):
    """The function or command that turns parameters into a value."""

    first_keys = ("python", "command")
    later_keys: ClassVar[tuple[str, ...]] = ("function", "args", "value", "intermediate", "env")

    python: str | None = Field(
        None,
        pattern=FUNCTION,
        description="`module:function`, found in the image or beside the study file. It takes the parameters "
        "as keyword arguments and returns a number.",
        examples=["objectives.branin:branin"],
    )
    command: list[str] | None = Field(
        None,
        min_length=1,
        description="A program and its arguments; `{name}` stands for the value of a parameter. "
        "The last line that it prints is the value.",
        examples=[["python", "train.py", "--lr={lr}"]],
    )
    function: Function | None = Field(
        None,
        description="A function of a notebook or a script, whose file lies beside the study file; Python's `tune` and "
        "`Study.save` write it. It takes and returns what `python` does.",
    )
    args: Args | None = Field(
        None,
        description="How it gets the parameters. A function: `keywords` (default) or `dict`; a command: "
        "`placeholders` (default), `flags` (--name=value, --flag, --no-flag), `text-flags` (--flag=true), "
        "`switches` (--flag or nothing), `key-value` (name=value), `environment`, `json-file` or `yaml-file` "
        "({parameters_file}).",
    )
    value: Value | None = Field(
        None,
        description="Where the value comes from; a text is the name of a metric: in a mapping that a function returns, "
        "in what a command prints. Default: the number that a function returns, the last line that a command prints.",
        json_schema_extra=_or_name,
        examples=["val_acc", {"source": "file", "path": "metrics.json", "name": "accuracy"}],
    )
    intermediate: Intermediate | None = Field(
        None,
        description="Where intermediate values are in what is printed; a text is the name of the metric. Those that "
        "are appended to the file BAYESOPT_INTERMEDIATE are always taken.",
        json_schema_extra=_or_name,
        examples=["val_loss", {"name": "val_loss", "step": "epoch"}],
    )
    folder: Literal["study", "trial"] = Field(
        "study",
        description="The folder that it runs in: `study`, which trials share, or `trial`: one of each trial, with the "
        "files of the study, whose `outputs/`, `lightning_logs/` and the like do not mix.",
    )
    env: dict[str, Variable] = Field(
        {},
        description="Variables for the objective alone: text, {from_environment: NAME} or "
        "{secret: projects/P/secrets/S/versions/N}.",
    )

    @model_validator(mode="before")
    @classmethod
    def _name_source(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(name := data.get("value"), str):
            data = {
                **data,
                "value": {"source": "printed" if data.get("command") is not None else "returned", "name": name},
            }
        if isinstance(data, dict) and isinstance(name := data.get("intermediate"), str):
            data = {**data, "intermediate": {"name": name}}
        return data

    @field_validator("env")
    @classmethod
    def _check_env(cls, env: dict[str, Variable]) -> dict[str, Variable]:
        for name in env:
            check_variable(name)
        return env

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [each for each in (self.python, self.command, self.function) if each is not None]
        if len(given) != 1:
            raise ValueError("give either python or command, and not both")
        kind = "a command" if self.command is not None else "a function"
        if (self.how in OF_FUNCTIONS) == (self.command is not None):
            raise ValueError(f"args: {self.how} is not for {kind}")
        if not (self.source.of_commands if self.command is not None else self.source.of_functions):
            raise ValueError(f"value: the source {self.source.source!r} is not for {kind}")
        return self

    @property
    def how(self) -> Args:
        """The form in which the objective gets its parameters."""
        return self.args or ("placeholders" if self.command is not None else "keywords")

    @property
    def source(self) -> AnySource:
        """The source of the value."""
        if self.value is not None:
            return self.value
        return LastLine(source="last-line") if self.command is not None else Returned(source="returned")

    @property
    def who(self) -> str:
        """Its name in messages: its function or its program."""
        if self.function is not None:
            return self.function.name
        return self.python or (self.command or [""])[0]

    @property
    def of_clusters(self) -> list[str]:
        """Its variables that a KFP cluster alone sets: from a secret of the cluster."""
        return [
            name
            for name, variable in self.env.items()
            if isinstance(variable, FromEnvironment) and variable.kubernetes_secret is not None
        ]

    def _differs(self, key: str) -> bool:
        """Tell whether a key differs in meaning from its default, which depends on the kind of objective."""
        if key in ("args", "value"):
            kind = type(self)(python=self.python, command=self.command, function=self.function)
            return self.how != kind.how if key == "args" else self.source != kind.source
        if key == "intermediate":  # where it is only looked at, it changes no value
            return self.intermediate is not None and isinstance(self.value, OfCurve)
        return super()._differs(key)

    def placeholders(self) -> list[str]:
        """Return the placeholders in the command, in order, with any unpaired brace."""
        found = [match for part in self.command or [] for match in _BRACES.finditer(part)]
        return [
            match.group() if match.group(1) is None else match.group(1)
            for match in found
            if match.group() not in ("{{", "}}")
        ]

    def mismatches(self, names: Collection[str]) -> Iterator[str]:
        """Yield the mismatches between parameters of these names and the form in which the objective gets them."""
        if self.how == "keywords":
            yield from _no_keywords(names)
        if self.how == "environment":
            yield from _no_variables(names, self.env)
        if self.how in BEHIND and self.how != "key-value":
            yield from _no_flags(names, booleans=self.how == "flags")
        if self.command is not None:
            yield from self._mismatches(names)

    def _mismatches(self, names: Collection[str]) -> Iterator[str]:
        used = self.placeholders()
        ours = {FOLDER} | ({DATA} - set(names)) | ({PARAMETERS_FILE} if self.how in FILES else set())
        known = {*names, *ours} if self.how == "placeholders" else ours
        for name in dict.fromkeys(used):
            if name in known:
                continue
            braces = shown_name(name if name in ("{", "}") else f"{{{name}}}")
            if name in ("{", "}"):
                problem = f"a single {name} has no partner; double it where no parameter is meant"
            elif not name:
                problem = "{} names no parameter; write {{}} for plain braces"
            elif name in names:
                problem = f"{braces} is given by args: {self.how}; leave it out, or leave out args"
            elif re.split("[:!]", name)[0] in names:
                problem = f"{braces} has a format; write the name alone, for the value with all its digits"
            else:
                problem = f"{braces} is not a parameter of the space; double the braces where none is meant"
            yield f"objective.command: {problem}"
        if self.how in FILES and PARAMETERS_FILE not in used:
            example = f"{{{PARAMETERS_FILE}}}"
            yield f"objective.command: args: {self.how} needs {example}, such as --config={example}"
        if self.how == "placeholders":
            for name in sorted(set(names) - {re.split("[:!]", name)[0] for name in used}):
                yield (
                    f"objective.command: the parameter {shown_name(name)} is not used; put {{{shown_name(name)}}} into "
                    "it, or give all parameters with args: flags"
                )

    def __str__(self) -> str:
        """Return it in one line; a long script is cut."""
        command = " ".join(" ".join(self.command or []).split())
        if self.function is not None:
            return self.function.name
        return self.python or (command if len(command) <= LONGEST_SHOWN else f"{command[: LONGEST_SHOWN - 1]}…")


def fill(part: str, texts: dict[str, str]) -> str:
    """Replace names in braces by their texts, once: inserted text is not searched again."""
    plain = {"{{": "{", "}}": "}"}
    return _BRACES.sub(lambda match: plain.get(match.group()) or texts[match.group(1)], part)


def flag(name: str) -> str:
    """Return the name of the option for a parameter."""
    return f"--{name}"


def _no_keywords(names: Collection[str]) -> Iterator[str]:
    for name in names:
        # An invalid name is reported for the space.
        if PARAMETER_NAME.fullmatch(name) and (not name.isidentifier() or keyword.iskeyword(name)):
            yield (
                f"space: {shown_name(name)} cannot be a keyword argument of a function; rename the parameter, or give "
                "the function all of them as one dict: objective.args: dict"
            )


def _no_variables(names: Collection[str], env: Collection[str]) -> Iterator[str]:
    for name in names:
        try:
            if PARAMETER_NAME.fullmatch(name):
                check_variable(name)
        except ValueError as error:
            yield f"space: {shown_name(name)} cannot be a variable of the environment (objective.args): {error}"
        if name in env:
            yield f"space: the parameter {shown_name(name)} is a variable of objective.env too; rename one of them"


def _no_flags(names: Collection[str], *, booleans: bool) -> Iterator[str]:
    """Yield the names that are the same option to programs: argparse and click do not tell - from _."""
    first: dict[str, str] = {}
    for name in names:
        for option in (name, f"no-{name}") if booleans else (name,):
            other = first.setdefault(option.replace("_", "-"), name)
            if other != name:
                yield (
                    f"space: {shown_name(other)} and {shown_name(name)} would be the same option, "
                    f"{flag(option)} (objective.args); rename one of them"
                )
