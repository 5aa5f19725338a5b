"""The file of settings that commands take, named or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kfp_bayesopt.cli.main import cli
from tests.builders import study_text


@pytest.fixture(autouse=True)
def _below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand below the root of a repository with a study and settings of its own."""
    for name in ("PIPELINE_ROOT", "PROJECT_ID", "REGION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "models").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "study.yaml").write_bytes(study_text())
    monkeypatch.chdir(tmp_path / "models")


def settings(path: str = "../vertex_config.json", **values: str) -> None:
    Path(path).write_text(json.dumps(values))


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


WRONG = "pipeline_root: expected gs://"


@pytest.mark.parametrize("command", [["status"], ["best"], ["jobs"], ["plan"], ["studies"], ["delete"]])
def test_the_nearest_file_counts_and_is_named_where_a_setting_of_it_is_wrong(command: list[str]) -> None:
    settings(pipeline_root="../here")
    ended = run(*command)
    assert ended.exit_code == 1
    assert ended.output.startswith(f"Error: ../vertex_config.json: {WRONG}")
    settings("vertex_config.json", pipeline_root="nearer")
    assert run(*command).output.startswith(f"Error: vertex_config.json: {WRONG}")
    settings("mine.json", pipeline_root="mine")
    assert run(*command, "--config", "mine.json").output.startswith(f"Error: mine.json: {WRONG}")


@pytest.mark.parametrize("command", [["status", "--job", "x-1"], ["cancel", "x-1"], ["results", "x-1"]])
def test_what_is_missing_or_wrong_for_a_target_is_said_at_once(command: list[str]) -> None:
    settings(project_id="No Project", projekt="x")
    lines = run(*command).output.splitlines()
    assert lines[0].startswith("Error: ../vertex_config.json: unknown key 'projekt'")
    assert any(line.startswith("../vertex_config.json: project_id: ") for line in lines)
    assert any(line.startswith("region is missing") for line in lines)


@pytest.mark.parametrize("command", [["jobs"], ["status"], ["studies"]])
def test_what_is_given_otherwise_is_not_said_to_be_of_the_file(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(pipeline_root="../here")
    assert run(*command, "--pipeline-root", "typed").output.startswith(f"Error: {WRONG}")
    monkeypatch.setenv("PIPELINE_ROOT", "variable")
    assert run(*command).output.startswith(f"Error: {WRONG}")


def test_an_option_of_how_a_study_goes_on_has_the_same_help_in_every_command() -> None:
    helps: dict[str, set[str | None]] = {}
    for name in ("run", "run-kfp", "submit"):
        for each in cli.commands[name].params:
            if each.opts[0] in ("--fresh", "--keep", "--same-code", "--retry-failed", "--ended", "--join"):
                helps.setdefault(each.opts[0], set()).add(getattr(each, "help", None))
    assert len(helps) == 6
    assert all(len(texts) == 1 for texts in helps.values())
