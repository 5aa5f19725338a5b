"""The current activity of a study, from its folder: running and ended trials, and the trial of each worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from kfp_bayesopt import hints
from kfp_bayesopt.errors import DamagedError, NotFoundError
from kfp_bayesopt.folder.documents import data_of, read_document
from kfp_bayesopt.folder.failures import grouped
from kfp_bayesopt.folder.jobs import end_of
from kfp_bayesopt.folder.lookout import Lookout
from kfp_bayesopt.folder.results import Best, failures_of
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Claim, Record, Trials
from kfp_bayesopt.session.studies import best_of, recorded, table
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.store import clock

# A silence this long is mentioned; a heartbeat comes every few minutes.
SILENCE = timedelta(minutes=10)
UNKNOWN: Mapping[str, Any] = {
    **dict.fromkeys(("study", "fingerprint", "trials", "done", "best", "complete")),
    **{name: [] for name in ("failures", "running", "left")},
}
"""The facts of a study folder of which nothing is known."""
COMPLETE = "the study is complete all the same"
"""Of a job that has failed after all was there."""


@dataclass(frozen=True)
class Busy:
    """A worker that evaluates a trial, as far as its claim tells.

    Attributes:
        worker: Machine and process.
        trial: Its trial.
        attempt: The number of the attempt.
        since: The time of the claim.
        parameters: The parameters of the trial, if known.
        alive: Its last sign of life.
        job: The job that it works for, if the claim says so.
    """

    worker: str
    trial: int
    attempt: int
    since: datetime
    alive: datetime
    parameters: Parameters
    job: str | None = None

    def row(self, now: datetime, over: str | None) -> list[str]:
        """Return its row of a table.

        Args:
            now: The time by the clock of the storage.
            over: A job that has ended.
        """
        silent = now - self.alive
        said = f"no sign of life for {_duration(silent)}" if silent > SILENCE else ""
        if over is not None and self.job == over:
            said = f"left without a record; last sign of life {self.alive:%H:%M:%S}"
        trial = str(self.trial) if self.attempt == 1 else f"{self.trial} (attempt {self.attempt})"
        return [self.worker, trial, f"{self.since:%H:%M:%S}", _duration(now - self.since), said]

    def facts(self) -> dict[str, Any]:
        """Return it as data for JSON, times in UTC."""
        return {
            "worker": self.worker,
            "trial": self.trial,
            "attempt": self.attempt,
            "parameters": self.parameters,
            "since": self.since.astimezone(UTC).isoformat(),
            "alive": self.alive.astimezone(UTC).isoformat(),
        }


class Activity:
    """Follows a study folder; each look reads only new files.

    Attributes:
        folder: The study folder.
        new: The records that the last look found.
    """

    def __init__(self, folder: StudyFolder, trials: Trials | None = None) -> None:
        """Look at a study folder.

        Args:
            folder: The study folder.
            trials: Its trials, if the caller has read them.

        Raises:
            UserError: It is damaged.
        """
        self.folder = folder
        self._lookout = Lookout(folder, trials)
        self._busy: dict[tuple[int, int], Busy] = {}
        self.new: list[Record] = []
        if trials is None:
            self.look()

    @property
    def trials(self) -> Trials:
        """The known trials."""
        return self._lookout.trials

    @property
    def busy(self) -> list[Busy]:
        """The workers that evaluate a trial, in the order of the trials."""
        return sorted(self._busy.values(), key=lambda busy: busy.trial)

    def reopen(self, trial: int) -> None:
        """Look again for attempts at a trial that has a record."""
        self._lookout.reopen(trial)

    def look(self) -> None:
        """Read new files."""
        self.new = self._lookout.look()
        folder, running = self._lookout.folder, {}
        for number, files in self._lookout.files.items():
            if (attempt := files.running) is None or attempt not in files.alive:
                continue
            known = self._busy.get((number, attempt))
            if known is None:
                try:
                    claim = read_document(Claim, folder.claim_uri(number, attempt), folder.study)
                except (NotFoundError, DamagedError):  # a sign of life alone, or nobody's
                    continue
                # A sign of life may be later than the claim, and the clock of a machine may be wrong.
                since = min(datetime.fromisoformat(claim.claimed), files.alive[attempt])
                known = Busy(claim.worker, number, attempt, since, files.alive[attempt], {}, claim.job)
            pending = self._lookout.trials.pending.get(number)
            parameters = known.parameters or (pending.parameters if pending else {})
            running[number, attempt] = replace(known, alive=files.alive[attempt], parameters=parameters)
        self._busy = running

    def summary(self, over: str | None = None) -> str:
        """Return the progress of the study in one line.

        Args:
            over: A job that has ended: what it has left without a record runs no more.
        """
        study, ledger = self._lookout.folder.study, self._lookout.trials.ledger
        running = sum(over is None or each.job != over for each in self._busy.values())
        best = Best.of(study, ledger)
        counts = [f"{best.done} of {study.budget} trials have records"]
        counts += [f"{best.failed} failed"] if best.failed else []
        counts += [f"{best.stopped} stopped early"] if best.stopped else []
        counts += [f"{running} running"] if running else []
        value = f"; {best}" if best.is_found else ""
        return ", ".join(counts) + value

    def is_complete(self, over: str | None = None) -> bool:
        """Tell whether the study has all that it was asked for: its budget, or an end before that which is no failure.

        Args:
            over: A job that has ended, and may have found that end.
        """
        best = Best.of(self.folder.study, self.trials.ledger)
        ended = end_of(self.folder.root, over) if over is not None else None
        return best.done >= self.folder.study.budget or (ended is not None and ended.state == "succeeded")

    def facts(self, over: str | None = None) -> dict[str, Any]:
        """Return the same as data for JSON, with the best trial and the failed ones as in their files."""
        study, ledger = self._lookout.folder.study, self._lookout.trials.ledger
        best = Best.of(study, ledger)
        return {
            "study": study.name,
            "fingerprint": study.fingerprint,
            "trials": study.budget,
            "done": best.done,
            "best": data_of(best),
            "failures": [each.model_dump(mode="json") for each in failures_of(ledger)],
            "complete": self.is_complete(over),
            "running": [each.facts() for each in self.busy if over is None or each.job != over],
            "left": [each.facts() for each in self.busy if over is not None and each.job == over],
        }

    def failures(self) -> Iterator[str]:
        """Yield lines about all failed trials, grouped by reason."""
        yield from grouped(self._lookout.folder.root, failures_of(self._lookout.trials.ledger))

    def workers(self, over: str | None = None) -> Iterator[str]:
        """Yield a line for each worker that evaluates a trial: its name, its start, whether it is silent or gone."""
        if not self._busy:
            return
        now = clock.now(self._lookout.folder.root)
        rows = [each.row(now, over) for each in self.busy]
        yield from table(["who", "trial", "since (UTC)", "for", ""], rows)


def activity_of(root: str, over: str | None = None) -> Iterator[str]:
    """Yield lines about the current activity of a study.

    Args:
        root: The study folder.
        over: A job that has ended without success.

    Raises:
        UserError: A file of the study is damaged, or storage does not answer.
    """
    try:
        found = Activity(study_folder(root))
    except NotFoundError:  # a job that has not come to write its study yet
        best = best_of(root)
        value = f"; {best}" if best and best.is_found else ""
        yield f"{recorded(root)}{f' of {best.trials}' if best else ''} trials have records in {root}{value}"
        return
    if said := clock.warning(root):
        yield f"Warning: {said}"
    yield f"{found.summary(over)}; folder {root}"
    if over is not None:
        yield COMPLETE if found.is_complete(over) else f"the study is not complete: `{hints.SUBMIT}` again goes on"
    yield from found.workers(over)
    yield from found.failures()


def facts_of(root: str, over: str | None = None) -> dict[str, Any]:
    """Return the current activity of a study as data for JSON; what is not known yet is None.

    Args:
        root: The study folder.
        over: A job that has ended.

    Raises:
        UserError: A file of the study is damaged, or storage does not answer.
    """
    try:
        return Activity(study_folder(root)).facts(over)
    except NotFoundError:  # a job that has not come to write its study yet
        best = best_of(root)
        known = {"study": best.study, "fingerprint": best.fingerprint, "trials": best.trials} if best else {}
        return {**UNKNOWN, **known, "done": recorded(root), "best": best and data_of(best)}


def _duration(time: timedelta) -> str:
    return str(timedelta(seconds=max(0, round(time.total_seconds()))))
