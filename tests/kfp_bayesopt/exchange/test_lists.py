"""Every dialect of search spaces and every format of trials: what all of the lists have in common."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kfp_bayesopt import hints
from kfp_bayesopt.cli.commands.convert_command import convert
from kfp_bayesopt.cli.commands.report_commands import export
from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.dialects import DIALECTS
from kfp_bayesopt.exchange.formats import FORMATS
from kfp_bayesopt.exchange.importing import collect
from kfp_bayesopt.study.study_file import text_of
from tests.builders import a_record, a_study

STUDY = a_study(optimizer={"engine": "gp"}, constraints=["x1 <= x2 + 10"])
LEDGER = [a_record(STUDY, number, float(number), parameters={"x1": float(number), "x2": 1.0}) for number in (1, 2)]


def choices(command: click.Command, option: str) -> list[str]:
    """Return what an option of a command may be."""
    kind = next(each.type for each in command.params if option in each.opts)
    assert isinstance(kind, click.Choice)
    return list(kind.choices)


def test_the_choices_of_the_commands_are_the_lists() -> None:
    assert choices(convert, "--to") == ["study", *DIALECTS]
    assert choices(export, "--format") == [*FORMATS]


@pytest.mark.parametrize("name", DIALECTS)
def test_a_document_is_recognised_by_its_dialect_alone(name: str) -> None:
    data = DIALECTS[name].functions.write(STUDY).data
    assert [each for each in DIALECTS if DIALECTS[each].functions.recognises(data)] == [name]
    assert DIALECTS[name].document.startswith(("a ", "an "))


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_names_what_it_cannot_keep(name: str) -> None:
    assert any("'x1 <= x2 + 10'" in each for each in DIALECTS[name].functions.write(STUDY).lost)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_refuses_a_document_without_parameters_by_its_file(name: str) -> None:
    with pytest.raises(UserError, match=r"^other\.yaml: "):
        DIALECTS[name].functions.read({"kind": "other"}, "other.yaml")


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_a_suffix_of_its_own(name: str) -> None:
    suffix = FORMATS[name].suffix
    assert suffix.startswith(".")
    assert [each.name for each in FORMATS.values() if each.suffix == suffix] == [name]


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_writes_over_a_file_of_somebody_else(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"theirs{FORMATS[name].suffix}"
    path.write_bytes(b"trial,loss\n1,0.5\n")
    with pytest.raises(UserError, match=r"theirs\.\w+: is there already"):
        FORMATS[name].functions.write(STUDY, LEDGER, path)
    assert path.read_bytes() == b"trial,loss\n1,0.5\n"


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].extra])
def test_a_missing_package_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = FORMATS[name]
    path = tmp_path / f"trials{form.suffix}"
    form.functions.write(STUDY, LEDGER, path)
    monkeypatch.setitem(sys.modules, {"parquet": "pyarrow", "optuna": "optuna"}[str(form.extra)], None)
    monkeypatch.setenv(hints.VARIABLE, "command")
    way_out = re.escape(f'needs packages that are not installed: pip install "kfp-bayesopt[{form.extra}]"')
    with pytest.raises(UserError, match=rf"^writing .*{way_out}$"):
        form.functions.write(STUDY, LEDGER, tmp_path / f"other{form.suffix}")
    with pytest.raises(UserError, match=rf"trials\.\w+'?: reading it {way_out}$"):  # a long path is in quotes
        collect(STUDY, [str(path)], tmp_path)


@pytest.mark.parametrize("command", ["run", "check", "plan", "submit"])
def test_a_document_of_another_tool_in_the_place_of_a_study_is_called_by_its_name(command: str, tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(text_of(DIALECTS["katib"].functions.write(a_study()).data))
    ended = CliRunner().invoke(cli, [command, str(path)])
    assert ended.exit_code == 1
    assert f"{path}: is an Experiment of Katib, and no study" in ended.output
    assert "`bayesopt convert FILE` makes the search space of one from it" in ended.output
