"""The documents that are generated, run or built."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.cli.reference import commands_page, python_page, study_page
from kfp_bayesopt.steps import STEPS
from locks.sbom import bill
from tests import ROOT
from tests.test_repository import tracked

DOCS = ROOT / "docs"


def test_the_pages_of_reference_are_those_of_the_code() -> None:
    assert (DOCS / "commands.md").read_text() == commands_page(cli), "`make generate` writes it"
    assert (DOCS / "study-reference.md").read_text() == study_page(), "`make generate` writes it"
    assert (DOCS / "python-reference.md").read_text() == python_page(), "`make generate` writes it"


def test_every_message_of_the_page_about_trouble_is_one_of_the_program() -> None:
    page = (DOCS / "troubleshooting.md").read_text()
    messages = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(messages) > 15
    files = [ROOT / name for name in tracked() if name.startswith(("images/", "pipeline/")) and name.endswith(".py")]
    # A message may be written in two strings, one line after another.
    sources = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in files))
    assert [message for message in messages if message not in sources] == []


@pytest.mark.long
def test_the_site_is_built_without_a_warning_and_asks_nobody(tmp_path: Path) -> None:
    program = ROOT / ".venv-docs" / "bin" / "python"
    command = [str(program), "-m", "sphinx", "--quiet", "--fail-on-warning", "-c", "docs/site", "docs", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert {path.stem for path in DOCS.glob("*.md")} <= {path.stem for path in pages}
    for path in pages:
        assert not re.findall(r"<(?:script|img|iframe)[^>]*src=\"https?:|<link[^>]*href=\"https?:", path.read_text()), (
            path
        )


@pytest.mark.long
def test_the_notebook_runs_from_its_first_to_its_last_cell(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "pipeline", "run", "studies/branin.yaml", "--out", str(tmp_path / "out")]
    subprocess.run(run, cwd=ROOT, check=True, capture_output=True, timeout=300)
    cells = json.loads((DOCS / "ledger.ipynb").read_text())["cells"]
    assert [cell for cell in cells if cell.get("outputs")] == []
    program = tmp_path / "cells.py"
    program.write_text("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
    environment = {**os.environ, "STUDY_FOLDER": str(tmp_path / "out"), "MPLBACKEND": "Agg"}
    # pandas and matplotlib are packages of the benchmarks.
    peers = str(ROOT / ".venv-peers" / "bin" / "python")
    ended = subprocess.run(
        [peers, str(program)], env=environment, cwd=DOCS, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("step", STEPS)
def test_a_bill_of_materials_is_valid_and_names_a_licence_for_each_package(step: str) -> None:
    text = bill(step, *(ROOT / "images" / lock for lock in (STEPS[step].lock, "obstore/requirements.txt")))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    packages = json.loads(text)["components"]
    assert {"pydantic", "click"} <= {package["name"] for package in packages}
    assert all(package["licenses"] and package["hashes"] for package in packages)


def test_every_action_is_pinned_by_its_digest() -> None:
    for path in (ROOT / ".github" / "workflows").iterdir():
        used = re.findall(r"uses: (\S+)", path.read_text())
        assert used
        assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each)] == []
