"""What all pods of a study ask a cluster for at once."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_bayesopt_pipeline.preflight.requests import asked_at_once, said_at_once
from tests.builders import a_study
from tests.kfp_bayesopt_pipeline.shapes import SHAPES

GPU = {"accelerator_type": "nvidia.com/gpu", "accelerator_count": 2}


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ({}, "4 pods at once, without a request of CPU or memory (steps.evaluate.request)"),
        ({"evaluate": {"cpu": 2}}, "4 pods at once together ask for CPU 8"),
        (
            {"evaluate": {"memory": "16G", "request": {"cpu": 0.5, "memory": "8Gi"}}},
            "4 pods at once together ask for CPU 2, memory 34.4 GB",
        ),
        ({"evaluate": GPU}, "4 pods at once together ask for nvidia.com/gpu 8"),
        (
            {"evaluate": {"request": {"memory": "1G"}}, "update": {"request": {"memory": "8G", "cpu": 1}}},
            "4 pods at once together ask for memory 8 GB, CPU 1",
        ),
    ],
)
def test_the_requests_of_all_pods_that_run_at_once_are_added(steps: dict[str, Any], said: str) -> None:
    assert said_at_once(a_study(parallel_trials=4, steps=steps)) == said


def test_no_more_pods_count_than_run_at_once() -> None:
    asked = {"evaluate": {"request": {"cpu": 1}}}
    assert asked_at_once(a_study(parallel_trials=8, max_parallel=3, steps=asked)) == {"CPU": 3}
    assert asked_at_once(a_study(**{**SHAPES["workers"], "steps": asked})) == {"CPU": 4}
    assert said_at_once(a_study(parallel_trials=1, steps=asked)) == "1 pod asks for CPU 1"
