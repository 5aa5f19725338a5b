"""The job of a study that was sent with its run is opened by `init`, as its submitter would have opened it."""

from __future__ import annotations

import importlib
import json
from typing import Any

import click
import pytest
from click.testing import CliRunner

from kfp_bayesopt import hints
from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.data import Data
from kfp_bayesopt.folder.study_folder import study_uri
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.session.sent import MOST_BYTES, Opening, open_sent, opening_of, text_to_send
from kfp_bayesopt.store import storage
from tests.builders import a_batch, a_record, a_study, study_text, write_folder
from tests.ledgers import contents
from tests.proofs.faulty_storage import Door, Exchange

INIT: click.Command = importlib.import_module("images.init.main").main
IMAGE, OTHER_IMAGE = "image:sha256:" + "a" * 64, "image:sha256:" + "b" * 64
FROM_A_LAPTOP = {"place": "kfp", "by": "ann@laptop", "code": IMAGE, "lease_minutes": 5.0}


def _init(root: str, job: str = "job-1", content: bytes | None = None, **opening: Any) -> None:
    """Run the step with a study, as the pipeline does."""
    content = study_text() if content is None else content
    said = Opening(**{**FROM_A_LAPTOP, **opening}).to_text()
    arguments = ["--root", root, "--study", study_uri(root, content), "--job", job]
    ended = CliRunner().invoke(INIT, [*arguments, "--content", text_to_send(content), "--opening", said])
    assert ended.exit_code == 0, ended.output


def _why(root: str, job: str) -> str | None:
    ended = jobs.end_of(root, job)
    return None if ended is None else ended.reason


def _record_some(root: str, study: Any = None) -> None:
    study = study or a_study()
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}] * 2)
    write_folder(root, study, batch, [a_record(study, each, 0.5, code=IMAGE, machine="box") for each in (1, 2)])


@pytest.fixture
def root(bucket: str) -> str:
    """Return a study folder that nobody has written into."""
    return f"{bucket}/studies/branin/1/0001"


def test_a_study_that_is_sent_is_written_with_its_job_and_first_batch(root: str) -> None:
    content = study_text(optimizer={"engine": "random"}) + "# größer\n".encode()
    _init(root, content=content, images={"init": "a/init@sha256:0"}, retry_failed=True, same_code=True)
    assert storage.read(study_uri(root, content), 10**6) == content
    job = jobs.read_job(root, "job-1")
    assert job.lease_minutes == 5.0
    assert (job.place, job.by, job.code, job.process) == ("kfp", "ann@laptop", IMAGE, None)
    assert (job.same_code, job.retry_failed, job.images) == (True, True, {"init": "a/init@sha256:0"})
    assert job.study_file == study_uri("", content)[1:]
    assert {name.rpartition("/")[2] for name in contents(root) if name.startswith("trials/")} == {"suggestion.json"}
    assert _why(root, "job-1") is None


@pytest.mark.parametrize(
    ("more", "is_packed"),
    [
        ("# {x}", False),
        ("# {{workflow.name}}", True),
        ("# " + "größer " * 450, False),
        ("# " + "größer " * 550, True),
    ],
)
def test_a_study_that_a_cluster_would_not_take_as_it_is_is_packed(root: str, more: str, is_packed: bool) -> None:
    """Argo fills in what stands in double braces, or refuses the run; and it takes 10,000 bytes of JSON."""
    content = study_text() + f"\n{more}\n".encode()
    text = text_to_send(content)
    assert (text != content.decode()) == is_packed
    assert "{{" not in text
    assert len(json.dumps(text)) < MOST_BYTES * 1.5
    _init(root, content=content)
    assert storage.read(study_uri(root, content), 10**6) == content


def test_what_html_would_read_counts_as_a_cluster_keeps_it() -> None:
    """The API marshals in Go, which writes `<` as six bytes."""
    assert text_to_send(b"# " + b"<" * 1400).startswith("# <")
    assert text_to_send(b"# " + b"<" * 1600).startswith("zlib+base64:")


def test_the_data_that_its_submitter_gave_are_those_of_its_job(root: str) -> None:
    data = {"given": "week 48", "digest": "1" * 64}
    _init(root, data=data)
    assert jobs.read_job(root, "job-1").data == Data(**data)
    _init(root, "job-2", data=data | {"digest": "2" * 64}, over=["job-1"])
    assert "its trials had 'week 48' (digest 111111111111)" in (_why(root, "job-2") or "")


def test_an_attempt_that_is_made_again_changes_nothing(root: str) -> None:
    _init(root)
    before = contents(root)
    _init(root)
    assert contents(root) == before


def test_an_attempt_after_the_end_of_its_job_does_nothing(root: str) -> None:
    jobs.end(root, "job-1", "failed", "it was stopped", "submit")
    before = contents(root)
    _init(root)
    assert contents(root) == before


def test_a_job_that_its_submitter_has_opened_stays_as_it_is(root: str) -> None:
    from kfp_bayesopt.folder.study_folder import StudyFolder
    from kfp_bayesopt.session.opening import open_job

    opened = open_job(StudyFolder(root, a_study()), study_text(), "kfp", job="job-1", code=None, going_on=GoingOn()).job
    _init(root)
    assert jobs.read_job(root, "job-1") == opened


def test_a_run_that_a_person_starts_by_hand_is_opened_too(root: str) -> None:
    content = study_text()
    arguments = ["--root", root, "--study", study_uri(root, content), "--job", "", "--run", "4f2a-run"]
    ended = CliRunner().invoke(INIT, [*arguments, "--content", content.decode(), "--opening", ""])
    assert ended.exit_code == 0, ended.output
    assert jobs.read_job(root, "4f2a-run").place == "by hand"


# --- what is refused, with its sentence in the folder --------------------------------------------


def test_a_folder_that_holds_another_study_is_left_as_it_is(root: str) -> None:
    _init(root, "job-0")
    jobs.end(root, "job-0", "succeeded", None, "report")
    before = contents(root)
    other = study_text(objective={"python": "objectives.branin:other"})
    _init(root, content=other)
    why = _why(root, "job-1") or ""
    assert why.startswith(f"{root}: holds another study, 'branin' ")
    assert "use another folder" in why
    assert contents(root).keys() - before.keys() == {"jobs/job-1/ended.json"}


def test_a_store_that_loses_trials_gets_no_study(root: str, faulty: Door) -> None:
    """Two creators win there: nothing but the end of the job is written."""

    def both(exchange: Exchange) -> None:
        exchange.let_it_replace()
        exchange.reply(exchange.forward())

    faulty.close_after(1, both, stays=True)
    _init(root)
    faulty.open()
    assert "its store does not keep what studies rely on, and would lose trials" in (_why(root, "job-1") or "")
    assert set(contents(root)) == {"jobs/job-1/ended.json"}


def test_a_job_that_has_not_ended_keeps_others_out_until_the_submitter_knows_better(root: str) -> None:
    _init(root, "job-1")
    _init(root, "job-2")
    why = _why(root, "job-2") or ""
    assert why.startswith(f"{root}: job job-1 has not ended (kfp, submitted by ann@laptop at ")
    assert why.endswith(f"or say {hints.ENDED(job='job-1')} if it is over")
    _init(root, "job-3", over=["job-0", "job-1"])
    assert _why(root, "job-3") is None
    assert _why(root, "job-1") == "it was no longer running, and had not said why"


def test_workers_join_a_job_that_runs(root: str) -> None:
    workers = study_text(iterations=None, trials=4, schedule="asynchronous", optimizer={"engine": "random"})
    _init(root, "job-1", workers)
    _init(root, "job-2", workers, join=True)
    assert jobs.job_ids(root) == {"job-1": False, "job-2": False}


def test_other_code_than_that_of_the_records_is_refused(root: str) -> None:
    _record_some(root)
    _init(root, "job-1", code=OTHER_IMAGE)
    assert (_why(root, "job-1") or "").startswith(f"{root}: the evaluate image is another one since 2 trials were ")
    _init(root, "job-2", code=OTHER_IMAGE, same_code=True)
    assert _why(root, "job-2") is None


@pytest.mark.parametrize(
    ("content", "opening", "message"),
    [
        ("name: other\n", "", "the text of the study that came with the run is not this file, which the pipeline was "),
        ("zlib+base64:eJw", "", "the text of the study that came with the run cannot be unpacked: "),
        (None, "{", "opening: Invalid JSON: "),
        (None, '{"palce": "kfp"}', "opening: palce: unknown key; did you mean 'place'?"),
        (None, '{"over": "job-1"}', "opening: over: must be a list, but got 'job-1'"),
    ],
)
def test_what_came_with_the_run_and_is_wrong_ends_the_job(
    root: str, content: str | None, opening: str, message: str
) -> None:
    file = study_uri(root, study_text())
    open_sent(root, file, "job-1", content or study_text().decode(), opening)
    assert message in (_why(root, "job-1") or "")
    with pytest.raises(NotFoundError):
        storage.read(file, 10**6)


def test_a_study_with_a_mistake_ends_the_job_and_names_it(root: str) -> None:
    _init(root, content=study_text(parallel_trials=0))
    assert "parallel_trials: must be greater than or equal to 1, but got 0" in (_why(root, "job-1") or "")


def test_a_study_that_is_sent_without_a_job_is_refused(root: str) -> None:
    with pytest.raises(UserError, match="--content needs a --job or a --run"):
        open_sent(root, study_uri(root, study_text()), None, study_text().decode(), "")


def test_the_jobs_that_are_over_leave_room_for_the_study() -> None:
    known = {f"branin-20260101-0000{number:02d}-0000": True for number in range(60, 10, -1)}
    over = opening_of("gs://bucket/a", "kfp", known, GoingOn(), code=IMAGE, images={}).over
    assert over == list(known)[:20]


def test_what_a_submitter_says_is_read_as_it_was_written_and_leaves_room_for_the_rest() -> None:
    """A cluster takes 10,000 characters for the names and values of all inputs."""
    said = Opening(place="kfp", by="ann@laptop", code=IMAGE, over=["job-1"], same_code=True)
    assert Opening.from_text(said.to_text()) == said
    assert Opening().to_text() == ""
    assert Opening.from_text("") == Opening()
    assert MOST_BYTES + len(said.to_text()) + 400 < 10_000
