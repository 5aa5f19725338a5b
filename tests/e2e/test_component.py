"""The forms of the component in KFP's engine, nested in each other's ways, with a stand-in for the programs of images.

It notes what each task is given, and gives what every step does; `test_pipeline_guide.py` runs the real ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from docker.types import Mount
from kfp import components, dsl, local

from kfp_bayesopt.steps import EVALUATE, INIT, REPORT, STEPS, UPDATE, WORKER
from kfp_bayesopt_pipeline.tuning.component import text_of
from kfp_bayesopt_pipeline.tuning.forms import Form, Own
from tests.builders import study_text
from tests.e2e.conftest import BASE
from tests.kfp_bayesopt_pipeline.tuning.persons import making

pytestmark = [
    pytest.mark.long,
    # Of kfp, at import and where it runs.
    pytest.mark.filterwarnings("ignore"),
]

STAND_IN = """#!/usr/bin/env python3
import json, os, sys

given, program, options = json.loads(sys.argv[1]), os.path.basename(sys.argv[2]), sys.argv[3:]
inputs, outputs = given.get("inputs", {}), given["outputs"]
os.makedirs(os.path.dirname(outputs["outputFile"]), exist_ok=True)
artifacts = {name: each["artifacts"][0].get("metadata", {}) for name, each in inputs.get("artifacts", {}).items()}
with open(outputs["outputFile"] + ".note", "w") as note:
    json.dump({"program": program, "options": options, "artifacts": artifacts}, note)
if "name: wrong" in options:
    sys.exit("the study is wrong")
value = 0.5 if program == "report" else "0.5"
values = {"parameters": {"rate": 0.1, "n": 6}, "parameters_json": '{"rate": 0.1, "n": 6}', "value": value}
shown = {}
for name, each in outputs.get("artifacts", {}).items():
    artifact = each["artifacts"][0]
    os.makedirs(os.path.dirname(artifact["uri"]), exist_ok=True)
    with open(artifact["uri"], "w") as file:
        file.write(name)
    about = {}
    if name == "opened":
        about = {"root": "/r", "study": "/r/x.yaml", "job": options[options.index("--content") + 1]}
    shown[name] = {"artifacts": [{"name": artifact["name"], "uri": artifact["uri"], "metadata": about}]}
given = {name: values.get(name, "") for name in outputs.get("parameters", {})}
with open(outputs["outputFile"], "w") as file:
    json.dump({"artifacts": shown, "parameterValues": given}, file)
"""


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """Set up KFP's engine with the stand-in in each container, and return the folder that it writes into."""
    programs, root = tmp_path / "bin", tmp_path / "root"
    programs.mkdir()
    (programs / "executor").write_text(STAND_IN)
    (programs / "executor").chmod(0o755)
    mount = Mount("/opt/bayesopt/bin", str(programs), type="bind", read_only=True)
    local.init(runner=local.DockerRunner(mounts=[mount]), pipeline_root=str(root), enable_caching=False)
    return root


def _noted(root: Path, program: str) -> list[dict[str, Any]]:
    found = [json.loads(file.read_text()) for file in root.rglob("*.note")]
    return [each for each in found if each["program"] == program]


def _tune(form: Form) -> Any:
    return components.load_component_from_text(text_of(form))


def test_several_studies_at_once_one_with_batches_and_data_in_somebodys_exit_handler(engine: Path) -> None:
    prepare, train, tidy = making(BASE)
    tune = _tune(Form(BASE))
    images = tuple((step, BASE) for step in STEPS)
    batches = _tune(Form(data=True, own=Own(study_text(parallel_trials=1).decode(), images)))

    def place() -> None:
        with dsl.ExitHandler(tidy()):
            prepared = prepare()
            with dsl.ParallelFor(["name: a", "name: b"]) as study:
                found = tune(study=study, workers=["x", "y"])
                train(parameters=found.outputs["parameters"], model=found.outputs["model"])
            own = batches(root="gs://b/x", data=prepared.outputs["table"])
            train(parameters=own.outputs["parameters"], model=own.outputs["model"])

    dsl.pipeline(lambda: place(), name="mine")()  # KFP takes no postponed annotation

    workers = _noted(engine, WORKER.name)
    assert sorted((each["artifacts"]["opened"]["job"], each["options"][-1]) for each in workers) == [
        ("name: a", "x"), ("name: a", "y"), ("name: b", "x"), ("name: b", "y"),
    ]  # fmt: skip
    assert sorted(each["options"][-1] for each in _noted(engine, EVALUATE.name)) == ["1", "2"]
    assert [set(each["artifacts"]) for each in _noted(engine, EVALUATE.name)] == [{"opened", "batch", "data"}] * 2
    assert [len(_noted(engine, step.name)) for step in (INIT, UPDATE, REPORT)] == [3, 2, 3]
    trained = [json.loads(each["options"][0]) for each in _noted(engine, "train")]
    assert trained == [{"rate": 0.1, "n": 6}] * 3
    assert len(_noted(engine, "tidy")) == 1


def test_nothing_starts_behind_an_init_that_has_refused_its_study(engine: Path) -> None:
    _, train, _ = making(BASE)
    tune = _tune(Form(BASE))

    def place() -> None:
        found = tune(study="name: wrong")
        train(parameters=found.outputs["parameters"], model=found.outputs["model"])

    with pytest.raises(RuntimeError, match="FAILURE"):
        dsl.pipeline(lambda: place(), name="mine")()  # KFP takes no postponed annotation
    assert [each.name for each in sorted(engine.rglob("*.note"))] == ["executor_output.json.note"]
    assert len(_noted(engine, INIT.name)) == 1
