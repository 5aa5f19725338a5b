"""Local files: written whole or not at all, and what is said where that cannot be."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bayesopt import storage
from bayesopt.errors import NotFoundError, UserError
from pipeline import COMMON


def said(function: object, *arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)  # type: ignore[operator]
    return caught.value.message


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def run_code(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": COMMON},
        capture_output=True,
        text=True,
    )


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
        env={**os.environ, "PYTHONPATH": COMMON}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
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


def test_a_limit_on_the_size_of_files_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys; from bayesopt import storage; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: storage.write(sys.argv[1], bytes(100_000))\nexcept Exception as error: print(error.message)"
    )
    assert run_code(code, str(path)).stdout == (
        f"{path}: File too large; raise the limit on the size of files, then run the same command again\n"
    )
    assert contents(tmp_path) == {"file": b"old"}


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "No space left on device; free some space, then run the same command again"),
        (errno.EDQUOT, "Disk quota exceeded; free some space or raise the quota, then run the same command again"),
        (errno.EROFS, "Read-only file system; choose a folder that can be written"),
        (errno.EIO, "Input/output error; check the disk, then run the same command again"),
        (errno.EMFILE, "Too many open files; raise the limit with `ulimit -n`, then run the same command again"),
        (errno.ESTALE, "Stale file handle; check the path and the disk"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_is_one_message_and_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, message: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    assert said(storage.write, str(path), b"new") == f"{path}: {message}"
    assert contents(tmp_path) == {"file": b"old"}


def test_too_many_open_files_are_one_message(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from bayesopt import storage; from bayesopt.errors import UserError\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "for attempt in (storage.read, lambda path: storage.write(path, b'new')):\n"
        "    try: attempt(sys.argv[1])\n"
        "    except UserError as error: print(error.message)\n"
    )
    (tmp_path / "file").write_bytes(b"old")
    said_twice = run_code(code, str(tmp_path / "file")).stdout
    message = (
        f"{tmp_path}/file: Too many open files; raise the limit with `ulimit -n`, then run the same command again\n"
    )
    assert said_twice == message * 2
    assert contents(tmp_path) == {"file": b"old"}


def test_paths_that_no_file_can_have_are_one_message(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path, message in (
        (f"{tmp_path}/{'x' * 256}", f"{tmp_path}/{'x' * 256}: File name too long; choose a shorter path"),
        (f"{tmp_path}/loop", f"{tmp_path}/loop: Too many levels of symbolic links; correct the symbolic links"),
        ("a\0b", "'a\\x00b': not a path (embedded null byte); correct its characters"),
        ("", "the path is empty; give a gs:// URI or a local path"),
        ("gs:/bucket/object", "gs:/bucket/object: not a gs:// URI; did you mean gs://bucket/object?"),
    ):
        for attempt in (storage.read, storage.size, lambda name: storage.write(name, b"")):
            assert said(attempt, path) == message
    assert contents(tmp_path) == {}


def test_a_name_as_long_as_names_can_be_is_written(tmp_path: Path) -> None:
    storage.write(str(tmp_path / ("x" * 255)), b"content")
    assert contents(tmp_path) == {"x" * 255: b"content"}


# --- limits, and what is no plain file -----------------------------------------------------------


def test_a_file_of_the_size_of_the_limit_is_read_and_a_larger_one_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    storage.write(path, bytes(1000))
    assert storage.size(path) == 1000
    assert storage.read(path, limit=1000) == bytes(1000)
    with pytest.raises(UserError) as caught:
        storage.read(path, limit=999)
    assert caught.value.message == (
        f"{path}: has 1,000 bytes, but at most 999 are read; check that it is the right file"
    )


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="has 1,099,511,627,776 bytes, but at most 1,000 are read"):
        storage.read(str(tmp_path / "huge"), limit=1000)


def test_a_pipe_a_device_and_a_socket_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path in (f"{tmp_path}/pipe", f"{tmp_path}/socket", "/dev/zero", "/dev/null", "/dev/full"):
            for attempt in (storage.read, storage.size, lambda name: storage.write(name, b"")):
                assert said(attempt, path) == f"{path}: expected a plain file, but it is a device, a pipe or a socket"


@pytest.mark.parametrize("path", ["/proc/self/status", "/proc/self/mountinfo"])
def test_files_that_do_not_say_their_size_are_refused(path: str) -> None:
    assert said(storage.read, path) == (
        f"{path}: its content does not have the size that the file says, as files of /proc, or files that another "
        "program is writing; copy it, and give the copy"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        storage.read(str(tmp_path / "none"))
    assert caught.value.message == f"{tmp_path}/none: no such file"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    rule = f"{tmp_path}: expected a file, but it is a folder"
    assert said(storage.read, str(tmp_path)) == rule
    assert said(storage.write, str(tmp_path), b"") == rule


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = str(tmp_path / "file" / "other")
    rule = f"{path}: a folder of this path is a file; choose another path"
    assert said(storage.read, path) == rule
    assert said(storage.write, path, b"") == rule


@pytest.mark.parametrize("uri", ["s3://bucket/object", "http://host/file", "file:///tmp/x"])
def test_other_storage_is_refused_by_name(uri: str) -> None:
    rule = f"{uri}: only gs:// URIs and local paths are supported"
    assert said(storage.read, uri) == rule
    assert said(storage.write, uri, b"") == rule


def test_a_file_that_may_not_be_read_or_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    path.chmod(0)
    tmp_path.chmod(0o500)
    rule = f"{path}: permission denied; give this user access to the file and its folder"
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read and write everything
    try:
        assert said(storage.read, str(path)) == rule
        assert said(storage.write, str(path), b"") == rule
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)


def test_a_gs_path_without_the_client_library_says_what_is_missing() -> None:
    """`make run` installs no google-cloud-storage."""
    code = (
        "import sys; sys.modules['google.cloud.storage'] = None; from bayesopt import storage\n"
        "try: storage.read('gs://bucket/object')\nexcept Exception as error: print(type(error).__name__, error)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": COMMON}, capture_output=True, text=True
    )
    assert ended.stdout.startswith(
        "UserError a gs:// path needs google-cloud-storage, which is not installed here ("
    ), ended.stderr
