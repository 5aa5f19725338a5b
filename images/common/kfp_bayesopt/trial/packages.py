"""The packages of a function, for its trials in an image: installed from the wheels of its lock, without an index.

A process installs them once, and each trial has a folder of its own with links to these files, which takes a tenth of
the time. What a trial changes in them all the same is installed again before the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary

from kfp_bayesopt import hints
from kfp_bayesopt.errors import NoRoomError, NotFoundError, UserError
from kfp_bayesopt.function.file import FunctionFile
from kfp_bayesopt.function.lock import Lock, Pin
from kfp_bayesopt.runtime import is_image
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.function import Function
from kfp_bayesopt.trial.process.interpreters import python_of
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError, temporary_folder

THREADS = 4
FUNCTION_FILE = "function.dill"
PACKAGES = ".packages"
WHERE = "objective.function.lock"
SEARCHED = "PYTHONPATH"

logger = logging.getLogger(__name__)

State = dict[str, tuple[int, int]]


@dataclass
class Installed:
    """The packages of a lock, as a process has installed them.

    Attributes:
        folder: The folder.
        state: When each file in it was written, and its size.
        compiled: The modules in it that are compiled.
        imported: Those that trials have imported.
    """

    folder: Path
    state: State
    compiled: set[str] = field(default_factory=set)
    imported: set[str] = field(default_factory=set)


_INSTALLED: WeakKeyDictionary[Sessions, dict[str, Installed]] = WeakKeyDictionary()


@contextlib.contextmanager
def brought_along(
    function: Function | None,
    file: FunctionFile | None,
    own: Path,
    environment: Mapping[str, str],
    sessions: Sessions,
) -> Iterator[dict[str, str]]:
    """Put a function that travels into the folder of a trial, in an image with its packages.

    Its process finds them after the folder that it runs in and the standard library, before those of the image.

    Args:
        function: The function of the study; there is nothing to do without one.
        file: Its file.
        own: The folder of the trial.
        environment: The environment of the objective.
        sessions: Start and end what installs packages.

    Yields:
        The variables of the objective by which it finds the packages.

    Raises:
        StoppedError: The sessions were stopped.
        UnavailableError: The cache of wheels does not answer, or there is no room.
        UserError: A wheel is missing or another one, or cannot be installed.
    """
    if function is None or file is None:
        yield {}
        return
    (own / FUNCTION_FILE).write_bytes(file.content)
    python = python_of(environment) if is_image() and file.lock is not None else None
    if file.lock is None or python is None:
        yield {}
        return
    clock, folder = time.monotonic(), own / PACKAGES
    found = _installed(function, file.lock, python, environment, sessions)
    _link_all(found.folder, folder)
    logger.info("%d packages of %s in %.1f s", len(file.lock.pins), function.name, time.monotonic() - clock)
    searched = environment.get(SEARCHED)
    yield {SEARCHED: f"{folder}{os.pathsep}{searched}" if searched else str(folder)}
    found.imported |= {name for name in map(_module_of, _state(folder).keys() - found.state.keys()) if name}


def _installed(
    function: Function, lock: Lock, python: str, environment: Mapping[str, str], sessions: Sessions
) -> Installed:
    """Return the packages of a lock as this process has installed them, as they were then."""
    of_process = _INSTALLED.setdefault(sessions, {})
    found = of_process.get(lock.sha256)
    if found is not None and _state(found.folder) != found.state:
        logger.warning("a trial has changed files of its packages; they are installed again")
        shutil.rmtree(found.folder)
        found = None
    if found is None:
        room = sessions.lasting.enter_context(temporary_folder(sessions))
        _install(room, function, lock, python, environment, sessions)
        found = of_process[lock.sha256] = Installed(room / "packages", _state(room / "packages"))
    elif new := found.imported - found.compiled:
        _compile(found, sorted(new), python, environment, sessions)
    return found


def _install(
    room: Path, function: Function, lock: Lock, python: str, environment: Mapping[str, str], sessions: Sessions
) -> None:
    wheels, target = room / "wheels", room / "packages"
    wheels.mkdir()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda pin: _fetch(pin, function.wheels or "", wheels, sessions), lock.pins))
    (room / "lock.txt").write_bytes(lock.content)
    command = ["install", "--no-index", "--find-links", str(wheels), "--require-hashes", "--no-deps"]
    command += ["--only-binary=:all:", "--target", str(target), "--no-compile", "--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--requirement", str(room / "lock.txt")]
    status, said = _run([python, "-I", "-m", "pip", *command], environment, sessions)
    if status:
        raise _refused(function, lock, python, status, said)
    shutil.rmtree(wheels)
    # As for packages of the image, the standard library comes first.
    for path in target.iterdir():
        if path.name.partition(".")[0] in sys.stdlib_module_names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _fetch(pin: Pin, cache: str, folder: Path, sessions: Sessions) -> None:
    """Copy a wheel from the cache.

    Raises:
        UserError: It is not there, or another one.
    """
    uri, path = pin.uri(cache), folder / pin.file
    again = "tune the function again, which puts it there"
    try:
        storage.copy(uri, str(path), lambda: sessions.is_stopped)
    except NotFoundError:
        raise UserError(f"{uri}: the wheel of {pin} is not there; {again}") from None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != pin.sha256:
        raise UserError(
            f"{uri}: is not the wheel of {pin} that the lock names: its SHA-256 is {found[:12]}…; find out who wrote "
            f"it, delete it, and {again}"
        )


def _refused(function: Function, lock: Lock, python: str, status: int, said: str) -> UserError:
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("WARNING")]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    why = (errors or lines or [f"pip exited {status}"])[-1]
    if "No space left on device" in said:
        return NoRoomError(f"{WHERE}: the packages of {function.name} need room: {why}")
    if "No module named pip" in said:
        why = "it has no pip"
    for pin in lock.pins:
        if f"No matching distribution found for {pin}" in said:
            why = f"{pin.file} is for other machines, or for another Python"
    return UserError(
        f"{WHERE}: {python} cannot install the packages of {function.name}: {why}; use an image of Python "
        f"{function.python} with pip, or say {hints.IMAGE_BUILD} for one that has them"
    )


def _compile(
    found: Installed, modules: Sequence[str], python: str, environment: Mapping[str, str], sessions: Sessions
) -> None:
    """Compile modules that trials have imported, from the files that were installed: each trial would do it again."""
    modules = [name for name in modules if name in found.state]
    names = found.folder.with_name("modules.txt")
    names.write_text("".join(f"{found.folder / name}\n" for name in modules))
    _run([python, "-I", "-m", "compileall", "-q", "-i", str(names)], environment, sessions)
    found.compiled.update(found.imported)
    found.state = _state(found.folder)


def _run(command: Sequence[str], environment: Mapping[str, str], sessions: Sessions) -> tuple[int, str]:
    """Run a program of the person's Python, without settings of pip, and return its exit status and its output."""
    given = {name: value for name, value in environment.items() if not name.startswith("PIP_")}
    with tempfile.TemporaryFile() as output:
        process = sessions.start(command, (), output.fileno(), given | {"PIP_CONFIG_FILE": os.devnull})
        assert process.stdin is not None
        try:
            process.stdin.close()
            status = process.wait()
        finally:
            sessions.end(process)
        if sessions.is_stopped:
            raise StoppedError
        output.seek(0)
        return status, output.read().decode(errors="replace")


def _link_all(source: Path, target: Path) -> None:
    """Make a folder with links to all files of another one."""
    for here, _, files in os.walk(source):
        folder = os.path.join(target, os.path.relpath(here, source))  # noqa: PTH118 - thousands of them
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        for name in files:
            each = os.path.join(here, name), os.path.join(folder, name)  # noqa: PTH118
            try:
                os.link(*each)
            except OSError:  # a file system without hard links
                shutil.copy2(*each)


def _state(folder: Path) -> State:
    found = {}
    for here, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(here, name)  # noqa: PTH118 - thousands of them
            about = os.lstat(path)
            found[os.path.relpath(path, folder)] = about.st_mtime_ns, about.st_size
    return found


def _module_of(name: str) -> str | None:
    """Return the module that a file is compiled from; None if it is none."""
    path = Path(name)
    if path.suffix != ".pyc" or path.parent.name != "__pycache__":
        return None
    return str(path.parent.parent / f"{path.name.partition('.')[0]}.py")
