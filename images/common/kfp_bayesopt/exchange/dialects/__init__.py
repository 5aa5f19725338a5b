"""The list of dialects of search spaces; each has a file of this folder, which is imported when it is used."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfp_bayesopt.errors import UserError

if TYPE_CHECKING:  # the help of commands names the dialects, and waits for nothing
    from kfp_bayesopt.exchange.dialects.base import Functions


@dataclass(frozen=True)
class Dialect:
    """The form of a search space in another service.

    Attributes:
        name: What a person calls it; also the file of this folder that has its `FUNCTIONS`.
        document: What it calls a document with a search space, such as "an Experiment".
        as_json: Whether people write it as JSON and not as YAML.
    """

    name: str
    document: str
    as_json: bool = False

    @property
    def functions(self) -> Functions:
        """What recognises, reads and writes it."""
        found: Functions = importlib.import_module(f"{__name__}.{self.name}").FUNCTIONS
        return found


@contextlib.contextmanager
def naming_other_tools(source: str, content: bytes | None = None) -> Iterator[None]:
    """Say of a text that turns out to be no study which tool it is of, and what makes a study of it.

    Args:
        source: Names it in messages.
        content: The text; by default that of the file `source`, which is read only then.

    Raises:
        UserError: It is of another tool, or has the mistakes that were found within the block.
    """
    try:
        yield
    except UserError:
        from kfp_bayesopt.study.study_file import read_study

        if (dialect := recognised(read_study(source) if content is None else content)) is None:
            raise
        raise UserError(
            f"{source}: is {dialect.document} of {dialect.name.title()}, and no study; `bayesopt convert FILE` makes "
            "the search space of one from it"
        ) from None


def recognised(content: bytes) -> Dialect | None:
    """Return the dialect that a text is a document of, if it is one."""
    from kfp_bayesopt.study.yaml_reader import UnreadableError, read_yaml

    try:
        data, _ = read_yaml(content)
    except UnreadableError:
        return None
    found = (each for each in DIALECTS.values() if isinstance(data, dict) and each.functions.recognises(data))
    return next(found, None)


DIALECTS = {each.name: each for each in (Dialect("katib", "an Experiment"), Dialect("vertex", "a StudySpec", True))}
"""The dialects by name; an unrecognised file is read as the last one, which names the missing parts."""
