"""Local files: whole or not there, and what is said where that cannot be."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import NoRoomError, NotFoundError, UnavailableError, UserError
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.local import path_below
from kfp_bayesopt.store.stores import ALL


def said(function: object, *arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)  # type: ignore[operator]
    return caught.value.message


def read(path: str) -> bytes:
    return storage.read(path, limit=1000)


ATTEMPTS: list[Callable[[str], object]] = [
    read,
    lambda path: storage.read_range(path, 0, 1000),
    storage.stat,
    lambda path: storage.create(path, b""),
    lambda path: storage.replace(path, b""),
]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def run_code(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
    )


def names(prefix: str, after: str = "") -> list[str]:
    return [entry.uri.removeprefix(prefix) for entry in storage.entries(prefix, after)]


# --- local files ---------------------------------------------------------------------------------


def test_nothing_is_left_beside_a_written_file(tmp_path: Path) -> None:
    storage.replace(str(tmp_path / "file"), b"one")
    storage.create(str(tmp_path / "other"), b"one")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "other"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_permissions_that_any_program_would_give_it(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        storage.replace(str(tmp_path / "file"), b"one")
        storage.create(str(tmp_path / "other"), b"one")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {mode}


SLOW_WRITER = """
import os, sys
from kfp_bayesopt.store import storage
def stop(*_, **__):
    print("written, but not in place", flush=True)
    sys.stdin.read()
setattr(os, sys.argv[3], stop)
getattr(storage, sys.argv[2])(sys.argv[1], b"new" * 100_000)
"""


def _slow_writer(path: Path, operation: str = "replace", call: str = "fsync") -> subprocess.Popen[bytes]:
    """Start a process that has written all bytes of a file, and stops at a call of the system before it is in place."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_WRITER, str(path), operation, call],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
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


@pytest.mark.parametrize("call", ["fsync", "link"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_creator_that_is_killed_leaves_nothing_that_anybody_sees(
    tmp_path: Path, number: signal.Signals, call: str
) -> None:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    with _slow_writer(path, "create", call) as process:
        assert names(f"{tmp_path}/") == []
        process.send_signal(number)
        process.wait(10)
    assert names(f"{tmp_path}/") == storage.folders(f"{tmp_path}/") == []
    storage.create(str(path), b"other")
    assert names(f"{tmp_path}/") == ["folder/file"]


def test_a_limit_on_the_size_of_files_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys\nfrom kfp_bayesopt.store import storage\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: storage.replace(sys.argv[1], bytes(100_000))\nexcept Exception as error: print(error.message)"
    )
    assert run_code(code, str(path)).stdout == (
        f"{path}: File too large; raise the limit on the size of files, then run the same command again\n"
    )
    assert contents(tmp_path) == {"file": b"old"}


@pytest.mark.parametrize(
    ("number", "message", "kind"),
    [
        (errno.ENOSPC, "No space left on device; free some space, then run the same command again", NoRoomError),
        (
            errno.EDQUOT,
            "Disk quota exceeded; free some space or raise the quota, then run the same command again",
            NoRoomError,
        ),
        (errno.EROFS, "Read-only file system; choose a folder that can be written", UserError),
        (errno.EIO, "Input/output error; check the disk, then run the same command again", UnavailableError),
        (
            errno.EMFILE,
            "Too many open files; raise the limit with `ulimit -n`, then run the same command again",
            UnavailableError,
        ),
        (errno.ESTALE, "Stale file handle; check the network disk, then run the same command again", UnavailableError),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_is_one_message_and_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, message: str, kind: type[UserError]
) -> None:
    """What may be over soon is told from what is not, so that a step is run again."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(UserError) as caught:
        storage.replace(str(path), b"new")
    assert (type(caught.value), caught.value.message) == (kind, f"{path}: {message}")
    assert contents(tmp_path) == {"file": b"old"}
    if call == "replace":
        monkeypatch.setattr(os, "link", fail)
    assert said(storage.create, f"{path}-2", b"new") == f"{path}-2: {message}"
    assert contents(tmp_path) == {"file": b"old"}


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_hard_links_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)
    assert said(storage.create, f"{tmp_path}/file", b"new") == (
        f"{tmp_path}/file: its file system has no hard links, which make sure that nothing is replaced; choose a "
        "folder on another one, such as a disk of this machine"
    )
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("operation", [storage.create, storage.replace])
def test_a_file_its_folder_and_new_folders_above_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: Callable[[str, bytes], None]
) -> None:
    synced: list[str] = []
    real = os.fsync

    def note(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        real(handle)

    monkeypatch.setattr(os, "fsync", note)
    operation(f"{tmp_path}/a/b/file", b"content")
    assert [name if not name.startswith(".new-") else "file" for name in synced] == ["a", tmp_path.name, "file", "b"]


def test_a_folder_that_cannot_be_synced_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def refuse(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    storage.create(f"{tmp_path}/a/file", b"content")
    assert names(f"{tmp_path}/") == ["a/file"]


def test_a_list_follows_links_and_leaves_out_what_is_no_plain_file(tmp_path: Path) -> None:
    (tmp_path / "far" / "trials").mkdir(parents=True)
    (tmp_path / "far" / "trials" / "x").write_bytes(b"content")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "empty").mkdir()
    (tmp_path / "study" / "trials").symlink_to(tmp_path / "far" / "trials")
    (tmp_path / "study" / "nowhere").symlink_to("none")
    os.mkfifo(tmp_path / "study" / "pipe")
    assert names(f"{tmp_path}/study/") == ["trials/x"]
    assert [entry.size for entry in storage.entries(f"{tmp_path}/study/")] == [7]
    assert storage.folders(f"{tmp_path}/study/") == ["trials"]


def test_links_in_a_circle_end_a_list_with_one_message(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path)
    assert said(names, f"{tmp_path}/") == (
        f"{tmp_path}/: Too many levels of symbolic links; correct the symbolic links"
    )


def test_folders_before_a_name_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        (tmp_path / f"{number:03}").mkdir()
        (tmp_path / f"{number:03}" / "record.json").touch()
    opened: list[str] = []
    real = os.scandir

    def note(path: str) -> Iterator[os.DirEntry[str]]:
        opened.append(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", note)
    assert names(f"{tmp_path}/", f"{tmp_path}/097/record.json") == ["098/record.json", "099/record.json"]
    assert [path.removeprefix(f"{tmp_path}/") for path in opened] == ["", "097/", "098/", "099/"]


def test_only_plain_files_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert said(storage.delete, f"{tmp_path}/folder") == f"{tmp_path}/folder: expected a file, but it is a folder"
    assert said(storage.delete, f"{tmp_path}/pipe") == (
        f"{tmp_path}/pipe: expected a plain file, but it is a device, a pipe or a socket"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Return a folder with files that no link may give away."""
    folder = tmp_path / "theirs"
    (folder / "sub").mkdir(parents=True)
    for name in ("a", "sub/b"):
        (folder / name).write_text("precious")
    return folder


def test_where_something_is_deleted_no_link_is_followed(tmp_path: Path, theirs: Path) -> None:
    own = tmp_path / "own"
    (own / "deep").mkdir(parents=True)
    links = {"file": theirs / "a", "folder": theirs, "deep/folder": theirs / "sub", "nowhere": tmp_path / "nothing"}
    for name, target in links.items():
        (own / name).symlink_to(target)
    assert storage.delete(f"{own}/file", below=str(own))
    assert storage.delete(f"{own}/nowhere", below=str(own))
    assert storage.delete(f"{own}/deep/folder/b", below=str(own))
    assert not storage.delete(f"{own}/deep/folder/b", below=str(own)), "the link on the way is gone"
    assert not storage.delete(f"{own}/missing/file", below=str(own))
    storage.delete_folder(f"{own}/folder/sub", below=str(own))
    assert [path.name for path in own.rglob("*")] == ["deep"]
    (own / "deep" / "again").symlink_to(theirs)
    (own / "top").symlink_to(own / "deep")
    storage.delete_folder(f"{own}/top", below=str(own))
    storage.delete_folder(f"{own}/deep", below=str(own))
    storage.delete_folder(f"{own}/deep", below=str(own))
    assert list(own.iterdir()) == []
    (tmp_path / "other").symlink_to(theirs)
    said(storage.delete, f"{tmp_path}/other/a", f"{tmp_path}/other")
    assert sorted(path.name for path in theirs.rglob("*")) == ["a", "b", "sub"]


def test_a_folder_that_becomes_a_link_while_it_is_deleted_is_not_followed(
    tmp_path: Path, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    (own / "sub").mkdir(parents=True)
    (own / "sub" / "b").write_text("ours")
    look = os.stat

    def swapped(path: Any, **how: Any) -> os.stat_result:
        found = look(path, **how)
        if path == "sub" and (own / "sub").is_dir() and not (own / "sub").is_symlink():
            (own / "sub").rename(tmp_path / "gone")
            (own / "sub").symlink_to(theirs / "sub")
        return found

    monkeypatch.setattr(os, "stat", swapped)
    said(storage.delete, f"{own}/sub/b", str(own))
    assert (theirs / "sub" / "b").read_text() == "precious"


def test_too_many_open_files_are_one_message(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from kfp_bayesopt.store import storage; from kfp_bayesopt.errors import UserError\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "for attempt in (lambda path: storage.read(path, 3), lambda path: storage.replace(path, b'new')):\n"
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
        ("", "the path is empty; give a gs://, s3://, minio:// or az:// URI or a local path"),
    ):
        for attempt in ATTEMPTS:
            assert said(attempt, path) == message
    assert contents(tmp_path) == {}


def test_a_name_as_long_as_names_can_be_is_written(tmp_path: Path) -> None:
    storage.replace(str(tmp_path / ("x" * 255)), b"content")
    assert contents(tmp_path) == {"x" * 255: b"content"}


# --- limits, and what is no plain file -----------------------------------------------------------


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
            for attempt in ATTEMPTS:
                assert said(attempt, path) == f"{path}: expected a plain file, but it is a device, a pipe or a socket"


@pytest.mark.parametrize("path", ["/proc/self/status", "/proc/self/mountinfo"])
def test_files_that_do_not_say_their_size_are_refused(path: str) -> None:
    assert said(read, path) == (
        f"{path}: its content does not have the size that the file says, as files of /proc, or files that another "
        "program is writing; copy it, and give the copy"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        storage.read(str(tmp_path / "none"), limit=1)
    assert caught.value.message == f"{tmp_path}/none: no such file"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    for attempt in ATTEMPTS:
        assert said(attempt, str(tmp_path)) == f"{tmp_path}: expected a file, but it is a folder"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = str(tmp_path / "file" / "other")
    for attempt in (*ATTEMPTS, storage.delete):
        assert said(attempt, path) == f"{path}: a folder of this path is a file; choose another path"
    rule = f"{tmp_path}/file/: a folder of this path is a file; choose another path"
    assert said(names, f"{tmp_path}/file/") == said(storage.folders, f"{tmp_path}/file/") == rule


NO_STORAGE = {
    "b2://bucket/object": "a folder of that name here is written ./NAME",
    "b2:/bucket/object": "a folder of that name here is written ./NAME",
    "hdfs://host/object": "a folder of that name here is written ./NAME",
    "http://host/file": "a folder of that name here is written ./NAME",
    "https://storage.googleapis.com/bucket/object": "did you mean gs://bucket/object?",
    "file:///tmp/x": "did you mean /tmp/x?",
    "gs:/bucket/object": "did you mean gs://bucket/object?",
    "gs:bucket/object": "did you mean gs://bucket/object?",
    "GS://bucket/object": "did you mean gs://bucket/object?",
    "gcs://bucket/object": "did you mean gs://bucket/object?",
    "s3:/bucket/object": "did you mean s3://bucket/object?",
    "s3a://bucket/object": "did you mean s3://bucket/object?",
    "https://s3.eu-west-1.amazonaws.com/bucket/object": "did you mean s3://bucket/object?",
    "MINIO://bucket/object": "did you mean minio://bucket/object?",
    "https://me.blob.core.windows.net/container/object": "did you mean az://container/object?",
}


@pytest.mark.parametrize("uri", NO_STORAGE)
def test_other_storage_is_refused_by_name_and_nothing_is_made_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.chdir(tmp_path)
    below = (lambda path: list(storage.entries(f"{path}/")), lambda path: storage.folders(f"{path}/"))
    for attempt in (*ATTEMPTS, storage.delete, storage.is_local, storage.given):
        assert said(attempt, uri) == f"{uri}: only {ALL} URIs and local paths are supported; {NO_STORAGE[uri]}"
    for look in below:
        assert said(look, uri).startswith(f"{uri}/: only {ALL} URIs and local paths are supported; ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_a_person_names_has_no_slash_at_its_end_and_is_never_taken_for_a_uri(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"out/x/": "out/x", "./out//x": "out/x", "/": "/", "gs://bucket/x//": "gs://bucket/x", "a:b": "a:b"}
    assert {uri: storage.given(uri) for uri in named} == named
    for uri in ("./a:/b", "./s3://b"):
        found = storage.given(uri)
        storage.create(f"{found}/file", b"")
        assert storage.given(found) == found
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("file")) == ["a:/b/file", "s3:/b/file"]
    for uri in ("gs://", "gs:///"):
        assert said(storage.given, uri) == f"{uri}: the bucket is missing; give gs://BUCKET/PREFIX"
    assert said(storage.given, "") == "the path is empty; give a gs://, s3://, minio:// or az:// URI or a local path"


def test_a_file_that_may_not_be_read_or_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    path.chmod(0)
    tmp_path.chmod(0o500)
    way_out = "ask for access to it, or choose another path"
    rule = rf"{re.escape(str(path))}: permission denied: .* belongs to .* \(.*\); {way_out}"
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read and write everything
    try:
        assert re.fullmatch(rule, said(read, str(path)))
        assert re.fullmatch(rule, said(storage.replace, str(path), b""))
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)


def test_a_gs_path_without_the_client_library_says_what_is_missing() -> None:
    """`make run` installs no google-cloud-storage."""
    code = (
        "import sys; sys.modules['google.cloud.storage'] = None; from kfp_bayesopt.store import storage\n"
        "try: storage.read('gs://bucket/object', 3)\nexcept Exception as error: print(type(error).__name__, error)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout == (
        "UserError gs://… needs packages that are not installed: `make .venv-cloud/installed` sets them up for "
        ".venv-cloud/bin/bayesopt\n"
    ), ended.stderr


# --- names of others -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "/etc/x", "a//b", "a/", "../x", "a/../../x", "a/..", ".", "./a", "a\\b", "..\\x", "a\0b"]
)
def test_a_name_that_is_not_of_a_file_below_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    assert said(path_below, tmp_path, name) == (
        f"{name!r}: a name of a file below a folder has no empty part, no '.' and '..', no backslash and no NUL; "
        "rename it, or delete it"
    )


@pytest.mark.parametrize("name", ["a", "a/b", ".a", "..a", "a..", "a b", "ü/☃", "a\nb", "...", "C:"])
def test_a_name_of_a_file_below_a_folder_says_where_it_lies(tmp_path: Path, name: str) -> None:
    assert path_below(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize("name", ["link", "link/a", "folder/link/a"])
def test_nothing_is_written_through_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "below" / "folder").mkdir(parents=True)
    for link in ("link", "folder/link"):
        (tmp_path / "below" / link).symlink_to(tmp_path / "elsewhere")
    there = tmp_path / "below" / name.removesuffix("/a")
    assert said(path_below, tmp_path / "below", name) == (
        f"{there}: is a link, and nothing is written through one; remove it"
    )


# --- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["depth", "links"])
def test_a_list_goes_no_further_than_is_asked_for(tmp_path: Path, way: str) -> None:
    for name in ("a", "b/c", "b/d/e", "b/d/f/g"):
        storage.create(f"{tmp_path}/x/{name}", b"")
    (tmp_path / "x" / "link").symlink_to(tmp_path / "x" / "b")
    (tmp_path / "x" / "of a file").symlink_to(tmp_path / "x" / "a")
    asked: dict[str, Any] = {"depth": 1} if way == "depth" else {"links": False}
    found = [entry.uri.removeprefix(f"{tmp_path}/x/") for entry in storage.entries(f"{tmp_path}/x/", **asked)]
    assert (
        found
        == {
            "depth": ["a", "b/c", "link/c", "of a file"],
            "links": ["a", "b/c", "b/d/e", "b/d/f/g"],
        }[way]
    )
