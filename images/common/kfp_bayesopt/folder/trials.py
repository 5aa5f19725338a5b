"""The documents of a trial, each written once: its suggestion, the claim of each attempt, and its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, combinations, islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.documents import Count, Number, OfStudy, Time
from kfp_bayesopt.growing import Growing
from kfp_bayesopt.space.decimals import difference
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.study.early_stopping import EarlyStopping
from kfp_bayesopt.study.sources.base import VALUE
from kfp_bayesopt.study.study import Study

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

# The wording before `Reason.unread` existed.
_UNREAD_OF_OLD = " took longer than 1 s over the output; make it simpler"
_EVALUATE_AGAIN = "delete the file and run the study again, so that the trial is evaluated again"
MOST_OVERLAPS = 5000
"""The most sets of trials that are tried as counted twice by a suggestion."""


class Seen(StrictModel):
    """The trials that the optimiser knew when it proposed a trial.

    Attributes:
        highest: It knew the records of trials 1 to this one, except for the trial itself and those named here.
        pending: Running trials with known points.
        unknown: Begun trials with unknown suggestions. The engine proposes a point for each of those with a lower
            number too, and the last point of that batch is the suggestion.
        ledger: SHA-256 of the part of these records that engines learn.
    """

    highest: Count
    pending: list[Number] = Field([])
    unknown: list[Number] = Field([])
    ledger: str

    def records(self, trial: int) -> set[int]:
        """Return the trials whose records it knew when it proposed this one."""
        return set(range(1, self.highest + 1)).difference(self.pending, self.unknown, [trial])


class Suggestion(OfStudy):
    """A trial proposed by the optimiser; it is pending until it has a record."""

    what = "suggestion"
    way_out = (
        "restore it from a copy or an earlier version of the object, or delete it: a trial that has a record counts "
        "without it, and any other is proposed again"
    )

    trial: Number = Field(description="Number of the trial in its study, from 1.")
    iteration: Number | None = Field(None, description="Number of its batch, from 1.")
    parameters: Parameters
    initial: bool | None = Field(None, description="Whether the study asks for it, or for a part: `initial_trials`.")
    seen: Seen
    optimizer: dict[str, Any] = Field(description="Settings of the engine.")
    parallel_trials: Number | None = Field(None, description="Of the study, when it was proposed.")
    asked: dict[str, Any] = Field(
        {}, description="What else was asked for then: limits, constraints, reference, noisy, earlier trials."
    )
    versions: dict[str, str] = Field(description="Of what computed it: ours, numpy, scipy, the BLAS kernel.")

    def mismatches(self, study: Study) -> Iterator[str]:
        """Yield the mismatches between the suggestion and its study."""
        if found := difference(study.space, self.parameters):
            yield f"it is not in the space of the study: {found}"

    def learnt_from(self, ended: Mapping[int, Record], digest: Digest | None = None) -> Learnt | None:
        """Return the records that it was proposed from, or None if they are missing or changed.

        In some earlier versions, a worker that was overtaken while claiming counted as pending a trial that had ended
        and that it had learnt.

        Args:
            ended: The records of the ended trials, by number.
            digest: Returns the digest of a ledger. By default `digest_of`.
        """
        digest = digest or digest_of
        known = self.seen.records(self.trial)
        if not ended.keys() >= known:
            return None
        twice = [number for number in self.seen.pending if number <= self.seen.highest and number in ended]
        every = chain.from_iterable(combinations(twice, count) for count in range(len(twice) + 1))
        for overlap in islice(every, MOST_OVERLAPS):
            records = [ended[number] for number in sorted(known.union(overlap))]
            if digest(records) == self.seen.ledger:
                return Learnt(records, overlap)
        return None


@dataclass(frozen=True)
class Learnt:
    """The basis of a suggestion.

    Attributes:
        records: The records of the ended trials.
        twice: The trials among them that it also names as pending.
    """

    records: list[Record]
    twice: tuple[int, ...]


class Claim(OfStudy):
    """The claim of an attempt at a trial by a worker."""

    what = "claim"
    way_out = _EVALUATE_AGAIN

    trial: Number
    attempt: Number
    worker: str = Field(description="Machine and process.")
    token: str = Field(description="Chosen at random, so that a worker knows its own claim.")
    job: str | None = Field(None, description="The job that it belongs to.")
    place: Number | None = Field(None, description="Which of the workers of its job it is.")
    claimed: Time


class Heartbeat(OfStudy):
    """A sign of life of an attempt; only its time by the clock of the storage counts."""

    what = "sign of life"
    way_out = "delete the file; nothing is read from it"

    trial: Number
    attempt: Number
    worker: str
    at: Time


class Reason(StrictModel):
    """The reason that a trial failed.

    Attributes:
        kind: The objective `raised` or gave no number (`value`), its process ended before it gave a value (`exit`), or
            it took too long (`timeout`) or too much `memory`; it could not be called at all (`mistake`), its worker was
            `lost`, or the trial is `abandoned` after too many lost workers.
        exit: Exit status of its process; negative is a signal.
        message: The reason in words.
        last_lines: The last lines that it printed, at most 20.
        unread: Whether a limit of ours kept its value from being read: the next command reads it from the log.
    """

    kind: Literal["raised", "value", "exit", "timeout", "memory", "mistake", "lost", "abandoned"]
    exit: int | None = None
    message: str
    last_lines: list[str] = Field([])
    unread: bool | None = None


class Steps(StrictModel):
    """A summary of the intermediate values of a trial."""

    first: Count
    last: Count
    count: Count
    value: float = Field(description="The last of them.")


class Compared(StrictModel):
    """Another trial at a rung, and its value there."""

    trial: Number
    value: float


class Rung(OfStudy):
    """The early-stopping decision for a trial at one rung."""

    what = "rung"
    way_out = "restore it from a copy; deleted, the trial is compared again when it gets there again"

    trial: Number
    attempt: Number
    step: Count = Field(description="Where trials are compared; the trial may have said its value a little later.")
    value: float
    seen: list[Compared] = Field(description="The other trials that it was compared with.")
    rule: EarlyStopping = Field(description="`early_stopping` of the study then.")
    stopped: bool
    at: Time

    def mistake(self, study: Study, values: Mapping[int, float]) -> str | None:
        """Return the mistake in a decision, or None: it must follow from the values in it, and these must be right.

        Args:
            study: Its study.
            values: The known values at the step, by trial.
        """
        if self.stopped != self.rule.stops(self.value, [each.value for each in self.seen], study.direction):
            return "the decision does not follow from its values"
        for each in self.seen:
            if values.get(each.trial, each.value) != each.value:
                return f"trial {each.trial} had {values[each.trial]!r} there, not {each.value!r}"
        return None


class Curve(OfStudy):
    """The intermediate values of an attempt, thinned out if very many."""

    what = "curve"
    way_out = "delete the file; the report shows the trial without it"

    trial: Number
    attempt: Number
    steps: list[Count]
    values: list[float]


class KeptFile(StrictModel):
    """A kept file that a trial wrote to BAYESOPT_OUTPUT."""

    name: str = Field(min_length=1, max_length=4096, description="Its path in the folder.")
    size: int = Field(ge=0, le=2**60, description="How many bytes it has.")
    md5: str = Field(pattern="^[0-9a-f]{32}$", description="MD5 of its content.")
    object: str | None = Field(None, min_length=1, description="What it is called in a bucket that cannot call it so.")

    @property
    def kept_as(self) -> str:
        """Its name in the storage."""
        return self.object or self.name


class Manifest(OfStudy):
    """The files that a trial wrote to BAYESOPT_OUTPUT: written after all of them are kept, and before its record."""

    what = "list of files"
    way_out = "restore it from a copy; where it is deleted, the files of the trial are no longer checked"
    max_bytes = 2**26

    trial: Number
    attempt: Number
    files: list[KeptFile]
    folders: list[str] = Field([], description="Those in which nothing is.")
    left_out: list[str] = Field([], description="What is no file of the folder, such as a link to outside, and why.")


Four = Annotated[list[float | str | None], Field(min_length=4, max_length=4)]
"""
The first, the last, the lowest and the highest number of a metric; None for one that is not finite, and a text in the
place of a number that is not one."""


class Said(OfStudy):
    """The metrics so far of a trial with a checkpoint, for the attempt that continues from it."""

    what = "list of what a trial has said"
    way_out = "delete the file; what was said before the attempt that goes on does not count then"
    max_bytes: ClassVar[int] = 10_000_000

    trial: Number
    attempt: Number
    goes_on_from: Number | None = Field(None, description="The attempt from whose checkpoint this one goes on.")
    metrics: dict[str, Four] = Field({}, description="Those of the source of its value, in short.")
    steps: list[Count] = Field([], description="Of the intermediate values that are kept.")
    values: list[float] = Field([], description="As many.")
    stride: Number = Field(1, description="Every which of them is kept.")
    count: Count = Field(0, description="How many there were.")
    last: Count | None = Field(None, description="The last step.")
    numbers: Four | None = Field(None, description="Its values in short.")
    said: Four | None = Field(None, description="The same with texts that are no numbers, where there were some.")
    at_step: float | None = Field(None, description="The value of the step that the study asks for.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.steps) != len(self.values) or (self.last is None) != (self.numbers is None):
            raise ValueError("steps and values are as many, and last and numbers come together")
        if (self.last is None) != (not self.steps):
            raise ValueError("last is required of a trial that has said a step, and of it alone")
        return self


class Record(OfStudy):
    """A trial as JSON: its parameters and its outcome.

    A completed trial has values, a failed one a reason.
    """

    what = "record"
    way_out = _EVALUATE_AGAIN

    trial: Number
    iteration: Number | None = None
    attempt: Number = 1
    parameters: Parameters
    state: Literal["completed", "failed", "stopped"]
    values: dict[str, float] = Field(
        {}, description="`value`, or the objectives, is what is optimised; the others are metrics."
    )
    reason: Reason | None = None
    log: str | None = Field(None, description="What the objective printed: a file beside the record.")
    code: str | None = Field(None, description="`image:`, `files:` or `function:`, and a digest of what was run.")
    worker: str | None = None
    place: str | None = Field(None, description="Where the study ran.")
    suggested: Time | None = Field(None, description="When the trial was proposed, by the clock of the storage.")
    started: Time = Field(description="When the evaluation began.")
    seconds: float = Field(ge=0, le=1e9, description="How long it took.")
    startup_seconds: float | None = Field(None, ge=0, le=1e9, description="From the proposal to the start.")
    machine: str | None = Field(None, description="Name of the machine or container.")
    processor_seconds: float | None = Field(None, ge=0, le=1e12)
    memory_bytes: int | None = Field(None, ge=0, le=2**60, description="The most that one process of it had.")
    steps: Steps | None = Field(None, description="Of a trial that has intermediate values.")
    cost: float | None = Field(None, ge=0, le=1e12, description="What it cost, by the rate of its job.")
    output_missing: str | None = Field(
        None, description="Why what it wrote to BAYESOPT_OUTPUT, such as its model, is not kept, or not all of it."
    )
    read_from: Number | None = Field(
        None, description="The attempt that was evaluated, where this one has read its value again from the log."
    )
    warnings: list[str] | None = Field(
        None, description="What a person should look at: a metric that was printed so that another number may be meant."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.reason is None) == (self.state == "failed"):
            raise ValueError("reason is required of a failed trial alone")
        if VALUE in self.values if self.state == "failed" else not self.values:
            raise ValueError("values.value is required of a trial that has not failed, and of it alone")
        return self

    def mismatches(self, study: Study) -> Iterator[str]:
        """Yield the mismatches between the trial and its study."""
        if found := difference(study.space, self.parameters):
            yield f"it is not in the space of the study: {found}"
        if self.state != "failed":
            yield from (f"values.{name}: required key is missing" for name in study.signs if name not in self.values)

    @property
    def value(self) -> float | None:
        """The value of a single objective; None if the trial failed, or the study has several."""
        return self.values.get(VALUE)

    @property
    def outcome(self) -> str:
        """One-line outcome: its value, all values of several objectives and metrics, or the reason it failed."""
        if self.reason is not None:
            return self.reason.message
        if self.value is not None:
            at = f" at step {self.steps.last}, stopped" if self.state == "stopped" and self.steps else ""
            return f"{self.value!r}{at}"
        return ", ".join(f"{name} {value!r}" for name, value in self.values.items())

    @cached_property
    def learnt(self) -> str:
        """The part that engines learn, as JSON by Python's own module, whose numbers are the same in every version."""
        keys = {"iteration", "trial", "parameters", "state", "values"}
        return json.dumps(self.model_dump(include=keys), separators=(",", ":"))

    @property
    def evaluated(self) -> int:
        """The attempt that was evaluated: the one with the log and the files."""
        return self.read_from or self.attempt

    @property
    def is_unread(self) -> bool:
        """Tell whether it ended well, but a limit of ours kept its value from being read."""
        reason = self.reason
        return reason is not None and (
            reason.unread or (reason.kind == "value" and _UNREAD_OF_OLD in reason.message and self.log is not None)
        )

    def may_be_tried_again(self, retry_failed: bool) -> bool:
        """Tell whether another job makes one more attempt, which evaluates the trial or reads its value again."""
        return not self.is_final or self.is_unread or (retry_failed and self.state == "failed")

    @property
    def is_final(self) -> bool:
        """Tell whether the trial has ended: after a mistake or a lost worker the next command makes a new attempt."""
        return self.reason is None or self.reason.kind not in {"mistake", "lost"}


@dataclass
class Trials:
    """The trials of a study, as far as they are known.

    Attributes:
        records: The record of each trial that counts, by number.
        pending: The suggestions without a record, by number.
        unwritten: Those among them that are in the format of version 0.1.0.
        digest: Returns the digest of a ledger, like `digest_of`; a longer ledger costs only its new records.
    """

    records: dict[int, Record] = field(default_factory=dict)
    pending: dict[int, Suggestion] = field(default_factory=dict)
    unwritten: list[Suggestion] = field(default_factory=list)
    digest: Digest = field(default_factory=lambda: growing_digest(), repr=False, compare=False)

    @property
    def ended(self) -> list[Record]:
        """The records of the ended trials, in the order of their numbers: the engines learn these."""
        return [record for record in self.ledger if record.is_final]

    @property
    def ledger(self) -> list[Record]:
        """All records, in the order of their numbers."""
        return [self.records[number] for number in sorted(self.records)]

    @property
    def running(self) -> dict[int, Parameters]:
        """The points of the trials that have begun and not ended, by number.

        They include trials that get another attempt because their worker was lost or they could not be evaluated at
        all.
        """
        found = {record.trial: record.parameters for record in self.ledger if not record.is_final}
        ended = self.records.keys() - found.keys()
        return found | {number: each.parameters for number, each in self.pending.items() if number not in ended}

    @property
    def proposed(self) -> int:
        """The number of proposed trials, ended or not."""
        return len(self.records.keys() | self.pending.keys())

    def add(self, record: Record) -> None:
        """Add the record of a trial that counts."""
        self.records[record.trial] = record
        self.pending.pop(record.trial, None)

    def check_ended(self, batch: range) -> None:
        """Check that the proposed trials of a batch have ended.

        Raises:
            UserError: One has no record, or could not be evaluated at all.
        """
        for record in (self.records[number] for number in batch if number in self.records):
            if record.reason is not None and not record.is_final:
                raise UserError(f"trial {record.trial}: {record.reason.message}")
        if missing := [number for number in batch if number in self.pending]:
            named = ", ".join(map(str, missing[:10])) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
            plural = "records of trials" if len(missing) > 1 else "record of trial"
            verb, what = ("are", "them") if len(missing) > 1 else ("is", "it")
            raise UserError(f"the {plural} {named} {verb} missing; run `evaluate` for {what} again")


def record_that_counts(attempts: Sequence[Record]) -> Record | None:
    """Return the record that counts: of the attempts at a trial the first that did not fail, else the last."""
    ordered = sorted(attempts, key=lambda record: record.attempt)
    return next((record for record in ordered if record.state != "failed"), ordered[-1] if ordered else None)


def digest_of(ledger: Sequence[Record]) -> str:
    """Return the SHA-256 of the part of a ledger that engines learn; times and machines are not in it."""
    return hashlib.sha256("\n".join(record.learnt for record in ledger).encode()).hexdigest()


Digest = Callable[[Sequence[Record]], str]


def growing_digest() -> Digest:
    """Return a function like `digest_of` that processes only the new records of a growing ledger."""

    def add(before: Hash | None, record: Record) -> Hash:
        if before is None:
            return hashlib.sha256(record.learnt.encode())
        after = before.copy()
        after.update(b"\n" + record.learnt.encode())
        return after

    growing: Growing[Record, Hash | None] = Growing(None, add)
    return lambda ledger: (growing.of(ledger) or hashlib.sha256()).hexdigest()
