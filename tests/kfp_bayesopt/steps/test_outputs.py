"""What a step gives, as KFP's own engine takes it: its code makes the executor input and reads the executor output."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp import dsl
from kfp.local.executor_input_utils import construct_executor_input
from kfp.local.executor_output_utils import get_outputs_for_task

from kfp_bayesopt.steps import ARTIFACTS, EVALUATE, REPORT, STEPS, WORKER, Step, executor
from kfp_bayesopt.steps.executor import executor_output, write_output
from kfp_bayesopt.steps.outputs import MOST_METRICS, Outputs
from kfp_bayesopt.steps.tuning import tuned
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.tree import Tree
from kfp_bayesopt_pipeline.components import make_component
from tests.builders import a_record, a_study, several

STUDY = a_study()
ALL = [*STEPS.values(), *(tuned(step) for step in STEPS.values())]


def taken(step: Step, given: Outputs, folder: Path) -> dict[str, Any]:
    """Return what the next task gets of what a step has given, by the names of its outputs."""
    component = make_component(step, "images/step:1", "study.yaml" if step in STEPS.values() else None)
    spec = component.pipeline_spec.components[f"comp-{step.name}"]
    order = construct_executor_input(spec, {}, str(folder / "task"), block_input_artifact=False)
    given.write(str(folder / "outputs.json"))
    output = executor_output(json_format.MessageToDict(order), step.writes, Outputs.read(folder / "outputs.json"))
    write_output(order.outputs.output_file, json.dumps(output).encode())
    found: dict[str, Any] = get_outputs_for_task(order, spec)
    return found


@pytest.mark.parametrize("step", ALL, ids=lambda step: f"{step.name}-{len(step.reads)}")
def test_a_step_that_gives_nothing_has_all_its_outputs(step: Step, tmp_path: Path) -> None:
    found = taken(step, Outputs(), tmp_path)
    assert found.keys() == {port.name for port in step.writes}
    assert all(isinstance(found[port.name], dsl.Artifact) for port in step.writes if port.kind in ARTIFACTS)


NUMBERS: dict[str, Any] = {
    "nan": math.nan, "inf": [math.inf, {"deep": -math.inf}], "long": 10**400, "large": 2**63 + 1, "tiny": 5e-324,
    "most": 1.7976931348623157e308, "int": 6, "half": "\ud800", "emoji": "\U0001f600", "empty": "", "none": None,
    "yes": True,
}  # fmt: skip


def test_no_value_fails_a_task(tmp_path: Path) -> None:
    metrics = {name: each for name, each in NUMBERS.items() if isinstance(each, int | float)}
    given = Outputs(values={"value": "nan", "parameters": NUMBERS, "metrics": metrics})
    found = taken(EVALUATE, given, tmp_path)
    assert found["parameters"] == {
        **NUMBERS, "nan": "nan", "inf": ["inf", {"deep": "-inf"}], "long": str(10**400), "half": "?",
        "large": float(2**63 + 1),
    }  # fmt: skip
    assert found["metrics"].metadata["nan"] == "nan"
    assert found["metrics"].metadata["most"] == NUMBERS["most"]
    assert found["value"] == "nan"


def test_the_parameters_of_a_trial_are_there_with_its_metrics(tmp_path: Path) -> None:
    point = {"units": 4096, "rate": 1e-05, "shape": [64, {"cells": 8}], "flag": True, "none": None}
    record = a_record(STUDY, 7, 0.25, parameters=point, values={"value": 0.25, "accuracy": 0.5})
    found = taken(EVALUATE, Outputs.of_record(record), tmp_path)
    assert found["value"] == "0.25"
    assert found["parameters"] == point
    assert found["metrics"].metadata == {"accuracy": 0.5, "trial": 7, "seconds": 0.1, "value": 0.25}


def test_a_failed_trial_has_parameters_and_no_value(tmp_path: Path) -> None:
    found = taken(EVALUATE, Outputs.of_record(a_record(STUDY, 7, None)), tmp_path)
    assert (found["value"], found["parameters"]) == ("none", {"x1": 1.0, "x2": 2.0})
    assert found["metrics"].metadata == {"trial": 7, "seconds": 0.1}


def test_the_value_of_several_objectives_is_all_of_them() -> None:
    record = a_record(several(), 1, values={"accuracy": 0.9, "latency": 3.0})
    assert Outputs.of_record(record).values["value"] == "accuracy 0.9, latency 3.0"


def test_a_metric_with_a_name_of_ours_does_not_hide_ours_and_very_many_are_left_out() -> None:
    values = {"value": 0.5, "trial": 99.0, "seconds": 99.0, **{f"m{n}": 1.0 for n in range(200)}}
    shown = Outputs.of_record(a_record(STUDY, 7, values=values)).values["metrics"]
    assert (shown["trial"], shown["seconds"], shown["value"]) == (7, 0.1, 0.5)
    assert len(shown) == MOST_METRICS + 1


def test_a_worker_gives_a_line_for_each_trial_and_the_metrics_of_its_best(tmp_path: Path) -> None:
    records = [
        a_record(STUDY, 3, None),
        a_record(STUDY, 5, 0.5),
        a_record(STUDY, 8, 0.25, values={"value": 0.25, "f1": 1}),
    ]
    found = taken(WORKER, Outputs.of_worker(STUDY, records), tmp_path)
    lines = [json.loads(line) for line in Path(found["done"].path).read_text().splitlines()]
    assert [(each["trial"], each["state"]) for each in lines] == [(3, "failed"), (5, "completed"), (8, "completed")]
    assert (lines[0]["reason"], lines[1]["reason"]) == ("ValueError: no", None)
    assert found["done"].metadata == {"trials": 3, "best": 0.25, "trial": 8}
    assert found["metrics"].metadata == {"trials": 3, "f1": 1, "trial": 8, "seconds": 0.1, "value": 0.25}


def test_a_worker_that_had_nothing_to_do_says_so(tmp_path: Path) -> None:
    found = taken(WORKER, Outputs.of_worker(STUDY, []), tmp_path)
    assert Path(found["done"].path).read_bytes() == b""
    assert (found["done"].metadata, found["metrics"].metadata) == ({"trials": 0}, {"trials": 0})


def test_a_folder_reaches_the_next_task_with_all_that_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(bytes(3))
    tree = Tree({"a/.b": (f"{tmp_path}/w", None), "w": (f"{tmp_path}/w", None)}, ["empty"])
    found = taken(tuned(REPORT), Outputs(trees={"model": tree}, about={"model": {"trial": 7}}), tmp_path)["model"]
    assert isinstance(found, dsl.Model)
    there = sorted(path.relative_to(found.path).as_posix() for path in Path(found.path).rglob("*"))
    assert there == ["a", "a/.b", "empty", "w"]
    assert found.metadata == {"trial": 7}


def test_a_folder_that_is_not_whole_is_left_empty_and_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w").write_bytes(bytes(3))
    tree = Tree({"w": (f"{tmp_path}/w", "0" * 32), "v": (f"{tmp_path}/v", None)})
    found = taken(tuned(REPORT), Outputs(trees={"model": tree}, about={"model": {"trial": 7}}), tmp_path)["model"]
    assert not Path(found.path).exists()
    problem = "is not whole: of its 2 files w was changed, and 1 more"
    assert found.metadata == {"trial": 7, "missing": problem}
    assert capsys.readouterr().err == f"model: left empty: it {problem}\n"


@pytest.mark.parametrize("has_links", [True, False])
def test_a_folder_goes_where_the_launcher_takes_it_or_to_its_bucket(
    has_links: bool, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod of a cluster has /minio, /s3 and /gcs; on Vertex /gcs is a view of the bucket, which has no hard links."""
    view = tmp_path / "view"
    (view / "bucket/run").mkdir(parents=True)
    monkeypatch.setitem(executor.VIEWS, "gs", str(view))
    (tmp_path / "w").write_bytes(b"weights")
    if not has_links:
        monkeypatch.setattr(os, "link", _no_link)
    artifact = {"name": "7", "uri": f"{bucket}/run/model"}
    order = {"outputs": {"artifacts": {"model": {"artifacts": [artifact]}}}}
    given = Outputs(trees={"model": Tree({"a/w": (f"{tmp_path}/w", None)}, ["empty"])})
    executor_output(order, tuned(REPORT).writes, given)
    here = sorted(path.relative_to(view).as_posix() for path in view.rglob("*") if path.parent != view)
    there = [entry.uri for entry in storage.entries(f"{bucket}/run/")]
    run = "bucket/run"
    if has_links:
        assert here == [run, f"{run}/model", f"{run}/model/a", f"{run}/model/a/w", f"{run}/model/empty"]
        assert there == []
    else:
        assert here == [run], "nothing is left half written"
        assert there == [f"{bucket}/run/model/a/w"]


def _no_link(*_: object, **__: object) -> None:
    raise OSError(errno.ENOTSUP, "Operation not supported")
