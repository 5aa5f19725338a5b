"""How a run is shown: on a terminal of any width, as lines, and as JSON."""

from __future__ import annotations

import io
import json
import re
import time
from typing import Any

import pytest
from rich.console import Console

from kfp_bayesopt.cli.views import Events, Screen
from kfp_bayesopt.folder.publish import Verdict
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Reason
from kfp_bayesopt.session.lines import Lines, given
from kfp_bayesopt.session.progress import Progress
from kfp_bayesopt.session.view import Running, clock
from tests.builders import a_record, a_study

STUDY = a_study(space={"word": {"type": "categorical", "choices": ["1", 1, 1.0, "rbf"]}, "rate": {
    "type": "real", "low": 1e-5, "high": 1.0}}, objective={"python": "a:b"}, iterations=50)  # fmt: skip
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def a_console(width: int, **options: Any) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=width, force_terminal=True, highlight=False, **options), file


def trials() -> list[Any]:
    failed = Reason(kind="raised", message="ValueError: something that is far too long for any terminal " * 3)
    return [
        a_record(STUDY, 1, 3.0, parameters={"word": "1", "rate": 0.123456789}),
        a_record(STUDY, 2, 1.0, parameters={"word": 1, "rate": 1e-5}, iteration=1),
        a_record(STUDY, 3, None, parameters={"word": 1.0, "rate": 0.5}, reason=failed, iteration=2),
        a_record(STUDY, 4, 2.0, parameters={"word": "rbf", "rate": 1.0}, iteration=2),
    ]


@pytest.mark.parametrize("width", [80, 50, 30])
def test_nothing_on_a_terminal_is_wider_than_it_but_what_is_copied(width: int) -> None:
    console, file = a_console(width)
    view = Screen(console, moves=False)
    progress = Progress(STUDY, "out/branin", 2, view)
    for record in trials():
        progress.show(record, kept=True)
    view.running([Running(number, {"word": "rbf", "rate": 0.123456789}, time.time() - 75) for number in range(5, 25)])
    view.state("iteration 3: evaluate: 4 RUNNING, and something that is long as well, and longer")
    console.print(view.below())
    lines = ESCAPE.sub("", file.getvalue()).splitlines()
    assert max(map(len, lines)) <= width
    shown = "\n".join(lines)
    assert "★   2/100" in shown
    assert "  4/100" in shown
    assert "★   4/100" not in shown
    assert "trial 5" in shown
    assert "1:15" in shown
    assert "and 12 more" in shown
    assert "4/100" in lines[-1]


def test_the_bar_moves_while_trials_run() -> None:
    console, _ = a_console(80)
    view = Screen(console, moves=False)
    view.begin("a study", 4)

    def bar() -> float:
        table = view.below().renderables[-1]  # type: ignore[union-attr]
        return float(table.columns[0]._cells[0].completed)

    view.running([Running(1, {}, time.time() - 1)])
    early = bar()
    view.running([Running(1, {}, time.time() - 60)])
    assert 0 < early < bar() < 1


def test_no_color_has_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console, file = a_console(80)
    progress = Progress(STUDY, "out/branin", 2, Screen(console, moves=False))
    progress.show(trials()[0], kept=False)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", file.getvalue())


def test_one_one_point_nought_and_one_in_quotes_can_be_told_apart() -> None:
    assert given({"a": 1, "b": 1.0, "c": "1", "d": True, "e": "true", "f": None}) == (
        'a=1 b=1.0 c="1" d=true e="true" f=null'
    )


def test_control_characters_of_a_value_do_not_reach_the_terminal() -> None:
    assert given({"a": "\x1b[31mred"}) == 'a="\\u001b[31mred"'


def test_a_program_gets_a_line_of_json_for_each_thing() -> None:
    file = io.StringIO()
    progress = Progress(STUDY, "out/branin", 2, Events(file))
    records = trials()
    for record in records:
        progress.show(record, kept=False)
    best = Best.of(STUDY, records)
    progress.finish(Verdict(best, None, ("Do this.",)), "out/branin/report.html")
    events = [json.loads(line) for line in file.getvalue().splitlines()]
    assert events[0] == {"event": "begin", "title": events[0]["title"], "trials": 100}
    ended = [event for event in events if event["event"] == "trial"]
    assert [event["is_best"] for event in ended] == [True, True, False, False]
    assert [event["record"] for event in ended] == [json.loads(record.to_line()) for record in records]
    assert events[-1] == {
        "event": "end", "best": json.loads(best.to_line()), "advice": ["Do this."], "page": "out/branin/report.html",
    }  # fmt: skip


def test_the_last_lines_are_the_best_trial_flags_advice_and_the_report() -> None:
    file = io.StringIO()
    progress = Progress(STUDY, "out/branin", 2, Lines(lambda line: file.write(f"{line}\n")))
    progress.show(trials()[0], kept=False)
    best = Best.of(STUDY, trials())
    progress.finish(Verdict(best, None, ("Do this.", "Do that.")), "out/branin/report.html")
    assert file.getvalue().endswith(
        "\n\nbest value 1.0\n  word = 1\n  rate = 1e-05\nin trial 2, iteration 1; 3 completed, 1 failed\n"
        "as flags: --word=1 --rate=1e-05\n\n- Do this.\n- Do that.\n\nreport out/branin/report.html\n"
    )


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (75, "1:15"), (3725, "1:02:05"), (-3, "0:00")])
def test_a_time_is_read_as_on_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
