"""One trial: whatever the objective does ends in a record, and what is wrong with the study in a message."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from skopt.benchmarks import branin as branin_of_skopt

from bayesopt.errors import UserError
from bayesopt.study_file import load_study
from bayesopt.trials import Record, read_record, write_batch, write_record
from evaluation import evaluate
from objectives.branin import branin
from pipeline import ROOT, STEP_PATHS
from tests.builders import a_batch, write_study

SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}


def trial(folder: Path, code: str = "", parameters: dict[str, Any] | None = None, **changes: Any) -> Record:
    """Evaluate `objective(x)` of a module beside the study file, with x = 2.5."""
    study = load_study(str(write_study(folder, code, **{"space": SPACE, **changes})))
    return evaluate(study, a_batch(study, [parameters or {"x": 2.5}]), 0, folder)


def error_of(record: Record) -> str:
    assert (record.state, record.value) == ("failed", None)
    assert record.error is not None
    return record.error


def mistake(folder: Path, code: str = "", **changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        trial(folder, code, **changes)
    return caught.value.message


def returning(expression: str) -> str:
    return f"import decimal\nimport numpy as np\ndef objective(x):\n    return {expression}\n"


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("3", 3.0),
        ("x * 2", 5.0),
        ("np.float32(0.5)", 0.5),
        ("np.int64(7)", 7.0),
        ("np.array(1.5)", 1.5),
        ("np.array([[1.5]])", 1.5),
        ("1e308", 1e308),
        ("-0.0", 0.0),
    ],
)
def test_a_number_is_a_value(tmp_path: Path, expression: str, value: float) -> None:
    record = trial(tmp_path, returning(expression))
    assert (record.state, record.value, record.error) == ("completed", value, None)
    assert type(record.value) is float


@pytest.mark.parametrize(
    ("expression", "got"),
    [
        ("True", "'True' (bool)"),
        ("np.bool_(True)", ")"),
        ("None", "'None' (NoneType)"),
        ("'0.5'", "'0.5' (str)"),
        ("float('nan')", "'nan' (float)"),
        ("-np.inf", "'-inf' (float)"),
        ("np.float64('nan')", "'nan' (float64)"),
        ("np.array([1.0, 2.0])", "'[1. 2.]' (ndarray)"),
        ("[0.5]", "'[0.5]' (list)"),
        ("1j", "'1j' (complex)"),
        ("'x' * 1000", f"{'x' * 100!r} (str)"),
    ],
)
def test_what_is_no_finite_number_fails_the_trial(tmp_path: Path, expression: str, got: str) -> None:
    error = error_of(trial(tmp_path, returning(expression)))
    assert error.startswith("mine:objective must return a finite number, but got ")
    assert error.endswith(got)


def test_an_integer_beyond_all_floats_fails_the_trial(tmp_path: Path) -> None:
    assert "too large" in error_of(trial(tmp_path, returning("10 ** 400")))


def test_the_types_of_parameters_reach_the_objective(tmp_path: Path) -> None:
    choices = [1, 1.0, True, "1", None]
    space = {f"p{n}": {"type": "categorical", "choices": [choice]} for n, choice in enumerate(choices)}
    code = "def objective(**p):\n    raise ValueError([(type(v).__name__, v) for v in p.values()])\n"
    record = trial(tmp_path, code, dict(zip(space, choices, strict=True)), space=space)
    assert error_of(record) == f"ValueError: {[(type(choice).__name__, choice) for choice in choices]}"


# --- what an objective may do ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("raise ValueError('no')", "ValueError: no"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
        ("sys.exit(3)", "SystemExit: 3"),
        ("sys.exit(0)", "SystemExit: 0"),
        ("os._exit(3)", "NO VALUE, but exited 3"),
        ("os._exit(0)", "NO VALUE, but exited 0"),
        (
            "os.kill(os.getpid(), 9)",
            "NO VALUE, but was killed by SIGKILL (often: out of memory)",
        ),
        ("os.abort()", "NO VALUE, but was killed by SIGABRT"),
        ("os.kill(os.getpid(), 40)", "NO VALUE, but was killed by signal 40"),
    ],
)
def test_a_trial_that_ends_badly_is_a_record(tmp_path: Path, line: str, error: str) -> None:
    error = error.replace("NO VALUE", "the process of the objective must return a value")
    code = f"import os, sys\ndef objective(x):\n    {line}\n"
    assert error_of(trial(tmp_path, code)) == error


def test_an_error_that_is_no_unicode_is_a_record_that_can_be_written(tmp_path: Path) -> None:
    """File names that are not UTF-8 come with surrogates."""
    record = trial(tmp_path, "import os\ndef objective(x):\n    raise ValueError(os.fsdecode(b'caf\\xe9'))\n")
    assert error_of(record) == "ValueError: caf?"
    write_record(str(tmp_path / "record.json"), record)
    assert read_record(str(tmp_path / "record.json"), load_study(str(tmp_path / "study.yaml"))) == record


def test_an_error_of_a_novel_is_cut(tmp_path: Path) -> None:
    error = error_of(trial(tmp_path, "def objective(x):\n    raise ValueError('long ' * 1_000_000)\n"))
    assert error.startswith("ValueError: long long")
    assert len(error) == 4000


def test_what_an_objective_prints_goes_to_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "import os, sys\ndef objective(x):\n    print('on out')\n    print('on err', file=sys.stderr)\n    return x\n"
    )
    assert trial(tmp_path, code).value == 2.5
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("on out\n", "on err\n")


def test_a_traceback_goes_to_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    trial(tmp_path, "def objective(x):\n    raise ValueError('no')\n")
    assert 'mine.py", line 2, in objective' in capfd.readouterr().err


def test_an_objective_finds_its_files_and_modules_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def half(x): return x / 2\n")
    (tmp_path / "data.txt").write_text("4")
    code = (
        "import helper, pathlib\n"
        "def objective(x):\n    return helper.half(x) + float(pathlib.Path('data.txt').read_text())\n"
    )
    assert trial(tmp_path, code).value == 5.25


def test_an_objective_knows_its_trial(tmp_path: Path) -> None:
    names = [f"BAYESOPT_{name}" for name in ("STUDY", "ITERATION", "TRIAL")]
    code = f"import os\ndef objective(x):\n    raise ValueError([os.environ[name] for name in {names}])\n"
    assert error_of(trial(tmp_path, code)) == "ValueError: ['branin', '1', '1']"


def gone(pid: int) -> bool:
    """Tell whether a process has ended, waiting a little for it."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


HANGING = """
import os, pathlib, subprocess, time
def objective(x):
    child = subprocess.Popen(["sleep", "600"])
    pathlib.Path("pids.tmp").write_text(f"{os.getpid()} {child.pid}")
    os.rename("pids.tmp", "pids")
    time.sleep(600)
"""


def test_a_trial_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    record = trial(tmp_path, HANGING, max_trial_seconds=1.0)
    assert error_of(record) == "the objective must end within 1 s (max_trial_seconds), but was still running"
    assert 1.0 <= record.seconds < 5
    assert all(gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())


@pytest.mark.parametrize(("line", "state"), [("return x", "completed"), ("os._exit(1)", "failed")])
def test_children_that_outlive_the_objective_neither_hold_up_the_trial_nor_live_on(
    tmp_path: Path, line: str, state: str
) -> None:
    """A forked child, a worker for data, holds open whatever its parent had open."""
    code = (
        "import os, pathlib, time\ndef objective(x):\n    pid = os.fork()\n    if not pid:\n        time.sleep(600)\n"
        f"    pathlib.Path('pids').write_text(str(pid))\n    {line}\n"
    )
    record = trial(tmp_path, code)
    assert record.state == state
    assert record.seconds < 10
    assert gone(int((tmp_path / "pids").read_text()))


# --- what is wrong with the objective ----------------------------------------------------------


def test_a_missing_module_is_a_mistake_of_the_study(tmp_path: Path) -> None:
    assert mistake(tmp_path, objective={"python": "no_such:f"}) == (
        "objective.python: no_such:f must be found beside the study file or in the image, but there is no module "
        f"'no_such'; searched: {tmp_path}, {ROOT}/images/evaluate and the packages"
    )


def test_a_missing_import_of_the_module_is_named(tmp_path: Path) -> None:
    assert "there is no module 'no_such_dependency'" in mistake(tmp_path, "import no_such_dependency\n")


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("raise ValueError('broken')", "ValueError: broken"),
        ("import sys\nsys.exit('no')", "SystemExit: no"),
        ("def f(:", "SyntaxError: invalid syntax (mine.py, line 1)"),
        ("from math import no_such", "ImportError: cannot import name 'no_such' from 'math'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_a_mistake_of_the_study(tmp_path: Path, code: str, raised: str) -> None:
    said = mistake(tmp_path, code)
    assert said.startswith(f"objective.python: mine must be importable, but raised {raised}")


def test_a_missing_attribute_is_a_mistake_of_the_study(tmp_path: Path) -> None:
    assert mistake(tmp_path, "x = 1\n") == (
        f"objective.python: 'objective' must be defined in {tmp_path}/mine.py, but it is not there"
    )


def test_an_objective_must_be_callable(tmp_path: Path) -> None:
    assert mistake(tmp_path, "objective = 3\n") == "objective.python: mine:objective must be a function, but it is int"


@pytest.mark.parametrize(
    ("signature", "problem"),
    [
        ("(y)", "missing a required argument: 'y'"),
        ("()", "got an unexpected keyword argument 'x'"),
        ("(x, y)", "missing a required argument: 'y'"),
    ],
)
def test_a_signature_that_misses_a_parameter_is_a_mistake_of_the_study(
    tmp_path: Path, signature: str, problem: str
) -> None:
    assert mistake(tmp_path, f"def objective{signature}:\n    return 1\n") == (
        f"objective.python: mine:objective{signature} must take the parameters x as keyword arguments, but: {problem}"
    )


# --- commands ----------------------------------------------------------------------------------


def shell(script: str, **changes: Any) -> dict[str, Any]:
    return {"objective": {"command": ["sh", "-c", script, "{x}"]}, **changes}


@pytest.mark.parametrize(
    ("script", "value"),
    [("echo $0", 2.5), ("echo noise; echo 7; echo", 7.0), ("echo no >&2; printf 1e-3", 0.001)],
)
def test_the_last_line_of_a_command_is_its_value(tmp_path: Path, script: str, value: float) -> None:
    assert trial(tmp_path, **shell(script)).value == value


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo 1; exit 3", "sh must exit 0, but exited 3"),
        ("echo 1; kill -9 $$", "sh must exit 0, but was killed by SIGKILL (often: out of memory)"),
        ("echo loss 1", "the last line that sh prints must be a finite number, but got 'loss 1' (str)"),
        ("echo nan", "the last line that sh prints must be a finite number, but got 'nan' (float)"),
        ("true", "the last line that sh prints must be a finite number, but got '' (str)"),
    ],
)
def test_a_command_that_ends_badly_fails_the_trial(tmp_path: Path, script: str, error: str) -> None:
    assert error_of(trial(tmp_path, **shell(script))) == error


def test_a_program_that_is_missing_is_a_mistake_of_the_study(tmp_path: Path) -> None:
    assert mistake(tmp_path, objective={"command": ["no-such-program", "{x}"]}) == (
        "objective.command: 'no-such-program' must be a program, but: No such file or directory"
    )


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    record = trial(tmp_path, **shell("echo $$ > pids; sleep 600; echo 1", max_trial_seconds=0.5))
    assert "must end within 0.5 s" in error_of(record)
    assert gone(int((tmp_path / "pids").read_text()))


def test_a_command_gets_values_as_json_and_strings_as_they_are(tmp_path: Path) -> None:
    choices = [True, None, "a b", 1e-5]
    space = {f"p{n}": {"type": "categorical", "choices": [choice]} for n, choice in enumerate(choices)}
    command = ["sh", "-c", 'printf "%s\\n" "$@" > args; echo 1', *[f"{{{name}}}" for name in ["p0", *space]]]
    trial(tmp_path, parameters=dict(zip(space, choices, strict=True)), space=space, objective={"command": command})
    assert (tmp_path / "args").read_text().splitlines() == ["true", "null", "a b", "1e-05"]


# --- the step ----------------------------------------------------------------------------------


def test_an_index_that_the_batch_does_not_have_is_skipped(tmp_path: Path) -> None:
    study = load_study(str(write_study(tmp_path, "raise SystemError", space=SPACE)))
    record = evaluate(study, a_batch(study, [{"x": 1.0}]), 1, tmp_path)
    assert (record.state, record.trial, record.parameters, record.value) == ("skipped", None, None, None)


def start(folder: Path, index: int = 0) -> subprocess.Popen[str]:
    """Start the step on a study that was written there, as the local runner does."""
    study = load_study(str(folder / "study.yaml"))
    write_batch(str(folder / "suggestions.json"), a_batch(study, [{"x": 2.5}]))
    options = {"study": "study.yaml", "suggestions": "suggestions.json", "record-out": "record.json"}
    arguments = [part for name, file in options.items() for part in (f"--{name}", str(folder / file))]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "images" / "evaluate" / "main.py"), *arguments, "--index", str(index)],
        env={**os.environ, "PYTHONPATH": STEP_PATHS[0]}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("index", [0, 7])
def test_a_trial_that_fails_and_one_that_is_not_there_exit_0_with_a_record(tmp_path: Path, index: int) -> None:
    study = load_study(str(write_study(tmp_path, "import os\ndef objective(x):\n    os._exit(9)\n", space=SPACE)))
    with start(tmp_path, index) as process:
        assert process.wait(20) == 0
    assert read_record(str(tmp_path / "record.json"), study).state == ("skipped" if index else "failed")


@pytest.mark.parametrize("code", ["import no_such", "x = 1", "def objective(y): return y"])
def test_a_mistake_exits_1_with_one_message_and_writes_nothing(tmp_path: Path, code: str) -> None:
    write_study(tmp_path, code, space=SPACE)
    with start(tmp_path) as process:
        printed, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert printed.startswith("Error: objective.python: ")
    assert printed.count("\n") == 1
    assert not (tmp_path / "record.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_step_that_is_stopped_ends_its_objective_and_writes_nothing(tmp_path: Path, number: signal.Signals) -> None:
    write_study(tmp_path, HANGING, space=SPACE)
    with start(tmp_path) as process:
        while not (tmp_path / "pids").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(10) != 0
    assert all(gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())
    assert not (tmp_path / "record.json").exists()


@pytest.mark.parametrize("point", [(-5.0, 0.0), (10.0, 15.0), (0.1, 7.7), (3.141592653589793, 2.275)])
def test_the_branin_of_the_image_is_that_of_scikit_optimize(point: tuple[float, float]) -> None:
    assert branin(*point) == branin_of_skopt(point)
