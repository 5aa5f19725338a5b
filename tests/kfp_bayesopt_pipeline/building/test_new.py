"""`make new` and `make check`: a folder that runs at once, and one trial of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.building_commands import check, new
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.building.check import middle_of
from tests.builders import MIXED, a_study


def test_a_new_study_runs_at_once(tmp_path: Path) -> None:
    made = CliRunner().invoke(new, ["mine", "--into", str(tmp_path / "a b")])
    folder = tmp_path / "a b" / "mine"
    assert made.output == (
        f"{folder}: put your code into train.py, then `make check STUDY={folder}` and `make run STUDY={folder}`\n"
    )
    assert Study.from_file(str(folder / "study.yaml")).name == "mine"
    tried = CliRunner().invoke(check, [str(folder)])
    assert tried.exit_code == 0
    assert "trial in the middle of the space: learning-rate=0.01 layers=4\nvalue 0.583333\n" in tried.output
    assert "  metric epoch = 3.0\n" in tried.output


@pytest.mark.parametrize("name", ["Mine", "a b", "../a", "", "-x", "a" * 64])
def test_a_name_that_no_study_can_have_is_refused(tmp_path: Path, name: str) -> None:
    refused = CliRunner().invoke(new, ["--into", str(tmp_path), "--", name])
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: NAME must be 1 to 63 lower case letters, digits and hyphens")


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    refused = CliRunner().invoke(new, ["mine", "--into", str(tmp_path)])
    assert refused.output == (
        f"Error: {tmp_path}/mine: is there already; choose another NAME, or another folder: INTO=folder\n"
    )
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_check_that_fails_says_why_and_exits_1(tmp_path: Path) -> None:
    CliRunner().invoke(new, ["mine", "--into", str(tmp_path)])
    (tmp_path / "mine" / "train.py").write_text("print('val_loss=1')\n")
    tried = CliRunner().invoke(check, [str(tmp_path / "mine")])
    assert tried.exit_code == 1
    said = "Error: no metric loss in what it printed; seen: val_loss; 'val_loss' is near, but another metric\n"
    assert tried.output.endswith(said)


def test_the_middle_of_a_space_is_in_it() -> None:
    middle = middle_of(a_study(space=MIXED))
    assert middle == {
        "width": 55, "depth": 5, "units": 45, "rate": pytest.approx(1e-3), "drop": 0.25, "kind": True,
    }  # fmt: skip
