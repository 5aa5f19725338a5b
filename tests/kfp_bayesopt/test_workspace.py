"""The files of a person are found where they stand, and upwards to the root of their repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kfp_bayesopt import workspace
from kfp_bayesopt.errors import UserError


@pytest.fixture(autouse=True)
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand two folders below the root of a repository."""
    folder = tmp_path / "a repository" / "models" / "large"
    folder.mkdir(parents=True)
    (tmp_path / "a repository" / ".git").mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_the_nearest_file_counts_and_its_path_is_as_a_person_types_it() -> None:
    assert workspace.found("study.yaml") is None
    Path("../../study.yaml").touch()
    assert workspace.found("study.yaml") == Path("../../study.yaml")
    Path("../study.yaml").touch()
    assert workspace.found("study.yaml") == Path("../study.yaml")
    Path("study.yaml").touch()
    assert str(workspace.found("study.yaml")) == "study.yaml"


def test_a_relative_path_is_looked_for_as_a_whole() -> None:
    Path("../../studies").mkdir()
    Path("../../studies/mine.yaml").touch()
    Path("studies").mkdir()
    assert workspace.found("studies/mine.yaml") == Path("../../studies/mine.yaml")


def test_what_is_not_meant_is_passed_over() -> None:
    Path(".env").mkdir()  # an environment of Python
    Path("../../.env").touch()
    assert workspace.found(".env", os.path.isfile) == Path("../../.env")


def test_nothing_above_the_repository_counts(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").touch()
    (tmp_path / "out").mkdir()
    assert workspace.found("study.yaml") is None
    assert workspace.out() == Path("../../out")


def test_outside_of_a_repository_only_the_working_folder_counts(deep: Path) -> None:
    (deep.parent.parent / ".git").rmdir()
    Path("../study.yaml").touch()
    Path("../out").mkdir()
    assert workspace.repository() is None
    assert workspace.found("study.yaml") is None
    assert str(workspace.out("branin")) == "out/branin"


def test_results_go_to_the_nearest_folder_else_to_the_root_of_the_repository() -> None:
    assert str(workspace.out()) == "../../out"
    assert str(workspace.out("branin", "images.json")) == "../../out/branin/images.json"
    Path("out").touch()  # a file is no folder of results
    assert str(workspace.out()) == "../../out"
    Path("../out").mkdir()
    assert str(workspace.out()) == "../out"
    assert not Path("../../out").exists()  # asking makes nothing


def test_a_worktree_and_a_submodule_are_repositories_of_their_own(deep: Path) -> None:
    Path("../.git").write_text("gitdir: /somewhere/.git/worktrees/large\n")
    assert workspace.repository() == deep.parent
    assert str(workspace.out()) == "../out"


def test_a_repository_behind_a_link_is_found(deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(deep.parent)
    monkeypatch.chdir(tmp_path / "link" / "large")
    Path("../../study.yaml").touch()
    found = workspace.found("study.yaml")
    assert found is not None
    assert found.resolve() == (deep.parent.parent / "study.yaml").resolve()


def test_a_working_folder_that_was_deleted_is_named(deep: Path) -> None:
    deep.rmdir()
    for ask in (workspace.repository, workspace.out, lambda: workspace.found("study.yaml")):
        with pytest.raises(UserError, match=r"^the working folder was deleted or moved away; change to one that exis"):
            ask()
