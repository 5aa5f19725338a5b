"""What every store does, over the list of stores: a folder, and a bucket of each scheme."""

from __future__ import annotations

import hashlib
import inspect
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from kfp_bayesopt.errors import ExistsError, NotFoundError, TooLargeError
from kfp_bayesopt.store import gcs, storage
from kfp_bayesopt.store.entry import PART
from kfp_bayesopt.store.protocol import Store
from kfp_bayesopt.store.stores import REMOTES, store_of

FOLDER = "folder"
BUCKETS = {"gs": "bucket", "s3": "s3_bucket", "minio": "minio_bucket", "az": "az_bucket"}
"""The fixture that gives a bucket of each scheme."""
LONG = {"az"}
"""The schemes whose server is not in the environment of the tests."""


def marked(*kinds: str) -> ParameterSet:
    return pytest.param(*kinds, marks=[pytest.mark.long] if LONG.intersection(kinds) else [])


KINDS = [FOLDER, *(each.scheme for each in REMOTES)]
PLACES = [marked(kind) for kind in KINDS]
COPIES = [marked(*pair) for kind in KINDS for pair in {(kind, kind): 0, (FOLDER, kind): 0, (kind, FOLDER): 0}]
SAYS_NOTHING_OF_MISSING = ("s3://", "minio://")


def place_of(kind: str, name: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / name) if kind == FOLDER else f"{request.getfixturevalue(BUCKETS[kind])}/{name}"


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a prefix in each store; the lists of a bucket come in pages of two."""
    monkeypatch.setattr(gcs, "PAGE", 2)
    return place_of(request.param, "study", request, tmp_path)


def names(prefix: str, after: str = "") -> list[str]:
    return [entry.uri.removeprefix(prefix) for entry in storage.entries(prefix, after)]


def test_what_was_created_is_read_and_may_be_created_again(place: str) -> None:
    for content in (b"", b"one\n", bytes(range(256))):
        uri = f"{place}/a/b/{len(content)}"
        storage.create(uri, content)
        storage.create(uri, content)
        assert storage.read(uri, 256) == content


@pytest.mark.parametrize("other", [b"", b"Content", b"content of another length"])
def test_what_was_created_is_never_replaced(place: str, other: bytes) -> None:
    storage.create(f"{place}/file", b"content")
    with pytest.raises(ExistsError) as caught:
        storage.create(f"{place}/file", other)
    assert caught.value.message == (
        f"{place}/file: already exists with different content and cannot be overwritten; check what else writes there, "
        "or choose another folder"
    )
    assert storage.read(f"{place}/file", 100) == b"content"
    assert names(f"{place}/") == ["file"]


def at_once(count: int, function: Callable[[int], None]) -> list[str]:
    """Call a function in threads that begin together; return how each ended."""
    together = threading.Barrier(count)
    ends = [""] * count

    def run(number: int) -> None:
        together.wait()
        try:
            function(number)
            ends[number] = "done"
        except Exception as error:
            ends[number] = type(error).__name__

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def test_of_ten_writers_at_once_exactly_one_creates(place: str) -> None:
    for turn in range(5):
        uri = f"{place}/{turn}/claim"
        ends = at_once(10, lambda number, uri=uri: storage.create(uri, f"writer {number}".encode()))  # type: ignore[misc]
        assert sorted(ends) == ["ExistsError"] * 9 + ["done"]
        assert storage.read(uri, 100) == f"writer {ends.index('done')}".encode()


def test_ten_writers_of_the_same_content_all_succeed(place: str) -> None:
    assert at_once(10, lambda _: storage.create(f"{place}/fold", b"the same")) == ["done"] * 10


def test_what_is_derived_is_replaced_and_deleted(place: str) -> None:
    for content in (b"one", b"\x00two"):
        storage.replace(f"{place}/a/file", content)
        assert storage.read(f"{place}/a/file", 100) == content
    for there in (True, False):
        assert storage.delete(f"{place}/a/file") is (there or place.startswith(SAYS_NOTHING_OF_MISSING))
        with pytest.raises(NotFoundError):
            storage.read(f"{place}/a/file", 100)


def test_the_size_and_the_times_of_a_file_are_those_of_its_storage(place: str) -> None:
    storage.create(f"{place}/file", b"content")
    entry = storage.stat(f"{place}/file")
    assert (entry.uri, entry.size) == (f"{place}/file", 7)
    for time in (entry.created, entry.updated):
        assert time.tzinfo == UTC
        assert abs(datetime.now(UTC) - time) < timedelta(minutes=1)
    assert [entry] == list(storage.entries(f"{place}/"))
    with pytest.raises(NotFoundError):
        storage.stat(f"{place}/none")


@pytest.mark.parametrize(
    ("start", "count", "part"),
    [(0, 3, b"012"), (3, 2, b"34"), (8, 5, b"89"), (0, 10, b"0123456789"), (0, 1 << 40, b"0123456789"), (10, 5, b"")],
)
def test_a_part_is_read_and_nothing_behind_the_end(place: str, start: int, count: int, part: bytes) -> None:
    storage.create(f"{place}/file", b"0123456789")
    assert storage.read_range(f"{place}/file", start, count) == part


def test_a_part_of_nothing_is_empty_and_of_what_is_missing_refused(place: str) -> None:
    storage.create(f"{place}/empty", b"")
    assert storage.read_range(f"{place}/empty", 0, 10) == b""
    with pytest.raises(NotFoundError):
        storage.read_range(f"{place}/none", 0, 10)


TREE = ["B", "a-b/x", "a/c/d", "a/x", "a0", "b/x", "é/x", "\U0001f600"]  # in the order of their UTF-8 bytes


def test_files_are_listed_in_the_byte_order_of_their_names(place: str) -> None:
    for name in reversed([*TREE, ".new-1", "a/.new-2", ".git/x", "a/.git/x/y"]):
        storage.create(f"{place}/{name}", b"")
    assert sorted(TREE, key=str.encode) == TREE
    assert names(f"{place}/") == TREE
    assert names(f"{place}/a/") == ["c/d", "x"]
    assert storage.folders(f"{place}/") == ["a", "a-b", "b", "é"]
    assert storage.folders(f"{place}/a/") == ["c"]
    assert storage.folders(f"{place}/b/") == []


def test_only_what_comes_after_a_name_is_listed(place: str) -> None:
    for name in TREE:
        storage.create(f"{place}/{name}", b"")
    for number, name in enumerate(TREE):
        assert names(f"{place}/", f"{place}/{name}") == TREE[number + 1 :]
    assert names(f"{place}/", f"{place}/a/cc") == TREE[3:]
    assert names(f"{place}/", f"{place}/a/c/d0") == TREE[3:]
    assert names(f"{place}/", f"{place}/a/xy") == TREE[4:]


def test_a_folder_that_is_not_there_has_no_files(place: str) -> None:
    storage.create(f"{place}/folder-2/x", b"")
    assert names(f"{place}/folder/") == []
    assert storage.folders(f"{place}/folder/") == []


def test_the_list_of_a_store_says_of_each_file_what_the_file_says(place: str) -> None:
    for number in range(5):
        storage.create(f"{place}/{number}", bytes(number))
    assert list(storage.entries(f"{place}/")) == [storage.stat(f"{place}/{number}") for number in range(5)]


def test_a_list_goes_as_deep_as_is_asked_for(place: str) -> None:
    deeper = ["a", "b/c", "b/d/e", "b/d/f/g"]
    for name in deeper:
        storage.create(f"{place}/{name}", b"")
    found = [[entry.uri for entry in storage.entries(f"{place}/", depth=depth)] for depth in range(4)]
    assert found == [
        [f"{place}/{name}" for name in ("a", "b/c", "b/d/e", "b/d/f/g")[: depth + 1]] for depth in range(4)
    ]


def test_a_file_of_the_size_of_the_limit_is_read_and_a_larger_one_refused(place: str) -> None:
    storage.replace(f"{place}/limited", bytes(20_000))
    assert storage.read(f"{place}/limited", limit=20_000) == bytes(20_000)
    with pytest.raises(TooLargeError) as caught:
        storage.read(f"{place}/limited", limit=19_999)
    assert caught.value.message == (
        f"{place}/limited: has 20,000 bytes, but at most 19,999 are read; check that it is the right file"
    )


def test_what_is_missing_is_no_fault_where_it_is_deleted(place: str) -> None:
    storage.create(f"{place}/there", b"")
    assert storage.delete(f"{place}/none") is place.startswith(SAYS_NOTHING_OF_MISSING)
    storage.delete_folder(f"{place}/none", place)
    assert names(f"{place}/") == ["there"]


def test_a_folder_is_deleted_with_all_in_it_and_no_other(place: str) -> None:
    for name in ("a/b/c", "a/d", "a-b/x", "ab"):
        storage.create(f"{place}/{name}", b"")
    storage.delete_folder(f"{place}/a", place)
    assert names(f"{place}/") == ["a-b/x", "ab"]


def test_a_store_tells_the_time_once_it_was_asked(place: str) -> None:
    storage.create(f"{place}/file", b"")
    date = storage.date(place)
    assert date is not None
    assert abs(datetime.now(UTC) - date) < timedelta(minutes=1)


def test_a_store_has_what_the_others_have(place: str) -> None:
    """One that is written with an argument too few fails where it is called, which may be late."""
    store = store_of(place)
    asked = {name: each for base in Store.__mro__ for name, each in vars(base).items() if inspect.isfunction(each)}
    for name in (name for name in asked if not name.startswith("_")):
        mine, wanted = inspect.signature(getattr(store, name)), inspect.signature(asked[name])
        assert list(mine.parameters) == [each for each in wanted.parameters if each != "self"], name


# --- copies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 5, PART, PART + 1, 2 * PART + 3])
@pytest.mark.parametrize(("from_kind", "to_kind"), COPIES)
def test_a_copy_has_the_same_content_whatever_its_size(
    request: pytest.FixtureRequest, tmp_path: Path, from_kind: str, to_kind: str, size: int
) -> None:
    content = random.Random(size).randbytes(size)
    source = place_of(from_kind, "a", request, tmp_path)
    target = place_of(to_kind, "new/b", request, tmp_path)
    storage.create(source, content)
    copied = storage.copy(source, target)
    assert (copied.size, copied.md5) == (size, hashlib.md5(content).hexdigest())
    assert storage.read(target, size) == content
    assert storage.copy(source, target).md5 == copied.md5, "equal content is accepted"
    assert storage.digest(target).md5 == copied.md5
    assert sorted(path.name for path in tmp_path.rglob(".*")) == []
    if size >= PART and target.startswith("gs:"):
        return  # the fake replaces what is there; test_a_large_copy_is_created_once_whichever_request_says_so
    storage.replace(source, content[:-1] + b"other")
    with pytest.raises(ExistsError) as caught:
        storage.copy(source, target)
    assert caught.value.message == (
        f"{target}: already exists with different content and cannot be overwritten; check what else writes there, or "
        "choose another folder"
    )
    assert storage.read(target, size) == content
