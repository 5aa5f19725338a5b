"""Kills the process it is imported in, just before one of the changes that it makes to a folder.

Python imports this module by itself where its folder is on PYTHONPATH. The environment says whom it
concerns: KILL_PROGRAM, a part of the command line; KILL_FOLDER, whose changes are counted; KILL_AT,
the number of the change; and KILL_COUNT, a file that gets the number of all changes at the end.
"""

import atexit
import os
import signal
import sys
import threading
from pathlib import Path

FOLDER = os.environ.get("KILL_FOLDER", "/none")
AT = int(os.environ.get("KILL_AT", "0"))
CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.link")
lock, changes = threading.Lock(), 0


def count(event: str, arguments: tuple[object, ...]) -> None:
    """Count a change, and kill this process where its number has come."""
    global changes
    if event == "open":
        path, _, flags = arguments
        changing = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) != 0
    else:
        changing, path = event in CHANGES, arguments[0] if arguments else None
    if changing and isinstance(path, str | os.PathLike) and os.fspath(path).startswith(FOLDER):
        with lock:
            changes += 1
            if changes == AT:
                os.kill(os.getpid(), signal.SIGKILL)


if os.environ.get("KILL_PROGRAM", "\0") in " ".join(sys.orig_argv):
    sys.addaudithook(count)
    if "KILL_COUNT" in os.environ:
        atexit.register(lambda: Path(os.environ["KILL_COUNT"]).write_text(str(changes)))
