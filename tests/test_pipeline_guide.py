"""docs/in-your-pipeline.md: each of its pipelines compiles as it stands there; tests/e2e runs them."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler
from ruamel.yaml import YAML

from kfp_bayesopt_pipeline import shipped
from kfp_bayesopt_pipeline.building.context import read_context
from kfp_bayesopt_pipeline.images import STUDY
from tests import ROOT
from tests.graph_picture import Pipeline
from tests.kfp_stand_in import KfpStandIn
from tests.pipeline_guide import PAGE, PIPELINES, write_files
from tests.registry import DIGEST, Registry


@pytest.fixture
def folder(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of somebody who has the files of the page, and has pushed the image."""
    write_files(tmp_path)
    digest = read_context(tmp_path / "prices", allow_secrets=True).digest()
    images = dict.fromkeys(("init", "worker", "report"), f"{registry.host}/bayesopt/prices@{DIGEST}")
    (tmp_path / "out" / "prices").mkdir(parents=True)
    (tmp_path / "out" / "prices" / "images.json").write_text(json.dumps({**images, STUDY: digest}))
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _pipeline(file: str) -> dict[str, Any]:
    return runpy.run_path(file, run_name="imported")


def _travels(compiled: Path) -> dict[tuple[str, str], list[str]]:
    edges = Pipeline(compiled.read_text()).edges
    return {(source[-1], target[-1]): [each.partition("\N{NO-BREAK SPACE}")[0] for each in words]
            for (source, target), words in edges.items()}  # fmt: skip


def test_the_page_has_three_pipelines() -> None:
    assert "Three whole pipelines follow." in PAGE
    assert list(PIPELINES) == ["train_after_tune.py", "with_data.py", "weekly.py"]


@pytest.mark.parametrize("file", PIPELINES)
def test_a_pipeline_of_the_page_compiles_and_gives_the_next_step_what_was_found(file: str, folder: Path) -> None:
    written = folder / "pipeline.yaml"
    compiler.Compiler().compile(_pipeline(file)[file.removesuffix(".py")], str(written))
    YAML(typ="safe", pure=True).load(written)  # one document, as Vertex' client reads it
    travels = _travels(written)
    assert travels["report", "train"] == ["parameters_json"]
    assert travels["init", "worker"] == ["opened"]
    if file != "train_after_tune.py":
        assert travels["prepare", "train"] == ["data"]
        assert travels["prepare", "init"] == ["data"]
        assert travels["prepare", "worker"] == ["data"]


@pytest.mark.usefixtures("folder")
def test_kfps_command_compiles_a_file_as_the_page_types_it() -> None:
    (line,) = re.findall(r"^\$ (kfp dsl compile .*)$", PAGE, re.MULTILINE)
    program, *words = shlex.split(line)
    paths = ":".join(str(ROOT / each) for each in (".", "pipeline", "images/common"))
    ended = subprocess.run(
        [str(Path(sys.executable).parent / program), *words], env={"PATH": "/usr/bin:/bin", "PYTHONPATH": paths},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert Path(words[-1]).exists()


@pytest.mark.usefixtures("folder")
@pytest.mark.filterwarnings("ignore")  # of the client of KFP, in its own code
def test_the_schedule_of_the_page_is_one_of_each_monday(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # the client keeps settings of its own there
    cluster = KfpStandIn()
    _pipeline("weekly.py")["schedule"](cluster.host)
    cluster.stop()
    (recurring,) = cluster.recurring
    assert recurring["trigger"]["cron_schedule"]["cron"] == "0 0 6 * * 1"
    assert cluster.experiments == ["prices"]


def _rows(title: str) -> list[str]:
    """The names in the first column of the table of a section."""
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return [
        name for cell in re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE) for name in re.findall(r"`(.*?)`", cell)
    ]


def test_the_tables_have_all_inputs_and_outputs_of_the_component() -> None:
    root = YAML(typ="safe", pure=True).load(shipped.TUNE)["root"]
    inputs, outputs = (
        {name for kind in root[side].values() for name in kind} for side in ("inputDefinitions", "outputDefinitions")
    )
    assert set(_rows("What goes in")) == inputs
    assert set(_rows("What comes out")) == outputs


def test_the_messages_of_the_page_are_messages_of_the_program() -> None:
    sources = "".join(path.read_text() for top in ("pipeline", "images") for path in (ROOT / top).rglob("*.py"))
    sources = re.sub(r'"\n\s+f?"', "", sources)  # of a message in two lines
    messages = _rows("When something is refused")
    assert len(messages) > 5
    assert [each for each in messages if each.removeprefix("study: ") not in sources] == []
