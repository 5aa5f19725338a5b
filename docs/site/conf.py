"""The documents as a site: `make site` writes it to out/site, without a network."""

from __future__ import annotations

import re
from typing import Any

project = "kfp-bayesopt"
author = "the authors of kfp-bayesopt"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
master_doc = "index"
exclude_patterns = ["site/*"]
html_theme = "furo"
html_title = "kfp-bayesopt"
html_show_sphinx = False
html_copy_source = False
myst_heading_anchors = 3
# Links out of the documents lead to files of the repository; notebooks and data are copied beside the pages.
suppress_warnings = ["myst.xref_missing", "myst.header", "toc.not_included", "misc.highlighting_failure"]


def setup(app: Any) -> None:
    """Give the site its contents: the links of the first page, by its sections."""
    app.connect("source-read", _add_contents)


def _add_contents(_app: Any, page: str, source: list[str]) -> None:
    if page != master_doc:
        return
    for section in source[0].split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        pages = re.findall(r"\((\w[\w-]*)\.md\)", text)
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(dict.fromkeys(pages)) + "\n```\n"
