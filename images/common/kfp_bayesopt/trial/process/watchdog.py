"""Ends sessions: all processes that a program has started.

As a program it is the watchdog of its parent process. It reads the sessions from its standard input, as lines `+PID`
and `-PID`, and folders, as `+/HEX` and `-/HEX` of a path. At the end of the input, when the parent has ended in any way
at all, it kills the remaining sessions and removes the remaining folders. It imports little, because it starts beside
every trial of a container.
"""

from __future__ import annotations

import os
import signal
import sys
import time

TYPE_CHECKING = False  # that of `typing` takes longer to import than all of the above
if TYPE_CHECKING:
    from collections.abc import Collection

# The time for an objective to stop when asked, and for a killed process to be gone.
STOP_SECONDS = 5.0
POLL_SECONDS = 0.02


def end(leaders: Collection[int], grace: float = 0.0) -> None:
    """End all processes of sessions and their descendants, until none is left.

    Args:
        leaders: The processes that lead the sessions.
        grace: The seconds between the request to stop and the kill.
    """
    known: set[int] = set()
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, STOP_SECONDS)):
        deadline = time.monotonic() + seconds
        while seconds and (members := _members(leaders, known)):
            # Asked once, but killed until it is dead: it may be in the middle of a fork.
            for pid in members if number == signal.SIGKILL else members - known:
                _signal(pid, number)
            known |= members
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)


def _signal(pid: int, number: int) -> None:
    try:  # noqa: SIM105 - an import less
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):  # gone, or it has become another user's
        pass


def _members(leaders: Collection[int], known: Collection[int]) -> set[int]:
    """Return the processes of sessions and their descendants; without /proc, the process groups as negative numbers.

    Args:
        leaders: The processes that lead the sessions.
        known: Processes that were members when their parents were still there.
    """
    running = processes()
    if not running:
        return {-leader for leader in leaders if _has_group(leader)}
    return members(running, leaders, known)


def members(
    running: dict[int, tuple[int, int, int]], leaders: Collection[int], known: Collection[int] = ()
) -> set[int]:
    """Return those of the running processes that are of some sessions, and their descendants."""
    found = {pid for pid, (_, session, _) in running.items() if session in leaders or pid in known}
    # A child that started a session of its own belongs to them too.
    while more := {pid for pid, (parent, _, _) in running.items() if parent in found} - found:
        found |= more
    return found


def processes() -> dict[int, tuple[int, int, int]]:
    """Return the parent, the session and the memory in pages of each process; nothing without /proc."""
    found: dict[int, tuple[int, int, int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():  # noqa: PTH112, PTH208 - fast
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - fast
                fields = file.read().rpartition(b")")[2].split()
        except OSError:  # it has just ended
            continue
        if fields[0] not in (b"Z", b"X"):
            found[int(name)] = int(fields[1]), int(fields[3]), int(fields[21])
    return found


def _has_group(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    """Watch the process that writes to our standard input."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with the process, not before
    left: set[str] = set()
    for line in sys.stdin:
        (left.add if line[0] == "+" else left.discard)(line[1:].strip())
    end({int(each) for each in left if each.isdigit()})
    if folders := [bytes.fromhex(each[1:]) for each in left if each.startswith("/")]:
        import shutil  # rarely needed, and slow to import

        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
