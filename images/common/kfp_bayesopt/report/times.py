"""Where the time of a study went: what each machine did when, and for what it was idle.

All follows from when trials were proposed, began and ended. Between two trials a machine waits for the slowest of the
batch, then for our proposals, then it starts. Where a record does not say when its trial was proposed, nobody knows
which of the last two it was, and the page says that.
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
        start: When it began, in seconds since the first trial was proposed.
        seconds: How long it took.
        starting: How long before that its machine started.
        proposing: How long before that its proposal took, in batches with the start of the step that proposes.
        waiting: How long before that its machine waited for the slowest trial of the batch before.
        unknown: For how long its machine was idle for a reason that nobody knows.
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
        """For how long its machine did not evaluate, before it."""
        return self.starting + self.proposing + self.waiting + self.unknown


@dataclass
class Lane:
    """What a machine, or one place of several that are there by turns, did.

    Attributes:
        worker: Whose spans they are, where one worker evaluated all of them.
        spans: In the order of their time.
    """

    worker: str | None
    spans: list[Span] = field(default_factory=list)

    @property
    def end(self) -> float:
        """When its last trial ended."""
        return self.spans[-1].start + self.spans[-1].seconds if self.spans else 0.0


@dataclass(frozen=True)
class Times:
    """Where the time of a study went.

    Attributes:
        begin: When its first trial was proposed or began; None while there is none.
        lanes: What each machine did.
        pauses: Start and end of each time in which no job ran, in seconds since the begin.
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
        """For how long machines evaluated, in seconds of one machine."""
        return sum(span.seconds for span in self.spans)

    @property
    def idle(self) -> dict[str, float]:
        """For how long they did not, by what for; what is nobody's knowledge is there only where it is anything."""
        found = {
            "starting": sum(span.starting for span in self.spans),
            "proposing": sum(span.proposing for span in self.spans),
            "waiting": sum(span.waiting for span in self.spans),
        }
        unknown = sum(span.unknown for span in self.spans)
        return found | ({"unknown": unknown} if unknown else {})

    @property
    def total(self) -> float:
        """For how long they were there."""
        return self.running + sum(self.idle.values())


def times_of(ledger: Iterable[Record], jobs: Sequence[Job]) -> Times:
    """Say what each machine did.

    A worker of an asynchronous study is a machine. The trials of batches have a machine each, one after another: a
    trial is in the first place that was free. Before it, its place was starting for as long as the trial took from
    its proposal to its start, and before that idle for the proposal, or for the slowest trial of the batch before.

    Args:
        ledger: The records.
        jobs: The submissions: until one of them nothing ran that had ended before.
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
    """Return when the batches before that of each trial had ended, by trial."""
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
    """Return the trial of a record with what its machine did since a time at which it was free.

    Args:
        record: The record.
        start: When it began.
        since: When its machine was free.
        barrier: When the batches before had ended; None where there is none.
        pauses: When no job ran.
    """

    def idle(begin: float, end: float) -> float:
        return max(0.0, end - begin - sum(_overlap(begin, end, pause) for pause in pauses))

    starting = min(record.startup_seconds or 0.0, start - since)
    proposed = start - starting
    # A worker waits for nobody, and the first batch for none before it.
    ended = since if barrier is None else min(max(since, barrier), proposed)
    rest = idle(ended, proposed)
    is_proposing = record.suggested is not None and (record.iteration is None or barrier is not None)
    return Span(
        record.trial, start, record.seconds, idle(proposed, start),
        proposing=rest if is_proposing else 0.0, waiting=idle(since, ended), unknown=0.0 if is_proposing else rest,
    )  # fmt: skip


def _lane(lanes: list[Lane], record: Record, start: float) -> Lane:
    """Return the machine that a trial ran on: its worker's, else the first place that was free, else a new one."""
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
    """Return the times before a submission in which every trial that had begun before it had ended."""
    pauses = []
    for submitted in sorted(submissions):
        before = [_seconds(each.started) + each.seconds for each in records if _seconds(each.started) < submitted]
        if before and max(before) < submitted:
            pauses.append((max(before) - zero, submitted - zero))
    return pauses


def _overlap(start: float, end: float, pause: tuple[float, float]) -> float:
    return max(0.0, min(end, pause[1]) - max(start, pause[0]))


def _begin(record: Record) -> float:
    """Return when a trial was proposed, or began where that is not known."""
    return min(_seconds(record.suggested or record.started), _seconds(record.started))


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
