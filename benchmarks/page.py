"""The report: its size, the time to write it, and the time to draw it in a browser."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import kfp_bayesopt_pipeline  # noqa: F401 - it makes the packages of the steps importable
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.report.contents import contents
from kfp_bayesopt.report.page import page
from tests.browser import Watched, a_browser
from tests.kfp_bayesopt.report.test_browser import STUDY, ledger_of

COUNTS = (100, 1000, 10_000)
RUNS = 5


def measure() -> str:
    """Return the figures as Markdown."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, a_browser() as browser:
        for count in COUNTS:
            ledger = ledger_of(count)
            began = time.perf_counter()
            content = page(contents(STUDY, ledger, Best.of(STUDY, ledger)))
            written = time.perf_counter() - began
            path = Path(folder) / f"{count}.html"
            path.write_bytes(content)
            drawn = []
            for _ in range(RUNS):
                tab = browser.new_page(viewport={"width": 1600, "height": 1000})
                began = time.perf_counter()
                Watched(tab).open(path.as_uri())
                drawn.append(time.perf_counter() - began)
                tab.close()
            rows.append(f"| {count:,} | {len(content) / 1e6:.2f} MB | {written:.1f} s | {median(drawn):.2f} s |\n")
    return (
        f"Reports of a study with four parameters; drawn from opening to the last figure, median of {RUNS}, in a "
        "browser without a window:\n\n| trials | size | model and page | drawn |\n| --- | --- | --- | --- |\n"
        + "".join(rows)
    )
