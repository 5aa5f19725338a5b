"""`tune` in a person's pipeline on the stand-in for Vertex: in real containers, with an experiment and a model."""

# KFP reads the annotations of components and pipelines, so this module does not postpone them.
import json
import time
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl

from kfp_bayesopt.store import storage
from kfp_bayesopt_pipeline import tune
from tests.builders import study_text
from tests.e2e.conftest import BASE, Vertex

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("_root"),
    pytest.mark.filterwarnings("ignore"),  # of the client libraries, in their own code
]

LINE = 'echo "of trial $BAYESOPT_TRIAL" >"$BAYESOPT_OUTPUT/model.txt" && echo loss=0.$BAYESOPT_TRIAL'
DONE = ("PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_FAILED")


@dsl.container_component  # type: ignore[untyped-decorator, unused-ignore]
def train(parameters: str, model: dsl.Input[dsl.Model]):  # type: ignore[no-untyped-def]
    """Print what the step before has found."""
    line = 'echo "trained with $0" && cat "$1/model.txt"'
    return dsl.ContainerSpec(image=BASE, command=["sh", "-c"], args=[line, parameters, model.path])


def _submitted(vertex: Vertex, path: Path, job: str, folder: Path) -> tuple[str, str]:
    """Submit a pipeline with aiplatform's client, and return the state in which it ended and what its tasks printed."""
    from google.cloud import aiplatform
    from google.cloud.aiplatform.utils import gcs_utils

    vertex.stand_in.take_client()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gcs_utils, "create_gcs_bucket_for_pipeline_artifacts_if_it_does_not_exist", lambda **_: None)
        aiplatform.PipelineJob(
            display_name="mine", job_id=job, template_path=str(path), pipeline_root="gs://bucket/root"
        ).submit()
    while (state := vertex.stand_in.jobs[job]["state"]) not in DONE:
        time.sleep(0.5)
    return state, (folder / job / "log.txt").read_text()


def _below(prefix: str) -> list[str]:
    return [each.uri for each in storage.entries(prefix)]


def test_a_study_is_tuned_once_and_its_trials_and_model_are_where_vertex_has_them(
    images: Path, vertex: Vertex, bucket: str, tmp_path: Path
) -> None:
    from google.cloud import aiplatform

    image = json.loads(images.read_text())["worker"]
    given: dict[str, Any] = {"schedule": "asynchronous", "iterations": None, "trials": 3}
    objective = {"command": ["sh", "-c", LINE], "args": "flags", "value": "loss"}
    text = study_text(objective=objective, optimizer={"engine": "random"}, **given).decode()

    def mine() -> None:  # type: ignore[unused-ignore]
        found = tune(
            text, image=image, root=f"{bucket}/tuning", workers=["1"], experiment="branin-trials", register="branin"
        ).outputs
        train(parameters=found["parameters_json"], model=found["model"])

    path = tmp_path / "mine.yaml"
    compiler.Compiler().compile(dsl.pipeline(lambda: mine(), name="mine"), str(path))
    root = ""
    for job in ("mine-1", "mine-2"):  # the second finds everything there
        state, said = _submitted(vertex, path, job, tmp_path / "vertex")
        assert state == "PIPELINE_STATE_SUCCEEDED", said
        (root,) = [uri.removesuffix("/best.json") for uri in _below(f"{bucket}/tuning/") if uri.endswith("/best.json")]
        found = json.loads(storage.read(f"{root}/best.json", limit=10_000))
        assert f"trained with {json.dumps(found['parameters'])}" in said
        assert "of trial 1" in said
    records = [json.loads(line) for line in storage.read(f"{root}/trials.jsonl", limit=100_000).splitlines()]
    runs = aiplatform.ExperimentRun.list(experiment="branin-trials")
    assert [(run.get_params(), run.get_metrics()) for run in runs] == [
        (each["parameters"], each["values"]) for each in records
    ]
    (version,) = vertex.stand_in.models.known["branin"]
    assert version["artifactUri"] == f"{root}/trials/000001/output-1"
