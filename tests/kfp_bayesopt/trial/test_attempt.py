"""A trial from its suggestion to its record: attempts, claims, what is evaluated again and what stays."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.jobs import Job, end, now
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Claim, Reason, Record
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.attempt import new_claim, run_trial
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError
from tests.builders import a_record, a_suggestion, write_folder, write_study

SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}
VALUE = "def objective(x): return x"
FAILS = "def objective(x): raise ValueError('no')"
MISTAKE = "import no_such"
# The first call waits until it may go on; another one does not.
WAITS = """
import os, pathlib, time
def objective(x):
    try:
        os.mkdir("called")
    except FileExistsError:
        {second}
    print("waiting", flush=True)
    pathlib.Path("waits").touch()
    while not os.path.exists("go"):
        time.sleep(0.01)
    {first}
"""


def a_folder(tmp_path: Path, code: str, root: str | None = None) -> StudyFolder:
    """Return a study folder with the suggestion of trial 1, of a study whose objective is this code."""
    study = Study.from_file(str(write_study(tmp_path, code, space=SPACE)))
    return write_folder(root or str(tmp_path / "out"), study, [a_suggestion(study, 1, {"x": 2.5})])


def a_job(folder: StudyFolder, job: str = "job-1", **changes: Any) -> Job:
    study = folder.study
    return Job(
        study=study.name, fingerprint=study.fingerprint, job=job, study_file="study.yaml", place="compose",
        submitted=now(), by="me@here", **changes,
    )  # fmt: skip


def run(folder: StudyFolder, job: Job | None = None, trial: int = 1) -> Record | None:
    with Sessions() as sessions:
        return run_trial(folder, trial, Path(folder.root).parent, sessions, job)


def recorded(folder: StudyFolder, job: Job | None = None) -> Record:
    """Evaluate trial 1 and return its record, which the folder has too."""
    record = run(folder, job)
    assert record is not None
    assert folder.read_record(1, record.attempt) == record
    return record


def attempt_and_state(record: Record) -> tuple[int, str]:
    return record.attempt, record.reason.kind if record.reason else record.state


def names(folder: StudyFolder) -> list[str]:
    return sorted(path.name for path in Path(folder.root, "trials", "000001").iterdir())


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def waiting(tmp_path: Path) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool; whatever fails in the block, objectives that wait for `go` do not wait for ever."""
    with ThreadPoolExecutor() as pool:
        try:
            yield pool
        finally:
            (tmp_path / "go").touch()


# --- files -------------------------------------------------------------------------------------


def test_a_trial_has_a_claim_a_log_and_a_record(tmp_path: Path) -> None:
    folder = a_folder(
        tmp_path, "import sys\ndef objective(x):\n    print('out')\n    print('err', file=sys.stderr)\n    return x"
    )
    record = recorded(folder, a_job(folder, code="files:sha256:ab"))
    assert names(folder) == ["claim-1.json", "log-1.txt", "record-1.json", "suggestion.json"]
    assert (record.state, record.value, record.attempt, record.iteration) == ("completed", 2.5, 1, 1)
    assert (record.code, record.place, record.log) == ("files:sha256:ab", "compose", "log-1.txt")
    assert Path(folder.log_uri(1, 1)).read_text() == "out\nerr\n"
    claim = read_document(Claim, folder.claim_uri(1, 1), folder.study)
    assert (claim.trial, claim.attempt, claim.job, claim.worker) == (1, 1, "job-1", record.worker)


def test_a_trial_by_hand_has_no_job_code_or_place(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, VALUE)
    record = recorded(folder)
    assert (record.code, record.place) == (None, None)
    assert read_document(Claim, folder.claim_uri(1, 1), folder.study).job is None


def test_a_trial_that_prints_nothing_has_no_log(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, VALUE)
    assert recorded(folder).log is None
    assert names(folder) == ["claim-1.json", "record-1.json", "suggestion.json"]


def test_the_traceback_of_a_failed_trial_is_in_its_log(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, FAILS)
    record = recorded(folder)
    assert record.reason is not None
    assert record.reason.message == "ValueError: no"
    assert Path(folder.log_uri(1, 1)).read_text().splitlines() == record.reason.last_lines


def test_what_is_printed_can_be_watched_while_the_trial_runs(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, WAITS.format(first="return x", second="return x"))
    with waiting(tmp_path) as pool:
        future = pool.submit(run, folder)
        until((tmp_path / "waits").exists)
        until(lambda: (tmp_path / "out/trials/000001/.log-1.txt").read_text() == "waiting\n")
        (tmp_path / "go").touch()
        future.result()
    assert names(folder) == ["claim-1.json", "log-1.txt", "record-1.json", "suggestion.json"]


def test_in_a_bucket_it_is_the_same_but_for_the_file_to_watch(tmp_path: Path, bucket: str) -> None:
    folder = a_folder(tmp_path, "def objective(x):\n    print('out')\n    return x", f"{bucket}/{tmp_path.name}")
    with Sessions() as sessions:
        record = run_trial(folder, 1, tmp_path, sessions, a_job(folder))
    assert record is not None
    assert folder.read_record(1, 1) == record
    assert storage.read(folder.log_uri(1, 1), limit=100) == b"out\n"
    assert folder.files_of(1).claims == [1]


def test_a_trial_that_was_not_proposed_is_nothing_to_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = a_folder(tmp_path, VALUE)
    assert run(folder, trial=2) is None
    assert caplog.messages == ["trial 2: nothing to do, it was not proposed: the study ended before it"]
    assert not (tmp_path / "out/trials/000002").exists()


def test_a_damaged_suggestion_is_refused_before_anything_is_claimed(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, VALUE)
    (tmp_path / "out/trials/000001/suggestion.json").write_text("{}")
    with pytest.raises(UserError, match="damaged suggestion"):
        run(folder)
    assert names(folder) == ["suggestion.json"]


# --- what stays, and what is tried again -------------------------------------------------------


@pytest.mark.parametrize("code", [VALUE, FAILS])
def test_what_has_a_record_is_not_evaluated_again(tmp_path: Path, code: str) -> None:
    folder = a_folder(tmp_path, code)
    first = recorded(folder, a_job(folder))
    before = names(folder)
    write_study(tmp_path, "raise SystemError", space=SPACE)
    assert [run(folder, job) for job in (a_job(folder), a_job(folder, "job-2"), None)] == [first] * 3
    assert names(folder) == before


def test_a_mistake_is_kept_within_its_job_and_tried_again_by_the_next_one(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, MISTAKE)
    record = recorded(folder, a_job(folder))
    assert attempt_and_state(record) == (1, "mistake")
    assert not record.is_final
    write_study(tmp_path, VALUE, space=SPACE)
    assert recorded(folder, a_job(folder)) == record
    assert attempt_and_state(recorded(folder, a_job(folder, "job-2"))) == (2, "completed")
    assert attempt_and_state(recorded(folder, a_job(folder, "job-3"))) == (2, "completed")


def test_a_mistake_that_was_not_mended_is_tried_once_by_each_job(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, MISTAKE)
    attempts = [recorded(folder, a_job(folder, job)).attempt for job in ("job-1", "job-2", "job-2", "job-3")]
    assert attempts == [1, 2, 2, 3]


def test_by_hand_a_mistake_is_tried_again_each_time(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, MISTAKE)
    assert [recorded(folder).attempt for _ in range(2)] == [1, 2]
    write_study(tmp_path, FAILS, space=SPACE)
    assert [attempt_and_state(recorded(folder)) for _ in range(2)] == [(3, "raised")] * 2


def test_a_trial_whose_worker_was_lost_is_tried_again_by_the_next_job(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, VALUE)
    lost = a_record(folder.study, value=None, parameters={"x": 2.5}, reason=Reason(kind="lost", message="gone"))
    folder.write_record(lost)
    assert attempt_and_state(recorded(folder, a_job(folder))) == (2, "completed")


def test_a_failed_trial_is_tried_again_once_by_a_job_that_says_so(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, FAILS)
    jobs = [
        a_job(folder, "job-1", retry_failed=True),
        a_job(folder, "job-2"),
        a_job(folder, "job-3", retry_failed=True),
    ]
    attempts = [recorded(folder, job).attempt for job in (jobs[0], jobs[0], jobs[1], jobs[2], jobs[2])]
    assert attempts == [1, 1, 1, 2, 2]


def test_a_completed_trial_is_never_tried_again(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, VALUE)
    recorded(folder, a_job(folder))
    assert recorded(folder, a_job(folder, "job-2", retry_failed=True)).attempt == 1


def test_a_failed_trial_without_a_claim_is_of_another_job(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, FAILS)
    recorded(folder, a_job(folder))
    Path(folder.claim_uri(1, 1)).unlink()
    assert recorded(folder, a_job(folder, retry_failed=True)).attempt == 2


def test_an_attempt_that_did_not_end_is_followed_by_another_one_of_the_same_job(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, WAITS.format(first="return x", second="return x"))
    with waiting(tmp_path) as pool, Sessions() as sessions:
        stopped = pool.submit(run_trial, folder, 1, tmp_path, sessions, a_job(folder))
        until((tmp_path / "waits").exists)
        sessions.stop()
        with pytest.raises(StoppedError):
            stopped.result(20)
    assert names(folder) == [".log-1.txt", "claim-1.json", "suggestion.json"]
    assert (tmp_path / "out/trials/000001/.log-1.txt").read_text() == "waiting\n"
    assert attempt_and_state(recorded(folder, a_job(folder))) == (2, "completed")


def test_of_a_very_long_log_of_an_attempt_that_was_killed_beginning_and_end_are_kept(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "def objective(x):\n    return x")
    folder.claim(new_claim(folder, 1, 1, None))
    Path(folder.log_uri(1, 1)).with_name(".log-1.txt").write_bytes(b"first\n" + bytes(30_000_000) + b"last\n")
    assert attempt_and_state(recorded(folder)) == (2, "completed")
    log = Path(folder.log_uri(1, 1)).read_bytes()
    assert log.startswith(b"first\n")
    assert log.endswith(b"last\n")
    assert b"\n[20,000,011 bytes are left out here]\n" in log
    assert ".log-1.txt" not in names(folder)


# --- several attempts at once ------------------------------------------------------------------


def test_attempts_that_begin_at_the_same_time_have_claims_of_their_own(tmp_path: Path) -> None:
    code = "import os, time\ndef objective(x):\n    while not os.path.exists('go'): time.sleep(0.01)\n    return x"
    folder = a_folder(tmp_path, code)
    barrier = threading.Barrier(4)

    def start(job: Job) -> Record | None:
        barrier.wait()
        return run(folder, job)

    with waiting(tmp_path) as pool:
        futures = [pool.submit(start, a_job(folder)) for _ in range(4)]
        until(lambda: len(folder.files_of(1).claims) == 4)
        (tmp_path / "go").touch()
        values = [record and record.value for record in (future.result(30) for future in futures)]
    assert values == [2.5] * 4
    assert sorted(folder.files_of(1).claims) == [1, 2, 3, 4]
    assert folder.read().records[1].attempt in folder.files_of(1).records


def overtaken(tmp_path: Path, first: str, second: str) -> tuple[StudyFolder, Record, Record]:
    """Return what two attempts give, of which the second one ends before the first."""
    folder = a_folder(tmp_path, WAITS.format(first=first, second=second))
    with waiting(tmp_path) as pool:
        slow: Future[Record | None] = pool.submit(run, folder, a_job(folder))
        until((tmp_path / "waits").exists)
        quick = recorded(folder, a_job(folder))
        (tmp_path / "go").touch()
        given = slow.result(20)
    assert given is not None
    return folder, given, quick


@pytest.mark.parametrize("second", ["return 7.0", "raise ValueError('no')"])
def test_of_two_attempts_the_one_that_ends_first_counts(
    tmp_path: Path, second: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The next trials may have been proposed from it already, so that a failed one stays too."""
    folder, given, quick = overtaken(tmp_path, "return x", second)
    assert given == quick
    assert quick.attempt == 2
    assert folder.files_of(1).records == [2]
    assert folder.read().records == {1: quick}
    assert caplog.messages == ["trial 1: attempt 2 has finished before this one and counts"]


def test_an_attempt_that_ends_after_a_mistake_of_another_one_counts(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, WAITS.format(first="return x", second="return x"))
    other = a_record(
        folder.study, value=None, parameters={"x": 2.5}, attempt=2, reason=Reason(kind="mistake", message="no")
    )
    with waiting(tmp_path) as pool:
        future = pool.submit(run, folder)
        until((tmp_path / "waits").exists)
        folder.write_record(other)
        (tmp_path / "go").touch()
        record = future.result(20)
    assert record is not None
    assert attempt_and_state(record) == (1, "completed")
    assert folder.read().records == {1: record}


# --- what costs no record ----------------------------------------------------------------------


def test_a_log_that_cannot_be_written_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = a_folder(tmp_path, FAILS)
    Path(folder.log_uri(1, 1)).mkdir()
    record = recorded(folder)
    assert record.log is None
    assert record.reason is not None
    assert record.reason.last_lines[-1] == "ValueError: no"
    (message,) = caplog.messages
    assert message.startswith("trial 1: what it printed cannot be kept: ")


def test_a_file_to_watch_that_cannot_be_made_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = a_folder(tmp_path, FAILS)
    hidden = tmp_path / "out/trials/000001/.log-1.txt"
    hidden.mkdir()
    assert recorded(folder).log == "log-1.txt"
    assert caplog.messages == [f"{hidden}: cannot write there what the objective prints: Is a directory"]


def test_a_file_to_watch_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, FAILS)
    (tmp_path / "out/trials/000001/.log-1.txt").symlink_to("/dev/full")
    assert recorded(folder).log == "log-1.txt"
    assert Path(folder.log_uri(1, 1)).read_text().endswith("ValueError: no\n")


def suggested_at(tmp_path: Path, time: datetime) -> Record:
    folder = a_folder(tmp_path, VALUE)
    os.utime(folder.suggestion_uri(1), (time.timestamp(), time.timestamp()))
    return recorded(folder)


def test_a_record_says_how_long_the_trial_took_to_start(tmp_path: Path) -> None:
    record = suggested_at(tmp_path, datetime.now(UTC).replace(year=2020))
    assert record.suggested is not None
    assert record.startup_seconds is not None
    since = datetime.fromisoformat(record.started) - datetime.fromisoformat(record.suggested)
    assert record.startup_seconds == pytest.approx(since.total_seconds(), abs=0.002)


@pytest.mark.parametrize("year", [1960, 1969, 2100])
def test_clocks_that_are_wrong_cost_no_record(tmp_path: Path, year: int) -> None:
    record = suggested_at(tmp_path, datetime(year, 6, 1, tzinfo=UTC))
    assert record.value == 2.5
    assert record.startup_seconds is None
    assert record.suggested == (f"{year}-06-01T00:00:00.000+00:00" if year >= 1970 else None)


# --- requests ----------------------------------------------------------------------------------


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what storage is asked for."""
    counted: Counter[str] = Counter()
    is_inside = threading.local()

    def count(name: str) -> None:
        function = getattr(storage, name)

        def counting(*arguments: Any, **keywords: Any) -> Any:
            outermost = not getattr(is_inside, "value", False)
            counted[name] += outermost
            is_inside.value = True
            try:
                found = function(*arguments, **keywords)
                return list(found) if name == "entries" else found
            finally:
                is_inside.value = not outermost

        monkeypatch.setattr(storage, name, counting)

    for name in ("read", "read_range", "stat", "create", "replace", "entries", "folders", "delete"):
        count(name)
    return counted


def test_a_trial_costs_6_requests_however_many_trials_there_are(tmp_path: Path, requests: Counter[str]) -> None:
    """A step has three more: of its study file, its job, and whether that has ended."""
    folder = a_folder(tmp_path, "def objective(x):\n    print('out')\n    return x")
    others = range(2, 102)
    write_folder(folder.root, folder.study, [a_suggestion(folder.study, n, {"x": 1.0}) for n in others])
    requests.clear()
    run(folder, a_job(folder))
    assert requests == {"entries": 2, "read": 1, "create": 3}


def test_a_trial_with_a_record_costs_2_requests(tmp_path: Path, requests: Counter[str]) -> None:
    folder = a_folder(tmp_path, VALUE)
    run(folder, a_job(folder))
    requests.clear()
    run(folder, a_job(folder))
    assert requests == {"entries": 1, "read": 1}


def test_a_failed_trial_that_is_tried_again_costs_8_requests(tmp_path: Path, requests: Counter[str]) -> None:
    folder = a_folder(tmp_path, FAILS)
    run(folder, a_job(folder))
    requests.clear()
    run(folder, a_job(folder, "job-2", retry_failed=True))
    assert requests == {"entries": 2, "read": 3, "create": 3}


def test_a_link_to_the_disk_that_holds_the_trials_outlasts_a_checkpoint(tmp_path: Path) -> None:
    code = "import os\ndef objective(x1, x2):\n    open(os.environ['BAYESOPT_CHECKPOINT'] + '/a', 'w')\n    return x1\n"
    study = Study.from_file(str(write_study(tmp_path, code, checkpoint=True)))
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "trials").symlink_to(tmp_path / "disk")
    folder = write_folder(tmp_path / "out", study, [a_suggestion(study)])
    with Sessions() as sessions:
        record = run_trial(folder, 1, tmp_path, sessions)
    assert folder.read().ledger == [record]
    assert (tmp_path / "out" / "trials").is_symlink()
    assert not (tmp_path / "disk" / "000001" / "checkpoint").exists()


@pytest.mark.parametrize("itself", [True, False], ids=["the folder itself", "a folder in it"])
def test_what_links_of_a_checkpoint_lead_to_is_never_deleted(tmp_path: Path, itself: bool) -> None:
    code = """
import os, shutil
def objective(x1, x2):
    folder = os.environ["BAYESOPT_CHECKPOINT"]
    if ITSELF:
        os.rmdir(folder)
        os.symlink(DATA, folder)
    else:
        os.makedirs(os.path.join(folder, "sub"))
        os.symlink(DATA, os.path.join(folder, "sub", "data"))
        os.symlink(os.path.join(DATA, "a"), os.path.join(folder, "a"))
        os.symlink("nowhere", os.path.join(folder, "b"))
    return x1
"""
    theirs = tmp_path / "theirs"
    (theirs / "sub").mkdir(parents=True)
    (theirs / "a").write_text("precious")
    (theirs / "sub" / "b").write_text("precious")
    code = code.replace("ITSELF", str(itself)).replace("DATA", repr(str(theirs)))
    study = Study.from_file(str(write_study(tmp_path, code, checkpoint=True)))
    folder = write_folder(tmp_path / "out", study, [a_suggestion(study)])
    with Sessions() as sessions:
        record = run_trial(folder, 1, tmp_path, sessions)
    assert record is not None
    assert record.value == 1.0, record.reason
    assert sorted(path.name for path in theirs.rglob("*")) == ["a", "b", "sub"]
    assert not os.path.lexists(folder.checkpoint_uri(1))


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (["report", "update", "report"], "abandoned"),
        (["report", "report"], "completed"),
        (["report", "submit", "report", "opening"], "completed"),  # two of them were stopped by somebody
        (["report", None, "report"], "completed"),
    ],
)
def test_a_trial_that_three_jobs_have_failed_of_has_failed(
    ends: list[str | None], expected: str, tmp_path: Path
) -> None:
    """In batches nobody takes over: its pod dies, the job fails, and the next one tries again, but not for ever."""
    folder = a_folder(tmp_path, VALUE)
    for number, step in enumerate(ends, 1):
        job = a_job(folder, f"job-{number}")
        assert folder.claim(new_claim(folder, 1, number, job))  # and its pod dies
        if step is not None:
            end(folder.root, job.job, "failed", "0 of 1 trials have ended", step)
    with Sessions() as sessions:
        record = run_trial(folder, 1, tmp_path, sessions, a_job(folder, "job-9"))
    assert record is not None
    assert (record.reason.kind if record.reason else record.state) == expected
    assert record.attempt == len(ends) + 1
    assert folder.read_record(1, record.attempt).is_final


def test_attempts_that_one_job_made_again_are_one_lost_worker(tmp_path: Path) -> None:
    """A spot machine that is taken away many times."""
    folder = a_folder(tmp_path, VALUE)
    for number in range(1, 7):
        assert folder.claim(new_claim(folder, 1, number, a_job(folder)))
    end(folder.root, "job-1", "failed", "0 of 1 trials have ended", "report")
    with Sessions() as sessions:
        record = run_trial(folder, 1, tmp_path, sessions, a_job(folder, "job-2"))
    assert record is not None
    assert (record.state, record.attempt) == ("completed", 7)
