"""The use of machine time in a study: the activity of each machine, and the reasons for its idle time.

All follows from the times at which trials were proposed, began and ended. Between two trials a machine waits for the
slowest of the batch, then for the proposals, then it starts. If a record lacks the time of its proposal, the last two
cannot be told apart, and the page says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.trials import Record


@dataclass(frozen=True)
class Span:
    """A trial on a machine.

    Attributes:
        trial: Its number.
        start: Its begin, in seconds since the first trial was proposed.
        seconds: Its duration.
        starting: Duration of the start of its machine, just before.
        proposing: Duration of its proposal, before that; in batches with the start of the step that proposes.
        waiting: Time that its machine waited, before that, for the slowest trial of the previous batch.
        unknown: Time that its machine was idle for an unknown reason.
    """

    trial: int
    start: float
    seconds: float
    starting: float = 0.0
    proposing: float = 0.0
    waiting: float = 0.0
    unknown: float = 0.0

    @property
    def idle(self) -> float:
        """Idle time of its machine before it."""
        return self.starting + self.proposing + self.waiting + self.unknown


@dataclass
class Lane:
    """The trials of one machine, or of one of the parallel positions of a batch.

    Attributes:
        worker: Its worker, if one worker evaluated all of them.
        spans: In order of time.
    """

    worker: str | None
    spans: list[Span] = field(default_factory=list)

    @property
    def end(self) -> float:
        """The end of its last trial."""
        return self.spans[-1].start + self.spans[-1].seconds if self.spans else 0.0


@dataclass(frozen=True)
class Times:
    """The use of machine time in a study.

    Attributes:
        begin: The time at which its first trial was proposed or began; None without trials.
        lanes: The trials of each machine.
        pauses: Start and end of each time without a job, in seconds since the begin.
    """

    begin: datetime | None
    lanes: list[Lane]
    pauses: list[tuple[float, float]]

    @property
    def spans(self) -> list[Span]:
        """All trials."""
        return [span for lane in self.lanes for span in lane.spans]

    @property
    def running(self) -> float:
        """Total evaluation time, in machine seconds."""
        return sum(span.seconds for span in self.spans)

    @property
    def idle(self) -> dict[str, float]:
        """Total idle time by reason; `unknown` is left out if it is 0."""
        found = {
            "starting": sum(span.starting for span in self.spans),
            "proposing": sum(span.proposing for span in self.spans),
            "waiting": sum(span.waiting for span in self.spans),
        }
        unknown = sum(span.unknown for span in self.spans)
        return found | ({"unknown": unknown} if unknown else {})

    @property
    def total(self) -> float:
        """Total machine time."""
        return self.running + sum(self.idle.values())


def times_of(ledger: Iterable[Record], jobs: Sequence[Job]) -> Times:
    """Work out the trials and idle times of each machine.

    A worker of an asynchronous study is a machine. The trials of batches have a machine each and are put one after
    another: a trial goes to the first position that was free. The time before it is its start-up, before that its
    proposal, and before that the wait for the slowest trial of the previous batch.

    Args:
        ledger: The records.
        jobs: The submissions; between the end of all earlier trials and a submission nothing ran.
    """
    records = sorted(ledger, key=lambda record: (_seconds(record.started), record.trial))
    if not records:
        return Times(None, [], [])
    first = min(records, key=_begin)
    zero = _begin(first)
    pauses = _pauses(records, [_seconds(job.submitted) for job in jobs], zero)
    barriers = _barriers(records)
    lanes: list[Lane] = []
    for record in records:
        start = _seconds(record.started) - zero
        lane = _lane(lanes, record, start)
        since = min(lane.end, start) if lane.spans else start - (record.startup_seconds or 0.0)
        barrier = barriers[record.trial] - zero if record.trial in barriers else None
        lane.spans.append(_span(record, start, since, barrier, pauses))
    return Times(datetime.fromisoformat(first.suggested or first.started), lanes, pauses)


def _barriers(records: Sequence[Record]) -> dict[int, float]:
    """Return the end of the batches before that of each trial, by trial."""
    ends: dict[int, float] = {}
    for record in records:
        if record.iteration is not None:
            end = _seconds(record.started) + record.seconds
            ends[record.iteration] = max(end, ends.get(record.iteration, end))
    batches = sorted(ends)
    before = dict(zip(batches[1:], itertools.accumulate((ends[batch] for batch in batches[:-1]), max), strict=True))
    return {each.trial: before[each.iteration] for each in records if each.iteration in before}


def _span(
    record: Record, start: float, since: float, barrier: float | None, pauses: Sequence[tuple[float, float]]
) -> Span:
    """Return the span of a trial on a machine that was free since a given time.

    Args:
        record: The record.
        start: Its begin.
        since: The time at which its machine became free.
        barrier: The end of the previous batches; None without any.
        pauses: The times without a job.
    """

    def idle(begin: float, end: float) -> float:
        return max(0.0, end - begin - sum(_overlap(begin, end, pause) for pause in pauses))

    starting = min(record.startup_seconds or 0.0, start - since)
    proposed = start - starting
    # A worker waits for no other, and the first batch for no earlier one.
    ended = since if barrier is None else min(max(since, barrier), proposed)
    rest = idle(ended, proposed)
    is_proposing = record.suggested is not None and (record.iteration is None or barrier is not None)
    return Span(
        record.trial, start, record.seconds, idle(proposed, start),
        proposing=rest if is_proposing else 0.0, waiting=idle(since, ended), unknown=0.0 if is_proposing else rest,
    )  # fmt: skip


def _lane(lanes: list[Lane], record: Record, start: float) -> Lane:
    """Return the lane of a trial: its worker's, else the first that was free, else a new one."""
    worker = record.worker if record.iteration is None else None
    if worker is not None:
        found = next((lane for lane in lanes if lane.worker == worker), None)
    else:
        # Clocks of machines differ a little.
        found = next((lane for lane in lanes if lane.worker is None and lane.end <= start + 0.001), None)
    if found is None:
        found = Lane(worker)
        lanes.append(found)
    return found


def _pauses(records: Sequence[Record], submissions: Sequence[float], zero: float) -> list[tuple[float, float]]:
    """Return the times before each submission in which no trial was running any more."""
    pauses = []
    for submitted in sorted(submissions):
        before = [_seconds(each.started) + each.seconds for each in records if _seconds(each.started) < submitted]
        if before and max(before) < submitted:
            pauses.append((max(before) - zero, submitted - zero))
    return pauses


def _overlap(start: float, end: float, pause: tuple[float, float]) -> float:
    return max(0.0, min(end, pause[1]) - max(start, pause[0]))


def _begin(record: Record) -> float:
    """Return the time at which a trial was proposed, or its begin if that is unknown."""
    return min(_seconds(record.suggested or record.started), _seconds(record.started))


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
