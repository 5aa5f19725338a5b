"""The study file: what a person asks for, read from YAML and checked as a whole."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import string
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bayesopt import storage
from bayesopt.errors import UserError

Scalar = bool | int | float | str | None
"""The value of a parameter, as JSON has it; its type survives the way to the objective."""

Parameters = dict[str, Scalar]
"""The value of each parameter of a trial, by name."""


class _Section(BaseModel):
    # Strict, so that `low: "1"` and `iterations: 4.5` are mistakes and not guesses.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Real(_Section):
    """A number between two bounds."""

    type: Literal["real"]
    low: float = Field(description="Lowest value.")
    high: float = Field(description="Highest value.")
    log: bool = Field(False, description="Search the logarithm: for learning rates, penalties and the like.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, self.log)
        return self


class Integer(_Section):
    """A whole number between two bounds, both of them allowed."""

    type: Literal["integer"]
    low: int = Field(description="Lowest value.")
    high: int = Field(description="Highest value.")
    log: bool = Field(False, description="Search the logarithm: for layer widths, numbers of trees and the like.")
    step: int = Field(1, ge=1, description="Distance between two allowed values, counted from `low`.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, self.log)
        if self.log and self.step != 1:
            raise ValueError(f"log and step cannot be combined, but got log=true, step={self.step}")
        if self.step > self.high - self.low:
            raise ValueError(
                f"step <= high - low must hold, but got low={self.low}, high={self.high}, step={self.step}"
            )
        if (self.high - self.low) % self.step:
            reached = self.high - (self.high - self.low) % self.step
            raise ValueError(
                f"high must be low plus a multiple of step, but got low={self.low}, high={self.high}, "
                f"step={self.step}; use high: {reached}"
            )
        return self


class Categorical(_Section):
    """One of a list of strings, numbers, booleans or null, without an order."""

    type: Literal["categorical"]
    choices: tuple[Scalar, ...] = Field(min_length=1, strict=False, description="The values to choose from.")

    @field_validator("choices")
    @classmethod
    def _check(cls, choices: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        # By JSON, because Python takes 1, 1.0 and True for equal.
        seen: set[str] = set()
        for choice in choices:
            text = json.dumps(choice)
            if text in seen:
                raise ValueError(f"every choice must be there once, but got {text} again")
            seen.add(text)
        return choices


Parameter = Annotated[Real | Integer | Categorical, Field(discriminator="type")]


class Objective(_Section):
    """What turns parameters into a value: a Python function or a command."""

    python: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$",
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.python is None) == (self.command is None):
            raise ValueError("one of python and command must be given")
        return self

    def placeholders(self) -> set[str]:
        """Return the names that stand in braces in the command.

        Raises:
            ValueError: What stands in braces is more than a name, or none.
        """
        names: set[str] = set()
        for part in self.command or []:
            try:
                fields = list(string.Formatter().parse(part))
            except ValueError as error:
                raise ValueError(f"braces must be doubled where no parameter is meant ({error})") from None
            for _, name, form, conversion in fields:
                if name == "":
                    raise ValueError("{} must name a parameter, or have its braces doubled")
                if form or conversion:
                    raise ValueError(f"{{{name}}} must stand without a format; it is the value with all its digits")
                if name:
                    names.add(name)
        return names

    def __str__(self) -> str:
        return self.python or " ".join(self.command or [])


RandomState = Annotated[int, Field(ge=0, lt=2**32, description="Seed: the same study gives the same suggestions.")]


class GpSettings(_Section):
    """Our own Gaussian process with expected improvement; the default."""

    engine: Literal["gp"] = "gp"
    random_state: RandomState = 0
    n_initial_points: int | None = Field(
        None, ge=1, description="Trials before the model is used. Default: by dimensions and batch."
    )


class SkoptSettings(_Section):
    """The Gaussian process optimiser of scikit-optimize, with its defaults."""

    engine: Literal["skopt"]
    random_state: RandomState = 0
    base_estimator: Literal["GP", "RF", "ET"] = Field(
        "GP", description="Model: Gaussian process, random forest or extra trees."
    )
    n_initial_points: int = Field(10, ge=1, description="Trials before the model is used.")
    initial_point_generator: Literal["random", "sobol", "halton", "hammersly", "lhs"] = Field(
        "random", description="How the first points are spread."
    )
    acq_func: Literal["gp_hedge", "EI", "LCB", "PI"] = Field("gp_hedge", description="Acquisition function.")


class RandomSettings(_Section):
    """Points at random."""

    engine: Literal["random"]
    random_state: RandomState = 0


class SobolSettings(_Section):
    """Points of a scrambled Sobol sequence: they fill the space evenly."""

    engine: Literal["sobol"]
    random_state: RandomState = 0


class GridSettings(_Section):
    """All points of a grid, in order."""

    engine: Literal["grid"]
    points_per_parameter: int = Field(
        5,
        ge=1,
        description="Values of a real or integer parameter, evenly spaced; a categorical one takes all its choices.",
    )

    def points_of(self, parameter: Parameter) -> int:
        """Return how many values of a parameter are on the grid."""
        match parameter:
            case Real():
                return self.points_per_parameter
            case Integer():
                return min(self.points_per_parameter, (parameter.high - parameter.low) // parameter.step + 1)
            case Categorical():
                return len(parameter.choices)


class OptunaSettings(_Section):
    """A sampler of Optuna, which must be installed beside: it is not in the images."""

    engine: Literal["optuna"]
    random_state: RandomState = 0
    sampler: Literal["tpe", "gp", "cmaes", "random"] = Field("tpe", description="Which sampler.")


OptimizerSettings = GpSettings | SkoptSettings | RandomSettings | SobolSettings | GridSettings | OptunaSettings


class Stop(_Section):
    """When a study ends before its budget is spent; the iteration that is under way is evaluated to its end."""

    target: float | None = Field(None, description="A value as good as this has been reached.")
    no_improvement_iterations: int | None = Field(
        None, ge=1, description="So many iterations in a row have not improved the best value."
    )
    max_hours: float | None = Field(
        None, gt=0, description="So many hours lie between the start of the first trial and the end of the last."
    )


class Step(_Section):
    """What a step gets on Kubeflow and Vertex."""

    cpu: float = Field(1, gt=0, description="CPU cores.")
    memory: str = Field("8G", pattern=r"^[1-9]\d*(K|M|G|T|Ki|Mi|Gi|Ti)$", description="Memory, as `8G` or `512Mi`.")
    accelerator_type: str | None = Field(None, min_length=1, description="As the target names it: `NVIDIA_TESLA_T4`.")
    accelerator_count: int | None = Field(None, ge=1, description="How many accelerators. Default: one, with a type.")
    retries: int = Field(2, ge=0, le=10, description="How often a step that failed is run again.")
    backoff_seconds: int = Field(60, ge=0, le=3600, description="Pause before the first retry; it doubles each time.")
    cache: bool = Field(True, description="Take the outputs of an earlier run with the same inputs.")

    @model_validator(mode="after")
    def _check_accelerators(self) -> Self:
        if self.accelerator_count is not None and self.accelerator_type is None:
            raise ValueError(f"accelerator_type must be given with accelerator_count={self.accelerator_count}")
        return self


class EvaluateStep(Step):
    """What a trial gets on Kubeflow and Vertex."""

    image: str | None = Field(None, min_length=1, description="An image of your own, built on the evaluate image.")
    machine_type: str | None = Field(None, min_length=1, description="Vertex only: `n1-standard-8` and the like.")
    spot: bool = Field(False, description="Vertex only: spot machines, which may be taken away; retries run again.")

    @model_validator(mode="after")
    def _check_machine(self) -> Self:
        if self.spot and self.machine_type is None:
            raise ValueError("machine_type must be given with spot: true")
        if self.machine_type is not None and {"cpu", "memory"} & self.model_fields_set:
            raise ValueError("cpu and memory cannot be combined with machine_type, which decides them")
        return self


class Steps(_Section):
    """What each step gets on Kubeflow and Vertex; a run on this machine does not read it."""

    init: Step = Step()
    evaluate: EvaluateStep = EvaluateStep()
    update: Step = Step()


class Study(_Section):
    """A search space, an objective and a budget of iterations x parallel trials."""

    name: str = Field(
        pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="Lower case letters, digits and hyphens, at most 63; names folders and jobs.",
    )
    objective: Objective
    direction: Literal["minimize", "maximize"] = Field("minimize", description="Which values are better.")
    iterations: int = Field(ge=1, le=1000, description="How many batches of trials are evaluated, one after another.")
    parallel_trials: int = Field(ge=1, le=1000, description="How many trials of a batch are evaluated side by side.")
    space: dict[str, Parameter] = Field(min_length=1, description="The parameters to search, by name.")
    optimizer: Annotated[OptimizerSettings, Field(discriminator="engine")] = Field(
        GpSettings(), description="How trials are proposed."
    )
    stop: Stop = Field(Stop(), description="When to end before the budget is spent. Default: never.")
    noisy: bool = Field(
        False, description="The same parameters give other values each time: the best is chosen by the model's mean."
    )
    max_failed_trials: int | None = Field(
        None,
        ge=0,
        description="The study stops when more trials have failed. Default: a quarter of all, one batch at least.",
    )
    max_trial_seconds: float | None = Field(
        None, gt=0, description="A trial that takes longer is stopped and counts as failed. Default: no limit."
    )

    max_parallel: int | None = Field(
        None, ge=1, description="How many trials of a batch run at the same time on Kubeflow and Vertex. Default: all."
    )
    steps: Steps = Field(Steps(), description="Machines, retries and caching of each step on Kubeflow and Vertex.")

    @field_validator("optimizer", mode="before")
    @classmethod
    def _default_engine(cls, optimizer: Any) -> Any:
        return {"engine": "gp", **optimizer} if isinstance(optimizer, dict) else optimizer

    @field_validator("space")
    @classmethod
    def _check_names(cls, space: dict[str, Parameter]) -> dict[str, Parameter]:
        if bad := [repr(name) for name in space if not name.isidentifier()]:
            raise ValueError(f"the name of a parameter must be a Python identifier, but got {', '.join(bad)}")
        return space

    @model_validator(mode="after")
    def _check_command(self) -> Self:
        if self.objective.command is None:
            return self
        try:
            used = self.objective.placeholders()
        except ValueError as error:
            raise ValueError(f"objective.command: {error}") from None
        if unknown := sorted(used - set(self.space)):
            raise ValueError(f"objective.command: {{{unknown[0]}}} must be a parameter of the space")
        if unused := sorted(set(self.space) - used):
            raise ValueError(f"objective.command: the parameter {{{unused[0]}}} must be used, but it is not there")
        return self

    @model_validator(mode="after")
    def _check_grid(self) -> Self:
        if not isinstance(self.optimizer, GridSettings):
            return self
        sizes = {name: self.optimizer.points_of(parameter) for name, parameter in self.space.items()}
        if (size := math.prod(sizes.values())) > self.trials:
            raise ValueError(
                f"optimizer: a grid must fit into the budget of {self.trials} trials (iterations x parallel_trials), "
                f"but has {size} points ({' x '.join(f'{name}: {n}' for name, n in sizes.items())}); "
                "lower points_per_parameter or raise iterations"
            )
        return self

    @property
    def trials(self) -> int:
        """The budget: how many trials the study has in all."""
        return self.iterations * self.parallel_trials

    @property
    def failures_allowed(self) -> int:
        """How many trials may fail before the study stops."""
        if self.max_failed_trials is not None:
            return self.max_failed_trials
        return max(self.parallel_trials, self.trials // 4)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that are equal where trials can be shared: same name, objective, direction and space.

        The budget and the optimiser may change and the trials are still those of this study.
        """
        identity = self.model_dump(mode="json", include={"name", "objective", "direction", "space"})
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    def is_better(self, value: float, other: float) -> bool:
        """Tell whether a value is better than another one."""
        return value < other if self.direction == "minimize" else value > other


def load_study(uri: str) -> Study:
    """Read and check a study file.

    Raises:
        UserError: It is missing or has mistakes; the message names all of them, one a line.
    """
    return parse_study(storage.read(uri), source=uri)


def parse_study(content: bytes, source: str = "study") -> Study:
    """Check the content of a study file; `source` names it in messages."""
    # YAML 1.2: `1e-4` is a number and `on` a string; a key that comes twice is a mistake.
    yaml = YAML(typ="safe", pure=True)
    try:
        data = yaml.load(content.decode())
    except UnicodeDecodeError as error:
        raise UserError(f"{source}: UTF-8 text must be there, but got other bytes ({error.reason})") from None
    except MarkedYAMLError as error:
        raise UserError(f"{source}: {_yaml_problem(error)}") from None
    except YAMLError as error:
        raise UserError(f"{source}: YAML must be there, but {str(error).splitlines()[0]}") from None
    if data is None:
        raise UserError(f"{source}: a study must be there, but the file is empty")
    if not isinstance(data, dict):
        raise UserError(f"{source}: keys and values must be there, but got {type(data).__name__}: {str(data)[:60]}")
    try:
        return Study.model_validate(data)
    except ValidationError as error:
        lines = dict.fromkeys(_describe(error))  # each once: a union complains once for each of its branches
        raise UserError("\n".join(f"{source}: {line}" for line in lines)) from None


def difference_of(space: Mapping[str, Parameter], parameters: Parameters) -> str | None:
    """Return why parameters are not a point of a space, the first difference by name, or None where they are one."""
    for name in sorted(space.keys() | parameters.keys()):
        if name not in parameters:
            return f"it has no {name}"
        if name not in space:
            return f"its {name} is no parameter of the study"
        value = parameters[name]
        match parameter := space[name]:
            case Categorical():
                # By JSON, because Python takes 1, 1.0 and True for equal.
                if json.dumps(value) not in map(json.dumps, parameter.choices):
                    return f"its {name}={json.dumps(value)} is none of the choices"
            case Real() | Integer():
                kind = int if isinstance(parameter, Integer) else int | float
                if not isinstance(value, kind) or isinstance(value, bool):
                    return f"its {name}={json.dumps(value)} is not of type {parameter.type}"
                if not parameter.low <= value <= parameter.high:
                    return f"its {name}={value} does not lie between {parameter.low} and {parameter.high}"
                if isinstance(parameter, Integer) and (value - parameter.low) % parameter.step:
                    return f"its {name}={value} is not {parameter.low} plus a multiple of {parameter.step}"
    return None


def _check_range(low: float, high: float, log: bool) -> None:
    if not low < high:
        raise ValueError(f"low < high must hold, but got low={low}, high={high}")
    if math.isinf(high - low):
        raise ValueError(f"high - low must be a finite number, but got low={low}, high={high}")
    if log and low <= 0:
        raise ValueError(f"low > 0 must hold for a log scale, but got low={low}, high={high}")


def _yaml_problem(error: MarkedYAMLError) -> str:
    mark = error.problem_mark
    where = f"line {mark.line + 1}: " if mark else ""
    problem = (error.problem or "not YAML").splitlines()[0].removeprefix("but ")
    if problem.startswith("found duplicate key"):
        key = problem.removeprefix("found duplicate key ").split('"')[1]
        return f"{where}{key!r} must be there once, but it comes again"
    return f"{where}YAML must be there, but {problem}"


def _describe(error: ValidationError) -> Iterator[str]:
    """Yield a line for each mistake: path of the field, what must hold, what came."""
    for mistake in error.errors(include_url=False):
        path, section = _path(mistake["loc"])
        kind, message, came = mistake["type"], mistake["msg"], mistake["input"]
        context: dict[str, Any] = mistake.get("ctx", {})
        if kind == "too_short" and came:
            continue  # not empty: what is there has been found bad above
        prefix = f"{path}: " if path else ""
        if kind == "extra_forbidden":
            near = difflib.get_close_matches(path.rpartition(".")[2], section, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(section)}"
            yield f"{prefix}unknown key; {hint}"
        elif kind == "missing":
            yield f"{prefix}must be given, but it is not there"
        elif kind == "union_tag_not_found":
            yield f"{path}.type: must be real, integer or categorical, but it is not there"
        elif kind == "union_tag_invalid":
            key = context["discriminator"].strip("'")
            tags = context["expected_tags"].replace("'", "").split(", ")
            near = difflib.get_close_matches(str(context["tag"]), tags, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            must = f"{', '.join(tags[:-1])} or {tags[-1]}"
            yield f"{path}.{key}: must be {must}, but got {context['tag']!r}{hint}"
        elif kind == "value_error":
            yield f"{prefix}{context['error']}"
        elif kind == "string_pattern_mismatch" and path == "objective.python":
            yield f"{prefix}must be module:function, but got {came!r}"
        elif kind == "string_pattern_mismatch" and path.endswith(".memory"):
            yield f"{prefix}must be a number and K, M, G, T, Ki, Mi, Gi or Ti, as 8G, but got {came!r}"
        elif kind == "string_pattern_mismatch":
            yield (
                f"{prefix}must be 1 to 63 lower case letters, digits and hyphens, a letter first and no hyphen last, "
                f"but got {came!r}"
            )
        elif kind == "too_short":
            yield f"{prefix}must not be empty, but got {came!r}"
        elif kind == "literal_error":
            yield f"{prefix}must be {context['expected']}, but got {came!r}"
        elif mistake["loc"][-1] in ("bool", "int", "float", "str"):
            yield f"{prefix}must be text, a finite number, a boolean or null, but got {came!r}"
        elif kind in ("model_type", "model_attributes_type", "dict_type"):
            yield f"{prefix}must have keys and values, but got {came!r}"
        elif kind in ("list_type", "tuple_type"):
            yield f"{prefix}must be a list, but got {came!r}"
        elif mistake["loc"][-1] == "[key]":
            yield f"space: the name of a parameter must be text, but got {came!r}"
        else:
            yield f"{prefix}{message.replace('Input should be', 'must be')}, but got {came!r}"


def _path(location: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """Return the path of a field as a person writes it, and the keys known beside it.

    What pydantic puts between the keys is left out: the tag of a parameter, the branch of a union.
    """
    parts: list[str] = []
    section: Any = Study
    keys: list[str] = []
    for part in location:
        fields = getattr(section, "model_fields", None)
        if isinstance(part, int):
            parts[-1:] = [f"{parts[-1] if parts else ''}[{part}]"]
        elif fields is not None:
            keys = list(fields)
            parts.append(part)
            section = fields[part].annotation if part in fields else None
        elif get_origin(section) is dict:
            parts.append(part)
            section = get_args(section)[1]
        else:
            section = next((member for member in _members(section) if _tag(member) == part), None)
    return ".".join(parts), keys


def _members(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union, annotated or not."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    return get_args(annotation)


def _tag(member: Any) -> str | None:
    """Return what tells a section from the others of its union: the only value of its first field."""
    fields = getattr(member, "model_fields", {})
    return next((get_args(field.annotation)[0] for field in fields.values()), None)
