"""Vertex AI's StudySpec (googleapis, google/cloud/aiplatform/v1/study.proto), as its JSON."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from kfp_bayesopt.errors import UserError, shown_name
from kfp_bayesopt.exchange.dialects.base import Converted, Functions, Json, as_text, is_discrete
from kfp_bayesopt.exchange.foreign import (
    Count,
    ForeignModel,
    Name,
    Number,
    Plain,
    Whole,
    by_number,
    checked,
    unknown_keys,
)
from kfp_bayesopt.space.parameters import Parameter, Range, Span, in_order
from kfp_bayesopt.study.sources.base import NamedSource
from kfp_bayesopt.study.sources.hypertune import Hypertune
from kfp_bayesopt.study.study import Study

KIND = "StudySpec"
SCALES = {"UNIT_LINEAR_SCALE": "linear", "UNIT_LOG_SCALE": "log", "UNIT_REVERSE_LOG_SCALE": "reverse_log"}
PARENTS = ("parentCategoricalValues", "parentIntValues", "parentDiscreteValues")
MOST_VALUES = 1000
"""The most values of a DiscreteValueSpec."""
MOST_NESTED = 50
"""The most conditions nested in each other: each lies inside the one before, and JSON parsers limit the depth."""
OF_NO_USE = {
    "name",
    "displayName",
    "display_name",
    "labels",
    "createTime",
    "updateTime",
    "startTime",
    "endTime",
    "state",
}
"""What a job says of itself."""


ENGINES = {"GRID_SEARCH": "grid", "RANDOM_SEARCH": "random"}
Goal = Annotated[Literal["MAXIMIZE", "MINIMIZE"], by_number("GOAL_TYPE_UNSPECIFIED", "MAXIMIZE", "MINIMIZE")]
Algorithm = Annotated[
    Literal["ALGORITHM_UNSPECIFIED", "GRID_SEARCH", "RANDOM_SEARCH"],
    # Numbers of AlgorithmType: 1 is not used.
    by_number("ALGORITHM_UNSPECIFIED", "ALGORITHM_UNSPECIFIED", "GRID_SEARCH", "RANDOM_SEARCH"),
]
ScaleType = Annotated[
    Literal["SCALE_TYPE_UNSPECIFIED", "UNIT_LINEAR_SCALE", "UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE"],
    by_number("SCALE_TYPE_UNSPECIFIED", *SCALES),
]


class _Bounds(ForeignModel):
    # The JSON of a protocol buffer leaves out zeros.
    min_value: Number | None = None
    max_value: Number | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min_value is None and self.max_value is None:
            raise ValueError("minValue and maxValue are missing")
        return self


class _WholeBounds(_Bounds):
    min_value: Whole | None = None
    max_value: Whole | None = None


class _Values(ForeignModel):
    values: list[Plain] = Field(min_length=1)


class _Numbers(ForeignModel):
    values: list[Number] = Field(min_length=1)


class _Child(ForeignModel):
    parent_categorical_values: _Values | None = None
    parent_int_values: _Numbers | None = None
    parent_discrete_values: _Numbers | None = None
    parameter_spec: _Parameter

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.asked) != 1:
            raise ValueError(f"needs one of {', '.join(PARENTS)}")
        return self

    @property
    def asked(self) -> list[_Values | _Numbers]:
        """The parent's values that activate the parameter: exactly one list in a valid file."""
        lists = (self.parent_categorical_values, self.parent_int_values, self.parent_discrete_values)
        return [each for each in lists if each is not None]


class _Parameter(ForeignModel):
    parameter_id: Name
    double_value_spec: _Bounds | None = None
    integer_value_spec: _WholeBounds | None = None
    categorical_value_spec: _Values | None = None
    discrete_value_spec: _Numbers | None = None
    scale_type: ScaleType = "SCALE_TYPE_UNSPECIFIED"
    conditional_parameter_specs: list[_Child] = Field([])

    @model_validator(mode="after")
    def _check(self) -> Self:
        kinds = (
            self.double_value_spec, self.integer_value_spec, self.categorical_value_spec, self.discrete_value_spec
        )  # fmt: skip
        if sum(each is not None for each in kinds) != 1:
            raise ValueError(
                "needs one of doubleValueSpec, integerValueSpec, categoricalValueSpec and discreteValueSpec"
            )
        return self


_Child.model_rebuild()  # it has parameters, and they have children


class _Metric(ForeignModel):
    metric_id: Name
    goal: Goal


class _Counts(ForeignModel):
    max_trial_count: Count | None = None
    parallel_trial_count: Count | None = None
    max_failed_trial_count: Count | None = None


class StudySpec(_Counts):
    """The part of a StudySpec that a study has words for."""

    metrics: list[_Metric] = Field(min_length=1)
    parameters: list[_Parameter]
    algorithm: Algorithm = "ALGORITHM_UNSPECIFIED"


class TuningJob(_Counts):
    """A HyperparameterTuningJob."""

    study_spec: StudySpec


def from_vertex(data: Json, source: str = KIND) -> Converted:
    """Return the keys of a study file that a StudySpec gives, or a HyperparameterTuningJob with one.

    Args:
        data: The content of the file.
        source: Names it in messages.

    Raises:
        UserError: It is no StudySpec, or a parameter lacks its description.
    """
    counts: _Counts
    given = data.get("studySpec", data.get("study_spec"))
    if given is None:
        given, counts = data, checked(StudySpec, data, source)
        spec = counts
    else:
        counts = checked(TuningJob, data, source)
        spec = counts.study_spec
    study: Json = {
        **_goals(spec.metrics),
        "optimizer": {"engine": ENGINES[spec.algorithm]} if spec.algorithm in ENGINES else None,
        "trials": counts.max_trial_count,
        "parallel_trials": counts.parallel_trial_count,
        "max_failed_trials": counts.max_failed_trial_count,
        "space": {},
    }
    lost = [f"{path}: a study has no word for it" for path in unknown_keys(counts, data) if path not in OF_NO_USE]
    for each in spec.parameters:
        _add(each, {}, study["space"], lost, source)
    return Converted({key: value for key, value in study.items() if value is not None}, lost)


def _goals(metrics: list[_Metric]) -> Json:
    """Return the keys of a study for its metrics: one by its name, or several objectives."""
    if len(metrics) == 1:
        (only,) = metrics
        return {
            "direction": only.goal.lower(),
            "objective": {"value": {"source": "hypertune", "name": only.metric_id}},
        }
    return {
        "objectives": {each.metric_id: each.goal.lower() for each in metrics},
        "objective": {"value": {"source": "hypertune"}},
    }


def _add(described: _Parameter, when: Json, space: Json, lost: list[str], source: str) -> None:
    """Add a parameter, and those that are active only with some of its values."""
    name = described.parameter_id
    if name in space:
        raise UserError(
            f"{source}: {shown_name(name)}: is there several times, or under several conditions; give each a name of "
            "its own"
        )
    space[name] = _parameter(described, lost) | ({"when": when} if when else {})
    for child in described.conditional_parameter_specs:
        _add(child.parameter_spec, {name: child.asked[0].values}, space, lost, source)


def _parameter(described: _Parameter, lost: list[str]) -> Json:
    if described.categorical_value_spec is not None:
        return {"type": "categorical", "choices": described.categorical_value_spec.values}
    if described.discrete_value_spec is not None:
        return {"type": "ordinal", "values": sorted(described.discrete_value_spec.values)}
    bounds = described.double_value_spec or described.integer_value_spec
    assert bounds is not None
    low, high = bounds.min_value or 0, bounds.max_value or 0
    found: Json = {"type": "integer", "low": low, "high": high}
    if described.double_value_spec is not None:
        found = {"type": "real", "low": float(low), "high": float(high)}
    scale = SCALES.get(described.scale_type, "linear")
    if scale == "log":
        found["log"] = True
    elif scale == "reverse_log":
        fits = described.double_value_spec is not None and 0 <= low < high < 1
        if fits:
            found["scale"] = scale
        what = "is the logarithm of the distance to 1 here" if fits else "is linear here: it needs values below 1"
        lost.append(f"{shown_name(described.parameter_id)}: UNIT_REVERSE_LOG_SCALE {what}")
    return found


def to_vertex(study: Study) -> Converted:
    """Return a HyperparameterTuningJob with the search space, the budget and the command of a study.

    Raises:
        UserError: Its conditions are nested too deeply.
    """
    depths: dict[str, int] = {}
    for name in in_order(study.space):
        depths[name] = 1 + max((depths[other] for other in study.space[name].when), default=0)
    if (deepest := max(depths.values())) > MOST_NESTED:
        raise UserError(
            f"space: {deepest} `when` follow from each other, and a StudySpec has at most {MOST_NESTED} here"
        )
    lost = [f"constraint {text!r}" for text in study.constraints]
    if study.early_stopping is not None:
        lost.append("early_stopping: Vertex has medianAutomatedStoppingSpec and decayCurveStoppingSpec; say it there")
    described = {name: _described(name, parameter, lost) for name, parameter in study.space.items()}
    roots = []
    for name, parameter in study.space.items():
        if not parameter.when:
            roots.append(described[name])
            continue
        (parent, asked), *others = parameter.when.items()
        if others or isinstance(asked, Range):
            lost.append(f"{name}: `when` with several conditions or a range; it is always there")
            roots.append(described[name])
            continue
        values = asked if isinstance(asked, list) else [asked]
        key = _parent_key(study.space[parent])
        shown = [as_text(value) for value in values] if key == PARENTS[0] else values
        child = {key: {"values": shown}, "parameterSpec": described[name]}
        described[parent].setdefault("conditionalParameterSpecs", []).append(child)
    spec: Json = {"metrics": _metrics(study, lost), "parameters": roots}
    engines = {ours: theirs for theirs, ours in ENGINES.items()}
    if study.optimizer.engine in engines:
        spec["algorithm"] = engines[study.optimizer.engine]
    job: Json = {
        "displayName": study.name,
        "maxTrialCount": study.budget,
        "parallelTrialCount": study.parallel_trials,
        "maxFailedTrialCount": study.failures_allowed,
        "studySpec": spec,
        "trialJobSpec": {"workerPoolSpecs": [_pool(study, lost)]},
    }
    return Converted(job, lost)


def _metrics(study: Study, lost: list[str]) -> list[Json]:
    source = study.source
    if not isinstance(source, Hypertune):
        lost.append(f"objective.value: {source.source}; Vertex reads what cloudml-hypertune reports")
    name = source.name if isinstance(source, NamedSource) else None
    return [{"metricId": name or goal, "goal": direction.upper()} for goal, direction in study.goals.items()]


def _pool(study: Study, lost: list[str]) -> Json:
    """Return the machine and the container of a trial, which gets the parameters as --name=value."""
    objective, image = study.objective, study.steps.evaluate.image
    if image is None:
        lost.append("the image: write that of your code in the place of IMAGE")
    if objective.command is None:
        lost.append("objective: a function; give the container a command that calls it")
    elif objective.how not in ("flags", "text-flags"):
        lost.append(f"objective.args: {objective.how}; Vertex adds --name=value to the command")
    container: Json = {"imageUri": image or "IMAGE"}
    if objective.command is not None and not objective.placeholders():
        container["command"] = objective.command
    return {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1", "containerSpec": container}


def _parent_key(parent: Parameter) -> str:
    if parent.span is not None and parent.span.is_whole:
        return "parentIntValues"
    return "parentDiscreteValues" if is_discrete(parent) else "parentCategoricalValues"


def _described(name: str, parameter: Parameter, lost: list[str]) -> Json:
    span = parameter.span
    if span is None:
        if is_discrete(parameter):
            return {"parameterId": name, "discreteValueSpec": {"values": sorted(parameter.listed)}}
        if parameter.axis is not None:
            lost.append(f"{name}: the order of its values")
        return {"parameterId": name, "categoricalValueSpec": {"values": [as_text(value) for value in parameter.listed]}}
    if span.step is None or (span.is_whole and span.step == 1):
        return {"parameterId": name, **_numbers(name, span, lost)}
    levels = parameter.levels or 0
    if levels <= MOST_VALUES:
        values = [parameter.value_at(index) for index in range(levels)]
        return {"parameterId": name, "discreteValueSpec": {"values": values}}
    lost.append(f"{name}: the step {span.step}: Vertex takes {MOST_VALUES:,} values; all between are there")
    return {"parameterId": name, **_numbers(name, span, lost)}


def _numbers(name: str, span: Span, lost: list[str]) -> Json:
    scale = {"linear": "UNIT_LINEAR_SCALE", "log": "UNIT_LOG_SCALE"}.get(span.kind)
    if scale is None:
        lost.append(f"{name}: the scale {span.kind}")
    kind = "integerValueSpec" if span.is_whole else "doubleValueSpec"
    return {kind: {"minValue": span.low, "maxValue": span.high}, "scaleType": scale or "UNIT_LINEAR_SCALE"}


def _recognised(data: Json) -> bool:
    return not data.keys().isdisjoint({"parameters", "metrics", "studySpec", "study_spec"})


FUNCTIONS = Functions(_recognised, from_vertex, to_vertex)
