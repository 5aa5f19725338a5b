"""Trials of other studies that the search of a study begins with: the file `earlier.jsonl` of its folder."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, TypeAdapter, ValidationError

from bayesopt import storage
from bayesopt.errors import ExistsError, NotFoundError, UserError
from bayesopt.space import Parameters
from bayesopt.strict import StrictModel

NAME = "earlier.jsonl"
MOST_BYTES = 100_000_000


class Earlier(StrictModel):
    """A trial of another study, or of a table.

    Attributes:
        origin: Where it comes from.
        same: Whether it is of the same objective and a point of the space, so that it tells as much as a trial of the
            study itself; else only which parameters are probably good.
        parameters: What was tried.
        values: What came of it, by the names of the study; none where it failed.
    """

    origin: str
    same: bool
    parameters: Parameters
    values: dict[str, float] = Field({})


_line = TypeAdapter(Earlier)


def write_earlier(root: str, trials: Sequence[Earlier]) -> bool:
    """Write the earlier trials of a study, once and for all; tell whether there were none before."""
    try:
        storage.create(f"{root}/{NAME}", lines_of(trials))
    except ExistsError:
        return False
    return True


def lines_of(trials: Sequence[Earlier]) -> bytes:
    """Return the content of the file: a line of JSON for each trial."""
    return "".join(each.model_dump_json() + "\n" for each in trials).encode()


def read_earlier(root: str) -> tuple[Earlier, ...]:
    """Return the earlier trials of a study.

    Raises:
        UserError: Their file is damaged.
    """
    uri = f"{root}/{NAME}"
    try:
        content = storage.read(uri, limit=MOST_BYTES)
    except NotFoundError:
        return ()
    try:
        return tuple(_line.validate_json(line, strict=True) for line in content.splitlines())
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        raise UserError(
            f"{uri}: damaged earlier trials: {problem}; restore it from a copy, or delete it, and the search goes on "
            "without them"
        ) from None
