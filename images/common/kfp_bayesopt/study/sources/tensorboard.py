"""The source `tensorboard`: event files of a summary writer of PyTorch, TensorFlow or JAX."""

from __future__ import annotations

import os
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import Field, field_validator

from kfp_bayesopt.errors import shown
from kfp_bayesopt.study.sources.base import Evidence, Metrics, NamedSource, NoValueError
from kfp_bayesopt.study.sources.file import COARSEST_CLOCK, MOST_BYTES, check_inside, open_new

MOST_FILES = 1000
# By type of a tensor, DT_FLOAT and DT_DOUBLE: its form, and the field to use if `tensor_content` is missing.
FORMS: dict[object, tuple[str, int]] = {1: ("<f", 5), 2: ("<d", 6)}


class TensorBoard(NamedSource):
    """Scalars of event files: `tag`, or `folder/tag` for a file in a folder below the path."""

    first_keys = ("source", "path", "name", "take")

    source: Literal["tensorboard"]
    path: str = Field(
        min_length=1,
        max_length=1000,
        description="Folder of event files: looked for in the folder of the trial, then in that of the study.",
        examples=["runs"],
    )

    @field_validator("path")
    @classmethod
    def _check(cls, path: str) -> str:
        return check_inside(path)

    @property
    def origin(self) -> str:
        """The folder."""
        return f"the event files in {shown(self.path)}"

    def find(self, evidence: Evidence) -> Metrics:
        """Return the scalars of this trial's files; a tag that occurs in several folders needs its folder."""
        found: dict[str, Metrics] = defaultdict(Metrics)
        for path, folder in self._files(evidence):
            with open_new(path.name, [path], evidence) as file:
                for tag, number in _scalars(file):
                    found[folder].add(tag, number)
        tags = Counter(tag for metrics in found.values() for tag in metrics)
        metrics = Metrics()
        for folder, scalars in found.items():
            for tag, numbers in scalars.items():
                if tags[tag] == 1:
                    metrics.keep(tag, numbers)
                if folder != ".":
                    metrics.keep(f"{folder}/{tag}", numbers)
        return metrics

    def _files(self, evidence: Evidence) -> list[tuple[Path, str]]:
        """Return the new event files, sorted by name, each with its folder below the path."""
        for base in (folder / self.path for folder in evidence.folders):
            found = [Path(parent) / name for parent, _, names in os.walk(base) for name in names if "tfevents" in name]
            new = [path for path in found if _time_of(path) >= evidence.started - COARSEST_CLOCK]
            if new:
                return [(path, path.parent.relative_to(base).as_posix()) for path in sorted(new)[-MOST_FILES:]]
        raise NoValueError(f"no event file of this trial in {shown(self.path)}; close or flush the summary writer")


def _time_of(path: Path) -> float:
    """Return the modification time of a file; 0 if its writer has just removed it."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _scalars(file: BinaryIO) -> Iterator[tuple[str, float]]:
    """Yield tag and number of the scalars of an event file, up to the first incomplete record.

    The file may have any length: large records, such as pictures and histograms, are skipped.

    Format: records of TensorFlow (length, checksum, event, checksum); event.proto, summary.proto and tensor.proto.
    """
    size, start = os.fstat(file.fileno()).st_size, 0
    while start + 12 <= size:
        file.seek(start)
        header = file.read(12)
        length = struct.unpack_from("<Q", header)[0] if len(header) == 12 else 0
        if not length or start + 12 + length > size:  # a hole of a file has none
            return
        event = file.read(length) if length <= MOST_BYTES else b""
        start += length + 16
        try:
            summaries = [value for number, value in _fields(event) if number == 5 and isinstance(value, bytes)]
            values = [value for each in summaries for number, value in _fields(each) if number == 1]
            for value in values:
                if isinstance(value, bytes) and (scalar := _scalar(value)):
                    yield scalar
        except (IndexError, UnicodeDecodeError, ValueError, struct.error):
            return


def _scalar(value: bytes) -> tuple[str, float] | None:
    """Return tag and number of a Summary.Value; None for a picture, a histogram or text."""
    fields = dict(_fields(value))
    tag, simple, tensor = fields.get(1), fields.get(2), fields.get(8)
    if not isinstance(tag, bytes):
        return None
    if isinstance(simple, bytes):
        return tag.decode(), struct.unpack("<f", simple)[0]
    if isinstance(tensor, bytes):
        parts = dict(_fields(tensor))
        form, own = FORMS.get(parts.get(1), ("", 0))
        content = parts.get(4) or parts.get(own)
        if form and isinstance(content, bytes) and len(content) == struct.calcsize(form):
            return tag.decode(), struct.unpack(form, content)[0]
    return None


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and content of the fields of a protobuf message: varints as int, all others as bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            number, at = _varint(message, at)
            yield key >> 3, number
            continue
        if kind == 2:
            length, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}.get(kind, len(message) + 1)
        if at + length > len(message):
            raise ValueError("a field is cut, or of a kind that nobody writes")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a varint and the position after it."""
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
