"""Study folders that each release has left: today's commands read them, and the same studies go on."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.study.study import Study
from tests.ledgers import contents

DATA = Path(__file__).resolve().parents[2] / "data"
FOLDERS = sorted(path.relative_to(DATA) for path in DATA.glob("folder-*.*.*/*"))
WITH_MORE = {"batches": ("iterations: 3", "iterations: 4"), "asynchronous": ("trials: 8", "trials: 10")}


@dataclass
class Released:
    """A copy of a study, with the folder that a release has left of it.

    Attributes:
        kind: What it is of: `batches` or `asynchronous`.
        study: Its study file; the code is beside it.
        root: Its study folder.
    """

    kind: str
    study: Path
    root: Path

    def run(self, command: str, *words: str, status: int = 0) -> str:
        """Run a command on the study, and return what it printed."""
        ended = CliRunner().invoke(cli, [command, *words, str(self.study), "--out", str(self.root)])
        assert ended.exit_code == status, ended.output
        return ended.stdout

    def grow(self) -> None:
        """Give it a larger budget."""
        before, after = WITH_MORE[self.kind]
        text = self.study.read_text()
        assert before in text
        self.study.write_text(text.replace(before, after))


@pytest.fixture(params=FOLDERS, ids=str)
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Released:
    folder = DATA / request.param
    shutil.copytree(folder, tmp_path / "study", ignore=shutil.ignore_patterns("root"))
    shutil.copytree(folder / "root", tmp_path / "root")
    return Released(folder.name, tmp_path / "study" / "study.yaml", tmp_path / "root")


def test_each_release_has_left_a_folder_of_each_schedule() -> None:
    assert {path.parent.name for path in FOLDERS} == {"folder-0.1.0"}
    assert [path.name for path in FOLDERS] == ["asynchronous", "batches"]


def test_the_study_is_the_same_study(released: Released) -> None:
    best = json.loads((released.root / "best.json").read_text())
    assert Study.from_file(str(released.study)).fingerprint == best["fingerprint"]


def test_reading_it_changes_nothing(released: Released) -> None:
    before = contents(str(released.root))
    read = StudyFolder(str(released.root), Study.from_file(str(released.study))).read()
    assert len(read.ledger) == len(before["trials.jsonl"].splitlines())
    best = json.loads(before["best.json"])
    assert released.run("best").startswith(f"best value {best['value']}\n")
    said = released.run("status", "--study")
    assert f"{best['trials']} of {best['trials']} trials have records, 1 failed" in said
    assert "failed" in released.run("logs")
    assert contents(str(released.root)) == before


def test_its_failed_trial_says_what_it_said(released: Released) -> None:
    (failed,) = json.loads((released.root / "failures.json").read_text())["failures"]
    printed = released.run("logs", "--trial", str(failed["trial"]))
    assert printed == (released.root / f"trials/{failed['trial']:06}/log-1.txt").read_text()


def test_its_model_is_fetched(released: Released, tmp_path: Path) -> None:
    trial = json.loads((released.root / "best.json").read_text())["trial"]
    released.run("best", "--model", "--into", str(tmp_path / "model"))
    (model,) = (tmp_path / "model").rglob("model.txt")
    assert model.read_bytes() == (released.root / f"trials/{trial:06}/output-1/model.txt").read_bytes()


def test_its_suggestions_and_decisions_follow_from_its_records_still(released: Released) -> None:
    said = released.run("verify").splitlines()
    same, equally_good, unchecked, differ = map(int, re.findall(r"\d+", next(line for line in said if "same" in line)))
    assert (same + equally_good, unchecked, differ) == (9 if released.kind == "batches" else 8, 0, 0)
    assert ("early stopping: 12 decisions, 0 wrong" in said) == (released.kind == "asynchronous")


def test_its_results_are_made_again_as_they_were(released: Released) -> None:
    before = contents(str(released.root))
    for name in ("best.json", "failures.json", "summary.md", "trials.jsonl"):
        (released.root / name).unlink()
    released.run("report")
    after = contents(str(released.root))
    assert after.keys() - before.keys() == {"report.html"}
    assert after["trials.jsonl"] == before["trials.jsonl"]
    # A later release may say more.
    assert json.loads(before["best.json"]).items() <= json.loads(after["best.json"]).items()
    assert json.loads(before["failures.json"]).items() <= json.loads(after["failures.json"]).items()


def test_it_goes_on_with_a_larger_budget_and_nothing_is_evaluated_again(released: Released) -> None:
    before = contents(str(released.root))
    best = json.loads(before["best.json"])
    assert f"\nbest value {best['value']}\n" in released.run("run", "--jobs", "2")
    assert not list(released.root.glob("trials/*/record-2.json"))
    released.grow()
    released.run("run", "--jobs", "2")
    after = contents(str(released.root))
    written_once = [name for name in before if name.startswith(("jobs/", "points/", "rungs/", "study/", "trials/"))]
    assert {name: after[name] for name in written_once} == {name: before[name] for name in written_once}
    new = sorted(name for name in after.keys() - before.keys() if name.endswith("record-1.json"))
    numbers = (10, 11, 12) if released.kind == "batches" else (9, 10)
    assert new == [f"trials/{number:06}/record-1.json" for number in numbers]
    assert after["trials.jsonl"].startswith(before["trials.jsonl"])
