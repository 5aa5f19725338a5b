"""The data that an earlier step or a person gives to the objective of a study, known by the digest of its content."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from kfp_bayesopt import hints
from kfp_bayesopt.errors import NotFoundError, UnavailableError, UserError, shown
from kfp_bayesopt.store import storage
from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.study.objective import DATA
from kfp_bayesopt.study.study import Study

logger = logging.getLogger(__name__)

MOST_BYTES = 100_000
"""Of a text: it is a variable of the objective's environment, of which Linux takes 128 kB."""
DIGITS = 12
"""Of the digest, in the name of a study folder."""


class Data(StrictModel):
    """What the objective of a study is given: a text, the URI or the path of its data."""

    given: str = Field(description="What the objective gets: `BAYESOPT_DATA`, and `{data}` in a command.")
    uri: str | None = Field(None, description="Where it lies, if `given` is the path of an artifact in a container.")
    digest: str = Field(pattern="^[0-9a-f]{64}$", description="Of its content, by the list of its files.")

    @property
    def short(self) -> str:
        """The begin of its digest, for the name of a folder."""
        return self.digest[:DIGITS]

    @property
    def is_path(self) -> bool:
        """Whether it is a file or a folder of this machine."""
        return self.uri is None and self.given.startswith("/") and "\n" not in self.given

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        return "path of this machine" if self.is_path else "URI" if _is_remote(self.uri or self.given) else "text"

    def __str__(self) -> str:
        """Return it in a few words."""
        return f"{shown(self.uri or self.given)} (digest {self.short})"


def read_data(given: str, uri: str = "", folder: Path | None = None) -> Data | None:
    """Return data with the digest of its content; None if no text is given.

    Its content is a list of files: of each the name below what is given, the size, and what its store says of the
    content. A text that is neither the URI of a store nor a path is its own content. Texts that begin with /, ./, ../
    or ~/ are paths.

    Args:
        given: What the objective gets.
        uri: Where it lies, where that is something else.
        folder: The folder from which relative paths start, on a machine where a person names them.

    Raises:
        UserError: There is nothing, it is too long, or its store cannot be read.
    """
    if not given:
        return None
    if len(given.encode(errors="surrogatepass")) > MOST_BYTES or "\0" in given:
        raise UserError(
            f"data: a text has at most {MOST_BYTES:,} bytes and no NUL, but got {shown(given)} of "
            f"{len(given):,} characters; write it to a store, and give its URI"
        )
    where = uri or given
    path = _path_of(where, folder)
    if path is None and not _is_remote(where):
        return Data(given=given, uri=uri or None, digest=hashlib.sha256(where.encode()).hexdigest())
    lines = sorted(_of_disk(path) if path is not None else _of_artifact(where, given if uri else ""))
    if not lines:
        raise UserError(f"data: {shown(where)}: nothing is there; check its name, and the step before that writes it")
    if path is not None and not uri:
        given = str(path)
    return Data(given=given, uri=uri or None, digest=hashlib.sha256("".join(lines).encode()).hexdigest())


def data_of_containers(given: str, where: str) -> Data | None:
    """Return the data of trials that run elsewhere than on this machine.

    Args:
        given: What a person gives: a text or a URI.
        where: What does not see the files of this machine.

    Raises:
        UserError: It is a path of this machine, or cannot be read.
    """
    data = read_data(given, folder=Path.cwd())
    if data is not None and data.is_path:
        raise UserError(
            f"data: {data.given}: {where} sees no files of this machine; copy it to a bucket and give its URI, "
            "or build it into the image and name it in the objective"
        )
    return data


def check_data(study: Study, data: Data | None) -> None:
    """Refuse a study whose command names data without any.

    Raises:
        UserError: There is none.
    """
    if study.wants_data and data is None:
        raise UserError(
            f"{study.name}: objective.command has {{{DATA}}}, and no data is given; give a text, a path or a URI with "
            f"{hints.DATA}"
        )


def _is_remote(text: str) -> bool:
    """Tell whether a text is the URI of a store of ours.

    Raises:
        UserError: It was probably meant to be one.
    """
    try:
        return not storage.is_local(text)
    except UserError:
        if storage.meant(text) is None or text.startswith(("http://", "https://")):  # an objective may fetch it
            return False
        raise


def _path_of(text: str, folder: Path | None) -> Path | None:
    """Return the path that a text is; a relative one only where a person names it, and something is there."""
    if text.startswith(("/", "./", "../", "~/")) and "\n" not in text:
        return ((folder or Path()) / Path(text).expanduser()).resolve()
    if folder is None:
        return None
    try:
        path = folder / text
        return path.resolve() if path.exists() else None
    except (OSError, ValueError):  # a text that no path can be
        return None


def _of_artifact(uri: str, given: str) -> list[str]:
    """Return the lines of what lies in a store; of an artifact that this program may not list, of its files here.

    Raises:
        UserError: It cannot be read.
    """
    try:
        return list(_of_store(storage.given(uri)))
    except UnavailableError:
        raise
    except UserError as error:
        if not (given.startswith("/") and Path(given).exists()):
            raise
        logger.info("data: %s; its files are read from %s", error.message, given)
        return list(_of_disk(Path(given)))


def _of_disk(path: Path) -> Iterator[str]:
    """Yield a line for each file: those of a disk by their content."""
    files = [str(path)] if path.is_file() else [entry.uri for entry in storage.entries(f"{path}/")]
    for file in files:
        found = storage.digest(file)
        yield _line(file, str(path), found.size, found.md5)


def _of_store(uri: str) -> Iterator[str]:
    """Yield a line for each object, as the list of its store describes it."""
    found = list(storage.entries(f"{uri}/"))
    if not found and uri.count("/") > 2:
        try:
            found = [storage.stat(uri)]
        except NotFoundError:
            return
    for entry in found:
        yield _line(entry.uri, uri, entry.size, entry.tag)


def _line(uri: str, of: str, size: int, content: str | None) -> str:
    return f"{uri.removeprefix(of).lstrip('/')} {size} {content}\n"
