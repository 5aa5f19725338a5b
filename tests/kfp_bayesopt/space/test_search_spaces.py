"""Search spaces that others publish, said in our words: each is a good study, and its points reach a program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.search.engine import new_engine, suggest
from kfp_bayesopt.study.arguments import call_of
from kfp_bayesopt.study.study import Study
from tests.builders import a_study


def real(low: float, high: float, log: bool = False) -> dict[str, Any]:
    return {"type": "real", "low": low, "high": high, "log": log}


def integer(low: int, high: int, **more: Any) -> dict[str, Any]:
    return {"type": "integer", "low": low, "high": high, **more}


def choice(*choices: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(choices)}


# Where each is from, its space, and how its program takes the parameters there.
SPACES: dict[str, tuple[dict[str, Any], str]] = {
    # kubeflow/katib, examples/v1beta1/hp-tuning/random.yaml
    "katib: random": ({"lr": real(0.01, 0.05), "momentum": real(0.5, 0.9)}, "flags"),
    # kubeflow/katib, examples/v1beta1/hp-tuning/bayesian-optimization.yaml, older versions with layers and optimizer
    "katib: mnist": (
        {"lr": real(0.01, 0.03), "num-layers": integer(2, 5), "optimizer": choice("sgd", "adam", "ftrl")},
        "flags",
    ),
    # kubeflow/katib, examples/v1beta1/kubeflow-training-operator/xgboostjob-lightgbm.yaml
    "katib: lightgbm": ({"lr": real(0.01, 0.1), "num-leaves": integer(50, 60)}, "flags"),
    # kubeflow/katib, examples/v1beta1/hp-tuning/grid.yaml: doubles with a step
    "katib: grid": ({"lr": choice(0.01, 0.015, 0.02, 0.025, 0.03), "batch-size": choice("64", "128")}, "flags"),
    # Vertex AI, docs/training/using-hyperparameter-tuning: learning_rate, momentum, num_units
    "vertex: horses or humans": (
        {"learning_rate": real(0.01, 1, log=True), "momentum": real(0, 1), "num_units": choice(64, 128, 512)},
        "flags",
    ),
    # Vertex AI, codelab: number of layers and a dropout by discrete values
    "vertex: discrete": ({"hidden_layers": integer(1, 5), "dropout": choice(0.1, 0.25, 0.5)}, "environment"),
    # W&B, docs/guides/sweeps/define-sweep-configuration: bayes
    "wandb: bayes": (
        {
            "batch_size": integer(32, 256, step=8),
            "epochs": choice(5, 10, 15),
            "learning_rate": real(1e-5, 0.1, log=True),
            "optimizer": choice("adam", "sgd"),
        },
        "flags",
    ),
    # W&B, examples: nested parameters
    "wandb: nested": (
        {"optimizer.lr": real(1e-4, 1e-1, log=True), "optimizer.nesterov": choice(True, False), "seed": integer(1, 9)},
        "json-file",
    ),
    # SageMaker, automatic-model-tuning-define-ranges: XGBoost
    "sagemaker: xgboost": (
        {"eta": real(0.1, 0.5), "min_child_weight": real(1, 10), "alpha": real(0, 2), "max_depth": integer(1, 10)},
        "flags",
    ),
    # SageMaker, image classification: static and ranged, logarithmic
    "sagemaker: image classification": (
        {
            "learning_rate": real(1e-4, 1.0, log=True),
            "mini_batch_size": integer(16, 64),
            "optimizer": choice("sgd", "adam", "rmsprop", "nag"),
        },
        "text-flags",
    ),
}  # fmt: skip


def _study(space: dict[str, Any], args: str) -> Study:
    command = ["train", "{parameters_file}"] if args == "json-file" else ["train"]
    objective = {"command": command, "args": args, "value": "loss"}
    return a_study(objective=objective, space=space, optimizer={"engine": "sobol"}, iterations=4)


@pytest.mark.parametrize("name", SPACES)
def test_a_published_space_can_be_said_and_its_points_reach_a_program(name: str, tmp_path: Path) -> None:
    space, args = SPACES[name]
    study = _study(space, args)
    points = suggest(new_engine(study), study, [], {}, 8)
    assert len({tuple(point.values()) for point in points.values()}) == 8
    for point in points.values():
        call = call_of(study.objective, point, tmp_path)
        if args == "json-file":
            ((_, content),) = call.files.items()
            assert json.loads(content) == point
        else:
            assert len(call.variables or call.command[1:]) == len(space)


def test_there_are_ten_of_four_services() -> None:
    assert len(SPACES) == 10
    assert {name.partition(":")[0] for name in SPACES} == {"katib", "vertex", "wandb", "sagemaker"}
