"""A function of a notebook or a script, as a study file names it: by what is known of its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from kfp_bayesopt.function.file import SHA256, FunctionFile, file_name
from kfp_bayesopt.function.lock import SUFFIX as LOCK_SUFFIX
from kfp_bayesopt.function.stored import find_function, find_lock, function_uri, lock_uri
from kfp_bayesopt.identity import IdentityModel
from kfp_bayesopt.strict import plain


class Function(IdentityModel):
    """A function whose file lies beside the study file, and in the study folder."""

    first_keys = ("name",)

    name: str = Field(pattern=r"^[A-Za-z_]\w*$", max_length=200, description="Its name.")
    code: str = Field(
        pattern=SHA256, description="The SHA-256 of its code and of what it refers to, which records carry as `code`."
    )
    file: str = Field(pattern=SHA256, description="The SHA-256 of its file, `NAME-` and the first 12 digits, `.dill`.")
    python: str = Field(pattern=r"^\d+\.\d+$", description="The version of Python that it needs.")
    lock: str | None = Field(
        None,
        pattern=SHA256,
        description="The SHA-256 of the lock of its packages, which each trial in an image installs. Default: the "
        "image has what it needs.",
    )
    wheels: str | None = Field(None, description="Where the wheels of the lock are.")

    @classmethod
    def of(cls, file: FunctionFile, source: str) -> Function:
        """Return what a study file says of a function.

        Raises:
            DamagedError: The file is damaged.
        """
        header = file.header(source)
        return cls(name=header.name, code=header.code, file=file.sha256, python=header.python)

    @property
    def file_name(self) -> str:
        """The name of its file beside a study file."""
        return file_name(self.name, self.file)

    def find(self, folders: Sequence[str], root: str | None = None) -> FunctionFile:
        """Find its file, and its lock: each beside a study file, else in a study folder.

        Args:
            folders: The folders of study files.
            root: The study folder.

        Raises:
            NotFoundError: One is in none of them.
            DamagedError: One is another one.
        """

        def places(name: str | None, uri_of: Callable[[str, str], str], sha256: str) -> list[str]:
            return [*(f"{each}/{name}" for each in folders), *([] if root is None else [uri_of(root, sha256)])]

        found = find_function(places(self.file_name, function_uri, self.file), self.name, self.file)
        if self.lock is None:
            return found
        return replace(found, lock=find_lock(places(self.lock_name, lock_uri, self.lock), self.name, self.lock))

    @property
    def lock_name(self) -> str | None:
        """The name of the lock of its packages beside a study file; None without one."""
        return None if self.lock is None else file_name(self.name, self.lock, LOCK_SUFFIX)

    def files(self, carried: FunctionFile) -> dict[str, bytes]:
        """Return what lies beside a study file, by its name: the function, and the lock of its packages."""
        found = {self.file_name: carried.content}
        if self.lock_name is not None and carried.lock is not None:
            found[self.lock_name] = carried.lock.content
        return found

    @property
    def of_records(self) -> str:
        """What records say of its code."""
        return f"function:sha256:{self.code}"


def objective_of(given: Sequence[str] | str | Callable[..., Any] | Any) -> tuple[Any, FunctionFile | None]:
    """Return an objective as a study file has it, and the file of a function that travels.

    Raises:
        UserError: A function cannot travel.
    """
    if isinstance(given, str):
        return {"python": given}, None
    if isinstance(given, list | tuple):
        return {"command": list(given)}, None
    data: Any = {"function": given} if callable(given) else plain(given)
    if not isinstance(data, dict) or not callable(data.get("function")):
        return data, None
    from kfp_bayesopt.function.taking import take  # whoever reads a study file takes no function

    carried = take(data["function"])
    return data | {"function": Function.of(carried, "objective.function")}, carried
