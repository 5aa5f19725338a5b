"""Shows a study that runs elsewhere, by its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.publish import Verdict
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.activity import Activity
from kfp_bayesopt.session.progress import Progress
from kfp_bayesopt.trial.process.threads import repeating

SECONDS_BETWEEN_LOOKS = 0.5


class Follower:
    """Shows the trials of a study folder as they begin and end, by looking at it from time to time."""

    def __init__(self, progress: Progress) -> None:
        """Show them in a view."""
        self._progress = progress
        self._activity: Activity | None = None

    def look(self, root: str) -> None:
        """Show the news of a study folder; the first look shows the existing trials."""
        with contextlib.suppress(UserError):  # what runs the study says it, and what is shown is nice to have
            if self._activity is None:
                self._activity = Activity(study_folder(root))
                self._progress.follow(self._activity, kept=True)
                return
            self._activity.look()
            self._progress.follow(self._activity)


@contextlib.contextmanager
def following(root: str, progress: Progress) -> Iterator[None]:
    """Show the trials of a study folder until the end of the block."""
    follower = Follower(progress)
    follower.look(root)
    try:
        with repeating(lambda: follower.look(root), SECONDS_BETWEEN_LOOKS):
            yield
    finally:
        follower.look(root)


def advice_of(folder: StudyFolder) -> tuple[str, ...]:
    """Return the advice on a study, as in its report.

    Raises:
        UserError: The folder is damaged.
    """
    from kfp_bayesopt.report.write import SENTENCES, contents_of  # scipy takes long to import

    trials = folder.read()
    found = contents_of(folder, trials, Best.of(folder.study, trials.ledger), full=True)
    return tuple(each["text"] for each in found["advice"][:SENTENCES])


def verdict_of(folder: StudyFolder, results: str | None = None) -> Verdict:
    """Return what came out of a study that has succeeded, and what to do next.

    Args:
        folder: The study folder.
        results: Where its results are, if they were fetched: a job may have ended without writing them.

    Raises:
        UserError: No trial has completed, or the folder is damaged.
    """
    best = read_document(Best, f"{results or folder.root}/best.json")
    if missing := best.missing:
        raise UserError(f"{folder.root}: {missing}")
    return Verdict(best, None, advice_of(folder))
