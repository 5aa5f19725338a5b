"""Reads YAML 1.2 as plain data, within limits: any bytes give data or a message, quickly and in little memory.

`1e-4` is a number; `on` and `2024-01-01` are text. Tags are not supported, so nothing is built but text, numbers,
booleans, null, lists and mappings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.resolver import implicit_resolvers
from ruamel.yaml.scanner import Scanner

from kfp_bayesopt.errors import shown, shown_name
from kfp_bayesopt.wording import UNREADABLE

# The parser takes up to 60 microseconds for a node and 4 for a byte.
MAX_BYTES = 256_000
MAX_NODES = 12_000
MAX_DEPTH = 20
# A number of this many digits is below the largest float even if they are hexadecimal.
MAX_DIGITS = 250

_PLAIN = {tag.rpartition(":")[2]: pattern for versions, tag, pattern, _ in implicit_resolvers if (1, 2) in versions}
# Tabs and line breaks are text; other control characters, surrogates and non-characters are not.
_NO_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BASES = {"0b": 2, "0o": 8, "0x": 16}


class UnreadableError(ValueError):
    """The file is not YAML, or exceeds a limit."""


def read_yaml(content: bytes) -> tuple[Any, list[str]]:
    """Return the only document of a YAML file, and its mistakes, each with its line.

    Raises:
        UnreadableError: It is not YAML, or exceeds a limit.
    """
    if len(content) > MAX_BYTES:
        raise UnreadableError(f"must have at most {MAX_BYTES:,} bytes, but has {len(content):,}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 text: {error.reason} at byte {error.start}; save it as UTF-8") from None
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = _Scanner
    try:
        return _Reader(yaml.parse(text)).document()
    except MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        problem = (error.problem or error.context or "not understood").splitlines()[0].removeprefix("but ")
        raise UnreadableError(f"{where}not valid YAML: {problem}") from None
    except YAMLError as error:
        raise UnreadableError(f"not valid YAML: {str(error).splitlines()[0]}") from None


class _Scanner(Scanner):
    """Refuses YAML features that a study does not need before the scanner spends time on them."""

    def fetch_tag(self) -> Any:
        self._refuse("tags such as !!str are not supported; write the value alone, text that begins with ! in quotes")

    def fetch_directive(self) -> None:
        self._refuse("directives such as %YAML are not supported; remove the line")

    def scan_flow_scalar_non_spaces(self, double: Any, start_mark: Any) -> Any:
        try:
            return super().scan_flow_scalar_non_spaces(double, start_mark)
        except (ValueError, OverflowError):  # ruamel hands the digits of \U to chr() as they are
            self._refuse("an escape such as \\U0010FFFF goes beyond the last character of Unicode")

    def _refuse(self, problem: str) -> None:
        raise UnreadableError(f"line {self.reader.get_mark().line + 1}: {problem}") from None


class _Reader:
    """Builds data from the events of a parser, and counts the nodes."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._nodes = 0
        self._anchors: dict[str, tuple[Any, int]] = {}  # the value, and how many nodes it has
        self._problems: list[str] = []

    def document(self) -> tuple[Any, list[str]]:
        """Return the only document, None if the file is empty, and its mistakes."""
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), StreamEndEvent):
            return None, []
        data = self._node(next(self._events), 1)
        next(self._events)  # the end of the document
        following = next(self._events)
        if not isinstance(following, StreamEndEvent):
            raise UnreadableError(f"{_line(following)}: a second document begins; keep one in the file")
        return data, self._problems

    def _node(self, event: Event, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise UnreadableError(f"{_line(event)}: nested more than {MAX_DEPTH} levels deep")
        before = self._nodes
        self._count(1, event)
        if isinstance(event, AliasEvent):
            name = shown_name(event.anchor)
            if event.anchor not in self._anchors:
                raise UnreadableError(f"{_line(event)}: *{name} has no anchor &{name} before it")
            value, size = self._anchors[event.anchor]
            self._count(size, event)
            return value
        if isinstance(event, ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, SequenceStartEvent):
            value = self._sequence(depth)
        else:
            value = self._mapping(depth)
        if anchor := getattr(event, "anchor", None):
            self._anchors[anchor] = (value, self._nodes - before)
        return value

    def _count(self, nodes: int, event: Event) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise UnreadableError(f"{_line(event)}: more than {MAX_NODES:,} values, with those that aliases repeat")

    def _sequence(self, depth: int) -> list[Any]:
        items = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if key == "<<" and isinstance(event, ScalarEvent) and event.implicit[0]:
                merged = self._merged(value, event)
            elif key is UNREADABLE:
                continue
            elif not isinstance(key, str):
                came = "a list" if isinstance(key, list) else "a mapping" if isinstance(key, dict) else None
                hint = came or f"{shown(key)}; put it in quotes"
                self._problems.append(f"{_line(event)}: a key must be text, but got {hint}")
            elif key in own:
                self._problems.append(f"{_line(event)}: duplicate key {shown(key)}")
            else:
                own[key] = value
        return {**merged, **own}

    def _merged(self, value: Any, event: Event) -> dict[str, Any]:
        mappings = value if isinstance(value, list) else [value]
        merged: dict[str, Any] = {}
        for mapping in reversed(mappings):  # of two that have a key, the first one's is taken
            if isinstance(mapping, dict):
                merged = {**merged, **mapping}
            else:
                self._problems.append(f"{_line(event)}: << merges mappings, but got {shown(mapping)}")
        return merged

    def _scalar(self, event: ScalarEvent) -> Any:
        text = event.value
        if found := _NO_TEXT.search(text):
            self._problems.append(f"{_line(event)}: text cannot contain the character {found.group()!a}")
            return UNREADABLE
        if not event.implicit[0]:  # in quotes, or a block
            return text
        if _PLAIN["null"].match(text):
            return None
        if _PLAIN["bool"].match(text):
            return text.lower() == "true"
        for kind, read in (("float", _float), ("int", _integer)):
            if _PLAIN[kind].match(text):
                if len(text) > MAX_DIGITS:
                    self._problems.append(
                        f"{_line(event)}: a number has at most {MAX_DIGITS} digits, but got {shown(text)}"
                    )
                    return UNREADABLE
                try:
                    return read(text.replace("_", "").lower())
                except ValueError:  # no digit among its underscores
                    return text
        return text


def _float(text: str) -> float:
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _integer(text: str) -> int:
    sign = "-" if text[0] == "-" else ""
    digits = text.lstrip("+-")
    base = _BASES.get(digits[:2])
    return int(sign + digits[2:], base) if base else int(sign + digits)


def _line(event: Event) -> str:
    return f"line {event.start_mark.line + 1}"
