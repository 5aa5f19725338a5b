"""The programs of the steps: what they do to a study folder, by hand and for a job, and their command lines."""

from __future__ import annotations

import errno
import importlib
import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from kfp_bayesopt import steps
from kfp_bayesopt.errors import RetainedError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder import study_folder as folders
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Reason
from kfp_bayesopt.steps import copy
from kfp_bayesopt.store import gcs, patience, storage
from kfp_bayesopt.study.budget import batches
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial import room
from kfp_bayesopt.trial.attempt import new_claim
from tests import ROOT
from tests.builders import a_record, a_study, a_suggestion, records_of, study_text, write_folder, write_study
from tests.chain import Chain
from tests.ledgers import contents, meaning
from tests.proofs.faulty_storage import Door, Exchange

STEPS: dict[str, click.Command] = {step: importlib.import_module(f"images.{step}.main").main for step in steps.STEPS}
COMMANDS = {**STEPS, "copy": copy.main}
GP = {"engine": "gp", "n_initial_points": 2}
JOB = "branin-1"


def call(step: str, arguments: list[str]) -> Result:
    return CliRunner().invoke(COMMANDS[step], arguments, prog_name="main.py")


def succeed(step: str, arguments: list[str]) -> None:
    result = call(step, arguments)
    assert result.exit_code == 0, result.output


def failure(step: str, arguments: list[str]) -> str:
    """Call a step that must fail by a mistake of the user; return the one message."""
    result = call(step, arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    return result.stderr.removeprefix("Error: ").rstrip("\n")


def a_chain(tmp_path: Path, root: str | None = None, job: str | None = None, **changes: Any) -> Chain:
    """Write a study file; return the chain of its steps."""
    return Chain(str(write_study(tmp_path, **changes)), root or str(tmp_path / "out"), job)


def record(chain: Chain, values: list[float | None]) -> None:
    """Write the records of the pending trials, as many as there are values."""
    folder = StudyFolder(chain.root, Study.from_file(chain.study))
    pending = list(folder.read().pending.values())[: len(values)]
    for each in records_of(folder.study, pending, values):
        folder.write_record(each)


def ended(chain: Chain) -> tuple[str, str | None, str] | None:
    """Return how the job of a chain has ended."""
    found = jobs.end_of(chain.root, chain.job or "")
    return (found.state, found.reason, found.step) if found else None


def run_chain(chain: Chain) -> None:
    """Call the steps of a study one after another, the last trial of a batch first."""
    succeed("init", chain.init())
    for batch in batches(Study.from_file(chain.study)):
        for trial in reversed(batch):
            succeed("evaluate", chain.evaluate(trial))
        succeed("update", chain.update(batch))
    succeed("report", chain.report())


# --- the chain -----------------------------------------------------------------------------------


@pytest.mark.parametrize("job", [None, JOB])
def test_the_chain_runs_on_cloud_storage_as_on_local_files(bucket: str, tmp_path: Path, job: str | None) -> None:
    here, there = a_chain(tmp_path, job=job), Chain(f"{bucket}/study.yaml", f"{bucket}/chain", job)
    storage.create(there.study, storage.read(here.study, limit=10**6))
    run_chain(here)
    run_chain(there)
    assert meaning(contents(there.root)) == meaning(contents(here.root))
    if job:
        assert ended(here) == ended(there) == ("succeeded", None, "report")
        assert jobs.read_job(here.root, job).place == "by hand"
        found = jobs.read_job(here.root, job).study_file
        assert Study.from_file(f"{here.root}/{found}").model_dump() == Study.from_file(here.study).model_dump()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Return a chain that has run on local files, for a job."""
    chain = a_chain(tmp_path_factory.mktemp("chain"), job=JOB)
    run_chain(chain)
    return chain


def test_a_run_without_a_job_is_one_by_what_its_service_calls_it(tmp_path: Path) -> None:
    """Started in the UI of KFP, whose pipeline gives `--job ""` then."""
    chain = a_chain(tmp_path, job="")
    for run in ("4f2a-run", "7d11-run"):
        by_the_service = ["--root", f"{chain.root}/", "--study", chain.study, "--job", "", "--run", run]
        succeed("init", by_the_service)
        for batch in batches(Study.from_file(chain.study)):
            for trial in batch:
                succeed("evaluate", [*by_the_service, "--trial", str(trial)])
            succeed("update", [*by_the_service, "--after", str(batch[-1])])
        succeed("report", by_the_service)
        end = jobs.end_of(chain.root, run)
        assert end is not None
        assert end.state == "succeeded"
    assert [job.job for job in jobs.list_jobs(chain.root)] == ["4f2a-run", "7d11-run"]
    assert len(list(Path(chain.root).glob("trials/*/claim-*.json"))) == 4


def test_the_best_trial_is_that_of_the_ledger(done: Chain) -> None:
    best = json.loads(Path(done.root, "best.json").read_bytes())
    ledger = [json.loads(line) for line in Path(done.root, "trials.jsonl").read_text().splitlines()]
    assert [each["trial"] for each in ledger] == [1, 2, 3, 4]
    values = {each["trial"]: each["values"]["value"] for each in ledger}
    assert best["value"] == values[best["trial"]] == min(values.values())
    assert (best["completed"], best["failed"], best["trials"]) == (4, 0, 4)


@pytest.mark.parametrize("job", [None, JOB, "another"])
def test_every_step_that_is_run_again_leaves_the_folder_as_it_was(done: Chain, job: str | None) -> None:
    before = contents(done.root)
    run_chain(Chain(done.study, done.root, job))
    after = contents(done.root)
    before.pop("report.html")  # it lists the jobs
    assert {name: after[name] for name in before} == before
    after.pop("report.html")
    added = {"jobs/another.json", "jobs/another/ended.json"} if job == "another" else set()
    assert set(after) - set(before) <= added | {"jobs/another.json", "jobs/another/ended.json"}


class KilledError(Exception):
    """This process was killed."""


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """Let the write of this number be the first that is not made; return a list of those that were."""
    made = list[str]()

    def counted(write: Callable[[str, bytes], None]) -> Callable[[str, bytes], None]:
        def counting(uri: str, content: bytes) -> None:
            if len(made) == number:
                raise KilledError
            made.append(uri)
            write(uri, content)

        return counting

    monkeypatch.setattr(storage, "create", counted(storage.create))
    monkeypatch.setattr(storage, "replace", counted(storage.replace))
    return made


@pytest.mark.parametrize("engine", ["gp", pytest.param("skopt", marks=pytest.mark.long)])
@pytest.mark.parametrize("step", ["init", "update", "report"])
def test_a_step_killed_between_any_two_writes_is_run_again_and_gives_the_same(
    step: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "FOLD", 2)
    monkeypatch.setattr(jobs, "now", lambda: "2026-01-01T00:00:00+00:00")

    def prepared(name: str) -> tuple[Chain, list[str]]:
        optimizer = {"engine": engine, "n_initial_points": 2}
        chain = a_chain(tmp_path / name, job=JOB, optimizer=optimizer, iterations=2 if step == "update" else 1)
        if step != "init":
            succeed("init", chain.init())
            record(chain, [1.0, 2.0])
        return chain, {"init": chain.init(), "update": chain.update(range(1, 3)), "report": chain.report()}[step]

    chain, arguments = prepared("whole")
    with monkeypatch.context() as patch:
        made = kill_at(patch, 1000)
        succeed(step, arguments)
    assert len(made) >= {"init": 4, "update": 6, "report": 6}[step]
    expected = contents(chain.root)
    for at in range(len(made)):
        chain, arguments = prepared(f"killed-at-{at}")
        with monkeypatch.context() as patch:
            kill_at(patch, at)
            assert isinstance(call(step, arguments).exception, KilledError)
        succeed(step, arguments)
        assert contents(chain.root) == expected, at


# --- mistakes ------------------------------------------------------------------------------------


def spoil_the_study(chain: Chain) -> str:
    Path(chain.study).write_bytes(study_text(iterations=0))
    return f"{chain.study}: iterations: must be greater than or equal to 1, but got 0"


def change_the_study(chain: Chain) -> str:
    Path(chain.study).write_bytes(study_text(direction="maximize"))
    changed = Study.from_file(chain.study)
    return (
        f"{chain.root}/trials/000002/suggestion.json: the suggestion is of another study, 'branin' "
        f"('{a_study().fingerprint}'), and not of 'branin' ({changed.fingerprint}): it has another objective, "
        "direction or space; use the study file that it was made with, or another folder"
    )


def damage_a_record(chain: Chain) -> str:
    record(chain, [1.0, 2.0])
    folder = StudyFolder(chain.root, Study.from_file(chain.study))
    assert folder.claim(new_claim(folder, 1, 1, None))
    Path(chain.root, "trials/000001/record-1.json").write_text("{")
    return (
        f"{chain.root}/trials/000001/record-1.json: damaged record: EOF while parsing an object at line 1 column 1; "
        "delete the file and run the study again, so that the trial is evaluated again"
    )


def fail_too_often(chain: Chain) -> str:
    record(chain, [None, None])
    return "2 of 2 trials have failed, more than 1 (max_failed_trials); failures.json has their reasons"


def leave_out_a_record(chain: Chain) -> str:
    record(chain, [1.0])
    return "the record of trial 2 is missing; run `evaluate` for it again"


def make_a_mistake(chain: Chain) -> str:
    study = Study.from_file(chain.study)
    pending = StudyFolder(chain.root, study).read().pending
    reason = Reason(kind="mistake", message="no module named 'mine'; install it")
    for trial, value in ((1, 1.0), (2, None)):
        changes = {"reason": reason} if value is None else {}
        write_folder(
            chain.root, study, [], [a_record(study, trial, value, parameters=pending[trial].parameters, **changes)]
        )
    return "trial 2: no module named 'mine'; install it"


MISTAKES = [
    spoil_the_study, change_the_study, damage_a_record, fail_too_often, leave_out_a_record, make_a_mistake,
]  # fmt: skip


def begun(tmp_path: Path, job: str | None) -> Chain:
    """Return a chain of 2 x 2 trials whose first batch was proposed."""
    chain = a_chain(tmp_path, job=job, max_failed_trials=1)
    succeed("init", chain.init())
    return chain


@pytest.mark.parametrize("mistake", MISTAKES)
def test_by_hand_a_mistake_is_one_message(mistake: Callable[[Chain], str], tmp_path: Path) -> None:
    chain = begun(tmp_path, None)
    message = mistake(chain)
    assert failure("update", chain.update(range(1, 3))) == message
    assert not Path(chain.root, "trials/000003").exists()
    assert not Path(chain.root, "jobs").exists()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_the_job_and_report_makes_it_red(mistake: Callable[[Chain], str], tmp_path: Path) -> None:
    chain = begun(tmp_path, JOB)
    message = mistake(chain)
    succeed("update", chain.update(range(1, 3)))
    assert ended(chain) == ("failed", message, "update")
    before = contents(chain.root)
    assert not Path(chain.root, "trials/000003").exists()
    for step, arguments in (
        ("init", chain.init()),
        *(("evaluate", chain.evaluate(trial)) for trial in (1, 2, 3, 4)),
        ("update", chain.update(range(1, 3))),
        ("update", chain.update(range(3, 5))),
    ):
        succeed(step, arguments)
    assert contents(chain.root) == before
    assert failure("report", chain.report()) == message
    if mistake not in (spoil_the_study, change_the_study, damage_a_record):
        assert f"The study has failed: {message}." in Path(chain.root, "summary.md").read_text()
        failed = json.loads(Path(chain.root, "failures.json").read_bytes())["failures"]
        assert len(failed) == {"fail_too_often": 2, "leave_out_a_record": 0, "make_a_mistake": 1}[mistake.__name__]
    assert ended(chain) == ("failed", message, "update")


def test_a_bad_study_is_found_before_anything_is_written(tmp_path: Path) -> None:
    chain = a_chain(tmp_path, iterations=0)
    message = f"{chain.study}: iterations: must be greater than or equal to 1, but got 0"
    for step, arguments in (
        ("init", chain.init()),
        ("evaluate", chain.evaluate(1)),
        ("update", chain.update(range(1, 3))),
        ("report", chain.report()),
    ):
        assert failure(step, arguments) == message
    assert not Path(chain.root).exists()


def test_the_folder_of_another_study_is_left_as_it_is(tmp_path: Path) -> None:
    chain = begun(tmp_path, None)
    before = contents(chain.root)
    message = change_the_study(chain)
    for step, arguments in (
        ("init", chain.init()),
        ("evaluate", chain.evaluate(1)),
        ("update", chain.update(range(1, 3))),
        ("report", chain.report()),
    ):
        assert failure(step, arguments).replace("000001", "000002") == message
    assert contents(chain.root) == before


def test_a_mended_mistake_is_evaluated_by_the_next_job(tmp_path: Path) -> None:
    chain = begun(tmp_path, JOB)
    message = make_a_mistake(chain)
    succeed("update", chain.update(range(1, 3)))
    following = Chain(chain.study, chain.root, "branin-2")
    run_chain(following)
    assert (ended(chain), ended(following)) == (("failed", message, "update"), ("succeeded", None, "report"))
    assert sorted(path.name for path in Path(chain.root, "trials/000002").glob("record-*")) == [
        "record-1.json", "record-2.json",
    ]  # fmt: skip
    assert len(list(Path(chain.root).rglob("record-1.json"))) == 4


def test_a_batch_that_was_never_proposed_is_a_mistake(tmp_path: Path) -> None:
    chain = begun(tmp_path, None)
    record(chain, [1.0, 2.0])
    assert failure("update", chain.update(range(3, 5))) == (
        f"{chain.root}: trial 3 was never proposed; run `init`, or `update` after each batch before it, first"
    )


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("job", ["Branin", "../x", "a b", "x" * 129])
def test_what_is_no_id_of_a_job_is_a_mistake(step: str, job: str, tmp_path: Path) -> None:
    chain = a_chain(tmp_path, job=job)
    arguments = {
        "init": chain.init(),
        "report": chain.report(),
        "evaluate": chain.evaluate(1),
        "worker": chain.worker(1),
    }
    said = failure(step, arguments.get(step, chain.update(range(1, 3))))
    assert said.endswith(
        " is no id of a job; give 1 to 128 lower case letters, digits and hyphens, beginning and ending with a letter "
        "or a digit"
    )
    assert not Path(chain.root).exists()


def test_a_root_with_a_slash_at_its_end_is_the_same_root(tmp_path: Path) -> None:
    chain = a_chain(tmp_path, job=JOB)
    run_chain(Chain(chain.study, f"{chain.root}/", JOB))
    assert ended(chain) == ("succeeded", None, "report")


# --- storage that fails --------------------------------------------------------------------------


def test_a_missing_object_is_one_message(bucket: str) -> None:
    assert failure("init", Chain(f"{bucket}/no-study.yaml", f"{bucket}/x").init()) == (
        "gs://bucket/no-study.yaml: no such object"
    )


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for Cloud Storage for a moment only."""
    monkeypatch.setattr(patience, "RETRY", patience.RETRY.with_delay(initial=0.05, maximum=0.05).with_timeout(0.3))


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("job", [None, JOB])
@pytest.mark.parametrize("step", ["init", "update", "report"])
def test_storage_that_does_not_answer_is_for_the_target_to_try_again(
    step: str, job: str | None, answering: Callable[[Callable[[BaseHTTPRequestHandler], None]], None]
) -> None:
    """With a job too: it is no mistake, so that it must not end it."""
    answering(lambda request: request.send_error(503))
    chain = Chain("gs://bucket/study.yaml", "gs://bucket/x", job)
    arguments = {"init": chain.init(), "update": chain.update(range(1, 3)), "report": chain.report()}[step]
    said = failure(step, arguments)
    asked = "gs://bucket/x/jobs/branin-1/ended.json" if job else "gs://bucket/study.yaml"
    assert said.startswith(f"{asked}: no answer from Cloud Storage since ")
    assert said.endswith("; check the network, then run the same command again")


@pytest.mark.usefixtures("impatient", "bucket")
@pytest.mark.parametrize("step", ["init", "update", "report"])
def test_an_outage_in_the_middle_of_a_step_does_not_end_its_job(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job lies here, and the study where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    gcs._client.cache_clear()
    chain = Chain("gs://bucket/study.yaml", str(tmp_path), JOB)
    arguments = {"init": chain.init(), "update": chain.update(range(1, 3)), "report": chain.report()}[step]
    assert failure(step, arguments).startswith("gs://bucket/study.yaml: no answer from Cloud Storage since ")
    assert list(tmp_path.iterdir()) == []


# --- init ----------------------------------------------------------------------------------------


def test_init_writes_study_job_and_first_batch(tmp_path: Path) -> None:
    chain = a_chain(tmp_path, job=JOB)
    succeed("init", chain.init())
    study_file = folders.study_uri(chain.root, study_text())
    assert Path(study_file).read_bytes() == study_text()
    assert set(contents(chain.root)) == {
        study_file.removeprefix(f"{chain.root}/"),
        "jobs/branin-1.json",
        "trials/000001/suggestion.json",
        "trials/000002/suggestion.json",
    }
    job = jobs.read_job(chain.root, JOB)
    assert f"{chain.root}/{job.study_file}" == study_file
    assert job.by == jobs.whoami()


def test_init_leaves_a_job_as_whoever_submitted_it_has_written_it(tmp_path: Path) -> None:
    chain = a_chain(tmp_path, job=JOB)
    study = Study.from_file(chain.study)
    job = jobs.Job(
        study=study.name, fingerprint=study.fingerprint, job=JOB, study_file="study/x.yaml", place="vertex",
        submitted="2026-01-01T00:00:00+00:00", by="me@here", retry_failed=True,
    )  # fmt: skip
    write_folder(chain.root, study, [a_suggestion(study)], [a_record(study, 1, None)])
    storage.create(jobs.job_uri(chain.root, JOB), job.to_bytes())
    succeed("init", chain.init())
    assert jobs.read_job(chain.root, JOB) == job
    assert json.loads(Path(chain.root, "retries/branin-1.json").read_bytes())["trials"] == [1]


@pytest.mark.parametrize("job", [None, JOB])
def test_init_refuses_a_store_that_loses_trials(job: str | None, tmp_path: Path, bucket: str, faulty: Door) -> None:
    """Two creators win; nothing but the end of the job is written, which is read by `report`."""

    def both(exchange: Exchange) -> None:
        exchange.let_it_replace()
        exchange.reply(exchange.forward())

    faulty.close_after(1, both, stays=True)
    chain = a_chain(tmp_path, f"{bucket}/lying", job=job)
    if job is None:
        message = failure("init", chain.init())
    else:
        succeed("init", chain.init())
        end = ended(chain)
        assert end is not None
        state, message, step = end[0], end[1] or "", end[2]
        assert (state, step) == ("failed", "init")
    assert message.startswith(f"{bucket}/lying: its store does not keep what studies rely on, and would lose trials")
    faulty.open()
    assert set(contents(chain.root)) == {f"jobs/{job}/ended.json" for job in [job] if job}


def test_init_of_a_bucket_pays_for_the_probe_of_its_store_once(tmp_path: Path, bucket: str, faulty: Door) -> None:
    chain = a_chain(tmp_path, f"{bucket}/paid")
    succeed("init", chain.init())
    first = faulty.requests
    faulty.open()
    succeed("init", chain.init())
    assert faulty.requests < first - 40


# --- how a study ends ----------------------------------------------------------------------------


@pytest.mark.parametrize("job", [None, JOB])
def test_a_target_that_was_reached_ends_the_study_early_and_green(job: str | None, tmp_path: Path) -> None:
    chain = a_chain(tmp_path, job=job, stop={"target": 3.0}, iterations=3)
    succeed("init", chain.init())
    record(chain, [2.0, 4.0])
    succeed("update", chain.update(range(1, 3)))
    reason = "the best value, 2, has reached 3 (stop.target)"
    if job:
        assert ended(chain) == ("succeeded", reason, "update")
    for trial in (3, 4):
        succeed("evaluate", chain.evaluate(trial))
    succeed("update", chain.update(range(3, 5)))
    succeed("report", chain.report())
    assert json.loads(Path(chain.root, "best.json").read_bytes())["ended"] == reason
    assert Path(chain.root, "summary.md").read_text() == (
        "# branin\n\nBest value **2.0** in trial 1.\n\n"
        + table(json.loads(Path(chain.root, "best.json").read_bytes())["parameters"])
        + f"\n\n2 of 6 trials completed, 0 failed.\n\nEnded early: {reason}.\n"
    )
    assert len(list(Path(chain.root, "trials").iterdir())) == 2


def table(parameters: dict[str, Any]) -> str:
    return "| parameter | value |\n|---|---|\n" + "".join(f"| `{k}` | `{v}` |\n" for k, v in parameters.items())


def test_a_space_that_is_exhausted_in_the_last_batch_is_an_early_end(tmp_path: Path) -> None:
    few = {"n": {"type": "integer", "low": 1, "high": 3}}
    chain = a_chain(tmp_path, job=JOB, space=few, optimizer=GP)
    succeed("init", chain.init())
    record(chain, [2.0, 4.0])
    succeed("update", chain.update(range(1, 3)))
    record(chain, [3.0])
    succeed("evaluate", chain.evaluate(4))
    succeed("update", chain.update(range(3, 5)))
    succeed("report", chain.report())
    assert ended(chain) == ("succeeded", "every point of the space has been tried, 3 trials", "update")


@pytest.mark.parametrize("job", [None, JOB])
def test_a_study_that_is_not_finished_is_red(job: str | None, tmp_path: Path) -> None:
    chain = a_chain(tmp_path, job=job)
    succeed("init", chain.init())
    record(chain, [2.0, 4.0])
    succeed("update", chain.update(range(1, 3)))
    record(chain, [3.0])
    message = "3 of 4 trials have ended; run the same command again to finish"
    assert failure("report", chain.report()) == message
    if job:
        assert ended(chain) == ("failed", message, "report")
    assert json.loads(Path(chain.root, "best.json").read_bytes())["value"] == 2.0
    assert "3 of 4 trials completed, 0 failed.\n\nThe study has failed: " in Path(chain.root, "summary.md").read_text()


def test_a_study_that_was_never_begun_is_red(tmp_path: Path) -> None:
    chain = a_chain(tmp_path, job=JOB)
    assert failure("report", chain.report()) == "0 of 4 trials have ended; run the same command again to finish"


@pytest.mark.parametrize("job", [None, JOB])
def test_a_study_without_a_completed_trial_is_red(job: str | None, tmp_path: Path) -> None:
    chain = a_chain(tmp_path, job=job, iterations=1)
    succeed("init", chain.init())
    record(chain, [None, None])
    succeed("update", chain.update(range(1, 3)))
    message = "no trial has completed (2 failed); failures.json has the reasons"
    assert failure("report", chain.report()) == message
    assert Path(chain.root, "summary.md").read_text() == (
        "# branin\n\nNo trial has completed (2 failed); failures.json has the reasons.\n\n"
        "0 of 2 trials completed, 2 failed.\n\n"
        f"The study has failed: {message}.\n"
    )
    failed = json.loads(Path(chain.root, "failures.json").read_bytes())["failures"]
    assert [(each["trial"], each["reason"]["kind"], each["reason"]["message"]) for each in failed] == [
        (1, "raised", "ValueError: no"), (2, "raised", "ValueError: no"),
    ]  # fmt: skip


def test_a_budget_that_shrank_below_what_is_there_is_no_failure(tmp_path: Path) -> None:
    chain = a_chain(tmp_path, iterations=1, parallel_trials=1)
    study = a_study()
    write_folder(chain.root, study, [a_suggestion(study, n) for n in (1, 2)], [a_record(study, n) for n in (1, 2)])
    succeed("report", chain.report())
    assert "\n2 trials completed, 0 failed; the budget is 1.\n" in Path(chain.root, "summary.md").read_text()


def test_a_job_that_report_has_found_to_be_failed_stays_so(tmp_path: Path) -> None:
    chain = a_chain(tmp_path, job=JOB, iterations=1)
    message = failure("report", chain.report())
    run_chain(Chain(chain.study, chain.root, "another"))
    assert failure("report", chain.report()) == message


def test_a_noisy_study_recommends_a_trial(tmp_path: Path) -> None:
    chain = a_chain(tmp_path, noisy=True, optimizer=GP)
    run_chain(chain)
    best = json.loads(Path(chain.root, "best.json").read_bytes())
    recommended = best["recommended"]
    assert recommended["trial"] in (1, 2, 3, 4)
    assert (
        f"Recommended, because the study is noisy: trial {recommended['trial']}, whose mean by the model is "
        f"{recommended['mean']:.6g}.\n\n{table(recommended['parameters'])}"
    ) in Path(chain.root, "summary.md").read_text()


def test_report_folds_what_is_dense_and_a_step_reads_the_fold_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "FOLD", 2)
    study = a_study(iterations=3)
    chain = a_chain(tmp_path, iterations=3)
    folder = write_folder(chain.root, study, [a_suggestion(study, n) for n in range(1, 7)])
    for trial in (1, 2, 3, 5, 6):
        folder.write_record(a_record(study, trial))
    failure("report", chain.report())
    assert sorted(name for name in contents(chain.root) if name.startswith("ledger-")) == ["ledger-00000002.jsonl"]
    folder.write_record(a_record(study, 4))
    succeed("report", chain.report())
    folds = {name: content for name, content in contents(chain.root).items() if name.startswith("ledger-")}
    assert list(folds) == [f"ledger-0000000{last}.jsonl" for last in (2, 4, 6)]
    assert b"".join(folds.values()) == Path(chain.root, "trials.jsonl").read_bytes()
    for path in Path(chain.root, "trials").glob("*/record-1.json"):
        path.unlink()
    succeed("report", chain.report())


@pytest.mark.parametrize("step", ["init", "evaluate", "update", "report"])
def test_a_full_disk_is_no_end_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The step exits 1, and is run again: somebody may have made space."""
    chain = a_chain(tmp_path, job=JOB, iterations=1)
    calls = {
        "init": chain.init(),
        "evaluate": chain.evaluate(1),
        "update": chain.update(range(1, 3)),
        "report": chain.report(),
    }
    for name, call_of in calls.items():
        if name == step:
            with monkeypatch.context() as full:
                full.setattr(os, "fsync", no_space)
                full.setattr(room, "PATIENCE", 0.05)
                assert "No space left on device; free some space" in failure(name, call_of)
            assert ended(chain) is None
        succeed(name, call_of)
        if name == "evaluate":
            succeed("evaluate", chain.evaluate(2))
    assert ended(chain) == ("succeeded", None, "report")


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_results_that_a_retention_policy_keeps_cost_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No fake has one."""
    chain = a_chain(tmp_path, iterations=1)

    def kept(uri: str, _: bytes) -> None:
        raise RetainedError(f"{uri}: is kept by the retention policy of its bucket")

    succeed("init", chain.init())
    record(chain, [1.0, 2.0])
    monkeypatch.setattr(storage, "replace", kept)
    for step, arguments in (("update", chain.update(range(1, 3))), ("report", chain.report())):
        caplog.clear()
        succeed(step, arguments)
        names = ["trials.jsonl", "failures.json", "best.json", "summary.md"]
        names += ["report.html"] if step == "report" else []
        assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == [
            f"{chain.root}/{name}: is kept by the retention policy of its bucket" for name in names
        ]


# --- the command lines ---------------------------------------------------------------------------


@pytest.mark.parametrize("step", COMMANDS)
def test_the_example_of_the_help_is_a_command_line_of_the_step(step: str) -> None:
    """Every option that must be given is given, and there are no others."""
    shown = call(step, ["--help"])
    assert shown.exit_code == 0
    example = shown.output.partition("Example:\n")[2].partition("\n\n")[0].replace("\\\n", " ")
    program, *arguments = shlex.split(example)
    if step == "copy":
        assert [program, *arguments[:2]] == ["python", "-m", "kfp_bayesopt.steps.copy"]
        arguments = arguments[2:]
    else:
        assert program == steps.STEPS[step].program
    assert "\\b" not in shown.output
    with COMMANDS[step].make_context(step, arguments) as context:
        assert {name for name, value in context.params.items() if value is None} <= {"job", "run", "outputs", "below"}


@pytest.mark.parametrize("step", STEPS)
def test_a_missing_option_exits_2(step: str) -> None:
    result = call(step, [])
    assert result.exit_code == 2
    assert "Error: Missing option '--root'." in result.stderr


@pytest.mark.parametrize("step", STEPS)
def test_a_misspelt_option_exits_2_and_is_told_the_right_one(step: str) -> None:
    result = call(step, ["--studdy", "x"])
    assert result.exit_code == 2
    assert "No such option '--studdy'. Did you mean '--study'?" in result.stderr


@pytest.mark.parametrize("number", ["0", "-1", "one", "1.5"])
@pytest.mark.parametrize(("step", "option"), [("evaluate", "--trial"), ("update", "--after"), ("worker", "--worker")])
def test_the_number_of_a_trial_that_is_none_exits_2(step: str, option: str, number: str) -> None:
    assert call(step, ["--root", "o", "--study", "s", option, number]).exit_code == 2


# --- copy ----------------------------------------------------------------------------------------


def test_copy_brings_a_file_to_cloud_storage_and_back(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x00content")
    succeed("copy", [str(tmp_path / "a"), f"{bucket}/copied"])
    succeed("copy", [f"{bucket}/copied", str(tmp_path / "b")])
    assert (tmp_path / "b").read_bytes() == b"\x00content"
    assert call("copy", [f"{bucket}/copied", "-"]).stdout_bytes == b"\x00content"


def test_copy_of_nothing_is_one_message(tmp_path: Path) -> None:
    said = failure("copy", [str(tmp_path / "none"), "-"])
    assert said == f"{tmp_path}/none: no such file"


# --- what they import ----------------------------------------------------------------------------


def imported_by(step: str, arguments: list[str]) -> set[str]:
    """Run a step as a program; return which modules it has imported."""
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_module(sys.argv[0], run_name='__main__')\n"
        "finally: print(*sys.modules)"
    )
    command = [sys.executable, "-c", code, f"images.{step}.main", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ended.stdout.split())


def test_a_step_imports_what_it_needs_and_no_more(tmp_path: Path) -> None:
    chain = a_chain(tmp_path, optimizer=GP)
    first, second = batches(Study.from_file(chain.study))
    heavy = {"scipy", "sklearn", "skopt", "google.cloud.storage"}
    assert not imported_by("init", chain.init()) & heavy
    for trial in first:
        assert not imported_by("evaluate", chain.evaluate(trial)) & {*heavy, "numpy"}
    assert imported_by("update", chain.update(first)) & heavy == {"scipy"}
    for trial in second:
        succeed("evaluate", chain.evaluate(trial))
    assert not imported_by("update", chain.update(second)) & heavy  # nothing is proposed after the last batch
    assert imported_by("report", chain.report()) & heavy == {"scipy"}
