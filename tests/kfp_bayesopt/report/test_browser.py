"""The page of a report in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Reason, Record
from kfp_bayesopt.report.contents import contents
from kfp_bayesopt.report.page import page
from kfp_bayesopt.search.encoding import Encoding
from tests.browser import Watched
from tests.builders import a_record, a_study
from tests.made_ledgers import BEGIN

SPACE: dict[str, Any] = {
    "rate": {"type": "real", "low": 1e-5, "high": 1e-1, "log": True},
    "layers": {"type": "integer", "low": 1, "high": 12},
    "kind": {"type": "categorical", "choices": ["<img src=x onerror=alert(1)>", "مرحبا", "🚀", "1", 1, 1.0, "it's"]},
    "drop": {"type": "real", "low": 0.0, "high": 0.5},
}
STUDY = a_study(
    name="tuning", space=SPACE, objective={"python": "a:b"}, trials=200, iterations=None, parallel_trials=20,
    schedule="asynchronous", optimizer={"engine": "gp"},
)  # fmt: skip


def ledger_of(count: int) -> list[Record]:
    """Return records of 20 machines, some of which failed with a hostile reason."""
    encoding, rng = Encoding(STUDY.space), np.random.default_rng(0)
    found = []
    for number, row in enumerate(encoding.from_cube(rng.random((count, len(encoding)))), 1):
        point = encoding.decode(row)
        value = float(np.log10(float(str(point["rate"]))) + 3) ** 2 + abs(float(str(point["layers"])) - 5)
        failed = number % 17 == 0
        reason = Reason(kind="raised", message="ValueError: <b>no</b><script>alert(2)</script> in /secret/x.csv")
        at = BEGIN + timedelta(seconds=number // 20 * 60 + number % 20)
        found.append(
            a_record(
                STUDY, number, None if failed else value, parameters=point, iteration=None, started=at.isoformat(),
                seconds=float(rng.uniform(20, 50)), worker=f"vm-{number % 20}:1", reason=reason if failed else None,
            )
        )  # fmt: skip
    return found


def write(path: Path, count: int) -> str:
    """Write the report of so many trials and return its address."""
    ledger = ledger_of(count)
    path.write_bytes(page(contents(STUDY, ledger, Best.of(STUDY, ledger))))
    return path.as_uri()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("report") / "report.html", 200)


@pytest.fixture
def shown(browser: Browser, url: str) -> Iterator[Watched]:
    """Show a report of 200 trials; it must complain about nothing, and ask for nothing."""
    tab = browser.new_page(viewport={"width": 1600, "height": 1000})
    found = Watched(tab)
    found.open(url)
    yield found
    assert found.complaints == []
    assert found.asked == []
    tab.close()


def first_column(shown: Watched) -> list[str]:
    return [cell.inner_text() for cell in shown.page.query_selector_all("#trials tbody td:first-child")]


def test_every_part_is_there(shown: Watched) -> None:
    assert shown.page.title() == "tuning"
    assert [each.inner_text() for each in shown.page.query_selector_all("h2")][:11] == [
        "What to do", "Best parameters", "History", "Importance", "Slices", "Map of two parameters",
        "Where the time went", "Parallel coordinates", "Failures", "Trials", "Study, versions and images",
    ]  # fmt: skip
    assert shown.page.locator("section[aria-label=History] .plot circle.trial").count() == 189
    assert shown.page.locator("section[aria-label=History] .plot path.failed").count() == 11


def test_names_and_values_of_others_are_text(shown: Watched) -> None:
    text = shown.page.inner_text("body")
    assert "<img src=x onerror=alert(1)>" in text
    assert "ValueError: <b>no</b><script>alert(2)</script> in …/x.csv" in text
    assert shown.page.locator("img").count() == 0
    assert shown.page.locator("script").count() == 2


def test_the_table_sorts_by_every_column(shown: Watched) -> None:
    assert first_column(shown)[:3] == ["1", "2", "3"]
    shown.page.click("#trials th button[data-key=number]")
    assert first_column(shown)[:3] == ["200", "199", "198"]
    shown.page.click("#trials th button[data-key=value]")
    ordered = sorted((each for each in ledger_of(200) if each.value is not None), key=lambda each: each.value or 0.0)
    assert first_column(shown)[:3] == [str(each.trial) for each in ordered[:3]]
    shown.page.click("#trials th button[data-key=value]")
    assert first_column(shown)[:1] == [str(ordered[-1].trial)]  # failed ones come last in any case
    assert shown.page.get_attribute("#trials th:nth-child(2)", "aria-sort") == "descending"


def test_the_table_filters_and_turns_its_pages(shown: Watched) -> None:
    shown.page.click("text=Next")
    assert first_column(shown)[0] == "26"
    shown.page.fill("#trials input", "failed layers=3")
    expected = [each.trial for each in ledger_of(200) if each.value is None and each.parameters["layers"] == 3]
    assert first_column(shown) == [str(trial) for trial in expected]
    shown.page.fill("#trials input", "nothing like it")
    assert first_column(shown) == []
    assert "no trial" in shown.page.inner_text("#trials")


def test_a_trial_opens_with_all_that_is_known_of_it(shown: Watched) -> None:
    shown.page.locator("#trials tr[data-trial='17']").press("Enter")
    text = shown.page.inner_text("dialog")
    assert text.startswith("Trial 17\n")
    assert "<script>alert(2)</script> in …/x.csv" in text
    record = ledger_of(17)[-1]
    assert f"--layers={record.parameters['layers']}" in text
    shown.page.keyboard.press("Escape")
    assert not shown.page.locator("dialog").is_visible()


def test_flags_can_be_pasted_into_a_shell(shown: Watched) -> None:
    for trial in range(1, 20):
        if ledger_of(20)[trial - 1].parameters["kind"] == "it's":
            shown.page.locator(f"#trials tr[data-trial='{trial}']").click()
            assert "--kind='it'\\''s'" in shown.page.inner_text("dialog .flags")
            return
    pytest.fail("no trial has it")


def test_the_pointer_and_the_keys_show_what_a_point_is(shown: Watched) -> None:
    plot = shown.page.locator("section[aria-label=History] .plot")
    shown.page.locator("section[aria-label=History] circle[data-trial='50']").hover(force=True)
    assert re.match(r"trial \d+: ", shown.page.inner_text("#tip"))
    shown.page.mouse.move(0, 0)
    plot.focus()
    shown.page.keyboard.press("ArrowRight")
    shown.page.keyboard.press("ArrowRight")
    assert shown.page.inner_text("#tip").startswith("trial 2: value ")
    assert (shown.page.text_content("#said") or "").startswith("trial 2: value ")
    shown.page.keyboard.press("Enter")
    assert shown.page.inner_text("dialog h2") == "Trial 2"


def test_a_brush_chooses_trials_on_the_whole_page(shown: Watched) -> None:
    axis = shown.page.locator("[data-axis=layers]")
    axis.scroll_into_view_if_needed()
    box = axis.bounding_box()
    assert box is not None
    x = box["x"] + box["width"] / 2
    shown.page.mouse.move(x, box["y"] + box["height"] * 0.99)
    shown.page.mouse.down()
    shown.page.mouse.move(x, box["y"] + box["height"] * 0.75, steps=4)
    shown.page.mouse.up()
    chosen = [each for each in ledger_of(200) if int(str(each.parameters["layers"])) <= 3]
    done = [each for each in chosen if each.value is not None]
    assert f"{len(done)} of 189 trials chosen" in shown.page.inner_text("section[aria-label='Parallel coordinates']")
    assert f"of {len(chosen)} trials" in shown.page.inner_text("#trials")
    assert shown.page.locator("section[aria-label=History] .plot circle.trial:not(.out)").count() == len(done)
    shown.page.click("text=Show all")
    assert "of 200 trials" in shown.page.inner_text("#trials")


def test_a_brush_is_moved_by_keys(shown: Watched) -> None:
    axis = shown.page.locator("[data-axis=rate]")
    axis.focus()
    shown.page.keyboard.press("ArrowUp")
    assert axis.get_attribute("aria-valuetext") == "from 0 % to 25 % of the axis"
    shown.page.keyboard.press("ArrowUp")
    assert axis.get_attribute("aria-valuetext") == "from 5 % to 30 % of the axis"
    shown.page.keyboard.press("Escape")
    assert axis.get_attribute("aria-valuetext") == "all"


def test_the_history_goes_by_time_too(shown: Watched) -> None:
    shown.page.click("text=By time")
    assert "since the first trial" in (shown.page.text_content("section[aria-label=History]") or "")
    assert shown.page.locator("section[aria-label=History] .plot circle.trial").count() == 189


def test_it_is_saved_as_csv_without_formulas(shown: Watched) -> None:
    with shown.page.expect_download() as download:
        shown.page.click("text=Save as CSV")
    text = Path(download.value.path()).read_text()
    assert download.value.suggested_filename == "tuning.csv"
    assert text.splitlines()[0] == "trial,state,value,rate,layers,kind,drop,seconds,started"
    assert len(text.splitlines()) == 201
    assert not re.search(r"(?m)(^|,)[=+@]", text)


@pytest.mark.parametrize("width", [320, 400, 800, 1600])
def test_nothing_is_wider_than_the_screen(browser: Browser, url: str, width: int) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 800})
    Watched(tab).open(url)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.close()


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_in_the_dark(browser: Browser, url: str, scheme: Any) -> None:
    """WCAG 2.2, success criteria 1.4.3 and 1.4.11: 4.5 to 1 for text, 3 to 1 for what is drawn."""
    tab = browser.new_page(color_scheme=scheme)
    Watched(tab).open(url)
    ground = tab.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor")
    found: dict[str, str] = tab.evaluate(
        """(names) => Object.fromEntries(names.map((name) => {
          const probe = document.createElement("span"); probe.style.color = `var(${name})`; document.body.append(probe);
          return [name, getComputedStyle(probe).color]; }))""",
        ["--text", "--quiet", "--best", "--link", "--failed", "--trial", "--random"],
    )
    for name, colour in found.items():
        low, high = sorted([_luminance(colour), _luminance(ground)])
        assert (high + 0.05) / (low + 0.05) >= (3 if name in {"--trial", "--random"} else 4.5), (name, colour, ground)
    tab.close()


@pytest.mark.long
@pytest.mark.parametrize(("count", "most"), [(1000, 2_500_000), (10_000, 4_000_000)])
def test_many_trials_are_small_and_are_printed_as_lines(
    browser: Browser, tmp_path: Path, count: int, most: int
) -> None:
    url = write(tmp_path / "report.html", count)
    assert (tmp_path / "report.html").stat().st_size <= most
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    found = Watched(tab)
    found.open(url)
    assert (tab.locator("section[aria-label=History] canvas").count() == 1) == (count > 1000)
    if count <= 1000:
        tab.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert tab.locator("canvas").count() == 0
        assert tab.locator("section[aria-label=History] .plot circle.trial").count() > 900
        assert tab.locator("#trials tbody tr").count() == count
        tab.evaluate("dispatchEvent(new Event('afterprint'))")
        assert len(tab.pdf()) > 100_000
        assert tab.locator("#trials tbody tr").count() == 25
    assert found.complaints == []
    tab.close()


def test_an_empty_study_has_a_page(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(page(contents(STUDY, [], Best.of(STUDY, []))))
    tab = browser.new_page()
    found = Watched(tab)
    found.open(path.as_uri())
    assert "No trial has ended yet." in tab.inner_text("body")
    assert found.complaints == []
    tab.close()
