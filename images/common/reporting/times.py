"""Where the time of a study went: what each machine did when, and how long machines ran, started and waited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bayesopt.jobs import Job
from bayesopt.trials import Record


@dataclass(frozen=True)
class Span:
    """A trial on a machine.

    Attributes:
        trial: Its number.
        start: When it began, in seconds since the first trial was proposed.
        seconds: How long it took.
        starting: How long before that its machine started.
        waiting: How long before that the machine had nothing to do.
    """

    trial: int
    start: float
    seconds: float
    starting: float
    waiting: float


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
    def running(self) -> float:
        """For how long machines evaluated, in seconds of one machine."""
        return sum(span.seconds for lane in self.lanes for span in lane.spans)

    @property
    def starting(self) -> float:
        """For how long they started."""
        return sum(span.starting for lane in self.lanes for span in lane.spans)

    @property
    def waiting(self) -> float:
        """For how long they had nothing to do between two trials."""
        return sum(span.waiting for lane in self.lanes for span in lane.spans)


def times_of(ledger: Iterable[Record], jobs: Sequence[Job]) -> Times:
    """Say what each machine did.

    A worker of an asynchronous study is a machine. The trials of batches have a machine each, one after another: a
    trial is in the first place that was free. Before it, its place was starting for as long as the trial took from
    its proposal to its start, and otherwise waited, as for the slowest trial of a batch.

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
    lanes: list[Lane] = []
    for record in records:
        start = _seconds(record.started) - zero
        lane = _lane(lanes, record, start)
        since = lane.end if lane.spans else start - (record.startup_seconds or 0.0)
        gap = max(0.0, start - since - sum(_overlap(since, start, pause) for pause in pauses))
        starting = min(record.startup_seconds or 0.0, gap)
        lane.spans.append(Span(record.trial, start, record.seconds, starting, gap - starting))
    return Times(datetime.fromisoformat(first.suggested or first.started), lanes, pauses)


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
