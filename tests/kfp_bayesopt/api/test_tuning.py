"""`tune`: from a cell to a tuned study, in the words of its arguments."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt import Integer, Real, Result, Study, UserError, open_study, run, tune
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt_pipeline.elsewhere import running

SPACE: dict[str, Any] = {"lr": Real(1e-4, 1, log=True), "layers": Integer(1, 8)}
RANDOM = {"engine": "random"}
QUIET: dict[str, Any] = {"optimizer": RANDOM, "progress": False}
CELL = "def train(lr, layers):\n    return (lr - 0.01) ** 2 + 0.1 * abs(layers - 3)\n"
PROGRAM = """
import sys
given = dict(word[2:].split("=") for word in sys.argv[1:])
print("accuracy=" + given["lr"])
print(-1)
"""


def cell(code: str, name: str = "train") -> Callable[..., Any]:
    """Return a function as it is after a cell of a notebook has run."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "<cell>", "exec"), names)
    found: Callable[..., Any] = names[name]
    return found


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return caught.value.message


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BAYESOPT_DOOR", raising=False)
    return tmp_path


def test_a_function_of_a_cell_is_tuned(here: Path) -> None:
    result = tune(cell(CELL), SPACE, trials=4, parallel=2, **QUIET)
    assert result.root == str(here / "out" / "train")
    assert result.status.done == 4
    assert result.best is not None
    assert result.study == Study.from_text(result.study.to_text())


def test_the_cell_run_twice_goes_on_and_evaluates_nothing_twice() -> None:
    first = tune(cell(CELL), SPACE, trials=4, parallel=2, **QUIET)
    began = {row["trial"]: row["started"] for row in first.trials.to_dict("records")}
    again = tune(cell(f"\n\n{CELL}"), SPACE, trials=6, parallel=2, **QUIET)
    rows = again.trials.to_dict("records")
    assert [row["trial"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {row["trial"]: row["started"] for row in rows[:4]} == began


def test_a_metric_is_a_key_of_the_mapping_that_a_function_returns() -> None:
    train = cell("def train(lr, layers):\n    return {'accuracy': lr, 'size': layers}\n")
    result = tune(train, SPACE, trials=2, parallel=2, metric="accuracy", maximize=True, **QUIET)
    assert result.study.direction == "maximize"
    assert result.best is not None
    assert result.best.value == result.best.parameters["lr"]
    assert result.best.metrics == {"accuracy": result.best.value, "size": result.best.parameters["layers"]}


def test_a_command_gets_its_parameters_as_options_and_prints_the_metric(here: Path) -> None:
    (here / "fit_it.py").write_text(PROGRAM)
    result = tune([sys.executable, "fit_it.py"], SPACE, trials=2, parallel=2, metric="accuracy", **QUIET)
    assert result.root == str(here / "out" / "fit-it")
    assert result.best is not None
    assert result.best.value == result.best.parameters["lr"]
    (here / "plain.py").write_text("import sys\nprint(sys.argv[1])\n")
    result = tune([sys.executable, "plain.py", "{lr}"], {"lr": Real(0, 1)}, trials=2, parallel=2, **QUIET)
    assert result.best is not None
    assert result.best.value == result.best.parameters["lr"]


def test_a_text_is_a_function_of_a_module_and_a_path_or_a_study_says_all_itself(here: Path) -> None:
    (here / "mine.py").write_text(CELL)
    result = tune("mine:train", SPACE, trials=2, parallel=2, **QUIET)
    assert result.root == str(here / "out" / "train")
    result.study.save("study.yaml")
    for given in (result.study, "study.yaml", here, Path("study.yaml")):
        assert tune(given, progress=False).root == result.root
    assert refused(lambda: tune(result.study, trials=4, direction="maximize")) == (
        "tune: the study says its trials, direction itself; leave that out"
    )
    assert "no such file" in refused(lambda: tune("none.yaml")).lower()


@pytest.mark.parametrize(
    ("objective", "name"),
    [
        (cell("def My_Train2(): pass", "My_Train2"), "my-train2"),
        (partial(cell(CELL), layers=3), "train"),
        ("package.module:fit", "fit"),
        (["python", "-m", "package.fit", "--a"], "fit"),
        (["./fit.sh"], "fit"),
        (["Rscript", "--vanilla", "fit_all.R"], "fit-all"),
        (["fit"], "fit"),
        ({"command": ["python", "other.py"], "args": "flags"}, "other"),
        (cell(f"def {'a' * 62}_b(): pass", "a" * 62 + "_b"), "a" * 62),
    ],
)
def test_a_study_is_called_what_it_tunes(objective: Any, name: str) -> None:
    from kfp_bayesopt.api.described import _name_of

    assert _name_of(objective) == name


TRAIN = cell(CELL)
UNCHECKED: Any = tune  # as in a notebook, where nobody checks types
NUMBERS: dict[str, Any] = {"trials": 4, "parallel": 2}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            partial(UNCHECKED, TRAIN),
            'tune: space: the parameters are missing, such as {"lr": Real(1e-4, 1, log=True)}\n'
            "tune: trials: is missing; how many trials there are in all, such as trials=32",
        ),
        (
            partial(UNCHECKED, TRAIN, SPACE, trials=0, parallel=2),
            "tune: trials: must be greater than or equal to 1, but got 0",
        ),
        (
            partial(UNCHECKED, TRAIN, SPACE, trials="many", parallel=2.5),
            "tune: trials: must be a valid integer, but got 'many'\n"
            "tune: parallel: must be a valid integer, but got 2.5",
        ),
        (
            partial(UNCHECKED, TRAIN, [1], **NUMBERS),
            "tune: space: must be a mapping of names to parameters, but got [1]",
        ),
        (
            partial(UNCHECKED, TRAIN, SPACE, **NUMBERS, maximise=True, parallel_trials=2, direction="maximize"),
            "tune: maximise: unknown argument; did you mean 'maximize'?\n"
            "tune: parallel_trials: say parallel=\n"
            "tune: direction: say maximize=True, or leave it out",
        ),
        (
            partial(UNCHECKED, TRAIN, SPACE, **NUMBERS, name="My study"),
            "tune: name: must be 1 to 63 lower case letters, digits and hyphens, beginning with a letter and not "
            "ending with a hyphen, but got 'My study'",
        ),
        (
            partial(UNCHECKED, lambda lr: lr, SPACE, **NUMBERS),
            'tune: name: a lambda has none, which names the study folder; give one, such as name="first"',
        ),
        (
            partial(UNCHECKED, cell("def _(lr): pass", "_"), SPACE, **NUMBERS),
            'tune: name: _ makes none for the study folder; give one, such as name="first"',
        ),
        (
            partial(UNCHECKED, 3, SPACE, **NUMBERS),
            "tune: objective: must be a function, a command as a list of words, `module:function`, a Study or a study "
            "file, but got 3",
        ),
        (
            partial(UNCHECKED, TRAIN, SPACE, **NUMBERS, maximize="yes"),
            "tune: maximize: must be True or False, but got 'yes'",
        ),
        (
            partial(UNCHECKED, TRAIN, SPACE, **NUMBERS, jobs=0),
            "tune: jobs must be a whole number of 1 or more, but got 0",
        ),
        (
            partial(UNCHECKED, TRAIN, SPACE, **NUMBERS, metric=3),
            "tune: metric: must be the name of a metric, but got 3",
        ),
        (
            partial(UNCHECKED, TRAIN, SPACE, **NUMBERS, limits={"size": "<= 3"}),
            "tune: limits: the source 'returned' gives one number without a name, and no metrics; name the metric to "
            "optimise among them: metric=NAME",
        ),
        (
            partial(UNCHECKED, ["fit", "{lr}"], SPACE, **NUMBERS),
            "tune: objective.command: the parameter layers is not used; put {layers} into it, or leave out all braces",
        ),
        (
            partial(UNCHECKED, [], SPACE, **NUMBERS),
            "tune: objective: must be a function, a command as a list of words, `module:function`, a Study or a study "
            "file, but got []",
        ),
        (
            partial(UNCHECKED, TRAIN, SPACE, **NUMBERS, metric="a", objectives={"a": "minimize", "b": "minimize"}),
            "tune: metric: the objectives name the metrics; leave it out",
        ),
    ],
)
def test_bad_arguments_are_said_in_the_words_of_the_arguments(
    call: Callable[[], object], said: str, here: Path
) -> None:
    assert refused(call) == said
    assert list(here.iterdir()) == []


def test_what_tune_has_made_is_opened_by_its_folder() -> None:
    result = tune(cell(CELL), SPACE, trials=2, parallel=2, **QUIET)
    assert open_study(result.root).best == result.best


SLOW = "import time\n\ndef train(lr, layers):\n    time.sleep(0.5)\n    return lr\n"


def test_four_trials_are_proposed_at_a_time_wherever_nobody_says_how_many() -> None:
    """The suggestions depend on it, so that it does not follow from the machine."""
    result = tune(cell(CELL), SPACE, trials=2, **QUIET)
    assert (result.study.parallel_trials, len(result.trials)) == (4, 2)


@pytest.fixture
def tuned() -> Result:
    return tune(cell(CELL), SPACE, trials=2, parallel=2, **QUIET)


def test_a_study_goes_on_with_a_larger_budget_without_its_function(tuned: Result) -> None:
    opened = open_study("train")  # as in another notebook: by its name, and nothing else is known
    assert opened.root == tuned.root
    assert opened.more(2, progress=False) is opened
    assert (opened.status.done, opened.status.trials, opened.study.budget) == (4, 4, 4)
    assert tuned.more(2, progress=False).study.budget == 6  # by the last job, and not by what was known here
    assert [each.verdict for each in tuned.verify()] == ["same"] * 6
    assert refused(lambda: opened.more(0)) == "more: trials must be a whole number of 1 or more, but got 0"


def test_more_elsewhere_brings_the_function_of_the_folder(tuned: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    brought: list[str] = []

    def run(study: Study, on: str, **given: Any) -> str:
        assert study.carried is not None, "what the images lack is found by it"
        brought.append(f"{on} {study.carried.sha256}")
        return str(given["root"])

    monkeypatch.setattr("kfp_bayesopt_pipeline.elsewhere.running.run_elsewhere", run)
    open_study("train").more(2, on="compose", progress=False)
    function = tuned.study.objective.function
    assert function is not None
    assert brought == [f"compose {function.file}"]


def test_more_that_was_stopped_is_the_same_again(tuned: Result) -> None:
    study = tuned.study.model_copy(update={"trials": 4})
    Path(tuned.root, "best.json").unlink()
    with pytest.raises(UserError, match="jobs"):
        tuned.more(2, jobs=-1)
    StudyFolder(tuned.root, study).write_study(study.to_text().encode())  # of a call that was killed
    assert open_study("train").more(2, progress=False).status.trials == 4


def test_the_study_of_a_folder_is_saved_with_its_function_and_loaded(tuned: Result, here: Path) -> None:
    for number, study in enumerate((tuned.study, open_study("train").study)):
        file = here / f"saved{number}" / "study.yaml"
        file.parent.mkdir()
        study.save(file)
        loaded = Study.from_file(file)
        assert loaded.fingerprint == tuned.study.fingerprint
        assert run(loaded, root=f"root{number}", progress=False).best == tuned.best
        loaded.save(here / f"again{number}.yaml")
        assert loaded.objective.function is not None
        assert (here / loaded.objective.function.file_name).is_file()
    function = tuned.study.objective.function
    assert function is not None
    Path(tuned.root, "code", f"{function.file}.dill").unlink()
    study = open_study("train").study
    assert study.name == "train"
    said = refused(lambda: study.save(here / "elsewhere" / "study.yaml"))
    assert said.startswith(f"objective.function: the file of train is not {here}/elsewhere/train-")
    assert not Path("elsewhere").exists()


def test_a_name_that_is_none_is_said() -> None:
    assert refused(lambda: open_study("nothing")).endswith(
        "/out/nothing: no such folder; give its folder with root, or run the study first"
    )


def in_thread(function: Callable[[], Result]) -> Future[Result]:
    """Start a call in a thread that may stay behind."""
    return ThreadPoolExecutor(1).submit(function)


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("schedule", ["batches", "asynchronous"])
def test_a_study_that_runs_is_stopped_from_another_place_and_goes_on(here: Path, schedule: str) -> None:
    def call() -> Result:
        return tune(cell(SLOW), SPACE, trials=8, parallel=2, schedule=schedule, **QUIET)

    running = in_thread(call)
    until(lambda: list(here.glob("out/train/trials/*/record-1.json")))
    result = open_study("train")
    result.stop()
    with pytest.raises(UserError, match="it was stopped by "):
        running.result(timeout=60)
    status = result.status
    assert 1 <= status.done < 8
    assert (status.state, status.reason.partition(" by ")[0]) == ("failed", "it was stopped")
    assert refused(result.stop) == f"{result.root}: no job runs, so there is none to stop"
    assert call().status.done == 8


def test_a_space_that_changed_between_cells_is_said_and_keep_says_what_it_keeps(
    tuned: Result, capfd: pytest.CaptureFixture[str]
) -> None:
    wider = SPACE | {"layers": Integer(1, 16)}
    said = refused(lambda: tune(cell(CELL), wider, trials=4, parallel=2, progress=False))
    assert f"{tuned.root}: holds another study, 'train' " in said
    assert ": space.layers.high was 8 and is 16; use another name=, start again with fresh=True, or take " in said
    assert said.endswith("the trials along that still tell something with keep=True")
    capfd.readouterr()
    result = tune(cell(CELL), wider, trials=4, parallel=2, keep=True)
    kept = rf"^begins with 2 trials of {re.escape(tuned.root)}\.\S+: 2 as its own, 0 as a hint where to look$"
    assert re.search(kept, capfd.readouterr().err, re.MULTILINE) is not None
    assert result.status.done == 4


def test_another_notebook_with_a_function_of_the_same_name_is_refused_with_a_name_of_its_own(tuned: Result) -> None:
    theirs = cell("def train(lr, layers):\n    return lr\n")
    said = refused(lambda: tune(theirs, SPACE, trials=4, parallel=2, **QUIET))
    assert said.startswith(
        f"{tuned.root}: the function, or what it refers to, has changed since 2 trials were evaluated"
    )
    assert said.endswith(
        "say same_code=True if it gives the same values, or start again with fresh=True, or use another name="
    )
    assert tuned.status.done == 2
    other = tune(theirs, SPACE, trials=2, parallel=2, name="other", **QUIET)
    assert (other.status.done, tuned.status.done) == (2, 2)
    assert tune(theirs, SPACE, trials=4, parallel=2, same_code=True, **QUIET).status.done == 4
    assert tune(cell(CELL), SPACE, trials=2, parallel=2, fresh=True, **QUIET).status.done == 2


def test_another_notebook_is_refused_while_one_runs(here: Path) -> None:
    running = in_thread(lambda: tune(cell(SLOW), SPACE, trials=4, parallel=2, **QUIET))
    until(lambda: list(here.glob("out/train/jobs/*.json")))
    said = refused(lambda: tune(cell(SLOW), SPACE, trials=4, parallel=2, **QUIET))
    assert said.startswith(f"{here}/out/train: job train-")
    assert said.endswith("is writing there; wait for it, or give another name=")
    assert running.result(timeout=60).status.done == 4


@pytest.mark.parametrize(("kill", "schedule"), [(signal.SIGINT, "batches"), (signal.SIGKILL, "batches"),
                                                (signal.SIGKILL, "asynchronous")])  # fmt: skip
def test_after_ctrl_c_and_after_a_killed_kernel_the_same_cell_goes_on(
    here: Path, kill: signal.Signals, schedule: str
) -> None:
    names = "from kfp_bayesopt import Integer, Real, tune\n"
    call = f"trials=6, parallel=2, jobs=2, schedule={schedule!r}, optimizer={{'engine': 'random'}}"
    last = f"print(tune(train, {{'lr': Real(1e-4, 1), 'layers': Integer(1, 8)}}, {call}).status.done)"
    command = [sys.executable, "-c", f"{names}{SLOW}\n{last}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=here)
    until(lambda: list(here.glob("out/train/trials/*/record-1.json")) or process.poll() is not None)
    os.kill(process.pid, kill)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert (kill == signal.SIGKILL) != ("KeyboardInterrupt" in err)
    kept = {path: path.read_bytes() for path in here.glob("out/train/trials/*/record-1.json")}
    assert 1 <= len(kept) < 6
    again = subprocess.run(command, capture_output=True, text=True, cwd=here, check=False, timeout=120)
    assert again.stdout == "6\n", again.stderr
    assert {path: path.read_bytes() for path in kept} == kept
    records = [json.loads(path.read_text()) for path in here.glob("out/train/trials/*/record-*.json")]
    assert sorted(each["trial"] for each in records if each["state"] == "completed") == [1, 2, 3, 4, 5, 6]
    assert all(each["reason"]["kind"] == "lost" for each in records if each["state"] != "completed")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"on": "vertx"}, "on: no place 'vertx'; did you mean 'vertex'?"),
        ({"on": 3}, "tune: on: must be a text, but got 3"),
        ({"image": "build"}, "tune: image: trials run in this Python here; leave it out, or name a place by on="),
        (
            {"wait": False},
            "tune: wait: a study runs here as long as the call does; leave it out, or name a place by on=",
        ),
        (
            {"on": "kfp", "jobs": 2},
            "tune: jobs: is how many trials run on this machine; on kfp say max_parallel= instead",
        ),
        ({"on": "vertex", "max_cost": 0}, "tune: max_cost: must be a number greater than 0, but got 0"),
        ({"on": "vertex", "max_cost": "20"}, "tune: max_cost: must be a number greater than 0, but got '20'"),
    ],
)
def test_what_has_no_meaning_in_a_place_is_refused(options: dict[str, Any], said: str) -> None:
    assert refused(lambda: UNCHECKED(TRAIN, SPACE, **NUMBERS, **options)) == said


class Terminal(io.StringIO):
    """A terminal in which somebody has typed."""

    def isatty(self) -> bool:
        """Tell that it is one."""
        return True


def test_what_costs_money_is_shown_and_asked_or_bounded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bounds: list[float | None] = []

    def run_elsewhere(_study: Study, _on: str, *, max_cost: float | None, **_: object) -> str:
        bounds.append(max_cost)
        return "gs://bucket/study"

    monkeypatch.setattr(running, "run_elsewhere", run_elsewhere)
    tune(cell(CELL), SPACE, **NUMBERS, **QUIET)  # which tells how long a trial takes
    about = r"4 trials on vertex: about [\d.]+ USD \(by 4 trials in out/train, and prices.yaml of .*\)"
    assert re.fullmatch(
        rf"tune: {about}; nobody can be asked here, so say what it may cost at most, such as max_cost=20 \(USD\)",
        refused(lambda: tune(cell(CELL), SPACE, **NUMBERS, on="vertex", optimizer=RANDOM)),
    )
    for answer in ("yes", "2.5", "no", ""):
        monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n" if answer else ""))
        call = partial(tune, cell(CELL), SPACE, **NUMBERS, on="vertex", optimizer=RANDOM)
        if answer in ("yes", "2.5"):
            assert call().root == "gs://bucket/study"
        else:
            assert ("it was not started" in refused(call)) == (answer == "no")
        assert re.search(about, capsys.readouterr().out) is not None
    assert bounds == [None, 2.5]
    tune(cell(CELL), SPACE, **NUMBERS, on="vertex", max_cost=20)
    tune(cell(CELL), SPACE, **NUMBERS, on="vertex", stop={"max_cost": 3})
    tune(cell(CELL), SPACE, **NUMBERS, on="kfp")
    assert bounds == [None, 2.5, 20, None, None]
    new = refused(lambda: tune(cell(CELL), SPACE, **NUMBERS, name="new", on="vertex", max_cost=None))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    new = refused(lambda: tune(cell(CELL), SPACE, **NUMBERS, name="new", on="vertex"))
    assert new.startswith(
        "tune: 4 trials on vertex: what they cost is not known (how long a trial takes is not known: "
    )


def test_a_name_in_another_place_is_looked_for_there(monkeypatch: pytest.MonkeyPatch, tuned: Result) -> None:
    monkeypatch.setattr(running, "find_root", lambda name, on: f"{tuned.root}" if (name, on) == ("mine", "kfp") else "")
    assert open_study("mine", on="kfp").root == tuned.root
    assert refused(lambda: open_study("out/mine", on="kfp")) == (
        "open_study: on: is for the name of a study, but got 'out/mine'; leave it out"
    )
