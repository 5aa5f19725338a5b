"""Waits for a job that was submitted, shows it, and sends the study again where that brings it further."""

from __future__ import annotations

from typing import Protocol

from kfp_bayesopt import hints, workspace
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import end_of
from kfp_bayesopt.session.following import Follower, verdict_of
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.session.studies import recorded
from kfp_bayesopt.session.view import View
from kfp_bayesopt.steps import REPORT, REPORT_PAGE, UPDATE
from kfp_bayesopt_pipeline.places import remote_jobs
from kfp_bayesopt_pipeline.places.protocol import FAILED, SUCCEEDED
from kfp_bayesopt_pipeline.places.submitting import Sent
from kfp_bayesopt_pipeline.preflight.submission import Checked


class Send(Protocol):
    """Sends a study to where it was sent before."""

    def __call__(self, *, root: str, going_on: GoingOn, checked: Checked) -> Sent:
        """Send the study of a folder once more."""


def follow_to_the_end(sent: Sent, view: View, seconds: float, again: int, send: Send) -> None:
    """Show a job until it has ended, fetch its results, and show what came out.

    A job that has failed on the way, as of a worker that was evicted, is followed by another one, as long as each
    brings new records.

    Args:
        sent: The job.
        view: How it is shown.
        seconds: Pause between two polls.
        again: How many jobs may follow.
        send: Sends the study once more.

    Raises:
        UserError: It did not succeed, or cannot be followed any longer.
    """
    view.lines(sent.lines)
    if (way_out := sent.target.unreached(sent.folder.root)) is not None:
        _follow_states(sent, view, seconds, again, send, way_out)
        return
    root = sent.folder.root
    assert sent.opened is not None, "a folder that is reached was opened"
    with sent.opened.shown(view, sent.folder.study.parallel_trials) as progress:
        follower = Follower(progress)
        while True:
            job = sent.submitted.id
            progress.if_stopped = remote_jobs.goes_on(sent.target, job)
            out = workspace.out(job)
            try:
                for line in remote_jobs.wait(sent.target, job, out, seconds, follower.look):
                    progress.state(line)
                break
            except remote_jobs.JobFailedError as error:
                new = recorded(root) - sent.known
                if not again or new <= 0 or _is_final(root, sent.job):
                    raise
                again -= 1
                progress.note(f"{error.message.partition(';')[0]}; trials that have ended in it: {new}; it goes on")
            # The rest of what the first job was told is in the folder by now.
            sent = send(root=root, going_on=GoingOn(join=sent.joins), checked=sent.checked)
            for line in sent.lines:
                progress.note(line)
    page = out / REPORT_PAGE
    progress.finish(verdict_of(sent.folder, str(out)), str(page) if page.exists() else None)


def _follow_states(sent: Sent, view: View, seconds: float, again: int, send: Send, way_out: str) -> None:
    """Show the states of a job whose study folder is not reached from here, and of those that follow it.

    What it has brought is not known, so that another one follows wherever a pod was lost: a mistake of the study ends
    a job with all its pods well but those of the last step.

    Raises:
        UserError: It did not succeed, or cannot be followed any longer.
    """
    while True:
        target, job = sent.target, sent.submitted.id
        try:
            for line in remote_jobs.follow_states(target, job, seconds):
                view.state(line)
        except KeyboardInterrupt:
            view.stopped(f"stopped; {remote_jobs.goes_on(target, job)}")
            raise
        states = target.states(found := target.find(job))
        there = f"in {sent.folder.root}: {way_out}, then `{hints.RESULTS(target=target.name, job=job)}`"
        if states.job == SUCCEEDED:
            view.lines([f"the results are {there}"])
            return
        lost = [title for title, state in states.tasks if state == FAILED and not title.startswith(REPORT.name)]
        if states.job != FAILED or not again or not lost:
            raise UserError(f"job {job}: {remote_jobs.verdict(target, found)}; what steps have said is {there}")
        again -= 1
        view.lines([f"job {job}: {states.job}, {lost[0]} failed: it goes on"])
        sent = send(root=sent.folder.root, going_on=GoingOn(join=sent.joins), checked=sent.checked)
        view.lines(sent.lines)


def _is_final(root: str, job: str) -> bool:
    """Tell whether a step has ended a job for a reason that no other job can mend; these two miss records as well."""
    ended = end_of(root, job)
    return ended is not None and ended.step not in (UPDATE.name, REPORT.name)
