"""The command line: its help, its defaults, and how `make` calls it."""

from __future__ import annotations

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
from kfp_bayesopt.cli.main import COMMANDS, RENAMED, cli
from kfp_bayesopt.cli.renamed import GONE_IN
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.version import __version__
from tests.builders import a_batch, a_record, a_study, study_text, write_folder

BARE = {"PATH": os.environ["PATH"]}
HELPS = [[], *([name] for name in cli.commands)]


def test_every_command_prints_a_mistake_as_one_message() -> None:
    assert {name for name, command in cli.commands.items() if not isinstance(command, Command)} == set()


@pytest.mark.parametrize("command", HELPS, ids=lambda words: " ".join(words) or "pipeline")
def test_each_help_has_a_sentence_and_an_example_in_80_columns(command: list[str]) -> None:
    ended = CliRunner().invoke(cli, [*command, "--help"], prog_name="bayesopt")
    assert ended.exit_code == 0
    usage, sentence = ended.output.split("\n\n")[:2]
    assert usage.startswith(f"Usage: {' '.join(['bayesopt', *command])} ")
    assert sentence.strip().endswith(".")
    assert f"\n  Example:\n    {' '.join(['bayesopt', *(command or ['run'])])} " in ended.output
    assert "\\b" not in ended.output
    assert "\b" not in ended.output
    assert [line for line in ended.output.splitlines() if len(line) > 80] == []


PROGRAM = """
import atexit, sys
before = set(sys.modules)  # an environment may have some from its start

@atexit.register
def tell():
    print(*sorted(sys.modules.keys() - before), file=open({told!r}, "w"))

from kfp_bayesopt.cli.main import main
main()
"""


def modules_of(folder: Path, *words: str) -> set[str]:
    """Return the modules that a command imports."""
    told = folder / "modules"
    command = [sys.executable, "-c", PROGRAM.format(told=str(told)), *words]
    ended = subprocess.run(command, env=BARE, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return set(told.read_text().split())


def packages_among(modules: set[str]) -> set[str]:
    """Return the packages of others."""
    ours = {"kfp_bayesopt", "kfp_bayesopt_pipeline"}
    return {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - ours


@pytest.mark.parametrize("words", [*([*command, "--help"] for command in HELPS), ["--version"]], ids=" ".join)
def test_help_imports_no_package_but_click(words: list[str], tmp_path: Path) -> None:
    modules = modules_of(tmp_path, *words)
    assert packages_among(modules) == {"click"}
    if len(words) == 1:
        assert not {name for name in modules if name.startswith("kfp_bayesopt.cli.commands")}


@pytest.mark.parametrize(
    "words",
    [
        ["status", "--study", "study.yaml"],
        ["best", "study.yaml"],
        ["logs", "study.yaml"],
        ["logs", "study.yaml", "--trial", "1"],
    ],
    ids=" ".join,
)
def test_a_look_at_a_folder_here_imports_no_numpy_and_no_library_of_a_cloud(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_bytes(study_text())
    study = a_study()
    parameters: Parameters = {"x1": 1.0, "x2": 0.0}
    record = a_record(study, 1, 0.25, parameters=parameters)
    folder = write_folder(tmp_path / "out" / study.name, study, a_batch(study, [parameters]), [record])
    folder.write_study(study_text())
    few = {"annotated_types", "click", "pydantic", "pydantic_core", "ruamel", "typing_extensions", "typing_inspection"}
    brought = {name for name in packages_among(modules_of(tmp_path, *words)) if not name.startswith("_sysconfigdata")}
    assert brought == few


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_docstring_of_a_command_begins_with(name: str) -> None:
    command = cli.commands[name]
    assert command.name == name
    assert (command.help or "").partition("\n")[0] == COMMANDS[name].says


def test_the_list_of_help_has_a_line_for_each_command() -> None:
    lines = CliRunner().invoke(cli, ["--help"], prog_name="bayesopt").output.splitlines()
    titles = list(cli.sections())
    assert [line.removesuffix(":") for line in lines if line.removesuffix(":") in titles] == titles
    shown = [" ".join(line.split()) for line in lines if line.startswith("  ")]
    assert {f"{name} {each.says}" for name, each in COMMANDS.items() if each.section} <= set(shown)
    assert not {f"{name} {each.says}" for name, each in COMMANDS.items() if not each.section} & set(shown)


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("stauts", "no command stauts; did you mean 'status'?"),
        ("push-foldr", "no command push-foldr; did you mean 'upload'?"),
        ("\x1b", "no command '\\x1b'; `bayesopt --help` lists them"),
        ("everything", "no command everything; `bayesopt --help` lists them"),
    ],
)
def test_an_unknown_command_is_said_with_the_one_that_is_near(word: str, problem: str) -> None:
    ended = CliRunner().invoke(cli, [word], prog_name="bayesopt")
    assert ended.exit_code == 2
    assert ended.output.endswith(f"Error: {problem}\n")


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_the_new_one_and_says_so(old: str, new: str) -> None:
    ended = CliRunner().invoke(cli, [old, "--help"], prog_name="bayesopt")
    assert ended.exit_code == 0
    assert ended.stderr == f"{old} is now called {new}; the old name goes in {GONE_IN}\n"
    assert ended.stdout.startswith(f"Usage: bayesopt {new} ")
    assert old not in COMMANDS


def test_old_names_are_there_until_the_release_in_which_they_go() -> None:
    assert [int(part) for part in __version__.split(".")] < [int(part) for part in GONE_IN.split(".")]


def test_compose_writes_its_file_under_the_old_name_too(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_bytes(study_text())
    written = []
    for name in ("compose", "compose-file"):
        ended = CliRunner().invoke(cli, [name, str(tmp_path / "study.yaml"), "--out", str(tmp_path / f"{name}.yml")])
        assert ended.exit_code == 0
        said = f"compose --out FILE is now called compose-file --out FILE; the old name goes in {GONE_IN}\n"
        assert ended.output == (said if name == "compose" else "")
        written.append((tmp_path / f"{name}.yml").read_text())
    assert written[0] == written[1]


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


def test_without_a_study_there_is_the_usage() -> None:
    ended = CliRunner().invoke(submit, [])
    assert ended.exit_code == 2
    assert "Error: no study is named, and there is no study.yaml in the working folder" in ended.output
