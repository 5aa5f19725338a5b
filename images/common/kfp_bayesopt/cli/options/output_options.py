"""The option --json: a line for each event of a run, or one document of a command that answers a question."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

with_json = click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each event.")


class DocumentOption(click.Option):
    """The option --json of a command that prints one document.

    Attributes:
        keys: What each key of the document holds; each is always there.
    """

    def __init__(self, *arguments: Any, keys: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.keys = keys


@dataclass(frozen=True)
class Answer:
    """What a command prints on standard output: lines for people, or with --json one document for programs.

    Attributes:
        as_json: Whether it is the document.
        keys: What each key of the document holds.
    """

    as_json: bool
    keys: Mapping[str, str]

    def say(self, line: str) -> None:
        """Print a line for people."""
        if not self.as_json:
            click.echo(line)

    def give(self, **data: object) -> None:
        """Print the document for programs."""
        assert data.keys() == self.keys.keys()
        if self.as_json:
            click.echo(json.dumps({key: data[key] for key in self.keys}, allow_nan=False, ensure_ascii=False))


def with_answer(**keys: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the option --json for one document; it gets the `Answer` as `answer`.

    Args:
        keys: What each key of the document holds.
    """

    def give(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(*, as_json: bool, **options: Any) -> None:
            command(answer=Answer(as_json, keys), **options)

        option: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
            "--json", "as_json", cls=DocumentOption, keys=keys, is_flag=True, help="Print one JSON document."
        )
        return option(wrapped)

    return give
