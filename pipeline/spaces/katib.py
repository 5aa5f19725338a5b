"""Katib's Experiment (kubeflow/katib, pkg/apis/controller/experiments/v1beta1/experiment_types.go)."""

from __future__ import annotations

import json
from typing import Any

from bayesopt.space import Categorical, Constant, Integer, Ordinal, Parameter, Real
from bayesopt.study import Study
from pipeline.spaces.converted import Converted, Json, number_of, part

KIND = "Experiment"
LOG = "logUniform"
# Of the specification what a study has no word for.
NOT_KEPT = ("algorithm", "earlyStopping", "metricsCollectorSpec", "nasConfig", "resumePolicy", "trialTemplate")


def from_katib(experiment: Json) -> Converted:
    """Return the keys of a study file that an Experiment says.

    Raises:
        UserError: It is no Experiment, or a parameter is not described.
    """
    spec = part(experiment, "spec", KIND)
    objective = part(spec, "objective", "spec")
    lost = [f"spec.{key}: say it in the study" for key in NOT_KEPT if key in spec]
    if names := objective.get("additionalMetricNames"):
        lost.append(f"additionalMetricNames ({', '.join(names)}): all metrics are kept, and one is optimised")
    study: Json = {
        "direction": part(objective, "type", "spec.objective"),
        "objective": {"value": part(objective, "objectiveMetricName", "spec.objective")},
        "trials": spec.get("maxTrialCount"),
        "parallel_trials": spec.get("parallelTrialCount", 3),
        "max_failed_trials": spec.get("maxFailedTrialCount"),
        "stop": {"target": objective["goal"]} if "goal" in objective else None,
        "space": {},
    }
    for each in part(spec, "parameters", "spec"):
        name = part(each, "name", "spec.parameters")
        study["space"][name] = _parameter(name, each, lost)
    return Converted({key: value for key, value in study.items() if value is not None}, lost)


def _parameter(name: str, described: Json, lost: list[str]) -> Json:
    feasible = part(described, "feasibleSpace", name)
    kind = part(described, "parameterType", name)
    if kind == "categorical":
        return {"type": "categorical", "choices": part(feasible, "list", name)}
    if kind == "discrete":
        return {"type": "ordinal", "values": sorted(number_of(each, name) for each in part(feasible, "list", name))}
    low, high = (number_of(part(feasible, key, name), name) for key in ("min", "max"))
    found: Json = {"type": "integer", "low": low, "high": high}
    if kind == "double":
        found = {"type": "real", "low": float(low), "high": float(high)}
    distribution = feasible.get("distribution", "uniform")
    if distribution == LOG:
        found["log"] = True
    elif distribution != "uniform":
        lost.append(f"{name}: the distribution {distribution} is searched evenly")
    if "step" in feasible:
        step = number_of(feasible["step"], name)
        found["step"] = float(step) if kind == "double" else step
        steps = round((float(high) - float(low)) / float(step) - 0.5 + 1e-9)
        reached = low + steps * step
        if abs(float(reached) - float(high)) > 1e-9 * max(abs(float(high)), 1):
            found["high"] = float(reached) if kind == "double" else reached
            lost.append(f"{name}: max {high} is no step from min; high is {found['high']}")
    return found


def to_katib(study: Study) -> Converted:
    """Return an Experiment with the search space and the budget of a study."""
    lost = ["objective: the trialTemplate runs it, and needs its image and command"]
    parameters = []
    for name, parameter in study.space.items():
        if parameter.when:
            lost.append(f"{name}: `when`; it is always there")
        parameters.append({"name": name, **_described(name, parameter, lost)})
    lost += [f"constraint {text!r}" for text in study.constraints]
    if study.early_stopping is not None:
        lost.append("early_stopping: Katib has medianstop; say it in spec.earlyStopping")
    objective: Json = {"type": study.direction, "objectiveMetricName": "value"}
    if study.stop.target is not None:
        objective["goal"] = study.stop.target
    spec = {
        "objective": objective,
        "algorithm": {"algorithmName": "bayesianoptimization"},
        "parallelTrialCount": study.parallel_trials,
        "maxTrialCount": study.budget,
        "maxFailedTrialCount": study.failures_allowed,
        "parameters": parameters,
    }
    head: Json = {"apiVersion": "kubeflow.org/v1beta1", "kind": KIND, "metadata": {"name": study.name}}
    return Converted({**head, "spec": spec}, lost)


def _described(name: str, parameter: Parameter, lost: list[str]) -> Json:
    match parameter:
        case Real(low=low, high=high, step=step) | Integer(low=low, high=high, step=step):
            kind = "double" if isinstance(parameter, Real) else "int"
            feasible: Json = {"min": str(low), "max": str(high)}
            if step not in (None, 1) or (kind == "double" and step is not None):
                feasible["step"] = str(step)
            if parameter.kind == "log":
                feasible["distribution"] = LOG
            elif parameter.kind != "linear":
                lost.append(f"{name}: the scale {parameter.kind}")
            return {"parameterType": kind, "feasibleSpace": feasible}
        case Ordinal(values=values):
            numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
            if not numbers:
                lost.append(f"{name}: the order of its values")
            kind = "discrete" if numbers else "categorical"
            return {"parameterType": kind, "feasibleSpace": {"list": [_text(value) for value in values]}}
        case Categorical(choices=values):
            return {"parameterType": "categorical", "feasibleSpace": {"list": [_text(value) for value in values]}}
        case Constant(value=value):
            return {"parameterType": "categorical", "feasibleSpace": {"list": [_text(value)]}}
    raise AssertionError(parameter)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
