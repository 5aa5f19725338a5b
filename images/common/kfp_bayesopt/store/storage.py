"""Reads, creates, replaces and lists whole objects, at `gs://BUCKET/OBJECT` or at a local path.

Primary files are created once and never change; derived ones are replaced. Either write is all or nothing: a reader
sees nothing, the old content or the new one, never a part. Names that begin with a dot are ignored: a killed writer may
leave one. Faults of storage are retried or become one message; see docs/reliability.md.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import math
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced
from datetime import UTC, datetime
from pathlib import Path
from stat import (
    S_IMODE,
    S_IRWXG,
    S_IRWXO,
    S_ISDIR,
    S_ISGID,
    S_ISLNK,
    S_ISREG,
    S_ISVTX,
    S_IWGRP,
    S_IWOTH,
    S_IXGRP,
    S_IXOTH,
)  # fmt: skip
from types import ModuleType

from kfp_bayesopt.errors import (
    ExistsError,
    NoRoomError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
    UserError,
    shown,
)

WAYS_OUT = {
    errno.ENOSPC: "free some space, then run the same command again",
    errno.EDQUOT: "free some space or raise the quota, then run the same command again",
    errno.EFBIG: "raise the limit on the size of files, then run the same command again",
    errno.EROFS: "choose a folder that can be written",
    errno.EIO: "check the disk, then run the same command again",
    errno.EMFILE: "raise the limit with `ulimit -n`, then run the same command again",
    errno.ENFILE: "close other programs, then run the same command again",
    errno.ESTALE: "check the network disk, then run the same command again",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ELOOP: "correct the symbolic links",
    errno.EISDIR: "choose the path of a file",
}

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE}
"""Errors that may be over at the next try."""

PART = 8 << 20
"""The number of bytes of a copy in memory at once; uploads of several requests need a multiple of 256 KiB."""
MOST_TRIES = 3
LONGEST_NAME = 1000
"""The longest name of an object, in bytes; a bucket allows 1,024 including all before it."""


@dataclass(frozen=True)
class Entry:
    """A file or object, as its storage describes it.

    Attributes:
        uri: Its URI.
        size: Its size in bytes.
        created: The time of this content, by the clock of the storage.
        updated: The time of its last change, by the same clock. A disk has only this time, which then stands for both.
        md5: MD5 of the content, in hexadecimal digits, if the storage knows it without reading.
    """

    uri: str
    size: int
    created: datetime
    updated: datetime
    md5: str | None = None


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+")


def is_local(uri: str) -> bool:
    """Tell whether a URI is a path of this machine.

    Everything that reads or writes checks this first, so that nothing is created at a URI of an unknown storage: taken
    for a path, `s3://bucket/x` would be a folder `s3:`.

    Raises:
        UserError: It is neither a path nor gs://.
    """
    if uri.startswith("gs://"):
        return False
    if found := _SCHEME.match(uri):
        raise UserError(f"{uri}: {_hint(found[1].lower(), uri[found.end() :])}")
    return True


def given(uri: str) -> str:
    """Return a folder or file that a person named in our form: without a slash at its end.

    A path that begins like a URI, such as ./a:/b, becomes absolute, so that it is not mistaken for one later.

    Raises:
        UserError: It is empty, or neither a path nor gs://BUCKET/PREFIX.
    """
    if not uri:
        raise UserError(_EMPTY)
    if not is_local(uri):
        if not uri.strip("/").removeprefix("gs:").strip("/"):
            raise UserError(f"{uri}: the bucket is missing; give gs://BUCKET/PREFIX")
        return uri.rstrip("/")
    path = str(Path(uri))
    return str(Path.cwd() / path) if _SCHEME.match(path) else path


_EMPTY = "the path is empty; give a gs:// URI or a local path"
_WEB = re.compile(r"(storage\.googleapis\.com|storage\.cloud\.google\.com)/")


def _hint(scheme: str, rest: str) -> str:
    """Return the problem of a URI with another scheme, and the one that was probably meant."""
    meant = {"gs": f"gs://{rest}", "gcs": f"gs://{rest}", "file": f"/{rest}"}.get(scheme)
    if scheme in ("http", "https") and (web := _WEB.match(rest)):
        meant = f"gs://{rest[web.end() :]}"
    hint = f"did you mean {meant}?" if meant else "a folder of that name here is written ./NAME"
    return f"only gs:// URIs and local paths are supported; {hint}"


def problem_with_name(name: str) -> str | None:
    """Return the reason a name is not that of a file below a folder; None if it is."""
    if not {"", ".", ".."}.isdisjoint(name.split("/")) or "\\" in name or "\0" in name:
        return "a name of a file below a folder has no empty part, no '.' and '..', no backslash and no NUL"
    return None


def can_be_object(name: str) -> bool:
    """Tell whether an object of a bucket can have a name, so that others can read it too."""
    return re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", name) is None and len(name.encode()) <= LONGEST_NAME


def path_below(folder: Path, name: str) -> Path:
    """Return the path of a file below a folder, by a name that others may have chosen, such as that of an object.

    Everything that is fetched is written to such a path: nothing outside of the folder, and nothing through a link.

    Raises:
        UserError: The name leads out of the folder, or is not the name of a file; or a link is in the way.
    """
    if problem := problem_with_name(name):
        raise UserError(f"{shown(name)}: {problem}; rename it, or delete it")
    path = folder
    for part in name.split("/"):
        path /= part
        if path.is_symlink():
            raise UserError(f"{path}: is a link, and nothing is written through one; remove it")
    return path


def read(uri: str, limit: int, *, patience: float | None = None) -> bytes:
    """Return the whole content of a file or object.

    Args:
        uri: The file or object.
        limit: Its largest size in bytes. No more than that is ever held in memory.
        patience: The seconds for which Cloud Storage is asked again while it does not answer; by default long enough
            for an outage of ten minutes.

    Raises:
        NotFoundError: The file, the object or its bucket does not exist.
        TooLargeError: It is larger than the limit.
        UnavailableError: Cloud Storage does not answer, or damages what it sends.
        UserError: It is no plain file, or storage refuses it.
    """
    if not is_local(uri):
        return bytes(_gcs().read(uri, limit, patience))
    with _errors(uri):
        return _read_file(Path(uri), limit)


def read_range(uri: str, start: int, count: int) -> bytes:
    """Return bytes of a file or object from a position on; fewer at the end of the file, none past it.

    Raises:
        NotFoundError: The file, the object or its bucket does not exist.
        UnavailableError: Cloud Storage does not answer, or damages what it sends.
        UserError: It is no plain file, or storage refuses it.
    """
    assert start >= 0
    assert count > 0
    if not is_local(uri):
        return bytes(_gcs().read_range(uri, start, count))
    with _errors(uri):
        return _read_part(Path(uri), start, count)


def stat(uri: str, *, patience: float | None = None) -> Entry:
    """Return the storage's description of a file or object, without reading it.

    Raises:
        NotFoundError: The file, the object or its bucket does not exist.
        UnavailableError: Cloud Storage does not answer, or damages what it sends.
        UserError: It is no plain file, or storage refuses it.
    """
    if not is_local(uri):
        found: Entry = _gcs().stat(uri, patience)
        return found
    with _errors(uri):
        return _entry(uri, _stat_file(Path(uri)))


def create(uri: str, content: bytes) -> None:
    """Write a new file or object; missing local folders are made.

    Of several writers at once exactly one writes. Existing equal content is accepted: an earlier attempt may have
    written it, but its answer was lost.

    Raises:
        ExistsError: It exists with different content, which stays.
        NotFoundError: The bucket does not exist.
        UnavailableError: Cloud Storage does not answer, or sends damaged data.
        UserError: Storage refuses it, has no space or no way to create once.
    """
    if is_local(uri):
        with _errors(uri):
            created = _create_file(Path(uri), [content])
    else:
        created = _gcs().create(uri, content)
    if not created:
        _check_same(uri, content)


def create_in(room: Path, uri: str, content: bytes) -> None:
    """Write a new file by renaming a spare one that reserves space for it.

    So neither the content nor the name needs space that the disk may lack. If the spare file was deleted, the new one
    is written like any file.

    Raises:
        ExistsError: As of `create`.
        UserError: As of `create`.
    """
    path = Path(uri)
    if not room.exists():
        create(uri, content)
        return
    with _errors(uri):
        with room.open("r+b") as file:
            file.write(content)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        try:
            created = _link(room, path)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            room.with_name(f"{room.name}-spare").unlink(missing_ok=True)
            created = _link(room, path)
        _sync(path.parent)
    if not created:
        _check_same(uri, content)


def copy(source: str, target: str, is_over: Callable[[], bool] = lambda: False) -> Entry:
    """Create a file or object with the content of another one, part by part; a file appears whole or not at all.

    Args:
        source: The file or object to read.
        target: The file or object to create. Existing equal content is accepted.
        is_over: Called before each part; true stops the copy.

    Returns:
        The description of the source, with its MD5.

    Raises:
        ChangedError: Something writes to the source.
        ExistsError: The target exists with different content, which stays.
        NotFoundError: The source is missing, or the bucket.
        UnavailableError: Cloud Storage does not answer, or damages what it sends.
        UserError: Storage refuses it, or has no space.
    """
    return _tried_again(lambda: _copy(Source(source, is_over), target))


def digest(uri: str, is_over: Callable[[], bool] = lambda: False) -> Entry:
    """Return the description of a file or object with the MD5 of its content; a bucket knows it without reading.

    Args:
        uri: The file or object.
        is_over: As in `copy`.

    Raises:
        ChangedError: Something writes to it.
        NotFoundError: The file, the object or its bucket does not exist.
        UnavailableError: Cloud Storage does not answer, or damages what it sends.
        UserError: It is no plain file, or storage refuses it.
    """
    return _tried_again(lambda: Source(uri, is_over).digest())


def replace(uri: str, content: bytes, *, lasting: bool = True) -> None:
    """Write a whole file or object, replacing an existing one; missing local folders are made.

    Only for derived files: those that others rely on are created.

    Args:
        uri: The file or object.
        content: Its content.
        lasting: Whether it must survive a power cut on a disk; a file that is written every moment need not.

    Raises:
        NotFoundError: The bucket does not exist.
        RetainedError: The bucket keeps what is there.
        UnavailableError: Cloud Storage does not answer, or damages what it sends.
        UserError: Storage refuses it or has no space.
    """
    if not is_local(uri):
        _gcs().replace(uri, content)
        return
    with _errors(uri):
        _replace_file(Path(uri), [content], lasting)


def delete(uri: str, below: str | None = None) -> bool:
    """Delete a file or object, and tell whether it existed. Only for derived files.

    No link is followed: a link is deleted itself, also one in the path.

    Args:
        uri: The file or object.
        below: A folder above it, below which no link is followed; by default its own folder.

    Raises:
        NotFoundError: The bucket does not exist.
        RetainedError: The bucket keeps it.
        UnavailableError: Cloud Storage does not answer, or damages what it sends.
        UserError: It is no plain file, or storage refuses it.
    """
    if not is_local(uri):
        deleted: bool = _gcs().delete(uri)
        return deleted
    with _errors(uri), contextlib.suppress(FileNotFoundError), _without_links(uri, below) as (folder, name):
        found = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not S_ISLNK(found):
            _check_plain(Path(uri), found)
        os.unlink(name, dir_fd=folder)
        return True
    return False


def delete_folder(uri: str, below: str) -> None:
    """Delete a folder with all its files or objects; no link is followed, as in `delete`.

    Raises:
        NotFoundError: The bucket does not exist.
        RetainedError: The bucket keeps one.
        UnavailableError: Cloud Storage does not answer, or damages what it sends.
        UserError: Storage refuses it.
    """
    if not is_local(uri):
        for entry in list(entries(f"{uri}/")):
            _gcs().delete(entry.uri)
        return
    with _errors(uri), contextlib.suppress(FileNotFoundError), _without_links(uri, below) as (folder, name):
        if S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)


def entries(prefix: str, after: str = "", *, depth: int | None = None, links: bool = True) -> Iterator[Entry]:
    """Yield all files or objects whose URI begins with a prefix, in the byte order of their names.

    Args:
        prefix: The beginning of their URIs, up to a slash. A folder that does not exist has none.
        after: A URI below the prefix; only those after it are yielded, and those before it cost nearly nothing.
        depth: The most folders between the prefix and a file; by default any number. Deeper ones on a disk are not
            read.
        links: Whether links are followed, as a study folder may be on another disk; otherwise they are left out.

    Raises:
        NotFoundError: The bucket does not exist.
        UnavailableError: Cloud Storage does not answer, or damages what it sends.
        UserError: Storage refuses it.
    """
    assert prefix.endswith("/")
    assert not after or after.startswith(prefix)
    if not is_local(prefix):
        given: Iterator[Entry] = _gcs().entries(prefix, after)
        yield from (each for each in given if depth is None or each.uri.count("/", len(prefix)) <= depth)
        return
    with _errors(prefix):
        for file in _walk(prefix, after, math.inf if depth is None else depth, links):
            try:
                found = file.stat(follow_symlinks=links)
            except FileNotFoundError:  # deleted since, or a link to nowhere
                continue
            if S_ISREG(found.st_mode):
                yield _entry(file.path, found)


def folders(prefix: str) -> list[str]:
    """Return the sorted names of the non-empty folders below a prefix, which ends with a slash.

    Raises:
        NotFoundError: The bucket does not exist.
        UnavailableError: Cloud Storage does not answer, or damages what it sends.
        UserError: Storage refuses it.
    """
    assert prefix.endswith("/")
    if not is_local(prefix):
        return list(_gcs().folders(prefix))
    with _errors(prefix):
        return sorted(each.name for each in _scan(prefix) if each.is_dir() and any(_walk(f"{each.path}/", "")))


def date(root: str) -> datetime | None:
    """Return the time by the clock of a folder's storage; None if that is unknown.

    A bucket gives it with each answer. A disk gives it with a new unnamed file: on a network the clock is another
    machine's. For a folder that cannot be written it is unknown.
    """
    if not is_local(root):
        found: datetime | None = _gcs().date()
        return found
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"\0")
            file.flush()
            os.fsync(file.fileno())
            return datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    except OSError:
        return None


class ChangedError(UserError):
    """The source is written while it is read."""


class Source:
    """A file or object that is copied part by part, and that must not change meanwhile.

    Attributes:
        found: Its storage's description.
    """

    def __init__(self, uri: str, is_over: Callable[[], bool] = lambda: False) -> None:
        """Read its description.

        Raises:
            UserError: It is missing, or not a plain file.
        """
        self._is_over = is_over
        self.found = stat(uri)
        self._state = self._look()

    def parts(self) -> Iterator[bytes]:
        """Yield its content."""
        for start in range(0, self.found.size, PART):
            yield self.part(start)
        self._check_same()

    def part(self, start: int) -> bytes:
        """Return bytes from a position on.

        Raises:
            ChangedError: Something writes to it.
        """
        if self._is_over():
            raise UserError(f"{self.found.uri}: was not read whole: told to stop")
        wanted = min(PART, self.found.size - start)
        part = read_range(self.found.uri, start, wanted)
        if len(part) != wanted:
            raise self._changed()
        self._check_same()
        return part

    def digest(self) -> Entry:
        """Return its description with its MD5, for which a file is read once."""
        if self.found.md5 is None:
            md5 = hashlib.md5(usedforsecurity=False)
            for part in self.parts():
                md5.update(part)
            self.found = replaced(self.found, md5=md5.hexdigest())
        return self.found

    def _look(self) -> tuple[int, int, int] | None:
        if not is_local(self.found.uri):
            return None  # an object never changes in its middle, and its parts are compared with the MD5 of the whole
        with _errors(self.found.uri):
            found = Path(self.found.uri).stat()
        return found.st_size, found.st_mtime_ns, found.st_ino

    def _check_same(self) -> None:
        if self._look() != self._state:
            raise self._changed()

    def _changed(self) -> ChangedError:
        return ChangedError(f"{self.found.uri}: changes while it is read; end what writes to it, then copy it again")


def _tried_again(function: Callable[[], Entry]) -> Entry:
    """Call a function a few times, until its source does not change."""
    for _ in range(MOST_TRIES - 1):
        with contextlib.suppress(ChangedError):
            return function()
    return function()


def _copy(source: Source, target: str) -> Entry:
    if not is_local(target):
        found = source.digest()
        if found.size <= PART:
            created = _gcs().create(target, b"".join(source.parts()))
        else:
            created = _gcs().create_large(target, found.size, found.md5, source.part)
    else:
        md5 = hashlib.md5(usedforsecurity=False)

        def parts() -> Iterator[bytes]:
            for part in source.parts():
                md5.update(part)
                yield part
            if source.found.md5 not in (None, md5.hexdigest()):
                raise ChangedError(f"{source.found.uri}: its MD5 is {source.found.md5}, but {md5.hexdigest()} came")

        with _errors(target):
            created = _create_file(Path(target), parts())
        found = replaced(source.found, md5=md5.hexdigest())
    if not created and not _is_copy(target, found):
        raise _is_there(target)
    return found


def _is_copy(uri: str, of: Entry) -> bool:
    there = stat(uri)
    return there.size == of.size and digest(uri).md5 == of.md5


def check_size(uri: str, held: int, limit: int) -> None:
    """Refuse a file beyond its size limit."""
    if held > limit:
        raise TooLargeError(
            f"{uri}: has {held:,} bytes, but at most {limit:,} are read; check that it is the right file"
        )


def _gcs() -> ModuleType:
    # Imported when needed: it takes longer than all other imports of `evaluate`, and a run on local paths does not need
    # the package at all.
    try:
        from kfp_bayesopt.store import gcs
    except ModuleNotFoundError as error:
        raise UserError(f"a gs:// path needs google-cloud-storage, which is not installed here ({error})") from None
    return gcs


def _check_same(uri: str, content: bytes) -> None:
    try:
        if read(uri, len(content)) == content:
            return
    except TooLargeError:
        pass
    except NotFoundError:
        raise UnavailableError(
            f"{uri}: something else created and deleted it just now; run the same command again"
        ) from None
    raise _is_there(uri)


def _is_there(uri: str) -> ExistsError:
    return ExistsError(
        f"{uri}: is there already with other content, and is never replaced; find out what else writes there, or "
        "choose another folder"
    )


# --- local files ---------------------------------------------------------------------------------


def _entry(uri: str, found: os.stat_result) -> Entry:
    updated = datetime.fromtimestamp(found.st_mtime, UTC)
    return Entry(uri, found.st_size, updated, updated)


@contextlib.contextmanager
def _without_links(uri: str, below: str | None) -> Iterator[tuple[int, str]]:
    """Yield an open handle of the folder of a path, and the name in it: of the path, or of a link in it.

    Each folder is opened from the one before, so that none can become a link meanwhile.
    """
    path = Path(uri)
    top = path.parent if below is None else Path(below)
    *parents, name = path.relative_to(top).parts
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.ExitStack() as opened:
        folder = os.open(top, flags if below is not None else flags & ~os.O_NOFOLLOW)
        opened.callback(os.close, folder)
        for part in parents:
            if S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode):
                name = part
                break
            folder = os.open(part, flags, dir_fd=folder)
            opened.callback(os.close, folder)
        yield folder, name


def _stat_file(path: Path) -> os.stat_result:
    found = path.stat()
    _check_plain(path, found.st_mode)
    return found


def _check_plain(path: Path, mode: int) -> None:
    if S_ISDIR(mode):
        raise UserError(f"{path}: expected a file, but it is a folder")
    if not S_ISREG(mode):
        raise UserError(f"{path}: expected a plain file, but it is a device, a pipe or a socket")


def _read_file(path: Path, limit: int) -> bytes:
    held = _stat_file(path).st_size
    check_size(str(path), held, limit)
    content = _read_bytes(path, 0, held + 1)
    if len(content) != held:
        raise _unsteady(path)
    return content


def _read_part(path: Path, start: int, count: int) -> bytes:
    left = max(0, _stat_file(path).st_size - start)
    return _read_bytes(path, start, min(count, left + 1))  # what is asked for is allocated


def _read_bytes(path: Path, start: int, count: int) -> bytes:
    # Without O_NONBLOCK some files of /proc, which claim to be empty, keep a reader waiting.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        file.seek(start)
        content: bytes | None = file.read(count)
    if content is None:
        raise _unsteady(path)
    return content


def _unsteady(path: Path) -> UserError:
    return UserError(
        f"{path}: its content does not have the size that the file says, as files of /proc, or files that "
        "another program is writing; copy it, and give the copy"
    )


def _create_file(path: Path, content: Iterable[bytes]) -> bool:
    """Write a file, unless it exists; tell whether it was written."""
    with _beside(path, content) as temporary:
        created = _link(temporary, path)
    _sync(path.parent)
    return created


def _link(temporary: Path, path: Path) -> bool:
    """Give a file its name, unless that exists; tell whether it was given."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        raise UserError(
            f"{path}: its file system has no hard links, which make sure that nothing is replaced; choose a "
            "folder on another one, such as a disk of this machine"
        ) from None
    return True


def _replace_file(path: Path, content: Iterable[bytes], lasting: bool = True) -> None:
    with contextlib.suppress(FileNotFoundError):
        _check_plain(path, path.stat().st_mode)
    with _beside(path, content, lasting) as temporary:
        temporary.replace(path)
    if lasting:
        _sync(path.parent)


@contextlib.contextmanager
def _beside(path: Path, content: Iterable[bytes], lasting: bool = True) -> Iterator[Path]:
    """Yield a temporary file with the content in the folder of a path; its name is removed in any case."""
    made = make_folder(path.parent)
    # Not derived from the file's name, which may be as long as names can be.
    temporary = path.parent / f".new-{secrets.token_hex(8)}"
    try:
        # Not `tempfile`, whose files only their owner can read: this one gets the usual permissions of a program's
        # file.
        with temporary.open("xb") as file:
            share(temporary)
            for part in content:
                file.write(part)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        made.clear()
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        remove_empty(made)


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it, and return the missing ones, the highest first."""
    missing = list(itertools.takewhile(lambda each: not each.exists(), (folder, *folder.parents)))[::-1]
    for each in missing:
        each.mkdir(exist_ok=True)
        share(each)
    folder.mkdir(parents=True, exist_ok=True)  # it may have gone meanwhile, or be a file
    for each in reversed(missing):
        _sync(each.parent)
    return missing


def remove_empty(made: Sequence[Path]) -> None:
    """Remove folders that were made in vain, given with the highest first."""
    for each in reversed(made):
        with contextlib.suppress(OSError):  # something was written
            each.rmdir()


def share_below(folder: Path) -> None:
    """Share a folder and all that a person's program has made in it, such as a model, but no targets of links."""
    for path in (folder, *sorted(folder.rglob("*"))):
        if not path.is_symlink():
            with contextlib.suppress(OSError):  # gone, or somebody else's
                share(path)


def share(path: Path) -> None:
    """Give those who share a folder access to a file that this process has just made in it, whatever its umask.

    Otherwise one person with umask 077 locks all others out of a study for ever. A folder is shared by its group if
    that may write to it or is inherited (setgid), and by all if all may write to it; one like /tmp, where each owns
    their files, is not.
    """
    above, own = path.parent.stat(), path.stat()
    if above.st_mode & S_ISVTX or own.st_uid != os.geteuid():
        return
    shared = 0
    if above.st_mode & (S_IWGRP | S_ISGID):
        if own.st_gid != above.st_gid:
            with contextlib.suppress(OSError):  # of a group that is not this person's
                os.chown(path, -1, above.st_gid)
            own = path.stat()
        if own.st_gid == above.st_gid:
            shared |= S_IRWXG
    if above.st_mode & S_IWOTH:
        shared |= S_IRWXO
    shared &= above.st_mode if S_ISDIR(own.st_mode) else above.st_mode & ~(S_IXGRP | S_IXOTH)
    if shared & ~own.st_mode:
        with contextlib.suppress(OSError):  # of a file system without modes
            path.chmod(S_IMODE(own.st_mode) | shared)


def _sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut, if its file system supports that."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _walk(folder: str, after: str, depth: float = math.inf, links: bool = True) -> Iterator[os.DirEntry[str]]:
    """Yield files below a folder in path order, after a given path."""
    # The slash is part of the order: a-b/c comes before a/c. Code points have the order of their UTF-8 bytes.
    found = {f"{each.path}/" if each.is_dir(follow_symlinks=links) else each.path: each for each in _scan(folder)}
    for path in sorted(found):
        if path.endswith("/"):
            if depth > 0 and (path > after or after.startswith(path)):
                yield from _walk(path, after, depth - 1, links)
        elif path > after:
            yield found[path]


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return [each for each in found if not each.name.startswith(".")]
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _errors(path: str) -> Iterator[None]:
    if not path:
        raise UserError(_EMPTY)
    try:
        yield
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file") from None
    except PermissionError:
        raise UserError(f"{path}: permission denied; give this user access to the file and its folder") from None
    except (NotADirectoryError, FileExistsError):
        raise UserError(f"{path}: a folder of this path is a file; choose another path") from None
    except OSError as error:
        way_out = WAYS_OUT.get(error.errno or 0, "check the path and the disk")
        kind = UnavailableError if error.errno in PASSING else UserError
        if error.errno in NO_ROOM:
            kind = NoRoomError
        raise kind(f"{path}: {error.strerror or error}; {way_out}") from None
    except (MemoryError, OverflowError):
        raise UserError(f"{path}: too large for the memory of this machine; check that it is the right file") from None
    except ValueError as error:  # a NUL, or what the file system cannot encode
        raise UserError(f"{path!r}: not a path ({error}); correct its characters") from None
