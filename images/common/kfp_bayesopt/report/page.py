"""The page of a report: one self-contained HTML file that loads nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import math
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "page"

MAIN = "main.js"
"""The part of the script that has the list of figures and starts it: the last one."""


def page(contents: dict[str, Any], live: bool = False) -> bytes:
    """Return the page that draws `contents`.

    Args:
        contents: As returned by `kfp_bayesopt.report.contents`.
        live: The page polls its server for news.
    """
    style = (_FOLDER / "style.css").read_text()
    names = sorted(path.name for path in _FOLDER.glob("*.js") if path.name != MAIN)
    script = "\n".join(['"use strict";', *((_FOLDER / name).read_text() for name in (*names, MAIN))])
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "connect-src 'self'" if live else "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    best = contents["best"]
    value = f"Best value {best['value']!r} in trial {best['trial']}" if "value" in best else "No trial has completed"
    if contents["front"]:
        value = f"Trials on the front: {', '.join(map(str, contents['front'][:20]))}"
    filled = {
        "policy": html.escape(policy),
        "title": html.escape(contents["study"]["name"]),
        "summary": html.escape(f"{value}; {contents['counts']}."),
        "style": style,
        "script": script,
        "live": "1" if live else "0",
        "data": base64.b64encode(packed(contents)).decode(),
    }
    before, *parts = (_FOLDER / "page.html").read_text().split("{{")
    rest = (part.partition("}}") for part in parts)
    return "".join([before, *(filled[name] + text for name, _, text in rest)]).encode()


def packed(contents: dict[str, Any]) -> bytes:
    """Return contents as compressed JSON, the same bytes for the same contents."""
    text = json.dumps(_finite(contents), separators=(",", ":"), allow_nan=False)
    return gzip.compress(text.encode(), 9, mtime=0)


def _finite(value: Any) -> Any:
    """Return data without numbers that JSON lacks: what overflowed is not drawn."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def _digest(text: str) -> str:
    """Return the name of a script or a style in a policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
