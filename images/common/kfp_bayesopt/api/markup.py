"""HTML for the cells of a notebook: plain, and in the colours that the notebook has."""

from __future__ import annotations

import html
from collections.abc import Iterable

# Classes that keep notebooks from setting what stands between dollars as a formula.
NO_FORMULAS = "tex2jax_ignore mathjax_ignore"
LONGEST = 400
"""The most letters of a text that are shown."""


def escaped(text: str) -> str:
    """Return a text as HTML, shortened if it is very long."""
    return html.escape(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")


def facts(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """Return a table of names and values with a title; what is None is left out."""
    cell = "text-align:left;vertical-align:top;padding:1px 16px 1px 0;overflow-wrap:anywhere"
    shown = "".join(
        f'<tr><th style="{cell};font-weight:500;opacity:.75">{escaped(name)}</th>'
        f'<td style="{cell}">{escaped(str(value))}</td></tr>'
        for name, value in rows
        if value is not None
    )
    return f'<div class="{NO_FORMULAS}"><b>{escaped(title)}</b><table style="margin:2px 0">{shown}</table></div>'
