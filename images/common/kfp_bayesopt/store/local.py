"""The store that is a disk: files, whole or not there, and what is said if that cannot be.

A file is written beside its name and gets it by a link, or by a rename over the one that was there.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
import os
import pwd
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
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
    filemode,
)  # fmt: skip

from kfp_bayesopt.errors import NoRoomError, NotFoundError, UnavailableError, UserError, shown
from kfp_bayesopt.store.entry import Entry, check_size
from kfp_bayesopt.store.names import problem_with_name
from kfp_bayesopt.store.protocol import Source

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


def read(uri: str, limit: int, patience: float | None = None) -> bytes:
    """Return the whole content of a file; a disk answers at once, or not."""
    with _errors(uri):
        return _read_file(Path(uri), limit)


def read_range(uri: str, start: int, count: int) -> bytes:
    """Return bytes of a file from a position on."""
    with _errors(uri):
        return _read_part(Path(uri), start, count)


def stat(uri: str, patience: float | None = None) -> Entry:
    """Return the description of a file."""
    with _errors(uri):
        return _entry(uri, _stat_file(Path(uri)))


def version(uri: str) -> tuple[int, int, int]:
    """Return what changes with the content of a file."""
    with _errors(uri):
        found = Path(uri).stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def create(uri: str, content: bytes) -> bool:
    """Write a new file, and tell whether it did; missing folders are made."""
    with _errors(uri):
        return _create_file(Path(uri), [content])


def create_from(uri: str, source: Source) -> bool:
    """Write a new file part by part, and tell whether it did."""
    with _errors(uri):
        return _create_file(Path(uri), source.parts())


def create_in(room: Path, uri: str, content: bytes) -> bool:
    """Write a new file by renaming a spare one that reserves space for it, and tell whether it did.

    So neither the content nor the name needs space that the disk may lack. If the spare file was deleted, the new one
    is written like any file.
    """
    path = Path(uri)
    if not room.exists():
        return create(uri, content)
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
    return created


def replace(uri: str, content: bytes, lasting: bool = True) -> None:
    """Write a whole file; missing folders are made."""
    with _errors(uri):
        _replace_file(Path(uri), [content], lasting)


def delete(uri: str, below: str | None = None) -> bool:
    """Delete a file, or a link instead of following it, and tell whether it existed."""
    with _errors(uri), contextlib.suppress(FileNotFoundError), _without_links(uri, below) as (folder, name):
        found = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not S_ISLNK(found):
            _check_plain(Path(uri), found)
        os.unlink(name, dir_fd=folder)
        return True
    return False


def delete_folder(uri: str, below: str) -> None:
    """Delete a folder with all in it, or a link instead of following it."""
    with _errors(uri), contextlib.suppress(FileNotFoundError), _without_links(uri, below) as (folder, name):
        if S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)


def entries(prefix: str, after: str, depth: int | None, links: bool) -> Iterator[Entry]:
    """Yield the files below a folder, in the order of their paths; deeper folders are not read."""
    with _errors(prefix):
        for file in _walk(prefix, after, math.inf if depth is None else depth, links):
            try:
                found = file.stat(follow_symlinks=links)
            except FileNotFoundError:  # deleted since, or a link to nowhere
                continue
            if S_ISREG(found.st_mode):
                yield _entry(file.path, found)


def folders(prefix: str) -> list[str]:
    """Return the sorted names of the non-empty folders in one."""
    with _errors(prefix):
        return sorted(each.name for each in _scan(prefix) if each.is_dir() and any(_walk(f"{each.path}/", "")))


def date(root: str) -> datetime | None:
    """Return the time of a new unnamed file: on a network the clock is another machine's."""
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"\0")
            file.flush()
            os.fsync(file.fileno())
            return datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    except OSError:
        return None


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


def what_denies(path: str) -> str:
    """Name the file or folder that denies access to a path, whose it is and who may do what there.

    It is the first folder on the way that may not be entered, else what is there of the path: itself if it may not be
    read, or the folder in which nothing can be made.
    """
    denying, status = Path(), Path().stat()
    for each in (*reversed(Path(path).parents), Path(path)):
        try:
            found = each.stat()
        except OSError:  # nothing is there, or the folder above may not be entered
            break
        needed = os.R_OK | (os.X_OK if each.is_dir() else 0)
        if each == Path(path) and os.access(each, needed, effective_ids=os.access in os.supports_effective_ids):
            break  # it is its folder that cannot be written
        denying, status = each, found
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = f"user {status.st_uid}"
    what = "it" if str(denying) == path.rstrip("/") else "the working folder" if denying == Path() else str(denying)
    return f"{what} belongs to {owner} ({filemode(status.st_mode)})"


@contextlib.contextmanager
def _errors(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file") from None
    except PermissionError as error:
        why = what_denies(error.filename if isinstance(error.filename, str) else path)
        raise UserError(f"{path}: permission denied: {why}; ask for access to it, or choose another path") from None
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
