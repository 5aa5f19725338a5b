"""The memory of a container: its limits in both versions of control groups, and what happens shortly before one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.folder.failures import alike
from kfp_bayesopt.folder.trials import Reason, Record
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.evaluation import run_objective
from kfp_bayesopt.trial.process import memory
from kfp_bayesopt.trial.process.cgroups import Group, groups, of_machine
from kfp_bayesopt.trial.process.memory import MemoryWatch
from kfp_bayesopt.trial.process.output import Output
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt.trial.process.watchdog import end
from tests.builders import a_record, a_suggestion, write_study
from tests.processes import gone

MIB = 2**20
V1 = {"limit": "memory.limit_in_bytes", "used": "memory.usage_in_bytes", "events": "memory.oom_control"}
V2 = {"limit": "memory.max", "used": "memory.current", "events": "memory.events"}
SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}


def a_group(
    folder: Path, version: int, limit: int | None, used: int = 0, cache: int = 0, kills: int = 0, **others: int
) -> None:
    """Write the files of a control group, as the kernel does."""
    names, prefix = (V1, "total_") if version == 1 else (V2, "")
    folder.mkdir(parents=True, exist_ok=True)
    none = "max" if version == 2 else str(2**63 - 4096)
    (folder / names["limit"]).write_text(f"{none if limit is None else limit}\n")
    (folder / names["used"]).write_text(f"{used}\n")
    stat = f"anon 1\nfile 2\n{prefix}inactive_file {cache - cache // 4}\n{prefix}active_file {cache // 4}\nshmem 9\n"
    (folder / "memory.stat").write_text(stat + ("slab_reclaimable 0\n" if version == 2 else ""))
    before = "oom_kill_disable 0\nunder_oom 0\n" if version == 1 else "low 0\nhigh 0\nmax 7\noom 3\n"
    (folder / names["events"]).write_text(f"{before}oom_kill {kills}\n")
    for name, number in others.items():
        (folder / name.replace("__", ".")).write_text(f"{number}\n")


def a_process(folder: Path, mounts: list[tuple[str, Path, str]], cgroup: str) -> Path:
    """Write what the kernel says of the groups of a process: root, folder and kind of each mount, and its groups."""
    lines = [
        f"{40 + n} 31 0:{35 + n} {root} {str(where).replace(' ', chr(92) + '040')} ro,nosuid shared:9 - {kind}"
        for n, (root, where, kind) in enumerate(mounts)
    ]
    folder.mkdir()
    (folder / "mountinfo").write_text("22 1 0:20 / / rw - ext4 /dev/root rw\n" + "\n".join(lines) + "\n")
    (folder / "cgroup").write_text(cgroup)
    return folder


# --- the limits --------------------------------------------------------------------------------


def test_in_a_container_of_version_2_the_group_is_the_mounted_folder(tmp_path: Path) -> None:
    """The container has a namespace of its own, as with containerd and Docker today."""
    a_group(tmp_path / "cgroup", 2, 256 * MIB, used=200 * MIB, cache=40 * MIB, kills=2)
    process = a_process(tmp_path / "self", [("/", tmp_path / "cgroup", "cgroup2 cgroup rw")], "0::/\n")
    (group,) = groups(process)
    assert (group.limit(), group.used(), group.kills()) == (256 * MIB, 160 * MIB, 2)


def test_in_a_container_of_version_1_the_group_is_the_mounted_folder(tmp_path: Path) -> None:
    """Docker 20.10: the process sees its path on the machine, of which its folder is mounted."""
    a_group(tmp_path / "memory", 1, 256 * MIB, used=200 * MIB, cache=40 * MIB, kills=2)
    mounts = [("/docker/9ea2", tmp_path / "cpu", "cgroup cgroup rw,cpu")]
    mounts.append(("/docker/9ea2", tmp_path / "memory", "cgroup cgroup rw,memory"))
    process = a_process(tmp_path / "self", mounts, "4:memory:/docker/9ea2\n1:cpu:/docker/9ea2\n0::/docker/9ea2\n")
    (group,) = groups(process)
    assert (group.limit(), group.used(), group.kills()) == (256 * MIB, 160 * MIB, 2)


@pytest.mark.parametrize("version", [1, 2])
def test_the_limits_of_groups_around_it_count_too(version: int, tmp_path: Path) -> None:
    """A job of Slurm, a slice of systemd, a pod as its machine sees it."""
    where = tmp_path / "with a space"
    own = where / "system.slice/job_7/step_0"
    a_group(where / "system.slice/job_7", version, 100 * MIB)
    a_group(own, version, None)
    a_group(where / "system.slice", version, None)
    kind, line = ("cgroup x rw,memory", "3:cpu,memory:") if version == 1 else ("cgroup2 x rw", "0::")
    found = groups(a_process(tmp_path / "self", [("/", where, kind)], f"{line}/system.slice/job_7/step_0\n"))
    assert [group.path for group in found] == [own, own.parent, own.parent.parent]
    limits = [group.limit() for group in found]
    assert limits[1] == 100 * MIB
    assert [group.path for group in MemoryWatch(found)._limited] == [own.parent]


def test_where_version_2_has_other_controllers_the_limit_is_that_of_version_1(tmp_path: Path) -> None:
    a_group(tmp_path / "memory", 1, 100 * MIB)
    (tmp_path / "unified").mkdir()
    mounts = [("/", tmp_path / "unified", "cgroup2 cgroup2 rw"), ("/", tmp_path / "memory", "cgroup cgroup rw,memory")]
    (group,) = groups(a_process(tmp_path / "self", mounts, "8:memory:/\n0::/\n"))
    assert group.limit() == 100 * MIB


def test_a_group_outside_of_what_is_mounted_is_that_of_the_mount(tmp_path: Path) -> None:
    a_group(tmp_path / "cgroup", 2, 100 * MIB)
    process = a_process(tmp_path / "self", [("/", tmp_path / "cgroup", "cgroup2 c rw")], "0::/../../other\n")
    assert [group.path for group in groups(process)] == [tmp_path / "cgroup"]


@pytest.mark.parametrize("content", [None, "", "nonsense\n", "0::/\n"])
def test_without_control_groups_nothing_is_watched(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "cgroup").write_text(content)
    if content == "0::/\n":
        (tmp_path / "mountinfo").write_text("22 1 0:20 / / rw - ext4 /dev/root rw\n")
    assert groups(tmp_path) == []
    assert MemoryWatch([])._limited == []


def test_those_of_this_machine_can_be_read() -> None:
    for group in groups():
        assert group.used() >= 0
        assert group.kills() >= 0
    assert of_machine(b"MemTotal") > 2**28
    assert of_machine(b"NoSuchThing") == 0


def test_a_limit_beyond_the_memory_of_the_machine_is_none(tmp_path: Path) -> None:
    a_group(tmp_path / "a", 2, 2**60)
    a_group(tmp_path / "b", 2, 100 * MIB)
    process = a_process(tmp_path / "self", [("/", tmp_path, "cgroup2 c rw")], "0::/a\n")
    (group,) = groups(process)
    assert MemoryWatch([group])._limited == []


@pytest.mark.parametrize("version", [1, 2])
def test_swap_that_is_left_is_used_before_anybody_is_ended(version: int, tmp_path: Path) -> None:
    more = {
        1: {"memory__memsw__limit_in_bytes": 150 * MIB, "memory__memsw__usage_in_bytes": 116 * MIB},
        2: {"memory__swap__max": 50 * MIB, "memory__swap__current": 20 * MIB},
    }
    a_group(tmp_path / "group", version, 100 * MIB, used=96 * MIB, **more[version])
    kind, line = ("cgroup x rw,memory", "3:memory:/") if version == 1 else ("cgroup2 x rw", "0::/")
    (group,) = groups(a_process(tmp_path / "self", [("/", tmp_path / "group", kind)], line + "\n"))
    assert group.swap_left(10**12) == 30 * MIB
    assert group.swap_left(4 * MIB) == 4 * MIB
    assert group.swap_left(0) == 0


# --- shortly before one ------------------------------------------------------------------------


@contextmanager
def watched_by(watch: MemoryWatch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sessions]:
    with monkeypatch.context() as patch, Sessions() as sessions:
        patch.setattr(sessions, "memory", watch)
        yield sessions


@pytest.fixture
def group(tmp_path: Path) -> Group:
    """Return a group with a limit of 100 MiB that nobody uses yet."""
    a_group(tmp_path / "group", 2, 100 * MIB)
    (found,) = groups(a_process(tmp_path / "self", [("/", tmp_path / "group", "cgroup2 x rw")], "0::/\n"))
    return found


def evaluated(folder: Path, sessions: Sessions, code: str, **changes: Any) -> Record:
    study = Study.from_file(str(write_study(folder, code, **{"space": SPACE, **changes})))
    return run_objective(study, a_suggestion(study, 1, {"x": 2.5}), 1, folder, sessions, Output())


# Its child leaves the session. The group is full once all run.
FILLS = """
import os, pathlib, subprocess, sys, time
def objective(x):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    pathlib.Path("pids").write_text(f"{os.getpid()} {child.pid}")
    print("so far so good", flush=True)
    pathlib.Path(GROUP, "memory.current").write_text(str(USED * 2**20))
    time.sleep(600)
"""


@pytest.mark.parametrize("how", ["a function", "a command"])
def test_an_objective_that_is_about_to_exhaust_its_container_is_ended_with_all_of_its_processes(
    how: str, group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = FILLS.replace("GROUP", repr(str(group.path))).replace("USED", "99")
    as_command = {"command": ["sh", "-c", f"{sys.executable} -c 'import mine; mine.objective({{x}})'; exit $?"]}
    with watched_by(MemoryWatch([group]), monkeypatch) as sessions:
        record = evaluated(tmp_path, sessions, code, **({"objective": as_command} if how == "a command" else {}))
    assert record.reason is not None
    assert (record.state, record.values, record.reason.kind) == ("failed", {}, "memory")
    assert record.reason.message.partition(" MiB of memory ")[2] == (
        "when its container reached 99 MiB of its limit of 100 MiB, and was ended; give trials more memory "
        "(steps.evaluate.memory on Kubeflow and Vertex), or let them use less"
    )
    assert record.reason.last_lines == ["so far so good"]
    assert (record.memory_bytes or 0) > MIB
    assert record.is_final  # no retry mends it, and it is data
    assert all(gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def test_below_95_percent_nothing_is_ended(group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = FILLS.replace("GROUP", repr(str(group.path))).replace("USED", "94")
    with watched_by(MemoryWatch([group]), monkeypatch) as sessions:
        assert evaluated(tmp_path, sessions, code.replace("    time.sleep(600)", "    return x")).value == 2.5


def test_the_page_cache_is_nobodys(group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that has read much data is full of it, and nobody need end."""
    a_group(group.path, 2, 100 * MIB, used=100 * MIB, cache=20 * MIB)
    code = "import time\ndef objective(x):\n    time.sleep(0.5)\n    return x"
    with watched_by(MemoryWatch([group]), monkeypatch) as sessions:
        assert evaluated(tmp_path, sessions, code).value == 2.5


def test_a_value_that_was_there_before_counts(group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fills the container after it has returned, while it exits, costs no value."""
    fill = f"pathlib.Path({str(group.path)!r}, 'memory.current').write_text(str(99 * 2**20))"
    code = "import atexit, pathlib, time\ndef objective(x):\n    atexit.register(time.sleep, 600)\n"
    code += f"    atexit.register(lambda: {fill})\n    return x"
    with watched_by(MemoryWatch([group]), monkeypatch) as sessions:
        record = evaluated(tmp_path, sessions, code)
    assert (record.state, record.value) == ("completed", 2.5)


def test_of_several_trials_the_largest_is_ended(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `bayesopt run` has them in a notebook with a limit."""

    def end_and_count(leaders: list[int]) -> None:
        end(leaders)
        a_group(group.path, 2, 100 * MIB, used=50 * MIB)

    monkeypatch.setattr(memory, "end", end_and_count)
    eats = 'import os, sys, time; kept = bytearray(int(sys.argv[1]) * 2**20); os.write(1, b"1"); time.sleep(600)'
    with watched_by(MemoryWatch([group]), monkeypatch) as sessions:
        both = []
        for size in (10, 400):
            command = [sys.executable, "-c", eats, str(size)]
            reader, writer = os.pipe()
            both.append(sessions.start(command, [], writer, os.environ))
            os.close(writer)
            os.read(reader, 1)
            os.close(reader)
        small, large = both
        with sessions.memory.watching(small.pid) as spared, sessions.memory.watching(large.pid) as ended:
            a_group(group.path, 2, 100 * MIB, used=98 * MIB)
            assert large.wait(30) == -9
            assert ended.reason is not None
            assert ended.reason.message.startswith("the objective had 98 MiB")
            assert spared.reason is None
            assert small.poll() is None
        for each in both:
            assert each.stdin is not None
            each.stdin.close()
            sessions.end(each)


def test_something_larger_beside_it_is_ended_by_whoever_watches_that(
    group: Group, sleeping: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 95 % only the largest of the container; at 97.5 % nobody else has done anything."""
    page = os.sysconf("SC_PAGE_SIZE")
    running = {sleeping.pid: (os.getpid(), sleeping.pid, 10 * MIB // page), 999_999: (1, 999_999, 50 * MIB // page)}
    monkeypatch.setattr(memory, "processes", lambda: running)
    watch = MemoryWatch([group])
    watched = memory.Watched()
    watch._watched[sleeping.pid] = watched
    watch._end_one(96 * MIB, 100 * MIB)
    assert watched.reason is None
    assert sleeping.poll() is None
    watch._end_one(98 * MIB, 100 * MIB)
    assert watched.reason is not None
    assert sleeping.wait(10) == -9


@pytest.fixture
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


def test_where_the_kernel_is_first_the_reason_is_the_same(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts the processes that it has ended; one that was killed by somebody else is no matter of memory."""
    code = "import os, pathlib, signal\ndef objective(x):\n    FILL\n    os.kill(os.getpid(), signal.SIGKILL)"
    events = str(group.path / "memory.events")
    with watched_by(MemoryWatch([group]), monkeypatch) as sessions:
        filled = code.replace("FILL", f"pathlib.Path({events!r}).write_text('oom 1\\noom_kill 1\\n')")
        record = evaluated(tmp_path, sessions, filled)
        other = evaluated(tmp_path, sessions, code.replace("FILL", "pass"))
    assert record.reason is not None
    assert (record.reason.kind, record.reason.exit) == ("memory", -9)
    assert record.reason.message == (
        "the kernel ended its process, because there was no memory left in the container, whose limit is 100 MiB; give "
        "trials more memory (steps.evaluate.memory on Kubeflow and Vertex), or let them use less"
    )
    assert other.reason is not None
    assert other.reason.kind == "exit"


def test_the_kernel_is_to_end_an_objective_rather_than_the_process_that_waits_for_it(
    group: Group, sleeping: subprocess.Popen[bytes]
) -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    with MemoryWatch([group]).watching(sleeping.pid):
        assert int(Path(f"/proc/{sleeping.pid}/oom_score_adj").read_text()) == min(1000, own + memory.ENDED_FIRST)


@pytest.mark.parametrize(
    ("used", "pause"), [(10, 0.1 / 4.5), (90, 0.005), (94.9, memory.LEAST_PAUSE), (0, memory.MOST_PAUSE)]
)
def test_the_nearer_the_limit_the_sooner_it_is_looked_at_again(used: float, pause: float, tmp_path: Path) -> None:
    limit = 100 * MIB if used else 900 * MIB
    a_group(tmp_path / "group", 2, limit, used=int(used * MIB))
    (group,) = groups(a_process(tmp_path / "self", [("/", tmp_path / "group", "cgroup2 x rw")], "0::/\n"))
    assert min(memory.MOST_PAUSE, MemoryWatch([group])._look(group)) == pytest.approx(pause, rel=0.01)


def test_it_is_watched_only_while_a_trial_runs(group: Group, sleeping: subprocess.Popen[bytes]) -> None:
    before = threading.active_count()
    watch = MemoryWatch([group])
    for _ in range(2):
        with watch.watching(sleeping.pid):
            assert threading.active_count() == before + 1
        deadline = time.monotonic() + 10
        while threading.active_count() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert threading.active_count() == before


def test_two_trials_that_used_too_much_memory_say_nothing_of_others(tmp_path: Path) -> None:
    """As with time: other parameters may need less."""
    study = Study.from_file(str(write_study(tmp_path, "def objective(x): return x", space=SPACE)))
    reason = Reason(kind="memory", message="too much")
    ended = [a_record(study, trial).model_copy(update={"state": "failed", "reason": reason}) for trial in (1, 2)]
    assert alike(study, str(tmp_path), ended) is None
