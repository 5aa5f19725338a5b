"""What is known of the trials of a study while others work on it: each look reads only what is new."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

from kfp_bayesopt.folder.known import is_kept_at, read_known, write_known
from kfp_bayesopt.folder.study_folder import Files, StudyFolder
from kfp_bayesopt.folder.trials import Record, Trials, record_that_counts

TRIALS_A_PAGE = 200
"""How many trials the answer to one request lists: a thousand files."""


class Watch:
    """The trials of a study folder, and the files of those that have not ended.

    Attributes:
        folder: The study folder.
        trials: What was known at the last look.
        files: Of each trial that has begun and not ended, and of those that `reopen` named.
        attempts: Their records, by trial and attempt.
        highest: Number of the last trial of which there is anything.
        now: The latest time that the storage has told; it cannot be later by its own clock.
    """

    def __init__(self, folder: StudyFolder, trials: Trials | None = None) -> None:
        """Begin with what the folder holds.

        Args:
            folder: The study folder.
            trials: What it holds, where the caller has read it.

        Raises:
            UserError: It is damaged.
        """
        self.folder = folder
        self.trials = folder.read() if trials is None else trials
        self.files: dict[int, Files] = {}
        self.attempts: dict[int, dict[int, Record]] = {}
        self.highest = max([*self.trials.records, *self.trials.pending], default=0)
        self.now = datetime.min.replace(tzinfo=UTC)
        self._settled = {record.trial for record in self.trials.ended}
        # What has ended last, as far as a worker whose trial took twice as long as the others has not seen it.
        self._latest: deque[Record] = deque(maxlen=2 * folder.study.parallel_trials)
        self._copies: list[int] = []

    @property
    def unknown(self) -> list[int]:
        """The trials that were claimed and whose suggestions are not known."""
        return [
            number
            for number in range(1, self.highest + 1)
            if number not in self.trials.records and number not in self.trials.pending
        ]

    def reopen(self, trial: int) -> None:
        """Look again for attempts at a trial that has a record."""
        self._settled.discard(trial)

    def look(self) -> list[Record]:
        """Read what is new, and return the new records that count, in the order of their numbers.

        Raises:
            UserError: A file is damaged, or storage does not answer.
        """
        self.files = self._list()
        known = self.attempts
        new = [
            (number, attempt)
            for number, files in self.files.items()
            for attempt in files.records
            if attempt not in known.get(number, {})
        ]
        pending, ended = self.trials.pending, {number for number, _ in new} | known.keys()
        proposed = [
            number
            for number, files in self.files.items()
            if files.suggested is not None and number not in pending and number not in self.trials.records
            and number not in ended
        ]  # fmt: skip
        records, suggestions = read_known(self.folder, self._copies, new, proposed)
        more = self.folder.read_attempts([each for each in new if each not in records], self.files)
        for each in [*records.values(), *more]:
            known.setdefault(each.trial, {})[each.attempt] = each
            self._latest.append(each)
        pending |= suggestions
        others = self.folder.read_suggestions([number for number in proposed if number not in suggestions])
        pending |= {each.trial: each for each in others}
        return [
            record for number in sorted({number for number, _ in new} & known.keys()) if (record := self._count(number))
        ]

    def keep(self, trial: int) -> None:
        """Copy what is known for other workers, where that is to be done at a trial that was proposed."""
        if is_kept_at(self.folder, trial):
            write_known(self.folder, trial, self._latest, self.trials.pending.values())

    def add(self, record: Record) -> None:
        """Take in a record that the caller has written."""
        self.attempts.setdefault(record.trial, {})[record.attempt] = record
        self._latest.append(record)
        self.highest = max(self.highest, record.trial)
        self._count(record.trial)

    def _count(self, number: int) -> Record | None:
        """Take in what counts of the attempts at a trial, and return it if it is new."""
        record = record_that_counts(list(self.attempts[number].values()))
        if record is None or self.trials.records.get(number) == record:
            return None
        self.trials.add(record)
        if record.is_final:
            self._settled.add(number)
            self.files.pop(number, None)
            self.attempts.pop(number, None)
        return record

    def _list(self) -> dict[int, Files]:
        unsettled = [number for number in range(1, self.highest + 1) if number not in self._settled]
        alone = _listed_alone(unsettled, self.highest)
        rest = unsettled[alone:]
        found = self.folder.files_from(rest[0] if rest else self.highest + 1)
        found |= {number: self.folder.files_of(number) for number in unsettled[:alone]}
        self.highest = max([self.highest, *found])
        self._copies = [number for number, files in found.items() if files.known]
        for files in found.values():
            self.now = max(self.now, files.latest or self.now)
        return {number: files for number, files in found.items() if number not in self._settled}


def _listed_alone(unsettled: list[int], highest: int) -> int:
    """Return how many of the trials that run are listed each by itself, so that all take the fewest requests.

    A trial that takes very long would otherwise have all later ones listed again and again.
    """
    costs = [alone + (highest - first) // TRIALS_A_PAGE for alone, first in enumerate([*unsettled, highest])]
    return costs.index(min(costs))
