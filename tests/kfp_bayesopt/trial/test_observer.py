"""Trials that are stopped early: from the line that they print to the record, in both schedules."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from kfp_bayesopt.cli.views import view_for
from kfp_bayesopt.errors import UnavailableError, UserError
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Compared, Curve, Record, Rung
from kfp_bayesopt.report.write import contents_of
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.attempt import run_trial
from kfp_bayesopt.trial.observer import MOST_COMPARED
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt_pipeline.places import in_process as local
from tests.builders import a_suggestion, write_study

SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}
# Says `x` at each step, and at the end.
LOOP = """
import json, os, time

def objective(x):
    for step in range(1, 10):
        with open(os.environ["BAYESOPT_INTERMEDIATE"], "a") as file:
            file.write(json.dumps({"step": step, "value": x}) + "\\n")
        time.sleep(PAUSE)
    return x
"""
ASHA = {"rule": "asha", "min_steps": 1, "max_steps": 9, "eta": 3}


def folder_of(path: Path, code: str, pause: float = 0.25, **changes: Any) -> StudyFolder:
    asked = {"space": SPACE, "optimizer": {"engine": "random"}, "early_stopping": ASHA, **changes}
    study = Study.from_file(str(write_study(path, code.replace("PAUSE", str(pause)), **asked)))
    return StudyFolder(str(path / "out"), study)


def at_rung(folder: StudyFolder, step: int, *values: float, first: int = 1, stopped: bool = False) -> None:
    """Let trials have been at a rung."""
    rule = folder.study.early_stopping
    assert rule is not None
    for trial, value in enumerate(values, first):
        rung = Rung(
            study=folder.study.name, fingerprint=folder.study.fingerprint, trial=trial, attempt=1, step=step,
            value=value, seen=[], stopped=stopped, rule=rule, at="2026-01-01T00:00:00+00:00",
        )  # fmt: skip
        storage.create(folder.rung_uri(step, trial), rung.to_bytes())


def run(folder: StudyFolder, trial: int, x: float = 5.0) -> Record:
    folder.write_suggestions([a_suggestion(folder.study, trial, {"x": x})])
    with Sessions() as sessions:
        record = run_trial(folder, trial, Path(folder.root).parent, sessions)
    assert record is not None
    return record


def test_a_trial_that_will_not_win_is_stopped_soon_after_its_line(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, LOOP)
    at_rung(folder, 1, 1.0, 2.0)
    record = run(folder, 3)
    assert (record.state, record.values, record.reason) == ("stopped", {"value": 5.0}, None)
    assert record.steps is not None
    assert record.steps.last < 9
    rung = read_document(Rung, folder.rung_uri(1, 3), folder.study)
    assert rung.stopped
    assert rung.mistake(folder.study, {1: 1.0, 2: 2.0}) is None
    assert rung.seen == [Compared(trial=1, value=1.0), Compared(trial=2, value=2.0)]
    curve = read_document(Curve, folder.curve_uri(3, 1), folder.study)
    assert curve.steps == list(range(1, record.steps.last + 1))
    assert curve.values == [5.0] * len(curve.steps)


def test_the_best_goes_on_to_its_end(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, LOOP, pause=0.3)
    at_rung(folder, 1, 1.0, 2.0)
    record = run(folder, 3, x=0.5)
    assert (record.state, record.values) == ("completed", {"value": 0.5})
    assert record.steps is not None
    assert (record.steps.first, record.steps.last, record.steps.count) == (1, 9, 9)
    assert not read_document(Rung, folder.rung_uri(1, 3), folder.study).stopped
    assert read_document(Rung, folder.rung_uri(3, 3), folder.study).seen == []


def test_a_last_step_that_is_never_reached_lets_the_last_rungs_wait(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, LOOP, pause=0, early_stopping={**ASHA, "max_steps": 1000})
    record = run(folder, 1)
    assert (record.state, record.steps and record.steps.last) == ("completed", 9)
    assert not (tmp_path / "out" / "rungs" / "27").exists()


@pytest.mark.long
def test_where_all_trials_are_stopped_the_study_has_no_best(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, LOOP, pause=0.3, iterations=1, parallel_trials=3)
    at_rung(folder, 1, -1.0, -2.0, first=8)
    at_rung(folder, 3, -1.0, -2.0, first=8)
    with pytest.raises(UserError, match=r"no trial has completed \(0 failed, 3 stopped early\); raise early_"):
        local.run(str(tmp_path / "study.yaml"), folder.root, 3, local.Options())
    assert "0 failed, 3 stopped early" in (tmp_path / "out" / "summary.md").read_text()
    changes = {"iterations": 2, "parallel_trials": 3, "early_stopping": {**ASHA, "min_steps": 8}}
    more = folder_of(tmp_path, LOOP, pause=0.3, **changes)
    best = local.run(str(tmp_path / "study.yaml"), more.root, 3, local.Options())
    assert best.completed, "the way out is one"
    assert best.completed + (best.stopped or 0) == 6


def test_a_trial_alone_and_one_without_a_rule_run_to_the_end(tmp_path: Path) -> None:
    assert run(folder_of(tmp_path / "alone", LOOP, pause=0), 1).state == "completed"
    folder = folder_of(tmp_path / "none", LOOP, pause=0, early_stopping=None)
    record = run(folder, 1)
    assert record.state == "completed"
    assert record.steps is not None
    assert not (tmp_path / "none" / "out" / "rungs").exists()


def test_a_metric_that_comes_only_at_the_end_compares_nobody(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "def objective(x): return x")
    at_rung(folder, 1, 1.0, 2.0)
    record = run(folder, 3)
    assert (record.state, record.steps) == ("completed", None)


def test_steps_that_begin_late_are_compared_once_where_they_are(tmp_path: Path) -> None:
    late = {**ASHA, "max_steps": 2000}
    folder = folder_of(tmp_path, LOOP.replace("range(1, 10)", "range(1000, 1010)"), pause=0.3, early_stopping=late)
    at_rung(folder, 729, 1.0, 2.0)
    record = run(folder, 3)
    assert record.state == "stopped"
    assert [path.name for path in (tmp_path / "out" / "rungs").iterdir() if (path / "000003.json").exists()] == ["729"]


@pytest.mark.parametrize(
    "steps",
    ["range(1, 10)", "[9, 8, 7, 1]", "range(0, 9)", "[1, 9]", "[20]"],
    ids=["all at once", "the last one first", "counted from 0", "few of them", "more than asked for"],
)
@pytest.mark.parametrize("rule", [ASHA, {"rule": "median", "max_steps": 9, "min_steps": 1}], ids=["asha", "median"])
def test_a_trial_that_has_done_all_its_steps_is_not_stopped_while_it_saves_its_model(
    tmp_path: Path, steps: str, rule: dict[str, Any]
) -> None:
    saving = """
import json, os, time

def objective(x):
    with open(os.environ["BAYESOPT_INTERMEDIATE"], "a") as file:
        file.write("".join(json.dumps({"step": step, "value": x}) + "\\n" for step in STEPS))
    time.sleep(1.2)
    return x
""".replace("STEPS", steps)
    folder = folder_of(tmp_path, saving, pause=0, early_stopping=rule)
    assert folder.study.early_stopping is not None
    for step in folder.study.early_stopping.rungs:
        at_rung(folder, step, 1.0, 2.0, 1.0, 2.0)
    assert run(folder, 5).state == "completed"
    (rung,) = (rung for rung in folder.read_rungs() if rung.trial == 5)
    assert (rung.seen, rung.stopped) == ([], False), "others are compared with it"
    assert rung.mistake(folder.study, {}) is None


def test_a_trial_that_does_its_last_steps_while_it_is_decided_is_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = LOOP.replace("    return x", "    time.sleep(3)\n    return x")
    folder = folder_of(tmp_path, saving, pause=0.15)
    at_rung(folder, 1, 1.0, 2.0)
    values_at = StudyFolder.values_at

    def slow(*asked: Any) -> dict[int, float]:
        time.sleep(2)
        return values_at(*asked)

    monkeypatch.setattr(StudyFolder, "values_at", slow)
    record = run(folder, 3)
    assert (record.state, record.steps and record.steps.last) == ("completed", 9)
    assert read_document(Rung, folder.rung_uri(1, 3), folder.study).stopped, "which would have been right"


def test_a_trial_is_compared_by_what_it_had_said_at_the_rung(tmp_path: Path) -> None:
    falling = LOOP.replace('"value": x', '"value": x / step').replace("time.sleep(PAUSE)", "time.sleep(step // 8)")
    folder = folder_of(tmp_path, falling)
    run(folder, 1, x=8.0)
    values = {rung.step: rung.value for rung in folder.read_rungs()}
    assert values[3] == 8.0 / 3, "however much later it was looked at"
    assert values.get(1, 8.0) == 8.0


@pytest.mark.long
def test_an_objective_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LOOP
    folder = folder_of(tmp_path, deaf, pause=2.0)
    at_rung(folder, 1, 1.0, 2.0)
    record = run(folder, 3)
    assert record.state == "stopped"
    assert record.steps is not None
    assert record.steps.last < 9, "it would have gone on"


def test_one_that_saves_when_it_is_asked_to_stop_has_time_for_it(tmp_path: Path) -> None:
    saving = LOOP.replace(
        "def objective(x):\n",
        "def objective(x):\n    import signal, sys\n"
        "    def save(*_):\n        time.sleep(0.5)\n"
        "        open(os.environ['BAYESOPT_OUTPUT'] + '/model', 'w').write('saved')\n        sys.exit(0)\n"
        "    signal.signal(signal.SIGTERM, save)\n",
    )
    folder = folder_of(tmp_path, saving, pause=0.5)
    at_rung(folder, 1, 1.0, 2.0)
    assert run(folder, 3).state == "stopped"
    assert (Path(folder.output_uri(3, 1)) / "model").read_text() == "saved"


def test_a_worker_that_is_lost_after_the_decision_leaves_it_to_the_next_attempt(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, LOOP, pause=0.3)
    at_rung(folder, 1, 9.0, first=3, stopped=True)
    record = run(folder, 3, x=0.5)
    assert record.state == "stopped", "as was decided, though the others are not there any more"


def test_a_line_every_moment_costs_no_more_than_a_decision(tmp_path: Path) -> None:
    many = LOOP.replace("range(1, 10)", "range(1, 5001)")
    folder = folder_of(tmp_path, many, pause=0, early_stopping={"rule": "median", "max_steps": 1000})
    record = run(folder, 1)
    assert record.steps is not None
    assert record.steps.count == 5000
    assert sum(1 for _ in (tmp_path / "out" / "rungs").rglob("*.json")) <= 20


def test_what_is_printed_counts_as_what_is_written(tmp_path: Path) -> None:
    code = "import time\nfor e in range(1, 10):\n    print(f'epoch={e} loss=5.0', flush=True)\n    time.sleep(0.25)\n"
    (tmp_path / "train.py").write_text(code)
    folder = folder_of(
        tmp_path, "",
        objective={
            "command": ["python", "train.py"], "args": "environment", "value": "loss",
            "intermediate": {"name": "loss", "step": "epoch"},
        },
    )  # fmt: skip
    at_rung(folder, 1, 1.0, 2.0)
    record = run(folder, 3)
    assert record.state == "stopped"
    assert record.values["value"] == record.values["loss"] == 5.0
    assert record.steps is not None
    assert record.values["epoch"] >= record.steps.first


def test_what_is_reported_with_hypertune_counts_too(tmp_path: Path) -> None:
    code = """
import json, os, time
os.makedirs(os.path.dirname(os.environ["CLOUD_ML_HP_METRIC_FILE"]), exist_ok=True)
for step in range(1, 10):
    with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "a") as file:
        line = {"timestamp": 1.5, "trial": "0", "loss": "5.0", "global_step": str(step), "checkpoint_path": ""}
        file.write(json.dumps(line) + "\\n" + json.dumps({"acc": "1"}) + "\\n")
    time.sleep(0.25)
"""
    (tmp_path / "train.py").write_text(code)
    value = {"source": "hypertune", "name": "loss"}
    folder = folder_of(
        tmp_path, "", objective={"command": ["python", "train.py"], "args": "environment", "value": value}
    )
    at_rung(folder, 1, 1.0, 2.0)
    record = run(folder, 3)
    assert (record.state, record.value) == ("stopped", 5.0)
    assert record.steps is not None
    assert record.steps.first == 1


# As many print it; the last line comes without an end, just before the exit.
PROSE = """
import sys, time
for e in range(1, 10):
    print(f"[{e}/9] the loss is now {BEST if e == 4 else 5.0} ({e * 1.5} s)", end="\\n" if e < 9 else "", flush=True)
    time.sleep(PAUSE)
"""


def of_prose(path: Path, pause: float = 0.0, value: Any = None, **changes: Any) -> StudyFolder:
    path.mkdir(exist_ok=True)
    (path / "train.py").write_text(PROSE.replace("PAUSE", str(pause)).replace("BEST", "2.5"))
    objective = {
        "command": ["python", "train.py"], "args": "environment", "value": value or {"source": "intermediate"},
        "intermediate": {"pattern": r"^\[(?P<step>\d+)/\d+\].* now (?P<value>\S+)"},
    }  # fmt: skip
    return folder_of(path, "", objective=objective, **changes)


def test_a_pattern_finds_step_and_value(tmp_path: Path) -> None:
    record = run(of_prose(tmp_path), 1)
    assert (record.state, record.values) == ("completed", {"value": 5.0})
    assert record.steps is not None
    assert (record.steps.first, record.steps.last, record.steps.count) == (1, 9, 9)
    folder = of_prose(tmp_path / "stopped", pause=0.5)
    at_rung(folder, 1, 1.0, 2.0)
    assert run(folder, 3).state == "stopped"


@pytest.mark.long
def test_a_pattern_that_takes_too_long_is_given_up_and_the_trial_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "train.py").write_text("print('a' * 60)\nprint(1.0)\n")
    objective = {
        "command": ["python", "train.py"], "args": "environment", "intermediate": {"pattern": "(a+)+b"},
    }  # fmt: skip
    record = run(folder_of(tmp_path, "", objective=objective), 1)
    assert (record.state, record.values, record.steps) == ("completed", {"value": 1.0}, None)
    assert "no more intermediate values are looked for: the pattern '(a+)+b' took longer than 5 s" in caplog.text


def test_the_last_of_very_many_values_that_come_at_once_is_the_value(tmp_path: Path) -> None:
    code = """
import json, os

def objective(x):
    with open(os.environ["BAYESOPT_INTERMEDIATE"], "a") as file:
        for step in range(100_000):
            file.write(json.dumps({"step": step, "value": step / 2}) + "\\n")
"""
    objective = {"python": "mine:objective", "value": {"source": "intermediate"}}
    record = run(folder_of(tmp_path, code, objective=objective, early_stopping=None), 1)
    assert record.value == 49_999.5, record.reason
    assert record.steps is not None
    assert record.steps.count == 100_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"source": "intermediate"}, 5.0),
        ({"source": "intermediate", "take": "best"}, 2.5),
        ({"source": "intermediate", "step": 4}, 2.5),
        ({"source": "intermediate", "step": 9}, 5.0),
        ({"source": "intermediate", "step": 10}, "there was no intermediate value at step 10; the last step was 9"),
    ],
)
def test_the_value_may_be_the_last_the_best_or_that_of_a_step(tmp_path: Path, value: Any, expected: Any) -> None:
    record = run(of_prose(tmp_path, value=value), 1)
    assert expected in (record.value, record.reason and record.reason.message)


def test_a_trial_whose_value_is_the_best_is_compared_by_its_best_so_far(tmp_path: Path) -> None:
    folder = of_prose(
        tmp_path, 0.5, {"source": "intermediate", "take": "best"}, early_stopping={**ASHA, "min_steps": 5}
    )
    at_rung(folder, 5, 1.0, 2.0)
    record = run(folder, 3)
    assert (record.state, record.values) == ("stopped", {"value": 2.5})
    assert record.steps is not None
    assert record.steps.value == 5.0


def test_without_an_intermediate_value_there_is_no_value(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path, "def objective(x): return x",
        objective={"python": "mine:objective", "value": {"source": "intermediate"}},
    )  # fmt: skip
    record = run(folder, 1)
    assert record.reason is not None
    assert record.reason.message == (
        "there was no intermediate value; see objective.intermediate and BAYESOPT_INTERMEDIATE"
    )


def test_intermediate_values_that_are_all_nan_are_counted(tmp_path: Path) -> None:
    code = "def objective(x):\n    for step in range(3): print(f'epoch {step} loss nan')\n    return x"
    value = {"source": "intermediate"}
    record = run(
        folder_of(
            tmp_path, code,
            objective={"python": "mine:objective", "value": value, "intermediate": {"name": "loss", "step": "epoch"}},
        ), 1,
    )  # fmt: skip
    assert record.reason is not None
    assert record.reason.message == "no intermediate value is a number: 3 values, all NaN"


def test_where_storage_gives_no_answer_a_trial_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(tmp_path, LOOP, pause=0.1)
    at_rung(folder, 1, 1.0, 2.0)
    entries = storage.entries

    def broken(prefix: str, after: str = "", **more: Any) -> Any:
        if "/rungs/" in prefix:
            raise UnavailableError("no answer")
        return entries(prefix, after, **more)

    monkeypatch.setattr(storage, "entries", broken)
    assert run(folder, 3).state == "completed"
    assert "trial 3: goes on at step 1, as the others cannot be seen: no answer" in caplog.text


def test_a_trial_is_compared_with_no_more_than_some(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, LOOP)
    at_rung(folder, 1, *[1.0] * (MOST_COMPARED + 10))
    run(folder, MOST_COMPARED + 11)
    rung = read_document(Rung, folder.rung_uri(1, MOST_COMPARED + 11), folder.study)
    assert [each.trial for each in rung.seen] == list(range(11, MOST_COMPARED + 11))


def test_the_newest_at_a_rung_tells_of_the_others_and_few_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path, "")
    rule, everybody = folder.study.early_stopping, range(1, 52)
    assert rule is not None
    at_rung(folder, 3, *map(float, range(1, 51)))
    time.sleep(0.02)  # a disk has coarse times
    seen = [Compared(trial=trial, value=float(trial)) for trial in range(1, 49)]
    newest = Rung(
        study=folder.study.name, fingerprint=folder.study.fingerprint, trial=51, attempt=1, step=3, value=51.0,
        seen=seen, stopped=True, rule=rule, at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    storage.create(folder.rung_uri(3, 51), newest.to_bytes())
    read = Mock(wraps=storage.read)
    monkeypatch.setattr(storage, "read", read)
    assert folder.values_at(3, everybody.__contains__, 200) == {trial: float(trial) for trial in everybody}
    assert sorted(call.args[0] for call in read.call_args_list) == [folder.rung_uri(3, trial) for trial in (49, 50, 51)]
    assert folder.values_at(3, range(51).__contains__, 2) == {49: 49.0, 50: 50.0}
    assert folder.values_at(9, everybody.__contains__, 200) == {}


@pytest.mark.parametrize("place", ["here", "bucket"])
def test_a_rung_that_cannot_be_used_is_left_out_and_the_others_count(
    tmp_path: Path, place: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    study = folder_of(tmp_path, "").study
    folder = StudyFolder(f"{request.getfixturevalue('bucket')}/out" if place == "bucket" else f"{tmp_path}/out", study)
    at_rung(folder, 3, 1.0, 2.0)
    good = storage.read(folder.rung_uri(3, 1), 10_000)
    bad = {"000003": good, "000004": b"", "000005": b"{}", "000006": good.replace(b"branin", b"other")[:99]}
    unknown = ["00000\u00b2", "9" * 30, "000007.json", "-00001"]
    for name, content in {**bad, **dict.fromkeys(unknown, good)}.items():
        storage.create(f"{folder.root}/rungs/3/{name}.json", content)
        storage.create(f"{folder.root}/rungs/x/{name}.json", content)
    assert folder.values_at(3, lambda _: True, 200) == {1: 1.0, 2: 2.0}
    for name in bad:
        assert caplog.text.count(f"rungs/3/{name}.json: damaged rung: ") == 1
    assert folder.values_at(3, lambda _: True, 200) == {1: 1.0, 2: 2.0}
    assert caplog.text.count("rungs/3/") == len(bad), "each is named once"
    assert f"{folder.root}/rungs/3/000003.json: damaged rung: it is of trial 1 at step 3; restore it" in caplog.text
    assert [(rung.step, rung.trial) for rung in folder.read_rungs()] == [(3, 1), (3, 2)]


def test_the_decision_of_another_trial_stops_nobody(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, LOOP, pause=0.3)
    at_rung(folder, 1, 9.0, first=1, stopped=True)
    storage.create(folder.rung_uri(1, 3), storage.read(folder.rung_uri(1, 1), 10_000))
    assert run(folder, 3, x=0.5).state == "completed"


@pytest.mark.long
@pytest.mark.parametrize("schedule", ["batches", "asynchronous"])
def test_a_study_has_its_best_among_those_that_completed(
    tmp_path: Path, schedule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(
        tmp_path, LOOP.replace("PAUSE", "0.12"), space=SPACE, optimizer={"engine": "gp"}, schedule=schedule,
        iterations=None, trials=12, parallel_trials=4, early_stopping=ASHA,
    )  # fmt: skip
    best = local.run(str(study), str(tmp_path / "out"), 4, local.Options(), view_for())
    assert best.stopped
    assert best.completed + best.stopped == 12
    records = [json.loads(line) for line in (tmp_path / "out" / "trials.jsonl").read_text().splitlines()]
    completed = [each["values"]["value"] for each in records if each["state"] == "completed"]
    assert best.value == min(completed)
    folder = StudyFolder(str(tmp_path / "out"), Study.from_file(study))
    rungs = folder.read_rungs()
    assert sum(rung.stopped for rung in rungs) == best.stopped
    assert not any(rung.mistake(folder.study, {}) for rung in rungs)
    told = contents_of(folder, folder.read(), best)
    assert [each["trial"] for each in told["curves"]] == list(range(1, 13))
    shown = capsys.readouterr().out
    assert "stopped at step" in shown
    counts = f"completed, 0 failed, {best.stopped} stopped early"
    assert f"{best.completed} {counts}" in shown
    assert f"; {best.completed} {counts}." in (tmp_path / "out" / "report.html").read_text()
    assert f"{best.completed} of 12 trials {counts}.\n" in (tmp_path / "out" / "summary.md").read_text()
