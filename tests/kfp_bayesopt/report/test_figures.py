"""Every figure of the report: drawn where there is something to draw, and left out where there is not."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Curve, Record
from kfp_bayesopt.report import page as page_module
from kfp_bayesopt.report.contents import contents
from kfp_bayesopt.report.page import page
from kfp_bayesopt.session.activity import Busy
from kfp_bayesopt.space.constraints import points
from kfp_bayesopt.study.study import Study
from tests.browser import Watched
from tests.builders import a_record, a_study, several
from tests.made_ledgers import BEGIN

FOLDER = Path(page_module.__file__).parent / "page"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.js"))
OF_CELLS = sorted(f"cell/{path.name}" for path in (FOLDER / "cell").glob("*.js"))
FIGURES = re.findall(r'\{ title: "(.+?)",', (FOLDER / page_module.MAIN).read_text())
ALWAYS = {"Study, versions and images"}
HEAD = {"What to do", "Best parameters", "Best compromises"}


def ledger_of(study: Study, count: int) -> list[Record]:
    """Return records of which every fifth has failed."""
    drawn = enumerate(points(study.space, random.Random(1), count), 1)
    found = []
    for number, point in drawn:
        total = sum(float(str(value)) for value in point.values())
        values = {name: total * sign for name, sign in study.signs.items()}
        failed = number % 5 == 0
        changes = {"values": values} if study.objectives and not failed else {}
        found.append(a_record(study, number, None if failed else total, parameters=point, **changes))
    return found


def titles(browser: Browser, path: Path, study: Study, count: int, busy: bool) -> list[str]:
    """Return the titles of the figures of a study, below its head; its page must complain about nothing."""
    ledger = ledger_of(study, count)
    curves = [
        Curve(study=study.name, fingerprint=study.fingerprint, trial=1, attempt=1, steps=[1, 2], values=[2.0, 1.0])
    ]
    running = [Busy("vm:1", count + 1, 1, BEGIN, BEGIN, {"x1": 1.0, "x2": 2.0})]
    data = contents(
        study, ledger, Best.of(study, ledger), running=running if busy else (), curves=curves if busy else ()
    )
    path.write_bytes(page(data))
    tab = browser.new_page(viewport={"width": 1600, "height": 1000})
    shown = Watched(tab)
    shown.open(path.as_uri())
    found = [each.inner_text() for each in tab.query_selector_all("main section h2")]
    empty = tab.evaluate("FIGURES.filter((each) => each.when() && !each.draw(600)).map((each) => each.title)")
    tab.close()
    assert shown.complaints == []
    assert empty == []
    return [title for title in found if title not in HEAD]


def test_the_list_names_each_figure_once() -> None:
    assert len(FIGURES) == len(set(FIGURES)) > 10


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_is_in_the_page(script: str) -> None:
    """No file is left out, and the one that starts the others comes last."""
    study = a_study()
    written = page(contents(study, [], Best.of(study, []))).decode()
    content = (FOLDER / script).read_text()
    assert content in written
    assert written.index(content) <= written.index((FOLDER / page_module.START).read_text())


@pytest.mark.parametrize("script", SCRIPTS + OF_CELLS)
def test_no_script_does_anything_before_all_are_there(script: str) -> None:
    """So their order means nothing: they declare functions and constants; only the last one calls any."""
    lines = (FOLDER / script).read_text().splitlines()
    started = [line for line in lines if not re.match(r"$|[ }\]]|//|(async )?function |const |class ", line)]
    assert started == (["main();"] if script == page_module.START else [])


def test_each_figure_is_drawn_with_its_data_and_left_out_without(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    one, front = a_study(optimizer={"engine": "gp"}), several()
    shown = {
        "empty": titles(browser, path, one, 0, busy=False),
        "one": titles(browser, path, one, 24, busy=True),
        "several": titles(browser, path, front, 12, busy=False),
    }
    assert set(shown["empty"]) == ALWAYS
    assert {*shown["one"], *shown["several"]} == set(FIGURES)
    for found in shown.values():
        assert found == [title for title in FIGURES if title in found], "in the order of the list"
