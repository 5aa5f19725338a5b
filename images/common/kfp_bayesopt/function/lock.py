"""The lock of the packages of a function: names, versions and hashes of their wheels, and no address of an index.

A line for each package, `NAME==VERSION --hash=sha256:DIGEST  # FILE.whl`, in the order of names, so that equal packages
have an equal text. pip reads it with `--require-hashes`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from kfp_bayesopt.errors import DamagedError

SUFFIX = ".lock"
_LINE = re.compile(r"([a-z0-9-]+)==(\S+) --hash=sha256:([0-9a-f]{64})  # ([A-Za-z0-9_.!+-]+\.whl)")


@dataclass(frozen=True, order=True)
class Pin:
    """A package of a lock.

    Attributes:
        name: Its normalized name.
        version: Its version.
        sha256: The SHA-256 of its wheel.
        file: The name of its wheel.
    """

    name: str
    version: str
    sha256: str
    file: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def line(self) -> str:
        """Its line of a lock."""
        return f"{self} --hash=sha256:{self.sha256}  # {self.file}"

    def uri(self, wheels: str) -> str:
        """Return the URI of its wheel in a cache of wheels."""
        return f"{wheels}/{self.sha256}/{self.file}"


@dataclass(frozen=True)
class Lock:
    """The packages of a function, in the order of their names."""

    pins: tuple[Pin, ...]

    @classmethod
    def of(cls, pins: Iterable[Pin]) -> Lock:
        """Return the lock of packages in any order."""
        return cls(tuple(sorted(pins)))

    @classmethod
    def parse(cls, content: bytes, source: str) -> Lock:
        """Read the text of a lock.

        Args:
            content: The text.
            source: Names it in messages.

        Raises:
            DamagedError: It is none.
        """
        found = [_LINE.fullmatch(line) for line in content.decode(errors="replace").splitlines()]
        lock = cls(tuple(Pin(*match.groups()) for match in found if match is not None))
        if lock.content != content or not lock.pins:
            raise DamagedError(f"{source}: is no lock of packages; restore it from a copy, or tune the function again")
        return lock

    @cached_property
    def content(self) -> bytes:
        """Its text."""
        return "".join(f"{pin.line}\n" for pin in self.pins).encode()

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of its text."""
        return hashlib.sha256(self.content).hexdigest()
