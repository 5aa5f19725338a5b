"""The folders of docs/own-code.md, as a person would write them."""

from __future__ import annotations

import re
from pathlib import Path

from tests import ROOT

PAGE = ROOT / "docs" / "own-code.md"
FILES = dict(re.findall(r"^```\w+ (\w+/[\w.]+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE))
KINDS = tuple(dict.fromkeys(name.partition("/")[0] for name in FILES))


def write_kind(kind: str, parent: Path) -> Path:
    """Write the folder of a kind of training code and return it."""
    for name, content in FILES.items():
        if name.startswith(f"{kind}/"):
            path = parent / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    return parent / kind
