"""Katib's Experiment (kubeflow/katib, pkg/apis/controller/experiments/v1beta1/experiment_types.go)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from kfp_bayesopt.errors import UserError, named, shown_name
from kfp_bayesopt.exchange.dialects.base import Converted, Functions, Json, as_text, is_discrete
from kfp_bayesopt.exchange.dialects.katib_trials import CollectorSpec, Template, command_of, template_of, value_of
from kfp_bayesopt.exchange.foreign import Count, ForeignModel, Name, Number, Plain, checked, number_of, unknown_keys
from kfp_bayesopt.space.parameters import Parameter
from kfp_bayesopt.study.sources.base import NamedSource
from kfp_bayesopt.study.sources.printed import Printed
from kfp_bayesopt.study.study import Study

KIND = "Experiment"
LOG = "logUniform"
ENGINES = {"random": "random", "sobol": "sobol"}
_ALGORITHMS = {**{ours: theirs for theirs, ours in ENGINES.items()}, "grid": "grid", "optuna": "tpe"}
TAKES = {"min": "best", "max": "best", "latest": "last"}


class _FeasibleSpace(ForeignModel):
    min: Number | None = None
    max: Number | None = None
    step: Number | None = None
    listed: list[Plain] | None = Field(None, alias="list")
    distribution: str = "uniform"


class _Parameter(ForeignModel):
    name: Name
    parameter_type: Literal["double", "int", "discrete", "categorical"]
    feasible_space: _FeasibleSpace

    @model_validator(mode="after")
    def _check(self) -> Self:
        space, kind = self.feasible_space, self.parameter_type
        if kind in {"discrete", "categorical"}:
            if not space.listed:
                raise ValueError("feasibleSpace.list: must have a value at least")
            if kind == "discrete":
                self.numbers  # noqa: B018 - that they are some
            return self
        for key, given in (("min", space.min), ("max", space.max)):
            if given is None:
                raise ValueError(f"feasibleSpace.{key}: required key is missing")
        for key, given in (("min", space.min), ("max", space.max), ("step", space.step)):
            if kind == "int" and given is not None and given != int(given):
                raise ValueError(f"feasibleSpace.{key}: must be a whole number, but got {given}")
        if space.step is not None and space.step <= 0:
            raise ValueError(f"feasibleSpace.step: must be above 0, but got {space.step}")
        return self

    @property
    def numbers(self) -> list[int | float]:
        """The values of a discrete parameter in ascending order."""
        return sorted(map(number_of, self.feasible_space.listed or []))


class _Strategy(ForeignModel):
    name: Name
    value: Literal["min", "max", "latest"]


class _Objective(ForeignModel):
    type: Literal["minimize", "maximize"]
    goal: Number | None = None
    objective_metric_name: Name
    additional_metric_names: list[str] = Field([])
    metric_strategies: list[_Strategy] = Field([])

    @property
    def take(self) -> str:
        """Which number of the metric counts: the best one, unless it says otherwise (experiment_defaults.go)."""
        asked = {each.name: each.value for each in self.metric_strategies}.get(self.objective_metric_name)
        return "best" if asked is None else TAKES[asked]


class _Setting(ForeignModel):
    name: str
    value: Plain | None = None


class _Algorithm(ForeignModel):
    algorithm_name: str
    algorithm_settings: list[_Setting] = Field([])


class _Spec(ForeignModel):
    objective: _Objective
    max_trial_count: Count | None = None
    parallel_trial_count: Count = 3
    max_failed_trial_count: Count | None = None
    parameters: list[_Parameter]
    algorithm: _Algorithm | None = None
    early_stopping: _Algorithm | None = None
    metrics_collector_spec: CollectorSpec = CollectorSpec()
    trial_template: Template | None = None


class Experiment(ForeignModel):
    """The part of an Experiment that a study has words for."""

    spec: _Spec


def from_katib(data: Json, source: str = KIND) -> Converted:
    """Return the keys of a study file that an Experiment gives; `source` names it in messages.

    Raises:
        UserError: It is no Experiment, or a parameter lacks its description.
    """
    given = data.get("spec")
    there = set(map(to_camel, given)) if isinstance(given, dict) else set()
    if "nasConfig" in there:
        raise UserError(f"{source}: spec.nasConfig: is a search for architectures, which a study is not")
    spec = checked(Experiment, data, source).spec
    objective = spec.objective
    lost = [f"spec.{path}: a study has no word for it" for path in unknown_keys(spec, given)]
    if objective.additional_metric_names:
        names = named(objective.additional_metric_names)
        lost.append(f"additionalMetricNames ({names}): all metrics are kept, and one is optimised")
    study: Json = {
        "direction": objective.type,
        "objective": {
            "value": value_of(spec.metrics_collector_spec, objective.objective_metric_name, objective.take, lost)
        },
        "optimizer": _engine(spec.algorithm, lost),
        "trials": spec.max_trial_count,
        "parallel_trials": spec.parallel_trial_count,
        "max_failed_trials": spec.max_failed_trial_count,
        "stop": None if objective.goal is None else {"target": objective.goal},
        "space": {},
    }
    for number, each in enumerate(spec.parameters):
        if each.name in study["space"]:
            path = f"{source}: spec.parameters[{number}].name"
            raise UserError(f"{path}: {shown_name(each.name)} is there already; give each a name of its own")
        study["space"][each.name] = _parameter(each, lost)
    if spec.early_stopping is not None:
        lost.append(_stopping(spec.early_stopping))
    if spec.trial_template is not None and (command := command_of(spec.trial_template, study["space"], lost)):
        study["objective"] = {"command": command, **study["objective"]}
    return Converted({key: value for key, value in study.items() if value is not None}, lost)


def _engine(algorithm: _Algorithm | None, lost: list[str]) -> Json | None:
    """Return the engine that an algorithm is; None where ours searches."""
    if algorithm is None:
        return None
    name = algorithm.algorithm_name
    if algorithm.algorithm_settings:
        lost.append(f"algorithmSettings: {named(each.name for each in algorithm.algorithm_settings)}")
    if name in ENGINES:
        return {"engine": ENGINES[name]}
    if name != "bayesianoptimization":
        lost.append(f"algorithm {shown_name(name)}: the engine `gp` searches instead")
    return None


def _stopping(rule: _Algorithm) -> str:
    settings = {each.name: each.value for each in rule.algorithm_settings}
    if rule.algorithm_name != "medianstop":
        return f"earlyStopping {shown_name(rule.algorithm_name)}: say it in the study"
    least = settings.get("start_step", 4)
    return (
        f"earlyStopping medianstop: early_stopping: {{rule: median, min_steps: {least}, max_steps: N}}, where N is how "
        "many steps a whole trial has, and objective.intermediate, which names the metric"
    )


def _parameter(described: _Parameter, lost: list[str]) -> Json:
    feasible, kind, name = described.feasible_space, described.parameter_type, shown_name(described.name)
    if kind == "categorical":
        return {"type": "categorical", "choices": feasible.listed}
    if kind == "discrete":
        return {"type": "ordinal", "values": described.numbers}
    assert feasible.min is not None
    assert feasible.max is not None
    number: Callable[[Any], float | int] = float if kind == "double" else int
    low, high = number(feasible.min), number(feasible.max)
    found: Json = {"type": "real" if kind == "double" else "integer", "low": low, "high": high}
    if feasible.distribution == LOG:
        found["log"] = True
    elif feasible.distribution != "uniform":
        lost.append(f"{name}: the distribution {shown_name(feasible.distribution)} is searched evenly")
    if feasible.step is not None:
        found["step"] = step = number(feasible.step)
        # By the digits as written: 0.1 + 6 * 0.1 is 0.7.
        first, last, width = (Fraction(repr(each)) for each in (low, high, step))
        reached = number(first + max((last - first) // width, 0) * width)
        if reached != high:
            found["high"] = reached
            lost.append(f"{name}: max {high} is no step from min; high is {reached}")
    return found


def to_katib(study: Study) -> Converted:
    """Return an Experiment with the search space and the budget of a study."""
    lost: list[str] = []
    template = template_of(study, lost)
    parameters = []
    for name, parameter in study.space.items():
        if parameter.when:
            lost.append(f"{name}: `when`; it is always there")
        parameters.append({"name": name, **_described(name, parameter, lost)})
    lost += [f"constraint {text!r}" for text in study.constraints]
    if study.early_stopping is not None:
        lost.append("early_stopping: Katib has medianstop; say it in spec.earlyStopping")
    first, *others = study.goals
    if others:
        lost.append(f"objectives: Katib optimises one, {shown_name(first)}, and shows the others")
    objective: Json = {"type": study.goals[first], "objectiveMetricName": first}
    source = study.source
    if isinstance(source, NamedSource) and source.name is not None:
        objective["objectiveMetricName"] = source.name
    if others:
        objective["additionalMetricNames"] = others
    # Katib takes the best number of a metric unless it is told otherwise.
    if getattr(source, "take", "last") == "last":
        objective["metricStrategies"] = [{"name": objective["objectiveMetricName"], "value": "latest"}]
    if not isinstance(source, Printed):
        lost.append(f"objective.value: {source.source}; Katib reads NAME=VALUE in what is printed, or say a collector")
    if study.stop.target is not None:
        objective["goal"] = study.stop.target
    spec = {
        "objective": objective,
        "algorithm": {"algorithmName": _ALGORITHMS.get(study.optimizer.engine, "bayesianoptimization")},
        "parallelTrialCount": study.parallel_trials,
        "maxTrialCount": study.budget,
        "maxFailedTrialCount": study.failures_allowed,
        "parameters": parameters,
        "trialTemplate": template,
    }
    head: Json = {"apiVersion": "kubeflow.org/v1beta1", "kind": KIND, "metadata": {"name": study.name}}
    return Converted({**head, "spec": spec}, lost)


def _described(name: str, parameter: Parameter, lost: list[str]) -> Json:
    if (span := parameter.span) is not None:
        feasible: Json = {"min": str(span.low), "max": str(span.high)}
        if span.step is not None and not (span.is_whole and span.step == 1):
            feasible["step"] = str(span.step)
        if span.kind == "log":
            feasible["distribution"] = LOG
        elif span.kind != "linear":
            lost.append(f"{name}: the scale {span.kind}")
        return {"parameterType": "int" if span.is_whole else "double", "feasibleSpace": feasible}
    if parameter.axis is not None and not is_discrete(parameter):
        lost.append(f"{name}: the order of its values")
    kind = "discrete" if is_discrete(parameter) else "categorical"
    return {"parameterType": kind, "feasibleSpace": {"list": [as_text(value) for value in parameter.listed]}}


FUNCTIONS = Functions(lambda data: data.get("kind") == KIND, from_katib, to_katib)
