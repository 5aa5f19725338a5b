"""Sets up an environment from a lock: `python3 -m locks.install FOLDER LOCK`.

It runs on a bare Python, before any package is there, and says so at once when that Python is too old.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TextIO

STEP = 20  # packages between two lines in a log


def main(folder: str, lock: str) -> None:
    """Set up an environment; its mark, the file `installed`, comes last, so that a broken set-up is done again."""
    if sys.version_info < (3, 11):  # noqa: UP036 (an older one runs this too)
        version = platform.python_version()
        sys.exit(f"Python 3.11 or later is needed, but {sys.executable} is {version}; use: make PYTHON=python3.12")
    packages = len(re.findall(r"^[\w.-]+==", Path(lock).read_text(), re.MULTILINE))
    duration = "less than a minute" if packages < 50 else "one or two minutes"
    print(f"setting up {folder} from {lock}: {packages} packages, {duration}", flush=True)
    if Path(folder).exists():
        shutil.rmtree(folder)
    if subprocess.run([sys.executable, "-m", "venv", folder]).returncode:
        sys.exit(f"cannot create {folder}; on Debian, first: apt install python3-venv")
    log = Path(folder) / "install.log"
    with log.open("w") as file:
        failed = install(folder, lock, packages, file)
    if failed:
        errors = [line for line in log.read_text().splitlines() if line.startswith("ERROR:")]
        sys.exit("\n".join([*errors, f"cannot install {lock}; the whole output of pip is in {log}"]))
    (Path(folder) / "installed").touch()


def install(folder: str, lock: str, packages: int, log: TextIO) -> int:
    """Install what a lock names, ask for nothing else, and show how far it is; return the status of pip."""
    command = [f"{folder}/bin/python", "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    # Compiling takes as long as all the rest. Python does it for a module when it is first imported, if it may.
    command += [] if sys.dont_write_bytecode else ["--no-compile"]
    command += ["--no-deps", "--require-hashes", "--requirement", lock]
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
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
    """Print how far it is: on a terminal in one line that changes, in a log only what is to stay there."""
    if sys.stdout.isatty():
        print(f"\r\033[K  {text}", end="", flush=True)
    elif lasting:
        print(f"  {text}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
