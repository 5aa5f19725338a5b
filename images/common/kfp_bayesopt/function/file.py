"""The file of a function: a header, which is read before anything is loaded, and the function by dill.

Three parts, each ending with the end of its line but the last: `kfp-bayesopt function 1`, the header as JSON, and what
dill wrote: the pair of the function and a mapping of the names of its notebook or script that it refers to.
trial/process/caller.py, which runs in the person's Python, reads it too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from pydantic import Field, ValidationError

from kfp_bayesopt.errors import DamagedError
from kfp_bayesopt.function.lock import Lock
from kfp_bayesopt.strict import StrictModel

FORMAT = b"kfp-bayesopt function 1"
SHA256 = r"^[0-9a-f]{64}$"
SUFFIX = ".dill"
MOST_BYTES = 64_000_000
"""The most that a function takes along, and so the largest file of one that is read."""


class Header(StrictModel):
    """What is known of a function without loading it."""

    name: str = Field(description="Its name.")
    code: str = Field(pattern=SHA256, description="The SHA-256 of its code and of what it refers to.")
    python: str = Field(pattern=r"^\d+\.\d+$", description="The version of Python that it was taken from.")
    implementation: str = Field(description="The implementation of Python, such as `cpython`.")
    byte_order: str = Field(description="`little` or `big`.")
    dill: str = Field(description="The version of dill that wrote it.")
    packages: dict[str, str] = Field({}, description="The packages that it imports, and those that they need.")
    beside: dict[str, str] = Field(
        {}, description="The SHA-256 of each file that it imports from beside its notebook or script, by its path."
    )
    folders: list[str] = Field([], description="The folders of these paths.")


@dataclass(frozen=True)
class FunctionFile:
    """The content of a file of a function; nothing is loaded.

    Attributes:
        content: All of it.
        lock: The lock of its packages, if it brings them along.
    """

    content: bytes
    lock: Lock | None = None

    @classmethod
    def of(cls, header: Header, dumped: bytes) -> FunctionFile:
        """Return the file of a function."""
        return cls(b"\n".join([FORMAT, header.model_dump_json().encode(), dumped]))

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of its bytes."""
        return hashlib.sha256(self.content).hexdigest()

    def header(self, source: str) -> Header:
        """Return the header.

        Args:
            source: Names the file in messages.

        Raises:
            DamagedError: It has none, or one that is damaged.
        """
        first, _, rest = self.content.partition(b"\n")
        if first != FORMAT:
            raise DamagedError(f"{source}: is no file of a function, or of a newer version; tune it again")
        try:
            return Header.model_validate_json(rest.partition(b"\n")[0])
        except ValidationError:
            raise DamagedError(f"{source}: its header is damaged; restore it from a copy, or tune it again") from None


def file_name(name: str, sha256: str, suffix: str = SUFFIX) -> str:
    """Return the name of the file of a function, or of the lock of its packages, beside a study file."""
    return f"{name}-{sha256[:12]}{suffix}"
