"""Sets up an environment from a lock: `python3 -m locks.install FOLDER LOCK [MODULES]`.

It runs on a bare Python, before any package is installed, and says so at once if that Python is too old. If several run
at once, one sets up and the others wait. Environments are made in place, because their programs contain their path. The
file `installed` marks a complete environment: it is deleted first and written last, when MODULES could be imported.
Our packages are not installed: a .pth file names their folders in the checkout, and `bin/bayesopt` is their command.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

STEP = 20  # packages between two lines in a log
MARK = "installed"
CHECKOUT = Path(__file__).resolve().parent.parent
OURS = ("pipeline", "images/common")
"""The folders of the checkout that hold our packages."""
COMMAND = """\
{start}
import sys

from kfp_bayesopt.cli.main import main

sys.exit(main())
"""
START_BY_SHELL = """\
#!/bin/sh
''''exec "{python}" "$0" "$@"
' '''"""
"""A line `#!` holds neither spaces nor long paths; the shell runs the second line, which is text for Python."""
LONGEST_START = 127


def main(folder: str, lock: str, modules: str = "") -> None:
    """Set up an environment, unless it has all packages of a lock and can import its modules."""
    if sys.version_info < (3, 11):  # noqa: UP036 (an older one runs this too)
        version = platform.python_version()
        sys.exit(f"Python 3.11 or later is needed, but {sys.executable} is {version}; use: make PYTHON=python3.12")
    mark = Path(folder) / MARK
    told = f"{hashlib.sha256(Path(lock).read_bytes()).hexdigest()} {platform.python_version()}\n"
    with alone(folder) as held:
        if is_current(mark, lock, told) and add_ours(folder) and problem_of(folder, lock, modules) is None:
            mark.write_text(told)  # newer than the lock, for make
            return
        set_up(folder, lock, held)
        add_ours(folder)
        if problem := problem_of(folder, lock, modules):
            sys.exit(f"{folder} was set up from {lock}, but {problem}; its output is in {folder}/install.log")
        mark.write_text(told)


@contextlib.contextmanager
def alone(folder: str) -> Iterator[int]:
    """Wait until no other process sets up a folder; yield a handle that keeps others waiting while it is open."""
    resolved = Path(folder).resolve()
    path = resolved.with_name(f"{resolved.name}.lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        sys.exit(f"{path}: cannot be written: {error.strerror}; give this user access to the folder of {folder}")
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another set-up of {folder}", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def is_current(mark: Path, lock: str, told: str) -> bool:
    """Tell whether a mark says that its environment is of a lock; an empty mark is compared by time."""
    try:
        said = mark.read_text()
        return said == told or (not said and mark.stat().st_mtime >= Path(lock).stat().st_mtime)
    except OSError:
        return False


def problem_of(folder: str, lock: str, modules: str) -> str | None:
    """Return the reason an environment cannot be used; None if it can."""
    python = f"{folder}/bin/python"
    checks = [[python, "-I", str(Path(__file__).with_name("whole.py")), lock]]
    checks += [[python, "-c", f"import {modules}"]] if modules else []
    for check in checks:
        try:
            ended = subprocess.run(check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        except OSError as error:
            return f"its Python cannot be started: {error.strerror}"
        if ended.returncode:
            return (ended.stdout.strip().splitlines() or [f"its Python ended with {ended.returncode}"])[-1]
    return None


def add_ours(folder: str) -> bool:
    """Let the Python of an environment find our packages in the checkout, and give it the command `bayesopt`.

    Returns:
        False if that is no environment of this Python.
    """
    python = Path(folder).resolve() / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    try:
        paths = Path(folder) / "lib" / version / "site-packages" / "kfp_bayesopt.pth"
        paths.write_text("".join(f"{CHECKOUT / each}\n" for each in OURS))
        command = python.with_name("bayesopt")
        start = f"#!{python}"
        if " " in start or len(start) > LONGEST_START:
            start = START_BY_SHELL.format(python=python)  # not always: a shell changes PWD
        command.write_text(COMMAND.format(start=start))
        command.chmod(0o755)
    except OSError:
        return False
    return True


def set_up(folder: str, lock: str, held: int) -> None:
    """Make an environment with the packages of a lock, replacing an existing one.

    Args:
        folder: The folder of the environment.
        lock: The lock.
        held: A handle that stays open in child processes: if this process is killed, others wait for pip.
    """
    packages = len(re.findall(r"^[\w.-]+==", Path(lock).read_text(), re.MULTILINE))
    duration = "less than a minute" if packages < 50 else "one or two minutes"
    print(f"setting up {folder} from {lock}: {packages} packages, {duration}", flush=True)
    try:
        if Path(folder).exists():
            (Path(folder) / MARK).unlink(missing_ok=True)
            shutil.rmtree(Path(folder).resolve())
    except OSError as error:
        sys.exit(f"cannot delete {error.filename or folder}: {error.strerror}; delete it, and try again")
    if subprocess.run([sys.executable, "-m", "venv", Path(folder).resolve()], pass_fds=[held]).returncode:
        has_pip = importlib.util.find_spec("ensurepip") is not None
        hint = "the reason stands above" if has_pip else "on Debian, first: apt install python3-venv"
        sys.exit(f"cannot create {folder}; {hint}")
    log = Path(folder) / "install.log"
    with log.open("w") as file:
        failed = install(folder, lock, packages, file, held)
    if failed:
        errors = [line for line in log.read_text().splitlines() if line.startswith("ERROR:")]
        sys.exit("\n".join([*errors, f"cannot install {lock}; the whole output of pip is in {log}"]))


def install(folder: str, lock: str, packages: int, log: TextIO, held: int) -> int:
    """Install the packages of a lock and nothing else, and show progress; return the status of pip."""
    command = [f"{folder}/bin/python", "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    # Compiling takes as long as all the rest. Python compiles a module at its first import, if it may.
    command += [] if sys.dont_write_bytecode else ["--no-compile"]
    command += ["--no-deps", "--require-hashes", "--requirement", lock]
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, pass_fds=[held])
    assert pip.stdout is not None
    fetched = 0
    for line in pip.stdout:
        log.write(line)
        if re.match(r"(Collecting|Processing) ", line):
            fetched += 1
            show(f"{folder}: fetched {fetched} of {packages}", lasting=fetched % STEP == 0)
        elif line.startswith("Installing"):
            show(f"{folder}: installing", lasting=True)
    if sys.stdout.isatty():
        print()
    return pip.wait()


def show(text: str, lasting: bool) -> None:
    """Show progress: on a terminal in one changing line, in a log only the lasting lines."""
    if sys.stdout.isatty():
        print(f"\r\033[K  {text}", end="", flush=True)
    elif lasting:
        print(f"  {text}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
