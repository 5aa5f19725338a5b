"""The source `file`: a key of a JSON file, or a column of a CSV file, that an objective writes."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from bayesopt.errors import shown
from bayesopt.sources.base import Evidence, Metrics, NamedSource, NoValueError
from bayesopt.sources.numbers import NoNumber, read_number

MOST_BYTES = 10_000_000
# File systems keep times in steps; what was written as the objective started is not of an earlier trial.
COARSEST_CLOCK = 2.0


class File(NamedSource):
    """A file of metrics that an objective writes."""

    first_keys = ("source", "path", "name", "take")

    source: Literal["file"]
    path: str = Field(
        min_length=1,
        max_length=1000,
        description="A .json, .jsonl or .csv file: looked for in the folder of the trial, then in that of the study.",
        examples=["metrics.json"],
    )

    @field_validator("path")
    @classmethod
    def _check(cls, path: str) -> str:
        if PurePosixPath(path).suffix.lower() not in {".json", ".jsonl", ".csv"}:
            raise ValueError(f"must name a .json, .jsonl or .csv file, but got {shown(path)}")
        return check_inside(path)

    @property
    def place(self) -> str:
        """The file."""
        return shown(self.path)

    def find(self, evidence: Evidence) -> Metrics:
        """Return the metrics of the file."""
        content = read_new(self.path, [folder / self.path for folder in evidence.folders], evidence)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise NoValueError(f"{shown(self.path)} is not UTF-8") from None
        kind = PurePosixPath(self.path).suffix.lower()
        return {".json": _json, ".jsonl": _json_lines, ".csv": _csv}[kind](text, self.path)


def check_inside(path: str) -> str:
    """Return a path, if it is one in the folder of the trial or of the study.

    Raises:
        ValueError: It is not.
    """
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(
            f"must be a path in the folder of the trial or of the study, without .. in it, but got {shown(path)}"
        )
    return path


def read_new(name: str, candidates: list[Path], evidence: Evidence) -> bytes:
    """Return the content of a file that an objective wrote: the first candidate that is there.

    Raises:
        NoValueError: There is none, or none that counts.
    """
    for path in candidates:
        try:
            resolved = path.resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            continue
        roots = [folder.resolve() for folder in (*evidence.folders, evidence.metric_file.parent)]
        if not any(resolved.is_relative_to(root) for root in roots):
            raise NoValueError(
                f"{shown(name)} is a link to {shown(str(resolved))}, outside of the folders of the trial and "
                "the study; write the file itself"
            )
        return _read(name, resolved, evidence)
    searched = " and ".join(shown(str(path)) for path in candidates)
    raise NoValueError(f"no file {shown(name)}: it did not write {searched}")


def _read(name: str, path: Path, evidence: Evidence) -> bytes:
    try:
        # A FIFO would wait for a writer, and a device need not end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise NoValueError(f"{shown(name)} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NoValueError(f"{shown(name)} is not a regular file")
        if status.st_mtime < evidence.started - COARSEST_CLOCK:
            raise NoValueError(f"{shown(name)} is older than the trial: it was written by an earlier one, or by hand")
        if status.st_size > MOST_BYTES:
            raise NoValueError(f"{shown(name)} has {status.st_size:,} bytes, more than {MOST_BYTES:,}")
        return file.read(MOST_BYTES)


def _json(text: str, name: str) -> Metrics:
    metrics = Metrics()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoValueError(f"{shown(name)} is not valid JSON: {error}") from None
    for each in found if isinstance(found, list) else [found]:
        if not isinstance(each, dict):
            raise NoValueError(f"{shown(name)} must hold a JSON object of metrics, or a list of these")
        metrics.add_all(each)
    return metrics


def _json_lines(text: str, name: str) -> Metrics:
    metrics = Metrics()
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise NoValueError(f"{shown(name)}, line {number}: not valid JSON: {error}") from None
            if not isinstance(found, dict):
                raise NoValueError(f"{shown(name)}, line {number}: must be a JSON object of metrics")
            metrics.add_all(found)
    return metrics


def _csv(text: str, name: str) -> Metrics:
    metrics = Metrics()
    try:
        for row in csv.DictReader(io.StringIO(text), strict=True):
            # A number with a comma that stands in no quotes is two cells, and moves all that come after it.
            more = row.pop(None, [])
            moved = NoNumber(",".join(filter(None, [*row.values(), *more]))) if any(more) else None
            for key, cell in row.items():
                number = moved if moved is not None else read_number(cell or "")
                if number is not None:
                    metrics.add(key.strip(), number)
    except csv.Error as error:
        raise NoValueError(f"{shown(name)} is not valid CSV: {error}") from None
    return metrics
