"""The text of a study file: read within limits, and written."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from kfp_bayesopt.errors import DamagedError, ExistsError, UserError, listed, shortened, shown
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.yaml_reader import MAX_BYTES, UnreadableError, read_yaml

WIDTH = 110
_OF_STUDY_FOLDER = re.compile(r"(?:.*/)?study/([0-9a-f]{64})\.yaml")


def folder_of(uri: str) -> str | None:
    """Return the folder of a study file that a person has on this machine; None for one in a study folder."""
    is_persons = storage.is_local(uri) and not _OF_STUDY_FOLDER.fullmatch(uri)
    return str(Path(uri).resolve().parent) if is_persons else None


def read_study(uri: str) -> bytes:
    """Return the content of a study file; one in a study folder is compared with the digest in its name.

    Raises:
        UserError: It is missing, too large, or was replaced.
    """
    content = storage.read(uri, limit=MAX_BYTES)
    name = _OF_STUDY_FOLDER.fullmatch(uri)
    if name and hashlib.sha256(content).hexdigest() != name[1]:
        raise DamagedError(
            f"{uri}: its content is not the one that its name is the digest of: it was replaced; delete it, and run "
            "the command with the study file again"
        )
    return content


def parent_of(path: str | PathLike[str]) -> str:
    """Return the folder of a study file that is written, here or in a bucket."""
    return storage.given(str(path)).rpartition("/")[0] or "."


def write_study(path: str, content: bytes, beside: Mapping[str, bytes], *, replace: bool) -> None:
    """Write a study file.

    Args:
        path: The file.
        content: Its content.
        beside: Files that it names, by their names in its folder; they are written first.
        replace: Replace another file that is there.

    Raises:
        UserError: Another file is there, or it cannot be written.
    """
    uri = storage.given(path)
    for name, each in beside.items():
        storage.create(f"{parent_of(uri)}/{name}", each)
    if replace:
        storage.replace(uri, content)
        return
    try:
        storage.create(uri, content)
    except ExistsError:
        problem = "is there already, with other content; give another path, or replace=True"
        raise UserError(f"{uri}: {problem}") from None


def read_keys(content: bytes, source: str) -> tuple[dict[str, Any], list[str]]:
    """Return the keys of a study file, and the mistakes of its text, each with its line.

    Raises:
        UserError: It is not YAML, or no mapping.
    """
    try:
        data, problems = read_yaml(content)
    except UnreadableError as error:
        raise UserError(f"{source}: {shortened(str(error))}") from None
    if data is None:
        raise UserError(f"{source}: the file is empty; describe a study in it, as docs/study.md explains")
    if not isinstance(data, dict):
        came = f"a list: {shown(data)}" if isinstance(data, list) else shown(data)
        raise UserError(listed(source, [*problems, f"must be a mapping of keys to values, but got {came}"]))
    return data, problems


def text_of(keys: dict[str, Any]) -> str:
    """Return the text of a study file."""
    file = io.StringIO()
    writer = YAML()
    writer.default_flow_style = None
    writer.width = WIDTH
    writer.representer.ignore_aliases = lambda _: True  # of what came twice by an alias too
    writer.dump(keys, file)
    return file.getvalue()
