"""Ends an objective that is about to exhaust the memory of its container.

Where a container reaches its limit the kernel ends its processes, on Kubernetes all of them at once. Then nobody is
left to say why, and the trial costs a worker. So shortly before, its objective is ended and the trial fails.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from kfp_bayesopt.folder.trials import Reason
from kfp_bayesopt.trial.process.cgroups import Group, groups, of_machine
from kfp_bayesopt.trial.process.watchdog import end, members, processes

SHARE = 0.95
"""The share of a limit at which the largest objective of the container is ended."""
SHARE_OF_ANY = 0.975
"""The share at which our largest one is, although something else in the container is larger."""
MOST_PAUSE = 0.1
LEAST_PAUSE = 0.005
BYTES_A_SECOND = 4e9
"""Memory is looked at in time for one that grows so fast, down to the shortest pause."""
ENDED_FIRST = 300
"""What is added to the score by which the kernel chooses whom it ends, of 1000: our process is worth more."""
WAY_OUT = "give trials more memory (steps.evaluate.memory on Kubeflow and Vertex), or let them use less"


@dataclass
class Watched:
    """An objective whose memory is watched.

    Attributes:
        reason: Why it was ended; None unless it was.
        memory_bytes: The memory of its largest process then.
    """

    reason: Reason | None = None
    memory_bytes: int | None = None


class MemoryWatch:
    """Watches the memory of the container while objectives run; without a limit it does nothing."""

    def __init__(self, found: Sequence[Group] | None = None) -> None:
        """Find the limits.

        Args:
            found: The groups, its own first. By default those of this process.
        """
        self._groups = groups() if found is None else found
        machine = of_machine(b"MemTotal")
        self._limited = [group for group in self._groups if (limit := group.limit()) and limit < (machine or limit + 1)]
        self._lock = threading.Lock()
        self._watched: dict[int, Watched] = {}
        self._has_ended = threading.Event()

    @contextmanager
    def watching(self, leader: int) -> Iterator[Watched]:
        """Watch the memory while an objective runs.

        Args:
            leader: The process that leads its session.
        """
        watched = Watched()
        if not self._limited:
            yield watched
            return
        _end_first(leader)
        with self._lock:
            if not self._watched:
                self._has_ended = threading.Event()
                threading.Thread(target=self._run, args=(self._has_ended,), daemon=True).start()
            self._watched[leader] = watched
        try:
            yield watched
        finally:
            with self._lock:
                del self._watched[leader]
                if not self._watched:
                    self._has_ended.set()

    def kills(self) -> int:
        """Return how many processes of the container the kernel has ended for want of memory."""
        return self._groups[0].kills() if self._groups else 0

    def killed(self) -> Reason:
        """Return the reason of a trial whose process the kernel has ended for want of memory."""
        limit = f", whose limit is {_shown(least)}" if (least := self._least()) else ""
        where = "container" if limit else "machine"
        why = f"the kernel ended its process, because there was no memory left in the {where}{limit}; {WAY_OUT}"
        return Reason(kind="memory", exit=-signal.SIGKILL, message=why)

    def _least(self) -> int | None:
        return min((limit for group in self._limited if (limit := group.limit())), default=None)

    def _run(self, has_ended: threading.Event) -> None:
        pause = 0.0
        while not has_ended.wait(pause):
            pause = min([MOST_PAUSE, *(self._look(group) for group in self._limited)])

    def _look(self, group: Group) -> float:
        """Look at a group, end an objective if it is nearly full, and return the pause until the next look."""
        limit = group.limit()
        if not limit:
            return MOST_PAUSE
        used = group.used(enough=SHARE * limit)
        left = SHARE * limit - used
        is_full = left <= 0 and group.swap_left(of_machine(b"SwapFree")) <= (1 - SHARE) * limit
        if is_full and self._end_one(used, limit):
            return MOST_PAUSE  # until the kernel has counted what is free now
        return max(LEAST_PAUSE, left / BYTES_A_SECOND)

    def _end_one(self, used: int, limit: int) -> bool:
        """End our largest objective, unless something else in the container is larger and there is a little left."""
        running = processes()
        page = os.sysconf("SC_PAGE_SIZE")
        with self._lock:
            ours = {leader: members(running, [leader]) for leader, each in self._watched.items() if each.reason is None}
            if not ours:
                return False
            sizes = {leader: page * sum(running[pid][2] for pid in pids) for leader, pids in ours.items()}
            others: Counter[int] = Counter()
            for pid, (_, session, pages) in running.items():
                if not any(pid in pids for pids in ours.values()):
                    others[session] += page * pages
            leader = max(sizes, key=sizes.__getitem__)
            if not sizes[leader]:  # the kernel was faster
                return False
            if used < SHARE_OF_ANY * limit and sizes[leader] < max(others.values(), default=0):
                return False
            watched = self._watched[leader]
            watched.memory_bytes = max((page * running[pid][2] for pid in ours[leader]), default=None)
            watched.reason = Reason(
                kind="memory",
                message=f"the objective had {_shown(min(sizes[leader], used))} of memory when its container reached "
                f"{_shown(used)} of its limit of {_shown(limit)}, and was ended; {WAY_OUT}",
            )
        end([leader])
        return True


def _end_first(leader: int) -> None:
    """Let the kernel choose an objective and what it starts rather than the process that waits for it."""
    with suppress(OSError, ValueError):
        with open(f"/proc/{os.getpid()}/oom_score_adj") as file:  # noqa: PTH123
            score = int(file.read())
        with open(f"/proc/{leader}/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write(str(min(1000, score + ENDED_FIRST)))


def _shown(size: int) -> str:
    """Return a number of bytes as a person reads it, in the units of Kubernetes."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
