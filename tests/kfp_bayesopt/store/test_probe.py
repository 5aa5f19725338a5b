"""The probe of a store: what keeps its promises may hold studies, and what breaks one is refused by what it did."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.errors import NotFoundError, RetainedError, UserError
from kfp_bayesopt.store import gcs, local, probe, storage
from kfp_bayesopt.store.entry import Entry
from kfp_bayesopt.store.probe import CHECKS, PASSED, Probed, trust
from kfp_bayesopt.store.protocol import Store
from kfp_bayesopt.store.stores import store_of
from tests.kfp_bayesopt.store.test_stores import PLACES, place_of


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a long list have few objects, a large object be small, and a disk be fast: no power is cut here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(probe, "MANY", 30)
    monkeypatch.setattr(probe, "LARGE", 10_001)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return place_of(request.param, "probed", request, tmp_path)


def hidden(root: str) -> list[str]:
    """Return the names at a root that nobody looks at."""
    if storage.is_local(root):
        return sorted(path.name for path in Path(root).iterdir()) if Path(root).exists() else []
    scheme, _, rest = root.partition("://")
    bucket, _, name = rest.partition("/")
    if scheme == "gs":
        found = [blob.name for blob in gcs._client().list_blobs(bucket, prefix=f"{name}/")]
    else:
        store = store_of(root)._store(bucket)  # type: ignore[attr-defined]
        found = [each["path"] for page in obstore.list(store, f"{name}/") for each in page]
    return sorted(each.removeprefix(f"{name}/") for each in found)


# --- stores that keep what they promise -------------------------------------------------------------


@pytest.mark.parametrize("short", [False, True])
def test_a_good_store_is_trusted_and_left_as_it_was(place: str, short: bool) -> None:
    probed = probe.probe(place, short=short)
    assert probed.problem is None
    assert {each.check for each in probed.findings if each.verdict != "right"} <= {"checksums", "delete"}
    assert [each.check for each in probed.findings] == [each.name for each in CHECKS if each.is_short or not short]
    assert hidden(place) == []


def test_the_folders_of_a_disk_that_were_not_there_are_gone_again(tmp_path: Path) -> None:
    probe.probe(str(tmp_path / "a/b"), short=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    probe.probe(str(tmp_path / "a/b"), short=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


def test_a_root_of_a_bucket_that_has_passed_is_not_tried_again(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trust(place)
    is_bucket = not storage.is_local(place)
    assert hidden(place) == [PASSED] * is_bucket
    assert list(storage.entries(f"{place}/")) == []
    tried: list[str] = []

    def tries(root: str, *_: object, **__: object) -> Probed:
        tried.append(root)
        return Probed(root, [])

    monkeypatch.setattr(probe, "probe", tries)
    trust(place)
    assert tried == [place] * (not is_bucket)
    if is_bucket:
        for other in (b"", b"[]", b'{"form": 0}', b"\xff"):
            storage.replace(f"{place}/{PASSED}", other)
            tried.clear()
            trust(place)
            assert tried == [place], other


# --- stores that lie --------------------------------------------------------------------------------


class _Lying:
    """A disk that breaks promises: each subclass one."""

    def __getattr__(self, name: str) -> Any:
        return getattr(local, name)


class _ManyCreate(_Lying):
    """Looks whether a name is there, and writes a moment later, as SeaweedFS did until March 2026."""

    def create(self, uri: str, content: bytes) -> bool:
        is_there = Path(uri).exists()
        time.sleep(0.002)
        if not is_there:
            local.replace(uri, content, False)
        return not is_there


class _Ignores(_Lying):
    """Does not know that an object is to be new."""

    def create(self, uri: str, content: bytes) -> bool:
        local.replace(uri, content, False)
        return True


class _Silent(_Lying):
    """Says to one creator at most that it has won, and keeps what another one wrote."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def create(self, uri: str, content: bytes) -> bool:
        with self._lock:
            created = local.create(uri, content)
            if not created and "/creators/" in uri:
                local.replace(uri, content, False)
            return created


class _Stale(_Lying):
    """Lists what was there some writes ago."""

    def __init__(self) -> None:
        self._seen: dict[str, list[Entry]] = {}

    def entries(self, prefix: str, after: str, depth: int | None, links: bool) -> Iterator[Entry]:
        before = self._seen.get(prefix, [])
        self._seen[prefix] = list(local.entries(prefix, after, depth, links))
        return iter(before)


class _ByFolder(_Lying):
    """Lists by folder, and takes what it is to list after for a place in that order."""

    def entries(self, prefix: str, after: str, depth: int | None, links: bool) -> Iterator[Entry]:
        found = sorted(local.entries(prefix, "", depth, links), key=lambda entry: entry.uri.split("/"))
        return iter([entry for entry in found if entry.uri.split("/") > after.split("/")])


class _Unsorted(_Lying):
    def entries(self, prefix: str, after: str, depth: int | None, links: bool) -> Iterator[Entry]:
        return iter(list(local.entries(prefix, after, depth, links))[::-1])


class _OnePage(_Lying):
    def entries(self, prefix: str, after: str, depth: int | None, links: bool) -> Iterator[Entry]:
        return iter(list(local.entries(prefix, after, depth, links))[:20])


class _OldContent(_Lying):
    """Gives the content of before for a while."""

    def replace(self, uri: str, content: bytes, lasting: bool = True) -> None:
        if not Path(uri).exists():
            local.replace(uri, content, lasting)


class _WholeForPart(_Lying):
    def read_range(self, uri: str, start: int, count: int) -> bytes:
        return local.read(uri, 10**9)[:count]


class _KeepsTheDeleted(_Lying):
    def delete(self, uri: str, below: str | None = None) -> bool:
        return True


class _CutsLarge(_Lying):
    def create_from(self, uri: str, source: Any) -> bool:
        return local.create(uri, b"".join(source.parts())[:-1])


class _LateRead(_Lying):
    """Has what was written only when it is asked the second time."""

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def read(self, uri: str, limit: int, patience: float | None = None) -> bytes:
        if uri not in self._asked:
            self._asked.add(uri)
            raise NotFoundError(f"{uri}: no such object")
        return local.read(uri, limit)


class _NothingIsMissing(_Lying):
    def read(self, uri: str, limit: int, patience: float | None = None) -> bytes:
        try:
            return local.read(uri, limit)
        except NotFoundError:
            return b""


class _OtherTimes(_Lying):
    def entries(self, prefix: str, after: str, depth: int | None, links: bool) -> Iterator[Entry]:
        for entry in local.entries(prefix, after, depth, links):
            yield Entry(entry.uri, entry.size, entry.created, entry.updated - timedelta(hours=1))


LIARS: dict[type[_Lying], str] = {
    _ManyCreate: "creators of one name at once",
    _Ignores: "create what is there",
    _Silent: "creators of one name at once",
    _Stale: "list after write",
    _ByFolder: "list after a name",
    _Unsorted: "list after a name",
    _OnePage: "long list",
    _OldContent: "replace",
    _WholeForPart: "part of an object",
    _KeepsTheDeleted: "delete",
    _CutsLarge: "large object",
    _NothingIsMissing: "read",
    _LateRead: "read",
    _OtherTimes: "clock",
}


@pytest.mark.parametrize("liar", LIARS)
def test_a_store_that_lies_is_refused_by_what_it_did(liar: Callable[[], Store], tmp_path: Path) -> None:
    probed = probe.probe(str(tmp_path / "root"), liar())
    refused = {each.check for each in probed.findings if each.verdict == "refused"}
    assert LIARS[liar] in refused  # type: ignore[index]
    assert probed.problem is not None
    assert probed.problem.startswith(f"{tmp_path}/root: its store does not keep what studies rely on, and would lose")
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("liar", [_ManyCreate, _Ignores, _Silent, _Stale, _ByFolder, _Unsorted, _OldContent])
def test_what_loses_trials_is_found_by_the_short_form(
    liar: Callable[[], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = liar()
    monkeypatch.setattr(probe, "store_of", lambda _: store)
    with pytest.raises(UserError, match="would lose trials"):
        trust(str(tmp_path / "root"))


def test_each_check_has_a_store_that_fails_it() -> None:
    assert {check.name for check in CHECKS} - set(LIARS.values()) == {"checksums"}


def test_what_several_creators_were_told_is_said(tmp_path: Path) -> None:
    problem = probe.probe(str(tmp_path), _Ignores(), short=True).problem
    assert problem == (
        f"{tmp_path}: its store does not keep what studies rely on, and would lose trials (creators of one name at "
        "once: 8 of 8 that created one name at once were told that they had; create what is there: an object that was "
        "there was replaced by one that was to be new); update the store, or choose another one (docs/stores.md)"
    )


# --- what is noted ----------------------------------------------------------------------------------


class _Keeps(_Lying):
    """A bucket with a retention policy."""

    def replace(self, uri: str, content: bytes, lasting: bool = True) -> None:
        if not local.create(uri, content):
            raise RetainedError("is kept")

    def delete(self, uri: str, below: str | None = None) -> bool:
        raise RetainedError("is kept")

    def delete_folder(self, uri: str, below: str) -> None:
        raise RetainedError("is kept")


class _AnHourAhead(_Lying):
    def _later(self, entry: Entry) -> Entry:
        hour = timedelta(hours=1)
        return Entry(entry.uri, entry.size, entry.created + hour, entry.updated + hour)

    def stat(self, uri: str, patience: float | None = None) -> Entry:
        return self._later(local.stat(uri))

    def entries(self, prefix: str, after: str, depth: int | None, links: bool) -> Iterator[Entry]:
        return map(self._later, local.entries(prefix, after, depth, links))

    def date(self, root: str) -> datetime | None:
        date = local.date(root)
        return date + timedelta(hours=1) if date else None


def test_a_bucket_that_keeps_what_is_there_is_trusted_and_what_is_left_is_said(tmp_path: Path) -> None:
    probed = probe.probe(str(tmp_path / "root"), _Keeps())
    assert probed.problem is None
    noted = {each.check: each.found for each in probed.findings if each.verdict == "noted"}
    assert noted.keys() == {"replace", "delete", "checksums", "clean-up"}
    assert noted["clean-up"] == "what was written for this is left (is kept)"


def test_a_clock_an_hour_ahead_is_noted(tmp_path: Path) -> None:
    probed = probe.probe(str(tmp_path), _AnHourAhead())
    (clock,) = [each for each in probed.findings if each.check == "clock"]
    assert (clock.verdict, clock.found) == (
        "noted",
        "it is 1:00:00 ahead of this machine's: set the one that is wrong; ages go by the store's",
    )


# --- the command ------------------------------------------------------------------------------------


def test_the_command_prints_what_was_found(place: str) -> None:
    result = CliRunner().invoke(cli, ["store", place])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "right    creators of one name at once  10 rounds of 10: one each"
    assert len(lines) == len(CHECKS) + 1
    assert lines[-1] == f"{place}: studies may be here"
    document = json.loads(CliRunner().invoke(cli, ["store", place, "--json"]).output)
    assert (document["root"], document["problem"]) == (place, None)
    assert [each["check"] for each in document["findings"]] == [each.name for each in CHECKS]


def test_the_command_refuses_a_store_that_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "store_of", lambda _: _Ignores())
    result = CliRunner().invoke(cli, ["store", str(tmp_path), "--json"])
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert result.stderr == f"Error: {document['problem']}\n"
    assert document["findings"][0]["verdict"] == "refused"


def test_the_command_says_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(cli, ["store", str(tmp_path / "file")])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
