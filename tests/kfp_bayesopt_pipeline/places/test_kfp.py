"""`submit --target kfp` with the real client library against a stand-in for a KFP cluster."""

from __future__ import annotations

import base64
import importlib
import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click import Command
from click.testing import CliRunner, Result

from kfp_bayesopt.cli.commands.building_commands import ready
from kfp_bayesopt.cli.commands.job_commands import cancel, results, status, submit
from kfp_bayesopt.cli.commands.report_commands import watch
from kfp_bayesopt.cli.commands.trial_commands import best, logs
from kfp_bayesopt.folder.earlier import read_earlier
from kfp_bayesopt.folder.jobs import end, end_of, list_jobs
from kfp_bayesopt.folder.publish import publish
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.folder.study_folder import StudyFolder, study_uri
from kfp_bayesopt.folder.trials import Claim
from kfp_bayesopt.private import ENDPOINTS
from kfp_bayesopt.session.sent import Opening, text_to_send
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.objects.s3 import minio
from kfp_bayesopt.store.stores import ROOT
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places import remote_jobs
from kfp_bayesopt_pipeline.places.kfp import KfpSettings, way_to
from tests import fake_s3
from tests.builders import a_batch, a_record, write_folder
from tests.kfp_stand_in import KfpStandIn, a_task, run_id

RUN = run_id(1)
STUDY = "studies/branin.yaml"

pytestmark = [
    pytest.mark.usefixtures("_root"),
    pytest.mark.filterwarnings("ignore"),  # of the client libraries, in their own code
]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpStandIn]:
    # The client keeps settings of its own in the home folder.
    monkeypatch.setenv("HOME", str(tmp_path))
    stand_in = KfpStandIn()
    yield stand_in
    stand_in.stop()


def _submit(cluster: KfpStandIn, images: Path, *arguments: str, study: str = STUDY) -> Result:
    where = ["--target", "kfp", "--host", cluster.host, "--images", str(images), "--every", "0.01"]
    return CliRunner().invoke(submit, [study, *where, *arguments])


def _root(bucket: str, run: str = "0001") -> str:
    return f"{bucket}/studies/branin/{Study.from_file(STUDY).fingerprint}/{run}"


def _finish(root: str) -> None:
    """Let a study have two records and their results."""
    study = Study.from_file(STUDY)
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}, {"x1": 1.5, "x2": 2.0}])
    records = [a_record(study, each.trial, 0.5 / each.trial, parameters=each.parameters) for each in batch]
    publish(write_folder(root, study, batch, records), records)


def test_a_run_is_made_and_followed_to_its_end(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    _finish(_root(f"{bucket}/followed"))
    loop = [a_task(name) for name in ("root", "exit-handler-1", "for-loop-2", "evaluate", "evaluate", "evaluate-2")]
    cluster.tasks = [a_task("init"), *loop, a_task("update"), a_task("report")]
    ended = _submit(
        cluster, images, "--pipeline-root", f"{bucket}/followed", "--experiment-name", "tuning", "--token", "secret",
        "--wait",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    (run,) = cluster.runs
    (job,) = list_jobs(_root(f"{bucket}/followed"))
    assert job.lease_minutes == 5.0  # nobody starts a dead worker again
    assert run["display_name"] == job.job
    assert "pipeline_root" not in run["runtime_config"], "artifacts are where the cluster puts them"
    assert run["runtime_config"]["parameters"] == {"root": _root(f"{bucket}/followed"), "job": job.job}
    assert cluster.experiments == ["tuning"]
    assert "Bearer secret" in cluster.tokens
    page = f"{cluster.host}/#/runs/details/{RUN}"
    assert ended.stdout.startswith(f"job {RUN}\n{page}\nstudy folder {_root(f'{bucket}/followed')}\n")
    told = [line.partition("  ")[2] for line in ended.output.splitlines() if re.match(r"\d\d:\d\d:\d\d  ", line)]
    assert told == [
        "init: SUCCEEDED", "iteration 1: evaluate: 2 SUCCEEDED", "iteration 2: evaluate: SUCCEEDED",
        "iteration 1: update: SUCCEEDED", "report at the end: SUCCEEDED",
        f"{RUN}: PENDING", f"{RUN}: RUNNING", f"{RUN}: SUCCEEDED",
    ]  # fmt: skip
    shown = [line for line in ended.output.splitlines() if line.startswith("iteration 1/4  trial ")]
    assert [line.partition("  value ")[2] for line in shown] == ["0.5  best 0.5", "0.25  best 0.25"]
    assert ended.output.endswith(
        "\nbest value 0.25\n  x1 = 1.5\n  x2 = 2.0\nin trial 2, iteration 1; 2 completed, 0 failed\n"
        f"as flags: --x1=1.5 --x2=2.0\n\nreport out/{RUN}/report.html\n"
    )


def test_a_program_reads_what_was_submitted_and_its_state(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    root = _root(f"{bucket}/read")
    sent = json.loads(_submit(cluster, images, "--pipeline-root", f"{bucket}/read", "--json").stdout)
    assert sent == {"job": RUN, "page": f"{cluster.host}/#/runs/details/{RUN}", "root": root}
    cluster.tasks = [a_task("init"), a_task("evaluate", "RUNNING")]
    found = json.loads(_ask(status, cluster, "--job", RUN, "--json").stdout)
    assert (found["job"], found["state"], found["root"], found["reason"]) == (RUN, "PENDING", root, None)
    assert (found["tasks"], found["done"]) == ({"init": "SUCCEEDED", "iteration 1: evaluate": "RUNNING"}, 0)


def test_no_word_of_vertex_is_said_of_workers_on_a_cluster(
    cluster: KfpStandIn, images: Path, bucket: str, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(f"{Path(STUDY).read_text().partition('optimizer:')[0]}schedule: asynchronous\n")
    sent = _submit(cluster, images, "--pipeline-root", f"{bucket}/workers", study=str(study))
    assert sent.exit_code == 0, sent.output
    assert "Vertex" not in sent.output


def test_what_all_pods_together_ask_for_is_said(cluster: KfpStandIn, images: Path, bucket: str, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(f"{Path(STUDY).read_text()}steps: {{evaluate: {{request: {{cpu: 2, memory: 3G}}}}}}\n")
    sent = _submit(cluster, images, "--pipeline-root", f"{bucket}/asked", study=str(study))
    assert "4 pods at once together ask for CPU 8, memory 12 GB\n" in sent.output


@pytest.mark.usefixtures("_unreached")
def test_all_that_is_missing_is_said_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REGISTRY", "KFP_HOST"):
        monkeypatch.delenv(name, raising=False)
    ended = CliRunner().invoke(ready, ["push", "submit", "--target", "kfp", "--store-endpoint", "seaweedfs:9000"])
    assert ended.exit_code == 1
    first, *problems = ended.output.splitlines()
    assert first == "Error: nothing was built:"
    assert [problem.split()[0] for problem in problems] == ["no", "host", "store_endpoint:"], ended.output
    assert "pipeline_root" not in ended.output


def test_no_step_is_taken_from_a_cache(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    assert _submit(cluster, images, "--pipeline-root", f"{bucket}/uncached").exit_code == 0
    (run,) = cluster.runs
    spec = run["pipeline_spec"].get("pipeline_spec", run["pipeline_spec"])
    groups = [spec["root"], *spec["components"].values()]
    tasks = [task for group in groups for task in group.get("dag", {}).get("tasks", {}).values()]
    assert len(tasks) > 10
    assert [task for task in tasks if task.get("cachingOptions", {}).get("enableCache")] == []


def test_a_run_that_fails_is_an_error_in_the_words_of_the_step(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    cluster.states = ["RUNNING", "FAILED"]
    assert _submit(cluster, images, "--pipeline-root", f"{bucket}/failing").exit_code == 0
    root = _root(f"{bucket}/failing")
    (job,) = list_jobs(root)
    end(root, job.job, "failed", "6 of 16 trials have failed", "update")
    assert _ask(status, cluster, RUN).output.endswith(f"{RUN}: RUNNING\n0 of 16 trials have records; folder {root}\n")
    assert _ask(status, cluster, RUN).output.endswith(
        f"{RUN}: FAILED\n6 of 16 trials have failed\n0 of 16 trials have records; folder {root}\n"
        "the study is not complete: `make submit` again goes on\n"
    )


PODS = f"`kubectl describe pods -n kubeflow -l pipeline/runid={RUN}`"


def test_a_run_that_fails_before_a_step_can_say_why_leads_to_its_pods(
    cluster: KfpStandIn, images: Path, bucket: str
) -> None:
    cluster.states = ["FAILED"]
    cluster.tasks = [a_task("init"), a_task("evaluate"), a_task("evaluate", "FAILED"), a_task("executor(0)", "FAILED")]
    ended = _submit(cluster, images, "--pipeline-root", f"{bucket}/killed", "--wait")
    assert ended.exit_code == 1
    assert ended.output.endswith(
        f"Error: job {RUN}: FAILED: failed in iteration 1: evaluate; KFP's API does not say why: {PODS} does, for an "
        f"hour after the end; `make results TARGET=kfp JOB={RUN}` fetches what is there\n"
    )


def test_what_never_ran_is_not_pending(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    """The API says nothing of a task that was left out, or that it has no state; one of a running run may yet come."""
    cluster.states = ["RUNNING", "FAILED"]
    cluster.tasks = [a_task("init"), a_task("evaluate", "FAILED"), a_task("update", None)]
    cluster.tasks += [a_task("evaluate-2", "RUNTIME_STATE_UNSPECIFIED")]
    assert _submit(cluster, images, "--pipeline-root", f"{bucket}/omitted").exit_code == 0
    begun = "init: SUCCEEDED\niteration 1: evaluate: FAILED\nnot run: iteration 1: update, iteration 2: evaluate"
    assert _ask(status, cluster, RUN).output.startswith(f"{begun}\n{RUN}: RUNNING\n")
    shown = _ask(status, cluster, RUN).output
    assert shown.startswith(f"{begun}, ")
    for title in ("report at the end", "iteration 4: evaluate", "iteration 3: update", "report"):
        assert title in shown.partition("\n")[0] + shown.splitlines()[2]
    told = json.loads(_ask(status, cluster, RUN, "--json").stdout)
    assert (told["tasks"]["report"], told["tasks"]["init"], told["complete"]) == ("not run", "SUCCEEDED", False)


def test_a_lost_pod_is_said_beside_what_a_step_has_found(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    cluster.states = ["FAILED"]
    assert _submit(cluster, images, "--pipeline-root", f"{bucket}/lost").exit_code == 0
    (job,) = list_jobs(_root(f"{bucket}/lost"))
    end(_root(f"{bucket}/lost"), job.job, "failed", "1 of 16 trials have ended", "report")
    cluster.tasks = [a_task("init"), a_task("report", "FAILED")]
    assert "KFP's API" not in _ask(status, cluster, RUN).output
    cluster.tasks = [a_task("init"), a_task("evaluate", "FAILED"), a_task("report", "FAILED")]
    lost = f"failed in iteration 1: evaluate, report at the end; KFP's API does not say why: {PODS}"
    shown = _ask(status, cluster, RUN).output
    assert f"\n{RUN}: FAILED\n1 of 16 trials have ended\n{lost} does, for an hour after the end\n" in shown


def test_pods_that_wait_for_long_are_said(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    """Such as of a queue that does not exist, of an image or a secret that is missing, and where no node has room."""
    cluster.states = ["RUNNING"]
    assert _submit(cluster, images, "--pipeline-root", f"{bucket}/waiting").exit_code == 0
    cluster.tasks = [a_task("init"), a_task("evaluate", "RUNNING")]
    for name, start in (("executor", "2026-01-01T12:05:06Z"), ("executor(0)", "2026-01-01T12:09:00Z")):
        cluster.tasks.append(a_task(name, "PENDING", start=start))
    waits = (
        "2 pods are pending, since 12:05:06 UTC: no node has room, a queue holds them, or an image, a secret or a "
        f"volume is missing; {PODS} says which\n"
    )
    assert f"{RUN}: RUNNING\n{waits}" in _ask(status, cluster, RUN).output
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    cluster.tasks = [a_task("executor", "PENDING", start=now)]
    assert "pending" not in _ask(status, cluster, RUN).output


def _records(root: str, first: int, last: int) -> None:
    """Let some trials of the study have records."""
    study = Study.from_file(STUDY)
    for trial in range(first, last + 1):
        record = a_record(study, trial, 0.5 / trial)
        storage.create(f"{root}/trials/{trial:06d}/record-1.json", record.to_bytes())


def test_a_run_that_failed_after_its_study_was_complete_says_both(
    cluster: KfpStandIn, images: Path, bucket: str
) -> None:
    """As of two workers of which one was evicted: the other one has evaluated all trials."""
    root = _root(f"{bucket}/both")
    cluster.states = ["FAILED"]
    cluster.tasks = [a_task("init"), a_task("evaluate", "FAILED")]
    cluster.on_run = lambda _: _records(root, 1, 16)
    ended = _submit(cluster, images, "--pipeline-root", f"{bucket}/both", "--wait")
    assert ended.exit_code == 0, ended.output
    assert len(cluster.runs) == 1, "nothing is left to do"
    assert "for an hour after the end; the study is complete all the same\n" in ended.output
    assert f"report out/{RUN}/report.html\n" in ended.output
    shown = _ask(status, cluster, RUN).output
    assert f"\n{RUN}: FAILED\nfailed in iteration 1: evaluate; " in shown
    assert f"; folder {root}\nthe study is complete all the same\n" in shown


def test_a_trial_that_a_job_left_without_a_record_runs_no_more(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    root = _root(f"{bucket}/left")
    cluster.states = ["RUNNING", "RUNNING", "FAILED"]
    assert _submit(cluster, images, "--pipeline-root", f"{bucket}/left").exit_code == 0
    study, (job,) = Study.from_file(STUDY), list_jobs(root)
    folder = StudyFolder(root, study)
    folder.write_suggestions(a_batch(study, [{"x1": 1.0, "x2": 2.0}]))
    claim = Claim(
        study=study.name, fingerprint=study.fingerprint, trial=1, attempt=1, worker="branin-x1-impl-7:1", token="0",
        job=job.job, claimed="2026-01-01T12:00:00+00:00",
    )  # fmt: skip
    storage.create(folder.claim_uri(1, 1), claim.to_bytes())
    running, also = (_ask(status, cluster, RUN, *options).output for options in ([], ["--json"]))
    assert "0 of 16 trials have records, 1 running; " in running
    assert (len(json.loads(also)["running"]), json.loads(also)["left"]) == (1, [])
    shown = _ask(status, cluster, RUN).output
    assert f"0 of 16 trials have records; folder {root}\n" in shown
    assert re.search(r"^branin-x1-impl-7:1  1 .* left without a record; last sign of life \d\d:", shown, re.MULTILINE)


def test_a_study_that_is_waited_for_is_sent_again_while_each_job_brings_trials(
    cluster: KfpStandIn, images: Path, bucket: str, tmp_path: Path
) -> None:
    """It is the one that was sent, whatever has become of its files meanwhile."""
    study = tmp_path / "study.yaml"
    study.write_text(Path(STUDY).read_text())
    root = _root(f"{bucket}/on")

    def run(_: dict[str, Any]) -> None:
        cluster.states = ["FAILED" if len(cluster.runs) < 3 else "SUCCEEDED"]
        _records(root, 5 * len(cluster.runs) - 4, 5 * len(cluster.runs))
        if len(cluster.runs) == 3:
            folder = study_folder(root)
            publish(folder, folder.read().ledger)

    cluster.on_run = run
    ended = _submit(cluster, images, "--pipeline-root", f"{bucket}/on", "--wait", "--retry-failed")
    assert ended.exit_code == 0, ended.output
    assert [each["runtime_config"]["parameters"]["root"] for each in cluster.runs] == [root] * 3
    assert [job.retry_failed for job in list_jobs(root)] == [True, False, False]
    for number in (1, 2):
        assert f"job {run_id(number)}: FAILED: a pod has failed" in ended.output
    assert ended.output.count("; trials that have ended in it: 5; it goes on\n") == 2
    assert f"report out/{run_id(3)}/report.html\n" in ended.output


@pytest.mark.parametrize(("options", "runs"), [([], 4), (["--again", "1"], 2), (["--again", "0"], 1)])
def test_it_is_sent_again_so_often_and_no_more(
    cluster: KfpStandIn, images: Path, bucket: str, options: list[str], runs: int
) -> None:
    root = _root(f"{bucket}/often{runs}")
    cluster.states = ["FAILED"]
    cluster.on_run = lambda _: _records(root, len(cluster.runs), len(cluster.runs))
    ended = _submit(cluster, images, "--pipeline-root", f"{bucket}/often{runs}", "--wait", *options)
    assert (ended.exit_code, len(cluster.runs)) == (1, runs), ended.output
    assert f"Error: job {run_id(runs)}: FAILED: " in ended.output


def test_a_study_that_no_job_can_finish_is_not_sent_again(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    """Neither after a job without a trial, nor after one that a step has ended for a mistake of the study."""
    cluster.states = ["FAILED"]
    assert _submit(cluster, images, "--pipeline-root", f"{bucket}/none", "--wait").exit_code == 1
    assert len(cluster.runs) == 1

    root = _root(f"{bucket}/mistake")

    def run(sent: dict[str, Any]) -> None:
        _records(root, 1, 2)
        end(root, sent["runtime_config"]["parameters"]["job"], "failed", "no module named x", "evaluate")

    cluster.on_run = run
    ended = _submit(cluster, images, "--pipeline-root", f"{bucket}/mistake", "--wait")
    assert (ended.exit_code, len(cluster.runs)) == (1, 2)
    assert f"Error: job {run_id(2)}: FAILED: no module named x; " in ended.output


def test_a_study_that_somebody_stops_is_not_sent_again(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    """The API says of such a run that it has failed, too: in the page of KFP there is no end by a step of ours."""
    cluster.states, cluster.history = ["FAILED"], ["PENDING", "RUNNING", "CANCELING", "FAILED"]
    cluster.tasks = [a_task("init"), a_task("evaluate", "FAILED")]
    cluster.on_run = lambda _: _records(_root(f"{bucket}/ended"), 1, 2)
    ended = _submit(cluster, images, "--pipeline-root", f"{bucket}/ended", "--wait")
    assert (ended.exit_code, len(cluster.runs)) == (1, 1)
    assert f"Error: job {RUN}: CANCELED; `make results " in ended.output


def test_states_that_the_api_has_not_heard_of_are_not_told_as_known(
    cluster: KfpStandIn, images: Path, bucket: str
) -> None:
    """Seen on a control plane of 2.17: Argo packs the nodes of a Workflow above 1 MiB, and the API reads none."""
    root = _root(f"{bucket}/packed")
    _submit(cluster, images, "--pipeline-root", f"{bucket}/packed")
    cluster.states = ["SUCCEEDED"]
    cluster.tasks = [a_task("init"), a_task("evaluate"), a_task("evaluate", "RUNNING")]
    said = _ask(status, cluster, RUN).output
    assert said == (
        "init: SUCCEEDED\niteration 1: evaluate: 1 SUCCEEDED, 1 state not known\n"
        f"{RUN}: SUCCEEDED\n"
        "the workflow of the run was larger than 1 MiB, and KFP's API knows no state of its tasks after that; its page "
        f"has them: {cluster.host}/#/runs/details/{RUN}\n"
        f"0 of 16 trials have records; folder {root}\n"
    )
    cluster.states = ["FAILED"]
    assert "not run: " not in _ask(status, cluster, RUN).output


def test_again_is_for_a_study_that_is_waited_for(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    ended = _submit(cluster, images, "--pipeline-root", bucket, "--again", "2")
    assert ended.exit_code == 2
    assert "--again is for a study that is waited for: give --wait, too" in ended.output


def test_ctrl_c_leaves_the_job(cluster: KfpStandIn, images: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    cluster.states = ["RUNNING"]
    monkeypatch.setattr(remote_jobs, "time", SimpleNamespace(sleep=stop))
    ended = _submit(cluster, images, "--pipeline-root", f"{bucket}/stopping", "--wait")
    assert f"stopped after 0 trials; the job goes on: `make status TARGET=kfp JOB={RUN}`\n" in ended.output
    assert cluster.states == ["RUNNING"]
    (job,) = list_jobs(_root(f"{bucket}/stopping"))
    assert end_of(_root(f"{bucket}/left"), job.job) is None


def _ask(command: Command, cluster: KfpStandIn, *arguments: str) -> Result:
    where = ["--target", "kfp", "--host", cluster.host]
    return CliRunner().invoke(command, [*where, *arguments])


def test_a_run_can_be_looked_at_and_stopped_by_its_id_and_by_ours(
    cluster: KfpStandIn, images: Path, bucket: str
) -> None:
    cluster.states = ["RUNNING"]
    cluster.tasks = [a_task("init"), a_task("evaluate"), a_task("evaluate", "RUNNING")]
    root = _root(f"{bucket}/stopped")
    _finish(root)
    assert _submit(cluster, images, "--pipeline-root", f"{bucket}/stopped").exit_code == 0
    (job,) = list_jobs(root)
    for name in (RUN, job.job):
        assert _ask(status, cluster, name).output == (
            f"init: SUCCEEDED\niteration 1: evaluate: 1 RUNNING, 1 SUCCEEDED\n{name}: RUNNING\n"
            f"2 of 16 trials have records; best value 0.25 in trial 2; folder {root}\n"
        )
    stopped = _ask(cancel, cluster, job.job)
    assert stopped.exit_code == 0, stopped.output
    shown = _ask(status, cluster, RUN)
    assert f"{RUN}: CANCELED\n" in shown.output


def test_after_a_run_was_stopped_the_next_one_goes_on_in_its_folder(
    cluster: KfpStandIn, images: Path, bucket: str
) -> None:
    cluster.states = ["RUNNING"]
    where = ["--pipeline-root", f"{bucket}/again"]
    assert _submit(cluster, images, *where).exit_code == 0
    root = _root(f"{bucket}/again")
    (first,) = list_jobs(root)
    refused = _submit(cluster, images, *where)
    assert refused.exit_code == 1
    assert "Error: " + refused.output.partition("Error: ")[2] == (
        f"Error: {root}: job {first.job} has not ended (kfp, submitted by {first.by} at {first.submitted}), and two "
        f"jobs at once would evaluate the same trials; wait for it, stop it with `make cancel TARGET=kfp JOB={RUN}`, "
        f"or say ENDED={first.job} if it is over\n"
    )
    assert _ask(cancel, cluster, RUN).exit_code == 0
    stopped = end_of(root, first.job)
    assert stopped is not None
    assert stopped.reason == f"{first.by} stopped it"
    assert _submit(cluster, images, *where).exit_code == 0
    assert [run["runtime_config"]["parameters"]["root"] for run in cluster.runs] == [root, root]


def test_a_fresh_submission_gets_a_folder_of_its_own(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    cluster.states = ["RUNNING"]
    for options in ([], ["--fresh"], ["--fresh"]):
        assert _submit(cluster, images, "--pipeline-root", f"{bucket}/fresh", *options).exit_code == 0
    roots = [run["runtime_config"]["parameters"]["root"] for run in cluster.runs]
    assert roots == [_root(f"{bucket}/fresh", run) for run in ("0001", "0002", "0003")]


def test_a_submission_without_the_records_of_earlier_jobs_is_a_fresh_one(
    cluster: KfpStandIn, images: Path, bucket: str, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(Path(STUDY).read_text() + "steps: {evaluate: {cache: false}}\n")
    for _ in range(2):
        assert _submit(cluster, images, "--pipeline-root", f"{bucket}/nocache", study=str(study)).exit_code == 0
    roots = [run["runtime_config"]["parameters"]["root"] for run in cluster.runs]
    assert roots == [_root(f"{bucket}/nocache", run) for run in ("0001", "0002")]


def test_a_changed_study_takes_its_trials_along(cluster: KfpStandIn, images: Path, bucket: str, tmp_path: Path) -> None:
    where = ["--pipeline-root", f"{bucket}/kept"]
    assert _submit(cluster, images, *where).exit_code == 0
    _finish(_root(f"{bucket}/kept"))
    changed = tmp_path / "study.yaml"
    text = Path(STUDY).read_text().replace("high: 10", "high: 9")
    changed.write_text(text)
    refused = _submit(cluster, images, *where, "--keep", study=str(changed))
    assert "the engine 'skopt' knows no trials of other studies; say optimizer: {engine: gp}" in refused.output
    changed.write_text(text.partition("optimizer:")[0])
    assert Study.from_file(changed).fingerprint != Study.from_file(STUDY).fingerprint
    submitted = _submit(cluster, images, *where, "--keep", study=str(changed))
    assert submitted.exit_code == 0, submitted.output
    assert f"begins with 2 trials of {_root(f'{bucket}/kept')}: 2 as its own, 0 as a hint" in submitted.output
    root = cluster.runs[-1]["runtime_config"]["parameters"]["root"]
    assert [each.values["value"] for each in read_earlier(root)] == [0.5, 0.25]


def test_a_study_folder_can_be_given(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    where = ["--pipeline-root", bucket, "--root", f"{bucket}/mine/"]
    assert _submit(cluster, images, *where).exit_code == 0
    assert cluster.runs[0]["runtime_config"]["parameters"]["root"] == f"{bucket}/mine"
    here = _submit(cluster, images, "--pipeline-root", bucket, "--root", "out/branin")
    assert here.exit_code == 2
    assert f"--root: expected {ROOT}, because the steps read and write there, or the path of a volume" in here.output


def test_a_submission_that_is_refused_does_not_keep_the_next_one_out(
    cluster: KfpStandIn, images: Path, bucket: str
) -> None:
    where = ["--pipeline-root", f"{bucket}/refused"]
    cluster.refusal = 400
    assert _submit(cluster, images, *where).exit_code == 1
    cluster.refusal = None
    assert _submit(cluster, images, *where).exit_code == 0


def test_a_submission_that_is_not_answered_may_have_been_made(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    where = ["--pipeline-root", f"{bucket}/silent"]
    cluster.refusal = 503
    ended = _submit(cluster, images, *where)
    (job,) = list_jobs(_root(f"{bucket}/silent"))
    assert ended.exit_code == 1
    assert ended.output.endswith(
        f"; whether it has job {job.job} is not known: look there, and say ENDED={job.job} if it has not\n"
    )
    cluster.refusal = None
    assert _submit(cluster, images, *where).exit_code == 1
    assert _submit(cluster, images, *where, "--ended", job.job).exit_code == 0


def test_the_results_are_those_of_the_study_folder(
    cluster: KfpStandIn, images: Path, bucket: str, tmp_path: Path
) -> None:
    root = f"{bucket}/results"
    _finish(_root(root))
    assert _submit(cluster, images, "--pipeline-root", root).exit_code == 0
    told = json.loads(_ask(results, cluster, RUN, "--out", str(tmp_path / "told"), "--json").stdout)
    assert told.keys() == {"job", "root", "files", "best"}
    assert (told["job"], told["root"], told["best"]["value"]) == (RUN, _root(root), 0.25)
    assert sorted(told["files"]) == sorted(map(str, (tmp_path / "told").iterdir()))
    fetched = _ask(results, cluster, RUN, "--out", str(tmp_path / "out"))
    assert fetched.exit_code == 0, fetched.output
    names = ("best.json", "trials.jsonl", "failures.json", "summary.md")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*names, "report.html"])
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == storage.read(f"{_root(root)}/{name}", limit=100_000)


def test_results_of_a_run_without_a_batch_say_so(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    assert _submit(cluster, images, "--pipeline-root", f"{bucket}/nothing").exit_code == 0
    ended = _ask(results, cluster, RUN)
    assert ended.exit_code == 1
    assert ended.output == (
        f"Error: job {RUN}: no results yet in {_root(f'{bucket}/nothing')}: no trial has ended; "
        f"`make status TARGET=kfp JOB={RUN}`\n"
    )


def test_a_run_of_an_older_version_has_no_study_folder(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    assert _submit(cluster, images, "--pipeline-root", f"{bucket}/old").exit_code == 0
    cluster.runs[0]["runtime_config"]["parameters"] = {"study_uri": f"{bucket}/studies/0123.yaml"}
    ended = _ask(results, cluster, RUN)
    assert ended.exit_code == 1
    assert ended.output == (
        f"Error: job {RUN}: has no study folder, because its pipeline is of version 0.1.0 or not ours; its page shows "
        "what it wrote, and where the study of a step of it is: `root` of the artifact `opened`\n"
    )


@pytest.mark.usefixtures("bucket")
def test_a_run_that_is_not_there_is_said(cluster: KfpStandIn) -> None:
    ended = _ask(status, cluster, "nothing")
    assert ended.exit_code == 1
    assert ended.output == "Error: job nothing: the cluster has no such job; check the id and the host\n"


def test_a_refused_token_is_said(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    cluster.refusal = 401
    ended = _submit(cluster, images, "--pipeline-root", bucket)
    assert ended.exit_code == 1
    assert ended.output.endswith(
        f"Error: {cluster.host}: the cluster refused the token (401 Unauthorized); set KFP_TOKEN to a new one\n"
    )


def test_a_cluster_that_does_not_answer_is_said(cluster: KfpStandIn, images: Path, bucket: str) -> None:
    cluster.stop()
    ended = _submit(cluster, images, "--pipeline-root", bucket)
    assert ended.exit_code == 1
    assert ended.output == (
        f"Error: nothing was submitted:\n  cannot reach {cluster.host}: [Errno 111] Connection refused; "
        "check the network, the proxy (HTTPS_PROXY), and the region or host\n"
    )
    assert "Traceback" not in ended.output


@pytest.mark.parametrize("root", ["hdfs://bucket/root", "b2://bucket/root", "pipelines/root"])
def test_a_pipeline_root_that_the_storage_does_not_speak_is_refused_first(
    cluster: KfpStandIn, images: Path, root: str
) -> None:
    ended = _submit(cluster, images, "--pipeline-root", root)
    assert ended.exit_code == 1
    assert (
        "pipeline_root: expected gs://, s3://, minio:// or az://BUCKET/PREFIX, because the steps read and write there, "
        f"or the path of a volume, but got '{root}'" in ended.output
    )
    assert cluster.runs == []


def test_spot_machines_are_of_vertex(cluster: KfpStandIn, images: Path, bucket: str, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(
        Path("studies/branin.yaml").read_text() + "steps: {evaluate: {machine_type: n1-standard-4, spot: true}}\n"
    )
    ended = _submit(cluster, images, "--pipeline-root", bucket, study=str(study))
    assert ended.exit_code == 1
    assert "  steps.evaluate: machine_type and spot work on Vertex only; give cpu and memory instead\n" in ended.output


# --- the store of the cluster ------------------------------------------------------------------

DEFAULT = "minio://mlpipeline/bayesopt/kubeflow"
FORWARD = (
    "run `kubectl port-forward -n kubeflow service/seaweedfs 9000:9000` and set "
    "BAYESOPT_STORE_ENDPOINT=http://127.0.0.1:9000"
)


@pytest.fixture
def _unreached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a machine that knows no address of the store."""
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    minio.forget()


@pytest.fixture
def store(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Return what makes the store of the cluster reached, as a port-forward and one variable do."""
    fake_s3.empty(s3_server)
    fake_s3.make_bucket(s3_server, "mlpipeline")

    def forward() -> None:
        monkeypatch.setenv("BAYESOPT_STORE_ENDPOINT", s3_server)
        minio.forget()

    yield forward
    minio.forget()


def _init(parameters: dict[str, str], content: str) -> None:
    """Run the step in its pod, which reaches the store, with the inputs of the run."""
    init: Command = importlib.import_module("images.init.main").main
    study = study_uri(parameters["root"], content.encode())
    where = ["--root", parameters["root"], "--study", study, "--job", parameters["job"]]
    ran = CliRunner().invoke(init, [*where, "--content", parameters["study"], "--opening", parameters["opening"]])
    assert ran.exit_code == 0, ran.output


@pytest.mark.usefixtures("_unreached")
def test_without_a_root_a_study_goes_with_its_run_into_the_store_of_the_cluster(
    cluster: KfpStandIn, images: Path, store: Callable[[], None]
) -> None:
    cluster.states = ["RUNNING", "RUNNING", "RUNNING", "SUCCEEDED"]
    cluster.tasks = [a_task("init")]
    sent = _submit(cluster, images)
    assert sent.exit_code == 0, sent.output
    (run,) = cluster.runs
    root, given = _root(DEFAULT), run["runtime_config"]["parameters"]
    assert (given["root"], given["study"]) == (root, Path(STUDY).read_text())
    assert sent.output.partition("\n")[2].startswith(
        f"{DEFAULT}: not reached from here; the study goes with the run, and init checks it"
    )
    assert f"study folder {root}\n" in sent.output

    hint = f"{root}: trials and results are there; {FORWARD}"
    assert _ask(status, cluster, RUN).output == f"init: SUCCEEDED\n{RUN}: RUNNING\n{hint}\n"
    told = json.loads(_ask(status, cluster, RUN, "--json").stdout)
    assert (told["state"], told["done"], told["remarks"]) == ("RUNNING", None, [hint])
    refused = _ask(results, cluster, RUN)
    assert (refused.exit_code, refused.output) == (1, f"Error: {root} is not reached from here: {FORWARD}\n")
    looked = _ask(best, cluster, "--job", RUN)
    assert (looked.exit_code, looked.output) == (1, f"Error: {root} is not reached from here: {FORWARD}\n")

    store()
    _init(given, given["study"])
    assert [(job.job, job.place) for job in list_jobs(root)] == [(given["job"], "kfp")]
    assert f"0 of 16 trials have records; folder {root}\n" in _ask(status, cluster, RUN).output
    folder = study_folder(root)
    records = [
        a_record(folder.study, each.trial, 0.5, parameters=each.parameters) for each in folder.read().pending.values()
    ]
    for record in records:
        folder.write_record(record)
    publish(folder, records)
    assert "best value 0.5" in _ask(results, cluster, RUN, "--out", f"out/{RUN}").output


@pytest.mark.usefixtures("_unreached")
@pytest.mark.parametrize("command", [status, best, logs, watch], ids=lambda each: each.name)
def test_a_study_that_only_the_cluster_reaches_is_told_with_the_way_out(command: Command) -> None:
    ended = CliRunner().invoke(command, [STUDY, "--target", "kfp", "--host", "http://127.0.0.1:1"])
    assert ended.exit_code == 1
    assert ended.output.endswith(f", which this machine has no address of; {FORWARD}\n")


@pytest.mark.usefixtures("_unreached")
def test_a_token_that_expires_while_a_study_is_waited_for_stops_no_job(cluster: KfpStandIn, images: Path) -> None:
    cluster.states = ["RUNNING", "RUNNING"]
    cluster.expires = 2
    ended = _submit(cluster, images, "--wait", "--token", "old")
    assert ended.exit_code == 1
    assert ended.output.endswith(
        f"Error: job {RUN}: the cluster refused the token (401 Unauthorized); set KFP_TOKEN to a new one; the job goes "
        f"on: `make status TARGET=kfp JOB={RUN}`\n"
    )


@pytest.mark.usefixtures("_unreached")
def test_a_job_of_the_cluster_is_known_without_its_store(cluster: KfpStandIn, images: Path) -> None:
    cluster.states = ["RUNNING"]
    assert _submit(cluster, images).exit_code == 0
    first = cluster.runs[0]["runtime_config"]["parameters"]["job"]
    again = _submit(cluster, images)
    assert again.exit_code == 1
    assert again.output.endswith(
        f"Error: {_root(DEFAULT)}: job {first} has not ended; wait for it, or stop it with `make cancel TARGET=kfp "
        f"JOB={first}`\n"
    )
    stopped = _ask(cancel, cluster, RUN)
    assert stopped.exit_code == 0, stopped.output
    assert _submit(cluster, images, "--same-code", "--retry-failed").exit_code == 0
    opening = Opening.from_text(cluster.runs[1]["runtime_config"]["parameters"]["opening"])
    assert (opening.over, opening.place, opening.same_code, opening.retry_failed) == ([first], "kfp", True, True)
    assert opening.images == json.loads(images.read_text())
    assert opening.lease_minutes == 5.0


@pytest.mark.usefixtures("_unreached")
def test_what_cannot_go_with_a_run_is_refused_with_the_way_out(
    cluster: KfpStandIn, images: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    noise = base64.b64encode(random.Random(1).randbytes(9000)).decode()
    long = f"# {noise}\nwarm_start: [table.csv]\nsteps: {{evaluate: {{cache: false}}}}\n"
    study.write_text(Path(STUDY).read_text().partition("optimizer:")[0] + long)
    ended = _submit(cluster, images, "--fresh", "--ended", "job-1", study=str(study))
    assert ended.exit_code == 1
    size, packed = len(study.read_text()), len(json.dumps(text_to_send(study.read_bytes())))
    assert ended.output == (
        f"Error: {DEFAULT} is not reached from here: FRESH=1 needs the study folder; ENDED=JOB needs the study folder; "
        "steps.evaluate.cache: false needs a new study folder each time; warm_start: the trials of other studies are "
        f"written into the study folder; the study file has {size:,} bytes, {packed:,} packed, and a run takes 9,000; "
        f"{FORWARD}\n"
    )
    assert cluster.runs == []


@pytest.mark.usefixtures("_unreached")
def test_all_inputs_of_a_run_together_have_a_limit(cluster: KfpStandIn, images: Path, tmp_path: Path) -> None:
    """A name of an object may be long, too."""
    study = tmp_path / "study.yaml"
    noise = base64.b64encode(random.Random(1).randbytes(6300)).decode()
    study.write_text(f"{Path(STUDY).read_text()}# {noise}\n")
    root = f"minio://mlpipeline/{'x' * 700}"
    ended = _submit(cluster, images, "--root", root, study=str(study))
    assert ended.exit_code == 1, ended.output
    assert re.search(
        r"Error: branin: the run would have 1\d,\d{3} characters of inputs, and a cluster may refuse more than ",
        ended.output,
    )
    assert ended.output.endswith(f"; {FORWARD}\n")


@pytest.mark.usefixtures("_unreached")
def test_a_run_without_reach_is_waited_for_by_its_states_and_sent_again_after_a_lost_pod(
    cluster: KfpStandIn, images: Path
) -> None:
    def run(_: dict[str, Any]) -> None:
        cluster.states = ["RUNNING", "FAILED"] if len(cluster.runs) == 1 else ["SUCCEEDED"]
        cluster.tasks = [a_task("init"), a_task("evaluate", "FAILED" if len(cluster.runs) == 1 else "SUCCEEDED")]

    cluster.on_run = run
    ended = _submit(cluster, images, "--wait")
    assert ended.exit_code == 0, ended.output
    assert len(cluster.runs) == 2
    assert f"job {RUN}: FAILED, iteration 1: evaluate failed: it goes on\n" in ended.output
    assert ended.output.endswith(
        f"the results are in {_root(DEFAULT)}: {FORWARD}, then `make results TARGET=kfp JOB={run_id(2)}`\n"
    )


@pytest.mark.usefixtures("_unreached")
def test_a_mistake_of_the_study_is_not_sent_again(cluster: KfpStandIn, images: Path) -> None:
    """A step that finds one ends well, and so do those after it; the report alone fails."""
    cluster.states = ["FAILED"]
    cluster.tasks = [a_task("init"), a_task("evaluate"), a_task("report", "FAILED")]
    ended = _submit(cluster, images, "--wait")
    assert (ended.exit_code, len(cluster.runs)) == (1, 1)
    assert f"Error: job {RUN}: FAILED: failed in report at the end; KFP's API does not say why: {PODS}" in ended.output
    assert f"; what steps have said is in {_root(DEFAULT)}: {FORWARD}, then `make results" in ended.output


def test_where_the_store_is_reached_all_works_as_with_a_bucket(
    cluster: KfpStandIn, images: Path, store: Callable[[], None]
) -> None:
    store()
    cluster.states = ["RUNNING"]
    sent = _submit(cluster, images)
    assert sent.exit_code == 0, sent.output
    root = _root(DEFAULT)
    assert [job.place for job in list_jobs(root)] == ["kfp"]
    assert cluster.runs[0]["runtime_config"]["parameters"].keys() == {"root", "job"}
    assert "has not ended (kfp, submitted by" in _submit(cluster, images).output


def test_pods_reach_the_store_by_the_endpoint_of_the_cluster_and_its_secret(
    cluster: KfpStandIn, images: Path, store: Callable[[], None]
) -> None:
    store()
    assert _submit(cluster, images).exit_code == 0
    sent = json.dumps(cluster.runs[0]["pipeline_spec"])
    assert '"value": "http://seaweedfs.kubeflow:9000"' in sent
    assert '"secretName": "mlpipeline-minio-artifact"' in sent


@pytest.mark.parametrize(
    ("settings", "root"),
    [
        ({}, DEFAULT),
        ({"namespace": "kubeflow"}, DEFAULT),
        # The policy of a profile's keys (sync.py of the manifests) allows this prefix.
        ({"namespace": "ann"}, "minio://mlpipeline/private-artifacts/ann/bayesopt"),
        ({"namespace": "ann", "pipeline_root": "s3://mine/x"}, "s3://mine/x"),
        ({"pipeline_root": "/studies/tuning"}, "/studies/tuning"),
    ],
)
def test_the_default_root_is_where_the_keys_of_the_namespace_may_write(settings: dict[str, str], root: str) -> None:
    found, problems = KfpSettings.read({"host": "http://127.0.0.1", **settings}, "submit")
    assert (found.pipeline_root, problems) == (root, [])


@pytest.mark.parametrize(
    ("endpoint", "way"),
    [
        ("http://seaweedfs.kubeflow:9000", FORWARD),
        ("http://minio-service.kubeflow:9000", FORWARD.replace("seaweedfs", "minio-service")),
        (
            "https://minio.storage.svc.cluster.local",
            "run `kubectl port-forward -n storage service/minio 9000:443` and set "
            "BAYESOPT_STORE_ENDPOINT=https://127.0.0.1:9000",
        ),
        (
            "https://store.example.com:9000",
            "set BAYESOPT_STORE_ENDPOINT to an address of https://store.example.com:9000 that this machine reaches",
        ),
    ],
)
def test_the_way_to_the_store_follows_from_where_pods_reach_it(endpoint: str, way: str) -> None:
    assert way_to(endpoint) == way


def test_a_study_on_a_volume_goes_with_its_run(cluster: KfpStandIn, images: Path, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(Path(STUDY).read_text() + "steps: {volume: {claim: studies, path: /studies}}\n")
    sent = _submit(cluster, images, "--pipeline-root", "/studies/tuning", study=str(study))
    assert sent.exit_code == 0, sent.output
    root = cluster.runs[0]["runtime_config"]["parameters"]["root"]
    assert root.startswith("/studies/tuning/studies/branin/")
    assert not Path("/studies").exists()
    assert "with `kubectl cp`\n" in _ask(status, cluster, RUN).output
    assert _ask(cancel, cluster, RUN).exit_code == 0
    assert not Path("/studies").exists()


@pytest.mark.parametrize("tag", ["tag_name", "apiServerTagName"])
@pytest.mark.parametrize(
    ("version", "problem"),
    [
        (
            "2.4.1",
            "host: HOST is KFP 2.4, whose driver does not know what our pipelines say of secrets: no pod would start",
        ),
        ("2.5.0", None),
        ("v2.17.3", None),
        ("unknown", None),
    ],
)
def test_a_cluster_that_is_too_old_is_refused_before_anything_is_sent(
    cluster: KfpStandIn, images: Path, bucket: str, version: str, problem: str | None, tag: str
) -> None:
    cluster.version = version
    cluster.tag = tag
    ended = _submit(cluster, images, "--pipeline-root", f"{bucket}/old{version}{tag}")
    assert (ended.exit_code == 0) is (problem is None), ended.output
    if problem is not None:
        assert problem.replace("HOST", cluster.host) in ended.output
        assert cluster.runs == []
