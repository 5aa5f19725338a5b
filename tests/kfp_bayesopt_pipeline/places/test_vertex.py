"""`submit`, `status`, `cancel` and `results` with the real client library against a stand-in for Vertex."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kfp_bayesopt.cli.commands.job_commands import cancel, results, status, submit
from kfp_bayesopt.cli.commands.run_commands import run_kfp
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.jobs import Submitted, id_of, list_jobs, submitted_uri
from kfp_bayesopt.folder.study_folder import study_uri
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places import TARGETS
from tests.builders import a_batch, a_record, study_text, write_folder
from tests.registry import DIGEST
from tests.vertex_stand_in import OF_CLIENTS, VertexStandIn

STUDY = "studies/branin.yaml"

pytestmark = [
    pytest.mark.usefixtures("_root", "_no_settings"),
    *OF_CLIENTS,
]


@pytest.fixture
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what this machine has set."""
    for model in TARGETS.values():
        for setting in model.described().values():
            monkeypatch.delenv(setting.variable, raising=False)


@pytest.fixture
def vertex(tmp_path: Path) -> Iterator[VertexStandIn]:
    stand_in = VertexStandIn(tmp_path / "vertex")
    yield stand_in
    stand_in.stop()


def _settings(vertex: VertexStandIn) -> list[str]:
    return ["--project-id", "my-project", "--region", "europe-west1", "--endpoint", vertex.endpoint]


def _submit(images: Path, *arguments: str) -> Result:
    return CliRunner().invoke(submit, [STUDY, "--images", str(images), "--every", "0.01", *arguments])


def _submitted(vertex: VertexStandIn) -> dict[str, Any]:
    (job,) = vertex.jobs.values()
    return job


def test_a_submission_writes_study_and_job_and_sends_a_job_that_the_api_takes(
    vertex: VertexStandIn, images: Path, bucket: str
) -> None:
    ended = _submit(
        images, *_settings(vertex), "--pipeline-root", f"{bucket}/runs", "--label", "team=ml",
        "--service-account", "steps@my-project.iam.gserviceaccount.com", "--network", "projects/1/global/networks/n",
        "--encryption-key", "projects/p/locations/r/keyRings/k/cryptoKeys/c",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    sent = _submitted(vertex)
    (job_id,) = vertex.jobs
    study = Study.from_file(STUDY)
    root = f"{bucket}/runs/studies/branin/{study.fingerprint}/0001"
    assert sent["runtimeConfig"]["parameterValues"] == {"root": root, "job": job_id}
    assert sent["runtimeConfig"]["gcsOutputDirectory"] == f"{bucket}/runs"
    content = Path(STUDY).read_bytes()
    assert storage.read(study_uri(root, content), 10**6) == content
    (job,) = list_jobs(root)
    assert (job.job, job.place, job.study_file) == (job_id, "vertex", study_uri("", content)[1:])
    assert job.code == f"image:{DIGEST}"
    assert id_of(root, job_id) == job_id
    page = read_document(Submitted, submitted_uri(root, job_id)).page
    spec = sent["pipelineSpec"]
    groups = [spec["root"], *spec["components"].values()]
    tasks = [task for group in groups for task in group.get("dag", {}).get("tasks", {}).values()]
    assert tasks
    assert [task for task in tasks if task.get("cachingOptions", {}).get("enableCache")] == []
    assert sent["displayName"] == "branin"
    assert sent["labels"] == {"study": "branin", "fingerprint": study.fingerprint, "team": "ml"} | {
        key: value for key, value in sent["labels"].items() if key.startswith("vertex-ai")
    }
    assert sent["serviceAccount"] == "steps@my-project.iam.gserviceaccount.com"
    assert sent["network"] == "projects/1/global/networks/n"
    assert sent["encryptionSpec"] == {"kmsKeyName": "projects/p/locations/r/keyRings/k/cryptoKeys/c"}
    assert ended.stdout == f"job {job_id}\n{page}\nstudy folder {root}\n"
    assert ended.stderr == "plan: how long a trial takes is not known; `make plan TRIAL_MINUTES=5` tells more\n"
    assert "console.cloud.google.com/vertex-ai/locations/europe-west1/pipelines/runs/" in page


def test_a_submission_with_data_has_a_folder_of_its_own_and_a_job_that_says_them(
    vertex: VertexStandIn, images: Path, bucket: str, tmp_path: Path
) -> None:
    storage.create(f"{bucket}/tables/48/a.csv", b"1")
    given = [*_settings(vertex), "--pipeline-root", f"{bucket}/runs", "--data"]
    assert (
        f"data: {tmp_path}: a machine of vertex sees no files of this machine"
        in _submit(images, *given, str(tmp_path)).output
    )
    assert "nothing is there" in _submit(images, *given, f"{bucket}/tables/49").output
    assert not vertex.jobs
    ended = _submit(images, *given, f"{bucket}/tables/48")
    assert ended.exit_code == 0, ended.output
    root = _submitted(vertex)["runtimeConfig"]["parameterValues"]["root"]
    (job,) = list_jobs(root)
    assert job.data is not None
    assert job.data.given == f"{bucket}/tables/48"
    home = f"{bucket}/runs/studies/branin/{Study.from_file(STUDY).fingerprint}"
    assert root == f"{home}-{job.data.digest[:12]}/0001"


def test_custom_jobs_get_the_account_the_network_the_key_and_the_labels(
    vertex: VertexStandIn, images: Path, bucket: str, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    text = Path(STUDY).read_text().replace("name: branin", "name: spot")  # others compile `branin` at the same time
    study.write_text(text + "steps: {evaluate: {machine_type: n1-standard-4, spot: true}}\n")
    ended = CliRunner().invoke(
        submit,
        [
            str(study), "--images", str(images), *_settings(vertex), "--pipeline-root", f"{bucket}/runs",
            "--label", "team=ml", "--service-account", "steps@my-project.iam.gserviceaccount.com",
            "--network", "projects/1/global/networks/n",
            "--encryption-key", "projects/p/locations/r/keyRings/k/cryptoKeys/c",
        ],
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    given = _submitted(vertex)["runtimeConfig"]["parameterValues"]
    assert given["service_account"] == "steps@my-project.iam.gserviceaccount.com"
    assert given["network"] == "projects/1/global/networks/n"
    assert given["encryption_spec_key_name"] == "projects/p/locations/r/keyRings/k/cryptoKeys/c"
    assert given["labels"] == {"study": "spot", "fingerprint": Study.from_file(study).fingerprint, "team": "ml"}


def test_before_it_submits_it_says_hours_and_money_and_the_job_keeps_the_prices(
    vertex: VertexStandIn, images: Path, bucket: str, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    text = re.sub(r"optimizer: .*", "optimizer: {engine: gp}", Path(STUDY).read_text())
    text = text.replace("name: branin", "name: priced")
    study.write_text(text + "steps: {evaluate: {machine_type: n1-standard-4, spot: true}}\nstop: {max_cost: 5}\n")
    loaded = Study.from_file(study)
    root = f"{bucket}/runs/studies/priced/{loaded.fingerprint}/0001"
    batch = a_batch(loaded, [{"x1": 1.0, "x2": 2.0}] * 4)
    records = [a_record(loaded, trial, 0.5, seconds=600.0) for trial in range(1, 5)]
    write_folder(root, loaded, batch, records)
    settings = [*_settings(vertex), "--pipeline-root", f"{bucket}/runs"]
    ended = CliRunner().invoke(submit, [str(study), "--images", str(images), *settings])
    assert ended.exit_code == 0, ended.output
    first, second = ended.stderr.splitlines()
    hours = r"[\d.]+ to [\d.]+ (?:min|h)"
    price = r"[\d.]+( to [\d.]+)? USD by prices\.yaml of \d{4}-\d\d-\d\d"
    assert re.fullmatch(rf"plan: {hours}, {price} \(by 4 trials in {re.escape(root)}\)", first)
    assert re.fullmatch(rf"      with schedule: asynchronous {hours}; `make plan` tells more", second)
    (job,) = list_jobs(root)
    assert job.rate is not None
    assert job.rate.hour == pytest.approx(0.4 * 0.218)
    assert (job.rate.start_seconds, job.rate.currency) == (150, "USD")


def test_a_study_that_is_to_end_by_its_cost_needs_a_price(
    vertex: VertexStandIn, images: Path, bucket: str, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(
        Path(STUDY).read_text() + "steps: {evaluate: {machine_type: n9-standard-4}}\nstop: {max_cost: 5}\n"
    )
    root = ["--pipeline-root", f"{bucket}/runs"]
    ended = CliRunner().invoke(submit, [str(study), "--images", str(images), *_settings(vertex), *root])
    assert ended.exit_code == 1
    assert ended.stderr.endswith(
        "Error: stop.max_cost: prices.yaml: machines has no price of n9-standard-4; "
        "add it in a prices.yaml of your repository\n"
    )
    assert vertex.jobs == {}


def test_what_vertex_would_not_take_is_said_before_anything_is_sent(
    vertex: VertexStandIn, images: Path, bucket: str, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    text = Path(STUDY).read_text().replace("parallel_trials: 4", "parallel_trials: 61")
    study.write_text(text + "steps: {evaluate: {memory: 8Gi}}\n")
    root = ["--pipeline-root", f"{bucket}/runs"]
    ended = CliRunner().invoke(submit, [str(study), "--images", str(images), *_settings(vertex), *root])
    assert ended.exit_code == 1
    assert ended.output == (
        "Error: nothing was submitted:\n"
        "  steps.evaluate.memory: Vertex takes K, M and G only, but got '8Gi'; 8.6G is as much\n"
        "  parallel_trials: 61 jobs would be asked for at once, and Vertex takes 60 a minute in a region; set "
        "max_parallel: 60, or VERTEX_JOBS_A_MINUTE where your quota is higher\n"
    )
    assert vertex.jobs == {}


@pytest.fixture
def _no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.mark.usefixtures("_no_credentials")
def test_everything_that_is_missing_is_said_in_one_message(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(Path(STUDY).read_text().replace("iterations: 4", "iterations: 0"))
    ended = CliRunner().invoke(submit, [str(study), "--images", "nowhere.json", "--pipeline-root", "bucket/root"])
    assert ended.exit_code == 1
    assert ended.output == (
        "Error: nothing was submitted:\n"
        "  pipeline_root: expected gs://BUCKET/PREFIX, because Vertex reads and writes gs:// paths, "
        "but got 'bucket/root'\n"
        "  project_id is missing; give GOOGLE_CLOUD_PROJECT=, or set it in the environment or .env, "
        "or project_id in vertex_config.json\n"
        "  region is missing; give GOOGLE_CLOUD_REGION=, or set it in the environment or .env, "
        "or region in vertex_config.json\n"
        f"  {study}: iterations: must be greater than or equal to 1, but got 0\n"
        "  nowhere.json: file not found; it names the image of each step, and `make build` or `make push` writes it\n"
        "  no Google Cloud credentials found: Your default credentials were not found. To set up Application Default "
        "Credentials, see https://cloud.google.com/docs/authentication/external/set-up-adc for more information; "
        "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS\n"
    )


def test_the_seeds_configuration_file_is_taken_as_it_is(
    vertex: VertexStandIn, images: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "vertex_config.json"
    config.write_text(
        json.dumps(
            {
                "project_id": "seed-project",
                "region": "europe-west1",
                "credentials_path": "",
                "pipeline_root": f"{bucket}/seed",
                "service_account": "seed@seed-project.iam.gserviceaccount.com",
                "experiment_name": "",
            }
        )
    )
    monkeypatch.setenv("GOOGLE_CLOUD_REGION", "us-east1")
    ended = _submit(images, "--config", str(config), "--endpoint", vertex.endpoint)
    assert ended.exit_code == 0, ended.output
    assert _submitted(vertex)["name"].startswith("projects/seed-project/locations/us-east1/")


def test_an_unknown_key_of_the_configuration_is_named(images: Path, tmp_path: Path) -> None:
    config = tmp_path / "vertex_config.json"
    config.write_text('{"projekt": "x"}')
    ended = _submit(images, "--config", str(config))
    assert ended.exit_code == 1
    assert f"  {config}: unknown key 'projekt'; did you mean 'project_id'?\n" in ended.output


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((401, "UNAUTHENTICATED", "bad token"), "the credentials were refused ("),
        ((403, "PERMISSION_DENIED", "no right"), "permission denied (no right); grant roles/aiplatform.user"),
        ((429, "RESOURCE_EXHAUSTED", "quota of jobs"), "a quota is used up (quota of jobs); wait, lower max_parallel"),
        ((400, "INVALID_ARGUMENT", "bad spec"), "refused: bad spec"),
    ],
)
def test_a_refusal_of_the_api_ends_with_one_message(
    vertex: VertexStandIn, images: Path, bucket: str, refusal: tuple[int, str, str], message: str
) -> None:
    vertex.refusal = refusal
    ended = _submit(images, *_settings(vertex), "--pipeline-root", bucket)
    assert ended.exit_code == 1
    assert f"Error: submitting branin: {message}" in ended.output
    assert "Traceback" not in ended.output


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (
            "PIPELINE_STATE_FAILED",
            ": FAILED: The DAG failed because some tasks failed: [update].; `make results TARGET=vertex JOB=",
        ),
        ("PIPELINE_STATE_CANCELLED", ": CANCELLED; `make results TARGET=vertex JOB="),
    ],
)
def test_waiting_for_a_job_that_does_not_succeed_ends_with_its_reason(
    vertex: VertexStandIn, images: Path, bucket: str, outcome: str, message: str
) -> None:
    vertex.outcome = outcome
    ended = _submit(images, *_settings(vertex), "--pipeline-root", bucket, "--wait")
    assert ended.exit_code == 1
    assert message in ended.output


def test_a_job_can_be_looked_at_and_stopped(vertex: VertexStandIn, images: Path, bucket: str) -> None:
    vertex.outcome = "PIPELINE_STATE_RUNNING"
    assert _submit(images, *_settings(vertex), "--pipeline-root", bucket).exit_code == 0
    (job,) = vertex.jobs
    root = _submitted(vertex)["runtimeConfig"]["parameterValues"]["root"]
    shown = CliRunner().invoke(status, [job, *_settings(vertex)])
    assert shown.output == f"{job}: RUNNING\n0 of 16 trials have records; folder {root}\n"
    stopped = CliRunner().invoke(cancel, [job, *_settings(vertex)])
    assert stopped.exit_code == 0, stopped.output
    assert vertex.jobs[job]["state"] == "PIPELINE_STATE_CANCELLED"


def test_a_job_that_is_not_there_is_said(vertex: VertexStandIn) -> None:
    ended = CliRunner().invoke(status, ["nothing", *_settings(vertex)])
    assert ended.exit_code == 1
    assert ended.output == "Error: job nothing: not found (no such job); check the id, the project and the region\n"


def test_results_of_a_job_without_a_batch_say_so(vertex: VertexStandIn, images: Path, bucket: str) -> None:
    assert _submit(images, *_settings(vertex), "--pipeline-root", bucket).exit_code == 0
    (job,) = vertex.jobs
    root = _submitted(vertex)["runtimeConfig"]["parameterValues"]["root"]
    ended = CliRunner().invoke(results, [job, *_settings(vertex)])
    assert ended.exit_code == 1
    assert ended.output == (
        f"Error: job {job}: no results yet in {root}: no trial has ended; `make status TARGET=vertex JOB={job}`\n"
    )


@pytest.mark.parametrize("label", ["Team=ml", "team", "team=Ml", "=x"])
def test_a_label_that_the_api_refuses_is_a_usage_error(images: Path, label: str) -> None:
    ended = _submit(images, "--label", label)
    assert ended.exit_code == 2
    assert "expected KEY=VALUE with lower case letters, digits, _ and - (at most 63 each), but got" in ended.output


def test_an_api_that_does_not_answer_is_said(vertex: VertexStandIn, images: Path, bucket: str) -> None:
    vertex.stop()
    ended = _submit(images, *_settings(vertex), "--pipeline-root", bucket)
    assert ended.exit_code == 1
    assert f"\n  cannot reach {vertex.endpoint}: [Errno 111] Connection refused; check the network" in ended.output
    assert "Traceback" not in ended.output


def test_make_hands_its_variables_to_the_command(tmp_path: Path) -> None:
    """`make` runs the command of the environment that runs the tests; nothing is set up for it."""
    python = f"BAYESOPT={sys.executable} -m pipeline"
    make = ["make", "--silent", "-o", ".venv-cloud/installed", "submit", python, "STUDY=studies/branin.yaml"]
    ended = subprocess.run(
        [
            *make,
            f"IMAGES={tmp_path}/images.json",
            "TARGET=kfp",
            "HOST=nowhere",
            "WAIT=1",
            "FLAGS=--run-name first",
            "CODE=same",
            "RETRY_FAILED=1",
            "FRESH=1",
            "ENDED=job-1",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "pipeline_root" not in ended.stderr, "a cluster has a store of its own"
    assert "host: expected an address, such as https://kfp.example.com, but got 'nowhere'" in ended.stderr
    assert f"{tmp_path}/images.json: file not found; it names the image of each step" in ended.stderr


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("--project-id", "My_Project", "a project id, such as my-project-123"),
        ("--region", "europe", "a region, such as europe-west1"),
        ("--service-account", "steps", "an e-mail address, such as steps@my-project.iam.gserviceaccount.com"),
        ("--experiment-name", "My experiment", "lower case letters, digits and hyphens, at most 128"),
        ("--network", "default", "projects/NUMBER/global/networks/NAME"),
        ("--encryption-key", "key", "projects/P/locations/R/keyRings/K/cryptoKeys/NAME"),
        ("--pipeline-root", "s3://bucket/root", "gs://BUCKET/PREFIX, because Vertex reads and writes gs:// paths"),
    ],
)
def test_a_malformed_setting_is_told_with_its_rule(
    vertex: VertexStandIn, images: Path, bucket: str, option: str, value: str, rule: str
) -> None:
    ended = _submit(images, *_settings(vertex), "--pipeline-root", bucket, option, value)
    assert ended.exit_code == 1
    name = option.removeprefix("--").replace("-", "_")
    assert ended.output == f"Error: nothing was submitted:\n  {name}: expected {rule}, but got {value!r}\n"
    assert vertex.jobs == {}


def test_a_job_is_followed_over_a_fault_of_the_service(vertex: VertexStandIn, images: Path, bucket: str) -> None:
    vertex.hiccups = 1  # the client asks again after a second
    ended = _submit(images, *_settings(vertex), "--pipeline-root", bucket, "--wait")
    (job,) = vertex.jobs
    assert f"{job}: SUCCEEDED" in ended.output
    assert vertex.hiccups == 0


def test_a_study_with_spot_machines_is_not_run_here(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(Path(STUDY).read_text() + "steps: {evaluate: {machine_type: n1-standard-4}}\n")
    ended = CliRunner().invoke(run_kfp, [str(study), "--compiled", "nowhere.yaml", "--out", str(tmp_path / "out")])
    assert ended.exit_code == 1
    assert ended.output == (
        f"Error: {study}: steps.evaluate.machine_type is 'n1-standard-4', but machine types and spot machines work on "
        "Vertex only; give cpu and memory instead, or run the study with `make submit`\n"
    )


def test_a_job_is_added_to_an_experiment_which_is_made_where_it_is_not_there(
    vertex: VertexStandIn, images: Path, bucket: str
) -> None:
    vertex.outcome = "PIPELINE_STATE_RUNNING"
    ended = _submit(images, *_settings(vertex), "--pipeline-root", bucket, "--experiment-name", "tuning")
    assert ended.exit_code == 0, ended.output
    assert vertex.contexts.children("tuning") == list(vertex.jobs)


def test_a_job_that_cannot_be_added_to_its_experiment_is_told_with_the_job(
    vertex: VertexStandIn, images: Path, bucket: str
) -> None:
    vertex.outcome, vertex.contexts.closed = "PIPELINE_STATE_RUNNING", True
    ended = _submit(images, *_settings(vertex), "--pipeline-root", bucket, "--experiment-name", "tuning")
    assert ended.exit_code == 1
    (job,) = vertex.jobs
    assert ended.output.partition("\n")[2] == (
        f"Error: job {job} was submitted, but could not be added to the experiment tuning: no right; add it by hand, "
        f"and follow it with `make status TARGET=vertex JOB={job}`\n"
    )


def test_what_is_to_be_in_experiments_and_the_registry_reaches_the_pipeline(
    vertex: VertexStandIn, images: Path, bucket: str
) -> None:
    vertex.outcome = "PIPELINE_STATE_RUNNING"
    asked = ["--trials-experiment", "branin-trials", "--register", "branin=europe-docker.pkg.dev/p/r/serving:1"]
    ended = _submit(images, *_settings(vertex), "--pipeline-root", bucket, *asked)
    assert ended.exit_code == 0, ended.output
    given = _submitted(vertex)["runtimeConfig"]["parameterValues"]
    assert (given["experiment"], given["register"]) == ("branin-trials", "branin=europe-docker.pkg.dev/p/r/serving:1")
    assert vertex.contexts.known == {}, "the job is a run of nothing"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--trials-experiment", "Mine", "trials_experiment: expected 4 to 64 lower case letters, digits and hyphens"),
        ("--register", "My Model", "register: expected NAME or NAME=IMAGE: the id of a model"),
    ],
)
def test_a_name_that_vertex_does_not_take_is_refused_before_anything_is_sent(
    option: str, value: str, message: str, vertex: VertexStandIn, images: Path, bucket: str
) -> None:
    ended = _submit(images, *_settings(vertex), "--pipeline-root", bucket, option, value)
    assert ended.exit_code == 1
    assert message in ended.output
    assert f"but got '{value}'" in ended.output
    assert vertex.jobs == {}


def test_a_study_of_several_objectives_has_no_model_to_register(
    vertex: VertexStandIn, images: Path, bucket: str, tmp_path: Path
) -> None:
    both = {"accuracy": "maximize", "latency": "minimize"}
    study = tmp_path / "study.yaml"
    objective = {"command": ["echo", "{x1}", "{x2}"]}
    study.write_bytes(study_text(objective=objective, optimizer={"engine": "gp"}, objectives=both))
    arguments = [str(study), "--images", str(images), *_settings(vertex), "--pipeline-root", bucket]
    ended = CliRunner().invoke(submit, [*arguments, "--register", "digits"])
    assert ended.exit_code == 1
    assert "register: a study of several objectives has no best trial whose model could be registered" in ended.output
    assert vertex.jobs == {}
