"""The files of docs/in-your-pipeline.md, as a person would write them."""

from __future__ import annotations

import re
from pathlib import Path

from tests import ROOT

PAGE = (ROOT / "docs" / "in-your-pipeline.md").read_text()
FILES = dict(re.findall(r"^```\w+ ([\w./-]+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
PIPELINES = {name: content for name, content in FILES.items() if "@dsl.pipeline" in content}


def write_files(folder: Path) -> None:
    """Write all files of the page into a folder."""
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
