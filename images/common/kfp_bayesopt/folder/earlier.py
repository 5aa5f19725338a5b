"""The file `earlier.jsonl` of a study's folder: the trials of other studies that its search begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from kfp_bayesopt.errors import ExistsError, NotFoundError, UserError, shortened
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.space.parameters import Parameter
from kfp_bayesopt.store import storage

NAME = "earlier.jsonl"
MOST_BYTES = 100_000_000
MOST_LINES = 100_000
"""Each source gives at most a thousand."""

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


def read_earlier(root: str, space: Mapping[str, Parameter] | None = None) -> tuple[Earlier, ...]:
    """Return the earlier trials of a study.

    Args:
        root: Its folder.
        space: Its search space, to check each of them.

    Raises:
        UserError: Their file is damaged, or a trial is not in the space.
    """
    uri = f"{root}/{NAME}"
    try:
        content = storage.read(uri, limit=MOST_BYTES)
    except NotFoundError:
        return ()
    return parse_earlier(content, uri, space)


def parse_earlier(content: bytes, uri: str, space: Mapping[str, Parameter] | None = None) -> tuple[Earlier, ...]:
    """Return the earlier trials in the content of their file; `uri` names it in messages.

    Raises:
        UserError: It is damaged, or a trial is not in the space.
    """
    lines = content.splitlines()
    if len(lines) > MOST_LINES:
        raise _damaged(uri, f"has {len(lines):,} trials, more than {MOST_LINES:,}")
    found = []
    for number, line in enumerate(lines, 1):
        try:
            trial = _line.validate_json(line, strict=True)
        except ValidationError as error:
            raise _damaged(uri, f"line {number}: {error.errors(include_url=False)[0]['msg']}") from None
        if problem := trial.mismatch(space) if space is not None else None:
            raise _damaged(uri, f"line {number}: {problem}")
        found.append(trial)
    return tuple(found)


def _damaged(uri: str, problem: str) -> UserError:
    return UserError(
        f"{uri}: damaged earlier trials: {shortened(problem)}; restore it from a copy, or delete it, and the search "
        "goes on without them"
    )
