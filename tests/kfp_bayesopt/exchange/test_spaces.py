"""Search spaces of other services, in both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from google.cloud.aiplatform_v1 import HyperparameterTuningJob
from google.protobuf.json_format import ParseDict

from kfp_bayesopt.cli.commands.convert_command import convert
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.dialects.katib import from_katib, to_katib
from kfp_bayesopt.exchange.dialects.vertex import from_vertex, to_vertex
from kfp_bayesopt.study.yaml_reader import read_yaml
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
        "additionalMetricNames (loss): all metrics are kept, and one is optimised",
        "trialTemplate: has no container; say the command in objective.command",
    ]
    assert converted.data["objective"] == {"value": {"source": "printed", "name": "accuracy", "take": "best"}}
    assert study.optimizer.engine == "random"


def test_what_an_experiment_in_snake_case_says_beside_its_space_is_named_too() -> None:
    described = {
        "objective": {"type": "minimize", "objective_metric_name": "loss"},
        "parameters": [{"name": "x", "parameter_type": "double", "feasible_space": {"min": "0", "max": "1"}}],
        "early_stopping": {"algorithm_name": "medianstop"},
        "trial_template": {},
    }
    assert from_katib({"kind": "Experiment", "spec": described}).lost == [
        "earlyStopping medianstop: early_stopping: {rule: median, min_steps: 4, max_steps: N}, where N is how many "
        "steps a whole trial has, and objective.intermediate, which names the metric",
        "trialTemplate: has no container; say the command in objective.command",
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
        "keep: UNIT_REVERSE_LOG_SCALE is the logarithm of the distance to 1 here",
    ]


def test_a_study_becomes_what_googles_own_type_takes_and_comes_back() -> None:
    study = studied(from_vertex({"studySpec": SPEC, "maxTrialCount": 20, "parallelTrialCount": 4}))
    spec = to_vertex(study)
    ParseDict(spec.data, HyperparameterTuningJob()._pb)
    assert spec.lost == ["keep: the scale reverse_log", "the image: write that of your code in the place of IMAGE"]
    again = studied(from_vertex(spec.data))
    assert (again.direction, again.budget, again.parallel_trials) == ("maximize", 20, 4)
    assert {name: each for name, each in again.space.items() if name != "keep"} == {
        name: each for name, each in study.space.items() if name != "keep"
    }


@pytest.mark.parametrize("space", [MIXED, RICH])
def test_every_parameter_can_be_said_to_both(space: dict[str, Any]) -> None:
    study = a_study(space=space, objective={"python": "a:b"}, optimizer={"engine": "gp"})
    ParseDict(to_vertex(study).data, HyperparameterTuningJob()._pb)
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
        "objective.value: returned; Vertex reads what cloudml-hypertune reports",
        "the image: write that of your code in the place of IMAGE",
        "objective: a function; give the container a command that calls it",
    ]
    assert to_katib(study).lost == [
        "objective: a function; give the container a command that calls it",
        "the image: write that of your code in the place of IMAGE",
        "x: `when`; it is always there",
        "y: `when`; it is always there",
        "y: the scale logit",
        "constraint 'x + n < 9'",
        "objective.value: returned; Katib reads NAME=VALUE in what is printed, or say a collector",
    ]


def a_spec(*parameters: dict[str, Any]) -> dict[str, Any]:
    return {"metrics": [{"goal": "MINIMIZE", "metricId": "m"}], "parameters": [*parameters]}


def an_experiment(*parameters: dict[str, Any]) -> dict[str, Any]:
    spec = {"objective": {"type": "minimize", "objectiveMetricName": "m"}, "parameters": [*parameters]}
    return {"kind": "Experiment", "spec": spec}


def feasible(**changes: str) -> dict[str, str]:
    return {"min": "0", "max": "1", **changes}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "Experiment"}, "Experiment: spec: required key is missing"),
        (
            {"kind": "Experiment", "spec": {"objective": {"type": "minimize"}}},
            "Experiment: spec.objective.objectiveMetricName: required key is missing\n"
            "Experiment: spec.parameters: required key is missing",
        ),
        (
            {"metrics": [], "parameters": []},
            "StudySpec: metrics: must not be empty, but got []",
        ),
        (
            a_spec({"parameterId": "x"}),
            "StudySpec: parameters[0]: needs one of doubleValueSpec, integerValueSpec, categoricalValueSpec and "
            "discreteValueSpec",
        ),
        (
            a_spec({"parameterId": "x", "doubleValueSpec": {"minValue": "a", "maxValue": 1}}),
            "StudySpec: parameters[0].doubleValueSpec.minValue: must be a finite number, but got 'a'",
        ),
        (
            a_spec({"parameterId": "x", "doubleValueSpec": {"minValue": 0, "maxValue": int("9" * 400)}}),
            "StudySpec: parameters[0].doubleValueSpec.maxValue: must be a finite number, but got "
            f"{'9' * 28}...{'9' * 29}",
        ),
        (
            a_spec({"parameterId": {"a": 1}, "doubleValueSpec": {"maxValue": True}}),
            "StudySpec: parameters[0].parameterId: must be a valid string, but got {'a': 1}\n"
            "StudySpec: parameters[0].doubleValueSpec.maxValue: must be a finite number, but got True",
        ),
        (
            a_spec({"parameterId": "x", "integerValueSpec": {"maxValue": "1.5"}}),
            "StudySpec: parameters[0].integerValueSpec.maxValue: must be a whole number, but got '1.5'",
        ),
        (
            a_spec({"parameterId": "x", "categoricalValueSpec": {"values": []}}),
            "StudySpec: parameters[0].categoricalValueSpec.values: must not be empty, but got []",
        ),
        (
            a_spec(
                {
                    "parameterId": "x",
                    "categoricalValueSpec": {"values": ["a", None]},
                    "conditionalParameterSpecs": [{"parentCategoricalValues": {}, "parameterSpec": {}}],
                }
            ),
            "StudySpec: parameters[0].categoricalValueSpec.values[1]: must be text, a number or a boolean, but got "
            "None\n"
            "StudySpec: parameters[0].conditionalParameterSpecs[0].parentCategoricalValues.values: required key is "
            "missing\n"
            "StudySpec: parameters[0].conditionalParameterSpecs[0].parameterSpec.parameterId: required key is missing",
        ),
        (
            {"metrics": [{"goal": 5, "metricId": "a"}], "parameters": []},
            "StudySpec: metrics[0].goal: must be 'MAXIMIZE' or 'MINIMIZE', but got 5",
        ),
        ({"metrics": {"a": 1}, "parameters": []}, "StudySpec: metrics: must be a list, but got {'a': 1}"),
        (
            {"studySpec": {"metrics": 7, "parameters": []}, "maxTrialCount": -1},
            "StudySpec: maxTrialCount: must be greater than or equal to 0, but got -1\n"
            "StudySpec: studySpec.metrics: must be a list, but got 7",
        ),
        ({"studySpec": []}, "StudySpec: studySpec: must be a mapping of keys to values, but got []"),
        (
            an_experiment({"name": "x", "parameterType": "double", "feasibleSpace": feasible(step="0")}),
            "Experiment: spec.parameters[0]: feasibleSpace.step: must be above 0, but got 0",
        ),
        (
            an_experiment({"name": "x", "parameterType": "int", "feasibleSpace": feasible(max="1.5")}),
            "Experiment: spec.parameters[0]: feasibleSpace.max: must be a whole number, but got 1.5",
        ),
        (
            an_experiment({"name": "x", "parameterType": "double", "feasibleSpace": {"min": ".inf", "max": "1"}}),
            "Experiment: spec.parameters[0].feasibleSpace.min: must be a finite number, but got '.inf'",
        ),
        (
            an_experiment({"name": "x", "parameterType": "discrete", "feasibleSpace": {"list": ["1", "b"]}}),
            "Experiment: spec.parameters[0]: must be a finite number, but got 'b'",
        ),
        (
            an_experiment(*[{"name": "x\x1b[2J", "parameterType": "int", "feasibleSpace": feasible()}] * 2),
            "Experiment: spec.parameters[1].name: 'x\\x1b[2J' is there already; give each a name of its own",
        ),
    ],
)
def test_what_is_no_search_space_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as raised:
        (from_katib if given.get("kind") else from_vertex)(given)
    assert raised.value.message == said


def test_enums_by_number_zeros_left_out_and_snake_case_are_read_as_google_writes_them() -> None:
    spec = {
        "metrics": [{"metric_id": "loss", "goal": 2}],
        "parameters": [
            {"parameter_id": "lr", "double_value_spec": {"min_value": 0.1, "max_value": 1}, "scale_type": 2},
            {"parameterId": "layers", "integerValueSpec": {"maxValue": "4"}},
        ],
        "observationNoise": "HIGH",
    }
    converted = from_vertex(spec)
    assert converted.data["direction"] == "minimize"
    assert converted.data["space"] == {
        "lr": {"type": "real", "low": 0.1, "high": 1.0, "log": True},
        "layers": {"type": "integer", "low": 0, "high": 4},
    }
    assert converted.lost == ["observationNoise: a study has no word for it"]


def test_more_steps_than_vertex_takes_are_a_range() -> None:
    space = {
        "n": {"type": "integer", "low": 0, "high": 2**52, "step": 2},
        "x": {"type": "real", "low": 0.0, "high": 1.0},
    }
    converted = to_vertex(a_study(space=space, objective={"python": "a:b"}, optimizer={"engine": "gp"}))
    assert converted.data["studySpec"]["parameters"][0]["integerValueSpec"] == {"minValue": 0, "maxValue": 2**52}
    assert converted.lost[:1] == ["n: the step 2: Vertex takes 1,000 values; all between are there"]


def test_conditions_within_each_other_are_written_to_some_depth() -> None:
    space: dict[str, Any] = {"x0": {"type": "categorical", "choices": ["a", "b"]}}
    for number in range(1, 51):
        space[f"x{number}"] = {**space["x0"], "when": {f"x{number - 1}": "a"}}
    study = a_study(space=space, objective={"python": "a:b"}, optimizer={"engine": "gp"})
    with pytest.raises(UserError, match="space: 51 `when` follow from each other, and a StudySpec has at most 50 here"):
        to_vertex(study)
    study = a_study(space=dict(list(space.items())[:50]), objective={"python": "a:b"}, optimizer={"engine": "gp"})
    json.dumps(to_vertex(study).data)


def test_a_name_of_somebody_else_cannot_end_a_comment(tmp_path: Path) -> None:
    parameter = {"name": "x\nname: hers", "parameterType": "int", "feasibleSpace": feasible(distribution="a\n")}
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(an_experiment(parameter)))
    shown = CliRunner().invoke(convert, [str(path)])
    assert shown.stdout.startswith("# not kept: 'x\\nname: hers': the distribution 'a\\n' is searched evenly\n")
    assert list(read_yaml(shown.stdout.encode())[0]["space"]) == ["x\nname: hers"]


def test_the_command_prints_a_study_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(EXPERIMENT))
    shown = CliRunner().invoke(convert, [str(path)])
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(
        "# not kept: additionalMetricNames (loss): all metrics are kept, and one is optimised\n"
    )
    assert "lr: {type: real, low: 0.0001, high: 0.1, log: true}" in shown.output
    study = write_study(tmp_path, optimizer={"engine": "gp"})
    back = CliRunner().invoke(convert, [str(study), "--to", "vertex"])
    assert json.loads(back.stdout)["studySpec"]["parameters"][0]["parameterId"] == "x1"
    refused = CliRunner().invoke(convert, [str(study.with_name("none.yaml"))])
    assert refused.exit_code == 1


def test_what_a_study_has_no_word_for_is_named_by_its_path_at_any_depth() -> None:
    spec = {
        "metrics": [{"metricId": "loss", "goal": "MINIMIZE", "safetyConfig": {"safetyThreshold": 3}}],
        "parameters": [{"parameterId": "x", "doubleValueSpec": {"minValue": 0, "maxValue": 1, "defaultValue": 0.5}}],
        "medianAutomatedStoppingSpec": {},
    }
    job = {"displayName": "a job", "studySpec": spec, "trialJobSpec": {}}
    assert from_vertex(job).lost == [
        f"{path}: a study has no word for it"
        for path in (
            "studySpec.metrics[0].safetyConfig",
            "studySpec.parameters[0].doubleValueSpec.defaultValue",
            "studySpec.medianAutomatedStoppingSpec",
            "trialJobSpec",
        )
    ]
    described = an_experiment({"name": "x", "parameterType": "double", "feasibleSpace": feasible(odd="1")})
    described["spec"] |= {"resumePolicy": "Never", "trialTemplate": {"retain": True}}
    assert from_katib(described).lost[:3] == [
        "spec.parameters[0].feasibleSpace.odd: a study has no word for it",
        "spec.resumePolicy: a study has no word for it",
        "spec.trialTemplate.retain: a study has no word for it",
    ]
