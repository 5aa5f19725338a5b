"""docs/vertex-setup.sh against a stand-in for gcloud: what it makes, and that it can be run again wherever it broke.

The stand-in knows what there is: `describe` of what is not there and `create` of what is there fail, as they do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import ROOT

SCRIPT = ROOT / "docs" / "vertex-setup.sh"
GCLOUD = r"""#!/bin/sh
# $STATE: a file for each thing that there is; `commands`: what was done; $FAIL_AT: which command fails, from 1.
echo x >>"$STATE/.count"
[ "$(wc -l <"$STATE/.count")" != "$FAIL_AT" ] || { echo "ERROR: (gcloud) no answer" >&2; exit 1; }
case "$*" in
"config get account") echo ana@example.com; exit ;;
"projects describe "*) echo 1234; exit ;;
*" list "*) [ -e "$STATE/budget" ] && cat "$STATE/budget"; exit 0 ;;
*" describe "*) verb=describe ;;
*" create "*) verb=create ;;
*) verb= ;;
esac
case "$*" in
"storage buckets"*) thing="bucket $(echo "$4" | tr / _)" ;;
"artifacts repositories"*) thing="repository $4" ;;
"iam service-accounts"*) thing="account ${4%%@*}" ;;
"billing budgets"*) thing=budget ;;
esac
case "$verb" in
describe) [ -e "$STATE/$thing" ]; exit ;;
create)
  [ ! -e "$STATE/$thing" ] || { echo "ERROR: (gcloud) $thing already exists" >&2; exit 1; }
  echo 1 >"$STATE/$thing" ;;
esac
echo "$*" >>"$STATE/commands"
"""
KEY = "projects/p/locations/europe-west1/keyRings/k/cryptoKeys/c"
ALL = [
    "--kms-key", KEY, "--lifecycle", "--budget", "100", "--billing-account", "0A", "--perimeter", "inner",
    "--access-policy", "77",
]  # fmt: skip


class Project:
    """A project of the stand-in, and a folder in which the script runs."""

    def __init__(self, folder: Path) -> None:
        self.state, self.folder = folder / "state", folder / "here"
        (folder / "bin").mkdir(parents=True)
        self.state.mkdir()
        self.folder.mkdir()
        self._path = f"{folder / 'bin'}:{os.environ['PATH']}"
        (folder / "bin" / "gcloud").write_text(GCLOUD)
        (folder / "bin" / "gcloud").chmod(0o755)

    def set_up(self, *options: str, fail_at: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the script; one command of gcloud may fail."""
        (self.state / ".count").unlink(missing_ok=True)
        environment = {"PATH": self._path, "STATE": str(self.state), "FAIL_AT": str(fail_at), "HOME": str(self.folder)}
        command = ["bash", str(SCRIPT), *(options or ("my-project", "europe-west1"))]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120)

    @property
    def count(self) -> int:
        """How many commands of gcloud the last run had."""
        return len((self.state / ".count").read_text().splitlines())

    @property
    def made(self) -> tuple[set[str], set[str], set[str]]:
        """What there is, which different changes were made, and the settings."""
        things = {path.name for path in self.state.iterdir() if path.name not in (".count", "commands")}
        commands = set((self.state / "commands").read_text().splitlines())
        return things, commands, set((self.folder / ".env").read_text().splitlines())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_it_makes_what_a_study_needs_and_writes_the_settings(project: Project) -> None:
    ended = project.set_up()
    assert ended.returncode == 0, ended.stderr
    things, commands, settings = project.made
    assert things == {
        "bucket gs:__my-project-bayesopt", "repository bayesopt", "repository bayesopt-studies",
        "account bayesopt-steps", "account bayesopt-builder", "account bayesopt-studies",
    }  # fmt: skip
    assert settings == {
        "GOOGLE_CLOUD_PROJECT=my-project", "GOOGLE_CLOUD_REGION=europe-west1",
        "PIPELINE_ROOT=gs://my-project-bayesopt/runs",
        "SERVICE_ACCOUNT=bayesopt-steps@my-project.iam.gserviceaccount.com",
        "REGISTRY=europe-west1-docker.pkg.dev/my-project/bayesopt",
    }  # fmt: skip
    assert not any(word in " ".join(commands) for word in ("kms", "budgets", "perimeters", "lifecycle"))
    roles = {command.partition("--role ")[2].split()[0] for command in commands if "--role" in command}
    assert roles == {
        "roles/storage.objectUser", "roles/storage.objectViewer", "roles/artifactregistry.reader",
        "roles/artifactregistry.writer", "roles/aiplatform.user", "roles/logging.logWriter",
        "roles/iam.serviceAccountUser",
    }  # fmt: skip


def test_key_lifecycle_budget_and_perimeter_are_a_flag_each(project: Project) -> None:
    ended = project.set_up("my-project", "europe-west1", "other-bucket", *ALL)
    assert ended.returncode == 0, ended.stderr
    things, commands, settings = project.made
    assert {"bucket gs:__other-bucket", "budget"} <= things
    assert f"VERTEX_ENCRYPTION_KEY={KEY}" in settings
    said = "\n".join(commands)
    assert said.count(f"kms keys add-iam-policy-binding {KEY}") == 4
    assert f"--default-encryption-key {KEY}" in said
    assert said.count(f"--kms-key {KEY}") == 2
    assert "--budget-amount 100" in said
    assert "perimeters update inner --policy 77 --add-resources projects/1234" in said
    assert f"--lifecycle-file {ROOT}/docs/lifecycle.json" in said


@pytest.mark.long
def test_wherever_it_breaks_it_can_be_run_again(tmp_path: Path) -> None:
    straight = Project(tmp_path / "straight")
    arguments = ("my-project", "europe-west1", *ALL)
    assert straight.set_up(*arguments).returncode == 0
    for fail_at in range(1, straight.count + 1):
        project = Project(tmp_path / str(fail_at))
        broken = project.set_up(*arguments, fail_at=fail_at)
        again = project.set_up(*arguments)
        assert again.returncode == 0, (fail_at, broken.stderr, again.stderr)
        assert project.made == straight.made, fail_at
        shutil.rmtree(tmp_path / str(fail_at))


def test_what_env_has_already_stays(project: Project) -> None:
    (project.folder / ".env").write_text("KFP_TOKEN=secret\nGOOGLE_CLOUD_REGION=europe-north1\n")
    for _ in range(2):
        assert project.set_up().returncode == 0
    assert (project.folder / ".env").read_text() == (
        "KFP_TOKEN=secret\nGOOGLE_CLOUD_REGION=europe-north1\nGOOGLE_CLOUD_PROJECT=my-project\n"
        "PIPELINE_ROOT=gs://my-project-bayesopt/runs\n"
        "SERVICE_ACCOUNT=bayesopt-steps@my-project.iam.gserviceaccount.com\n"
        "REGISTRY=europe-west1-docker.pkg.dev/my-project/bayesopt\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("my-project",), "usage: bash docs/vertex-setup.sh PROJECT REGION"),
        (("a", "b", "c", "d"), "usage: bash"),
        (("a", "b", "--bugdet", "3"), "unknown option --bugdet; usage"),
        (("a", "b", "--kms-key"), "--kms-key needs a value; usage"),
        (("a", "b", "--budget", "3"), "--budget needs --billing-account"),
        (("a", "b", "--perimeter", "p"), "--perimeter needs --access-policy"),
    ],
)
def test_wrong_options_change_nothing(options: tuple[str, ...], message: str, project: Project) -> None:
    ended = project.set_up(*options)
    assert ended.returncode == 2
    assert ended.stderr.startswith(message)
    assert list(project.state.iterdir()) == []
