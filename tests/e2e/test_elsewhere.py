"""A function of a script runs in every place, in the image of its Python, and gives the same ledger in each."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.store import storage
from kfp_bayesopt_pipeline.images import document_of, name_of_python
from tests.e2e.conftest import REGISTRY, Vertex, run
from tests.ledgers import check_agreement, comparable
from tests.python_base import OFFICIAL, VERSION, make_base

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),  # of the client libraries, in their own code
]

SCRIPT = """
import sys

from kfp_bayesopt import Integer, Real, Study, run
from kfp_bayesopt.session.lines import Lines
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt_pipeline.elsewhere import on_service
from kfp_bayesopt_pipeline.elsewhere.running import run_elsewhere

BEST = 3


class Net:
    def __init__(self, layers):
        self.layers = layers


def loss(net, lr):
    return (lr - 0.01) ** 2 + 0.1 * abs(net.layers - BEST)


def train(lr, layers):
    return {"loss": loss(Net(layers), lr), "minor": sys.version_info[1]}


study = Study(
    name="cell",
    objective={"function": train, "value": "loss"},
    space={"lr": Real(1e-4, 1, log=True), "layers": Integer(1, 8)},
    trials=2,
    parallel_trials=1,
    optimizer={"n_initial_points": 1},
)
print(run(study, progress=False).root)
on_service.SECONDS_BETWEEN_POLLS = 0.5
view = Lines(lambda line: print(line, file=sys.stderr))
given = {"root": None, "going_on": GoingOn(), "image": None, "data": "", "max_cost": None, "wait": True, "view": view}
for on in sys.argv[1:]:
    print(run_elsewhere(study, on, **given | ({"root": "engine"} if on == "kfp.local" else {})))
"""


@pytest.fixture(scope="module")
def _base() -> Iterator[None]:
    """Have the official image of this Python."""
    was_made = make_base()
    yield
    if was_made:
        run("docker", "rmi", OFFICIAL)


@pytest.fixture
def home(_base: None, bucket: str, tmp_path: Path) -> Iterator[str]:
    """Build and push the images of this Python, and return the pipeline root whose store names them."""
    root = f"{bucket}/runs"
    pushed = run(
        *(sys.executable, "-m", "pipeline", "push", "--python", VERSION, "--registry", REGISTRY),
        *("--pipeline-root", root, "--images", str(tmp_path / "images.json"), "--json"),
    )
    assert pushed.returncode == 0, pushed.stderr
    made = json.loads(pushed.stdout)
    assert made["files"] == [str(tmp_path / "images.json"), document_of(root, VERSION)]
    yield root
    tag = document_of("", VERSION).split("/")[-2]
    run("docker", "rmi", "--force", *(f"{REGISTRY}/{name}:{tag}" for name in (*STEPS, name_of_python(VERSION))))


def test_the_ledger_is_the_same_in_every_place(home: str, vertex: Vertex, tmp_path: Path) -> None:
    settings = {
        "BAYESOPT_DOOR": "python",
        "GOOGLE_CLOUD_PROJECT": "my-project",
        "GOOGLE_CLOUD_REGION": "europe-west1",
        "PIPELINE_ROOT": home,
        "REGISTRY": REGISTRY,
        "VERTEX_ENDPOINT": vertex.stand_in.endpoint,
    }
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, "compose", "kfp.local", "vertex"],
        cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    roots = ended.stdout.split()
    assert roots[1:3] == ["out/cell-compose", "engine"]
    assert roots[3].startswith(f"{home}/studies/cell/")
    here, *others = (_ledger(root if "://" in root else str(tmp_path / root)) for root in roots)
    assert [record["trial"] for record in here] == [1, 2]
    assert {record["state"] for record in here} == {"completed"}, here
    assert {record["values"]["minor"] for record in here} == {sys.version_info.minor}
    for ledger in others:
        check_agreement(copy.deepcopy(here), ledger)


def _ledger(root: str) -> list[dict[str, Any]]:
    return comparable(storage.read(f"{root}/trials.jsonl", limit=100_000))
