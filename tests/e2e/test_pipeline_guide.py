"""docs/in-your-pipeline.md: its three pipelines run as they stand there, in KFP's own engine on real images."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.folder.earlier import read_earlier
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.study.study import Study
from tests.e2e.conftest import BASE, NAME, REGISTRY, run
from tests.pipeline_guide import PAGE, write_files

OFFICIAL = "python:3.13-slim"
WITH_KFP = f"{NAME}/with-kfp:test"


@pytest.fixture(scope="module")
def with_kfp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return an image in which KFP finds itself, so that a Python component installs nothing: tests have no network."""
    folder = tmp_path_factory.mktemp("with-kfp")
    packages = folder / "packages"
    packages.mkdir()
    for name in ("kfp", "typing_extensions"):
        found = importlib.metadata.distribution(name)
        for top in sorted({file.parts[0] for file in found.files or []} - {"..", "__pycache__"}):
            source = Path(str(found.locate_file(top)))
            if source.is_dir():
                shutil.copytree(source, packages / top)
            else:
                shutil.copy(source, packages)
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nCOPY packages /usr/local/lib/python3.13/site-packages\n")
    built = run("docker", "build", "--quiet", "--tag", WITH_KFP, str(folder))
    assert built.returncode == 0, built.stderr
    yield WITH_KFP
    run("docker", "rmi", "--force", WITH_KFP)


@pytest.fixture(scope="module")
def built(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder of somebody who has the files of the page, and the image of them."""
    assert images.exists()
    folder = tmp_path_factory.mktemp("person")
    write_files(folder)
    (folder / ".git").mkdir()
    noted = folder / "out" / "prices" / "images.json"
    words = ("--registry", REGISTRY, "--tag", "test", "--python-image", BASE, "--out", str(noted))
    made = run(sys.executable, "-m", "pipeline", "image", str(folder / "prices"), *words)
    assert made.returncode == 0, made.stderr
    yield folder
    run("docker", "rmi", "--force", json.loads(noted.read_text())["worker"])


@pytest.fixture
def person(built: Path) -> Iterator[Path]:
    """Return the same, with nothing that an earlier run has left."""
    yield built
    shutil.rmtree(built / "out" / "runs", ignore_errors=True)


def _run(folder: Path, file: str, *words: str) -> str:
    ended = subprocess.run(
        [sys.executable, file, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
    )
    printed = ended.stdout + ended.stderr
    assert ended.returncode == 0, printed[-4000:]
    return printed


def _studies(folder: Path) -> list[StudyFolder]:
    """The folders of the study, the oldest first."""
    found = [path.parent for path in (folder / "out" / "runs" / "studies" / "prices").glob("*/*/study")]
    found.sort(key=lambda path: (path / "study").stat().st_mtime)
    return [StudyFolder(str(path), Study.from_file(str(next((path / "study").iterdir())))) for path in found]


def _best(study: StudyFolder) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(study.root) / "best.json").read_text())
    return found


def test_the_first_pipeline_of_the_page_trains_with_what_was_found(person: Path) -> None:
    printed = _run(person, "train_after_tune.py")
    (study,) = _studies(person)
    best = _best(study)
    assert best["completed"] == 6
    assert re.findall(r"loss=([\d.]+)", printed)[-1] == f"{best['value']:.6f}"
    (model,) = (person / "out" / "runs").glob("train-after-tune*/train/model/model.json")
    assert json.loads(model.read_text()).keys() == {"slope", "offset"}


def _with_base(folder: Path, file: str, base: str) -> None:
    text = (folder / file).read_text()
    assert f'base_image="{OFFICIAL}"' in text or base in text
    (folder / file).write_text(text.replace(f'base_image="{OFFICIAL}"', f'base_image="{base}"'))


@pytest.mark.long
def test_the_second_gives_trials_the_data_of_a_step_and_the_same_data_evaluate_nothing_again(
    person: Path, with_kfp: str
) -> None:
    _with_base(person, "with_data.py", with_kfp)
    printed = _run(person, "with_data.py")
    (study,) = _studies(person)
    assert re.findall(r"loss=([\d.]+)", printed)[-1] == f"{_best(study)['value']:.6f}"
    ledger = (Path(study.root) / "trials.jsonl").read_text()
    _run(person, "with_data.py")
    (again,) = _studies(person)
    assert (Path(again.root) / "trials.jsonl").read_text() == ledger


@pytest.mark.long
def test_the_third_begins_its_second_week_with_what_the_first_one_knows(person: Path, with_kfp: str) -> None:
    _with_base(person, "weekly.py", with_kfp)
    for day in ("2026-11-23", "2026-11-30"):
        _run(person, "weekly.py", day)
    first, second = _studies(person)
    assert [_best(each)["completed"] for each in (first, second)] == [6, 6]
    earlier = read_earlier(second.root, second.study.space)
    assert [each.origin for each in earlier] == [first.root] * 6
    assert not read_earlier(first.root, first.study.space)
    ledger = (Path(second.root) / "trials.jsonl").read_text()
    _run(person, "weekly.py", "2026-11-30")
    assert len(_studies(person)) == 2, "the data has not changed"
    assert (Path(second.root) / "trials.jsonl").read_text() == ledger


def test_the_page_says_what_it_needs() -> None:
    assert f'base_image="{OFFICIAL}"' in PAGE
