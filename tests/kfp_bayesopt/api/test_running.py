"""Studies from Python: run on this machine, and what they have come to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt import Best, Real, Result, Search, Study, UserError, open_study, run
from kfp_bayesopt.trial.process.examples.objectives.branin import branin
from tests import ROOT
from tests.builders import write_study
from tests.ledgers import contents

CODE = "def objective(x1, x2):\n    return x1 * x1 + x2\n"
SPACE = {"x1": Real(-5, 10), "x2": Real(0, 15)}
RANDOM = {"engine": "random"}


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return caught.value.message


def a_study(**changes: Any) -> Study:
    given: dict[str, Any] = {"name": "mine", "objective": "mine:objective", "space": SPACE, "optimizer": RANDOM}
    return Study(**{**given, "trials": 4, "parallel_trials": 2, **changes})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the module of the objective."""
    (tmp_path / "mine.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A study that has ended."""
    folder = tmp_path_factory.mktemp("ended")
    return run(write_study(folder, CODE, optimizer=RANDOM), root=folder / "out", progress=False)


def test_a_run_is_the_loop_of_a_search_bit_for_bit(tmp_path: Path) -> None:
    seed = run(ROOT / "studies" / "branin.yaml", root=tmp_path / "branin", jobs=2, progress=False)
    asked = Search(Study.from_file(ROOT / "studies" / "branin.yaml"))
    for _ in range(4):
        for trial in asked.ask(4):
            asked.tell(trial, branin(**trial.parameters))
    records = [json.loads(line) for line in Path(seed.root, "trials.jsonl").read_text().splitlines()]
    assert [record["parameters"] for record in records] == [trial.parameters for trial in asked.trials]
    best = seed.best
    assert best is not None
    assert asked.best is not None
    assert best == Best(asked.best.number, asked.best.parameters, asked.best.value, {})
    assert best.value == pytest.approx(0.8080, abs=1e-3)


def test_an_open_study_says_what_it_has_come_to_and_writes_nothing(ended: Result) -> None:
    before = contents(ended.root)
    opened = open_study(ended.root)
    assert opened.study.name == "branin"
    assert opened.best == ended.best
    assert opened.front == [ended.best]
    status = opened.status
    assert (status.state, status.reason, status.is_complete) == ("succeeded", "", True)
    assert (status.trials, status.done, status.completed, status.failed, status.pending) == (4, 4, 4, 0, 0)
    assert len(opened.trials) == 4
    assert repr(opened) == f"open_study({ended.root!r})"
    assert contents(ended.root) == before


def test_trials_are_a_table_of_values_as_they_are(here: Path) -> None:
    (here / "mine.py").write_text(
        "def objective(shape, on, x):\n"
        "    if x > 0.5:\n        raise ValueError('no')\n"
        "    return {'loss': x, 'size': len(shape)}\n"
    )
    study = a_study(
        objective={"python": "mine:objective", "value": "loss"},
        space={"shape": {"type": "categorical", "choices": [[1, 2], [3]]}, "x": Real(0, 1),
               "on": {"type": "constant", "value": True}},
        trials=6, max_failed_trials=6,
    )  # fmt: skip
    rows = rows_of(run(study, progress=False, jobs=2))
    columns = ["trial", "state", "value", "parameter.shape", "parameter.x", "parameter.on", "metric.loss"]
    assert list(rows[0]) == [*columns, "metric.size", "broken", "iteration", "seconds", "cost", "started", "reason"]
    assert [row["trial"] for row in rows] == list(range(1, 7))
    for row in rows:
        assert row["parameter.shape"] in ([1, 2], [3])
        assert row["parameter.on"] is True
        assert (row["state"] == "failed") == (row["parameter.x"] > 0.5)
        assert row["state"] != "failed" or "ValueError: no" in row["reason"]


def test_trials_are_a_frame_where_pandas_is(ended: Result) -> None:
    frame = ended.trials
    assert (type(frame).__module__.partition(".")[0], len(frame), frame["value"].dtype) == ("pandas", 4, "float64")


def test_trials_are_mappings_where_pandas_is_not(ended: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(ended)
    monkeypatch.setitem(sys.modules, "pandas", None)  # neither found nor imported
    assert [row["value"] for row in ended.trials] == [row["value"] for row in rows]


def rows_of(result: Result) -> list[dict[str, Any]]:
    """The trials as mappings."""
    rows: list[dict[str, Any]] = result.trials.to_dict("records")
    return rows


def test_a_study_from_arguments_runs_in_the_working_folder_and_goes_on(here: Path) -> None:
    (here / "out").mkdir()
    result = run(a_study(), progress=False)
    assert Path(result.root) == here / "out" / "mine"
    assert result.status.done == 4
    files = sorted(path.name for path in here.iterdir() if path.name != "__pycache__")
    assert files == ["mine.py", "out"]
    # Its file is in its folder, and the same study, so that a command goes on there too.
    (kept,) = Path(result.root, "study").glob("*.yaml")
    assert Study.from_file(kept).fingerprint == a_study().fingerprint
    more = run(a_study(trials=6), progress=False)
    assert more.status.done == 6
    first = {row["trial"]: row["started"] for row in rows_of(result) if row["trial"] <= 4}
    assert first == {row["trial"]: row["started"] for row in rows_of(more) if row["trial"] <= 4}


def test_the_objective_of_a_file_is_found_beside_it(tmp_path: Path, here: Path) -> None:
    folder = tmp_path / "elsewhere"
    path = write_study(folder, CODE, optimizer=RANDOM)
    assert run(path, root="one", progress=False).status.done == 4
    assert run(str(folder), root="two", progress=False).status.done == 4
    assert run(Study.from_file(path), root=Path("three"), progress=False).status.done == 4
    assert open_study("three").root == str(here / "three")


@pytest.mark.usefixtures("here")
def test_progress_is_lines_on_standard_error_unless_it_is_off(capfd: pytest.CaptureFixture[str]) -> None:
    run(a_study(), progress=False)
    assert capfd.readouterr() == ("", "")
    run(a_study(), fresh=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert len(re.findall(r"^iteration \d/2  trial \d/4  x1=\S+ x2=\S+  value \S+  best \S+$", err, re.MULTILINE)) == 4


def test_hints_speak_python(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAYESOPT_DOOR", raising=False)
    run(a_study(), progress=False)
    said = refused(lambda: run(a_study(direction="maximize"), progress=False))
    assert "start again with fresh=True, or take the trials along that still tell something with keep=True" in said
    (here / "mine.py").write_text(CODE + "# another\n")
    assert "say same_code=True if it gives the same values" in refused(lambda: run(a_study(trials=6), progress=False))
    assert run(a_study(trials=6), same_code=True, progress=False).status.done == 6
    assert refused(lambda: run(a_study(), jobs=0)) == "run: jobs must be a whole number of 1 or more, but got 0"


def test_a_study_that_fails_is_a_mistake_and_can_be_looked_at(here: Path) -> None:
    (here / "mine.py").write_text("def objective(x1, x2):\n    raise ValueError('never')\n")
    assert "never" in refused(lambda: run(a_study(), progress=False))
    result = open_study(here / "out" / "mine")
    status = result.status
    assert status.state == "failed"
    assert status.reason
    assert status.completed == 0
    assert result.best is None
    assert result.front == []


@pytest.mark.usefixtures("here")
def test_a_study_in_a_bucket_runs_and_is_read_there(bucket: str) -> None:
    result = run(a_study(), root=f"{bucket}/mine", progress=False)
    assert result.root == f"{bucket}/mine"
    opened = open_study(f"{bucket}/mine/")
    assert opened.status.done == 4
    assert opened.best == result.best
    assert len(opened.trials) == 4
    assert opened.report() == f"{bucket}/mine/report.html"


def test_what_is_no_study_folder_is_refused(tmp_path: Path) -> None:
    assert refused(lambda: open_study(tmp_path / "none")).startswith(f"{tmp_path}/none: no such folder; ")
    assert refused(lambda: open_study(tmp_path)).startswith(f"{tmp_path}: holds no study; ")


def test_several_objectives_have_a_front_and_a_noisy_study_its_recommendation(here: Path) -> None:
    (here / "mine.py").write_text("def objective(x1, x2):\n    return {'a': x1, 'b': x2, 'c': 1}\n")
    objectives = {"a": "minimize", "b": "maximize"}
    result = run(a_study(objectives=objectives), progress=False)
    front = result.front
    assert front
    assert all(each.value is None and set(each.metrics) == {"a", "b", "c"} for each in front)
    assert [each.parameters["x1"] for each in front] == [each.metrics["a"] for each in front]
    assert refused(lambda: result.best).startswith(f"{result.root}: several objectives have no best trial")
    (here / "mine.py").write_text(CODE)
    noisy = run(a_study(noisy=True, trials=8), root="noisy", progress=False)
    recommended = json.loads(Path(noisy.root, "best.json").read_text())["recommended"]
    assert noisy.best is not None
    assert (noisy.best.trial, noisy.best.value) == (recommended["trial"], recommended["value"])


def test_every_suggestion_is_computed_again(ended: Result) -> None:
    assert [(each.trial, each.verdict) for each in ended.verify()] == [(number, "same") for number in range(1, 5)]


def test_the_report_is_written_where_it_is_asked_for(ended: Result, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    before = contents(ended.root)
    assert ended.report(page) == str(page)
    assert "<html" in page.read_text()
    assert contents(ended.root) == before
    Path(ended.root, "report.html").unlink()
    assert ended.report() == f"{ended.root}/report.html"
    assert Path(ended.report()).exists()


def test_a_study_runs_in_a_thread_as_in_a_kernel(here: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(run, a_study(), progress=False).result()
    assert result.status.done == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert Path.cwd() == here


SCRIPT = """
import sys
from kfp_bayesopt import Integer, Study, run
study = Study(name="slow", objective="mine:objective", space={"n": Integer(1, 50)}, trials=6, parallel_trials=2,
              optimizer={"engine": "random"}%s)
print(run(study, root="slow", jobs=2).status.done)
"""


@pytest.mark.parametrize("schedule", ["", ', schedule="asynchronous"'])
def test_after_ctrl_c_in_a_script_without_a_main_guard_the_same_call_goes_on(here: Path, schedule: str) -> None:
    (here / "mine.py").write_text("import time\ndef objective(n):\n    time.sleep(0.5 if n else 0)\n    return n\n")
    (here / "script.py").write_text(SCRIPT % schedule)
    command = [sys.executable, "script.py"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=here)
    deadline = time.monotonic() + 60
    while not list(here.glob("slow/trials/*/record-1.json")):
        assert time.monotonic() < deadline, process.communicate(timeout=1)
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    assert "the same command goes on from here" in err
    done = open_study(here / "slow").status.done
    assert 1 <= done < 6
    again = subprocess.run(command, capture_output=True, text=True, cwd=here, check=False, timeout=120)
    assert again.stdout == "6\n", again.stderr
