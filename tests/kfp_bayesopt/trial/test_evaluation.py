"""One trial: whatever the objective does ends in a record, and what is wrong with the study in a message."""

from __future__ import annotations

import ast
import errno
import math
import os
import socket
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skopt.benchmarks import branin as branin_of_skopt

from kfp_bayesopt.errors import UnavailableError
from kfp_bayesopt.folder.trials import Reason, Record, Suggestion
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.evaluation import run_objective
from kfp_bayesopt.trial.process.caller import outcome_of
from kfp_bayesopt.trial.process.examples.objectives.branin import branin
from kfp_bayesopt.trial.process.output import Output
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError, temporary_folder
from tests import ROOT
from tests.builders import a_suggestion, write_folder, write_study
from tests.processes import gone

SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}

MAPPED = {"python": "mine:objective", "value": "loss"}


def trial(folder: Path, code: str = "", parameters: dict[str, Any] | None = None, **changes: Any) -> Record:
    """Evaluate `objective(x)` of a module beside the study file, with x = 2.5."""
    study = Study.from_file(str(write_study(folder, code, **{"space": SPACE, **changes})))
    with Sessions() as sessions:
        return run_objective(study, a_suggestion(study, 1, parameters or {"x": 2.5}), 1, folder, sessions, Output())


def reason_of(record: Record) -> Reason:
    assert (record.state, record.values) == ("failed", {})
    assert record.reason is not None
    return record.reason


def error_of(record: Record) -> str:
    return reason_of(record).message


def mistake(folder: Path, code: str = "", **changes: Any) -> str:
    reason = reason_of(trial(folder, code, **changes))
    assert (reason.kind, reason.exit) == ("mistake", None)
    return reason.message


# --- values ------------------------------------------------------------------------------------


class Tensor:
    """What the tensors of torch, jax and tensorflow have in common."""

    def __init__(self, *values: object) -> None:
        self.values = values

    def item(self) -> object:
        """Return the value where there is one."""
        (value,) = self.values
        return value


class Parameter(Tensor):
    """A tensor of another name."""


class Number:
    """Says what it is as a float."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


class Broken:
    """Raises whatever it is asked."""

    def __float__(self) -> float:
        raise OSError

    def __repr__(self) -> str:
        raise OSError


class Huge:
    """Has more to say than a record holds."""

    def __repr__(self) -> str:
        return "x" * 10_000_000


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (3, 3.0),
        (5.0, 5.0),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7.0),
        (np.array(1.5), 1.5),
        (np.array([[1.5]]), 1.5),
        (np.longdouble(0.25), 0.25),
        (np.ma.array([1.5], mask=[False]), 1.5),
        (np.complex128(0.5), 0.5),
        (np.clongdouble(0.5), 0.5),
        (complex(0.5, 0), 0.5),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
        (Tensor(0.25), 0.25),
        (Parameter(0.25), 0.25),
        (Number(0.25), 0.25),
        (1e308, 1e308),
        (-0.0, 0.0),
    ],
)
def test_a_number_is_a_value(returned: Any, value: float) -> None:
    outcome = outcome_of(returned, "mine:objective")
    assert outcome == {"returned": value}
    assert type(outcome["returned"]) is float


@pytest.mark.parametrize(
    ("returned", "got"),
    [
        (True, "True (bool)"),
        (np.bool_(True), f"{np.bool_(True)!r} (bool)"),
        (Tensor(True), "(Tensor)"),
        (np.array(True), "array(True) (ndarray)"),
        ("0.5", "'0.5' (str)"),
        (np.str_("0.5"), "(str_)"),
        (np.array("0.5"), "array('0.5', dtype='<U3') (ndarray)"),
        (b"0.5", "b'0.5' (bytes)"),
        (float("nan"), "nan (float)"),
        (-np.inf, "-inf (float)"),
        (np.float64("nan"), "(float64)"),
        (Decimal("nan"), "Decimal('NaN') (Decimal)"),
        (Decimal("sNaN"), "Decimal('sNaN') (Decimal)"),
        (np.array([1.0, 2.0]), "array([1., 2.]) (ndarray)"),
        (np.array([]), "array([], dtype=float64) (ndarray)"),
        (np.array([None]), "array([None], dtype=object) (ndarray)"),
        (Tensor(1.0, 2.0), "(Tensor)"),
        (np.ma.masked, "masked (MaskedConstant)"),
        (np.ma.array([np.nan], mask=[True]), "(MaskedArray)"),
        (np.ma.array(1.5, mask=True), "(MaskedArray)"),
        ([0.5], "[0.5] (list)"),
        (1j, "1j (complex)"),
        (np.array([1 + 2j]), "array([1.+2.j]) (ndarray)"),
        (np.clongdouble(1 + 2j), "(clongdouble)"),
        (np.timedelta64(5, "ns"), "(timedelta64)"),
        (np.datetime64("2026-01-01T00:00:00.000000000"), "(datetime64)"),
        (timedelta(5), "datetime.timedelta(days=5) (timedelta)"),
        (Number(math.inf), "(Number)"),
        (Broken(), "(Broken)"),
        (Huge(), f"{'x' * 48}...{'x' * 49} (Huge)"),
        (10**400, "an integer too large for a float"),
        ("x" * 1000, f"'{'x' * 47}...{'x' * 48}' (str)"),
        ("two\nlines", "'two\\nlines' (str)"),
    ],
)
def test_what_is_no_finite_number_fails_the_trial(returned: Any, got: str) -> None:
    reason = outcome_of(returned, "mine:objective")["reason"]
    assert reason["kind"] == "value"
    assert reason["message"].startswith("mine:objective must return a finite number, but got ")
    assert reason["message"].endswith(got)


def test_an_objective_without_a_return_is_asked_about_it(tmp_path: Path) -> None:
    error = error_of(trial(tmp_path, "def objective(x):\n    x + 1\n"))
    assert error == "mine:objective returned None; did it forget `return`?"


def test_the_mean_of_masked_values_is_no_value(tmp_path: Path) -> None:
    """As a float it would be 0, the best of all losses."""
    code = "import numpy as np\ndef objective(x):\n    return np.ma.masked_invalid([np.nan]).mean()\n"
    assert error_of(trial(tmp_path, code)).endswith("but got masked (MaskedConstant)")


def test_the_types_of_parameters_reach_the_objective(tmp_path: Path) -> None:
    choices = [1, 1.0, True, "1", None]
    space = {f"p{n}": {"type": "categorical", "choices": [choice]} for n, choice in enumerate(choices)}
    code = "def objective(**p):\n    raise ValueError([(type(v).__name__, v) for v in p.values()])\n"
    record = trial(tmp_path, code, dict(zip(space, choices, strict=True)), space=space)
    assert error_of(record) == f"ValueError: {[(type(choice).__name__, choice) for choice in choices]}"


# --- what an objective may do ------------------------------------------------------------------


BEFORE = "before it returned a value"


@pytest.mark.parametrize(
    ("line", "kind", "status", "error"),
    [
        ("raise ValueError('no')", "raised", None, "ValueError: no"),
        ("raise KeyboardInterrupt", "raised", None, "KeyboardInterrupt: "),
        ("sys.exit(3)", "raised", None, "SystemExit: 3"),
        ("sys.exit(0)", "raised", None, "SystemExit: 0"),
        ("sys.exit('no data')", "raised", None, "SystemExit: no data"),
        ("raise Unspeakable", "raised", None, "Unspeakable: its message cannot be shown"),
        ("return float('nan')", "value", None, "mine:objective must return a finite number, but got nan (float)"),
        ("os._exit(3)", "exit", 3, f"the process of the objective exited 3 {BEFORE}"),
        ("os._exit(0)", "exit", 0, f"the process of the objective exited 0 {BEFORE}"),
        ("os.execlp('true', 'true')", "exit", 0, f"the process of the objective exited 0 {BEFORE}"),
        (
            "os.kill(os.getpid(), 9)",
            "exit",
            -9,
            f"the process of the objective was killed by SIGKILL (often: out of memory) {BEFORE}",
        ),
        ("os.abort()", "exit", -6, f"the process of the objective was killed by SIGABRT {BEFORE}"),
        ("os.kill(os.getpid(), 40)", "exit", -40, f"the process of the objective was killed by signal 40 {BEFORE}"),
        ("os.closerange(3, 99)", "exit", 1, f"the process of the objective exited 1 {BEFORE}"),
        ("os._exit(0) if os.fork() else None", "exit", 0, f"the process of the objective exited 0 {BEFORE}"),
    ],
)
def test_a_trial_that_ends_badly_is_a_record(
    tmp_path: Path, line: str, kind: str, status: int | None, error: str
) -> None:
    unspeakable = "class Unspeakable(Exception):\n    def __str__(self): raise OSError\n"
    code = f"import os, sys\n{unspeakable}def objective(x):\n    {line}\n    return x\n"
    reason = reason_of(trial(tmp_path, code))
    assert (reason.kind, reason.exit, reason.message) == (kind, status, error)


@pytest.mark.parametrize(
    "line",
    [
        "os.close(1); os.close(2)",
        "sys.stdout = sys.stderr = None",
        "os.chdir('/')",
        "sys.path.clear()",
        "os.write(int(sys.argv[1]), b'{\"value\": 7}\\n[1]\\nhalf a line')",
        "os.environ.clear()",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    ],
)
def test_what_an_objective_does_to_its_process_does_not_change_its_value(tmp_path: Path, line: str) -> None:
    assert trial(tmp_path, f"import os, signal, sys\ndef objective(x):\n    {line}\n    return x\n").value == 2.5


@pytest.mark.parametrize("end", ["return -1.0", "raise ValueError", "sys.exit(1)"])
def test_a_fork_that_comes_back_has_no_say(tmp_path: Path, end: str) -> None:
    code = (
        "import os, sys\ndef objective(x):\n    pid = os.fork()\n"
        f"    if not pid:\n        {end}\n    os.waitpid(pid, 0)\n    return x\n"
    )
    assert trial(tmp_path, code).value == 2.5


def test_an_error_that_is_no_unicode_is_a_record_that_can_be_written(tmp_path: Path) -> None:
    """File names that are not UTF-8 come with surrogates."""
    record = trial(tmp_path, "import os\ndef objective(x):\n    raise ValueError(os.fsdecode(b'caf\\xe9'))\n")
    assert error_of(record) == "ValueError: caf\\udce9"
    folder = write_folder(tmp_path / "out", Study.from_file(str(tmp_path / "study.yaml")), records=[record])
    assert folder.read_record(1, 1) == record


def test_an_error_of_a_novel_is_cut(tmp_path: Path) -> None:
    error = error_of(trial(tmp_path, "def objective(x):\n    raise ValueError('long ' * 1_000_000)\n"))
    assert error.startswith("ValueError: long long")
    assert len(error) == 4000


def test_the_control_characters_of_an_error_are_shown(tmp_path: Path) -> None:
    record = trial(tmp_path, r"def objective(x): raise ValueError('\x1b[31mred\x1b[0m\r\x00 é 損 \n\ttwo')")
    assert error_of(record) == r"ValueError: \x1b[31mred\x1b[0m\r\x00 é 損 " + "\n\ttwo"


def test_a_record_has_the_last_lines_that_a_failed_trial_printed(tmp_path: Path) -> None:
    code = "def objective(x):\n    print(*range(40), sep='\\n')\n    raise ValueError('no')\n"
    lines = reason_of(trial(tmp_path, code)).last_lines
    assert len(lines) == 20
    assert lines[0].isdecimal()
    assert lines[-3:] == [
        f'  File "{tmp_path}/mine.py", line 3, in objective',
        "    raise ValueError('no')",
        "ValueError: no",
    ]


def test_a_record_says_what_the_trial_used_and_who_evaluated_it(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = 'held = bytearray(150_000_000)\\nfor _ in range(2_000_000): pass'\n"
        "def objective(x):\n    subprocess.run([sys.executable, '-c', child])\n    return x\n"
    )
    record = trial(tmp_path, code)
    assert record.processor_seconds is not None
    assert 0.02 < record.processor_seconds < 10
    assert record.memory_bytes is not None
    assert 150e6 < record.memory_bytes < 300e6
    assert (record.machine, record.worker) == (socket.gethostname(), f"{socket.gethostname()}:{os.getpid()}")


def test_the_memory_of_a_trial_is_not_that_of_the_process_that_started_it(tmp_path: Path) -> None:
    """`getrusage` says that a program had as much memory as the one that started it."""
    held = bytearray(200_000_000)
    record = trial(tmp_path, "def objective(x): return x\n")
    assert record.memory_bytes is not None
    assert record.memory_bytes < len(held) / 2


def test_what_a_trial_used_is_not_known_when_its_process_is_killed(tmp_path: Path) -> None:
    record = trial(tmp_path, "import os\ndef objective(x):\n    os._exit(1)\n")
    assert (record.processor_seconds, record.memory_bytes) == (None, None)


def test_a_module_of_the_study_may_have_the_name_of_one_that_we_need(tmp_path: Path) -> None:
    (tmp_path / "resource.py").write_text("value = 7.0\n")
    record = trial(tmp_path, "import resource\ndef objective(x): return resource.value\n")
    assert record.value == 7.0
    assert record.memory_bytes is not None


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


HANGING = """
import os, pathlib, subprocess, time
def objective(x):
    child = subprocess.Popen(["sleep", "600"])
    pathlib.Path("pids.tmp").write_text(f"{os.getpid()} {child.pid}")
    os.rename("pids.tmp", "pids")
    print("epoch 1")
    time.sleep(600)
"""


def test_a_trial_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    record = trial(tmp_path, HANGING, max_trial_seconds=1.0)
    assert reason_of(record) == Reason(
        kind="timeout",
        message="the objective took longer than 1 s (max_trial_seconds) and was stopped",
        last_lines=["epoch 1"],
    )
    assert record.seconds >= 1.0
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
    assert gone(int((tmp_path / "pids").read_text()))


# --- the end of its process --------------------------------------------------------------------

SAVING = """
import atexit, pathlib, threading, time
history = open("history", "w")
atexit.register(lambda: pathlib.Path("exited").touch())
def save():
    time.sleep(0.3)
    pathlib.Path("saved").touch()
def objective(x):
    history.write("epoch 1")
    threading.Thread(target=save).start()
    return x
"""


def test_an_objective_finishes_what_it_does_at_exit(tmp_path: Path) -> None:
    assert trial(tmp_path, SAVING, max_trial_seconds=60).value == 2.5
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "exited").exists()
    assert (tmp_path / "history").read_text() == "epoch 1"


def test_the_time_limit_is_that_of_the_value_and_not_of_the_exit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = (
        "import atexit, os, pathlib, time\npathlib.Path('pids').write_text(str(os.getpid()))\n"
        "atexit.register(time.sleep, 600)\ndef objective(x): return x\n"
    )
    record = trial(tmp_path, code, max_trial_seconds=60, finish_seconds=0.5)
    assert (record.state, record.value) == ("completed", 2.5)
    assert gone(int((tmp_path / "pids").read_text()))
    assert caplog.messages == ["trial 1: its process did not exit in 0.5 s (finish_seconds); killed"]


@pytest.mark.parametrize("line", ["os._exit(3)", "os.kill(os.getpid(), 9)", "raise ValueError"])
def test_how_the_process_exits_does_not_change_its_value(tmp_path: Path, line: str) -> None:
    code = f"import atexit, os\n@atexit.register\ndef finish():\n    {line}\ndef objective(x): return x\n"
    assert trial(tmp_path, code).value == 2.5


def test_an_objective_that_takes_too_long_is_asked_before_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import pathlib, signal, sys, time\ndef stop(*_):\n    pathlib.Path('asked').touch()\n    sys.exit()\n"
        "def objective(x):\n    signal.signal(signal.SIGTERM, stop)\n    time.sleep(600)\n"
    )
    assert trial(tmp_path, code, max_trial_seconds=1.0).state == "failed"
    assert (tmp_path / "asked").exists()


def test_an_objective_that_does_not_stop_when_it_is_asked_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfp_bayesopt.trial.process.call.STOP_SECONDS", 0.2)
    code = HANGING.replace("    child", "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    child")
    assert trial(tmp_path, f"import signal\n{code}", max_trial_seconds=1.0).state == "failed"
    assert all(gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())


# --- what is wrong with the objective ----------------------------------------------------------


def test_a_missing_module_is_a_mistake_of_the_study(tmp_path: Path) -> None:
    assert mistake(tmp_path, objective={"python": "no_such:f"}) == (
        f"objective.python: no_such:f: no module named 'no_such'; searched {tmp_path} and the packages of "
        f"{sys.executable}; put the module beside the study file, or install it: "
        f"{sys.executable} -m pip install no_such"
    )


def test_a_missing_import_of_the_module_is_named(tmp_path: Path) -> None:
    assert "no module named 'no_such_dependency'" in mistake(tmp_path, "import no_such_dependency\n")


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
    assert said.startswith(f"objective.python: cannot import mine: {raised}")


def test_a_missing_attribute_is_a_mistake_of_the_study(tmp_path: Path) -> None:
    assert mistake(tmp_path, "x = 1\n") == (
        f"objective.python: mine:objective: {tmp_path}/mine.py does not define 'objective'"
    )


def test_an_objective_must_be_callable(tmp_path: Path) -> None:
    assert mistake(tmp_path, "objective = 3\n") == (
        "objective.python: mine:objective is not a function, but of type int"
    )


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
        f"objective.python: cannot call mine:objective{signature} with the keyword arguments x: {problem}"
    )


def test_a_type_error_inside_the_objective_fails_the_trial(tmp_path: Path) -> None:
    assert error_of(trial(tmp_path, "def objective(x): raise TypeError('no')")) == "TypeError: no"


# --- commands ----------------------------------------------------------------------------------


def shell(script: str, **changes: Any) -> dict[str, Any]:
    return {"objective": {"command": ["sh", "-c", script, "{x}"]}, **changes}


@pytest.mark.parametrize(
    ("script", "value"),
    [
        ("echo $0", 2.5),
        ("echo noise; echo 7; echo", 7.0),
        ("echo no >&2; printf 1e-3", 0.001),
        ("echo 3; echo 4 >&2", 3.0),
        ("printf '\\377\\n+.5E2 \\r\\n'", 50.0),
        ("echo -1.", -1.0),
        ("exec 2>&-; echo 3", 3.0),
        ("echo 3; exec >&- 2>&-; sleep 0.1", 3.0),
        ("head -c 3000000 /dev/zero; echo; echo 3", 3.0),
    ],
)
def test_the_last_line_of_a_command_is_its_value(tmp_path: Path, script: str, value: float) -> None:
    assert trial(tmp_path, **shell(script)).value == value


@pytest.mark.parametrize(
    ("script", "warning"),
    [
        ("printf 'train loss 1 val loss 2\\n'", "loss stands more than once in a line"),
        ("printf 'a\\r\\n\\r1/2 loss=1\\r'; printf '2/2 loss=2\\n'", "loss was printed in a progress bar alone"),
        ("printf '1/2 loss=1\\r'; printf '\\nloss=2\\n'", None),
        ("printf 'loss=1\\r\\nloss=2\\r'; printf '\\n'", None),
    ],
)
def test_a_record_has_what_a_person_should_look_at(tmp_path: Path, script: str, warning: str | None) -> None:
    asked = shell(script)
    asked["objective"]["value"] = "loss"
    record = trial(tmp_path, **asked)
    assert record.value == 2.0
    found = [each[: len(warning or "")] for each in record.warnings or []]
    assert found == ([] if warning is None else [warning])


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("exit 3", "sh exited 3; it printed nothing"),
        ("echo why >&2; exit 3", "sh exited 3: why"),
        ("echo a; echo; printf '  5%%\\r 10%%'; exit 3", "sh exited 3:  10%"),
        (r"printf '\033[1mno\000'; exit 3", r"sh exited 3: \x1b[1mno\x00"),
        ("echo 1; kill -9 $$", "sh was killed by SIGKILL (often: out of memory): 1"),
        ("true", "sh printed nothing; the last line that it prints must be the value"),
        ("echo; echo 3 >&2", "sh printed nothing; the last line that it prints must be the value"),
    ],
)
def test_a_command_that_ends_badly_fails_the_trial(tmp_path: Path, script: str, error: str) -> None:
    assert error_of(trial(tmp_path, **shell(script))) == error


@pytest.mark.parametrize(
    "last",
    ["loss 1", "nan", "inf", "-Infinity", "1e400", "1_000", "0x1p3", "1,5", "1.5.2", "\uff11", "1 2", "e5", "."],
)
def test_a_last_line_that_is_no_plain_number_fails_the_trial(tmp_path: Path, last: str) -> None:
    rule = "the last line that printf prints must be a finite number, such as 0.5 or 1e-3"
    way_out = "where it prints metrics by name: objective.value: NAME"
    objective = {"command": ["printf", "7\\n%s\\n%.0s", last, "{x}"]}
    assert error_of(trial(tmp_path, objective=objective)) == f"{rule}, but got {last!r}; {way_out}"


@pytest.mark.parametrize(
    ("script", "kind", "status"), [("exit 3", "exit", 3), ("kill -9 $$", "exit", -9), ("true", "value", None)]
)
def test_a_failed_command_says_how_it_ended(tmp_path: Path, script: str, kind: str, status: int | None) -> None:
    reason = reason_of(trial(tmp_path, **shell(script)))
    assert (reason.kind, reason.exit) == (kind, status)


def test_a_failed_command_has_the_last_20_lines_of_its_output(tmp_path: Path) -> None:
    reason = reason_of(trial(tmp_path, **shell("seq 30 >&2; exit 2")))
    assert reason.message == "sh exited 2: 30"
    assert reason.last_lines == [str(line) for line in range(11, 31)]


def test_a_long_last_line_of_a_failed_command_is_cut(tmp_path: Path) -> None:
    reason = reason_of(trial(tmp_path, **shell("seq -s, 100000; exit 2")))
    assert reason.message.startswith("sh exited 2: ")
    assert len(reason.message) == len("sh exited 2: ") + 1000
    assert [len(line) for line in reason.last_lines] == [1000]


@pytest.mark.parametrize("prints", ["sleep 600", "while :; do echo 7; done", "while :; do echo noise >&2; done"])
def test_a_command_has_ended_when_its_process_has(tmp_path: Path, prints: str) -> None:
    """A child in the background, a dashboard, holds open what the command printed to."""
    record = trial(tmp_path, **shell(f"({prints}) & echo $! > pids; echo 7", max_trial_seconds=60))
    assert (record.state, record.value) == ("completed", 7.0)
    assert gone(int((tmp_path / "pids").read_text()))


def test_a_parameter_that_no_command_takes_fails_the_trial(tmp_path: Path) -> None:
    longest = 131_072  # of one argument on Linux
    space = {"x": {"type": "categorical", "choices": ["a" * longest, "b"]}}
    assert error_of(trial(tmp_path, parameters={"x": "a" * longest}, space=space, **shell("echo 1"))) == (
        "objective.command: cannot run 'sh': Argument list too long"
    )


def test_a_program_that_is_missing_is_a_mistake_of_the_study(tmp_path: Path) -> None:
    assert mistake(tmp_path, objective={"command": ["no-such-program", "{x}"]}) == (
        f"objective.command: cannot run 'no-such-program': No such file or directory; searched {os.environ['PATH']}"
    )


def test_a_python_that_is_missing_is_that_of_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert mistake(tmp_path, objective={"command": ["python", "{x}"]}) == (
        f"objective.command: cannot run 'python': No such file or directory; searched {tmp_path}; activate the "
        "environment of your code, or write the path of its Python"
    )


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    record = trial(tmp_path, **shell("echo $$ > pids; sleep 600; echo 1", max_trial_seconds=0.5))
    assert "took longer than 0.5 s" in error_of(record)
    assert gone(int((tmp_path / "pids").read_text()))


def test_a_command_gets_values_as_json_and_strings_as_they_are(tmp_path: Path) -> None:
    choices = [True, None, "a b", 1e-5]
    space = {f"p{n}": {"type": "categorical", "choices": [choice]} for n, choice in enumerate(choices)}
    command = ["sh", "-c", 'printf "%s\\n" "$@" > args; echo 1', *[f"{{{name}}}" for name in ["p0", *space]]]
    trial(tmp_path, parameters=dict(zip(space, choices, strict=True)), space=space, objective={"command": command})
    assert (tmp_path / "args").read_text().splitlines() == ["true", "null", "a b", "1e-05"]


# --- a stop ----------------------------------------------------------------------------------


def test_a_value_that_was_there_before_the_stop_is_recorded_and_no_other(tmp_path: Path) -> None:
    """What an objective returns because it was asked to stop says nothing about its parameters."""
    code = (
        "import atexit, os, pathlib, signal, time\n"
        "def wait(name):\n    pathlib.Path(name).touch()\n    time.sleep(600)\n"
        "class Asked(Exception): pass\n"
        "def stop(*_):\n    raise Asked\n"
        "def objective(x):\n    signal.signal(signal.SIGTERM, stop)\n"
        "    if x < 2:\n        atexit.register(wait, 'exits')\n        return x\n"
        "    try:\n        wait('works')\n    except Asked:\n        return x\n"
    )
    study = Study.from_file(str(write_study(tmp_path, code, space=SPACE)))

    def start(suggestion: Suggestion) -> Future[Record]:
        return pool.submit(run_objective, study, suggestion, 1, tmp_path, sessions, Output())

    with Sessions() as sessions, ThreadPoolExecutor() as pool:
        finished, stopped = (start(a_suggestion(study, n, {"x": x})) for n, x in ((1, 1.0), (2, 3.0)))
        while not (tmp_path / "exits").exists() or not (tmp_path / "works").exists():
            assert not finished.done()
            time.sleep(0.02)
        sessions.stop()
        assert finished.result(20).value == 1.0
        with pytest.raises(StoppedError):
            stopped.result(20)


# --- the process of an objective ---------------------------------------------------------------


def test_it_runs_on_an_older_python_than_ours() -> None:
    ast.parse(
        (ROOT / "images" / "common" / "kfp_bayesopt" / "trial" / "process" / "caller.py").read_text(),
        feature_version=(3, 8),
    )


def test_it_imports_little(tmp_path: Path) -> None:
    code = "import sys\nbefore = len(sys.modules)\ndef objective(x): raise ValueError(sorted(sys.modules))\n"
    imported = error_of(trial(tmp_path, code))
    assert not [name for name in ("inspect", "typing", "subprocess", "traceback", "ast") if f"'{name}'" in imported]


@pytest.mark.parametrize("point", [(-5.0, 0.0), (10.0, 15.0), (0.1, 7.7), (3.141592653589793, 2.275)])
def test_the_branin_of_the_image_is_that_of_scikit_optimize(point: tuple[float, float]) -> None:
    assert branin(*point) == branin_of_skopt(point)


@pytest.mark.parametrize(("number", "expected"), [(errno.ENOSPC, UnavailableError), (errno.EDQUOT, UnavailableError)])
def test_a_full_disk_is_said_with_its_way_out(number: int, expected: type[Exception]) -> None:
    with Sessions() as sessions, pytest.raises(expected, match="TMPDIR"), temporary_folder(sessions):
        raise OSError(number, os.strerror(number))


def test_what_has_nothing_to_do_with_room_is_not_called_so() -> None:
    with Sessions() as sessions, pytest.raises(ConnectionResetError), temporary_folder(sessions):
        raise ConnectionResetError(errno.ECONNRESET, "reset")


def test_a_folder_that_cannot_be_made_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    with Sessions() as sessions, pytest.raises(UnavailableError, match="TMPDIR"), temporary_folder(sessions):
        pass


@pytest.mark.parametrize("latency", ["float('nan')", "'fast'", "None"])
def test_a_trial_without_a_metric_that_has_a_limit_fails_and_its_value_is_named(latency: str, tmp_path: Path) -> None:
    code = f"def objective(x):\n    return {{'loss': 0.25, 'latency': {latency}, 'latency_ms': 7.0}}\n"
    record = trial(tmp_path, code, objective=MAPPED, limits={"latency": "<= 3"})
    assert reason_of(record).kind == "value"
    assert error_of(record) == (
        "mine:objective gave no finite metric latency, which has a limit (limits); seen: loss, latency_ms; did you "
        "mean 'latency_ms'?; its value was 0.25"
    )


def test_a_trial_that_breaks_a_limit_has_completed(tmp_path: Path) -> None:
    code = "def objective(x):\n    return {'loss': 0.25, 'latency': 4}\n"
    record = trial(tmp_path, code, objective=MAPPED, limits={"latency": "<= 3"})
    assert (record.state, record.values) == ("completed", {"loss": 0.25, "latency": 4.0, "value": 0.25})
