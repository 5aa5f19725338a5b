"""With --json, a command that answers a question prints one document with the keys that it documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.cli.options.output_options import DocumentOption, with_answer
from kfp_bayesopt.folder.jobs import end
from kfp_bayesopt.session.view import View
from kfp_bayesopt_pipeline.places.in_process import Options
from kfp_bayesopt_pipeline.places.in_process import run as run_here
from tests import ROOT
from tests.builders import write_study

KEYS = {
    name: option.keys
    for name, command in cli.commands.items()
    for option in command.params
    if isinstance(option, DocumentOption)
}
OF_SERVICES = {"submit", "results", "build", "push", "image"}
"""Those that tests of targets and of images ask."""


@pytest.fixture
def _study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand beside a study that has been run."""
    write_study(tmp_path, optimizer={"engine": "random"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_ROOT", raising=False)
    run_here("study.yaml", None, 2, Options(), View())


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def document(*words: str) -> dict[str, Any]:
    ended = run(*words, "--json")
    assert ended.exit_code == 0, ended.output
    found: dict[str, Any] = json.loads(ended.stdout)
    assert list(found) == list(KEYS[words[0]])
    return found


def test_every_command_that_a_program_reads_has_a_document() -> None:
    assert KEYS.keys() == {"status", "studies", "jobs", "best", "plan", "check", "verify", "store"} | OF_SERVICES


@pytest.mark.usefixtures("_study")
def test_commands_answer_with_what_they_document() -> None:
    best = json.loads(Path("out/branin/best.json").read_text())
    document("store", "out/elsewhere")
    found = document("status")
    assert (found["root"], found["study"], found["done"], found["trials"]) == ("out/branin", "branin", 4, 4)
    assert found["best"] == best
    assert (found["running"], found["failures"], found["job"], found["tasks"]) == ([], [], None, {})
    (study,) = document("studies")["studies"]
    assert (study["root"], study["done"], study["best"]) == ("out/branin", 4, best)
    jobs = document("jobs")
    assert [(job["place"], job["state"], job["reason"]) for job in jobs["jobs"]] == [("in-process", "succeeded", None)]
    found = document("best")
    assert (found["best"], found["trial"], found["parameters"]) == (best, best["trial"], best["parameters"])
    assert document("best", "--trial", "2")["trial"] == 2
    found = document("verify")
    assert found["counts"] == {"same": 4, "equally good": 0, "not checked": 0, "differs": 0}
    assert (found["trials"], found["decisions"], found["wrong_decisions"]) == ([], 0, [])
    for target in ("here", "vertex"):
        found = document("plan", "--target", target, "--trial-minutes", "5")
        assert (found["trials"], found["done"], found["trial_seconds"]) == (4, 0, 300)
        assert all(low <= high for way in found["ways"] for low, high in (way["seconds"], way["machine_seconds"]))
        assert sum(way["asked"] for way in found["ways"]) == 1
        assert (found["currency"] is None) == (target == "here") == (found["ways"][0]["cost"] is None)


@pytest.mark.usefixtures("_study")
def test_a_job_that_failed_says_why() -> None:
    (job,) = document("jobs")["jobs"]
    Path("out/branin/jobs", job["job"], "ended.json").unlink()
    end("out/branin", job["job"], "failed", "the disk was full", "report")
    (job,) = document("jobs")["jobs"]
    assert (job["state"], job["reason"]) == ("failed", "the disk was full")


def test_what_an_objective_prints_is_no_part_of_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, "def objective(x1, x2):\n    print('loading')\n    return x1\n")
    found = document("check")
    assert (found["state"], found["value"], found["reason"]) == ("completed", 2.5, None)
    assert "loading" in run("check", "--json").stderr
    write_study(tmp_path, "def objective(x1, x2):\n    raise ValueError('no data')\n")
    ended = run("check", "--json")
    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["reason"]["kind"] == "raised"
    assert "no data" in ended.stderr


def test_a_question_without_an_answer_prints_nothing_for_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path)
    for name in ("status", "jobs", "best", "verify"):
        ended = run(name, "--json")
        assert (ended.exit_code, ended.stdout) == (1, "")
        assert ended.stderr.startswith("Error: out/branin: no such folder")


def test_the_page_of_commands_has_every_key() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    for name, keys in KEYS.items():
        part = page.partition(f"### `{name}`\n")[2].partition("### `")[0]
        assert not part or all(f"| `{key}` |" in part for key in keys)


def test_a_document_has_all_of_its_keys_and_no_other() -> None:
    @click.command
    @with_answer(one="The first.")
    def wrong(answer: Any) -> None:
        answer.give(one=1, other=2)

    assert isinstance(CliRunner().invoke(wrong, ["--json"]).exception, AssertionError)
