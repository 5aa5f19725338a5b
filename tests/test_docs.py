"""Every example in the documents works, and what is pasted there is what comes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from kfp_bayesopt import __version__, hints
from kfp_bayesopt.cli.main import RENAMED, cli
from kfp_bayesopt.study.study import Study
from tests import ROOT, makefile

README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def _run_study(study: str, out: Path, folder: Path = ROOT) -> list[str]:
    command = [sys.executable, "-m", "pipeline", "run", str(folder / study), "--out", str(out)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def _blocks(language: str) -> list[tuple[str, str]]:
    return [(name, text) for kind, name, text in BLOCK.findall(README) if kind == language]


def test_the_first_example_prints_what_the_readme_shows(tmp_path: Path) -> None:
    block = next(text for _, text in _blocks("console") if "$ bayesopt run branin\n" in text)
    first, last = block.partition("$ bayesopt run branin\n")[2].split("...\n")
    printed = _run_study("studies/branin.yaml", tmp_path / "out")
    printed[0] = re.sub(r"\d+ at a time; results in .*", "2 at a time; results in out/branin", printed[0])
    ended = printed.index("")
    # Trials of an iteration may end in any order.
    begun = [printed[0], next(line for line in printed if "trial  1/16" in line)]
    rest = [next(line for line in printed if "trial 16/16" in line), *printed[ended:]]

    for pasted, shown in ((first, begun), (last, rest)):
        for ours, theirs in zip(pasted.splitlines(), shown, strict=True):
            ours, theirs = (re.sub(r"best [\d.]+$", "", line) for line in (ours, theirs))
            if ours.startswith(("- ", "report ")):  # the model's sentences are not the same to a digit everywhere
                continue
            assert NUMBER.sub("#", ours) == NUMBER.sub("#", theirs)
            assert [float(n) for n in NUMBER.findall(ours)] == pytest.approx(
                [float(n) for n in NUMBER.findall(theirs)], rel=1e-3, abs=1e-6
            )


def test_the_example_in_python_finds_a_minimum(tmp_path: Path) -> None:
    ((name, text),) = [block for block in _blocks("python") if block[0] == "loop.py"]
    (tmp_path / name).write_text(text)
    ended = subprocess.run([sys.executable, name], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    found = re.search(r"'layers': (\d+)}, state='completed', values={'value': ([\d.e-]+)}", ended.stdout)
    assert found, ended.stdout
    assert found[1] == "3"
    assert float(found[2]) < 1e-3


@pytest.mark.long
def test_the_suggestions_of_the_first_example_are_computed_again_as_the_page_shows(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "asynchronous.md").read_text()
    pasted = next(text for kind, _, text in BLOCK.findall(page) if kind == "console" and "bayesopt verify" in text)
    _run_study("studies/branin.yaml", tmp_path / "out")
    command = [sys.executable, "-m", "pipeline", "verify", "studies/branin.yaml", "--out", str(tmp_path / "out")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == pasted.splitlines()[1:]


@pytest.mark.long
def test_one_line_makes_the_first_example_asynchronous(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "asynchronous.md").read_text()
    line = next(text for kind, _, text in BLOCK.findall(page) if kind == "yaml")
    study = tmp_path / "study.yaml"
    text = (ROOT / "studies" / "branin.yaml").read_text()
    study.write_text(line + text.replace("engine: skopt, base_estimator: GP, ", ""))
    printed = _run_study("study.yaml", tmp_path / "out", tmp_path)
    assert printed[0].startswith("branin: minimize objectives.branin:branin, 16 trials, ")
    assert sum(line.startswith("trial ") for line in printed) == 16


@pytest.mark.long
def test_a_study_of_ones_own_runs_as_the_readme_writes_it(tmp_path: Path) -> None:
    for name, text in [block for block in _blocks("python") + _blocks("yaml") if "/" in block[0]]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    printed = _run_study("mystudy/study.yaml", tmp_path / "out", tmp_path)
    assert any(line.startswith("best value ") for line in printed)


def test_the_plan_of_the_guide_is_what_the_program_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "vertex.md").read_text()
    block = next(text for kind, _, text in BLOCK.findall(page) if kind == "console" and "$ bayesopt plan" in text)
    command, _, printed = block.partition("\n")
    monkeypatch.setenv(hints.VARIABLE, "command")
    monkeypatch.chdir(ROOT)
    ended = CliRunner().invoke(cli, shlex.split(command.removeprefix("$ bayesopt ")))
    assert ended.output == printed


PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def _typed(page: str) -> list[str]:
    """The commands that a page names: lines after a prompt, and words in a sentence."""
    lines = re.findall(r"^(?:\$ |- run: |  +(?=bayesopt ))(.*)$", page.replace("\\\n", " "), re.MULTILINE)
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    return lines + [" ".join(words.split()) for words in re.findall(r"`([^`]+)`", prose)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_of_a_page_is_one_and_has_the_options(path: Path) -> None:
    for line in _typed(path.read_text()):
        if not line.startswith("bayesopt ") or line.startswith(("bayesopt COMMAND", "bayesopt …")):
            continue
        _, name, *words = shlex.split(line.partition(" >")[0].partition(" |")[0].partition("  #")[0])
        if name in ("--help", "--version"):
            continue
        assert name in cli.commands, line
        command = cli.commands[name]
        try:
            command.make_parser(click.Context(command)).parse_args(words)
        except click.UsageError as error:
            pytest.fail(f"{line}: {error.message}")


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_every_make_command_of_a_page_is_a_target(path: Path) -> None:
    named = re.findall(r"(?:`|^\$ )make ([a-z][a-z0-9-]*)", path.read_text(), re.MULTILINE)
    assert set(named) <= makefile.targets()


def test_pages_for_users_name_make_only_where_a_clone_is_meant() -> None:
    pages = [path.read_text() for path in PAGES if path.name != "from-0.1.0.md"]
    words = {line.split()[1] for page in pages for line in _typed(page) if line.startswith("make ")}
    assert words & set(makefile.list_of("OLD_WORDS")) == set()


def test_the_page_for_who_comes_from_the_last_release_names_all_that_has_another_name() -> None:
    page = (ROOT / "docs" / "from-0.1.0.md").read_text()
    named = set(re.findall(r"[a-z-]+", page))
    assert {*RENAMED, *RENAMED.values(), *makefile.list_of("OLD_WORDS"), *makefile.list_of("WORDS")} - named == set()


def test_the_pages_name_this_version() -> None:
    pages = "".join(path.read_text() for path in PAGES)
    assert set(re.findall(r"kfp_bayesopt-([\d.]+\d)-py3", pages)) == {__version__}


def test_the_page_about_the_install_names_the_extras_of_the_distribution() -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    rows = re.findall(r"^\| `([a-z0-9]+)` \| [^|]* \| ([^|]*) \|$", page, re.MULTILINE)
    assert [extra for extra, _ in rows] == list(project["optional-dependencies"])
    for extra, brings in rows:
        required = [Requirement(each).name for each in project["optional-dependencies"][extra]]
        assert [name for name in required if name != project["name"] and name not in brings] == []


def test_ci_runs_the_command_that_the_readme_names() -> None:
    command = (ROOT / ".ci" / "run").read_text().splitlines()[-1].removeprefix("exec ")
    assert f"`{command}` runs all that CI does" in README


def test_every_key_of_the_study_file_is_explained() -> None:
    page = (ROOT / "docs" / "study.md").read_text()
    schema = Study.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    keys = {key for section in sections for key in section.get("properties", {})}
    assert [key for key in sorted(keys) if f"`{key}" not in page] == []


def test_every_link_leads_to_a_file() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
        if "://" not in link
    ]
    assert [(str(page), link) for page, link in links if not (page.parent / link).exists()] == []


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads((ROOT / "docs" / "study.schema.json").read_text()) == Study.model_json_schema()
