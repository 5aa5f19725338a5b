"""The jobs of a study: who submitted them, and why they ended."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import ExistsError, NotFoundError, UnavailableError, UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.store import storage
from tests.builders import a_study

STUDY = a_study()


def a_job(name: str, **changes: Any) -> Job:
    return Job(
        study=STUDY.name, fingerprint=STUDY.fingerprint, job=name, study_file="study/x.yaml", place="vertex",
        submitted="2026-01-01T00:00:00+00:00", by="me@here", **changes,
    )  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "out")


@pytest.mark.parametrize("where", ["here", "there"])
def test_jobs_are_listed_in_the_order_of_their_submission(root: str, bucket: str, where: str) -> None:
    """By the clock of the storage, and without what lies below a job."""
    root = root if where == "here" else f"{bucket}/x"
    assert jobs.list_jobs(root) == []
    for name in ("b", "a", "c"):
        storage.create(jobs.job_uri(root, name), a_job(name).to_bytes())
        storage.create(jobs.submitted_uri(root, name), b'{"format": 2, "id": "1", "page": ""}\n')
        jobs.end(root, name, "succeeded", None, "report")
        time.sleep(0.02)
    assert [job.job for job in jobs.list_jobs(root)] == ["b", "a", "c"]
    assert [job.job for job in jobs.list_jobs(f"{root}/")] == ["b", "a", "c"]


def test_a_job_makes_a_round_trip(root: str) -> None:
    job = a_job("a-1", code="files:sha256:1", same_code=True, retry_failed=True, process=7, images={"init": "x"})
    storage.create(jobs.job_uri(root, "a-1"), job.to_bytes())
    assert jobs.read_job(root, "a-1") == job
    with pytest.raises(NotFoundError, match=r"/jobs/a-2.json: no such file$"):
        jobs.read_job(root, "a-2")


def test_a_job_that_nobody_wrote_down_is_written_by_the_first_who_needs_it(root: str) -> None:
    folder = StudyFolder(root, STUDY)
    job = jobs.ensure_job(folder, "by-hand", f"{root}/study/abc.yaml")
    assert (job.study_file, job.place, job.by) == ("study/abc.yaml", "by hand", jobs.whoami())
    assert jobs.ensure_job(folder, "by-hand", "other.yaml") == job == jobs.read_job(root, "by-hand")


def test_two_that_write_a_job_down_at_once_agree_on_one(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, other = StudyFolder(root, STUDY), a_job("by-hand")
    create = storage.create

    def create_too_late(uri: str, content: bytes) -> None:
        create(uri, other.to_bytes())
        create(uri, content)

    monkeypatch.setattr(storage, "create", create_too_late)
    assert jobs.ensure_job(folder, "by-hand", "study/abc.yaml") == other


@pytest.mark.parametrize("job", ["", "A", "-a", "a-", "a/b", "..", "a\n", "x" * 129])
def test_what_is_no_id_of_a_job_is_refused(root: str, job: str) -> None:
    for uri in (jobs.job_uri, jobs.submitted_uri, jobs.ended_uri):
        with pytest.raises(UserError, match=r" is no id of a job; give 1 to 128 lower case letters"):
            uri(root, job)
    with pytest.raises(ValueError, match="job"):
        a_job(job)


# --- why it ended --------------------------------------------------------------------------------


def test_what_ended_a_job_first_stays(root: str) -> None:
    assert jobs.end_of(root, "a") is None
    jobs.end(root, "a", "failed", "no such module", "update")
    jobs.end(root, "a", "succeeded", None, "report")
    ended = jobs.end_of(root, "a")
    assert ended is not None
    assert (ended.state, ended.reason, ended.step) == ("failed", "no such module", "update")


def test_a_step_of_a_job_that_has_ended_says_why_it_does_nothing(root: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    jobs.end(root, "a", "failed", "no such module", "update")
    jobs.end(root, "b", "succeeded", None, "report")
    assert [jobs.has_ended(root, job, "init") for job in ("a", "b", "c", None)] == [True, True, False, False]
    assert caplog.messages == [
        "init: nothing more to do, job a has ended: no such module",
        "init: nothing more to do, job b has ended: succeeded",
    ]


def test_a_mistake_ends_a_job_and_by_hand_it_is_shown(root: str, caplog: pytest.LogCaptureFixture) -> None:
    with jobs.mistakes_end(root, "a", "init"):
        raise UserError("no such module")
    ended = jobs.end_of(root, "a")
    assert ended is not None
    assert (ended.state, ended.reason, ended.step) == ("failed", "no such module", "init")
    assert caplog.messages == ["no such module"]
    with pytest.raises(UserError, match=r"^no such module$"), jobs.mistakes_end(root, None, "init"):
        raise UserError("no such module")


@pytest.mark.parametrize("job", ["a", None])
@pytest.mark.parametrize("error", [UnavailableError("no answer"), KeyError("a fault of ours"), KeyboardInterrupt()])
def test_what_a_retry_may_mend_ends_no_job(root: str, job: str | None, error: BaseException) -> None:
    with pytest.raises(type(error)), jobs.mistakes_end(root, job, "init"):
        raise error
    assert not Path(root).exists()


def test_a_mistake_that_cannot_be_written_down_is_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"/file/jobs/a/ended.json: "),
        jobs.mistakes_end(f"{tmp_path}/file", "a", "init"),
    ):
        raise UserError("no such module")
    assert caplog.messages == ["no such module"]


def test_a_study_that_stops_ends_its_job_green_or_red(root: str) -> None:
    jobs.stop(root, "a", "enough", failed=False, step="update")
    jobs.stop(root, "b", "too many failed", failed=True, step="update")
    assert [(each.state, each.reason) for each in (jobs.end_of(root, job) for job in "ab") if each] == [
        ("succeeded", "enough"), ("failed", "too many failed"),
    ]  # fmt: skip
    jobs.stop(root, None, "enough", failed=False, step="update")
    with pytest.raises(UserError, match=r"^too many failed$"):
        jobs.stop(root, None, "too many failed", failed=True, step="update")


def test_the_end_of_a_job_is_never_replaced(root: str) -> None:
    jobs.end(root, "a", "failed", "no", "init")
    with pytest.raises(ExistsError):
        storage.create(jobs.ended_uri(root, "a"), b"{}")
