"""Studies of each shape, whose compiled pipelines and pictures are kept: `make golden` writes them again."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import kfp_bayesopt_pipeline  # noqa: F401 - it makes the packages of the steps importable
from kfp_bayesopt.steps import STEPS
from kfp_bayesopt_pipeline import shipped
from kfp_bayesopt_pipeline.cluster import Cluster
from kfp_bayesopt_pipeline.compile import compile_study
from kfp_bayesopt_pipeline.places.kfp import KfpSettings
from tests import ROOT
from tests.builders import a_study, study_text
from tests.graph_picture import draw

GOLDEN = Path(__file__).parent / "golden"
PICTURES = ROOT / "docs" / "pictures"
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
    "cluster": {
        "objective": {
            "python": "objectives.branin:branin",
            "env": {"TOKEN": {"from_environment": "MY_TOKEN", "kubernetes_secret": "keys/token"}},
        },
        "steps": {
            "init": {"request": {"memory": "512Mi"}},
            "evaluate": {
                "cpu": 4,
                "memory": "16G",
                "request": {"cpu": 0.5, "memory": "4000000K"},
                "accelerator_type": "nvidia.com/mig-1g.5gb",
                "pod": {
                    "node_selector": {"pool": "gpus"},
                    "tolerations": [
                        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                        {"key": "spot", "value": "true", "effect": "NoExecute", "toleration_seconds": 60},
                    ],
                    "affinity": [
                        {"key": "zone", "values": ["a", "b"]},
                        {"key": "gpus", "operator": "Gt", "values": ["1"]},
                        {"key": "disk", "operator": "Exists", "weight": 10},
                    ],
                    "labels": {"kueue.x-k8s.io/queue-name": "trials"},
                    "annotations": {"example.com/owner": "Ann, of team 7"},
                    "shared_memory": "2G",
                    "volumes": [{"claim": "data", "path": "/data", "sub_path": "images/small"}],
                    "secrets": [{"name": "certificates", "path": "/secrets/certificates"}],
                    "config_maps": [{"name": "settings", "path": "/settings"}],
                    "image_pull_secrets": ["registry"],
                },
            },
        },
    },
    "volume": {
        "schedule": "asynchronous",
        "iterations": None,
        "trials": 8,
        "parallel_trials": 2,
        "optimizer": {"engine": "gp"},
        "steps": {"volume": {"claim": "studies", "path": "/studies"}},
    },
    "spot": {"steps": {"evaluate": {"machine_type": "n1-standard-8", "spot": True, "accelerator_type": "NVIDIA_L4"}}},
}
CLUSTERS = {"cluster": KfpSettings(store_ca="ca/ca.crt").cluster("minio://mlpipeline/bayesopt"), "volume": Cluster()}
"""The KFP clusters that shapes are compiled for; the others are for Vertex."""

DRAWN: dict[str, dict[str, Any] | None] = {
    "batches": {"parallel_trials": 4, "max_parallel": 4},
    "workers": {**SHAPES["workers"], "max_parallel": 8},
    "tune": None,
}
"""The studies whose graphs are pictures of the documents; None for the component of every study."""


@functools.cache
def compiled(shape: str) -> str:
    """Return the compiled pipeline of a shape without the version of the SDK, which says nothing about ours."""
    text = compile_study(a_study(**SHAPES[shape]), study_text(**SHAPES[shape]), IMAGES, CLUSTERS.get(shape))
    return re.sub(r"^sdkVersion: .*\n", "", text, flags=re.MULTILINE)


def drawn(picture: str) -> str:
    """Return the picture of a compiled pipeline as SVG."""
    if (changes := DRAWN[picture]) is None:
        return draw(shipped.TUNE.read_text())
    return draw(compile_study(a_study(**changes), study_text(**changes), IMAGES, None))


def path(shape: str) -> Path:
    """Return where the compiled pipeline of a shape is kept."""
    return GOLDEN / f"{shape}.yaml"


if __name__ == "__main__":
    for each in SHAPES:
        path(each).write_text(compiled(each))
    for each in DRAWN:
        (PICTURES / f"{each}.svg").write_text(drawn(each))
