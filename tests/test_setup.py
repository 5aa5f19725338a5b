"""The set-up of a project, with a stand-in for gcloud that notes how it is called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kfp_bayesopt.steps import STEPS
from tests import ROOT, needed
from tests.builders import study_text

RECORD = """\
#!{python}
import json, sys
with open({log!r}, "a") as log:
    print(json.dumps(sys.argv[1:]), file=log)
if sys.argv[1:3] == ["config", "get"]:
    print("someone@example.com")
"""


# With the commands of the environment that runs the tests; nothing is set up.
MAKE = ("make", "-C", str(ROOT), "-o", ".venv-cloud/installed", f"BAYESOPT={sys.executable} -m pipeline")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    gcloud = tmp_path / "bin" / "gcloud"
    gcloud.write_text(RECORD.format(python=sys.executable, log=str(tmp_path / "log")))
    gcloud.chmod(0o755)
    return tmp_path


def _told(folder: Path, *command: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """Run a command with the stand-in in the place of gcloud; return how that was called."""
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    log = folder / "log"
    return ended, [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def _set_up(folder: Path) -> list[list[str]]:
    ended, told = _told(folder, "bash", str(ROOT / "docs" / "vertex-setup.sh"), "my-project", "europe-west1")
    assert ended.returncode == 0, ended.stderr
    return told


def _grants(told: list[list[str]]) -> set[tuple[str, str, str]]:
    """Return on what, to whom and which role."""
    return {
        (words[1], words[words.index("--member") + 1].split("@")[0], words[words.index("--role") + 1])
        for words in told
        if "--role" in words
    }


def test_the_accounts_get_the_least_rights_that_do(folder: Path) -> None:
    steps, builder, studies = (f"serviceAccount:bayesopt-{name}" for name in ("steps", "builder", "studies"))
    told = _set_up(folder)
    assert _grants(told) == {
        ("buckets", steps, "roles/storage.objectUser"),
        ("repositories", steps, "roles/artifactregistry.reader"),
        ("add-iam-policy-binding", steps, "roles/aiplatform.user"),
        ("buckets", builder, "roles/storage.objectUser"),
        ("repositories", builder, "roles/artifactregistry.writer"),
        ("add-iam-policy-binding", builder, "roles/logging.logWriter"),
        ("buckets", studies, "roles/storage.objectViewer"),
        ("repositories", studies, "roles/artifactregistry.reader"),
        ("repositories", studies, "roles/artifactregistry.writer"),
        ("add-iam-policy-binding", studies, "roles/logging.logWriter"),
        ("service-accounts", "user:someone", "roles/iam.serviceAccountUser"),
        ("service-accounts", steps, "roles/iam.serviceAccountUser"),  # to run custom jobs as itself
    }
    written = {
        words[3]
        for words in told
        if "roles/artifactregistry.writer" in words and f"{studies}@my-project.iam.gserviceaccount.com" in words
    }
    assert written == {"bayesopt-studies"}, "and not the repository of our images"


def test_the_settings_of_a_submission_are_left_behind(folder: Path) -> None:
    (folder / ".env").write_text("EXPERIMENT_NAME=mine\n")
    _set_up(folder)
    assert (folder / ".env").read_text() == (
        "EXPERIMENT_NAME=mine\n"
        "GOOGLE_CLOUD_PROJECT=my-project\n"
        "GOOGLE_CLOUD_REGION=europe-west1\n"
        "PIPELINE_ROOT=gs://my-project-bayesopt/runs\n"
        "SERVICE_ACCOUNT=bayesopt-steps@my-project.iam.gserviceaccount.com\n"
        "REGISTRY=europe-west1-docker.pkg.dev/my-project/bayesopt\n"
    )


def test_what_it_leaves_behind_is_all_that_building_pushing_and_submitting_need(folder: Path) -> None:
    _set_up(folder)
    docker = folder / "bin" / "docker"
    docker.write_text(RECORD.format(python=sys.executable, log=str(folder / "docker")))
    docker.chmod(0o755)
    bayesopt = str(Path(sys.executable).with_name("bayesopt"))
    ready, _ = _told(folder, bayesopt, "ready", "push", "submit")
    assert ready.returncode == 0, ready.stderr
    built, _ = _told(folder, bayesopt, "build", "--tag", "1.0")
    assert built.returncode == 0, built.stderr
    commands = [json.loads(line) for line in (folder / "docker").read_text().splitlines()]
    assert {words[words.index("--tag") + 1] for words in commands} == {
        f"europe-west1-docker.pkg.dev/my-project/bayesopt/{step}:1.0" for step in STEPS
    }


def test_without_project_and_region_there_is_the_usage_alone(folder: Path) -> None:
    ended, told = _told(folder, "bash", str(ROOT / "docs" / "vertex-setup.sh"), "my-project")
    assert ended.returncode != 0
    assert "usage: bash docs/vertex-setup.sh PROJECT REGION [BUCKET]" in ended.stderr
    assert told == []


def _build(folder: Path, *variables: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    return _told(folder, *MAKE, "build-cloud", "TAG=0123abc", *variables)


def test_a_build_is_submitted_with_substitutions_that_the_file_has_and_its_digests_are_fetched(folder: Path) -> None:
    from tests.test_cloudbuild import BUILD

    ended, told = _build(
        folder, "GOOGLE_CLOUD_PROJECT=my-project", "GOOGLE_CLOUD_REGION=europe-west1", f"IMAGES={folder}/images.json"
    )
    assert ended.returncode == 0, ended.stderr
    submit, copy = told
    given = dict(pair.split("=", 1) for pair in submit[submit.index("--substitutions") + 1].split(","))
    assert set(given) <= set(BUILD["substitutions"])
    assert copy[-2:] == [f"{given['_DIGESTS']}/{given['_TAG']}/images.json", f"{folder}/images.json"]


def test_the_image_of_a_study_is_built_by_an_account_of_its_own(folder: Path) -> None:
    study = folder / "mine"
    study.mkdir()
    (study / "study.yaml").write_bytes(study_text(objective={"python": "mine:f"}))
    (study / "mine.py").touch()
    names = {step: f"r.example/bayesopt/{step}@sha256:{'0' * 64}" for step in STEPS}
    (folder / "images.json").write_text(json.dumps(names))
    ended, told = _told(
        folder,
        *(*MAKE, "build-study-cloud", f"STUDY={study}", f"IMAGES={folder}/images.json"),
        "PYTHON_IMAGE=python:3.13-slim",
        *("GOOGLE_CLOUD_PROJECT=my-project", "GOOGLE_CLOUD_REGION=europe-west1"),
    )
    assert ended.returncode == 0, ended.stderr
    (submit,) = told
    account = "projects/my-project/serviceAccounts/bayesopt-studies@my-project.iam.gserviceaccount.com"
    assert submit[submit.index("--service-account") + 1] == account
    assert "europe-west1-docker.pkg.dev/my-project/bayesopt-studies/study-branin:" in ended.stdout


def test_a_build_without_a_project_is_refused_with_the_usage(folder: Path) -> None:
    ended, told = _build(folder, "GOOGLE_CLOUD_PROJECT=", "GOOGLE_CLOUD_REGION=europe-west1")
    assert ended.returncode == 2
    assert "usage: make build-cloud GOOGLE_CLOUD_PROJECT=id GOOGLE_CLOUD_REGION=region" in ended.stderr
    assert told == []


def test_a_push_without_a_registry_is_refused_with_the_way_out(folder: Path) -> None:
    ended, _ = _told(folder, *MAKE, "push/init", "REGISTRY=", "GOOGLE_CLOUD_PROJECT=", "GOOGLE_CLOUD_REGION=")
    assert ended.returncode == 2
    assert "Error: no registry to push to: give REGISTRY=HOST/PROJECT/REPOSITORY, or set REGISTRY in " in ended.stderr


@pytest.mark.long
def test_gcloud_knows_every_command_and_option(folder: Path) -> None:
    """Without an account it gets as far as to say so, after it has read the command line."""
    gcloud = needed.program("gcloud")
    told = _set_up(folder)
    told += _build(folder, "GOOGLE_CLOUD_PROJECT=my-project", "GOOGLE_CLOUD_REGION=europe-west1", "IMAGES=x")[1][-2:]
    environment = {**os.environ, "CLOUDSDK_CONFIG": str(folder / "empty"), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    for words in told:
        if words[0] != "config":
            ended = subprocess.run(
                [gcloud, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
            )
            assert "You do not currently have an active account selected" in ended.stderr, (words, ended.stderr)
