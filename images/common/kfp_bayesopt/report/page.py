"""The page of a report: one self-contained HTML file that loads nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "page"

MAIN = "main.js"
"""The part of the script that has the list of figures."""
START = "start.js"
"""The part that starts the others: the last one."""


def page(contents: dict[str, Any], live: bool = False) -> bytes:
    """Return the page that draws `contents`.

    Args:
        contents: As returned by `kfp_bayesopt.report.contents`.
        live: The page polls its server for news.
    """
    return _page(contents, live=live, connects="'self'" if live else "'none'")


def page_in_cell(contents: dict[str, Any], news: str | None = None) -> bytes:
    """Return the page for a frame in a notebook's cell.

    Args:
        contents: As returned by `kfp_bayesopt.report.contents`.
        news: The id of the element of the notebook that has what is new, as `packed` in base64; None without one.
    """
    return _page(contents, ("cell.js", "live.js"), f"inCell({json.dumps(news)});", live=news is not None)


def figure_in_cell(contents: dict[str, Any], name: str) -> bytes:
    """Return a page with one figure alone, with what that figure draws.

    Args:
        contents: As returned by `kfp_bayesopt.report.contents`.
        name: One of `figures()`.
    """
    return _page(_part_of(contents, name), ("cell.js", "figure.js"), f"alone({json.dumps(name)});")


def figures() -> dict[str, str]:
    """Return the titles of the figures of the page by their names, as the list in its script has them."""
    text = (_FOLDER / MAIN).read_text()
    found = {name: title for title, name in re.findall(r'\{ title: "([^"]+)",.* draw: (\w+) \}', text)}
    return {name: title for name, title in found.items() if name != "objectiveChoice"}


# What is large, and which figure alone draws it; each is left out of the others by what says that there is none.
_LARGE: Mapping[str, str] = {"curves": "curves", "volume": "volume", "running": "running", "jobs": "provenance"}
_LARGE_OF_MODEL: Mapping[str, str] = {"slices": "slices", "maps": "map", "random": "history", "random_band": "history"}
_LARGE_OF_TIMES: Mapping[str, str] = {"lanes": "times", "pauses": "times"}


def _part_of(contents: dict[str, Any], name: str) -> dict[str, Any]:
    """Return contents without what other figures alone draw."""

    def without(known: dict[str, Any] | None, large: Mapping[str, str]) -> dict[str, Any] | None:
        if known is None:
            return None
        return known | {key: type(known[key])() for key, figure in large.items() if figure != name}

    return {
        **contents,
        **(without(contents, _LARGE) or {}),
        "advice": [],
        "model": without(contents["model"], _LARGE_OF_MODEL),
        "times": without(contents["times"], _LARGE_OF_TIMES),
        "objectives": [each | {"model": without(each["model"], _LARGE_OF_MODEL)} for each in contents["objectives"]],
    }


def _page(
    contents: dict[str, Any], of_cell: Sequence[str] = (), call: str = "", live: bool = False, connects: str = "'none'"
) -> bytes:
    """Return a page.

    Args:
        contents: What it draws.
        of_cell: Further parts of the script, for the cell of a notebook.
        call: What these parts do before the script starts.
        live: It looks for news.
        connects: What it may ask.
    """
    style = (_FOLDER / "style.css").read_text()
    parts = [path.read_text() for path in sorted(_FOLDER.glob("*.js")) if path.name not in (MAIN, START)]
    main, start = ((_FOLDER / name).read_text() for name in (MAIN, START))
    further = [*((_FOLDER / "cell" / name).read_text() for name in of_cell), call] if of_cell else []
    script = "\n".join(['"use strict";', *parts, main, *further, start])
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            f"connect-src {connects}",
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
