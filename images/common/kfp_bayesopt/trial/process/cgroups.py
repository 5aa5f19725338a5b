"""The limits on memory of the control groups (cgroups) that this process is in, and what is used of them.

A container has a group; so do a job of Slurm, a service of systemd and a notebook in a pod.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class _Files:
    """The names of the files of a group, in a version of control groups.

    Attributes:
        limit: The limit in bytes.
        used: What is used, page cache included.
        cache: The parts of `memory.stat` that the kernel takes back rather than end anybody.
        swap_limit: The limit on swap; in version 1 on memory and swap together.
        swap_used: What is used of that.
        events: Where `oom_kill` counts the processes that the kernel has ended for want of memory.
    """

    limit: str
    used: str
    cache: frozenset[bytes]
    swap_limit: str
    swap_used: str
    events: str


_V1 = _Files(
    "memory.limit_in_bytes", "memory.usage_in_bytes", frozenset({b"total_inactive_file", b"total_active_file"}),
    "memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes", "memory.oom_control",
)  # fmt: skip
_V2 = _Files(
    "memory.max", "memory.current", frozenset({b"inactive_file", b"active_file", b"slab_reclaimable"}),
    "memory.swap.max", "memory.swap.current", "memory.events",
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """A control group.

    Attributes:
        path: Its folder.
    """

    path: Path
    _files: _Files

    def limit(self) -> int | None:
        """Return its limit in bytes; None without one."""
        return _number(f"{self.path}/{self._files.limit}")

    def used(self, enough: float = 0.0) -> int:
        """Return the bytes used, without those that the kernel takes back before it ends anybody.

        That is the page cache: also its active part, which data that is read more than once fills up. Files in memory
        (tmpfs, /dev/shm) do count.

        Args:
            enough: If no more is used with the page cache, that number is returned, which costs less to read.
        """
        used = _number(f"{self.path}/{self._files.used}") or 0
        if used < enough:
            return used
        return max(0, used - sum(_counts(f"{self.path}/memory.stat", self._files.cache)))

    def swap_left(self, machine: int) -> int:
        """Return the bytes that the kernel may still move to swap.

        Args:
            machine: Those that are free on the machine.
        """
        if not machine:
            return 0
        most = _number(f"{self.path}/{self._files.swap_limit}")
        used = _number(f"{self.path}/{self._files.swap_used}") or 0
        if self._files is _V1:
            most = None if most is None else most - (self.limit() or 0)
            used -= _number(f"{self.path}/{self._files.used}") or 0
        return machine if most is None else max(0, min(machine, most - used))

    def kills(self) -> int:
        """Return how many of its processes the kernel has ended for want of memory."""
        return sum(_counts(f"{self.path}/{self._files.events}", {b"oom_kill"}))


def groups(process: Path = Path("/proc/self")) -> list[Group]:
    """Return the groups of a process that can be seen, its own first, then the groups around it."""
    try:
        own = [line.split(":", 2) for line in (process / "cgroup").read_text().splitlines()]
        mounts = [line.split(" ") for line in (process / "mountinfo").read_text().splitlines()]
    except (OSError, UnicodeDecodeError):  # another system
        return []
    paths = {
        "cgroup" if "memory" in kinds.split(",") else "cgroup2" if not kinds else "": path for _, kinds, path in own
    }
    found: list[Group] = []
    for mount in mounts:
        root, where = (_unescaped(each) for each in mount[3:5])
        kind, _, options = mount[mount.index("-") + 1 :]
        if kind not in paths or (kind == "cgroup" and "memory" not in options.split(",")):
            continue
        files = _V1 if kind == "cgroup" else _V2
        found += [group for path in _up(Path(where), root, paths[kind]) if _is_there(group := Group(path, files))]
    return found


def _is_there(group: Group) -> bool:
    return (group.path / "memory.stat").is_file()


def _up(where: Path, root: str, own: str) -> Iterator[Path]:
    """Yield the folders of a group and of those around it, below where a part of the hierarchy is mounted."""
    path = PurePosixPath(own)
    below = path.relative_to(root) if path.is_relative_to(root) and ".." not in path.parts else PurePosixPath()
    folder = where / below
    yield folder
    while folder != where:
        folder = folder.parent
        yield folder


def _unescaped(text: str) -> str:
    """Return a path of `mountinfo`, which writes spaces and the like as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _number(path: str) -> int | None:
    """Return the number in a file; None if it has none, such as `max`, or cannot be read."""
    try:
        return int(_content(path))
    except (OSError, ValueError):
        return None


def _counts(path: str, names: Collection[bytes]) -> Iterator[int]:
    """Yield the numbers that some lines of a file give."""
    with contextlib.suppress(OSError, ValueError):
        for line in _content(path).splitlines():
            name, _, number = line.partition(b" ")
            if name in names:
                yield int(number)


def _content(path: str) -> bytes:
    """Return the content of a short file; many times a second, so without the objects of Python for files."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 65_536)
    finally:
        os.close(descriptor)


def of_machine(name: bytes) -> int:
    """Return a number of `/proc/meminfo` in bytes, such as that of `MemTotal`; 0 if it is not there."""
    with contextlib.suppress(OSError, ValueError):
        for line in _content("/proc/meminfo").splitlines():
            if line.startswith(name + b":"):
                return int(line.split()[1]) * 1024
    return 0
