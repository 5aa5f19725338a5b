"""What a run shows below the cell of a notebook."""

from __future__ import annotations

import html
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kfp_bayesopt import open_study
from kfp_bayesopt.api import views
from kfp_bayesopt.api.views import MOST_LINES, Cell, view_of
from kfp_bayesopt.folder.trials import Reason, Record
from kfp_bayesopt.session.lines import Lines
from kfp_bayesopt.session.progress import Progress
from kfp_bayesopt.session.view import Ended, View
from tests.builders import a_record, a_study, a_suggestion, several, write_folder


class Shown:
    """What a cell shows: HTML, and the same as text; each drawing replaces the one before."""

    def __init__(self) -> None:
        self.html: list[str] = []
        self.text: list[str] = []

    def __call__(self, markup: str, text: str) -> None:
        """Show a drawing."""
        self.html.append(markup)
        self.text.append(text)


def failed(number: int, message: str, **changes: Any) -> Record:
    return a_record(a_study(), number, None, reason=Reason(kind="raised", message=message, **changes))


def test_a_cell_shows_how_far_a_run_is_and_the_best_so_far() -> None:
    shown = Shown()
    view = Cell(shown)
    with Progress(a_study(), "out", 2, view) as progress:
        assert shown.text[-1].splitlines()[1] == f"[{'.' * 40}] 0 of 4 trials, 0:00"
        progress.show(a_record(a_study(), 1, 17.0), kept=False)
        progress.show(a_record(a_study(), 2, 18.0), kept=False)
        progress.show(failed(3, "ValueError: no", last_lines=["a line"]), kept=False)
        progress.begin(4, {"x1": 2.0, "x2": 3.0})
        title, bar, *rest = view.text().splitlines()
        assert title.endswith("results in out")
        assert bar.startswith(f"[{'#' * 30}{'.' * 10}] 3 of 4 trials, 1 failed, 1 running, 0:0")
        assert rest == [
            "best 17 in trial 1: x1=1.0 x2=2.0", "trial 3  x1=1.0 x2=2.0  failed: ValueError: no", "    | a line",
        ]  # fmt: skip
        assert "trial 4  0:00  x1=2.0 x2=3.0" in view.html()
    assert shown.text[-1].splitlines()[3:] == ["1 trial failed:", "  trial 3: ValueError: no"]


def test_a_front_says_how_many_are_on_it() -> None:
    view = Cell(Shown())
    with Progress(several(), "out", 2, view) as progress:
        progress.show(a_record(several(), 1, values={"accuracy": 0.5, "latency": 10.0}), kept=False)
        assert view.text().splitlines()[2] == "front 1 in trial 1: x1=1.0 x2=2.0"


def test_nothing_that_a_trial_says_is_markup() -> None:
    view = Cell(Shown())
    with Progress(a_study(), "out/<i>", 2, view) as progress:
        progress.show(failed(1, "<script>alert(1)</script>", last_lines=["</pre><img src=x>"]), kept=False)
        progress.begin(2, {"x1": "\"><b onclick='x'>", "x2": 1})
        progress.state("<u>state</u>")
        progress.note("<u>note</u>")
        markup = view.html()
    assert set(re.findall(r"<(\w+)", markup)) == {"div", "b", "pre", "span"}
    assert "onclick='" not in markup
    assert "&lt;script&gt;" in markup
    # Dollars in a message are no formula.
    assert 'class="tex2jax_ignore mathjax_ignore"' in markup


def test_a_drawing_stays_small_and_thousands_of_trials_are_few_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "SECONDS_BETWEEN_DRAWINGS", 3600.0)
    shown = Shown()
    view = Cell(shown)
    view.begin("a title", 10_000)
    broken, lines = failed(1, "x" * 9000), ["y" * 9000] * 20
    for number in range(1, 10_001):
        view.trial(
            Ended(broken.model_copy(update={"trial": number}), str(number), None, number, "", "best none", False, "")
        )
        view.failed(broken, lines)
        view.lines(lines)
    assert len(shown.html) == 1
    assert len(view.html()) < 20_000
    view.close()
    assert len(shown.html) == 2
    assert "10000 of 10000 trials, 10000 failed" in shown.text[-1]


def test_the_last_failures_stand_there_and_notes_stay() -> None:
    view = Cell(Shown())
    with Progress(a_study(iterations=50), "out", 2, view) as progress:
        progress.note("what was told before")
        for number in range(1, 31):
            progress.show(failed(number, f"reason {'x' * number}"), kept=False)
        text = view.text()
    lines = text.splitlines()
    assert len([line for line in lines if "failed: reason" in line]) <= MOST_LINES
    assert f"reason {'x' * 30}" in text
    assert lines[-1] == "what was told before"


def test_what_happens_is_drawn_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "SECONDS_BETWEEN_DRAWINGS", 0.01)
    shown = Shown()
    with Progress(a_study(), "out", 2, Cell(shown)) as progress:
        progress.show(a_record(a_study(), 1, 17.0), kept=False)
        while "1 of 4" not in shown.text[-1]:
            time.sleep(0.01)
        drawings = len(shown.text)
        time.sleep(0.1)
        assert len(shown.text) == drawings  # nothing has happened
    assert "1 of 4" in shown.text[-1]


def test_a_run_that_is_stopped_says_how_it_goes_on() -> None:
    shown = Shown()
    progress = Progress(a_study(), "out", 2, Cell(shown))
    progress.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert shown.text[-1].splitlines()[-1] == "stopped after 0 trials; the same command goes on from here"


def test_what_comes_before_a_run_begins_is_shown_at_once() -> None:
    shown = Shown()
    view = Cell(shown)
    view.lines(["submitted job 7"])
    view.state("queued")
    assert shown.text == ["submitted job 7", "queued\nsubmitted job 7"]


def test_a_view_suits_where_the_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(view_of(False)) is View
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert type(view_of(True)) is Lines
    shell = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert type(view_of(True)) is Lines  # IPython on a terminal
    shell.kernel = object()
    assert type(view_of(True)) is Cell
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert type(view_of(True)) is Lines


def test_a_study_its_best_trial_and_its_status_are_small_tables_in_a_cell(tmp_path: Path) -> None:
    study = a_study(
        space={
            "state": {"type": "categorical", "choices": ["<b>$x$</b>", "b"]},
            "x1": {"type": "real", "low": 0.0, "high": 9.0},
        }
    )
    records = [
        a_record(study, 1, 0.25, parameters={"state": "<b>$x$</b>", "x1": 1.5}, values={"value": 0.25, "size": 3.0})
    ]
    records.append(a_record(study, 2, None, parameters=records[0].parameters))
    folder = write_folder(
        tmp_path, study, [a_suggestion(study, each.trial, each.parameters) for each in records], records
    )
    folder.write_study(study.to_text().encode())
    result = open_study(tmp_path)
    assert result.best is not None
    said = [_cells(each._repr_html_()) for each in (result, result.best, result.status)]
    assert said == [
        ["branin", "state", "-", "trials", "2 of 4, 1 failed", "folder", str(tmp_path), "best", "0.25 in trial 1",
         "state", "<b>$x$</b>", "x1", "1.5"],
        ["trial 1: 0.25", "state", "<b>$x$</b>", "x1", "1.5", "size", "3.0"],
        ["-", "trials", "2 of 4", "completed", "1", "failed", "1"],
    ]  # fmt: skip
    (tmp_path / "best.json").write_text("{")
    assert "cannot be read" in result._repr_html_()


def _cells(markup: str) -> list[str]:
    """Return the texts of a table."""
    return [html.unescape(each) for each in re.findall(r">([^<]+)<", markup)]
