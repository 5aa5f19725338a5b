"""Finds gaps in a lock: it is closed if every requirement of every package in it is met by a package in it."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path
from typing import TypedDict

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

OUTSIDE = "locks/outside.txt"
METADATA = "locks/metadata.json"
LOWEST = "locks/lowest"
"""The lock of the lowest versions, of one machine alone: newer Pythons have no such old packages."""


class Metadata(TypedDict):
    """The requirements that a package declares."""

    python: str
    requires: list[str]


@dataclass(frozen=True)
class Machine:
    """A Python and a platform, by uv's name, that the project runs on."""

    python: str
    platform: str

    def __str__(self) -> str:
        return f"Python {self.python} on {self.platform}"

    @property
    def markers(self) -> dict[str, str]:
        """The values of environment markers."""
        processor, _, system = self.platform.partition("-")
        return {
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "extra": "",
        } | (
            {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"}
            if system == "apple-darwin"
            else {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": processor}
        )


MACHINES = [
    Machine(python, platform)
    for platform in ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin")
    for python in ("3.11", "3.12", "3.13", "3.14")
]


def machines_of(folder: str) -> list[Machine]:
    """Return the machines that a lock is for."""
    return MACHINES[:1] if folder == LOWEST else MACHINES


def read_project(path: Path) -> list[Requirement]:
    """Read the requirements of the distribution and of all of its extras."""
    project = tomllib.loads(path.read_text())["project"]
    extras = [each for listed in project["optional-dependencies"].values() for each in listed]
    asked = map(Requirement, [*project["dependencies"], *extras])
    return [each for each in asked if canonicalize_name(each.name) != project["name"]]


def read_requirements(path: Path) -> list[Requirement]:
    """Read a requirements file or a lock, and the files that it includes."""
    found: list[Requirement] = []
    for line in re.sub(r"\\\n", "", path.read_text()).splitlines():
        text = re.split(r"(?:^|\s)#|\s--hash=", line)[0].strip()
        if text.startswith("-r "):
            found += read_requirements(path.parent / text.removeprefix("-r ").strip())
        elif text:
            found.append(Requirement(text))
    return found


def read_metadata(path: Path) -> dict[str, Metadata]:
    """Read the requirements of packages, by `name==version`."""
    metadata: dict[str, Metadata] = json.loads(path.read_text())
    return metadata


def metadata_of(package: Distribution) -> Metadata:
    """Return the requirements that an installed package declares."""
    python = (package.metadata.get_all("Requires-Python") or [""])[0]
    return {"python": python, "requires": package.requires or []}


def pins_for(machine: Machine, lock: list[Requirement]) -> dict[str, Requirement]:
    """Return the pins of a lock that a machine installs, by name."""
    return {
        canonicalize_name(pin.name): pin for pin in lock if pin.marker is None or pin.marker.evaluate(machine.markers)
    }


def key(pin: Requirement) -> str:
    """Return `name==version` of a pin."""
    return f"{canonicalize_name(pin.name)}{pin.specifier}"


def gaps(
    asked: list[Requirement],
    lock: list[Requirement],
    metadata: Mapping[str, Metadata],
    outside: Collection[str],
    machines: Sequence[Machine] = MACHINES,
) -> list[str]:
    """Return the gaps in a lock, a sentence for each.

    Args:
        asked: The requirements in the requirements file.
        lock: The pins of the lock.
        metadata: The requirements of the packages, by `name==version`.
        outside: The names of packages kept out of all locks.
        machines: The machines that the lock is for.
    """
    found: dict[str, list[str]] = {}
    for machine in machines:
        for gap in dict.fromkeys(_gaps_on(machine, asked, lock, metadata, outside)):
            found.setdefault(gap, []).append(str(machine))
    return [gap if len(where) == len(machines) else f"{gap} ({', '.join(where)})" for gap, where in found.items()]


def _gaps_on(
    machine: Machine,
    asked: list[Requirement],
    lock: list[Requirement],
    metadata: Mapping[str, Metadata],
    outside: Collection[str],
) -> Iterator[str]:
    pins = pins_for(machine, lock)
    # Every package is followed, and each extra of a package that something asks for.
    to_follow = [("requirements.in", requirement) for requirement in asked if _holds(requirement, machine)]
    to_follow += [("the lock", Requirement(key(pin))) for pin in pins.values()]
    followed: set[tuple[str, str]] = set()
    for by, requirement in to_follow:
        name = canonicalize_name(requirement.name)
        if name in outside:
            continue
        if name not in pins:
            yield f"{by} needs {requirement.name}{requirement.specifier}, which is not in the lock"
            continue
        pin = key(pins[name])
        version = pin.partition("==")[2]
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"{by} needs {requirement.name}{requirement.specifier}, but the lock has {version}"
        if pin not in metadata:
            yield f"{METADATA} does not say what {pin} needs"
            continue
        package = metadata[pin]
        if not SpecifierSet(package["python"]).contains(machine.markers["python_full_version"]):
            yield f"{pin} needs Python {package['python']}"
        for extra in {"", *requirement.extras}:
            if (name, extra) not in followed:
                followed.add((name, extra))
                to_follow += [(pin, need) for need in _needs(tuple(package["requires"]), machine, extra)]


def _holds(requirement: Requirement, machine: Machine, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate(machine.markers | {"extra": extra})


@functools.cache  # the locks share most packages
def _needs(requires: tuple[str, ...], machine: Machine, extra: str) -> list[Requirement]:
    return [need for need in map(Requirement, requires) if _holds(need, machine, extra)]
