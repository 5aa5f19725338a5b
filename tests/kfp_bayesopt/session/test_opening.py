"""A job is opened on a study folder, or refused with the reason and the way out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.data import Data
from kfp_bayesopt.folder.jobs import (
    Job,
    Submitted,
    end,
    end_of,
    job_ids,
    list_jobs,
    new_job_id,
    record_submission,
    whoami,
)
from kfp_bayesopt.folder.study_folder import StudyFolder, study_uri
from kfp_bayesopt.folder.trials import Reason
from kfp_bayesopt.session.opening import GoingOn, open_job, runs_here
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from tests.builders import a_batch, a_record, a_study, study_text, write_folder
from tests.ledgers import contents

CODE, OTHER = "files:sha256:" + "a" * 64, "files:sha256:" + "b" * 64
IMAGE, OTHER_IMAGE = "image:sha256:" + "a" * 64, "image:sha256:" + "b" * 64


@pytest.fixture(params=["here", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a study folder on a disk and one in a bucket."""
    return str(tmp_path / "study") if request.param == "here" else f"{request.getfixturevalue('bucket')}/opened"


def _open(root: str, job: str = "job-1", place: str = "vertex", content: bytes | None = None, **options: Any) -> Job:
    content = study_text() if content is None else content
    study = Study.from_text(content)
    how = {name: options.pop(name) for name in ("same_code", "retry_failed", "ended", "join") if name in options}
    given = {"code": CODE, "going_on": GoingOn(**how), **options}
    return open_job(StudyFolder(root, study), content, place, job=job, **given).job


def _record_some(root: str, code: str | None = CODE, values: tuple[float | None, ...] = (0.5, 0.25)) -> None:
    study = a_study()
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}] * len(values))
    records = [a_record(study, trial, value, code=code, machine="box") for trial, value in enumerate(values, 1)]
    write_folder(root, study, batch, records)


def _refusal(root: str, **options: Any) -> str:
    with pytest.raises(UserError) as raised:
        _open(root, **options)
    return raised.value.message


def test_a_job_leaves_its_study_and_what_is_known_of_it(root: str) -> None:
    opened = _open(root, place="in-process", images={"init": "a/init@sha256:0"}, retry_failed=True)
    (job,) = list_jobs(root)
    assert job == opened
    assert job.study_file == study_uri("", study_text())[1:]
    assert storage.read(f"{root}/{job.study_file}", 10**6) == study_text()
    assert (job.job, job.place, job.code, job.retry_failed) == ("job-1", "in-process", CODE, True)
    assert (job.by, job.process) == (whoami(), os.getpid())
    assert job.images == {"init": "a/init@sha256:0"}


def test_a_job_of_a_service_has_no_process(root: str) -> None:
    assert _open(root, place="vertex").process is None


def test_two_ids_of_one_second_differ() -> None:
    assert len({new_job_id(a_study()) for _ in range(20)}) > 15


# --- two jobs ----------------------------------------------------------------------------------


def test_a_second_job_is_refused_and_the_first_one_is_named(root: str) -> None:
    first = _open(root)
    record_submission(root, "job-1", Submitted(id="run-7", page="http://127.0.0.1"))
    before = sorted(entry.uri for entry in storage.entries(f"{root}/"))
    message = _refusal(root, job="job-2", is_running=lambda _: True)
    assert message == (
        f"{root}: job job-1 has not ended (vertex, submitted by {first.by} at {first.submitted}), and two jobs at once "
        "would evaluate the same trials; wait for it, stop it with `make cancel TARGET=vertex JOB=run-7`, or say "
        "ENDED=job-1 if it is over"
    )
    assert sorted(entry.uri for entry in storage.entries(f"{root}/")) == before


def test_a_job_of_which_nothing_is_known_keeps_others_out(root: str) -> None:
    _open(root, place="compose")
    assert "; wait for it, or stop it, or say ENDED=job-1 if it is over" in _refusal(root, job="job-2")


def test_after_a_job_has_ended_the_next_one_is_opened(root: str) -> None:
    _open(root)
    end(root, "job-1", "failed", "no", "update")
    _open(root, job="job-2", is_running=lambda _: True)
    assert job_ids(root) == {"job-1": True, "job-2": False}


def test_a_job_that_runs_no_longer_is_ended_for_it(root: str) -> None:
    _open(root)
    _open(root, job="job-2", is_running=lambda _: False)
    ended = end_of(root, "job-1")
    assert ended is not None
    assert ended.reason == "it was no longer running, and had not said why"


def test_the_person_can_say_that_a_job_has_ended(root: str) -> None:
    _open(root)
    _open(root, job="job-2", is_running=lambda _: True, ended="job-1")
    ended = end_of(root, "job-1")
    assert ended is not None
    assert ended.reason == f"{whoami()} said that it had ended"


def test_a_job_that_is_not_there_cannot_have_ended(root: str) -> None:
    assert _refusal(root, ended="job-7") == f"{root}: has no job 'job-7'; there are none"
    _open(root)
    assert _refusal(root, job="job-2", ended="job-7") == f"{root}: has no job 'job-7'; its last ones are job-1"


@pytest.mark.parametrize("times", range(3))
def test_of_several_that_open_a_job_at_once_exactly_one_goes_on(bucket: str, times: int) -> None:
    root = f"{bucket}/at-once-{times}"

    def attempt(number: int) -> str | None:
        try:
            _open(root, job=f"job-{number}", is_running=lambda _: True)
        except UserError as error:
            return error.message
        return None

    with ThreadPoolExecutor(4) as pool:
        refused = [message for message in pool.map(attempt, range(4)) if message is not None]
    assert len(refused) == 3
    (winner,) = [job for job, has_ended in job_ids(root).items() if not has_ended]
    assert all(f"{root}: job {winner} has not ended" in message for message in refused)


def test_a_process_of_this_machine_that_is_gone_runs_no_longer() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as there:
        assert runs_here(_local(gone.pid)) is False
        assert runs_here(_local(there.pid)) is True
        assert runs_here(_local(os.getpid())) is False, "a process opens one job after another"
        assert runs_here(_local(there.pid, by="ann@elsewhere")) is None
        assert runs_here(_local(there.pid, place="vertex")) is None
        there.communicate(b"\n")


def _local(process: int, by: str | None = None, place: str = "kfp.local") -> Job:
    study = a_study()
    return Job(
        study=study.name, fingerprint=study.fingerprint, job="job-1", study_file="study/0.yaml", place=place,
        submitted="2026-01-01T00:00:00+00:00", by=by or f"ann@{socket.gethostname()}", process=process,
    )  # fmt: skip


# --- another study -----------------------------------------------------------------------------


def test_a_study_with_another_budget_is_the_same_study(root: str) -> None:
    _open(root)
    end(root, "job-1", "succeeded", None, "report")
    _open(root, job="job-2", content=study_text(iterations=3))
    assert len(list(storage.entries(f"{root}/study/"))) == 2


def test_a_folder_of_another_study_is_refused(root: str) -> None:
    _open(root)
    content = study_text(direction="maximize", name="other")
    ours, theirs = Study.from_text(content).fingerprint, a_study().fingerprint
    assert _refusal(root, job="job-2", content=content) == (
        f"{root}: holds another study, 'branin' ({theirs}), and not 'other' ({ours}): name was "
        "'branin' and is 'other'; direction was 'minimize' and is 'maximize'; use another folder, start again with "
        "FRESH=1, or take the trials along that still tell something with KEEP=1"
    )


def test_studies_whose_fingerprints_are_equal_by_chance_are_told_apart(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Study, "fingerprint", "0123456789abcdef")
    _open(root)
    message = _refusal(root, job="job-2", content=study_text(direction="maximize"))
    assert (
        "(0123456789abcdef), and not 'branin' (0123456789abcdef): direction was 'minimize' and is 'maximize'; use"
        in message
    )


def test_a_study_file_that_was_replaced_under_its_digest_is_refused(root: str) -> None:
    _open(root)
    end(root, "job-1", "succeeded", None, "report")
    uri = study_uri(root, study_text())
    storage.replace(uri, study_text(direction="maximize"))
    message = _refusal(root, job="job-2", content=study_text(iterations=3))
    assert message.startswith(f"{uri}: its content is not the one that its name is the digest of")


# --- other code --------------------------------------------------------------------------------


def test_with_the_code_of_the_records_a_study_goes_on(root: str) -> None:
    _record_some(root)
    _open(root)


def test_other_files_are_refused_with_what_differs_whose_records_these_are_and_from_when(root: str) -> None:
    _open(root)
    end(root, "job-1", "succeeded", None, "report")
    _record_some(root)
    assert _refusal(root, job="job-2", code=OTHER) == (
        f"{root}: source files of the study's folder have changed since 2 trials were evaluated (by {whoami()}, from "
        "2026-01-01T00:00:00.000+00:00): files:aaaaaaaaaaaa then, files:bbbbbbbbbbbb now; say CODE=same if it gives "
        "the same values, or start again with FRESH=1"
    )
    assert job_ids(root) == {"job-1": True}


def test_another_image_is_refused(root: str) -> None:
    _record_some(root, IMAGE, (0.5,))
    assert _refusal(root, code=OTHER_IMAGE) == (
        f"{root}: the evaluate image is another one since trial 1 was evaluated (by box, from "
        "2026-01-01T00:00:00.000+00:00): image:aaaaaaaaaaaa then, image:bbbbbbbbbbbb now; say CODE=same if it gives "
        "the same values, or start again with FRESH=1"
    )


def test_that_code_gives_the_same_is_said_once(root: str) -> None:
    _record_some(root)
    _open(root, code=OTHER, same_code=True)
    end(root, "job-1", "failed", "no", "update")
    _open(root, job="job-2", code=OTHER)  # nothing was evaluated with it yet
    end(root, "job-2", "failed", "no", "update")
    _open(root, job="job-3", code=CODE)
    end(root, "job-3", "failed", "no", "update")
    assert "have changed" in _refusal(root, job="job-4", code="files:sha256:" + "c" * 64)


@pytest.mark.parametrize("records", [IMAGE, None])
def test_an_image_and_files_and_what_is_not_known_are_not_compared(root: str, records: str | None) -> None:
    _record_some(root, records)
    _open(root, code=CODE)
    end(root, "job-1", "succeeded", None, "report")
    _open(root, job="job-2", code=None)


def test_a_mended_mistake_is_no_other_code(root: str) -> None:
    study = a_study()
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}])
    mistake = {"kind": "mistake", "message": "ModuleNotFoundError: No module named 'mine'"}
    record = a_record(study, 1, None, code=CODE, reason=Reason.model_validate(mistake))
    write_folder(root, study, batch, [record])
    _open(root, code=OTHER)


def test_failed_trials_that_are_evaluated_again_do_not_count(root: str) -> None:
    _record_some(root, values=(None, None))
    assert "have changed" in _refusal(root, code=OTHER)
    _open(root, job="job-2", code=OTHER, retry_failed=True)


# --- other data --------------------------------------------------------------------------------

WEEK_1, WEEK_2 = (Data(given=f"week {week}", digest=str(week) * 64) for week in (1, 2))


def test_a_folder_whose_trials_had_other_data_is_refused(root: str) -> None:
    job = _open(root, data=WEEK_1)
    assert job.data == WEEK_1
    end(root, "job-1", "succeeded", None, "report")
    _open(root, "job-2", data=Data(given="the same", digest=WEEK_1.digest))
    end(root, "job-2", "succeeded", None, "report")
    way_out = "use another folder, start again with FRESH=1, or take the trials along as hints with KEEP=1"
    assert _refusal(root, job="job-3", data=WEEK_2) == (
        f"{root}: its trials had 'the same' (digest 111111111111), and now it is 'week 2' (digest 222222222222); "
        f"{way_out}"
    )
    assert f"had 'the same' (digest 111111111111), and now it is none; {way_out}" in _refusal(root, job="job-3")


def test_trials_with_other_data_are_kept_as_hints(tmp_path: Path) -> None:
    root, gp = str(tmp_path / "study"), study_text(optimizer={"engine": "gp"})
    open_job(StudyFolder(root, Study.from_text(gp)), gp, "in-process", job="job-1", code=None, data=WEEK_1)
    _record_some(root)
    study = Study.from_text(gp)
    keep = GoingOn(keep=True)
    same = open_job(StudyFolder(root, study), gp, "in-process", job="job-2", code=None, data=WEEK_1, going_on=keep)
    assert (len(same.trials.records), same.note) == (2, None)
    other = open_job(StudyFolder(root, study), gp, "in-process", job="job-3", code=None, data=WEEK_2, going_on=keep)
    assert not other.trials.records
    assert other.note is not None
    assert "begins with 1 trials of" in other.note, "two at one point"
    assert other.note.endswith("0 as its own, 1 as a hint where to look")


def test_an_engine_that_learns_from_no_other_study_begins_without_that_of_other_data(tmp_path: Path) -> None:
    before = str(tmp_path / "before")
    _open(before, data=WEEK_1)
    _record_some(before)
    root, content = str(tmp_path / "study"), study_text()
    folder = StudyFolder(root, Study.from_text(content))
    opened = open_job(folder, content, "vertex", job="job-1", code=None, data=WEEK_2, other_data=before)
    assert opened.note is None


def test_a_command_that_names_data_is_refused_without_any(root: str) -> None:
    content = study_text(objective={"command": ["python", "train.py", "{data}", "{x1}", "{x2}"]})
    assert _refusal(root, content=content) == (
        "branin: objective.command has {data}, and no data is given; give a text, a path or a URI with DATA="
    )
    assert contents(root) == {}
    assert _open(root, content=content, data=WEEK_1).data == WEEK_1
