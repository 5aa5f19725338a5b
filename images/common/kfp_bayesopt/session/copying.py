"""Copies a study folder between this machine and a bucket, and deletes one: only files of the study."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.model import unlisted
from kfp_bayesopt.folder.study_folder import MOST_FOLD_BYTES, THREADS
from kfp_bayesopt.folder.trials import Manifest
from kfp_bayesopt.steps import RESULTS
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.local import path_below
from kfp_bayesopt.store.names import can_be_object, problem_with_name

MOST_BYTES = MOST_FOLD_BYTES  # the largest object of a study: a fold, or the ledger

OUTPUT = r"trials/[0-9]{6,}/output-[0-9]+/(?s:.+)"
_MANIFEST = re.compile(r"(trials/[0-9]{6,}/output-[0-9]+)\.json")

# Write-once files, in the order of copying: a reader of the target meanwhile, or after an interrupted copy, finds no
# record without its suggestion, and no job before its study.
ONCE = (
    r"code/[0-9a-f]{64}\.(dill|lock)",
    r"study/[0-9a-f]{64}\.yaml",
    r"(init|iteration-[0-9]+)/[^/]+",  # of version 0.1.0
    r"trials/[0-9]{6,}/suggestion\.json",
    r"points/[0-9a-f]{64}\.json",
    r"retries/[^/]+\.json",
    r"earlier\.jsonl",
    r"trials/[0-9]{6,}/claim-[0-9]+\.json",
    r"trials/[0-9]{6,}/log-[0-9]+\.txt",
    r"trials/[0-9]{6,}/curve-[0-9]+\.json",
    OUTPUT,
    r"trials/[0-9]{6,}/output-[0-9]+\.json",
    r"rungs/[0-9]+/[0-9]{6,}\.json",
    r"trials/[0-9]{6,}/record-[0-9]+\.json",
    r"ledger-[0-9]{8}\.jsonl",
    r"jobs/[^/]+\.json",
    r"jobs/[^/]+/(submitted|ended|worker-[0-9a-f]+)\.json",
)
# Made again if missing, and not the same bytes everywhere.
CACHE = (r"state/[0-9]{6,}(-[0-9a-f]+\.state|\.dill)",)
DERIVED = (*(re.escape(name) for name in RESULTS), r"study\.yaml")
# Signs of life, and copies that workers make for each other, are of no use in another place; they are deleted with the
# study.
ALIVE = (
    r"trials/[0-9]{6,}/heartbeat-[0-9]+\.json",
    r"trials/[0-9]{6,}/known\.jsonl",
    r"jobs/[^/]+/waits-[0-9]+\.json",
    r"trials/[0-9]{6,}/checkpoint/.+",
    r"trials/[0-9]{6,}/said-[0-9]+\.(json|log)",
)

T = TypeVar("T")
R = TypeVar("R")


class Copied(NamedTuple):
    """The result of a copy.

    Attributes:
        new: The number of objects that were missing and are there now.
        kept: The number of objects that were there already.
        left_out: The objects whose names cannot be those of files below a folder.
    """

    new: int
    kept: int
    left_out: tuple[str, ...] = ()


def copy_folder(source: str, target: str) -> Copied:
    """Copy the objects of a study folder into another one; existing write-once objects stay.

    Raises:
        UserError: The source holds no study, or a write-once object differs; nothing was copied then.
    """
    there(source)
    found, theirs = names_in(source), names_in(target)
    fits = can_be_object if not storage.is_local(target) else lambda _: True
    left_out = tuple(sorted(name for name in found if problem_with_name(name) or not fits(name)))
    ours = {name: size for name, size in found.items() if name not in left_out}
    once = [name for name in _of(ONCE, ours) if name not in theirs]
    both = [name for name in _of(ONCE, ours) if name in theirs]
    for name, same in zip(both, _map(lambda name: _is_same(source, target, name, ours, theirs), both), strict=True):
        if not same:
            raise UserError(
                f"{target}/{name}: differs from {source}/{name}, and neither ever changes: both folders went on by "
                "themselves; keep one of them, and copy it into an empty folder"
            )
    new = [*once, *(name for name in _of(CACHE, ours) if name not in theirs)]
    for pattern in (*ONCE, *CACHE):  # one kind after another, many at a time within it
        _map(lambda name: _create(source, target, name), list(_of((pattern,), new)))
    derived = list(_of(DERIVED, ours))
    _map(lambda name: storage.replace(_at(target, name), _read(source, name)), derived)
    return Copied(len(new), len(both), left_out)


def delete_results(root: str) -> int:
    """Delete the derived objects of a study, and return their number.

    Raises:
        UserError: The folder is a link.
    """
    refuse_link(root)
    return _delete(root, DERIVED)


def delete_study(root: str) -> int:
    """Delete all objects of a study, and return their number; other files stay.

    A link among them is deleted itself, and not its target.

    Raises:
        UserError: The folder is a link.
    """
    refuse_link(root)
    # Records go last: an interrupted deletion leaves a folder without results, not one with gaps.
    count = _delete(root, (*DERIVED, *CACHE, *ALIVE, *reversed(ONCE)))
    if storage.is_local(root):
        known = _known()
        for here, folders, files, opened in os.fwalk(root, topdown=False):
            for name in (*folders, *files):
                path = Path(here, name)
                with contextlib.suppress(OSError):  # it holds something else, or is something else
                    if not path.is_symlink():
                        os.rmdir(name, dir_fd=opened)
                    elif known.fullmatch(path.relative_to(root).as_posix()):  # to nowhere, or to an empty folder
                        os.unlink(name, dir_fd=opened)
    return count


def there(root: str) -> str:
    """Return a folder if it holds a study, so that an empty answer is not mistaken for one.

    Raises:
        UserError: It does not exist, or nothing in it was created by a study.
    """
    prefix = f"{root}/"
    known = re.compile("|".join(ONCE))
    if not any(known.fullmatch(entry.uri.removeprefix(prefix)) for entry in _entries(root)):
        problem = "no such folder" if storage.is_local(root) and not Path(root).exists() else "holds no study"
        raise UserError(f"{root}: {problem}; give its folder with {hints.FOLDER}, or run the study first")
    return root


def refuse_link(root: str) -> None:
    """Refuse to delete in a folder that is a link to another one.

    Raises:
        UserError: It is.
    """
    if storage.is_local(root) and Path(root).is_symlink():
        raise UserError(
            f"{root}: is a link to {Path(root).resolve()}, and nothing behind a link is deleted; give that folder"
        )


def names_in(root: str) -> dict[str, int]:
    """Return the names and sizes in bytes of the objects of a study folder."""
    prefix = f"{root}/"
    if storage.is_local(root) and not Path(root).is_dir():
        return {}
    found = {entry.uri.removeprefix(prefix): entry.size for entry in _entries(root)}
    known = _known()
    return {name: size for name, size in (found | _hidden(root, found)).items() if known.fullmatch(name)}


def _entries(root: str) -> Iterator[storage.Entry]:
    """Yield the entries of a study folder; links kept by trials are not followed."""
    if not storage.is_local(root):
        yield from storage.entries(f"{root}/")
        return
    yield from storage.entries(f"{root}/", depth=2)
    for pattern in ("trials/*/output-*", "trials/*/checkpoint"):
        for folder in filter(Path.is_dir, sorted(Path(root).glob(pattern))):
            yield from storage.entries(f"{root}/{folder.relative_to(root).as_posix()}/", links=False)


def _hidden(root: str, names: Collection[str]) -> dict[str, int]:
    """Return the files of models that lists leave out: part of their names begins with a dot, or they are links."""
    hidden: dict[str, int] = {}
    for match in filter(None, map(_MANIFEST.fullmatch, names)):
        with contextlib.suppress(UserError):  # damaged: it is copied as it is
            for file in read_document(Manifest, f"{root}/{match[0]}").files:
                name = f"{match[1]}/{file.kept_as}"
                if name not in names and (entry := unlisted(f"{root}/{match[1]}", file)) is not None:
                    hidden[name] = entry.size
    return hidden


def _known() -> re.Pattern[str]:
    return re.compile("|".join((*ONCE, *CACHE, *DERIVED, *ALIVE)))


def _of(patterns: Iterable[str], names: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        kind = re.compile(pattern)
        yield from (name for name in names if kind.fullmatch(name))


def _is_same(source: str, target: str, name: str, ours: dict[str, int], theirs: dict[str, int]) -> bool:
    if ours[name] != theirs[name]:
        return False
    if _is_output(name):  # it may be large, and a bucket knows its checksum
        return storage.digest(f"{source}/{name}").md5 == storage.digest(f"{target}/{name}").md5
    return _read(source, name) == _read(target, name)


def _create(source: str, target: str, name: str) -> None:
    if _is_output(name):
        storage.copy(f"{source}/{name}", _at(target, name))
    else:
        storage.create(_at(target, name), _read(source, name))


def _is_output(name: str) -> bool:
    return re.fullmatch(OUTPUT, name) is not None


def _at(root: str, name: str) -> str:
    """Return the path or URI to write an object of a study folder to."""
    return str(path_below(Path(root), name)) if storage.is_local(root) else f"{root}/{name}"


def _read(root: str, name: str) -> bytes:
    return storage.read(f"{root}/{name}", MOST_BYTES)


def _delete(root: str, patterns: Iterable[str]) -> int:
    names = names_in(root)
    count = 0
    for pattern in patterns:
        found = list(_of((pattern,), names))
        count += sum(_map(lambda name: storage.delete(f"{root}/{name}", below=root), found))
    return count


def _map(function: Callable[[T], R], items: list[T]) -> list[R]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, items))
