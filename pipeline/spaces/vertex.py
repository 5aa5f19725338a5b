"""Vertex AI's StudySpec (googleapis, google/cloud/aiplatform/v1/study.proto), as its JSON."""

from __future__ import annotations

import json
from typing import Any

from bayesopt.errors import UserError
from bayesopt.space import Categorical, Constant, Integer, Ordinal, Parameter, Range, Real
from bayesopt.study import Study
from pipeline.spaces.converted import Converted, Json, number_of, part

KIND = "StudySpec"
SCALES = {"UNIT_LINEAR_SCALE": "linear", "UNIT_LOG_SCALE": "log", "UNIT_REVERSE_LOG_SCALE": "reverse_log"}
PARENTS = ("parentCategoricalValues", "parentIntValues", "parentDiscreteValues")
NOT_KEPT = (
    "algorithm",
    "observationNoise",
    "measurementSelectionType",
    "decayCurveStoppingSpec",
    "medianAutomatedStoppingSpec",
    "convexAutomatedStoppingSpec",
    "studyStoppingConfig",
)


def from_vertex(given: Json) -> Converted:
    """Return the keys of a study file that a StudySpec says, or a HyperparameterTuningJob with one.

    Raises:
        UserError: It is no StudySpec, has several metrics, or a parameter is not described.
    """
    spec = given.get("studySpec", given)
    metrics = part(spec, "metrics", KIND)
    if len(metrics) != 1:
        raise UserError(f"{KIND}.metrics: a study optimises one metric, but got {len(metrics)}; leave the others out")
    lost = [f"{key}: say it in the study" for key in NOT_KEPT if key in spec]
    study: Json = {
        "direction": part(metrics[0], "goal", "metrics").lower(),
        "objective": {"value": {"source": "hypertune", "name": part(metrics[0], "metricId", "metrics")}},
        "trials": given.get("maxTrialCount"),
        "parallel_trials": given.get("parallelTrialCount"),
        "max_failed_trials": given.get("maxFailedTrialCount"),
        "space": {},
    }
    for each in part(spec, "parameters", KIND):
        _add(each, {}, study["space"], lost)
    return Converted({key: value for key, value in study.items() if value is not None}, lost)


def _add(described: Json, when: Json, space: Json, lost: list[str]) -> None:
    """Add a parameter, and those that are there only with some of its values."""
    name = part(described, "parameterId", "parameters")
    if name in space:
        raise UserError(f"{name}: is there under several conditions; give each a name of its own")
    space[name] = _parameter(name, described, lost) | ({"when": when} if when else {})
    for child in described.get("conditionalParameterSpecs", []):
        key = next((key for key in PARENTS if key in child), None)
        if key is None:
            raise UserError(f"{name}: a conditional parameter needs one of {', '.join(PARENTS)}")
        values = child[key]["values"]
        if key != PARENTS[0]:
            values = [number_of(value, name) for value in values]
        _add(part(child, "parameterSpec", name), {name: values}, space, lost)


def _parameter(name: str, described: Json, lost: list[str]) -> Json:
    if "categoricalValueSpec" in described:
        return {"type": "categorical", "choices": described["categoricalValueSpec"]["values"]}
    if "discreteValueSpec" in described:
        values = [number_of(value, name) for value in described["discreteValueSpec"]["values"]]
        return {"type": "ordinal", "values": sorted(values)}
    kind = next((kind for kind in ("doubleValueSpec", "integerValueSpec") if kind in described), None)
    if kind is None:
        raise UserError(f"{name}: has no doubleValueSpec, integerValueSpec, categoricalValueSpec or discreteValueSpec")
    low, high = (number_of(part(described[kind], key, name), name) for key in ("minValue", "maxValue"))
    found: Json = {"type": "integer", "low": low, "high": high}
    if kind == "doubleValueSpec":
        found = {"type": "real", "low": float(low), "high": float(high)}
    scale = SCALES.get(described.get("scaleType", "UNIT_LINEAR_SCALE"), "linear")
    if scale == "log":
        found["log"] = True
    elif scale == "reverse_log":
        fits = kind == "doubleValueSpec" and 0 <= low < high < 1
        if fits:
            found["scale"] = scale
        what = "is the logarithm of the distance to 1 here" if fits else "is linear here: it needs values below 1"
        lost.append(f"{name}: UNIT_REVERSE_LOG_SCALE {what}")
    return found


def to_vertex(study: Study) -> Converted:
    """Return a StudySpec with the search space of a study."""
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
        shown = [_text(value) for value in values] if key == PARENTS[0] else values
        child = {key: {"values": shown}, "parameterSpec": described[name]}
        described[parent].setdefault("conditionalParameterSpecs", []).append(child)
    metric = {"metricId": "value", "goal": study.direction.upper()}
    return Converted({"metrics": [metric], "parameters": roots}, lost)


def _parent_key(parent: Parameter) -> str:
    if isinstance(parent, Integer):
        return "parentIntValues"
    return "parentDiscreteValues" if _is_discrete(parent) else "parentCategoricalValues"


def _described(name: str, parameter: Parameter, lost: list[str]) -> Json:
    match parameter:
        case Real(low=low, high=high, step=None) | Integer(low=low, high=high, step=1):
            kind = "doubleValueSpec" if isinstance(parameter, Real) else "integerValueSpec"
            scale = {"linear": "UNIT_LINEAR_SCALE", "log": "UNIT_LOG_SCALE"}.get(parameter.kind)
            if scale is None:
                lost.append(f"{name}: the scale {parameter.kind}")
            spec = {"minValue": low, "maxValue": high}
            return {"parameterId": name, kind: spec, "scaleType": scale or "UNIT_LINEAR_SCALE"}
        case Real() | Integer():
            values = [parameter.value_at(index) for index in range(parameter.levels or 0)]
            return {"parameterId": name, "discreteValueSpec": {"values": values}}
        case Ordinal(values=values) if _is_discrete(parameter):
            return {"parameterId": name, "discreteValueSpec": {"values": sorted(values)}}
        case Ordinal(values=values) | Categorical(choices=values):
            if isinstance(parameter, Ordinal):
                lost.append(f"{name}: the order of its values")
            return {"parameterId": name, "categoricalValueSpec": {"values": [_text(value) for value in values]}}
        case Constant(value=value):
            return {"parameterId": name, "categoricalValueSpec": {"values": [_text(value)]}}
    raise AssertionError(parameter)


def _is_discrete(parameter: Parameter) -> bool:
    return isinstance(parameter, Ordinal) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in parameter.values
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
