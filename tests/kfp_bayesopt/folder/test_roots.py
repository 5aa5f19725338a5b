"""Where a study lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from kfp_bayesopt.folder.roots import changed_root, local_root, move_aside, root_of
from kfp_bayesopt.store import storage
from tests.builders import a_study


@pytest.fixture(params=["here", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a pipeline root on a disk and one in a bucket."""
    return str(tmp_path) if request.param == "here" else f"{request.getfixturevalue('bucket')}/runs"


def test_the_folder_of_a_study_follows_from_what_identifies_it(place: str) -> None:
    study = a_study()
    root = f"{place}/studies/branin/{study.fingerprint}/0001"
    assert root_of(place, study) == root
    assert root_of(f"{place}/", a_study(iterations=9)) == root, "the budget is no part of it"
    assert root_of(place, a_study(direction="maximize")) != root


def test_the_highest_run_is_the_current_one_and_a_fresh_one_comes_next(place: str) -> None:
    study = a_study()
    home = f"{place}/studies/branin/{study.fingerprint}"
    assert root_of(place, study, fresh=True) == f"{home}/0001", "there is nothing to leave behind"
    for run in ("0001", "0002", "9999", "notes", "12"):
        storage.create(f"{home}/{run}/trials.jsonl", b"")
    assert root_of(place, study) == f"{home}/9999"
    assert root_of(place, study, fresh=True) == f"{home}/10000"
    storage.create(f"{home}/10000/trials.jsonl", b"")
    assert root_of(place, study) == f"{home}/10000"


def test_a_study_here_is_in_a_folder_of_its_name_where_none_is_named() -> None:
    assert local_root(a_study()) == "out/branin"


def test_a_study_is_at_the_root_of_the_repository_or_where_results_already_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path / "models")
    assert local_root(a_study()) == "../out/branin"
    Path("out").mkdir()
    assert local_root(a_study()) == "out/branin"


def test_two_repositories_have_a_folder_each_for_studies_of_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = []
    for name in ("first", "second"):
        (tmp_path / name / ".git").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / name)
        roots.append(Path(local_root(a_study())).absolute())
    assert roots == [tmp_path / "first" / "out" / "branin", tmp_path / "second" / "out" / "branin"]


def test_what_a_folder_holds_is_moved_aside_and_its_lock_stays(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    for content in ("first", "second"):  # in the same second, too
        folder.mkdir(exist_ok=True)
        (folder / ".lock").write_text("")
        (folder / "best.json").write_text(content)
        move_aside(folder)
        assert [path.name for path in folder.iterdir()] == [".lock"]
    aside = sorted(path for path in tmp_path.iterdir() if path != folder)
    assert [(path / "best.json").read_text() for path in aside] == ["first", "second"]


def test_where_there_is_nothing_nothing_is_moved(tmp_path: Path) -> None:
    move_aside(tmp_path / "nowhere")
    move_aside(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_was_changed_finds_where_it_was_before(place: str) -> None:
    study, before = a_study(), a_study(direction="maximize")
    assert changed_root(place, study) is None
    for each, run in ((before, "0001"), (before, "0002"), (study, "0001")):
        storage.create(f"{place}/studies/branin/{each.fingerprint}/{run}/study/{'0' * 64}.yaml", b"")
    assert changed_root(place, study) == f"{place}/studies/branin/{before.fingerprint}/0002"
    assert changed_root(place, before) == f"{place}/studies/branin/{study.fingerprint}/0001"
    assert changed_root(place, a_study(name="other")) is None
