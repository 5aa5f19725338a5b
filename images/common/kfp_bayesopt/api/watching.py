"""Shows the page of a study while it runs: in a notebook's cell, or by a server of this machine."""

from __future__ import annotations

import base64
import html
import secrets
import sys
import time

from kfp_bayesopt.api.figures import framed
from kfp_bayesopt.api.views import Output, in_notebook
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.report.page import page_in_cell
from kfp_bayesopt.session.studies import last_state
from kfp_bayesopt.session.watching import (
    REST,
    SECONDS_BETWEEN_LOOKS,
    SECONDS_BETWEEN_LOOKS_AT_BUCKET,
    Live,
    watching,
)
from kfp_bayesopt.store import storage

MOST_BYTES = 4_000_000
"""The most that is written into a notebook: what it shows is saved with it."""
BYTES_A_SECOND = 100_000
"""What goes to the notebook's browser while the study runs, on average."""


def watch(folder: StudyFolder) -> None:
    """Show the page of a study until its job has ended.

    Raises:
        UserError: The folder is damaged.
    """
    if in_notebook():
        _in_cell(folder)
        return
    with watching(folder) as server:
        sys.stderr.write(f"watch it at {server.url}\nCtrl-C ends the watching, and not the study\n")
        while _runs(folder.root):
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _in_cell(folder: StudyFolder) -> None:
    """Show the page in a frame, and what is new in a hidden element beside it, from which the frame takes it.

    A frame keeps what a person has chosen in it, and needs no server that a browser elsewhere could not reach.
    """
    live = Live(folder, full=False)
    frame, news, name = Output(), Output(), f"bayesopt-{secrets.token_hex(8)}"
    shown = live.tag
    frame.show(*_framed(folder, live, name))
    pause = SECONDS_BETWEEN_LOOKS if storage.is_local(folder.root) else SECONDS_BETWEEN_LOOKS_AT_BUCKET
    try:
        while _runs(folder.root):
            began = time.monotonic()
            live.look()
            if live.tag != shown:
                shown = live.tag
                news.show(_news(live, name), "")
            took = time.monotonic() - began
            time.sleep(max(pause, took * REST, len(live.packed) / BYTES_A_SECOND))
        live.look()
    finally:  # one page is what is saved
        frame.show(*_framed(folder, live))
        if news.is_shown:
            news.show("", "")


def _framed(folder: StudyFolder, live: Live, news: str | None = None) -> tuple[str, str]:
    """Return the page as HTML for a cell, and what it says as text."""
    counts, page = live.contents["counts"], page_in_cell(live.contents, news)
    text = f"{folder.study.name}: {counts}; {folder.root}"
    if len(page) > MOST_BYTES:
        large = f"its page of {len(page) / 1e6:.0f} MB is too large for a notebook: report('page.html') writes it"
        return f"<p>{html.escape(f'{text}; {large}')}</p>", f"{text}; {large}"
    return framed(page, f"Report of {folder.study.name}"), text


def _news(live: Live, name: str) -> str:
    """Return what is new, as an element that nobody sees."""
    if len(live.packed) > MOST_BYTES / 2:
        return ""
    content = base64.b64encode(live.packed).decode()
    return f'<div id="{name}" data-tag="{html.escape(live.tag)}" hidden style="display:none">{content}</div>'


def _runs(root: str) -> bool:
    """Tell whether the last job of a study runs, as far as that is known."""
    try:
        return last_state(root)[0] == "running"
    except UserError:  # storage that does not answer for a while
        return True
