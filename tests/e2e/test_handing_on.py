"""What a step that tunes hands on, read by the next step in KFP's own engine on real images."""

# KFP reads the annotations of components and pipelines, so this module does not postpone them.
import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from kfp import dsl, local

from kfp_bayesopt_pipeline import tune
from tests.builders import study_text
from tests.e2e.conftest import BASE

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:.*have no effect in the current local runner.*"),
]

WRITES = """
mkdir -p "$BAYESOPT_OUTPUT/deep/.hidden" "$BAYESOPT_OUTPUT/empty"
head -c 9000000 /dev/zero >"$BAYESOPT_OUTPUT/large"
echo "of trial $BAYESOPT_TRIAL" >"$BAYESOPT_OUTPUT/deep/.hidden/w"
echo "loss=0.$BAYESOPT_TRIAL"
"""
READS = """
mkdir -p "$(dirname "$3")"
cd "$0" && find . | sort >"$3" && cat deep/.hidden/w >>"$3" && wc -c <large >>"$3"
head -c 15 "$2" >>"$3" && echo >>"$3" && cat "$1" >>"$3"
"""


@dsl.container_component  # type: ignore[untyped-decorator, unused-ignore]
def deploy(  # type: ignore[no-untyped-def]
    model: dsl.Input[dsl.Model],
    trials: dsl.Input[dsl.Dataset],
    page: dsl.Input[dsl.HTML],
    seen: dsl.OutputPath(str),  # type: ignore[valid-type]
):
    """Write down what is in the artifacts of an earlier step."""
    return dsl.ContainerSpec(image=BASE, command=["sh", "-ec"], args=[READS, model.path, trials.path, page.path, seen])


class Seen(NamedTuple):
    """What the step after `tune` saw."""

    seen: str


@pytest.fixture
def _engine(tmp_path: Path) -> Iterator[None]:
    local.init(local.DockerRunner(user=f"{os.getuid()}:{os.getgid()}"), pipeline_root=str(tmp_path))
    yield
    local.config.LocalExecutionConfig.instance = None


@pytest.mark.usefixtures("_engine")
def test_the_next_step_reads_the_model_of_the_best_trial_the_table_and_the_page(images: Path, tmp_path: Path) -> None:
    worker = json.loads(images.read_text())["worker"]
    text = study_text(
        name="handing-on", schedule="asynchronous", iterations=None, trials=2, optimizer={"engine": "random"},
        objective={"command": ["sh", "-ec", WRITES], "args": "flags", "value": "loss"},
        space={"kind": {"type": "categorical", "choices": ["=1+1", [1, {"a": 2}]]}},
        initial_trials=[{"kind": "=1+1"}, {"kind": [1, {"a": 2}]}],
    ).decode()  # fmt: skip

    def mine() -> Seen:
        tuned = tune(text, image=worker, root=str(tmp_path), workers=["1"]).outputs
        return Seen(seen=deploy(model=tuned["model"], trials=tuned["trials"], page=tuned["report"]).outputs["seen"])

    seen = dsl.pipeline(mine, name="mine")().outputs["seen"]
    found, _, table = seen.partition("<!DOCTYPE html>\n")
    assert found.splitlines() == [
        ".", "./deep", "./deep/.hidden", "./deep/.hidden/w", "./empty", "./large", "of trial 1", "9000000",
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(table), strict=True))
    assert [(row["trial"], row["value"], row["parameter.kind"]) for row in rows] == [
        ("1", "0.1", "'=1+1"), ("2", "0.2", '[1, {"a": 2}]'),
    ]  # fmt: skip
