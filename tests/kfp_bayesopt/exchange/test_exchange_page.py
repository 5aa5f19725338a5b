"""docs/exchange.md: its commands run, its keys are those of a study, its names of columns are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.exchange.exporters import EXPORTERS
from kfp_bayesopt.exchange.formats import FORMATS
from kfp_bayesopt.exchange.importing import collect
from kfp_bayesopt.study.yaml_reader import read_yaml
from tests import ROOT
from tests.builders import a_study, write_study

PAGE = (ROOT / "docs" / "exchange.md").read_text()
KEYS: list[str] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SPACE: dict[str, Any] = {"lr": {"type": "real", "low": 0.0, "high": 1.0}}


@pytest.mark.parametrize("text", KEYS)
def test_its_keys_are_those_of_a_study(text: str) -> None:
    keys, problems = read_yaml(text.encode())
    assert problems == []
    assert isinstance(keys, dict)
    a_study(**keys)


def test_its_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [
        line.removeprefix("$ bayesopt ").split() for line in PAGE.splitlines() if line.startswith("$ bayesopt ")
    ]
    assert [words[0] for words in commands] == ["export", "import"]
    monkeypatch.chdir(tmp_path)
    for name in ("my-study", "next-study"):
        code = "def objective(lr): return lr"
        write_study(tmp_path / name, code, name=name, space=SPACE, optimizer={"engine": "gp"})
    ran = CliRunner().invoke(cli, ["run", "my-study"])
    assert ran.exit_code == 0, ran.output
    exported, ended = (CliRunner().invoke(cli, words) for words in commands)
    assert (exported.exit_code, ended.exit_code) == (0, 0), exported.output + ended.output
    assert "begins with 4 trials of trials.csv: 4 as its own, 0 as a hint" in ended.output


def test_each_format_and_tracker_has_a_row() -> None:
    rows = PAGE.partition("What is lost")[0]
    assert [each for form in FORMATS.values() for each in (form.suffix, *form.others) if f"`{each}" not in rows] == [
        ".journal"
    ]
    assert [name for name in EXPORTERS if f"--to {name}`" not in rows] == []


@pytest.mark.parametrize("row", re.findall(r"^\| ([^|]+) \| (`[^|]*lr`) \| ([^|]+) \| ([^|]*) \|$", PAGE, re.MULTILINE))
def test_its_names_of_columns_are_read(row: tuple[str, str, str, str], tmp_path: Path) -> None:
    study = a_study(
        space=SPACE, optimizer={"engine": "gp"}, objective={"command": ["t"], "args": "flags", "value": "loss"}
    )
    _, parameter, objectives, state = row
    for objective in re.findall(r"`([^`]+)`", objectives):
        states = [*re.findall(r"`([^`]+)`", state), None]
        for named in states:
            table = [
                [parameter.strip("`"), objective, *([named] if named else [])],
                ["0.5", "0.25", *(["failed"] if named else [])],
            ]
            if objective == "values_loss":  # of several objectives
                continue
            (tmp_path / "t.csv").write_text("\n".join(",".join(cells) for cells in table))
            (found,) = collect(study, ["t.csv"], tmp_path)
            assert (found.parameters, found.values) == ({"lr": 0.5}, {} if named else {"value": 0.25})
