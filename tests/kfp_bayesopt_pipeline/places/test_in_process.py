"""A study on this machine: to its end, stopped and run again, and what is said when it goes wrong."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Self

import pytest

from kfp_bayesopt.cli.views import view_for
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.store import storage
from kfp_bayesopt_pipeline.places.in_process import Options, run
from tests import ROOT
from tests.builders import write_study
from tests.kfp_bayesopt.search.test_engines import ENGINES
from tests.ledgers import comparable

SPACE = {"x": {"type": "real", "low": 0.0, "high": 1.0}}
SOON = {"n_initial_points": 2, "random_state": 1}
# Hangs in trial 4 while there is a file `hang` beside the study.
OBJECTIVE = """
import os, pathlib, time
def objective(x):
    here = pathlib.Path(__file__).parent
    with (here / "evaluated").open("a") as file:
        print(os.environ["BAYESOPT_TRIAL"], file=file)
    if os.environ["BAYESOPT_TRIAL"] == "4" and (here / "hang").exists():
        (here / "hangs").write_text(str(os.getpid()))
        time.sleep(600)
    return (x - 0.3) ** 2
"""


def a_study_of(folder: Path, code: str = OBJECTIVE, **changes: Any) -> Path:
    return write_study(folder, code, **{"space": SPACE, "optimizer": SOON, "iterations": 3, **changes})


def run_it(study: Path, out: Path | str, **options: Any) -> Best:
    return run(str(study), str(out), 2, Options(**options), view_for())


def said(study: Path, out: Path | str, **options: Any) -> str:
    """Run a study that must end with a mistake of the user; return the message."""
    with pytest.raises(UserError) as caught:
        run_it(study, out, **options)
    return caught.value.message


def command(study: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "pipeline", "run", str(study), "--out", str(out), *options]


def start(study: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(study, out), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def call(study: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(study, out, *options), cwd=ROOT, capture_output=True, text=True, timeout=60)


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]


def ledger(out: Path) -> list[dict[str, Any]]:
    return comparable((out / "trials.jsonl").read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def written_once(folder: Path) -> dict[str, bytes]:
    """Return what must never change, without the jobs, of which each run has one."""
    return {name: content for name, content in contents(folder).items() if name.startswith(("trials/", "study/"))}


def until(path: Path) -> None:
    for _ in range(1500):
        if path.exists() and path.stat().st_size:
            return
        time.sleep(0.01)
    pytest.fail(f"{path} is not there after 15 s")


def until_gone(pid: int) -> None:
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return  # dead, and nobody has asked how it ended
        except FileNotFoundError:
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} is still there after 5 s")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of a run of the 3 x 2 study that nothing stopped."""
    folder = tmp_path_factory.mktemp("unbroken")
    run_it(a_study_of(folder), folder / "out")
    return folder / "out"


# --- to the end --------------------------------------------------------------------------------


def test_the_branin_study_ends_at_the_value_of_the_seed(tmp_path: Path) -> None:
    best = run_it(ROOT / "studies" / "branin.yaml", tmp_path / "out")
    assert best.value == pytest.approx(0.8080, abs=1e-3)
    assert json.loads((tmp_path / "out" / "best.json").read_text()) == best.model_dump()
    # Its digits differ with the processor: 0.80799 or 0.80801.
    assert f"Best value **{best.value!r}**" in (tmp_path / "out" / "summary.md").read_text()
    assert [record["trial"] for record in ledger(tmp_path / "out")] == list(range(1, 17))
    states = list((tmp_path / "out" / "state").iterdir())
    assert [state.name[:6] for state in sorted(states)] == ["000004", "000008", "000012"]
    assert all(state.stat().st_size < 20_000 for state in states)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_runs_a_whole_study(engine: str, tmp_path: Path) -> None:
    settings = {"engine": engine} | ({"points_per_parameter": 6} if engine == "grid" else {"random_state": 1})
    best = run_it(a_study_of(tmp_path, optimizer=settings), tmp_path / "out")
    assert (best.completed, best.failed) == (6, 0)
    assert len({record["parameters"]["x"] for record in ledger(tmp_path / "out")}) == 6


def test_the_folder_is_named_after_the_study_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = a_study_of(tmp_path, iterations=1)
    monkeypatch.chdir(tmp_path)
    run(str(study), None, None, Options())
    assert (tmp_path / "out" / "branin" / "best.json").exists()


def test_a_finished_run_changes_nothing_when_it_is_run_again(unbroken: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def but_jobs() -> dict[str, bytes]:
        """Return what is there but the jobs, which the report lists."""
        found = contents(unbroken)
        return {name: content for name, content in found.items() if not name.startswith(("jobs/", "report.html"))}

    before = but_jobs()
    run_it(unbroken.parent / "study.yaml", unbroken)
    assert but_jobs() == before
    assert f"6 of these trials were in {unbroken} already" in capfd.readouterr().out


def test_a_grown_budget_goes_on_as_if_it_had_been_asked_for_at_once(unbroken: Path, tmp_path: Path) -> None:
    run_it(a_study_of(tmp_path, iterations=1), tmp_path / "out")
    run_it(a_study_of(tmp_path, iterations=2), tmp_path / "out")
    run_it(a_study_of(tmp_path, iterations=3), tmp_path / "out")
    assert ledger(tmp_path / "out") == ledger(unbroken)


def test_a_study_that_reaches_its_target_ends_and_says_so(tmp_path: Path) -> None:
    study = a_study_of(tmp_path, stop={"target": 0.5}, noisy=True, iterations=9)
    ended = call(study, tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    assert len(ledger(tmp_path / "out")) < 18
    [last] = [line for line in ended.stdout.splitlines() if line.startswith("ended early: ")]
    assert last.startswith("ended early: the best value, ")
    assert last.endswith(", has reached 0.5 (stop.target)")
    assert json.loads((tmp_path / "out" / "best.json").read_text())["ended"] in last
    # With another condition the same trials go on.
    assert run_it(a_study_of(tmp_path, noisy=True), tmp_path / "out").ended is None
    assert len(ledger(tmp_path / "out")) == 6


def test_a_noisy_study_shows_the_recommended_trial_beside_the_best_one(tmp_path: Path) -> None:
    ended = call(a_study_of(tmp_path, noisy=True), tmp_path / "out")
    best = json.loads((tmp_path / "out" / "best.json").read_text())
    shown = ended.stdout.splitlines()
    assert f"best value {best['value']!r}" in shown
    assert f"in trial {best['recommended']['trial']}, iteration {best['recommended']['iteration']}" in shown


def test_a_space_that_is_exhausted_ends_the_run(tmp_path: Path) -> None:
    space = {"x": {"type": "categorical", "choices": [0.1, 0.2, 0.3]}}
    best = run_it(a_study_of(tmp_path, space=space), tmp_path / "out")
    assert (best.completed, best.value) == (3, 0.0)
    assert best.ended == "every point of the space has been tried, 3 trials"


def test_an_objective_finds_the_modules_of_pythonpath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "of_mine.py").write_text("value = 7")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "library"))
    study = a_study_of(tmp_path, "import of_mine\ndef objective(x): return of_mine.value", iterations=1)
    assert run_it(study, tmp_path / "out").value == 7.0


# --- stopped and run again ---------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on_to_the_same_ledger(
    unbroken: Path, tmp_path: Path, number: signal.Signals
) -> None:
    study = a_study_of(tmp_path)
    (tmp_path / "hang").touch()
    with start(study, tmp_path / "out") as process:
        until(tmp_path / "hangs")
        assert process.stdout is not None
        assert any("trial 3/6" in line for line in process.stdout)
        process.send_signal(number)
        assert process.wait(15) == (-number if number == signal.SIGKILL else 128 + number)
        assert process.stderr is not None
        said = "" if number == signal.SIGKILL else "stopped after 3 trials; the same command goes on from here\n"
        assert process.stderr.read() == said
    until_gone(int((tmp_path / "hangs").read_text()))
    (tmp_path / "hang").unlink()
    [job] = jobs.list_jobs(str(tmp_path / "out"))
    ended = jobs.end_of(str(tmp_path / "out"), job.job)
    why = {signal.SIGTERM: "it was stopped (SystemExit)", signal.SIGINT: "it was stopped (KeyboardInterrupt)"}
    assert (ended and ended.reason) == why.get(number)
    run_it(study, tmp_path / "out")
    assert ledger(tmp_path / "out") == ledger(unbroken)
    # Each once, but for the one that was stopped.
    assert sorted((tmp_path / "evaluated").read_text().split()) == ["1", "2", "3", "4", "4", "5", "6"]
    assert (tmp_path / "out" / "best.json").read_bytes() == (unbroken / "best.json").read_bytes()


def test_a_run_that_was_killed_leaves_no_process_of_a_command(tmp_path: Path) -> None:
    script = "sleep 600 & echo $! > child; echo $$ > parent; timeout 600 sleep 600; echo 1"
    study = a_study_of(tmp_path, "", objective={"command": ["sh", "-c", script, "{x}"]}, parallel_trials=1)
    with start(study, tmp_path / "out") as process:
        until(tmp_path / "parent")
        process.kill()
    for name in ("child", "parent"):
        until_gone(int((tmp_path / name).read_text()))
    assert not list((tmp_path / "out").rglob("record-*"))


def test_a_run_whose_reader_has_gone_records_nothing_wrong(tmp_path: Path) -> None:
    study = a_study_of(tmp_path, iterations=2)
    (tmp_path / "hang").touch()
    with start(study, tmp_path / "out") as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()  # as `| head -1` does
        assert process.wait(60) != 0
    kept = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("record-*.json")]
    assert [record["state"] for record in kept] == ["completed"] * len(kept)


# An interrupted library may leave a file to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_run_interrupted_while_it_learns_goes_on_to_the_same_ledger(unbroken: Path, tmp_path: Path) -> None:
    study = a_study_of(tmp_path)

    def interrupt() -> None:
        for trial in (1, 2):
            until(tmp_path / "out" / "trials" / f"00000{trial}" / "record-1.json")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_it(study, tmp_path / "out")
    thread.join()
    run_it(study, tmp_path / "out")
    assert ledger(tmp_path / "out") == ledger(unbroken)


@pytest.mark.parametrize("lost", ["best.json", "trials/000006/record-1.json", "trials/000004/record-1.json"])
def test_a_file_that_is_lost_is_made_again(unbroken: Path, tmp_path: Path, lost: str) -> None:
    shutil.copytree(unbroken, tmp_path / "out")
    path = tmp_path / "out" / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    run_it(unbroken.parent / "study.yaml", tmp_path / "out")
    assert ledger(tmp_path / "out") == ledger(unbroken)
    assert (tmp_path / "out" / "best.json").read_bytes() == (unbroken / "best.json").read_bytes()


def test_fresh_moves_aside_what_was_there(tmp_path: Path) -> None:
    study = a_study_of(tmp_path, iterations=1)
    run_it(study, tmp_path / "out")
    before = contents(tmp_path / "out")
    run_it(study, tmp_path / "out", fresh=True)
    (aside,) = tmp_path.glob("out.*")
    assert contents(aside) == {name: content for name, content in before.items() if name != ".lock"}
    assert ledger(tmp_path / "out") == ledger(aside)


def test_fresh_runs_in_the_same_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Frozen(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)

    monkeypatch.setattr("kfp_bayesopt.folder.roots.datetime", Frozen)
    study = a_study_of(tmp_path, iterations=1)
    for _ in range(4):
        run_it(study, tmp_path / "out", fresh=True)
    aside = [path.name for path in sorted(tmp_path.glob("out.*"))]
    assert aside == [f"out.2026-01-02T03-04-05{end}" for end in ("", "-2", "-3")]
    assert all(ledger(tmp_path / name) == ledger(tmp_path / "out") for name in aside)


def test_fresh_takes_an_empty_or_missing_folder_too(tmp_path: Path) -> None:
    run_it(a_study_of(tmp_path, iterations=1), tmp_path / "out", fresh=True)
    assert list(tmp_path.glob("out.*")) == []


# --- a study that has changed ------------------------------------------------------------------

BY_TRIAL = """
import os, pathlib
def objective(x):
    with pathlib.Path("evaluated").open("a") as file:
        print(os.environ["BAYESOPT_TRIAL"], file=file)
    return float(os.environ["BAYESOPT_TRIAL"])
"""


def evaluated(folder: Path) -> list[int]:
    return sorted(int(trial) for trial in (folder / "evaluated").read_text().split())


def a_proposed_batch(folder: Path, **changes: Any) -> Path:
    """Run a study of 3 batches of 2 to its end, and take away what came of its last batch."""
    run_it(a_study_of(folder, BY_TRIAL, **changes), folder / "out")
    for trial in (5, 6):
        for attempt in (folder / "out" / "trials" / f"00000{trial}").glob("*-1.*"):
            attempt.unlink()
    (folder / "evaluated").unlink()
    return folder / "out"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iterations": 2}, None),
        ({"parallel_trials": 1, "iterations": 4}, None),
        ({"stop": {"target": 1.0}}, "the best value, 1, has reached 1 (stop.target)"),
        (
            {"stop": {"no_improvement_iterations": 1}},
            "1 iterations have not improved the best value (stop.no_improvement_iterations)",
        ),
    ],
)
def test_a_batch_that_waits_is_left_out_and_taken_up_when_the_study_goes_on(
    tmp_path: Path, changes: dict[str, Any], reason: str | None
) -> None:
    out = a_proposed_batch(tmp_path)
    assert run_it(a_study_of(tmp_path, BY_TRIAL, **changes), out).ended == reason
    assert not (tmp_path / "evaluated").exists()
    assert run_it(a_study_of(tmp_path, BY_TRIAL, iterations=4), out).ended is None
    assert evaluated(tmp_path) == [5, 6, 7, 8]
    run_it(a_study_of(tmp_path, BY_TRIAL, iterations=4), tmp_path / "at-once")
    assert ledger(out) == ledger(tmp_path / "at-once")


def test_a_part_of_a_batch_is_evaluated_where_the_budget_ends_in_it(tmp_path: Path) -> None:
    out = a_proposed_batch(tmp_path)
    assert run_it(a_study_of(tmp_path, BY_TRIAL, iterations=5, parallel_trials=1), out).ended is None
    assert evaluated(tmp_path) == [5]
    assert [record["trial"] for record in ledger(out)] == [1, 2, 3, 4, 5]
    run_it(a_study_of(tmp_path, BY_TRIAL), out)
    assert evaluated(tmp_path) == [5, 6]
    run_it(a_study_of(tmp_path, BY_TRIAL), tmp_path / "at-once")
    assert ledger(out) == ledger(tmp_path / "at-once")


def test_what_was_evaluated_under_a_larger_budget_is_kept(tmp_path: Path) -> None:
    run_it(a_study_of(tmp_path, BY_TRIAL), tmp_path / "out")
    best = run_it(a_study_of(tmp_path, BY_TRIAL, iterations=1), tmp_path / "out")
    assert (best.completed, best.trials) == (6, 2)
    assert len(ledger(tmp_path / "out")) == 6
    assert evaluated(tmp_path) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("before", "after", "sizes"), [(4, 1, [4, 1, 1]), (1, 4, [1, 3, 4, 4]), (2, 3, [2, 1, 3, 3])])
def test_batches_may_change_their_size(tmp_path: Path, before: int, after: int, sizes: list[int]) -> None:
    run_it(a_study_of(tmp_path, BY_TRIAL, iterations=1, parallel_trials=before), tmp_path / "out")
    iterations = 6 if after == 1 else 3
    run_it(a_study_of(tmp_path, BY_TRIAL, iterations=iterations, parallel_trials=after), tmp_path / "out")
    iterations_of = [record["iteration"] for record in ledger(tmp_path / "out")]
    assert [iterations_of.count(iteration) for iteration in sorted(set(iterations_of))] == sizes
    assert evaluated(tmp_path) == list(range(1, sum(sizes) + 1))


def test_another_engine_goes_on_with_the_trials_that_are_there(tmp_path: Path) -> None:
    run_it(a_study_of(tmp_path, BY_TRIAL, iterations=2), tmp_path / "out")
    first = ledger(tmp_path / "out")
    run_it(a_study_of(tmp_path, BY_TRIAL, optimizer={"engine": "random"}), tmp_path / "out")
    assert ledger(tmp_path / "out")[:4] == first
    assert evaluated(tmp_path) == [1, 2, 3, 4, 5, 6]
    suggestion = json.loads((tmp_path / "out" / "trials" / "000006" / "suggestion.json").read_text())
    assert suggestion["optimizer"]["engine"] == "random"


# --- refused -----------------------------------------------------------------------------------


def test_another_study_in_the_folder_is_refused_and_left_alone(unbroken: Path, tmp_path: Path) -> None:
    before = contents(unbroken)
    message = said(a_study_of(tmp_path, space={"x": {**SPACE["x"], "high": 2.0}}), unbroken)
    assert message.startswith(f"{unbroken}: holds another study, 'branin' (")
    assert contents(unbroken) == before


def test_two_runs_at_the_same_time_in_one_folder_are_refused(tmp_path: Path) -> None:
    study = a_study_of(tmp_path)
    (tmp_path / "hang").touch()
    with start(study, tmp_path / "out") as process:
        until(tmp_path / "hangs")
        others = [call(study, tmp_path / "out", *options) for options in ([], ["--fresh"])]
        [first] = jobs.list_jobs(str(tmp_path / "out"))
        process.terminate()
    for other in others:
        assert other.returncode == 1
        assert other.stderr == (
            f"Error: {tmp_path}/out: job {first.job} (submitted by {first.by} at {first.submitted}) is writing there; "
            "wait for it, or give another folder\n"
        )
    assert list(tmp_path.glob("out.*")) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert said(a_study_of(tmp_path), tmp_path / "file") == (
        f"{tmp_path}/file: cannot write results there: File exists; give another folder with --out or --root"
    )


def test_a_study_folder_may_lie_in_a_bucket(tmp_path: Path, bucket: str) -> None:
    study = a_study_of(tmp_path, iterations=1)
    run_it(study, tmp_path / "out")
    run_it(study, f"{bucket}/root")
    assert comparable(storage.read(f"{bucket}/root/trials.jsonl", limit=10_000)) == ledger(tmp_path / "out")
    assert said(study, f"{bucket}/root", fresh=True) == (
        f"{bucket}/root: FRESH=1 and KEEP=1 move folders of this machine alone; give another ROOT instead"
    )


def test_a_mistake_in_the_study_exits_1_with_one_message(tmp_path: Path) -> None:
    ended = call(a_study_of(tmp_path, iterations=0, parallel_trials=0), tmp_path / "out")
    assert ended.returncode == 1
    assert ended.stderr == (
        f"Error: {tmp_path}/study.yaml: iterations: must be greater than or equal to 1, but got 0\n"
        f"{tmp_path}/study.yaml: parallel_trials: must be greater than or equal to 1, but got 0\n"
    )
    assert not (tmp_path / "out").exists()


def test_an_objective_that_cannot_be_called_stops_the_run_with_one_message(tmp_path: Path) -> None:
    ended = call(a_study_of(tmp_path, "def objective(y): return y"), tmp_path / "out", "--jobs", "1")
    assert ended.returncode == 1
    assert ended.stderr == (
        "Error: trial 1: objective.python: cannot call mine:objective(y) with the keyword arguments x: "
        "missing a required argument: 'y'\n"
    )


def test_a_mistake_that_was_mended_is_tried_again(tmp_path: Path) -> None:
    study = a_study_of(tmp_path, "import no_such_module\ndef objective(x): return x", iterations=1)
    assert "no module named 'no_such_module'" in said(study, tmp_path / "out")
    (tmp_path / "mine.py").write_text("def objective(x): return 1.0")
    assert run_it(study, tmp_path / "out", same_code=True).completed == 2
    assert {record["attempt"] for record in records(tmp_path / "out")} == {2}


def test_a_trial_that_failed_in_the_objective_is_evaluated_again_only_when_that_is_asked_for(tmp_path: Path) -> None:
    study = a_study_of(tmp_path, FAILING)
    run_it(study, tmp_path / "out")
    (tmp_path / "mine.py").write_text("def objective(x): return 1.0")
    assert run_it(study, tmp_path / "out", same_code=True).failed == 2
    assert run_it(study, tmp_path / "out", retry_failed=True).failed == 0
    assert [record["attempt"] for record in records(tmp_path / "out")] == [1, 2, 2, 1, 1, 1]


def test_code_that_has_changed_is_not_mixed_with_what_it_was(tmp_path: Path) -> None:
    study = a_study_of(tmp_path, iterations=1)
    run_it(study, tmp_path / "out")
    (tmp_path / "mine.py").write_text(OBJECTIVE + "# changed\n")
    assert "CODE=same" in said(a_study_of(tmp_path, OBJECTIVE + "# changed\n"), tmp_path / "out")
    assert run_it(a_study_of(tmp_path, OBJECTIVE + "# changed\n"), tmp_path / "out", same_code=True).completed == 6
    # It is said once.
    run_it(a_study_of(tmp_path, OBJECTIVE + "# changed\n", iterations=4), tmp_path / "out")


@pytest.mark.parametrize("options", [["--jobs", "0"], ["--no-such"]])
def test_a_usage_error_exits_2(tmp_path: Path, options: list[str]) -> None:
    assert call(a_study_of(tmp_path), tmp_path / "out", *options).returncode == 2


# --- trials that fail --------------------------------------------------------------------------

FAILING = """
import os
def objective(x):
    trial = int(os.environ["BAYESOPT_TRIAL"])
    if trial == 2:
        raise ValueError("trial 2\\nsays no")
    return float("nan") if trial == 3 else x
"""


def test_a_run_goes_on_when_trials_fail(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    best = run_it(a_study_of(tmp_path, FAILING), tmp_path / "out")
    assert (best.completed, best.failed) == (4, 2)
    reasons = [record.get("reason", {}) for record in ledger(tmp_path / "out")]
    nan = "mine:objective must return a finite number, but got nan (float)"
    assert [reason.get("kind") for reason in reasons] == [None, "raised", "value", None, None, None]
    assert [reason.get("message") for reason in reasons] == [
        None,
        "ValueError: trial 2\nsays no",
        nan,
        None,
        None,
        None,
    ]
    assert "failed: ValueError: trial 2  best" in capfd.readouterr().out


def test_too_many_failed_trials_stop_the_run_and_the_ledger_is_kept(tmp_path: Path) -> None:
    ended = call(a_study_of(tmp_path, FAILING, max_failed_trials=1), tmp_path / "out")
    assert ended.returncode == 1
    assert ended.stderr == (
        "Error: 2 of 4 trials have failed, more than 1 (max_failed_trials); failures.json has their reasons\n"
    )
    assert len(ledger(tmp_path / "out")) == 4


def test_a_run_that_was_stopped_by_failures_goes_on_when_more_are_allowed(tmp_path: Path) -> None:
    said(a_study_of(tmp_path, FAILING, max_failed_trials=0), tmp_path / "out")
    assert run_it(a_study_of(tmp_path, FAILING, max_failed_trials=2), tmp_path / "out").failed == 2


def test_when_all_trials_fail_there_is_no_best_one(tmp_path: Path) -> None:
    study = a_study_of(tmp_path, "def objective(x): raise ValueError('no')", iterations=2, max_failed_trials=4)
    ended = call(study, tmp_path / "out")
    assert ended.returncode == 1
    assert ended.stderr == "Error: no trial has completed (4 failed); failures.json has the reasons\n"
    assert len({record["parameters"]["x"] for record in ledger(tmp_path / "out")}) == 4
    assert json.loads((tmp_path / "out" / "best.json").read_text())["value"] is None
    failures = json.loads((tmp_path / "out" / "failures.json").read_text())["failures"]
    assert [failure["reason"]["message"] for failure in failures] == ["ValueError: no"] * 4


# --- what is shown -----------------------------------------------------------------------------


def test_a_run_into_a_pipe_prints_plain_lines(tmp_path: Path) -> None:
    study = a_study_of(tmp_path, "def objective(x): return 0.25", iterations=1, parallel_trials=1)
    ended = call(study, tmp_path / "out")
    x = ledger(tmp_path / "out")[0]["parameters"]["x"]
    assert ended.stderr == ""
    assert ended.stdout == (
        f"branin: minimize mine:objective, 1 iterations of 1 trials, 1 at a time; results in {tmp_path}/out\n"
        f"iteration 1/1  trial 1/1  x={x:.6g}  value 0.25  best 0.25\n"
        f"\nbest value 0.25\n  x = {x}\nin trial 1, iteration 1; 1 completed, 0 failed\n"
        f"as flags: --x={x}\n\nreport {tmp_path}/out/report.html\n"
    )


def test_a_run_on_a_terminal_has_a_bar_with_the_time_left(tmp_path: Path) -> None:
    study = a_study_of(tmp_path, "import time\ndef objective(x): time.sleep(0.8); return 0.25", iterations=1)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(
        command(study, tmp_path / "out"), cwd=ROOT, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 10_000):
                shown += chunk
        except OSError:  # the other end was closed
            pass
        assert process.wait() == 0
    os.close(ours)
    assert b"/2  0:0" in shown
    assert b"trial 1" in shown  # while it runs
    assert b"best value 0.25" in shown
