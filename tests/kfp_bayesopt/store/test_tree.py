"""A folder of files is copied whole or not at all, wherever it goes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.tree import Tree

FILES = {"w": b"weights", "deep/er/.hidden": b"", "large": bytes(9 << 20)}


@pytest.fixture(params=["disk", "bucket"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    where = str(tmp_path) if request.param == "disk" else request.getfixturevalue("bucket")
    return f"{where}/run/model"


def a_tree(folder: Path, *, folders: tuple[str, ...] = ()) -> Tree:
    files: dict[str, tuple[str, str | None]] = {}
    for number, (name, content) in enumerate(FILES.items()):
        path = folder / f"kept-{number}"
        path.write_bytes(content)
        files[name] = (str(path), hashlib.md5(content, usedforsecurity=False).hexdigest())
    return Tree(files, list(folders))


def there(target: str) -> dict[str, bytes]:
    """Return what is at the target, names that begin with a dot included."""
    if storage.is_local(target):
        found = {path.relative_to(target).as_posix(): path for path in Path(target).rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items()}
    names = {*FILES, *(entry.uri.removeprefix(f"{target}/") for entry in storage.entries(f"{target}/"))}
    content = {}
    for name in names:
        try:
            content[name] = storage.read(f"{target}/{name}", 10 << 20)
        except NotFoundError:
            continue
    return content


def test_a_tree_is_copied_part_by_part_in_place_of_what_an_earlier_attempt_has_left(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("old", "w", "deep/er/.hidden"):
        storage.create(f"{target}/{name}", b"of the attempt before")
    with monkeypatch.context() as patch:
        patch.delattr(storage, "read")  # which would hold a whole file in memory
        assert a_tree(tmp_path).copy_to(target) is None
    assert there(target) == FILES


def test_a_tree_on_a_disk_has_its_empty_folders(tmp_path: Path) -> None:
    assert a_tree(tmp_path, folders=("empty/one", "two")).copy_to(f"{tmp_path}/into") is None
    assert (tmp_path / "into/empty/one").is_dir()
    assert (tmp_path / "into/two").is_dir()
    assert Tree().copy_to(f"{tmp_path}/nothing") is None
    assert list((tmp_path / "nothing").iterdir()) == []


def test_a_tree_that_is_not_whole_leaves_nothing_and_says_what_is_wrong(target: str, tmp_path: Path) -> None:
    tree = a_tree(tmp_path)
    kept = Path(tree.files["w"][0])
    kept.write_bytes(b"other")
    assert tree.copy_to(target) == "is not whole: of its 3 files w was changed"
    kept.unlink()
    assert tree.copy_to(target) == "is not whole: of its 3 files w is missing"
    assert there(target) == {}


def test_a_name_that_a_bucket_cannot_have_is_said_before_anything_is_copied(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("w")
    tree = Tree({"new\nline": (f"{tmp_path}/kept", None), "a\x01": (f"{tmp_path}/kept", None)})
    assert tree.copy_to(f"{bucket}/model") == (
        r"is not whole: of its 2 files 'new\nline' has a name that a bucket cannot have, and 1 more"
    )
    assert there(f"{bucket}/model") == {}


def test_a_tree_is_never_written_out_of_its_folder_nor_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("w")
    with pytest.raises(UserError, match="a name of a file below a folder has no empty part"):
        Tree({"../outside": (f"{tmp_path}/kept", None)}).copy_to(f"{tmp_path}/deep/model")
    assert not (tmp_path / "deep/outside").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/w").write_text("mine")
    (tmp_path / "model").symlink_to(tmp_path / "mine")
    assert Tree({"w": (f"{tmp_path}/kept", None)}).copy_to(f"{tmp_path}/model") is None
    assert (tmp_path / "mine/w").read_text() == "mine"
    assert not (tmp_path / "model").is_symlink()
