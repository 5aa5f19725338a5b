"""The second part of docs/quickstart.md: the study that ran on the machine in containers, three commands later."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import run
from tests.ledgers import check_agreement, comparable
from tests.person import a_person
from tests.test_quickstart import PAGE, commands

pytestmark = pytest.mark.long


def _images() -> set[str]:
    """The images under the names that a study has without a registry."""
    return set(run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "kfp-bayesopt/*").stdout.split())


@pytest.mark.usefixtures("official_image")
def test_the_same_study_in_containers_takes_three_commands_more(wheel: Path, tmp_path: Path) -> None:
    person = a_person(PAGE, wheel, tmp_path, with_kfp=True)
    install, activate, _, run_it, _ = commands("On your machine")
    lines = commands("In containers")
    assert len(lines) == 3
    before = _images()
    try:
        ended = person.types(install, activate, run_it, *lines)
    finally:
        run("docker", "rmi", "--force", *(_images() - before))
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    ledgers = (person.repository / "out" / name / "trials.jsonl" for name in ("iris", "iris-compose"))
    ours, theirs = (comparable(ledger.read_text()) for ledger in ledgers)
    assert len(ours) == 6
    check_agreement(ours, theirs)
