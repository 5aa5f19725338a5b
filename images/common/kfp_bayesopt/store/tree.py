"""A folder of files that is copied whole or not at all, to a disk or a bucket, part by part."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from kfp_bayesopt.errors import BucketNotFoundError, NotFoundError, shown_name
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.entry import is_listed
from kfp_bayesopt.store.local import path_below
from kfp_bayesopt.store.names import can_be_object

THREADS = 10


@dataclass(frozen=True)
class Tree:
    """Files that lie anywhere, and the names that they have below one folder.

    Attributes:
        files: The path or URI of each by its name, and the MD5 of its content, if that is known.
        folders: The names of empty folders.
    """

    files: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)

    def copy_to(self, target: str) -> str | None:
        """Copy it to a folder, in place of what is there; if it is not whole, return the reason and leave nothing.

        Args:
            target: The path or URI of the folder. A bucket has no empty folders.

        Raises:
            UserError: Storage refuses to read or to write; a folder on a disk is as before, one in a bucket empty.
        """
        if storage.is_local(target):
            return self._copy_here(Path(target))
        if odd := [name for name in self.files if not can_be_object(f"{target}/{name}")]:
            return self._wrong(f"{shown_name(name)} has a name that a bucket cannot have" for name in odd)
        self._clear(target)
        try:
            wrong = self._copy_files({name: f"{target}/{name}" for name in self.files})
        except BaseException:
            self._clear(target)
            raise
        if wrong:
            self._clear(target)
        return wrong

    def _clear(self, target: str) -> None:
        """Delete what an earlier copy has left in a bucket."""
        storage.delete_folder(target, _above(target))
        for name in self.files:
            if not is_listed(name, None):
                storage.delete(f"{target}/{name}", _above(target))

    def _copy_here(self, target: Path) -> str | None:
        parts = target.with_name(f".{target.name}.part")
        storage.delete_folder(str(parts), str(parts.parent))
        try:
            wrong = self._copy_files({name: str(path_below(parts, name)) for name in self.files})
            if wrong is None:
                for name in self.folders:
                    path_below(parts, name).mkdir(parents=True, exist_ok=True)
                storage.delete_folder(str(target), str(target.parent))
                parts.mkdir(parents=True, exist_ok=True)
                parts.rename(target)
        finally:
            shutil.rmtree(parts, ignore_errors=True)
        return wrong

    def _copy_files(self, targets: dict[str, str]) -> str | None:
        def copy(name: str) -> str | None:
            source, md5 = self.files[name]
            try:
                found = storage.copy(source, targets[name])
            except BucketNotFoundError:
                raise
            except NotFoundError:
                return f"{shown_name(name)} is missing"
            return None if md5 in (None, found.md5) else f"{shown_name(name)} was changed"

        with ThreadPoolExecutor(THREADS) as pool:
            return self._wrong(filter(None, pool.map(copy, self.files)))

    def _wrong(self, problems: Iterable[str]) -> str | None:
        found = list(problems)
        return f"is not whole: of its {len(self.files)} files {first_of(found)}" if found else None


def first_of(problems: list[str]) -> str:
    """Return the first of some problems, and how many more there are."""
    return problems[0] + (f", and {len(problems) - 1} more" if len(problems) > 1 else "")


def _above(uri: str) -> str:
    return uri.rpartition("/")[0]
