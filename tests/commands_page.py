"""The examples of docs/commands.md, which tests run as they are written there."""

from __future__ import annotations

import re

from tests import ROOT

BLOCK = re.compile(r"^### `([a-z-]+)`$(.*?)(?=^##|\Z)", re.DOTALL | re.MULTILINE)
EXAMPLE = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def examples() -> dict[str, list[str]]:
    """Return the lines to paste for each command of the page, in the order of the page."""
    page = (ROOT / "docs" / "commands.md").read_text()
    return {
        command: "".join(EXAMPLE.findall(section)).replace("\\\n", " ").splitlines()
        for command, section in BLOCK.findall(page)
    }


IN_CONTAINERS = ("build", "push", "compose", "run-kfp", "submit")
"""What takes images that were built: `tests/e2e/test_commands_page.py` runs these, the others run without Docker."""
