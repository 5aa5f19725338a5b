"""Every example in the documents works, and what is pasted there is what comes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.job_commands import submit
from kfp_bayesopt.cli.commands.plan_command import plan
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
    pasted = next(text for _, text in _blocks("console") if text.startswith("$ make run\n")).splitlines()[1:]
    printed = _run_study("studies/branin.yaml", tmp_path / "out")
    printed[0] = re.sub(r"\d+ at a time; results in .*", "2 at a time; results in out/branin", printed[0])

    def by_trial(line: str) -> str:
        return re.sub(r"best [\d.]+$", "", line)  # trials of an iteration may end in any order

    for ours, theirs in zip(sorted(map(by_trial, pasted)), sorted(map(by_trial, printed)), strict=True):
        if ours.startswith(("- ", "report ")):  # the model's sentences are not the same to a digit everywhere
            continue
        assert NUMBER.sub("#", ours) == NUMBER.sub("#", theirs)
        assert [float(n) for n in NUMBER.findall(ours)] == pytest.approx(
            [float(n) for n in NUMBER.findall(theirs)], rel=1e-3, abs=1e-6
        )


@pytest.mark.long
def test_the_suggestions_of_the_first_example_are_computed_again_as_the_page_shows(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "asynchronous.md").read_text()
    pasted = next(text for kind, _, text in BLOCK.findall(page) if kind == "console" and "make verify" in text)
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
@pytest.mark.parametrize("study", ["mystudy/study.yaml", "mystudy/script.yaml"])
def test_a_study_of_ones_own_runs_as_the_readme_writes_it(study: str, tmp_path: Path) -> None:
    for name, text in _blocks("python") + _blocks("yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    printed = _run_study(study, tmp_path / "out", tmp_path)
    assert any(line.startswith("best value ") for line in printed)


def test_the_plan_of_the_readme_is_what_the_program_prints() -> None:
    block = next(text for kind, _, text in BLOCK.findall(README) if kind == "console" and "$ make plan" in text)
    command, _, printed = block.partition("\n")
    study, minutes = re.fullmatch(r"\$ make plan STUDY=(\S+) TRIAL_MINUTES=(\d+)", command).groups()  # type: ignore[union-attr]
    ended = CliRunner().invoke(plan, [str(ROOT / study), "--trial-minutes", minutes])
    assert ended.output == printed


def test_every_make_command_of_the_readme_is_a_target() -> None:
    named = re.findall(r"(?:`|\$ )make ([a-z][a-z0-9-]*)", README)
    assert "run" in named
    assert set(named) <= makefile.targets()


def test_ci_runs_the_command_that_the_readme_names() -> None:
    command = (ROOT / ".ci" / "run").read_text().splitlines()[-1].removeprefix("exec ")
    assert f"`{command}` runs all that CI does" in README


@pytest.mark.parametrize("page", ["README.md", "docs/vertex.md", "docs/study-folder.md", "docs/study.md"])
def test_every_option_that_a_page_gives_is_one_of_submit(page: str) -> None:
    given = re.findall(r'FLAGS="([^"]*)"', (ROOT / page).read_text())
    options = {word for flags in given for word in flags.split() if word.startswith("--")}
    assert options <= {name for parameter in submit.params for name in parameter.opts}


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
