"""Experiments of Katib of every kind that its users write: what measures and runs a trial, in our words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.convert_command import convert
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.dialects.katib import from_katib, to_katib
from kfp_bayesopt.exchange.dialects.katib_trials import pattern_of
from tests.builders import a_study

LR = {"name": "lr", "parameterType": "double", "feasibleSpace": {"min": "0.01", "max": "0.03"}}
LAYERS = {"name": "num-layers", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "5"}}
COMMAND = ["python3", "/opt/train.py", "--lr=${trialParameters.learningRate}", "--layers", "${trialParameters.layers}"]
OURS = ["python3", "/opt/train.py", "--lr={lr}", "--layers", "{num-layers}"]


def template(command: list[str] = COMMAND, kind: str = "Job", **container: Any) -> dict[str, Any]:
    pod = {
        "spec": {"containers": [{"name": "training-container", "image": "team/train", "command": command, **container}]}
    }
    spec = {"template": pod} if kind == "Job" else {"pytorchReplicaSpecs": {"Master": {"replicas": 1, "template": pod}}}
    return {
        "primaryContainerName": "training-container",
        "trialParameters": [
            {"name": "learningRate", "description": "of SGD", "reference": "lr"},
            {"name": "layers", "reference": "num-layers"},
        ],
        "trialSpec": {"apiVersion": "batch/v1", "kind": kind, "spec": spec},
    }


def experiment(**changes: Any) -> dict[str, Any]:
    spec = {
        "objective": {"type": "minimize", "goal": 0.001, "objectiveMetricName": "loss"},
        "algorithm": {"algorithmName": "bayesianoptimization"},
        "parameters": [LR, LAYERS],
        "trialTemplate": template(),
        **changes,
    }
    return {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": {"name": "e"}, "spec": spec}


def collector(kind: str, **source: Any) -> dict[str, Any]:
    return {"collector": {"kind": kind}, "source": source}


def in_file(path: str, **form: str) -> dict[str, Any]:
    return {"path": path, "kind": "File", **form}


FORMAT = r"{metric: ([\w|-]+), is: ((-?\d+)(\.\d+)?)}"
MOUNTED = in_file("/katib/mnist.json", format="JSON")
OTHERS = ("tpe", "cmaes", "grid", "hyperband", "pbt")
IN_ONE = "trialTemplate: PyTorchJob: the command runs in one container for each trial"
PRINTED = {"source": "printed", "name": "loss", "take": "best"}


@pytest.mark.parametrize(
    ("changes", "value", "lost"),
    [
        ({}, PRINTED, []),
        ({"metricsCollectorSpec": collector("StdOut")}, PRINTED, []),
        (
            {"objective": {"type": "minimize", "objectiveMetricName": "loss",
                           "metricStrategies": [{"name": "loss", "value": "latest"}]}},
            {**PRINTED, "take": "last"}, [],
        ),
        (
            {"metricsCollectorSpec": collector("StdOut", filter={"metricsFormat": [FORMAT]})},
            {"source": "pattern", "pattern": r"{metric: loss, is: (?P<value>(?:-?\d+)(?:\.\d+)?)}", "take": "best"}, [],
        ),
        (
            {"metricsCollectorSpec": collector("File", fileSystemPath=MOUNTED)},
            {"source": "file", "path": "mnist.json", "name": "loss", "take": "best"},
            ["metricsCollectorSpec: /katib/mnist.json: write it as $BAYESOPT_TRIAL_FOLDER/mnist.json"],
        ),
        (
            {"metricsCollectorSpec": collector("File", fileSystemPath=in_file("/katib/mnist.log"))},
            PRINTED, ["metricsCollectorSpec: File: have the program print what it writes to /katib/mnist.log"],
        ),
        (
            {"metricsCollectorSpec": collector("TensorFlowEvent", fileSystemPath=in_file("/train"))},
            {"source": "tensorboard", "path": "train", "name": "loss", "take": "best"},
            ["metricsCollectorSpec: write the event files below $BAYESOPT_TRIAL_FOLDER/train"],
        ),
        ({"metricsCollectorSpec": collector("Custom")}, PRINTED,
         ["metricsCollectorSpec: Custom: have the program print what it writes"]),
        ({"metricsCollectorSpec": collector("Push")}, PRINTED,
         ["metricsCollectorSpec: Push: have the program print what it writes"]),
    ],
)  # fmt: skip
def test_what_measures_a_trial_is_the_source_of_its_value(
    changes: dict[str, Any], value: dict[str, Any], lost: list[str]
) -> None:
    converted = from_katib(experiment(**changes))
    assert converted.data["objective"] == {"command": OURS, "value": value}
    assert converted.lost == [*lost, "trialTemplate: the image team/train; put the runtime into it: docs/own-code.md"]
    a_study(**{"iterations": None, "optimizer": None, **converted.data, "trials": 4})


@pytest.mark.parametrize(
    ("algorithm", "engine", "lost"),
    [
        ("random", {"engine": "random"}, []),
        ("sobol", {"engine": "sobol"}, []),
        ("bayesianoptimization", None, []),
        *((name, None, [f"algorithm {name}: the engine `gp` searches instead"]) for name in OTHERS),
    ],
)  # fmt: skip
def test_an_algorithm_is_an_engine_or_said(algorithm: str, engine: Any, lost: list[str]) -> None:
    settings = [{"name": "random_state", "value": "10"}]
    converted = from_katib(experiment(algorithm={"algorithmName": algorithm, "algorithmSettings": settings}))
    assert converted.data.get("optimizer") == engine
    assert converted.lost[:-1] == ["algorithmSettings: random_state", *lost]


@pytest.mark.parametrize(
    ("given", "command", "lost"),
    [
        (template(kind="PyTorchJob"), OURS, [IN_ONE]),
        (template(["sh", "-c"], args=[f"python3 t.py {COMMAND[2]} --n=${{trialParameters.layers}} | tee {{x}}"]),
         ["sh", "-c", "python3 t.py --lr={lr} --n={num-layers} | tee {{x}}"], []),
        (template(["train", COMMAND[2]]), None,
         ["trialTemplate: its command does not name each parameter once; say it in objective.command"]),
        ({"configMap": {"configMapName": "a"}}, None,
         ["spec.trialTemplate.configMap: a study has no word for it",
          "trialTemplate: has no container; say the command in objective.command"]),
    ],
)  # fmt: skip
def test_a_template_is_a_command_or_said(given: dict[str, Any], command: list[str] | None, lost: list[str]) -> None:
    converted = from_katib(experiment(trialTemplate=given))
    assert converted.data["objective"].get("command") == command
    assert [each for each in converted.lost if "the image" not in each] == lost


def test_a_search_for_architectures_is_refused() -> None:
    with pytest.raises(UserError, match=r"spec\.nasConfig: is a search for architectures, which a study is not"):
        from_katib(experiment(nasConfig={"graphConfig": {"numLayers": 8}}))


@pytest.mark.parametrize(
    ("form", "line"),
    [
        (r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)", "loss = 0.25"),
        (r"\[(\w+)\] \(([0-9.]+)\)", "[loss] (0.25)"),
        (r"([^(=]+)=([)0-9.]+)", "loss=0.25"),
        (r"(?:name: )([a-z_]+), value: (\S+)", "name: loss, value: 0.25"),
    ],
)
def test_a_format_of_names_and_numbers_is_a_pattern_of_one_metric(form: str, line: str) -> None:
    pattern = pattern_of(form, "loss")
    assert pattern is not None
    match = re.search(pattern, line)
    assert match is not None
    assert match["value"] == "0.25"
    assert re.search(pattern, line.replace("loss", "cost")) is None


@pytest.mark.parametrize("form", ["no group", "(one)", "(a", r"((\w+)=(\d+))"])
def test_a_format_without_name_and_number_is_no_pattern(form: str) -> None:
    assert pattern_of(form, "loss") is None


def test_a_study_becomes_a_whole_manifest_and_comes_back() -> None:
    study = a_study(
        objective={"command": ["python", "t.py", "--x={x1}", "{x2}", "{{}}"], "value": "loss"},
        steps={"evaluate": {"image": "team/train@sha256:" + "0" * 64}}, optimizer={"engine": "gp"},
    )  # fmt: skip
    written = to_katib(study)
    assert written.lost == []
    assert written.data["spec"]["objective"]["metricStrategies"] == [{"name": "loss", "value": "latest"}]
    job = written.data["spec"]["trialTemplate"]["trialSpec"]
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "t.py", "--x=${trialParameters.x1}", "${trialParameters.x2}", "{}"]
    again = from_katib(written.data)
    assert again.data["objective"]["command"] == study.objective.command
    assert again.data["objective"]["value"] == {"source": "printed", "name": "loss", "take": "last"}


def test_what_a_study_would_refuse_is_said_before_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    space = {"name": "x", "parameterType": "double", "feasibleSpace": {"min": "2", "max": "1"}}
    path.write_text(json.dumps(experiment(parameters=[space], trialTemplate={})))
    shown = CliRunner().invoke(convert, [str(path)])
    assert shown.exit_code == 0, shown.output
    assert "# to mend: study: space.x: low < high must hold" in shown.output
