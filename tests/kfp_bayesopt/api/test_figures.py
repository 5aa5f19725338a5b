"""The figures of the report one by one, and the live page, in the cells of a notebook: in a real browser."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from kfp_bayesopt import Result, UserError, open_study
from kfp_bayesopt.api import watching
from kfp_bayesopt.api.figures import Figure, framed
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.report.contents import contents
from kfp_bayesopt.report.page import figure_in_cell, figures, packed, page, page_in_cell
from kfp_bayesopt.study.study import Study
from tests.browser import Watched
from tests.builders import a_record, a_study, a_suggestion, several, study_text, write_folder
from tests.kfp_bayesopt.report.test_figures import FIGURES, ledger_of

DARK = "background:#111;color:#eee"
LIGHT = "background:#fff;color:#111"


def shown_in(study: Study, count: int = 24) -> dict[str, Any]:
    """Return what the page of a study draws."""
    ledger = ledger_of(study, count)
    return contents(study, ledger, Best.of(study, ledger))


ONE = a_study(optimizer={"engine": "gp"})
FRONT = several()


@pytest.fixture(scope="module")
def drawn() -> dict[str, dict[str, Any]]:
    return {"one": shown_in(ONE), "front": shown_in(FRONT, 12)}


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A tab whose pages follow what is around them, and whose console must be silent."""
    tab = browser.new_page(viewport={"width": 1000, "height": 800}, color_scheme="null")
    watched = Watched(tab)
    yield tab
    tab.close()
    assert watched.complaints == []


@pytest.fixture
def opened(tab: Page, tmp_path: Path) -> Callable[[bytes | str], Page]:
    """Open a document in the tab."""

    def load(document: bytes | str) -> Page:
        path = tmp_path / "page.html"
        path.write_bytes(document if isinstance(document, bytes) else document.encode())
        tab.goto(path.as_uri())
        return tab

    return load


@pytest.fixture
def result(tmp_path: Path) -> Result:
    study = a_study()
    records = [a_record(study, n, 0.5 / n, worker="vm-of-alice:1") for n in (1, 2, 3)]
    write_folder(tmp_path, study, [a_suggestion(study, n) for n in (1, 2, 3)], records).write_study(study_text())
    return open_study(tmp_path)


def test_the_names_are_those_of_the_list_of_the_page() -> None:
    assert [*figures().values()] == [title for title in FIGURES if title != "Objectives"]


@pytest.mark.parametrize("kind", ["one", "front"])
def test_each_figure_is_drawn_alone_as_in_the_page(
    kind: str, drawn: dict[str, dict[str, Any]], opened: Callable[[bytes], Page]
) -> None:
    data = drawn[kind]
    tab = opened(page(data))
    tab.wait_for_selector("main[data-drawn]")
    marks = "Array.from(document.querySelectorAll('section'), (each) => [each.querySelector('h2').textContent, " \
        "each.querySelectorAll('[data-trial], [data-name], rect').length])"  # fmt: skip
    whole = dict(tab.evaluate(marks))
    for name, title in figures().items():
        opened(figure_in_cell(data, name))
        tab.wait_for_selector(f"main[data-drawn={name}]")
        expected = whole.get(title, 0)
        assert tab.evaluate(marks) == [[title, expected]]
        assert ("Nothing to draw" in tab.inner_text("main")) == (title not in whole)


def test_a_figure_of_several_objectives_lets_choose_one(
    drawn: dict[str, dict[str, Any]], opened: Callable[[bytes], Page]
) -> None:
    tab = opened(figure_in_cell(drawn["front"], "history"))
    tab.wait_for_selector("main[data-drawn=history]")
    assert "accuracy" in (tab.text_content("figure svg") or "")
    tab.select_option("select", label="latency")
    assert "latency" in (tab.text_content("figure svg") or "")
    opened(figure_in_cell(drawn["front"], "front"))
    tab.wait_for_selector("main[data-drawn=front]")
    assert tab.query_selector("select") is None


@pytest.mark.parametrize("is_dark", [True, False])
def test_a_figure_is_as_high_as_it_needs_and_as_dark_as_the_notebook(
    is_dark: bool, drawn: dict[str, dict[str, Any]], opened: Callable[[str], Page]
) -> None:
    figure = Figure("history", "History", figure_in_cell(drawn["one"], "history"))
    tab = opened(f'<!DOCTYPE html><body style="{DARK if is_dark else LIGHT}">{figure._repr_html_()}</body>')
    tab.wait_for_function("document.querySelector('iframe').contentDocument.querySelector('main[data-drawn]')")
    frame = tab.frames[1]
    assert frame.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == is_dark
    high = tab.evaluate("document.querySelector('iframe').offsetHeight")
    assert high == frame.evaluate("Math.ceil(document.getElementById('page').getBoundingClientRect().height)") > 300
    assert frame.evaluate("document.documentElement.clientWidth === window.innerWidth"), "no scroll bar"
    tab.evaluate("document.querySelector('iframe').style.width = '360px'")
    drawn_in = "document.querySelector('iframe').contentDocument.querySelector('svg').viewBox.baseVal.width"
    tab.wait_for_function(f"{drawn_in} < 360")


def test_what_a_figure_holds_is_what_it_draws(drawn: dict[str, dict[str, Any]]) -> None:
    data = drawn["one"]
    held = figure_in_cell(data, "importance")
    assert data["model"]["maps"]
    assert len(figure_in_cell(data, "map")) > len(held)
    assert b"alone(" not in page(data)
    assert b"inCell(" not in page(data, live=True)


def test_a_figure_is_made_from_a_folder_and_saved(result: Result, tmp_path: Path) -> None:
    assert result.figures[:4] == ["running", "front", "volume", "history"]
    figure = result.figure("history")
    assert (figure.name, figure.title) == ("history", "History")
    path = tmp_path / "figure.html"
    assert figure.save(path) == str(path)
    assert html.unescape(re.findall(r'srcdoc="([^"]*)"', figure._repr_html_())[0]).encode() == path.read_bytes()
    assert repr(figure) == "<figure history: a notebook draws it, and save('history.html') writes it into a file>"
    # As the report, it says nothing of hosts: a notebook is passed on.
    assert result._figures is not None
    assert result._figures._live is not None
    assert "alice" not in str(result._figures._live.contents)


def test_a_figure_that_there_is_not_is_named(result: Result) -> None:
    with pytest.raises(UserError) as caught:
        result.figure("histroy")
    assert caught.value.message == "no figure is called 'histroy'; did you mean 'history'?"
    with pytest.raises(UserError) as caught:
        result.figure("x")
    assert caught.value.message.startswith("no figure is called 'x'; there are running, front, volume, history, ")


def test_a_page_in_a_cell_takes_what_is_new_and_keeps_what_was_chosen(opened: Callable[[str], Page]) -> None:
    few, more = shown_in(ONE, 8), shown_in(ONE, 20)
    tab = opened(
        f'<!DOCTYPE html><body style="{DARK}">{framed(page_in_cell(few, "news-1"), "Report")}<p id="news"></p></body>'
    )
    count = "document.querySelector('iframe').contentDocument.querySelector('main').dataset.drawn"
    tab.wait_for_function(f"{count} === '8'")
    frame = tab.frames[1]
    frame.click("text=By time")
    news = f'<div id="news-1" data-tag="2" hidden>{base64.b64encode(packed(more)).decode()}</div>'
    tab.evaluate("(text) => { document.getElementById('news').innerHTML = text; }", news)
    tab.wait_for_function(f"{count} === '20'")
    assert frame.get_attribute("text=By time", "aria-pressed") == "true"
    # A page of many screens scrolls, so that what opens over it is in sight.
    assert tab.evaluate("document.querySelector('iframe').offsetHeight") == 960
    frame.click("tr[data-trial]")
    box = frame.locator("dialog").bounding_box()
    assert box is not None
    assert 0 <= box["y"] - tab.evaluate("document.querySelector('iframe').getBoundingClientRect().top") < 960


class Outputs:
    """The outputs of a cell, each with all that it has shown."""

    def __init__(self) -> None:
        self.all: list[list[tuple[str, str]]] = []

    def __call__(self) -> Any:
        """Make an output."""
        shown: list[tuple[str, str]] = []
        self.all.append(shown)
        return _Output(shown)


class _Output:
    def __init__(self, shown: list[tuple[str, str]]) -> None:
        self._shown = shown

    @property
    def is_shown(self) -> bool:
        return bool(self._shown)

    def show(self, markup: str, text: str) -> None:
        self._shown.append((markup, text))


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Outputs:
    """Play a notebook."""
    found = Outputs()
    monkeypatch.setattr(watching, "in_notebook", lambda: True)
    monkeypatch.setattr(watching, "Output", found)
    return found


def states(monkeypatch: pytest.MonkeyPatch, *acts: Any) -> None:
    """Let a job run while there are acts, each done before the next look."""
    left = iter(acts)

    def runs(_: str) -> bool:
        act = next(left, None)
        if act is not None:
            act()
        return act is not None

    monkeypatch.setattr(watching, "_runs", runs)
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: None))


def ends_trial(result: Result, number: int) -> None:
    study = result.study
    result._folder.write_suggestions([a_suggestion(study, number)])
    result._folder.write_record(a_record(study, number, 0.1))


def test_watching_ends_with_the_study_and_leaves_one_page(
    result: Result, outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    states(monkeypatch, lambda: None, lambda: ends_trial(result, 4), lambda: None)
    result.watch()
    frame, news = outputs.all
    assert [text for _, text in frame] == [
        f"branin: 3 completed, 0 failed; {result.root}", f"branin: 4 completed, 0 failed; {result.root}",
    ]  # fmt: skip
    assert [bool(markup) for markup, _ in news] == [True, False]
    assert news[0][0].startswith('<div id="bayesopt-')
    assert "inCell(null)" in html.unescape(frame[-1][0])


def test_control_c_ends_the_watching_alone(result: Result, outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    states(monkeypatch, lambda: None, interrupted)
    result.watch()
    assert len(outputs.all[0]) == 2


def test_what_is_too_large_is_not_written_into_a_notebook(
    result: Result, outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_BYTES", 1000)
    states(monkeypatch, lambda: ends_trial(result, 4))
    result.watch()
    for markup, text in outputs.all[0]:
        assert len(markup) < 1000
        assert text.endswith("its page of 0 MB is too large for a notebook: report('page.html') writes it")
    assert max(len(markup) for shown in outputs.all for markup, _ in shown) < 1000


def test_watching_outside_of_a_notebook_serves_the_page(
    result: Result, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    states(monkeypatch)
    result.watch()
    assert re.match(r"watch it at http://127\.0\.0\.1:\d+/\?token=\S+\n", capsys.readouterr().err)
