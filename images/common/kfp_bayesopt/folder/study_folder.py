"""The study folder: the URI of each file of a study, and the combined state of its trials.

docs/study-folder.md is the contract, also for other programs. Files that engines read are created once and never
change; a step leaves existing ones as they are.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import md5
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

from kfp_bayesopt import hints
from kfp_bayesopt.errors import DamagedError, ExistsError, NotFoundError, UnavailableError, UserError
from kfp_bayesopt.folder.documents import Number, OfStudy, damaged, number_in, parse_document, read_document
from kfp_bayesopt.folder.earlier import read_earlier, write_earlier
from kfp_bayesopt.folder.old_folder import read_old_folder
from kfp_bayesopt.folder.results import ledger_lines
from kfp_bayesopt.folder.trials import Claim, Curve, Manifest, Record, Rung, Suggestion, Trials, record_that_counts
from kfp_bayesopt.function.file import FunctionFile
from kfp_bayesopt.function.stored import function_uri, lock_uri
from kfp_bayesopt.space.decimals import canonical_point
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study

FOLD = 1000
"""The number of records in a fold."""
MOST_FOLD_BYTES = 2**28
THREADS = 10  # as many as the client of Cloud Storage keeps connections; one more and it warns

MOST_ATTEMPTS = 10_000
"""More attempts than any trial has; names with a higher number are ignored."""
MOST_GAP = 1000
"""
The largest gap between numbers of trials beyond the budget, which was larger then. Workers that collide spread, each
over twice as many numbers as before."""

_FILE = re.compile(r"([^/]+)/(?:suggestion\.json|(known)\.jsonl|(claim|record|heartbeat)-([^/]+)\.json)")

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


def study_uri(root: str, content: bytes) -> str:
    """Return the URI of a study file with this content in a study folder."""
    return f"{root}/study/{hashlib.sha256(content).hexdigest()}.yaml"


@dataclass
class Files:
    """The files of one trial.

    Attributes:
        suggested: The time of its suggestion, by the clock of the storage; None without one.
        claims: The claimed attempts, from 1.
        records: The attempts with a record.
        alive: The time of the last sign of life of each attempt, its claim or a heartbeat, by the same clock.
        latest: The time of the newest file, by the same clock.
        digests: MD5 of the claim of each attempt, as far as the storage gives it with a list.
        known: Whether there is a copy of its worker's knowledge.
    """

    suggested: datetime | None = None
    claims: list[int] = field(default_factory=list)
    records: list[int] = field(default_factory=list)
    alive: dict[int, datetime] = field(default_factory=dict)
    latest: datetime | None = None
    digests: dict[int, str] = field(default_factory=dict)
    known: bool = False

    @property
    def next_attempt(self) -> int:
        """The next attempt number."""
        return max([*self.claims, *self.records], default=0) + 1

    @property
    def running(self) -> int | None:
        """The last claimed attempt, if it has no record."""
        last = self.next_attempt - 1
        return last if last and last not in self.records else None


class Retry(OfStudy):
    """The ended trials that a job gives another attempt."""

    what = "list of retried trials"
    way_out = "restore it from a copy or an earlier version of the object"

    trials: list[Number]


def parse_fold(uri: str, content: bytes, study: Study, count: int, before: int = 0) -> list[Record]:
    """Return the records of a fold.

    Args:
        uri: Its URI.
        content: JSON lines, one record each.
        study: The study.
        count: The required number of records.
        before: The number of trials before them.

    Raises:
        UserError: It is damaged, or of another study.
    """
    way_out = "delete the file; it is made again from the records"
    lines = content.split(b"\n")
    if len(lines) != count + 1 or lines[-1]:
        raise damaged(Record, uri, f"must have {count} whole lines", way_out)
    records = []
    for number, line in enumerate(lines[:-1], before + 1):
        source = f"{uri}, line {number - before}"
        record = parse_document(Record, line, source, study, way_out)
        if record.trial != number:
            raise damaged(Record, source, f"must be trial {number}, but got trial {record.trial}", way_out)
        records.append(record)
    return records


class StudyFolder:
    """Reads and writes the files of a study in its folder.

    Attributes:
        root: The folder: a gs:// prefix or a local path, without a slash at its end.
        study: The study.
    """

    def __init__(self, root: str, study: Study) -> None:
        self.root = root.rstrip("/")
        self.study = study
        self._rungs: dict[str, Rung | None] = {}
        self._said: set[str] = set()
        self._left_out: set[str] = set()

    @cached_property
    def searched(self) -> Study:
        """The study with the trials of other studies that its search begins with.

        Raises:
            UserError: Their file is damaged.
        """
        return self.study.with_earlier(read_earlier(self.root, self.study.space))

    @cached_property
    def function(self) -> FunctionFile | None:
        """The file of the function of the study, with the lock of its packages; None if its objective is none.

        It is what the study carries, else what lies beside the study file, else what is in the folder.

        Raises:
            UserError: One of both is not there, or another one than the study file names.
        """
        function = self.study.objective.function
        if function is None or self.study.carried is not None:
            return self.study.carried
        return function.find([] if self.study.folder is None else [self.study.folder], self.root)

    @property
    def code(self) -> dict[str, bytes]:
        """The file of its function and the lock of its packages, by their names in the folder, as far as it has them.

        Raises:
            UserError: As of `function`.
        """
        file = self.function
        if file is None:
            return {}
        found = {function_uri("", file.sha256).removeprefix("/"): file.content}
        if file.lock is not None:
            found[lock_uri("", file.lock.sha256).removeprefix("/")] = file.lock.content
        return found

    def suggestion_uri(self, trial: int) -> str:
        """Return the URI of the suggestion of a trial."""
        return f"{self.root}/trials/{trial:06d}/suggestion.json"

    def point_uri(self, parameters: Parameters) -> str:
        """Return the URI of the claim on a point."""
        digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
        return f"{self.root}/points/{digest}.json"

    def claim_uri(self, trial: int, attempt: int) -> str:
        """Return the URI of the claim of an attempt."""
        return f"{self.root}/trials/{trial:06d}/claim-{attempt}.json"

    def record_uri(self, trial: int, attempt: int) -> str:
        """Return the URI of the record of an attempt."""
        return f"{self.root}/trials/{trial:06d}/record-{attempt}.json"

    def heartbeat_uri(self, trial: int, attempt: int) -> str:
        """Return the URI of the heartbeat of an attempt."""
        return f"{self.root}/trials/{trial:06d}/heartbeat-{attempt}.json"

    def log_uri(self, trial: int, attempt: int) -> str:
        """Return the URI of an attempt's log."""
        return f"{self.root}/trials/{trial:06d}/log-{attempt}.txt"

    def checkpoint_uri(self, trial: int) -> str:
        """Return the URI of a trial's checkpoint folder, shared by all of its attempts."""
        return f"{self.root}/trials/{trial:06d}/checkpoint"

    def curve_uri(self, trial: int, attempt: int) -> str:
        """Return the URI of an attempt's curve."""
        return f"{self.root}/trials/{trial:06d}/curve-{attempt}.json"

    def said_uri(self, trial: int, attempt: int) -> str:
        """Return the URI of a trial's metrics up to and including an attempt."""
        return f"{self.root}/trials/{trial:06d}/said-{attempt}.json"

    def said_log_uri(self, trial: int, attempt: int) -> str:
        """Return the URI of an attempt's log so far, in a bucket."""
        return f"{self.root}/trials/{trial:06d}/said-{attempt}.log"

    def rung_uri(self, step: int, trial: int) -> str:
        """Return the URI of a trial's rung."""
        return f"{self.root}/rungs/{step}/{trial:06d}.json"

    def output_uri(self, trial: int, attempt: int) -> str:
        """Return the URI of the folder of an attempt's kept files."""
        return f"{self.root}/trials/{trial:06d}/output-{attempt}"

    def manifest_uri(self, trial: int, attempt: int) -> str:
        """Return the URI of the manifest of an attempt's kept files."""
        return f"{self.output_uri(trial, attempt)}.json"

    def known_uri(self, trial: int) -> str:
        """Return the URI of the copy of a worker's knowledge after it proposed a trial."""
        return f"{self.root}/trials/{trial:06d}/known.jsonl"

    def fold_uri(self, last: int) -> str:
        """Return the URI of a fold of a thousand records, by the number of its last trial."""
        return f"{self.root}/ledger-{last:08d}.jsonl"

    # --- reading ---------------------------------------------------------------------------------

    def read(self) -> Trials:
        """Read all trials.

        Raises:
            UserError: A file is damaged, edited, missing, of another study or of a newer format.
        """
        old = read_old_folder(self.root, self.study, self._warn)
        folded = self._read_folds()
        retried = self._retried()
        files = self.files_from(len(folded) + 1)
        for number in retried:
            if number <= len(folded):
                files |= self._list(f"{self.root}/trials/{number:06d}/")
        trials = Trials({**old.records, **{record.trial: record for record in folded}}, dict(old.pending))
        trials.records |= self._read_records(files, trials.pending)
        self._check_complete(files, trials)
        suggested = sorted(number for number, found in files.items() if found.suggested is not None)
        last = self._last_of(suggested, trials.records)
        if last is not None:
            # Older ones were compared with their records when it was proposed, and it has the digest of these.
            since = 0 if retried else last.seen.highest
            beside = {*last.seen.pending, *last.seen.unknown}
            wanted = [
                number
                for number in suggested
                if number != last.trial and (number > since or number in beside or number not in trials.records)
            ]
            found = {each.trial: each for each in [last, *self.read_suggestions(wanted, trials.records)]}
            trials.pending |= found
            for suggestion in trials.pending.values():
                self._compare(suggestion, trials.records.get(suggestion.trial))
            if not retried:
                self._check_digest(last, trials)
        trials.unwritten = [each for number, each in old.pending.items() if number not in suggested]
        trials.pending = {n: each for n, each in sorted(trials.pending.items()) if n not in trials.records}
        return trials

    def read_attempts(self, attempts: Sequence[tuple[int, int]], files: Mapping[int, Files]) -> list[Record]:
        """Read the records of attempts, each named by its trial and its number.

        An unusable one is left out if the attempt was not claimed, or the trial is beyond the budget.

        Args:
            attempts: Trial and attempt of each.
            files: The files of their trials.

        Raises:
            UserError: One is missing, damaged, or of another study or trial.
        """

        def read(which: tuple[int, int]) -> Record | None:
            number, attempt = which
            is_ours = attempt in files[number].claims and number <= self.study.budget
            return self._use(self.record_uri(*which), lambda: self.read_record(*which), is_ours)

        return [record for record in self._map(read, attempts) if record is not None]

    def read_suggestions(self, trials: Sequence[int], ended: Container[int] = ()) -> list[Suggestion]:
        """Read the suggestions of trials.

        An unusable one is left out if the trial has ended, or is beyond the budget.

        Args:
            trials: The numbers of the trials.
            ended: The trials with a record.

        Raises:
            UserError: One is missing, damaged, or of another study or trial.
        """

        def read(number: int) -> Suggestion | None:
            is_needed = number not in ended and number <= self.study.budget
            return self._use(self.suggestion_uri(number), lambda: self.read_suggestion(number), is_needed)

        return [suggestion for suggestion in self._map(read, trials) if suggestion is not None]

    def _last_of(self, suggested: Sequence[int], ended: Container[int]) -> Suggestion | None:
        """Return the last usable suggestion."""
        for number in reversed(suggested):
            for found in self.read_suggestions([number], ended):
                return found
        return None

    def _use(self, uri: str, read: Callable[[], R], is_needed: bool) -> R | None:
        """Read a document; an unusable one that is not needed is left out with a warning."""
        if uri in self._left_out:
            return None
        try:
            return read()
        except DamagedError as error:
            if is_needed:
                raise
            self._left_out.add(uri)
            self._warn(f"left out: {error.message}")
            return None

    def read_rungs(self) -> list[Rung]:
        """Read the early-stopping decisions, ordered by step and trial.

        An unusable file is left out with a warning.

        Raises:
            UnavailableError: Cloud Storage does not answer.
        """
        found = [entry.uri for entry in storage.entries(f"{self.root}/rungs/") if entry.uri.endswith(".json")]
        return sorted(filter(None, self._map(self.read_rung, found)), key=lambda rung: (rung.step, rung.trial))

    def values_at(self, step: int, is_wanted: Callable[[int], bool], most: int) -> dict[int, float]:
        """Return the values of trials at a step, by number: of the wanted ones the last.

        A trial's file lists the others that it saw, so the newest file has nearly all of them, and a second one seldom
        has more than those that came at the same moment. An unusable file is left out.

        Args:
            step: The step.
            is_wanted: Tells whether a trial, by its number, is wanted.
            most: The most values.

        Raises:
            UserError: Storage refuses to list.
        """
        found: dict[int, storage.Entry] = {}
        for entry in storage.entries(f"{self.root}/rungs/{step}/"):
            trial = number_in(entry.uri.rpartition("/")[2].removesuffix(".json"), 6)
            if trial is not None and is_wanted(trial):
                found[trial] = entry
        by_age = sorted(found.values(), key=lambda entry: (entry.created, entry.uri), reverse=True)
        newest = next(filter(None, (self.read_rung(entry.uri) for entry in by_age)), None)
        if newest is None:
            return {}
        values = {newest.trial: newest.value} | {each.trial: each.value for each in newest.seen}
        wanted = sorted(found)[-most:]
        more = self._map(self.read_rung, [found[trial].uri for trial in wanted if trial not in values])
        values |= {rung.trial: rung.value for rung in more if rung is not None}
        return {trial: values[trial] for trial in wanted if trial in values}

    def read_rung(self, uri: str) -> Rung | None:
        """Read a rung once: it never changes, and a worker sees the same ones trial after trial.

        Returns:
            None if it is unusable: a warning names it once, and the others count.

        Raises:
            UnavailableError: Cloud Storage does not answer.
        """
        if uri not in self._rungs:
            try:
                rung = read_document(Rung, uri, self.study)
                if not uri.endswith(self.rung_uri(rung.step, rung.trial).removeprefix(self.root)):
                    raise damaged(Rung, uri, f"it is of trial {rung.trial} at step {rung.step}")
                self._rungs[uri] = rung
            except UnavailableError:
                raise
            except UserError as error:
                self._warn(f"left out: {error.message}")
                self._rungs[uri] = None
        return self._rungs[uri]

    def read_suggestion(self, trial: int) -> Suggestion:
        """Read the suggestion of a trial.

        Raises:
            UserError: It is missing, damaged, or of another study or trial.
        """
        uri = self.suggestion_uri(trial)
        suggestion = read_document(Suggestion, uri, self.study)
        if suggestion.trial != trial:
            raise damaged(Suggestion, uri, f"trial: must be {trial}, but got {suggestion.trial}")
        return suggestion

    def read_record(self, trial: int, attempt: int) -> Record:
        """Read the record of an attempt.

        Raises:
            UserError: It is missing, damaged, or of another study or trial.
        """
        uri = self.record_uri(trial, attempt)
        record = read_document(Record, uri, self.study)
        if (record.trial, record.attempt) != (trial, attempt):
            raise damaged(
                Record, uri, f"must be trial {trial}, attempt {attempt}, but got {record.trial}, {record.attempt}"
            )
        return record

    def read_manifest(self, trial: int, attempt: int) -> Manifest | None:
        """Read the manifest of an attempt; None if it kept no files, or is of an older version.

        Raises:
            UserError: It is damaged, or of another study or trial.
        """
        uri = self.manifest_uri(trial, attempt)
        try:
            manifest = read_document(Manifest, uri, self.study)
        except NotFoundError:
            return None
        if (manifest.trial, manifest.attempt) != (trial, attempt):
            raise damaged(
                Manifest, uri, f"must be trial {trial}, attempt {attempt}, but got {manifest.trial}, {manifest.attempt}"
            )
        return manifest

    def files_of(self, trial: int) -> Files:
        """List the files of one trial."""
        return self._list(f"{self.root}/trials/{trial:06d}/").get(trial, Files())

    def suggested(self) -> list[int]:
        """Return the trials that have a suggestion."""
        return sorted(number for number, files in self.files_from(1).items() if files.suggested is not None)

    def has_retries(self) -> bool:
        """Tell whether ended trials were given another attempt."""
        return bool(self._retried())

    def by_their_end(self) -> Iterator[Record]:
        """Yield the last record of each trial, in the order in which they were written."""
        attempts: dict[int, dict[int, datetime]] = {}
        for entry, trial, kind, attempt in self._entries(f"{self.root}/trials/"):
            if kind == "record":
                attempts.setdefault(trial, {})[attempt] = entry.created
        for trial, created in sorted(attempts.items(), key=lambda item: (item[1][max(item[1])], item[0])):
            for attempt in sorted(created, reverse=True):
                uri = self.record_uri(trial, attempt)
                record = self._use(uri, functools.partial(self.read_record, trial, attempt), is_needed=False)
                if record is not None:
                    yield record
                    break

    def files_from(self, first: int) -> dict[int, Files]:
        """List the files of the trials from a number on; those before cost nearly nothing."""
        found = self._list(f"{self.root}/trials/", after=f"{self.root}/trials/{first - 1:06d}/~")
        last = max(self.study.budget, first - 1)
        for number in sorted(found):
            if number > last + MOST_GAP:
                self._warn(
                    f"{self.root}/trials/{number:06d}: left out: the study has a budget of {self.study.budget} trials, "
                    f"and none that is known between {last} and this one; delete the folder"
                )
                del found[number]
            else:
                last = max(last, number)
        return found

    def _entries(self, prefix: str, after: str = "") -> Iterator[tuple[storage.Entry, int, str | None, int]]:
        """Yield the files of trials: entry, trial, kind (None for a suggestion) and attempt, from their names."""
        # Kept files of trials are in deeper folders, and may be many, or links to anywhere.
        depth = 1 if prefix == f"{self.root}/trials/" else 0
        for entry in storage.entries(prefix, after, depth=depth):
            if not (match := _FILE.fullmatch(entry.uri.removeprefix(f"{self.root}/trials/"))):
                continue
            trial, attempt = number_in(match[1], 6), number_in(match[4]) if match[4] else 0
            if trial is not None and attempt is not None and attempt <= MOST_ATTEMPTS:
                yield entry, trial, match[2] or match[3], attempt

    def _list(self, prefix: str, after: str = "") -> dict[int, Files]:
        found: dict[int, Files] = {}
        for entry, number, kind, attempt in self._entries(prefix, after):
            files = found.setdefault(number, Files())
            files.latest = max(entry.updated, files.latest or entry.updated)
            if kind is None:
                files.suggested = entry.created
            elif kind == "known":
                files.known = True
            elif kind == "record":
                files.records.append(attempt)
            else:
                if kind == "claim":
                    files.claims.append(attempt)
                    if entry.md5 is not None:
                        files.digests[attempt] = entry.md5
                files.alive[attempt] = max(entry.updated, files.alive.get(attempt, entry.updated))
        return found

    def _read_records(self, files: dict[int, Files], proposed: Container[int]) -> dict[int, Record]:
        """Return the records that count; that of an ended trial even if its suggestion is lost, as it has the point."""
        attempts = [(number, attempt) for number, each in files.items() for attempt in each.records]
        found: dict[int, list[Record]] = {}
        for record in self.read_attempts(attempts, files):
            found.setdefault(record.trial, []).append(record)
        counting = {number: record_that_counts(records) for number, records in found.items()}
        return {
            number: record
            for number, record in counting.items()
            if record is not None
            and (record.is_final or files[number].suggested is not None or number in proposed)
        }  # fmt: skip

    def _read_folds(self) -> list[Record]:
        records: list[Record] = []
        while True:
            before = len(records)
            uri = self.fold_uri(before + FOLD)
            try:
                content = storage.read(uri, limit=MOST_FOLD_BYTES)
            except NotFoundError:
                return records
            read = functools.partial(parse_fold, uri, content, self.study, FOLD, before)
            try:
                records += read()
            except DamagedError:
                # The original records mostly still exist, with the same content.
                self._use(uri, read, is_needed=not self.files_of(before + 1).records)
                return records

    def _retried(self) -> set[int]:
        """Return the ended trials that got another attempt, of which a fold may have an old record."""
        uris = [entry.uri for entry in storage.entries(f"{self.root}/retries/")]
        notes = [
            self._use(uri, functools.partial(read_document, Retry, uri, self.study), is_needed=False) for uri in uris
        ]
        return {number for note in notes if note is not None for number in note.trials}

    def _check_complete(self, files: dict[int, Files], trials: Trials) -> None:
        """Refuse a folder that lacks a trial from which later ones follow.

        Asynchronous workers claim a number before they propose its point: there, the next one proposes it.
        """
        suggested = {number for number, each in files.items() if each.suggested is not None}
        known = trials.records.keys() | trials.pending.keys() | suggested
        highest = max(trials.records, default=0)
        gaps = [number for number in range(1, highest) if number not in known]
        if not gaps or SCHEDULES[self.study.schedule].claims_first:
            return
        if gaps[0] in files:
            raise UserError(
                f"{self.root}: trial {gaps[0]} was claimed by a worker, and not proposed; run the study once more with "
                "schedule: asynchronous, which finishes it"
            )
        raise UserError(
            f"{self.root}: trial {gaps[0]} is missing, but there are records of later ones; restore "
            f"{self.suggestion_uri(gaps[0])} and its record from a copy, or run the study once more with schedule: "
            "asynchronous, which evaluates it again"
        )

    def _compare(self, suggestion: Suggestion, record: Record | None) -> None:
        if record is not None and self._meant(record.parameters) != self._meant(suggestion.parameters):
            uri = self.record_uri(record.trial, record.attempt)
            raise UserError(f"{uri}: trial {record.trial} was proposed with other parameters; {Record.way_out}")

    def _meant(self, parameters: Parameters) -> str:
        """Return a key that is equal for the same point: JSON, because 1, 1.0 and True are equal in Python."""
        return json.dumps(canonical_point(self.study.space, parameters), sort_keys=True)

    def _check_digest(self, last: Suggestion, trials: Trials) -> None:
        """Warn if the last suggestion was not made from these records; all of them count anyway."""
        ended = {record.trial: record for record in trials.ended}
        if ended.keys() >= last.seen.records(last.trial) and last.learnt_from(ended) is None:
            self._warn(
                f"{self.root}: trial {last.trial} was proposed from other records than those that are here, as if one "
                f"of trials 1 to {last.seen.highest} was edited since; the study goes on with what is here; where a "
                f"record was edited, restore it from a copy, and see `{hints.VERIFY}`"
            )

    def _warn(self, message: str) -> None:
        """Warn once about a problem of the folder that does not stop the study."""
        if message not in self._said:
            self._said.add(message)
            logger.warning("%s", message)

    def read_curves(self, records: Iterable[Record]) -> list[Curve]:
        """Return the intermediate values of trials, as far as they have some that can be read.

        Raises:
            UnavailableError: Storage does not answer.
        """
        known = [record for record in records if record.steps is not None]
        found = self._map(lambda record: self.read_curve(record.trial, record.evaluated), known)
        return [curve for curve in found if curve is not None]

    def read_curve(self, trial: int, attempt: int) -> Curve | None:
        """Return the intermediate values of an attempt; None, with a warning, if they are missing or damaged.

        Raises:
            UnavailableError: Storage does not answer.
        """
        try:
            return read_document(Curve, self.curve_uri(trial, attempt), self.study)
        except UnavailableError:
            raise
        except UserError as error:
            logger.warning("the curve of trial %d is left out: %s", trial, error.message)
            return None

    def _map(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Call a function for each item, in parallel if each is a request."""
        if storage.is_local(self.root):
            return [function(item) for item in items]
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(function, items))

    # --- writing ---------------------------------------------------------------------------------

    def write_suggestions(self, suggestions: Iterable[Suggestion]) -> list[Suggestion]:
        """Write suggestions, and return them; an existing one stays, and is returned instead.

        Raises:
            UserError: Storage refuses it, or the existing file is damaged.
        """

        def write(suggestion: Suggestion) -> Suggestion:
            try:
                storage.create(self.suggestion_uri(suggestion.trial), suggestion.to_bytes())
            except ExistsError:
                return self.read_suggestion(suggestion.trial)
            return suggestion

        return self._map(write, list(suggestions))

    def take_point(self, suggestion: Suggestion) -> Suggestion:
        """Take a point for a trial, and return the suggestion that has it: this one, or that of a faster worker.

        Raises:
            UserError: Storage refuses it, or the existing file is damaged.
        """
        uri = self.point_uri(suggestion.parameters)
        try:
            storage.create(uri, suggestion.to_bytes())
        except ExistsError:
            found = self._use(uri, functools.partial(read_document, Suggestion, uri, self.study), is_needed=False)
            return found if found is not None and self.point_uri(found.parameters) == uri else suggestion
        return suggestion

    def claim(self, claim: Claim) -> bool:
        """Claim an attempt at a trial; return False if another worker has it."""
        try:
            storage.create(self.claim_uri(claim.trial, claim.attempt), claim.to_bytes())
        except ExistsError:
            return False
        return True

    def is_claimed_by(self, claim: Claim, files: Files | None) -> bool:
        """Tell whether a claim is there as it was written, by a list that was made since.

        A store that lets two creators of one name win keeps the content of one of them. The list costs nothing, as it
        follows a claim anyway; the claim itself is read only where the list has another digest, which some stores give
        in place of an MD5. Where lists have none, as on a disk and on Azure, creating once is relied on.
        """
        digest = files.digests.get(claim.attempt) if files is not None else None
        if digest in (None, md5(claim.to_bytes(), usedforsecurity=False).hexdigest()):
            return True
        uri = self.claim_uri(claim.trial, claim.attempt)
        try:
            return read_document(Claim, uri, self.study).token == claim.token
        except (NotFoundError, DamagedError):
            return True

    def write_record(self, record: Record, room: Path | None = None) -> None:
        """Write the record of an attempt, into its reserved space, if any.

        Raises:
            UserError: Storage refuses it, or the attempt has another record.
        """
        uri = self.record_uri(record.trial, record.attempt)
        if room is None:
            storage.create(uri, record.to_bytes())
        else:
            storage.create_in(room, uri, record.to_bytes())

    def write_earlier(self, trials: Sequence[Earlier]) -> bool:
        """Write the trials of other studies that the search begins with, once; tell whether there were none before."""
        written = write_earlier(self.root, trials)
        self.__dict__.pop("searched", None)  # it may have been read before they were there
        return written

    def write_study(self, content: bytes) -> str:
        """Write a study file and return its URI."""
        uri = study_uri(self.root, content)
        storage.create(uri, content)
        return uri

    def retry(self, job: str, trials: Sequence[int]) -> None:
        """Note that a job gives another attempt to ended trials."""
        note = Retry(study=self.study.name, fingerprint=self.study.fingerprint, trials=list(trials))
        storage.create(f"{self.root}/retries/{job}.json", note.to_bytes())

    def fold(self, ledger: Sequence[Record]) -> None:
        """Write the missing folds, one for each thousand trials that have all ended."""
        dense = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1].trial, enumerate(ledger, 1)))
        for last in range(FOLD, dense + 1, FOLD):
            uri = self.fold_uri(last)
            with contextlib.suppress(ExistsError):  # it is the same, but for what was retried since
                storage.create(uri, ledger_lines(ledger[last - FOLD : last]))
