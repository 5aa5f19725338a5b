"""Studies of each shape, whose compiled pipelines are kept: `make golden` writes them again."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import kfp_bayesopt_pipeline  # noqa: F401 - it makes the packages of the steps importable
from kfp_bayesopt.steps import STEPS
from kfp_bayesopt_pipeline.compile import compile_study
from tests.builders import a_study, study_text

GOLDEN = Path(__file__).parent / "golden"
IMAGES = {step: f"europe-docker.pkg.dev/my-project/bayesopt/{step}@sha256:{'0' * 64}" for step in STEPS}

SHAPES: dict[str, dict[str, Any]] = {
    "small": {},
    "accelerators": {
        "max_parallel": 1,
        "steps": {
            "init": {"retries": 0},
            "evaluate": {
                "image": "europe-docker.pkg.dev/my-project/bayesopt/digits:1.0",
                "cpu": 8,
                "memory": "30G",
                "accelerator_type": "NVIDIA_TESLA_T4",
                "accelerator_count": 2,
                "retries": 5,
                "backoff_seconds": 10,
                "cache": False,
            },
            "update": {"cpu": 0.5, "memory": "512Mi"},
        },
    },
    "workers": {
        "schedule": "asynchronous",
        "iterations": None,
        "trials": 100,
        "parallel_trials": 8,
        "max_parallel": 4,
        "optimizer": {"engine": "gp"},
    },
    "spot": {"steps": {"evaluate": {"machine_type": "n1-standard-8", "spot": True, "accelerator_type": "NVIDIA_L4"}}},
}


@functools.cache
def compiled(shape: str) -> str:
    """Return the compiled pipeline of a shape without the version of the SDK, which says nothing about ours."""
    text = compile_study(a_study(**SHAPES[shape]), study_text(**SHAPES[shape]), IMAGES)
    return re.sub(r"^sdkVersion: .*\n", "", text, flags=re.MULTILINE)


def path(shape: str) -> Path:
    """Return where the compiled pipeline of a shape is kept."""
    return GOLDEN / f"{shape}.yaml"


if __name__ == "__main__":
    for each in SHAPES:
        path(each).write_text(compiled(each))
