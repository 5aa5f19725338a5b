"""What is a number in text, and what only begins as one: it is read whole, or the trial says which text is none."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.space.numerals import NoNumber, read_number, read_step, whole_number
from kfp_bayesopt.study.objective import Objective
from kfp_bayesopt.study.sources.base import Evidence, NoValueError

NO_NUMBERS = (
    "0,75", "0,234.5", "1.234,5", "1,234", "12:30:05", "1e5x", "3/4", "1_000", "1.2.3", "0x1F", "2026-01-31", "1'234.5",
    "1\u202f234", "1,2345.6", "1234,567.8", "5s", "1+2j", "1*10^-3", "1.#QNAN", "\u22120.5", "1e\u22123",
    "10^-3", "2**3", "1.5 x 10^-3", "1.5\u00d710\u207b\u00b3", "0\u066b75", "1\u2007234",
)  # fmt: skip
WAY_OUT = "write it with digits and a point alone, such as 1234.5"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.75", 0.75), ("-.5", -0.5), ("5.", 5.0), ("1.5.", 1.5), ("+1e-3", 1e-3), ("50%", 50.0), ("inf", math.inf),
        ("0.5,", 0.5), ("0.5;", 0.5), (" 7 ", 7.0),
        ("1,234.5", 1234.5), ("-12,345,678", -12345678.0), ("1,234.5%.", 1234.5),
    ],
)  # fmt: skip
def test_a_number_is_read_with_the_end_of_its_sentence(text: str, number: float) -> None:
    assert read_number(text) == number


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_a_number_that_goes_on_is_none_and_keeps_its_text(text: str) -> None:
    found = read_number(text)
    assert isinstance(found, NoNumber)
    assert (found.text, math.isnan(found)) == (text, True)


@pytest.mark.parametrize("text", ["", "x", "nano", "-", "e5", "…", "None"])
def test_what_does_not_begin_as_a_number_is_nothing(text: str) -> None:
    assert read_number(text) is None


def test_a_step_of_so_many_is_that_step() -> None:
    assert [read_step(read_number(text) or 0.0) for text in ("3", "3/10")] == [3.0, 3.0]
    assert math.isnan(read_step(NoNumber("3,10")))


@pytest.mark.parametrize(
    ("before", "text", "after", "whole"),
    [
        ("loss=", "0", ",75 acc", "0,75"),
        ("loss=1,", "234.5", "", "1,234.5"),
        ("loss=", "0", ".75", "0.75"),
        ("loss=", "1", "e-5", "1e-5"),
        ("", "9899", "/10000 (99%)", "9899/10000"),
        ("", "-0", ",75", "-0,75"),
        ("", "-1", ",234.5", "-1,234.5"),
        ("", "-12", ":30 h", "-12:30"),
        ("loss is -", "0.5", "", "-0.5"),
        ("loss: \u2212", "0.5", "", "\u22120.5"),
        ("", "1", "e\u22123", "1e\u22123"),
        ("", "1.5", "D-03", "1.5D-03"),
        ("", "1", ".5e-3", "1.5e-3"),
        ("", "1", ".5 x 10^-3", "1.5 x 10^-3"),
        ("", "10", "^-3", "10^-3"),
        ("", "1.5", "\u00d710\u207b\u00b3", "1.5\u00d710\u207b\u00b3"),
        # A hyphen is no sign.
        ("val-", "0.5", "", "0.5"),
        ("0.1-", "0.5", "", "0.5"),
        ("(a)-", "0.5", "", "0.5"),
        ("is ", "5", " x 10 images", "5"),
        ("at ", "12", ":30:05", "12:30:05"),
        # Of a list or with a unit it is what was matched.
        ("", "0.5", ",0.3,7", "0.5"),
        ("1,", "0.5", ",3", "0.5"),
        ("took ", "5.2", "s", "5.2"),
        ("is ", "0.5", ". Then", "0.5"),
        ("", ".5", "", ".5"),
        ("x=", "abc", ",75", "abc"),
    ],
)
def test_a_number_of_which_a_pattern_matched_a_part_is_taken_whole(
    before: str, text: str, after: str, whole: str
) -> None:
    assert whole_number(before, text, after) == whole


def read(value: Any, folder: Path, printed: str = "", **files: str) -> dict[str, float]:
    source = Objective.model_validate({"command": ["train"], "value": value}).source
    metric_file = folder / "hypertune" / "output.metrics"
    evidence = Evidence(who="train", started=time.time(), folders=(folder,), metric_file=metric_file)
    evidence.printed, evidence.last_line = printed.encode(), printed.rpartition("\n")[2]
    for line in printed.splitlines():
        source.look(line, evidence.metrics)
    metric_file.parent.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return source.read(evidence, {"value": "minimize"})


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_no_source_takes_the_beginning_of_a_number_that_goes_on(text: str, tmp_path: Path) -> None:
    named = {"source": "file", "name": "loss"}
    sources: dict[str, tuple[Any, dict[str, Any]]] = {
        f"the last line that train prints must be a finite number, such as 0.5 or 1e-3, but got {text!r}; where it "
        "prints metrics by name: objective.value: NAME": (None, {"printed": text}),
        f"the metric loss in what it printed is {text!r}, which is no number; {WAY_OUT}": (
            "loss",
            {"printed": f"epoch=1 loss={text}, acc=0.9"},
        ),
        f"what matches the pattern 'is (\\\\S+)' is {text!r}, which is no number; {WAY_OUT}": (
            {"source": "pattern", "pattern": r"is (\S+)"},
            {"printed": f"it is {text}"},
        ),
        f"the metric loss in 'm.json' is {text!r}, which is no number; {WAY_OUT}": (
            {**named, "path": "m.json"},
            {"m_json": f'{{"loss": "{text}"}}'},
        ),
        f"the metric loss in 'm.jsonl' is {text!r}, which is no number; {WAY_OUT}": (
            {**named, "path": "m.jsonl"},
            {"m_jsonl": f'{{"loss": 0.1}}\n{{"loss": "{text}"}}\n'},
        ),
        f"the metric loss in 'm.csv' is {text!r}, which is no number; {WAY_OUT}": (
            {**named, "path": "m.csv"},
            {"m_csv": f'step,loss\n1,0.1\n2,"{text}"\n'},
        ),
        f"the metric loss in the metrics file of hypertune is {text!r}, which is no number; {WAY_OUT}": (
            {"source": "hypertune", "name": "loss"},
            {"hypertune/output_metrics": f'{{"loss": "{text}"}}\n'},
        ),
    }
    for said, (value, left) in sources.items():
        with pytest.raises(NoValueError) as caught:
            read(value, tmp_path, **left)
        assert str(caught.value) == said


@pytest.mark.parametrize(
    ("printed", "loss"),
    [
        ("loss=0.5.", 0.5),
        ("loss=0.5, acc=0.9", 0.5),
        ("loss: 0.5; ", 0.5),
        ("loss=0.5,acc=0.9", 0.5),
        ("loss=0.5...", 0.5),
        ("(loss=0.5)", 0.5),
        ("loss=0.5|acc=1", 0.5),
        ("loss=0.95 (+/- 0.02)", 0.95),
        ("loss=5.", 5.0),
        ("loss='0.5'", 0.5),
        ("time=1,5 loss=0.5", 0.5),
        ("n=1x,loss=0.5", 0.5),
        ("loss=0.5 100 images", 0.5),
        ("loss=12 3456 images", 12.0),
        ("loss=5 100/200", 5.0),
        ("loss=5 x 10 images", 5.0),
    ],
)
def test_what_ends_a_printed_number_is_no_part_of_it(printed: str, loss: float, tmp_path: Path) -> None:
    assert read("loss", tmp_path, printed)["value"] == loss


@pytest.mark.parametrize("text", ["1 234.5", "12 345,67", "-1 234 567"])
def test_thousands_that_stand_apart_are_no_small_number(text: str, tmp_path: Path) -> None:
    assert isinstance(read_number(text), NoNumber)
    with pytest.raises(NoValueError, match=f"the metric loss in what it printed is '{text}', which is no number"):
        read("loss", tmp_path, f"epoch=1 loss: {text}, acc=0.9")


def test_what_is_no_number_counts_where_it_may_be_what_is_asked_for(tmp_path: Path) -> None:
    def take(which: str, printed: str) -> float:
        return read({"source": "printed", "name": "loss", "take": which}, tmp_path, printed)["value"]

    assert take("last", "loss=1,234\nloss=0.5") == 0.5
    assert take("first", "loss=0.5\nloss=0,4") == 0.5
    for which, printed in (
        ("last", "loss=0.5\nloss=0,4"),
        ("first", "loss=0,4\nloss=0.5"),
        ("best", "loss=0,4\nloss=1"),
    ):
        with pytest.raises(NoValueError, match="the metric loss in what it printed is '0,4', which is no number"):
            take(which, printed)


def test_a_pattern_that_matches_a_part_of_a_number_is_told_the_whole(tmp_path: Path) -> None:
    def find(pattern: str, printed: str) -> float:
        return read({"source": "pattern", "pattern": pattern}, tmp_path, printed)["value"]

    with pytest.raises(NoValueError, match="is '0,75', which is no number"):
        find(r"loss=([\d.]+)", "loss=0,75")
    with pytest.raises(NoValueError, match=r"is '1\.234,5', which is no number"):
        find(r"(\d+\.\d+)", "loss=1.234,5")
    assert find(r"(\d+\.\d+)", "loss=1,234.5") == 1234.5
    assert find(r"loss=(\d+)", "loss=0.75") == 0.75
    assert find(r"correct: (\d+)/\d+", "correct: 9899/10000") == 9899.0, "as the pattern itself says"
    assert find(r"([\d.]+)", "0.5,0.3,0.25") == 0.25


def test_a_row_with_a_comma_too_many_is_no_row_of_numbers(tmp_path: Path) -> None:
    value = {"source": "file", "path": "m.csv", "name": "loss"}
    with pytest.raises(NoValueError, match=r"the metric loss in 'm\.csv' is '1,0,75', which is no number"):
        read(value, tmp_path, m_csv="step,loss\n1,0,75\n")
    assert read(value, tmp_path, m_csv="step,loss\n1,0,75\n2,0.5\n") == {"value": 0.5, "loss": 0.5, "step": 2.0}
    assert read(value, tmp_path, m_csv="step,loss\n1,0.5,\n")["value"] == 0.5


def test_the_longest_texts_are_read_at_once() -> None:
    began = time.process_time()
    for text in ("1" * 65_536 + "x", "1." * 32_768, "1," * 32_768, "1e" * 32_768):
        assert isinstance(read_number(text), NoNumber)
        whole_number(text, text, text)
    assert time.process_time() - began < 2.0
