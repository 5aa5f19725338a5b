"""The current trials of a study while others work on it: each look reads only new files."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

from kfp_bayesopt.folder.known import is_kept_at, read_known, write_known
from kfp_bayesopt.folder.study_folder import Files, StudyFolder
from kfp_bayesopt.folder.trials import Record, Trials, record_that_counts

TRIALS_A_PAGE = 200
"""The number of trials that one request lists: a thousand files."""


class Lookout:
    """The trials of a study folder, and the files of those that have not ended.

    Attributes:
        folder: The study folder.
        trials: The trials as of the last look.
        files: Files of each trial that has begun and not ended, and of those passed to `reopen`.
        attempts: Their records, by trial and attempt.
        highest: Number of the last trial with any file.
        now: The latest time seen in the storage, by its own clock.
    """

    def __init__(self, folder: StudyFolder, trials: Trials | None = None) -> None:
        """Begin with the current content of the folder.

        Args:
            folder: The study folder.
            trials: Its trials, if the caller has read them.

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
        # The latest ended trials, enough for a worker whose trial took twice as long as the others.
        self._latest: deque[Record] = deque(maxlen=2 * folder.study.parallel_trials)
        self._copies: list[int] = []

    @property
    def unknown(self) -> list[int]:
        """The claimed trials without a known suggestion."""
        return [
            number
            for number in range(1, self.highest + 1)
            if number not in self.trials.records and number not in self.trials.pending
        ]

    def reopen(self, trial: int) -> None:
        """Look again for attempts at a trial that has a record."""
        self._settled.discard(trial)

    def look(self) -> list[Record]:
        """Read new files, and return the new records that count, in the order of their numbers.

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
        """Write a copy for other workers, if one is due at a trial that was proposed."""
        if is_kept_at(self.folder, trial):
            write_known(self.folder, trial, self._latest, self.trials.pending.values())

    def add(self, record: Record) -> None:
        """Add a record that the caller has written."""
        self.attempts.setdefault(record.trial, {})[record.attempt] = record
        self._latest.append(record)
        self.highest = max(self.highest, record.trial)
        self._count(record.trial)

    def _count(self, number: int) -> Record | None:
        """Update the record that counts of a trial, and return it if it is new."""
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
    """Return the number of running trials to list individually, so that all take the fewest requests.

    Otherwise a trial that takes very long would cause all later ones to be listed again and again.
    """
    costs = [alone + (highest - first) // TRIALS_A_PAGE for alone, first in enumerate([*unsettled, highest])]
    return costs.index(min(costs))
