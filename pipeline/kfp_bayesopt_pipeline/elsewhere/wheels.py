"""Wheels for the machine of a worker: they are downloaded by pip, and what was found once is known the next time."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from packaging.utils import canonicalize_name, canonicalize_version, parse_wheel_filename

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.function.lock import Pin

MODULE = re.compile(r"\.pyi?$")
"""The files of a wheel that are compared with those of the installed package."""
NEWEST_GLIBC = 36
"""Of the oldest official images of Python today: 2.36."""
PLATFORMS = tuple(
    f"{name}_x86_64"
    for name in (
        *("manylinux1", "manylinux2010", "manylinux2014"),
        *(f"manylinux_2_{minor}" for minor in range(5, NEWEST_GLIBC + 1)),
        "linux",
    )
)
"""What a worker can install, the one for most machines first."""
OTHER_INDEX = "Looking in indexes: "
"""What pip says where it is set to another index than its own."""
SECONDS = 1800


@dataclass(frozen=True)
class Wheel:
    """A wheel, as far as it is known without having it.

    Attributes:
        pin: Its line of a lock.
        size: Its size in bytes.
        md5: Its MD5, by which stores describe what they hold.
        tags: What it was built for.
        modules: The hash of each of its modules.
        needs: The packages that it needs.
    """

    pin: Pin
    size: int
    md5: str
    tags: tuple[str, ...]
    modules: Mapping[str, str]
    needs: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Wheel:
        """Read a wheel.

        Raises:
            UserError: It is none, or damaged.
        """
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            md5 = hashlib.file_digest(file, functools.partial(hashlib.md5, usedforsecurity=False)).hexdigest()
        try:
            name, version, _, _ = parse_wheel_filename(path.name)
            with zipfile.ZipFile(path) as archive:
                (info,) = {each.partition("/")[0] for each in archive.namelist() if _METADATA.fullmatch(each)}
                metadata, about, record = (
                    archive.read(f"{info}/{each}").decode() for each in ("METADATA", "WHEEL", "RECORD")
                )
        except (ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{path.name}: is a damaged wheel: {error}; tune again, or ask its index") from None
        lines = [line for line in csv.reader(record.splitlines()) if len(line) > 1]
        return cls(
            pin=Pin(canonicalize_name(name), str(version), sha256, path.name),
            size=path.stat().st_size,
            md5=md5,
            tags=tuple(tags_of(about)),
            modules={line[0]: line[1] for line in lines if MODULE.search(line[0])},
            needs=tuple(HeaderParser().parsestr(metadata).get_all("Requires-Dist") or ()),
        )


_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


def tags_of(about: str) -> list[str]:
    """Return what a wheel was built for, by its file WHEEL."""
    return sorted(HeaderParser().parsestr(about).get_all("Tag") or ())


# --- what is known -----------------------------------------------------------------------------


def known(name: str, version: str, python: str) -> Wheel | None:
    """Return the wheel of a package that was downloaded before, on this machine; None if none was."""
    try:
        data = json.loads(_known_file(name, version, python).read_text())
        pin = Pin(**data.pop("pin"))
        return Wheel(pin=pin, tags=tuple(data.pop("tags")), needs=tuple(data.pop("needs")), **data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # it is made again
        return None


def remember(wheel: Wheel, python: str) -> None:
    """Write down what a wheel is, for the next time."""
    path = _known_file(wheel.pin.name, wheel.pin.version, python)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):  # then it is downloaded again
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(dataclasses.asdict(wheel)))
        temporary.replace(path)


def _known_file(name: str, version: str, python: str) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (
        Path(cache)
        / "kfp-bayesopt"
        / "wheels"
        / python
        / f"{name}-{canonicalize_version(version, strip_trailing_zero=False)}.json"
    )


# --- pip ---------------------------------------------------------------------------------------


class NoWheelError(Exception):
    """The index of pip has no wheel of a package for a worker; its name is the argument."""


def download(requirements: Sequence[str], python: str, folder: Path) -> str:
    """Download a wheel for each requirement with the person's pip, as it is set; what is there stays.

    Args:
        requirements: `NAME==VERSION`, or with another specifier.
        python: The version of the worker's Python, such as `3.11`.
        folder: The folder for them.

    Returns:
        What pip has said.

    Raises:
        NoWheelError: There is none of one of them.
        UserError: pip is not there, or failed.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    command += ["--no-input", "--progress-bar=off", "--disable-pip-version-check"]
    command += ["--implementation=cp", f"--python-version={python}", *(f"--platform={each}" for each in PLATFORMS)]
    try:
        ended = subprocess.run([*command, *requirements], capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"pip download: did not end in {SECONDS} s; try it by hand: {' '.join(requirements)}") from None
    if ended.returncode == 0:
        return ended.stdout
    said = ended.stderr.strip()
    if "No module named pip" in said:
        raise UserError(
            f"{sys.executable}: has no pip, which downloads the packages of a function; run `{sys.executable} -m "
            "ensurepip`"
        )
    found = re.search(r"No matching distribution found for ([A-Za-z0-9._-]+)", said)
    if found is None or "Retrying (" in said:
        lines = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
        why = "its index did not answer; " if "Retrying (" in said else ""
        raise UserError(f"pip download: {why}{(lines or said.splitlines() or ['it failed'])[-1]}")
    raise NoWheelError(canonicalize_name(found[1]))
