"""Local files: written whole or not at all, and what is said where that cannot be."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bayesopt import storage
from bayesopt.errors import NotFoundError, UserError
from pipeline import STEP_PATHS


def said(function: object, *arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)  # type: ignore[operator]
    return caught.value.message


def test_what_was_written_is_read_and_folders_are_made(tmp_path: Path) -> None:
    path = str(tmp_path / "a" / "b" / "file.json")
    storage.write(path, b"one")
    storage.write(path, b"\x00two")
    assert storage.read(path) == b"\x00two"


def test_nothing_is_left_beside_a_written_file(tmp_path: Path) -> None:
    storage.write(str(tmp_path / "file"), b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_permissions_that_any_program_would_give_it(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        storage.write(str(tmp_path / "file"), b"one")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


SLOW_WRITER = """
import os, sys
from bayesopt import storage
def stop(_):
    print("written, but not in place", flush=True)
    sys.stdin.read()
os.fsync = stop
storage.write(sys.argv[1], b"new" * 100_000)
"""


def _slow_writer(path: Path) -> subprocess.Popen[bytes]:
    """Start a process that has written all bytes of a file and does not come to the end of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_WRITER, str(path)],
        env={**os.environ, "PYTHONPATH": STEP_PATHS[0]}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"written, but not in place\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_writer_that_is_killed_leaves_the_old_content(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with _slow_writer(path) as process:
        assert path.read_bytes() == b"old"
        process.send_signal(number)
        process.wait(10)
    assert path.read_bytes() == b"old"
    if number != signal.SIGKILL:  # which nobody can clean up after
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys; from bayesopt import storage; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); storage.write(sys.argv[1], bytes(100_000))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)], env={**os.environ, "PYTHONPATH": STEP_PATHS[0]}, capture_output=True
    )
    assert b"File too large" in ended.stderr
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        storage.read(str(tmp_path / "none"))
    assert caught.value.message == f"{tmp_path}/none: the file must exist, but it is not there"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    rule = f"{tmp_path}: a file in a folder must be named, but a folder and a file are mixed up"
    assert said(storage.read, str(tmp_path)) == rule
    assert said(storage.write, str(tmp_path), b"") == rule


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = str(tmp_path / "file" / "other")
    rule = f"{path}: a file in a folder must be named, but a folder and a file are mixed up"
    assert said(storage.read, path) == rule
    assert said(storage.write, path, b"") == rule


@pytest.mark.parametrize("uri", ["s3://bucket/object", "http://host/file", "file:///tmp/x"])
def test_other_storage_is_refused_by_name(uri: str) -> None:
    rule = f"{uri}: a gs:// URI or a local path must be given; no other storage is supported"
    assert said(storage.read, uri) == rule
    assert said(storage.write, uri, b"") == rule


def test_a_file_that_may_not_be_read_or_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    path.chmod(0)
    tmp_path.chmod(0o500)
    rule = f"{path}: permission denied; let this user read and write there"
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read and write everything
    try:
        assert said(storage.read, str(path)) == rule
        assert said(storage.write, str(path), b"") == rule
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)


def test_a_gs_path_without_the_client_library_says_what_is_missing(tmp_path: Path) -> None:
    """`make run` installs no google-cloud-storage."""
    code = (
        "import sys; sys.modules['google.cloud.storage'] = None; from bayesopt import storage\n"
        "try: storage.read('gs://bucket/object')\nexcept Exception as error: print(type(error).__name__, error)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": STEP_PATHS[0]}, capture_output=True, text=True
    )
    assert ended.stdout.startswith(
        "UserError a gs:// path needs google-cloud-storage, which is not installed here ("
    ), ended.stderr
