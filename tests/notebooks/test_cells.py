"""What a notebook shows of a study: run by a kernel, and drawn in a real browser."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser import Watched
from tests.installed import Installed
from tests.notebooks.kernel import run_cells

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

TRAIN = """
from kfp_bayesopt import Integer, Real, tune

def train(lr, layers):
    if layers == 1:
        raise ValueError("<b>too few</b> of $a$ and $b$")
    return (lr - 0.01) ** 2 + abs(layers - 3)
"""
TUNE = """
result = tune(train, {"lr": Real(1e-4, 1, log=True), "layers": Integer(1, 4)}, trials=16, parallel=4,
              max_failed_trials=16, optimizer={"engine": "random"})
"""
# The study runs in a process of its own, as one that runs elsewhere does; the cell is interrupted like by a person.
ELSEWHERE = """
import subprocess, sys, threading, time, os, signal
from kfp_bayesopt import UserError, open_study
import kfp_bayesopt.api.watching  # it takes long, and the study would have ended

with open("slow.py", "w") as file:
    file.write('''
import time
from kfp_bayesopt import Real, tune

def slow(x):
    time.sleep({seconds})
    return x * x

tune(slow, {{"x": Real(-1, 1)}}, trials={trials}, parallel=2, name="slow", fresh=True, progress=False)
''')
process = subprocess.Popen([sys.executable, "slow.py"])
while True:
    try:
        if open_study("out/slow").status.done:
            break
    except UserError:
        pass
    time.sleep(0.1)
"""
INTERRUPTED = """
threading.Timer(3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
open_study("out/slow").watch()
print("goes on" if process.poll() is None else "has ended", flush=True)
process.terminate(), process.wait()
"""


def shown(outputs: Sequence[Any], kind: str = "text/html") -> list[str]:
    """Return what a cell shows, of a kind."""
    return [found for each in outputs if (found := each.get("data", {}).get(kind)) is not None]


def test_a_study_of_a_cell_is_a_bar_and_its_results_are_drawn(
    environment: Installed, browser: Browser, tmp_path: Path
) -> None:
    cells = [TRAIN, TUNE, "result", "result.best", "result.figure('history')", "result.importance"]
    _, (run, *more), *others = run_cells(cells, tmp_path, environment)
    assert more == []  # one output, which has changed
    (text,) = shown([run], "text/plain")
    title, bar, *lines = text.splitlines()
    assert title.startswith("train: minimize train, 4 iterations of 4 trials")
    assert re.match(r"\[#{40}\] 16 of 16 trials, \d+ failed, ", bar)
    assert any("ValueError: <b>too few</b> of $a$ and $b$" in line for line in lines)
    (tmp_path / "notebook.html").write_text("\n".join(markup for each in ([run], *others) for markup in shown(each)))
    tab = browser.new_page()
    page = Watched(tab)
    tab.goto((tmp_path / "notebook.html").as_uri())
    tab.wait_for_function("document.querySelector('iframe').contentDocument.querySelector('main[data-drawn=history]')")
    assert tab.query_selector("b >> text=too few") is None
    assert tab.get_by_text("too few").count() > 0
    assert page.complaints == []
    tab.close()


def test_a_study_elsewhere_is_watched_to_its_end(environment: Installed, tmp_path: Path) -> None:
    elsewhere = ELSEWHERE.format(seconds=1, trials=12)
    *_, outputs = run_cells([f"{elsewhere}\nopen_study('out/slow').watch()\nprocess.wait()"], tmp_path, environment)
    page, news = shown(outputs)
    assert "inCell(null)" in html.unescape(page)
    assert news == ""
    assert shown(outputs, "text/plain")[0].startswith("slow: 12 completed, 0 failed; ")


def test_an_interruption_ends_the_watching_alone(environment: Installed, tmp_path: Path) -> None:
    elsewhere = ELSEWHERE.format(seconds=2, trials=200)
    *_, outputs = run_cells([elsewhere, INTERRUPTED], tmp_path, environment)
    assert [each.text for each in outputs if each.output_type == "stream" and each.name == "stdout"] == ["goes on\n"]
    assert shown(outputs, "text/plain")[0].startswith("slow: ")
