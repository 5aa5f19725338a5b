"""Runs the command of an objective, in a process of its own, and passes on its output.

It is started by the process that evaluates the trial, and stands in for the command: it waits for its request before it
runs anything, and measures the resources of the command. It imports little at the start, and the rest where needed,
because it runs for every trial.

Request: `{"token": "...", "command": [...], "environment": {...}, "folder": "..."}` and the end of a line, on standard
input. Outcome, as a line of JSON to the file descriptor named by the only argument: the token, either `"mistake":
"..."` if it cannot be run, or `"exit": 0, "last_line": "0.5"`, and `"processor_seconds": 1.5, "memory_bytes": 1000000`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import select
import subprocess
import sys
from typing import Any

# The bytes of a command's standard output that are kept for its last line.
KEPT = 65_536


def run(command: list[str], environment: dict[str, str], folder: str) -> dict[str, Any]:
    """Run a command; it ends with its process, whatever it leaves running in the background."""
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        return {"mistake": _why_not(command[0], error, environment, folder), "is_long": error.errno == errno.E2BIG}
    lines = _pass_on(process).decode(errors="replace").strip().splitlines()
    return {"exit": process.returncode, "last_line": lines[-1].strip() if lines else ""}


def _why_not(program: str, error: OSError, environment: dict[str, str], folder: str) -> str:
    """Return the reason a program cannot be run, and the way out."""
    problem = f"objective.command: cannot run {program!r}: {error.strerror}"
    path = os.path.join(folder, program)  # noqa: PTH118 - an import less
    if error.errno == errno.ENOENT and "/" not in program:
        here = os.path.exists(path)  # noqa: PTH110
        found = f"; it is in {folder}, so write './{program}'" if here else f"; searched {environment.get('PATH', '')}"
        is_python = not here and program in (
            "python",
            "python3",
        )  # a shell of `cron` has none, and many systems no `python`
        way_out = "; activate the environment of your code, or write the path of its Python" if is_python else ""
        return problem + found + way_out
    if error.errno == errno.ENOENT and os.path.exists(path):  # noqa: PTH110
        return f"{problem}; the program that its first line names (#!) is missing"
    if error.errno == errno.EACCES:
        return f"{problem}; it may not be run: `chmod +x {program}`, or name its interpreter: [python, {program}]"
    if error.errno == errno.ENOEXEC:
        return f"{problem}; it has no first line such as #!/bin/sh, or is of another processor"
    return problem


def _pass_on(process: subprocess.Popen[bytes]) -> bytes:
    """Pass on the output of a process until it has ended, and return the end of its standard output."""
    # A background child may hold both open for ever: after the end, the rest is read without waiting for more.
    rounds_left = 20
    assert process.stdout is not None
    assert process.stderr is not None
    targets = {process.stdout.fileno(): 1, process.stderr.fileno(): 2}
    printed = b""
    while targets and rounds_left:
        ended = process.poll() is not None
        ready = select.select(list(targets), [], [], 0 if ended else 0.1)[0]
        rounds_left -= ended
        if ended and not ready:
            break
        for source in ready:
            chunk = os.read(source, KEPT)
            if targets[source] == 1:
                printed = (printed + chunk)[-KEPT:]
            with contextlib.suppress(OSError):  # nobody reads it any more; the trial goes on
                write(targets[source], chunk)
            if not chunk:
                del targets[source]
    process.wait()
    return printed


def write(descriptor: int, content: bytes) -> None:
    """Write the whole content."""
    while content:
        content = content[os.write(descriptor, content) :]


def used() -> dict[str, Any]:
    """Return the resources used by the command and the children that it waited for."""
    command = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "processor_seconds": round(command.ru_utime + command.ru_stime, 3),
        "memory_bytes": command.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


def main() -> None:
    """Read the request and write the outcome."""
    text = sys.stdin.read()
    if not text.endswith("\n"):
        return  # whoever sends it is gone
    request = json.loads(text)
    pipe = int(sys.argv[1])
    os.set_inheritable(pipe, False)
    outcome = run(request["command"], request["environment"], request["folder"])
    write(pipe, json.dumps({"token": request["token"], **outcome, **used()}).encode() + b"\n")


if __name__ == "__main__":
    main()
