"""What is read of a file that somebody else appends to."""

from __future__ import annotations

from pathlib import Path

from kfp_bayesopt.trial.process.tail import READ_AT_ONCE, Tail


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_lines_come_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    tail = Tail(path)
    assert tail.read() is None
    append(path, b"one\ntw")
    assert tail.read() == [b"one"]
    assert tail.read() is None
    append(path, b"o\n\nthree\n")
    assert tail.read() == [b"two", b"three"]


def test_a_large_file_comes_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    append(path, b"0123456789\n" * (READ_AT_ONCE // 4))
    tail, found = Tail(path), list[bytes]()
    while (lines := tail.read()) is not None:
        found += lines
    assert found == [b"0123456789"] * (READ_AT_ONCE // 4)


def test_a_file_that_is_begun_anew_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "file"
    append(path, b"one\ntwo\n")
    tail = Tail(path)
    assert tail.read() == [b"one", b"two"]
    path.write_bytes(b"new\n")
    assert tail.read() == [b"new"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"secret\n")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert Tail(tmp_path / "link").read() is None


def test_a_line_without_an_end_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    append(path, b"x" * (3 * READ_AT_ONCE) + b"\nlast\n")
    tail = Tail(path)
    found = [tail.read() for _ in range(4)]
    assert found[:3] == [[], [], []]
    assert found[3] is not None
    assert len(found[3][0]) <= 2 * READ_AT_ONCE
    assert found[3][1] == b"last"
