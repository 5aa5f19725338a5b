"""What a trial has said before it was interrupted counts for the attempt that goes on from its checkpoint."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import NotFoundError
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Curve, Record, Said
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial import checkpoint
from kfp_bayesopt.trial.attempt import run_trial
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError
from tests.builders import a_suggestion, write_study

pytestmark = pytest.mark.long

SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}
# Best at step 3. An attempt ends by being killed after step 5; the next one goes on from there. All values are said in
# all ways in which they can be.
TRAIN = """
import json, os, time

folder, metric_file = os.environ["BAYESOPT_CHECKPOINT"], os.environ["CLOUD_ML_HP_METRIC_FILE"]
os.makedirs(os.path.dirname(metric_file), exist_ok=True)
path = os.path.join(folder, "state")
step = json.load(open(path)) if os.path.exists(path) else 0
while step < 8:
    if step == 5 and not os.path.exists(path + "2"):
        time.sleep(1)
        open(path + "2", "w").close()
        time.sleep(60)
    step += 1
    loss = abs(step - 3) + 0.5
    print(f"epoch={step} loss={loss}", flush=True)
    with open(os.path.join(os.environ["BAYESOPT_TRIAL_FOLDER"], "metrics.jsonl"), "a") as file:
        file.write(json.dumps({"loss": loss}) + "\\n")
    with open(metric_file, "a") as file:
        file.write(json.dumps({"loss": str(loss), "global_step": str(step), "timestamp": 1.5, "trial": "0"}) + "\\n")
    with open(path + ".tmp", "w") as file:
        json.dump(step, file)
    os.replace(path + ".tmp", path)
"""
INTERMEDIATE = {"name": "loss", "step": "epoch"}
SOURCES: list[tuple[dict[str, Any], float]] = [
    ({"source": "intermediate", "take": "best"}, 0.5),
    ({"source": "intermediate", "step": 3}, 0.5),
    ({"source": "intermediate"}, 5.5),
    ({"source": "printed", "name": "loss", "take": "best"}, 0.5),
    ({"source": "printed", "name": "loss", "take": "first"}, 2.5),
    ({"source": "printed", "name": "loss"}, 5.5),
    ({"source": "pattern", "pattern": r"loss=(\S+)", "take": "best"}, 0.5),
    ({"source": "pattern", "pattern": r"loss=(\S+)", "take": "first"}, 2.5),
    ({"source": "file", "path": "metrics.jsonl", "name": "loss", "take": "best"}, 0.5),
    ({"source": "hypertune", "name": "loss", "take": "best"}, 0.5),
]


def folder_of(path: Path, root: str, value: dict[str, Any], **changes: Any) -> StudyFolder:
    path.mkdir(exist_ok=True)
    (path / "train.py").write_text(TRAIN)
    objective = {"command": ["python", "train.py"], "args": "environment", "value": value, "intermediate": INTERMEDIATE}
    objective |= {"env": changes.pop("env", {})}
    asked = {"space": SPACE, "optimizer": {"engine": "random"}, "checkpoint": True, "objective": objective, **changes}
    folder = StudyFolder(root, Study.from_file(str(write_study(path, **asked))))
    folder.write_suggestions([a_suggestion(folder.study, 1, {"x": 5.0})])
    return folder


def wait_for(uri: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            storage.stat(uri)
        except NotFoundError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"{uri} never came")


def run(folder: StudyFolder, path: Path) -> Record:
    with Sessions() as sessions:
        record = run_trial(folder, 1, path, sessions)
    assert record is not None
    return record


def interrupted(folder: StudyFolder, path: Path) -> None:
    """Let an attempt be told to stop."""

    def stop() -> None:
        wait_for(f"{folder.checkpoint_uri(1)}/state2")
        sessions.stop()

    with Sessions() as sessions:
        threading.Thread(target=stop).start()
        with pytest.raises(StoppedError):
            run_trial(folder, 1, path, sessions)


def killed(folder: StudyFolder, path: Path) -> None:
    """Let the process of an attempt be killed, which says nothing more."""
    code = (
        "import sys; from kfp_bayesopt.trial import checkpoint; from kfp_bayesopt.trial.evaluate import evaluate; "
        "checkpoint.SECONDS_BETWEEN_LOOKS = 0.2; evaluate(sys.argv[1], sys.argv[2], None, 1)"
    )
    with subprocess.Popen([sys.executable, "-c", code, folder.root, str(path / "study.yaml")]) as process:
        wait_for(f"{folder.checkpoint_uri(1)}/state2")
        process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(("value", "expected"), SOURCES, ids=lambda each: json.dumps(each))
def test_what_was_said_before_an_interruption_counts_whatever_the_source(
    tmp_path: Path, value: dict[str, Any], expected: float
) -> None:
    folder = folder_of(tmp_path, f"{tmp_path}/out", value)
    interrupted(folder, tmp_path)
    record = run(folder, tmp_path)
    assert (record.attempt, record.state, record.value) == (2, "completed", expected), record.reason
    assert record.steps is not None
    assert (record.steps.first, record.steps.last, record.steps.count) == (1, 8, 8)
    curve = read_document(Curve, folder.curve_uri(1, 2), folder.study)
    assert curve.steps == list(range(1, 9)), "the whole of it"
    log = storage.read(folder.log_uri(1, 1), 10_000).decode().splitlines()
    assert log == [f"epoch={step} loss={abs(step - 3) + 0.5}" for step in range(1, 6)], "it is kept too"
    left = {entry.uri.rpartition("/")[2] for entry in storage.entries(f"{folder.root}/trials/000001/")}
    assert not any(name.startswith("said-") for name in left)


@pytest.mark.parametrize("place", ["here", "bucket"])
@pytest.mark.parametrize(("value", "expected"), [SOURCES[0], SOURCES[3], SOURCES[8]], ids=["curve", "lines", "file"])
def test_what_was_said_counts_where_the_machine_was_taken_away_without_a_word(
    tmp_path: Path, place: str, value: dict[str, Any], expected: float, request: pytest.FixtureRequest
) -> None:
    root = f"{request.getfixturevalue('bucket')}/study" if place == "bucket" else f"{tmp_path}/out"
    folder = folder_of(tmp_path, root, value)
    killed(folder, tmp_path)
    assert read_document(Said, folder.said_uri(1, 1), folder.study).count == 5
    record = run(folder, tmp_path)
    assert (record.attempt, record.value) == (2, expected), record.reason
    assert record.steps is not None
    assert record.steps.count == 8
    log = storage.read(folder.log_uri(1, 1), 10_000).decode()
    assert log.startswith("epoch=1 loss=2.5\n"), "it is kept too"


def test_what_was_said_counts_after_many_interruptions(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, f"{tmp_path}/out", SOURCES[0][0])
    for _ in range(3):
        interrupted(folder, tmp_path)
        (Path(folder.checkpoint_uri(1)) / "state2").unlink()
    (Path(folder.checkpoint_uri(1)) / "state2").touch()
    record = run(folder, tmp_path)
    assert (record.attempt, record.value) == (4, 0.5)


def test_an_attempt_that_begins_from_nothing_knows_nothing_of_the_one_before(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, f"{tmp_path}/out", {"source": "printed", "name": "loss", "take": "first"})
    interrupted(folder, tmp_path)
    for path in Path(folder.checkpoint_uri(1)).iterdir():
        path.unlink()
    (tmp_path / "train.py").write_text("print('loss=7.0')")
    assert run(folder, tmp_path).value == 7.0


@pytest.mark.parametrize("value", [SOURCES[0][0], SOURCES[3][0], SOURCES[6][0]], ids=["curve", "lines", "pattern"])
def test_a_text_that_is_no_number_counts_after_an_interruption_too(
    tmp_path: Path, value: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "2345")
    folder = folder_of(tmp_path, f"{tmp_path}/out", value, env={"PORT": {"from_environment": "PORT"}})
    said = TRAIN.replace("loss={loss}", "loss={'0,12345' if step == 2 else loss}")
    (tmp_path / "train.py").write_text(said)
    interrupted(folder, tmp_path)
    assert b"0,12345" not in storage.read(folder.said_uri(1, 1), 100_000), "and nothing shows a secret"
    record = run(folder, tmp_path)
    assert record.reason is not None
    assert record.reason.message.endswith(
        "is '0,1***', which is no number; write it with digits and a point alone, such as 1234.5"
    )


def test_an_attempt_that_finds_that_all_was_done_has_the_value_of_before(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, f"{tmp_path}/out", {**SOURCES[8][0], "take": "last"})
    interrupted(folder, tmp_path)
    (tmp_path / "train.py").write_text("")
    assert run(folder, tmp_path).value == 2.5


@pytest.mark.parametrize(("value", "expected"), SOURCES[:8], ids=lambda each: json.dumps(each))
def test_what_was_printed_after_the_last_saving_counts_where_its_log_is_here(
    tmp_path: Path, value: dict[str, Any], expected: float
) -> None:
    folder = folder_of(tmp_path, f"{tmp_path}/out", value)
    interrupted(folder, tmp_path)
    said = read_document(Said, folder.said_uri(1, 1), folder.study)
    # As a process leaves it that is killed within the second after its steps 2 to 5.
    metrics = {name: [2.5] * 4 for name in said.metrics}
    before = {"steps": [1], "values": [2.5], "count": 1, "last": 1, "numbers": [2.5] * 4, "at_step": None}
    storage.replace(folder.said_uri(1, 1), said.model_copy(update={"metrics": metrics, **before}).to_bytes())
    (tmp_path / "train.py").write_text("print('all was done')")
    record = run(folder, tmp_path)
    last = expected if expected != 5.5 else 2.5
    assert (record.state, record.value) == ("completed", last), record.reason
    assert record.steps is not None
    assert (record.steps.last, record.steps.count, record.steps.value) == (5, 5, 2.5)


def test_a_damaged_list_of_what_was_said_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = folder_of(tmp_path, f"{tmp_path}/out", SOURCES[0][0])
    interrupted(folder, tmp_path)
    storage.replace(folder.said_uri(1, 1), b"{")
    assert run(folder, tmp_path).value == 3.5, "the best of what came after"
    assert "said-1.json: damaged list of what a trial has said" in caplog.text


def test_early_stopping_knows_how_far_a_trial_was(tmp_path: Path) -> None:
    rule = {"rule": "asha", "min_steps": 1, "max_steps": 8, "eta": 3}
    folder = folder_of(tmp_path, f"{tmp_path}/out", SOURCES[0][0], early_stopping=rule)
    interrupted(folder, tmp_path)
    (tmp_path / "train.py").write_text("import time\ntime.sleep(1)\nprint('epoch=8 loss=5.5')")
    record = run(folder, tmp_path)
    assert (record.state, record.value) == ("completed", 0.5)
    assert {rung.value for rung in folder.read_rungs() if rung.step == 3} <= {0.5}


def test_what_is_sent_to_a_bucket_is_said_before(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes on from a checkpoint knows what was said until then."""
    folder = folder_of(tmp_path, f"{bucket}/study", SOURCES[0][0])
    replaced: list[str] = []
    replace = storage.replace

    def noted(uri: str, content: bytes, **how: Any) -> None:
        replaced.append(uri.rpartition("/")[2])
        replace(uri, content, **how)

    monkeypatch.setattr(storage, "replace", noted)
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_LOOKS", 0.2)
    interrupted(folder, tmp_path)
    assert replaced.index("said-1.json") < replaced.index("state")
