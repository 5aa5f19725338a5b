"""Each kind of training code in docs/own-code.md runs in process, as it stands there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kfp_bayesopt_pipeline.places.in_process import Options, run
from tests.own_code import KINDS, write_kind

# What cloudml-hypertune 0.1.0.dev6 does, which the environment of the tests has not.
HYPERTUNE = """
import json, os, time
class HyperTune:
    def __init__(self):
        self.path = os.environ.get("CLOUD_ML_HP_METRIC_FILE", "/var/hypertune/output.metrics")
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
    def report_hyperparameter_tuning_metric(self, hyperparameter_metric_tag, metric_value, global_step=None):
        body = {"timestamp": time.time(), "trial": os.environ.get("CLOUD_ML_TRIAL_ID", 0),
                hyperparameter_metric_tag: str(float(metric_value)), "global_step": str(int(global_step))}
        with open(self.path, "a") as file:
            file.write(json.dumps(body, sort_keys=True) + "\\n")
"""


def test_there_are_six_kinds() -> None:
    assert KINDS == ("function", "script", "metrics", "hypertune", "program", "elsewhere")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_code_runs_in_process(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_kind(kind, tmp_path)
    (folder / "study.yaml").write_text((folder / "study.yaml").read_text().replace("IMAGE", "mine@sha256:" + "0" * 64))
    if kind == "hypertune":
        (folder / "hypertune.py").write_text(HYPERTUNE)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    best = run(str(folder / "study.yaml"), str(tmp_path / "out"), 2, Options())
    assert (best.completed, best.failed) == (4, 0)
    assert best.value is not None
    if kind == "program":
        assert (tmp_path / "out" / "trials" / f"{best.trial:06d}" / "output-1" / "model.txt").is_file()
