"""Every lock names all that its packages need, so that a set-up installs the same next year."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from locks import closed, write
from locks.closed import (
    MACHINES,
    Machine,
    Metadata,
    gaps,
    key,
    machines_of,
    metadata_of,
    pins_for,
    read_metadata,
    read_project,
    read_requirements,
)
from tests import ROOT
from tests.test_repository import tracked

LOCKS = [f"{folder}/requirements.txt" for folder in write.folders()]
OPTIMIZER = "images/common/requirements.txt"
METADATA = read_metadata(ROOT / closed.METADATA)
OUTSIDE = {canonicalize_name(requirement.name) for requirement in read_requirements(ROOT / closed.OUTSIDE)}


def _lock(name: str) -> list[Requirement]:
    pins = read_requirements(ROOT / name)
    assert pins, name
    return pins


def _asked(lock: str) -> list[Requirement]:
    return read_requirements(ROOT / lock.replace(".txt", ".in"))


def _needed_anywhere(lock: str) -> dict[str, Requirement]:
    return {
        key(pin): pin
        for machine in machines_of(str(Path(lock).parent))
        for pin in pins_for(machine, _lock(lock)).values()
    }


# --- every lock is closed ----------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_of_every_package_of_a_lock_is_met_in_it(lock: str) -> None:
    assert gaps(_asked(lock), _lock(lock), METADATA, OUTSIDE, machines_of(str(Path(lock).parent))) == []


def test_the_locks_that_are_written_are_all_that_there_are() -> None:
    assert [name for name in tracked() if re.search(r"requirements[\w-]*\.txt$", name)] == sorted(LOCKS)


def test_what_packages_need_is_known_of_the_pins_alone() -> None:
    assert sorted(METADATA) == sorted({name for lock in LOCKS for name in _needed_anywhere(lock)})


def test_what_packages_need_is_what_the_packages_installed_here_say() -> None:
    here = Machine(".".join(platform.python_version_tuple()[:2]), MACHINES[0].platform)
    for pin in pins_for(here, _lock("tests/requirements.txt")).values():
        package = importlib.metadata.distribution(pin.name)
        assert pin.specifier.contains(package.version, prereleases=True)
        assert METADATA[key(pin)] == metadata_of(package), key(pin)


def test_what_stands_outside_is_asked_for_by_a_package_has_a_reason_and_is_in_no_lock() -> None:
    asked_for = {
        canonicalize_name(Requirement(text).name) for package in METADATA.values() for text in package["requires"]
    }
    assert asked_for >= OUTSIDE
    assert not OUTSIDE & {canonicalize_name(pin.name) for lock in LOCKS for pin in _lock(lock)}
    for line in (ROOT / closed.OUTSIDE).read_text().splitlines():
        assert re.fullmatch(r"(# .*|[\w-]+  # \w.*)", line)


# --- what is said of a lock that is not --------------------------------------------------------


def _gaps(asked: str, *lock: str, outside: str = "", **requires: str) -> list[str]:
    """Return the gaps of a lock; of each package, what it requires."""
    metadata: dict[str, Metadata] = {
        key(Requirement(pin)): {
            "python": requires.get("python", ""),
            "requires": [text for text in requires.get(Requirement(pin).name, "").split(" & ") if text],
        }
        for pin in lock
    }
    return gaps([Requirement(asked)], [*map(Requirement, lock)], metadata, set(outside.split()))


def test_a_closed_lock_has_no_gaps() -> None:
    assert _gaps("a", "a==1", "b==2", a="b>=1", b="a") == []


def test_a_package_that_is_not_there_is_named_with_who_needs_it() -> None:
    assert _gaps("a", "a==1", "b==2", a="b", b="c>=3") == ["b==2 needs c>=3, which is not in the lock"]


def test_a_package_that_people_ask_for_must_be_there() -> None:
    assert _gaps("b", "a==1") == ["requirements.in needs b, which is not in the lock"]


def test_a_version_that_does_not_do_is_named() -> None:
    assert _gaps("a", "a==1", "b==2", a="b>2") == ["a==1 needs b>2, but the lock has 2"]


def test_an_extra_is_followed_where_something_asks_for_it() -> None:
    extra = "c; extra == 'fast'"
    assert _gaps("a", "a==1", "b==2", a="b", b=extra) == []
    assert _gaps("a", "a==1", "b==2", a="b[fast]", b=extra) == ["b==2 needs c, which is not in the lock"]
    assert _gaps("b[fast]", "b==2", b=extra) == ["b==2 needs c, which is not in the lock"]


def test_a_package_of_one_python_or_platform_is_missed_there() -> None:
    assert _gaps("a", "a==1", a="b; python_version < '3.12' and sys_platform == 'darwin'") == [
        "a==1 needs b, which is not in the lock (Python 3.11 on aarch64-apple-darwin)"
    ]
    assert _gaps("a", "a==1", a="b; sys_platform == 'win32'") == []


def test_a_pin_with_a_marker_is_there_only_where_that_holds() -> None:
    pin = "b==2 ; python_version < '3.14' or sys_platform == 'linux'"
    assert _gaps("a", "a==1", pin, a="b") == [
        "a==1 needs b, which is not in the lock (Python 3.14 on aarch64-apple-darwin)"
    ]


def test_a_package_must_run_on_every_python() -> None:
    [gap] = _gaps("a", "a==1", python=">=3.12")
    assert gap.startswith("a==1 needs Python >=3.12 (Python 3.11 on x86_64-unknown-linux-gnu, ")


def test_a_gap_that_shows_in_two_ways_is_said_once() -> None:
    assert _gaps("a", "a==1", "b==2", a="b", b="a", python=">=4") == ["a==1 needs Python >=4", "b==2 needs Python >=4"]


def test_what_stands_outside_is_missed_nowhere() -> None:
    assert _gaps("a", "a==1", a="torch>=2", outside="torch") == []


def test_a_package_of_which_nothing_is_known_is_a_gap() -> None:
    assert gaps([], [Requirement("a==1")], {}, set()) == ["locks/metadata.json does not say what a==1 needs"]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_that_loses_any_package_has_a_gap_that_names_it(lock: str) -> None:
    pins = _lock(lock)
    for lost in list(_needed_anywhere(lock).values())[:: max(1, len(pins) // 3)]:
        found = gaps(_asked(lock), [pin for pin in pins if key(pin) != key(lost)], METADATA, OUTSIDE)
        wanted = re.compile(
            rf"needs {re.sub('[-_.]', '[-_.]', lost.name)}\b.*, which is not in the lock", re.IGNORECASE
        )
        assert any(wanted.search(gap) for gap in found), (lost, found)


# --- `make lock` -------------------------------------------------------------------------------


def test_a_lock_that_is_not_closed_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's answer is a lock from which a package was taken out, and nothing in the repository changes."""
    for name in [
        "pyproject.toml",
        closed.METADATA,
        closed.OUTSIDE,
        *LOCKS,
        *(lock.replace(".txt", ".in") for lock in LOCKS),
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    lock = tmp_path / "studies/digits/requirements.txt"
    lock.write_text(re.sub(r"(?m)^joblib==.*\n(?:    .*\n)+", "", lock.read_text()))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(write, "ROOT", tmp_path)
    monkeypatch.setattr(write, "uv", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["write"])
    with pytest.raises(SystemExit) as refused:
        write.main()
    assert str(refused.value) == (
        "no lock was written, because these would lack a package:\n"
        "studies/digits/requirements.txt: scikit-learn==1.9.1 needs joblib>=1.4.0, which is not in the lock"
    )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_packages_need_is_written_as_make_lock_does() -> None:
    text = (ROOT / closed.METADATA).read_text()
    assert text == json.dumps(METADATA, indent=1, sort_keys=True) + "\n"


# --- the form of a lock ------------------------------------------------------------------------


LOWEST = f"{closed.LOWEST}/requirements.txt"
# Of a program alone, which shares no package with anything.
PROGRAMS = ("pipeline/kfp_bayesopt_pipeline/places/fake_storage/requirements.txt", "tests/azurite/requirements.txt")


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock not in (OPTIMIZER, *PROGRAMS, LOWEST)])
def test_shared_packages_have_the_versions_of_the_optimizer(lock: str) -> None:
    """A study gives the same results on a machine, in containers and in tests."""

    def versions(name: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for pin in _lock(name):
            found.setdefault(canonicalize_name(pin.name), set()).add(str(pin.specifier))
        return found

    ours, theirs = versions(lock), versions(OPTIMIZER)
    shared = ours.keys() & theirs.keys()
    assert shared
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def test_the_lowest_versions_are_locked_that_the_distribution_asks_for() -> None:
    """Of click alone a package that we need asks for more."""
    pins = pins_for(MACHINES[0], _lock(LOWEST))
    asked = {canonicalize_name(each.name): each.specifier for each in read_project(ROOT / "pyproject.toml")}
    higher = {}
    for name, specifier in asked.items():
        (least,), (pin,) = specifier, pins[name].specifier
        assert least.operator == ">=", "no version is known to be too new"
        if Version(pin.version) != Version(least.version):
            higher[name] = pin.version
    assert higher == {"click": "8.1.8"}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_one_version_and_its_hashes(lock: str) -> None:
    entries = re.split(r"\n(?=[\w.-]+(?:\[[\w,-]+\])?==)", (ROOT / lock).read_text())[1:]
    assert len(entries) == len(_lock(lock))
    assert [entry.split("\n")[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert all(re.fullmatch(r"==[\w.!+]+", str(pin.specifier)) for pin in _lock(lock))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_carries_no_address(lock: str) -> None:
    """Neither of a registry nor of a file: `pip install` takes them from where the machine says."""
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", (ROOT / lock).read_text())


# --- how locks are installed -------------------------------------------------------------------


def test_every_lock_is_installed_without_asking_for_more() -> None:
    """A registry that is asked for what a lock's packages need answers with what is new today."""
    found = []
    for name in tracked():
        if name.startswith("docs/decisions/") or name.endswith((".py", ".json", ".jsonl", ".png", "requirements.txt")):
            continue
        text = re.sub(r"\s*\\\n\s*", " ", (ROOT / name).read_text())
        found += [(name, line) for line in text.splitlines() if "--require-hashes" in line and "--no-deps" not in line]
    assert found == []
