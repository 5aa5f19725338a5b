"""The command line: its help, its defaults, and how `make` calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.job_commands import submit
from kfp_bayesopt.cli.commands.pipeline_commands import compile_
from kfp_bayesopt.cli.commands.run_commands import run_kfp
from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt_pipeline import PYTHONPATH, ROOT
from tests.builders import study_text

BARE = {"PATH": os.environ["PATH"], "PYTHONPATH": PYTHONPATH}
HELPS = [[], *([name] for name in cli.commands)]


def test_every_command_prints_a_mistake_as_one_message() -> None:
    assert {name for name, command in cli.commands.items() if not isinstance(command, Command)} == set()


@pytest.mark.parametrize("command", HELPS, ids=lambda words: " ".join(words) or "pipeline")
def test_each_help_has_a_sentence_and_an_example_in_80_columns(command: list[str]) -> None:
    ended = CliRunner().invoke(cli, [*command, "--help"], prog_name="python -m pipeline")
    assert ended.exit_code == 0
    usage, sentence = ended.output.split("\n\n")[:2]
    assert usage.startswith(f"Usage: {' '.join(['python -m pipeline', *command])} ")
    assert sentence.strip().endswith(".")
    assert f"\n  Example:\n    {' '.join(['python -m pipeline', *(command or ['run'])])} " in ended.output
    assert "\\b" not in ended.output
    assert "\b" not in ended.output
    assert [line for line in ended.output.splitlines() if len(line) > 80] == []


def test_help_waits_for_no_package_but_click() -> None:
    program = """if True:
        import sys
        before = set(sys.modules)  # an environment may have some from its start
        import kfp_bayesopt.cli.main
        print(*{name.partition(".")[0] for name in sys.modules.keys() - before})
    """
    ended = subprocess.run([sys.executable, "-c", program], env=BARE, capture_output=True, text=True, check=True)
    ours = {"kfp_bayesopt", "kfp_bayesopt_pipeline"}
    assert set(ended.stdout.split()) - sys.stdlib_module_names == {"click", *ours}


@pytest.mark.parametrize("command", HELPS[1:], ids=" ".join)
def test_every_option_is_explained(command: list[str]) -> None:
    options = [option for option in cli.commands[command[0]].params if option.param_type_name == "option"]
    assert [
        option.name for option in options if not getattr(option, "help", None) and not getattr(option, "hidden", 0)
    ] == []


def test_a_settings_file_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_bytes(b"PIPELINE_ROOT=\xff\n")
    ended = CliRunner().invoke(cli, ["schema", "--out", "schema.json"])
    assert ended.exit_code == 1
    assert ended.output == "Error: .env: not UTF-8 text; save it as UTF-8, or move it away\n"
    assert not Path("schema.json").exists()


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = CliRunner().invoke(cli, ["schema", "--out", str(tmp_path / "file" / "schema.json")])
    assert ended.exit_code == 1
    assert ended.output.startswith(f"Error: {tmp_path}/file/schema.json: ")


def test_two_studies_in_files_of_one_name_are_compiled_into_folders_of_their_own(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        Path(name).mkdir()
        Path(name, "study.yaml").write_bytes(study_text(name=name))
        ended = CliRunner().invoke(compile_, [f"{name}/study.yaml", "--images", str(images)])
        assert ended.output == f"out/{name}/pipeline.yaml: 2 iterations of 2 trials\n"
    written = {path.parent.name: path for path in Path("out").rglob("pipeline.yaml")}
    assert sorted(written) == ["first", "second"]
    for name, path in written.items():
        assert next(yaml.safe_load_all(path.read_text()))["pipelineInfo"]["name"] == name


def test_a_pipeline_that_was_compiled_for_another_study_file_is_not_run(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_bytes(study_text())
    assert CliRunner().invoke(compile_, ["study.yaml", "--images", str(images)]).exit_code == 0
    Path("study.yaml").write_bytes(study_text(iterations=3))
    ended = CliRunner().invoke(
        run_kfp, ["study.yaml", "--images", str(images), "--compiled", "out/branin/pipeline.yaml"]
    )
    assert ended.exit_code == 1
    assert ended.output == (
        "Error: out/branin/pipeline.yaml: was compiled for another study file than study.yaml; compile it again\n"
    )
    assert not Path("out/branin/jobs").exists()


NOTE = """
import json, sys
with open({log!r}, "a") as log:
    print(json.dumps(sys.argv[1:]), file=log)
"""
INSTALLED = [word for name in (".venv", ".venv-cloud") for word in ("-o", f"{name}/installed")]


def _told(tmp_path: Path, *arguments: str) -> list[str]:
    """Run `make` with a stand-in for the command; return what that was given."""
    log = tmp_path / "log"
    note = tmp_path / "note.py"
    note.write_text(NOTE.format(log=str(log)))
    command = ["make", "--silent", *INSTALLED, f"CLOUD={sys.executable} {note}", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (line,) = log.read_text().splitlines()
    told: list[str] = json.loads(line)
    return told


@pytest.mark.parametrize("target", ["compile", "run-kfp", "submit"])
def test_a_path_with_spaces_and_quotes_is_one_argument(target: str, tmp_path: Path) -> None:
    told = _told(tmp_path, target, "STUDY=my studies/Bob's (first).yaml", "IMAGES=my images.json", "OUT=my results")
    assert told[:4] == [target, "my studies/Bob's (first).yaml", "--images", "my images.json"]
    assert ("my results" in told) == (target == "run-kfp")


def test_a_study_in_a_folder_with_spaces_runs_through_make(tmp_path: Path) -> None:
    folder = tmp_path / "Bob's study"
    folder.mkdir()
    (folder / "my study.yaml").write_bytes(study_text(iterations=1, optimizer={"engine": "random"}))
    # `make run` takes the environment of the repository; here it is the one that runs the tests.
    recipe = subprocess.run(
        ["make", "--dry-run", *INSTALLED, "run", f"STUDY={folder}/my study.yaml", f"OUT={tmp_path}/my results"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    command = recipe.replace(".venv/bin/python", sys.executable)
    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "my results" / "best.json").exists()


@pytest.mark.parametrize("target", ["cancel", "results"])
def test_without_a_job_there_is_the_usage(target: str) -> None:
    ended = subprocess.run(
        ["make", "--silent", *INSTALLED, target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"usage: make {target} JOB=id TARGET=vertex|kfp\n")


@pytest.mark.parametrize("target", ["jobs", "delete", "pull", "push-folder"])
def test_make_leads_to_the_folder_that_is_named(target: str, tmp_path: Path) -> None:
    told = _told(tmp_path, target, "STUDY=my study.yaml", "OUT=my results", "ROOT=gs://bucket/mine", "ALL=1", "CONFIG=")
    assert told[:6] == [target, "my study.yaml", "--out", "my results", "--root", "gs://bucket/mine"]
    assert told[6:] == (["--all"] if target == "delete" else [])


@pytest.mark.parametrize("target", ["run-kfp", "submit"])
def test_make_says_how_a_study_goes_on(target: str, tmp_path: Path) -> None:
    told = _told(tmp_path, target, "FRESH=1", "CODE=same", "RETRY_FAILED=1", "ENDED=branin-1")
    given = ["--fresh", "--same-code", "--retry-failed", "--ended", "branin-1"]
    assert told[-len(given) :] == given


def test_without_a_study_there_is_the_usage() -> None:
    ended = CliRunner().invoke(submit, [])
    assert ended.exit_code == 2
    assert "Error: Missing argument 'STUDY'." in ended.output
