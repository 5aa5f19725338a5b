"""`logs` and `best`: what a trial printed, also while it runs, and the model of the best one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click import Command
from click.testing import CliRunner, Result

from kfp_bayesopt.cli.commands.trial_commands import best, logs, verify
from kfp_bayesopt.store import storage
from kfp_bayesopt_pipeline.places import in_process as local
from tests import ROOT
from tests.builders import write_study

STUDY = """\
name: mine
objective:
  command: [sh, -c, 'printf "trial $BAYESOPT_TRIAL\\007\\n"; echo m >$BAYESOPT_OUTPUT/m; {last}']
  args: flags
  value: loss
iterations: 2
parallel_trials: 2
space: {{x: {{type: real, low: 0, high: 1}}}}
optimizer: {{engine: random}}
"""
FAILS = "if [ $BAYESOPT_TRIAL = 2 ]; then echo no disk >&2; exit 3; fi; echo loss=$BAYESOPT_TRIAL"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_ROOT", raising=False)


def _start(last: str) -> subprocess.Popen[str]:
    Path("study.yaml").write_text(STUDY.format(last=last))
    return subprocess.Popen(
        [sys.executable, str(ROOT / "pipeline"), "run", "study.yaml"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _run(command: Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def test_a_run_shows_why_trials_failed_and_logs_and_best_show_the_rest(bucket: str) -> None:
    printed, _ = _start(FAILS).communicate(timeout=120)
    assert "  failed: sh exited 3: no disk" in printed
    assert "    | trial 2\\x07\n    | no disk\n    log: out/mine/trials/000002/log-1.txt\n" in printed
    assert "1 trial failed:\n  trial 2: sh exited 3: no disk\n    log: out/mine/trials/000002/log-1.txt\n" in printed

    listed = _run(logs, "study.yaml").output.splitlines()
    assert [line.split()[:2] for line in listed[2:]] == [
        ["2", "failed"],
        ["1", "completed"],
        ["3", "completed"],
        ["4", "completed"],
    ]
    shown = _run(logs, "study.yaml", "--trial", "2")
    assert shown.stdout == "trial 2\\x07\nno disk\n"
    assert shown.stderr == ("log: out/mine/trials/000002/log-1.txt\ntrial 2, attempt 1: failed: sh exited 3: no disk\n")
    assert _run(logs, "study.yaml", "--trial", "2", "--raw").stdout_bytes.startswith(b"trial 2\a\n")
    assert _run(logs, "study.yaml", "--trial", "9").output == (
        "Error: out/mine: trial 9 has not begun; without TRIAL= all trials are listed\n"
    )
    assert _run(logs, "study.yaml", "--trial", "2", "--attempt", "2").output == (
        "Error: trial 2 has no attempt 2; it has 1\n"
    )

    found = _run(best, "study.yaml", "--model")
    assert found.output.startswith("best value 1.0\n")
    assert found.output.endswith("1 file of trial 1 in out/mine/best-model\n")
    assert Path("out/mine/best-model/m").read_text() == "m\n"
    assert _run(best, "study.yaml", "--model").output.endswith(
        "Error: out/mine/best-model: is there already; move it away, or give another folder: INTO=folder\n"
    )
    root = f"{bucket}/mine"
    for name in (
        "best.json",
        "trials/000001/suggestion.json",
        "trials/000001/record-1.json",
        "trials/000001/log-1.txt",
    ):
        storage.create(f"{root}/{name}", Path("out/mine", name).read_bytes())
    assert _run(logs, "study.yaml", "--trial", "1", "--root", root).stdout == "trial 1\\x07\nloss=1\n"
    assert _run(best, "study.yaml", "--model", "--into", "elsewhere", "--root", root).output.endswith(
        "Error: trial 1: its model is not there: it wrote no files to BAYESOPT_OUTPUT; no other trial has a whole one; "
        "have the objective save its model to BAYESOPT_OUTPUT, and run it again\n"
    )
    assert not Path("elsewhere").exists()


def test_a_trial_that_runs_is_followed_to_its_end() -> None:
    run = _start("while [ ! -e go ]; do sleep 0.05; done; echo loss=$BAYESOPT_TRIAL")
    while not Path("out/mine/trials/000001/.log-1.txt").exists():
        assert run.poll() is None
        time.sleep(0.05)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "pipeline"), "logs", "study.yaml", "--trial", "1"],
        env=environment, stdout=subprocess.PIPE, text=True,
    ) as following:  # fmt: skip
        assert following.stdout is not None
        assert following.stdout.readline() == "trial 1\\x07\n"
        Path("go").touch()
        assert following.stdout.read() == "loss=1\n"
    run.communicate(timeout=120)
    assert run.returncode == 0


def test_a_study_whose_first_two_trials_fail_alike_stops_the_others() -> None:
    run = _start('[ $BAYESOPT_TRIAL -lt 3 ] || touch third; echo "no licence" >&2; exit 1')
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "the first two to end, failed alike: sh exited 1: no licence; log: out/mine/trials/00000" in errors
    assert not Path("third").exists(), "the second batch does not begin"


# --- verify --------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["batches", "asynchronous"])
def test_every_suggestion_of_a_study_is_computed_again(schedule: str, tmp_path: Path) -> None:
    study = write_study(
        tmp_path, "def objective(x1, x2): return x1 + x2", schedule=schedule, optimizer={"engine": "gp"}
    )
    local.run(str(study), str(tmp_path / "out"), 1, local.Options())
    same = _run(verify, str(study), "--out", str(tmp_path / "out"))
    assert (same.exit_code, same.output) == (0, "4 same, 0 equally good, 0 not checked, 0 differs\n")

    for name in ("suggestion", "record-1"):  # together, or they would be refused when they are read
        path = tmp_path / "out" / "trials" / "000004" / f"{name}.json"
        document = json.loads(path.read_text())
        path.write_text(json.dumps({**document, "parameters": {**document["parameters"], "x1": 9.5}}))
    wrong = _run(verify, str(study), "--out", str(tmp_path / "out"))
    assert wrong.exit_code == 1
    assert wrong.output.startswith("trial 4 differs: x1 is 9.5 and not ")
    assert "3 same, 0 equally good, 0 not checked, 1 differs\n" in wrong.output
    assert wrong.output.endswith(": 1 suggestion does not follow from the records\n")


# --- best for programs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("flags", "--rate=0.5 --kind='a b' --on=true --shape='[64, 32]'\n"),
        ("env", "rate=0.5\nkind='a b'\non=true\nshape='[64, 32]'\n"),
        ("json", '{"rate": 0.5, "kind": "a b", "on": true, "shape": [64, 32]}\n'),
        ("yaml", '"rate": 0.5\n"kind": "a b"\n"on": true\n"shape": [64, 32]\n'),
    ],
)
def test_the_best_parameters_are_printed_for_programs(form: str, expected: str, tmp_path: Path) -> None:
    space = {
        "rate": {"type": "real", "low": 0.5, "high": 1.0, "step": 0.5},
        "kind": {"type": "constant", "value": "a b"},
        "on": {"type": "constant", "value": True},
        "shape": {"type": "constant", "value": [64, 32]},
    }
    study = write_study(tmp_path, "def objective(**all): return all['rate']", space=space, optimizer={"engine": "grid"})
    local.run(str(study), str(tmp_path / "out"), 1, local.Options())
    shown = _run(best, str(study), "--out", str(tmp_path / "out"), "--format", form)
    assert (shown.exit_code, shown.output) == (0, expected)


@pytest.mark.parametrize(
    ("added", "x"), [({}, 8), ({"constraints": ["x >= 20"]}, 22), ({"limits": {"loss": ">= 23"}}, 30)]
)
def test_the_best_trial_is_that_of_the_records_and_the_study_at_hand(
    added: dict[str, Any], x: int, tmp_path: Path
) -> None:
    space = {"x": {"type": "ordinal", "values": [8, 22, 30]}}
    objective = {"command": ["echo", "loss={x}"], "value": "loss"}
    changes: dict[str, Any] = {
        "space": space, "objective": objective, "optimizer": {"engine": "grid"}, "iterations": 3, "parallel_trials": 1,
    }  # fmt: skip
    out = tmp_path / "out"
    local.run(str(write_study(tmp_path, "", **changes)), str(out), 1, local.Options())
    # As a run that was killed leaves it: older than the records.
    path = out / "best.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"value": 30.0, "parameters": {"x": 30}, "completed": 1}))
    before = path.read_bytes()
    study = write_study(tmp_path, "", **changes, **added)
    shown = _run(best, str(study), "--out", str(out), "--format", "json")
    assert (shown.exit_code, shown.output) == (0, f'{{"x": {x}}}\n')
    assert path.read_bytes() == before
