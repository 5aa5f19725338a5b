"""Which code evaluates the trials of a study."""

from __future__ import annotations

from pathlib import Path

import pytest

from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session import code
from kfp_bayesopt.session.code import code_of_files, code_of_image
from tests.builders import a_study, study_text

DIGEST = "sha256:" + "0" * 64


def test_a_study_folder_beside_the_code_is_none_of_it(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    before = code_of_files(folder)
    study = StudyFolder(str(folder / "results" / "branin"), a_study())
    study.write_study(study_text())
    model = folder / "results" / "branin" / "outputs" / "000001-1" / "model.py"
    model.parent.mkdir(parents=True)
    model.write_text("what a trial wrote")
    assert code_of_files(folder) == before
    (folder / "study").write_text("a file of this name, and a folder with no study in it, hold nothing back")
    (folder / "results" / "study").mkdir()
    (folder / "results" / "mine.py").write_text("")
    assert code_of_files(folder) != before


def test_the_code_of_an_image_is_its_digest() -> None:
    assert code_of_image(f"host/project/evaluate@{DIGEST}") == f"image:{DIGEST}"
    assert code_of_image(f"host:5000/project/evaluate:1.0@{DIGEST}") == f"image:{DIGEST}"


@pytest.mark.parametrize("image", ["evaluate:1.0", "host/evaluate", "host/evaluate@sha256:0123"])
def test_of_an_image_without_a_digest_the_code_is_not_known(image: str) -> None:
    assert code_of_image(image) is None


def _folder(path: Path) -> Path:
    (path / "model").mkdir(parents=True)
    (path / "mine.py").write_text("def objective(): ...")
    (path / "model" / "net.py").write_text("layers = 2")
    return path


def test_the_code_of_files_is_the_same_wherever_they_lie(tmp_path: Path) -> None:
    first, second = code_of_files(_folder(tmp_path / "a")), code_of_files(_folder(tmp_path / "b"))
    assert first == second
    assert first.startswith("files:sha256:")
    assert len(first) == len("files:sha256:") + 64


@pytest.mark.parametrize("name", ["mine.py", "model/net.py", "train.sh", "deep/er/code.jl", "Upper.R"])
def test_a_source_file_that_is_new_or_has_changed_is_other_code(tmp_path: Path, name: str) -> None:
    before = code_of_files(_folder(tmp_path))
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("something else")
    assert code_of_files(tmp_path) != before


@pytest.mark.parametrize(
    "name",
    [
        "study.yaml", "other.yml", "data.csv", "model.pt", "README.md", ".hidden.py", ".git/hook.py",
        "__pycache__/mine.py", "out/branin/mine.py", "env/lib/module.py", "node_modules/left.js",
    ],
)  # fmt: skip
def test_data_results_and_what_is_installed_are_no_code(tmp_path: Path, name: str) -> None:
    (_folder(tmp_path) / "env").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    before = code_of_files(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("something else")
    assert code_of_files(tmp_path) == before


def test_a_file_that_is_moved_is_other_code(tmp_path: Path) -> None:
    before = code_of_files(_folder(tmp_path))
    (tmp_path / "mine.py").rename(tmp_path / "yours.py")
    assert code_of_files(tmp_path) != before


def test_a_program_that_the_command_names_is_code(tmp_path: Path) -> None:
    _folder(tmp_path)
    (tmp_path / "train").write_bytes(b"\x7fELF 1")
    command = ["./train", "--lr={lr}", "/bin/sh", "\0", "x" * 5000]
    before, without = code_of_files(tmp_path, command), code_of_files(tmp_path)
    (tmp_path / "train").write_bytes(b"\x7fELF 2")
    assert code_of_files(tmp_path, command) != before
    assert code_of_files(tmp_path) == without


def test_what_cannot_be_read_or_is_large_is_left_out(tmp_path: Path) -> None:
    before = code_of_files(_folder(tmp_path))
    (tmp_path / "huge.py").write_bytes(b"#" * (code.MOST_BYTES + 1))
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    assert code_of_files(tmp_path) == before


def test_of_many_files_the_first_ones_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "MOST_FILES", 2)
    before = code_of_files(_folder(tmp_path))
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "third.py").write_text("")
    assert code_of_files(tmp_path) == before
