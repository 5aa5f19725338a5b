"""The source `file`: a key of a JSON file, or a column of a CSV file, that an objective writes."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Literal

from pydantic import Field, field_validator

from kfp_bayesopt.errors import shown
from kfp_bayesopt.space.numerals import NoNumber, read_number
from kfp_bayesopt.study.sources.base import Evidence, Metrics, NamedSource, NoValueError

MOST_BYTES = 100_000_000
"""The limit for anything that must fit into memory as a whole: a JSON file, or one line of the others."""
csv.field_size_limit(MOST_BYTES)
# File systems round times; a file written just as the objective started is not an earlier trial's.
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
    def origin(self) -> str:
        """The file."""
        return shown(self.path)

    def find(self, evidence: Evidence) -> Metrics:
        """Return the metrics of the file."""
        kind = PurePosixPath(self.path).suffix.lower()
        read = {".json": _json, ".jsonl": _json_lines, ".csv": _csv}[kind]
        newline = "" if kind == ".csv" else None
        with (
            open_new(self.path, [folder / self.path for folder in evidence.folders], evidence) as file,
            io.TextIOWrapper(file, "utf-8-sig", newline=newline) as text,
        ):
            try:
                return read(text, self.path)
            except UnicodeDecodeError:
                raise NoValueError(f"{shown(self.path)} is not UTF-8") from None


def check_inside(path: str) -> str:
    """Return a path if it lies in the folder of the trial or of the study.

    Raises:
        ValueError: It does not.
    """
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(
            f"must be a path in the folder of the trial or of the study, without .. in it, but got {shown(path)}"
        )
    return path


def open_new(name: str, candidates: list[Path], evidence: Evidence) -> BinaryIO:
    """Open a file that an objective wrote: the first candidate that exists.

    Raises:
        NoValueError: None exists, or none was written by this trial.
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
        return _open(name, resolved, evidence)
    searched = " and ".join(shown(str(path)) for path in candidates)
    raise NoValueError(f"no file {shown(name)}: it did not write {searched}")


def _open(name: str, path: Path, evidence: Evidence) -> BinaryIO:
    try:
        # Opening a FIFO would wait for a writer, and a device may be endless.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise NoValueError(f"{shown(name)} cannot be read: {error.strerror}") from None
    status = os.fstat(descriptor)
    why = None
    if not stat.S_ISREG(status.st_mode):
        why = "is not a regular file"
    elif status.st_mtime < evidence.started - COARSEST_CLOCK:
        why = "is older than the trial: it was written by an earlier one, or by hand"
    if why is not None:
        os.close(descriptor)
        raise NoValueError(f"{shown(name)} {why}")
    return os.fdopen(descriptor, "rb")


def lines_of(file: IO[str], name: str) -> Iterator[str]:
    """Yield the lines of a file of any length, one at a time.

    Raises:
        NoValueError: A line is too long.
    """
    number = 0
    while line := file.readline(MOST_BYTES):
        number += 1
        if len(line) == MOST_BYTES:
            raise NoValueError(f"{name}, line {number}: has more than {MOST_BYTES:,} characters")
        yield line


def _json(file: IO[str], name: str) -> Metrics:
    metrics = Metrics()
    text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise NoValueError(
            f"{shown(name)} has more than {MOST_BYTES:,} characters; write a line of JSON for each step (.jsonl)"
        )
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoValueError(f"{shown(name)} is not valid JSON: {error}") from None
    for each in found if isinstance(found, list) else [found]:
        if not isinstance(each, dict):
            raise NoValueError(f"{shown(name)} must hold a JSON object of metrics, or a list of these")
        metrics.add_all(each)
    return metrics


def _json_lines(file: IO[str], name: str) -> Metrics:
    metrics = Metrics()
    for number, line in enumerate(lines_of(file, shown(name)), 1):
        if line.strip():
            try:
                found = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise NoValueError(f"{shown(name)}, line {number}: not valid JSON: {error}") from None
            if not isinstance(found, dict):
                raise NoValueError(f"{shown(name)}, line {number}: must be a JSON object of metrics")
            metrics.add_all(found)
    return metrics


def _csv(file: IO[str], name: str) -> Metrics:
    metrics = Metrics()
    try:
        for row in csv.DictReader(lines_of(file, shown(name)), strict=True):
            # A number with an unquoted comma is two cells, and shifts all cells after it.
            more = row.pop(None, [])
            moved = NoNumber(",".join(filter(None, [*row.values(), *more]))) if any(more) else None
            for key, cell in row.items():
                number = moved if moved is not None else read_number(cell or "")
                if number is not None:
                    metrics.add(key.strip(), number)
    except csv.Error as error:
        raise NoValueError(f"{shown(name)} is not valid CSV: {error}") from None
    return metrics
