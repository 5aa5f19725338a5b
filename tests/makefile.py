"""What the Makefile has, as make itself sees it."""

from __future__ import annotations

import functools
import re
import subprocess

from tests import ROOT


@functools.cache
def _database() -> str:
    command = ["make", "--print-data-base", "--question", "--no-builtin-rules", "--no-builtin-variables", "help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout


def targets() -> set[str]:
    """The words that `make` takes."""
    return set(re.findall(r"(?<!# Not a target:\n)^([a-z][a-z0-9/_-]*):(?!=)", _database(), re.MULTILINE))


def variables() -> set[str]:
    """The variables that a person may give."""
    options = {pair.partition("=")[0] for name in ("VALUES", "SWITCHES") for pair in list_of(name)}
    return options | set(re.findall(r"^([A-Z_]+) *\?=", (ROOT / "Makefile").read_text(), re.MULTILINE))


def list_of(name: str) -> list[str]:
    """The words of a variable."""
    found = re.search(rf"^{name} := (.*)$", _database(), re.MULTILINE)
    assert found, name
    return found[1].split()
