"""A worker's knowledge of the trials, copied into one file, so that others read many trials with one request.

Between two of its trials, each of W workers learns about all others: W - 1 records, and as many suggestions. Every few
trials one of them writes a copy of its knowledge, and the next reader needs that and the few newer files. A copy
decides nothing: anything missing or damaged in it is read from the files of the trials themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, TypeVar

from pydantic import Field

from kfp_bayesopt.errors import ExistsError, NotFoundError, UnavailableError, UserError
from kfp_bayesopt.folder.documents import Number, OfStudy, damaged, parse_document
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record, Suggestion
from kfp_bayesopt.store import storage

FEWEST_WORKERS = 8
"""With fewer workers, each reads so few files that a copy would cost more."""
MOST_BYTES = 2**25
MOST_READ = 4
"""The most copies that are read in one look."""
FEW = 8
"""Up to this many files are read individually."""

D = TypeVar("D", Record, Suggestion)

logger = logging.getLogger(__name__)

Which = tuple[int, int]
"""An attempt: the number of its trial, and its own."""


class Known(OfStudy):
    """The first line of a copy: it lists the records and suggestions that follow, one a line."""

    what = "copy of what a worker knew"
    way_out = "it is left out; delete the file"

    trial: Number = Field(description="The trial whose worker wrote it.")
    records: list[Annotated[list[Number], Field(min_length=2, max_length=2)]] = Field(
        description="Trial and attempt of each."
    )
    suggestions: list[Number]

    @property
    def attempts(self) -> list[Which]:
        """Trial and attempt of each record."""
        return [(trial, attempt) for trial, attempt in self.records]


def is_kept_at(folder: StudyFolder, trial: int) -> bool:
    """Tell whether a worker writes a copy after it has proposed a trial: with many workers, every few trials."""
    workers = folder.study.parallel_trials
    every = max(workers // 16, 4)
    return workers >= FEWEST_WORKERS and trial % every == 0 and not storage.is_local(folder.root)


def write_known(folder: StudyFolder, trial: int, records: Iterable[Record], suggestions: Iterable[Suggestion]) -> None:
    """Write a copy of a worker's knowledge; if that fails, others read the files themselves."""
    records, suggestions = list(records), list(suggestions)
    head = Known(
        study=folder.study.name,
        fingerprint=folder.study.fingerprint,
        trial=trial,
        records=[[each.trial, each.attempt] for each in records],
        suggestions=[each.trial for each in suggestions],
    )
    content = b"".join(each.to_bytes() for each in (head, *records, *suggestions))
    try:
        storage.create(folder.known_uri(trial), content)
    except ExistsError:  # of an attempt before
        pass
    except UserError as error:
        logger.warning("trial %d: what this worker knows cannot be copied for others: %s", trial, error.message)


def read_known(
    folder: StudyFolder, copies: Collection[int], attempts: Sequence[Which], suggestions: Sequence[int]
) -> tuple[dict[Which, Record], dict[int, Suggestion]]:
    """Return wanted records and suggestions from copies, the newest copies first, no more than useful.

    Args:
        folder: The study folder.
        copies: The trials whose workers wrote one.
        attempts: The wanted records, by attempt.
        suggestions: The wanted suggestions, by trial.
    """
    records: dict[Which, Record] = {}
    proposed: dict[int, Suggestion] = {}
    for trial in islice(_apart(copies, folder.study.parallel_trials), MOST_READ):
        missing = set(attempts).difference(records), set(suggestions).difference(proposed)
        if len(missing[0]) + len(missing[1]) <= FEW:
            break
        try:
            more = _read(folder, trial, *missing)
        except NotFoundError:
            continue
        except UnavailableError as error:  # the others would take as long
            logger.warning("%s", error.message)
            break
        except UserError as error:
            logger.warning("%s", error.message)
            continue
        records |= more[0]
        proposed |= more[1]
    return records, proposed


def _apart(copies: Collection[int], distance: int) -> Iterator[int]:
    """Yield some of the copies, the newest first: two near each other hold nearly the same."""
    last: int | None = None
    for trial in sorted(copies, reverse=True):
        if last is None or last - trial >= distance:
            yield trial
            last = trial


def _read(
    folder: StudyFolder, trial: int, attempts: Collection[Which], suggestions: Collection[int]
) -> tuple[dict[Which, Record], dict[int, Suggestion]]:
    """Return the wanted records and suggestions of one copy.

    Raises:
        NotFoundError: It is gone.
        UserError: It is damaged, of another study, or has a point outside the space of the study.
    """
    uri = folder.known_uri(trial)
    first, *lines = storage.read(uri, limit=MOST_BYTES).split(b"\n")
    head = parse_document(Known, first, uri, folder.study)
    end = lines.pop() if lines else first
    if head.trial != trial or len(lines) != len(head.records) + len(head.suggestions) or end:
        raise damaged(Known, uri, f"must be of trial {trial}, with a whole line for each that it names")

    def parse(document: type[D], number: int, name: Which | int) -> D:
        found = parse_document(document, lines[number], f"{uri}, line {number + 2}", folder.study, Known.way_out)
        if name not in ((found.trial, getattr(found, "attempt", None)), found.trial):
            raise damaged(Known, uri, f"line {number + 2} is not what its first line says")
        return found

    records = {each: parse(Record, number, each) for number, each in enumerate(head.attempts) if each in attempts}
    proposed = {
        each: parse(Suggestion, number, each)
        for number, each in enumerate(head.suggestions, len(head.records))
        if each in suggestions
    }
    return records, proposed
