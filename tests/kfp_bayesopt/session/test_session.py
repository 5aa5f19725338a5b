"""A session checks, then writes, and its job ends with it, however it goes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from kfp_bayesopt import session
from kfp_bayesopt.errors import NoRoomError, UnavailableError, UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.jobs import Submitted
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.opening import GoingOn
from tests.builders import a_study, study_text

AGAIN = GoingOn()


def ends(folder: StudyFolder) -> list[tuple[str, str | None, str] | None]:
    """Return how the jobs have ended: state, reason, step."""
    found = (jobs.end_of(folder.root, job) for job in jobs.job_ids(folder.root))
    return [None if each is None else (each.state, each.reason, each.step) for each in found]


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(str(tmp_path / "out"), a_study())


def test_a_job_ends_with_its_block_and_the_folder_is_free(folder: StudyFolder) -> None:
    for _ in range(2):
        with session.open(folder, study_text(), "in-process", code=None, going_on=AGAIN) as opened:
            assert opened.job.place == "in-process"
            assert ends(folder)[-1] is None
    assert ends(folder) == [("succeeded", None, "in-process")] * 2


def test_what_was_said_first_stays(folder: StudyFolder) -> None:
    with (
        session.open(folder, study_text(), "in-process", code=None, going_on=AGAIN) as opened,
        opened.mistakes_end_it(),
    ):
        raise UserError("no")
    assert ends(folder) == [("failed", "no", "in-process")]


def test_a_job_that_was_handed_over_goes_on(folder: StudyFolder) -> None:
    for raised in (None, KeyboardInterrupt()):
        with (
            contextlib.suppress(KeyboardInterrupt),
            session.open(folder, study_text(), "vertex", code=None, going_on=AGAIN) as opened,
        ):
            opened.hand_over(Submitted(id="run-7", page="http://127.0.0.1"))
            if raised:
                raise raised
        assert ends(folder)[-1] is None
        assert jobs.id_of(folder.root, opened.job.job) == "run-7"


@pytest.mark.parametrize(
    ("raised", "end"),
    [
        (UserError("refused"), ("failed", "refused", "submit")),
        (KeyboardInterrupt(), ("failed", "it was stopped (KeyboardInterrupt)", "submit")),
        (NoRoomError("disk full"), ("failed", "disk full", "submit")),
        (UnavailableError("no answer of storage"), None),
        (session.NoAnswerError("no answer"), None),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_job_that_cannot_go_on_ends_unless_nobody_could_write_it_or_a_service_may_have_it(
    folder: StudyFolder, raised: BaseException, end: tuple[str, str | None, str] | None
) -> None:
    with (
        pytest.raises(type(raised)),
        session.open(folder, study_text(), "vertex", code=None, going_on=AGAIN),
    ):
        raise raised
    assert ends(folder) == [end]


def test_an_end_that_cannot_be_written_hides_no_mistake(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise NoRoomError("the disk is full")

    monkeypatch.setattr(jobs, "end", full)
    with (
        pytest.raises(UserError, match="refused"),
        session.open(folder, study_text(), "vertex", code=None, going_on=AGAIN) as opened,
    ):
        raise UserError("refused")
    assert caplog.messages == [f"that job {opened.job.job} has ended is not written: the disk is full"]
