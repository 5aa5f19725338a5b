"""The study: search space, objective, direction, budget, and the settings for proposing and running trials."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from os import PathLike
from typing import Annotated, Any, Self, TypedDict, Unpack

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails

from kfp_bayesopt.errors import UserError, listed, shown
from kfp_bayesopt.function.file import FunctionFile
from kfp_bayesopt.identity import IdentityModel
from kfp_bayesopt.search.engines import DEFAULT, Optimizer, OptimizerSettings
from kfp_bayesopt.space.constraints import LEAST_SHARE, Constraint, keeps, parse, share_kept
from kfp_bayesopt.space.decimals import canonical_point, difference
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.space.limits import Limit
from kfp_bayesopt.space.parameters import PARAMETER_NAME, Parameter, Parameters, Value, in_order
from kfp_bayesopt.strict import BY_PERSON, StrictModel, is_given, plain
from kfp_bayesopt.study.early_stopping import EarlyStopping
from kfp_bayesopt.study.export import Export, Notify
from kfp_bayesopt.study.function import objective_of
from kfp_bayesopt.study.machines import Steps
from kfp_bayesopt.study.objective import DATA, Objective
from kfp_bayesopt.study.schedules import MOST_ITERATIONS, SCHEDULES, Batches, ScheduleWord
from kfp_bayesopt.study.sources import AnySource, Printed
from kfp_bayesopt.study.sources.base import VALUE, Direction, Name, NamedSource
from kfp_bayesopt.study.study_file import folder_of, parent_of, read_keys, read_study, text_of, write_study
from kfp_bayesopt.wording import NAME

MOST_LIMITS = 20


def budget_mistakes(iterations: object, trials: object) -> Iterator[str]:
    """Yield the mistakes in the budget: it must be given exactly once."""
    if iterations is None and trials is None:
        yield "iterations: required key is missing; the budget is iterations x parallel_trials, or trials"
    elif iterations is not None and trials is not None:
        yield "trials: give iterations or trials, not both; each is the whole budget"


def _check_name(name: str) -> str:
    if not PARAMETER_NAME.fullmatch(name):
        raise ValueError(
            "the name of a parameter must be letters, digits, _, - and ., beginning with a letter or _, "
            f"but got {shown(name)}"
        )
    return name


ParameterName = Annotated[str, AfterValidator(_check_name)]


def _check_limit(text: Any) -> Any:
    Limit.parse("", text)
    return text


LimitText = Annotated[str, BeforeValidator(_check_limit), Field(json_schema_extra={"pattern": "^(<=|>=)"})]


class Stop(StrictModel):
    """Conditions that end a study before its budget is spent; the trials under way are finished first."""

    target: float | None = Field(None, description="The best value is at least as good as this.")
    no_improvement_iterations: int | None = Field(
        None, ge=1, description="The best value has not improved for this many iterations in a row."
    )
    no_improvement_trials: int | None = Field(
        None, ge=1, description="The best value has not improved for this many trials in a row, by their numbers."
    )
    max_hours: float | None = Field(
        None,
        gt=0,
        description="The trials have taken this many hours: batches each as long as its longest trial, asynchronous "
        "ones their sum by `parallel_trials`. Pauses between runs do not count.",
    )
    max_cost: float | None = Field(
        None,
        gt=0,
        description="Vertex only: the trials have cost so much, by the prices that were known when their job was "
        "submitted. Those under way then come on top.",
    )


class Keys(TypedDict, total=False):
    """The keys of a study that may be left out, as a person gives them in Python."""

    direction: Direction
    objectives: Mapping[str, Direction]
    reference: Mapping[str, float]
    iterations: int
    trials: int
    schedule: ScheduleWord
    constraints: Sequence[str]
    limits: Mapping[str, str]
    warm_start: Sequence[str]
    initial_trials: Sequence[Mapping[str, Any]]
    optimizer: OptimizerSettings | Mapping[str, Any]
    stop: Stop | Mapping[str, Any]
    early_stopping: EarlyStopping | Mapping[str, Any] | None
    checkpoint: bool
    noisy: bool
    max_failed_trials: int | None
    max_trial_seconds: float | None
    finish_seconds: float
    max_parallel: int | None
    lease_minutes: float
    export: Export | Mapping[str, Any]
    notify: Notify | Mapping[str, Any] | None
    steps: Steps | Mapping[str, Any]


class Asked(StrictModel):
    """Everything else that affects suggestions: beside the study's identity, engine settings and batch size."""

    constraints: list[str] = Field([])
    decimal: bool = Field(False, description="Whether constraints compared decimal numbers, and not floats.")
    limits: dict[Name, LimitText] = Field({})
    reference: dict[Name, float] = Field({})
    noisy: bool = False
    earlier: int = 0


class Study(IdentityModel):
    """A search space, an objective and a budget of iterations x parallel trials."""

    first_keys = ("name", "objective", "direction", "space")
    later_keys = ("objectives",)

    name: str = Field(
        pattern=NAME,
        description="Lower case letters, digits and hyphens, at most 63; names folders and jobs.",
    )
    objective: Objective
    direction: Direction = Field("minimize", description="Which values are better.")
    objectives: dict[Name, Direction] = Field(
        {}, description="Two to four metrics and the direction of each: instead of `direction`."
    )
    reference: dict[Name, float] = Field(
        {}, description="Of objectives: the worst values that count. Default: the worst that trials have had."
    )
    iterations: int | None = Field(
        None, ge=1, le=MOST_ITERATIONS, description="The budget, as batches of `parallel_trials`, one after another."
    )
    trials: int | None = Field(None, ge=1, le=999_999, description="The budget, as trials: instead of `iterations`.")
    parallel_trials: int = Field(ge=1, le=1000, description="How many trials are evaluated side by side.")
    schedule: ScheduleWord = Field(
        Batches.word, description=" ".join(f"`{word}`: {each.says}." for word, each in SCHEDULES.items())
    )
    space: dict[ParameterName, Parameter] = Field(min_length=1, description="The parameters to search, by name.")
    constraints: list[str] = Field(
        [], max_length=20, description="Comparisons of parameters that every trial keeps, such as `low <= high`."
    )
    limits: dict[Name, LimitText] = Field(
        {},
        description='What metrics of the best trial keep, such as `latency: "<= 100"`.',
    )
    warm_start: list[str] = Field(
        [],
        max_length=20,
        description="Other studies whose trials the search begins with: folders, here or in a bucket, .csv or .db.",
    )
    initial_trials: list[dict[str, Value]] = Field(
        [],
        description="Points that are tried first, such as what is in use today; what one leaves out is proposed.",
    )
    optimizer: Optimizer = Field(DEFAULT, description="How trials are proposed.")
    stop: Stop = Field(Stop(), description="When to end before the budget is spent. Default: never.")
    early_stopping: EarlyStopping | None = Field(
        None, description="Which trials are stopped before their end. Default: none."
    )
    checkpoint: bool = Field(
        False, description="Each trial has a folder in which it saves how far it is, for its next attempt."
    )
    noisy: bool = Field(
        False, description="Equal parameters give different values: the best trial is chosen by the model's mean."
    )
    max_failed_trials: int | None = Field(
        None,
        ge=0,
        description="The study stops when more trials have failed. Default: a quarter of all, one batch at least.",
    )
    max_trial_seconds: float | None = Field(
        None, gt=0, description="A trial that takes longer is stopped and counts as failed. Default: no limit."
    )
    finish_seconds: float = Field(
        60, ge=0, le=86400, description="How long an objective may take to exit once its value is there."
    )

    max_parallel: int | None = Field(
        None, ge=1, description="How many trials run at the same time on Kubeflow and Vertex. Default: all."
    )
    lease_minutes: float = Field(
        20,
        ge=12,
        le=10_000,
        description="Asynchronous: for how long a worker may give no sign of life before another one takes its trial.",
    )
    export: Export = Field(Export(), description="Trackers that get a run for each trial. Default: none.")
    notify: Notify | None = Field(None, description="A webhook that is told how the study ends. Default: none.")
    steps: Steps = Field(Steps(), description="Machines and retries of each step on Kubeflow and Vertex.")

    _folder: str | None = PrivateAttr(None)
    _earlier: tuple[Earlier, ...] = PrivateAttr(())
    _binary: bool = PrivateAttr(False)
    _carried: FunctionFile | None = PrivateAttr(None)

    def __init__(
        self,
        *,
        name: str,
        objective: Objective | Mapping[str, Any] | Sequence[str] | str | Callable[..., Any],
        space: Mapping[str, Parameter | Mapping[str, Any]],
        parallel_trials: int,
        **keys: Unpack[Keys],
    ) -> None:
        """Describe a study by the keys of a study file, and check it.

        The keys and what they mean are those of docs/study-reference.md; a section such as `optimizer` or `stop` is a
        mapping, as in the file.

        Args:
            name: Lower case letters, digits and hyphens, at most 63; names folders and jobs.
            objective: A function, which travels with what it refers to; a function as `module:function`; a command as
                a list of words with `{name}` for the value of a parameter; or a mapping as in a study file, whose
                `function` is a function.
            space: The parameters to search, by name.
            parallel_trials: How many trials are evaluated side by side.
            **keys: Everything else, above all the budget: `trials`, or `iterations` of `parallel_trials` each.

        Raises:
            UserError: There are mistakes; the message names all of them by their keys, one a line.
        """
        described, carried = objective_of(objective)
        self._take(
            {"name": name, "objective": described, "space": space, "parallel_trials": parallel_trials} | plain(keys)
        )
        self._carried = carried

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # validation makes it by itself

    @classmethod
    def described(cls, keys: Mapping[str, Any], source: str) -> Self:
        """Check a study by the keys of a study file, whose objective is one of those that the constructor takes.

        Args:
            keys: The keys.
            source: Names it in messages.

        Raises:
            UserError: There are mistakes; the message names all of them by their keys, one a line.
        """
        objective, carried = objective_of(keys["objective"])
        others = {key: plain(value) for key, value in keys.items() if key != "objective"}
        found = cls.checked({"objective": objective} | others, source)
        found._carried = carried
        return found

    def __eq__(self, other: object) -> bool:
        """Tell whether a study means the same, wherever its file is."""
        return isinstance(other, Study) and (self.said, self._earlier) == (other.said, other._earlier)

    __hash__ = None  # type: ignore[assignment]  # its parts are mappings and lists

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> Self:
        """Read and check a study file.

        Args:
            path: A file of this machine, or of a bucket, such as `gs://BUCKET/OBJECT`.

        Raises:
            UserError: It is missing or has mistakes; the message names the file and all mistakes, one a line.
        """
        return cls.read(path)[0]

    @classmethod
    def read(cls, path: str | PathLike[str]) -> tuple[Self, bytes]:
        """Read and check a study file, as `from_file` does, and return it with the content of the file."""
        uri = str(path)
        content = read_study(uri)
        found = cls.from_text(content, source=uri)
        found._folder = folder_of(uri)
        return found, content

    @classmethod
    def from_text(cls, text: str | bytes, source: str = "study") -> Self:
        """Check the text of a study file.

        Args:
            text: YAML, or JSON.
            source: Names it in messages.

        Raises:
            UserError: It has mistakes; the message names all of them, one a line.
        """
        data, problems = read_keys(text.encode() if isinstance(text, str) else text, source)
        try:
            study = cls.model_validate(data, context=BY_PERSON)
        except ValidationError as error:
            raise UserError(listed(source, [*problems, *cls.mistakes_in(data, error)])) from None
        if problems:
            raise UserError(listed(source, problems))
        return study

    def to_text(self) -> str:
        """Return the text of a study file that means the same: its fingerprint and its suggestions are equal.

        Raises:
            UserError: It holds text that no study file can, such as control characters.
        """
        text = text_of(self.to_data())
        type(self).from_text(text, self.name)
        return text

    def save(self, path: str | PathLike[str], *, replace: bool = False) -> None:
        """Write a study file that means the same, and beside it the file of a function that travels.

        Args:
            path: The file.
            replace: Replace another file that is there.

        Raises:
            UserError: Another file is there, it cannot be written, or the file of its function is missing.
        """
        function = self.objective.function
        folders = [each for each in (self._folder, parent_of(path)) if each is not None]
        beside = {} if function is None else function.files(self._carried or function.find(folders))
        write_study(str(path), self.to_text().encode(), beside, replace=replace)

    @classmethod
    def mistakes_in(cls, data: Mapping[str, Any], found: ValidationError) -> Iterator[str]:
        """Yield all mistakes in the keys of a study, those between valid sections too."""
        yield from super().mistakes_in(data, found)
        yield from _between_sections(data, found.errors(include_url=False))

    @property
    def folder(self) -> str | None:
        """The folder of its file on this machine; None without a file, or with one in a bucket or a study folder."""
        return self._folder

    @property
    def carried(self) -> FunctionFile | None:
        """The file of its function, of a study that was made in Python; one that was read has it beside its file."""
        return self._carried

    def carrying(self, file: FunctionFile) -> Self:
        """Return the study with the file of its function."""
        found = self.model_copy()
        found._carried = file
        return found

    def with_packages(self, carried: FunctionFile, wheels: str) -> Self:
        """Return the study with the lock of the packages of its function; its fingerprint stays.

        Args:
            carried: The file of its function, with the lock.
            wheels: The URI of the cache that has the wheels.
        """
        function = self.objective.function
        assert function is not None
        assert carried.lock is not None
        locked = function.model_copy(update={"lock": carried.lock.sha256, "wheels": wheels})
        found = self.model_copy(update={"objective": self.objective.model_copy(update={"function": locked})})
        found._carried = carried
        return found

    @property
    def earlier(self) -> tuple[Earlier, ...]:
        """Trials of other studies in its folder."""
        return self._earlier

    def with_earlier(self, trials: tuple[Earlier, ...]) -> Self:
        """Return the study with trials of other ones."""
        found = self.model_copy()
        found._earlier = trials
        return found

    @model_validator(mode="after")
    def _check_sections(self, info: ValidationInfo) -> Self:
        mistakes = [*self.objective.mismatches(self.space), *budget_mistakes(self.iterations, self.trials)]
        if not any(parameter.is_searched for parameter in self.space.values()):
            mistakes.append("space: every parameter is constant; give one to search")
        mistakes += [*self._condition_mistakes(), *self._objective_mistakes(info), *self._limit_mistakes()]
        if not mistakes:
            mistakes += [*self._constraint_mistakes(), *self._initial_mistakes()]
        if not mistakes:
            mistakes += self.optimizer.mistakes(self.space, self.budget)
        if self.warm_start and not self.optimizer.knows_earlier:
            engine = self.optimizer.engine
            mistakes.append(f"warm_start: the engine {engine!r} knows none; say optimizer: {{engine: gp}}")
        mistakes += SCHEDULES[self.schedule].mistakes(self)
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self

    def _condition_mistakes(self) -> Iterator[str]:
        """Yield the mistakes in conditional parameters."""
        try:
            in_order(self.space)
        except ValueError as error:
            yield str(error)
            return
        conditional = [name for name, parameter in self.space.items() if parameter.when]
        if conditional and not self.optimizer.knows_constraints:
            engine = self.optimizer.engine
            yield f"space.{conditional[0]}.when: the engine {engine!r} knows no `when`; say optimizer: {{engine: gp}}"
        if conditional and self.objective.how == "placeholders":
            yield (
                f"space.{conditional[0]}.when: a placeholder needs a value in each trial; give the parameters with "
                "args: flags"
            )

    def _objective_mistakes(self, info: ValidationInfo) -> Iterator[str]:
        """Yield the mistakes in several objectives, or in the name of a single one."""
        if self.objectives:
            yield from self._several_mistakes(info)
            return
        if isinstance(self.source, NamedSource) and self.source.name is None:
            yield "objective.value.name: required key is missing; the name of the metric to optimise"
        if self.reference:
            yield "reference: it is for several objectives; say objectives: {NAME: minimize, OTHER: maximize}"

    def _several_mistakes(self, info: ValidationInfo) -> Iterator[str]:
        """Yield the keys that do not go with several objectives."""
        source, names = self.source, ", ".join(self.objectives)
        engine = self.optimizer.engine
        wrong = {
            "objectives: give two to four; one objective has a direction, and its name is objective.value": (
                not 2 <= len(self.objectives) <= 4
            ),
            f"objectives: one of several cannot be called {VALUE}; rename the metric": VALUE in self.objectives,
            "direction: each of the objectives has its own; remove the key": is_given(self, "direction", info),
            f"objectives: the source {source.source!r} gives one number; let the objective give {names} by name: "
            "objective.value: {source: printed}, or another source of metrics": not source.of_objectives,
            f"objective.value: the objectives ({names}) name the metrics; remove the name": (
                source.of_objectives and getattr(source, "name", None) is not None
            ),
            f"objectives: the engine {engine!r} knows one alone; say optimizer: {{engine: gp}}": (
                not self.optimizer.knows_objectives
            ),
            "stop.target: several objectives have no best value; use no_improvement_trials, max_hours or limits": (
                self.stop.target is not None
            ),
            "early_stopping: several objectives have no value to compare trials by; remove the key": (
                self.early_stopping is not None
            ),
            "noisy: with several objectives no trial is recommended by a model; remove the key": self.noisy,
        }
        yield from (text for text, is_so in wrong.items() if is_so)
        for name in self.reference.keys() - self.objectives.keys():
            yield f"reference: {shown(name)} is none of the objectives; known: {names}"

    @property
    def aim(self) -> str:
        """The direction of the objective, in words: `minimize`, or `maximize accuracy, minimize latency of`."""
        if not self.objectives:
            return self.direction
        return f"{', '.join(f'{direction} {name}' for name, direction in self.objectives.items())} of"

    @cached_property
    def source(self) -> AnySource:
        """The value source; defaults to printed metrics for multi-objective commands."""
        found = self.objective.source
        if self.objectives and self.objective.value is None and self.objective.command is not None:
            found = Printed(source="printed")
        return found.asking([*self.objectives, *self.limits]) if isinstance(found, Printed) else found

    def _limit_mistakes(self) -> Iterator[str]:
        """Yield the reasons that no metric could keep the limits, or have a name."""
        source = self.source
        if len(self.limits) > MOST_LIMITS:
            yield f"limits: give at most {MOST_LIMITS}, but got {len(self.limits)}"
        for key, names in (("objectives", self.objectives), ("limits", self.limits)):
            for name in names:
                try:
                    source.check_name(name)
                except ValueError as error:
                    yield f"{key}: {error}"
        if self.limits and not (source.has_names or self.objectives):
            yield (
                f"limits: the source {source.source!r} gives one number without a name, and no metrics; name the "
                "metric to optimise among them: objective.value: NAME"
            )

    @property
    def goals(self) -> dict[str, Direction]:
        """The names of the optimised values in a record, and the direction of each."""
        return self.objectives or {VALUE: self.direction}

    @cached_property
    def signs(self) -> dict[str, float]:
        """Objective names, sorted, mapped to 1 (minimize) or -1 (maximize)."""
        return {name: 1.0 if direction == "minimize" else -1.0 for name, direction in sorted(self.goals.items())}

    @cached_property
    def bounds(self) -> tuple[Limit, ...]:
        """The parsed limits."""
        return tuple(Limit.parse(metric, text) for metric, text in self.limits.items())

    @cached_property
    def kept(self) -> tuple[Constraint, ...]:
        """The parsed constraints."""
        return tuple(parse(text, self.space, self._binary) for text in self.constraints)

    def keeps(self, parameters: Parameters) -> bool:
        """Tell whether a point keeps all constraints."""
        return keeps(self.kept, parameters)

    def _constraint_mistakes(self) -> list[str]:
        """Return the mistakes in the constraints."""
        mistakes = []
        for index, text in enumerate(self.constraints):
            try:
                parse(text, self.space)
            except ValueError as error:
                mistakes.append(f"constraints[{index}]: {error}")
        if self.constraints and not self.optimizer.knows_constraints:
            engine = self.optimizer.engine
            mistakes.append(f"constraints: the engine {engine!r} knows none; say optimizer: {{engine: gp}}")
        if not mistakes and self.constraints and (share := share_kept(self.space, self.kept)) < LEAST_SHARE:
            what = "none" if share == 0 else f"{share * 100:.2g} %"
            mistakes.append(f"constraints: {what} of the space keeps all of them; check them, or choose other bounds")
        return mistakes

    @cached_property
    def first_points(self) -> tuple[Parameters, ...]:
        """The initial trials, with the meant values of the space."""
        return tuple(canonical_point(self.space, point) for point in self.initial_trials)

    def _initial_mistakes(self) -> Iterator[str]:
        """Yield the mistakes in the initial trials."""
        seen: list[str] = []
        for index, point in enumerate(self.first_points):
            path = f"initial_trials[{index}]"
            for name, value in point.items():
                if name not in self.space:
                    yield f"{path}: {name} is no parameter of the study; known: {', '.join(self.space)}"
                elif problem := self.space[name].problem_with(value):
                    yield f"{path}: {name}={json.dumps(value)} {problem}"
            text = json.dumps(point, sort_keys=True)
            if difference(self.space, point) is None:
                yield from (
                    f"{path}: breaks the constraint {each.text!r}" for each in self.kept if not each.holds(point)
                )
            if point.keys() >= self.space.keys() and text in seen:
                yield f"{path}: the same point as initial_trials[{seen.index(text)}]"
            seen.append(text)
        if len(self.initial_trials) > self.budget:
            yield f"initial_trials: {len(self.initial_trials)} are more than the budget of {self.budget} trials"

    @property
    def asked(self) -> dict[str, Any]:
        """Everything else that affects suggestions, without defaults (see `Asked`)."""
        asked = self.model_dump(mode="json", include=set(Asked.model_fields), exclude_defaults=True)
        if any(each.exact for each in self.kept):
            asked["decimal"] = True
        return {**asked, "earlier": len(self.earlier)} if self.earlier else asked

    @property
    def said(self) -> str:
        """A text with its content, and the number of earlier trials, as a key for caches."""
        # `asked` also tells how constraints are compared, which is not in the file.
        return self.model_dump_json() + json.dumps(self.asked)

    def with_asked(self, asked: Mapping[str, Any], optimizer: Mapping[str, Any], parallel_trials: int) -> Self:
        """Return the study as engines saw it with other such keys, settings and batch size.

        Raises:
            ValueError: That is not a study.
        """
        then_asked = Asked.model_validate(dict(asked))
        changes: dict[str, Any] = dict(then_asked)
        del changes["earlier"], changes["decimal"]
        changes["optimizer"] = TypeAdapter[OptimizerSettings](Optimizer).validate_python(dict(optimizer))
        then = self.model_copy(update={**changes, "parallel_trials": parallel_trials})
        for derived in ("bounds", "kept"):
            then.__dict__.pop(derived, None)
        then._earlier = self.earlier[: then_asked.earlier]
        then._binary = not then_asked.decimal
        then.kept  # noqa: B018 - that they are constraints of the space
        return then

    @property
    def wants_data(self) -> bool:
        """Whether its command names the data that it is given."""
        return DATA in self.objective.placeholders() and DATA not in self.space

    @property
    def of_compile_time(self) -> list[str]:
        """The keys that are decided when a pipeline is compiled, as far as they are given.

        A pipeline that was compiled for every study can keep none of them.
        """
        batches = [] if SCHEDULES[self.schedule].claims_first else [f"schedule: {self.schedule}"]
        bound = [] if self.max_parallel is None else ["max_parallel"]
        secrets = [f"objective.env.{name}.kubernetes_secret" for name in self.objective.of_clusters]
        return [*batches, *bound, *secrets, *self.steps.of_compile_time]

    @property
    def budget(self) -> int:
        """The total number of trials."""
        return self.trials or (self.iterations or 0) * self.parallel_trials

    @property
    def failures_allowed(self) -> int:
        """The number of failed trials beyond which the study stops."""
        if self.max_failed_trials is not None:
            return self.max_failed_trials
        return max(self.parallel_trials, self.budget // 4)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits, equal for studies with the same identity, which can share trials.

        The budget and the optimiser may change, and the trials still belong to this study.
        """
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:16]

    def is_better(self, value: float, other: float) -> bool:
        """Tell whether a value is better than another one."""
        return value < other if self.direction == "minimize" else value > other


def _between_sections(data: Mapping[str, Any], mistakes: Sequence[ErrorDetails]) -> Iterator[str]:
    """Yield the mistakes between sections, as far as each is valid by itself.

    The model looks for them only if all sections are valid; a person wants all mistakes at once.
    """
    # A parameter with a bad name may be valid otherwise.
    bad = {mistake["loc"][:2] for mistake in mistakes if mistake["loc"][-1:] != ("[key]",)}
    sections = {location[0] for location in bad if location}
    wrong = list(budget_mistakes(data.get("iterations"), data.get("trials")))
    yield from wrong
    space = data.get("space")
    if not isinstance(space, dict):
        return
    if "objective" in data and "objective" not in sections:
        yield from Objective.model_validate(data["objective"]).mismatches(space)
    iterations, trials = data.get("iterations"), data.get("trials")
    if wrong or sections & {"optimizer", "iterations", "trials", "parallel_trials"}:
        return
    settings: OptimizerSettings = TypeAdapter[Any](Optimizer).validate_python(data.get("optimizer", {}))
    parameter = TypeAdapter[Any](Parameter)
    good = {name: parameter.validate_python(space[name]) for name in space if ("space", name) not in bad}
    yield from settings.mistakes(good, trials or iterations * data["parallel_trials"])
