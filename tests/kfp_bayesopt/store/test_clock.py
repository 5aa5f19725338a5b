"""A clock that is not the storage's is said."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kfp_bayesopt.store import clock, storage

DAY = timedelta(days=1)


def wrong_by(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    monkeypatch.setattr(clock, "here", lambda: datetime.now(UTC) + ahead)


def test_a_clock_that_is_the_storages_is_not_worth_a_word(bucket: str, tmp_path: Path) -> None:
    storage.create(f"{bucket}/x", b"1")
    assert clock.warning(str(tmp_path)) is None
    assert clock.warning(f"{bucket}/study") is None


@pytest.mark.parametrize(("ahead", "word"), [(DAY, "ahead of"), (-DAY, "behind")])
def test_a_clock_that_is_wrong_by_a_day_is_said_in_a_sentence(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: timedelta, word: str
) -> None:
    storage.create(f"{bucket}/x", b"1")
    wrong_by(monkeypatch, ahead)
    for root in (str(tmp_path), f"{bucket}/study"):
        said = clock.warning(root)
        assert said is not None
        before, _, after = said.partition(word)
        assert before.startswith("the clock of this machine is ")
        assert before.rstrip().endswith(("1 day, 0:00:00", "23:59:59", "23:59:58", "1 day, 0:00:01"))
        assert after == (f" that of the storage of {root}; set it, as the times that it writes are wrong by as much")
        assert abs(clock.now(root) - datetime.now(UTC)) < timedelta(seconds=3), "ages are by the storage's clock"


def test_a_bucket_that_has_not_answered_yet_says_nothing(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from kfp_bayesopt.store import gcs

    monkeypatch.setattr(gcs, "_latest", None)
    wrong_by(monkeypatch, DAY)
    assert clock.warning(f"{bucket}/study") is None


def test_asking_a_disk_for_the_time_leaves_nothing_there(tmp_path: Path) -> None:
    before = tmp_path.stat().st_mtime_ns
    assert storage.date(str(tmp_path)) is not None
    assert list(tmp_path.iterdir()) == []
    assert tmp_path.stat().st_mtime_ns == before


def test_of_a_folder_that_is_not_there_or_cannot_be_written_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_by(monkeypatch, DAY)
    assert clock.warning(str(tmp_path / "nothing")) is None
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.getuid():
        assert clock.warning(str(tmp_path)) is None
    assert clock.warning("/proc") is None
