"""The list of dialects of search spaces; each has a file of this folder, which is imported when it is used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
