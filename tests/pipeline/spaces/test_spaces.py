"""Search spaces of other services, in both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from google.cloud.aiplatform_v1 import StudySpec
from google.protobuf.json_format import ParseDict

from bayesopt.errors import UserError
from pipeline.spaces.commands import convert
from pipeline.spaces.katib import from_katib, to_katib
from pipeline.spaces.vertex import from_vertex, to_vertex
from tests.builders import MIXED, RICH, a_study, write_study

EXPERIMENT: dict[str, Any] = {
    "apiVersion": "kubeflow.org/v1beta1",
    "kind": "Experiment",
    "metadata": {"name": "random"},
    "spec": {
        "objective": {
            "type": "maximize",
            "goal": 0.99,
            "objectiveMetricName": "accuracy",
            "additionalMetricNames": ["loss"],
        },
        "algorithm": {"algorithmName": "random"},
        "parallelTrialCount": 3,
        "maxTrialCount": 12,
        "maxFailedTrialCount": 3,
        "parameters": [
            {
                "name": "lr",
                "parameterType": "double",
                "feasibleSpace": {"min": "0.0001", "max": "0.1", "distribution": "logUniform"},
            },
            {
                "name": "momentum",
                "parameterType": "double",
                "feasibleSpace": {"min": "0.5", "max": "0.9", "step": "0.1"},
            },
            {"name": "layers", "parameterType": "int", "feasibleSpace": {"min": "2", "max": "5"}},
            {"name": "batch", "parameterType": "discrete", "feasibleSpace": {"list": ["64", "32", "256"]}},
            {"name": "optimizer", "parameterType": "categorical", "feasibleSpace": {"list": ["sgd", "adam"]}},
        ],
        "trialTemplate": {},
    },
}
SPEC: dict[str, Any] = {
    "metrics": [{"metricId": "accuracy", "goal": "MAXIMIZE"}],
    "algorithm": "ALGORITHM_UNSPECIFIED",
    "parameters": [
        {"parameterId": "lr", "doubleValueSpec": {"minValue": 0.0001, "maxValue": 0.1}, "scaleType": "UNIT_LOG_SCALE"},
        {"parameterId": "units", "integerValueSpec": {"minValue": "16", "maxValue": "64"}},
        {"parameterId": "batch", "discreteValueSpec": {"values": [32, 64]}},
        {
            "parameterId": "keep",
            "doubleValueSpec": {"minValue": 0.1, "maxValue": 0.9},
            "scaleType": "UNIT_REVERSE_LOG_SCALE",
        },
        {
            "parameterId": "optimizer",
            "categoricalValueSpec": {"values": ["sgd", "adam"]},
            "conditionalParameterSpecs": [
                {
                    "parentCategoricalValues": {"values": ["sgd"]},
                    "parameterSpec": {"parameterId": "momentum", "doubleValueSpec": {"minValue": 0, "maxValue": 1}},
                }
            ],
        },
    ],
}


def studied(converted: Any, **more: Any) -> Any:
    """Return the study that converted keys are."""
    keys = {
        **converted.data,
        "objective": {"command": ["train"], "args": "flags", **converted.data["objective"]},
        **more,
    }
    return a_study(**{"iterations": None, "optimizer": {"engine": "gp"}, **keys})


def test_an_experiment_becomes_a_study() -> None:
    converted = from_katib(EXPERIMENT)
    study = studied(converted)
    assert converted.data["space"] == {
        "lr": {"type": "real", "low": 0.0001, "high": 0.1, "log": True},
        "momentum": {"type": "real", "low": 0.5, "high": 0.9, "step": 0.1},
        "layers": {"type": "integer", "low": 2, "high": 5},
        "batch": {"type": "ordinal", "values": [32, 64, 256]},
        "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    }
    assert (study.direction, study.budget, study.parallel_trials, study.stop.target) == ("maximize", 12, 3, 0.99)
    assert converted.lost == [
        "spec.algorithm: say it in the study",
        "spec.trialTemplate: say it in the study",
        "additionalMetricNames (loss): all metrics are kept, and one is optimised",
    ]


def test_a_study_becomes_an_experiment_and_comes_back() -> None:
    study = studied(from_katib(EXPERIMENT))
    again = studied(from_katib(to_katib(study).data), objective=study.objective.model_dump(exclude_none=True))
    assert again.space == study.space
    assert (again.direction, again.budget, again.stop) == (study.direction, study.budget, study.stop)


def test_a_study_spec_becomes_a_study_with_its_conditions() -> None:
    converted = from_vertex({"studySpec": SPEC, "maxTrialCount": 20, "parallelTrialCount": 4})
    study = studied(converted)
    assert study.space["momentum"].when == {"optimizer": ["sgd"]}
    assert study.space["lr"].axis.kind == "log"
    assert study.space["keep"].axis.kind == "reverse_log"
    assert (study.direction, study.budget, study.parallel_trials) == ("maximize", 20, 4)
    assert converted.lost == [
        "algorithm: say it in the study",
        "keep: UNIT_REVERSE_LOG_SCALE is the logarithm of the distance to 1 here",
    ]


def test_a_study_becomes_what_googles_own_type_takes_and_comes_back() -> None:
    study = studied(from_vertex({"studySpec": SPEC, "maxTrialCount": 20, "parallelTrialCount": 4}))
    spec = to_vertex(study)
    ParseDict(spec.data, StudySpec()._pb)
    assert spec.lost == ["keep: the scale reverse_log"]
    again = studied(from_vertex({"studySpec": spec.data, "maxTrialCount": 20, "parallelTrialCount": 4}))
    assert {name: each for name, each in again.space.items() if name != "keep"} == {
        name: each for name, each in study.space.items() if name != "keep"
    }


@pytest.mark.parametrize("space", [MIXED, RICH])
def test_every_parameter_can_be_said_to_both(space: dict[str, Any]) -> None:
    study = a_study(space=space, objective={"python": "a:b"}, optimizer={"engine": "gp"})
    ParseDict(to_vertex(study).data, StudySpec()._pb)
    names = [each["name"] for each in to_katib(study).data["spec"]["parameters"]]
    assert names == list(space)


def test_that_early_stopping_is_lost_is_named() -> None:
    study = a_study(early_stopping={"rule": "median", "max_steps": 9})
    assert "early_stopping: Katib has medianstop; say it in spec.earlyStopping" in to_katib(study).lost
    assert to_vertex(study).lost[0].startswith("early_stopping: Vertex has medianAutomatedStoppingSpec")


def test_what_is_lost_of_conditions_and_constraints_is_named() -> None:
    space = {
        "n": {"type": "integer", "low": 1, "high": 9},
        "x": {"type": "real", "low": 0.0, "high": 1.0, "when": {"n": {"low": 3}}},
        "y": {"type": "real", "low": 0.0, "high": 1.0, "scale": "logit", "when": {"n": 3}},
    }
    space["y"]["low"], space["y"]["high"] = 0.1, 0.9
    study = a_study(space=space, objective={"python": "a:b"}, optimizer={"engine": "gp"}, constraints=["x + n < 9"])
    assert to_vertex(study).lost == [
        "constraint 'x + n < 9'",
        "y: the scale logit",
        "x: `when` with several conditions or a range; it is always there",
    ]
    assert to_katib(study).lost[1:] == [
        "x: `when`; it is always there",
        "y: `when`; it is always there",
        "y: the scale logit",
        "constraint 'x + n < 9'",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "Experiment"}, "Experiment: spec is missing"),
        (
            {"kind": "Experiment", "spec": {"objective": {"type": "minimize"}}},
            "spec.objective: objectiveMetricName is missing",
        ),
        ({"metrics": []}, "StudySpec.metrics: a study optimises one metric, but got 0; leave the others out"),
        (
            {"metrics": [{"goal": "MINIMIZE", "metricId": "m"}], "parameters": [{"parameterId": "x"}]},
            "x: has no doubleValueSpec, integerValueSpec, categoricalValueSpec or discreteValueSpec",
        ),
        (
            {
                "metrics": [{"goal": "MINIMIZE", "metricId": "m"}],
                "parameters": [{"parameterId": "x", "doubleValueSpec": {"minValue": "a", "maxValue": 1}}],
            },
            "x: must be a number, but got 'a'",
        ),
    ],
)
def test_what_is_no_search_space_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as raised:
        (from_katib if given.get("kind") else from_vertex)(given)
    assert raised.value.message == said


def test_the_command_prints_a_study_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(EXPERIMENT))
    shown = CliRunner().invoke(convert, [str(path)])
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith("# not kept: spec.algorithm: say it in the study\n")
    assert "lr: {type: real, low: 0.0001, high: 0.1, log: true}" in shown.output
    study = write_study(tmp_path, optimizer={"engine": "gp"})
    back = CliRunner().invoke(convert, [str(study), "--to", "vertex"])
    assert json.loads(back.stdout)["parameters"][0]["parameterId"] == "x1"
    refused = CliRunner().invoke(convert, [str(study.with_name("none.yaml"))])
    assert refused.exit_code == 1
