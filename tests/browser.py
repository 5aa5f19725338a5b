"""A browser for tests: the Chromium or Chrome that the machine has, without a window."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests import needed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextlib.contextmanager
def a_browser() -> Iterator[Browser]:
    """Start the browser that is installed."""
    program = needed.program(*PROGRAMS)
    from playwright.sync_api import sync_playwright  # most test processes need no browser

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


class Watched:
    """A page, and what it asked for and complained about.

    Attributes:
        page: The page.
        complaints: What its console said, and errors.
        asked: What it asked for beside itself.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, url: str) -> Page:
        """Open an address, wait until the report is drawn, and return the page."""
        self.page.goto(url)
        self.page.wait_for_selector("main[data-drawn]")
        self.asked.remove(url)
        return self.page
