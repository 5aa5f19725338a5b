"""What well-known libraries print is read as a person reads it: the value that they mean, or none with a message."""

from __future__ import annotations

import io
import random
import time
from pathlib import Path
from typing import Any

import numpy
import pytest
import rich.console
import rich.table
from pydantic import ValidationError
from sklearn.metrics import classification_report

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.study.objective import Objective
from kfp_bayesopt.study.sources.base import LONGEST_LINE, Evidence, Metrics, NoValueError, seen
from kfp_bayesopt.study.sources.intermediate import Intermediate
from kfp_bayesopt.study.sources.lines import Memory, pairs_of
from kfp_bayesopt.study.yaml_reader import read_yaml
from kfp_bayesopt.trial.curve import Curve
from tests.builders import a_study

LINES: list[dict[str, Any]]
LINES, MISTAKES = read_yaml((Path(__file__).parents[2] / "data" / "printed-lines.yaml").read_bytes())


def evidence_of(name: str, printed: str, take: str = "last") -> tuple[Any, Evidence]:
    """Return the source of a metric, and what it found in an output."""
    source = Objective.model_validate(
        {"command": ["train"], "value": {"source": "printed", "name": name, "take": take}}
    ).source
    evidence = Evidence(who="train", started=time.time(), folders=(), metric_file=Path("none"))
    for line in printed.split("\n"):
        source.look(line, evidence.metrics)
    return source, evidence


def value_of(name: str, printed: str, take: str = "last") -> float:
    """Return the value of a metric in an output."""
    source, evidence = evidence_of(name, printed, take)
    found: dict[str, float] = source.read(evidence, {"value": "minimize"})
    return found["value"]


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line['library']}: {line['name']}")
def test_a_line_of_a_library_is_read_as_a_person_reads_it(line: dict[str, Any]) -> None:
    if "value" in line:
        assert value_of(line["name"], line["printed"]) == line["value"]
        return
    with pytest.raises(NoValueError) as caught:
        value_of(line["name"], line["printed"])
    assert line["fails"] in str(caught.value)


def test_every_line_is_in_the_file_as_it_is_printed() -> None:
    assert not MISTAKES
    assert len(LINES) >= 64
    assert sum("fails" in line for line in LINES[:24]) <= 4


def test_an_asked_name_is_matched_exactly_and_the_longest_first() -> None:
    line = "val loss: 0.4, loss: 0.3, val_loss 0.2, loss2 0.1, x.loss 7, /loss 8, loss-1 9"
    assert value_of("loss", line) == 0.3
    _, evidence = evidence_of("val loss", line)
    assert evidence.metrics["val loss"].last == 0.4
    study = a_study(
        objective={"command": ["train", "{width}"]}, space={"width": {"type": "integer", "low": 1, "high": 9}},
        objectives={"loss": "minimize", "val loss": "minimize"}, limits={"size (MB)": "<= 3"},
        optimizer={"engine": "gp"},
    )  # fmt: skip
    metrics = Metrics()
    study.source.look("val loss 0.4", metrics)
    study.source.look("size (MB) 2.5", metrics)
    assert {name: numbers.last for name, numbers in metrics.items()} == {"val loss": 0.4, "size (MB)": 2.5}


def test_a_name_with_a_sign_is_read_as_before_whether_it_is_asked_for_or_not() -> None:
    tokens = ["loss", "val_loss", " ", "  ", ":", "=", ": ", "0.5", "-1", "1e-3", "nan", "1,234", "%", ",", "(", ")"]
    tokens += ["[", "]", "'", '"', "\t", "|", "0", "12 345", "1/2", "/", "-", ".", "is", "->", "tensor(", "}", "loss="]
    numbers = random.Random(1)
    for _ in range(20_000):
        line = "".join(numbers.choices(tokens, k=numbers.randint(2, 14)))
        rest = iter(repr(number) for _, number in pairs_of(line, frozenset({"loss"}), Memory()) if _ == "loss")
        before = [repr(number) for name, number in pairs_of(line, frozenset(), Memory()) if name == "loss"]
        assert all(each in rest for each in before), line


@pytest.mark.parametrize(
    ("name", "line", "value"),
    [
        ("mAP@0.5", "mAP@0.5: 0.71, mAP@0.5:0.95: 0.45", 0.71),
        ("mAP@0.5:0.95", "mAP@0.5: 0.71, mAP@0.5:0.95: 0.45", 0.45),
        ("a:b", "a: 1, a:b=3", 3.0),
        ('say "x"', 'say "x": 5', 5.0),
        ("loss", "loss - 0.5", 0.5),
        ("loss", "loss -0.5", -0.5),
        ("loss", "loss: -0.5", -0.5),
        ("loss", "* loss: **0.5**", 0.5),
        ("loss", "the final loss is: 0.5", 0.5),
        ("loss", "loss 0.5 3.2 s", 0.5),
        ("WER", "%WER 12.30 [ 123 / 1000, 5 ins, 10 del, 108 sub ]", 12.3),
        ("loss", "loss: - 0.5", None),
        ("loss", "loss 3 times", None),
        ("loss", "loss 10% lower than before", None),
        ("loss", "loss after 3 epochs: 0.5", None),
        ("loss", "loss went from 0.9 to 0.5", None),
        ("loss", "losses 5, loss_1 5, my.loss 5, model/loss: 5, loss-1 5, loss <= 3", None),
        ("F1", "F1(macro) 0.6, F1 (macro): 0.61, F1@10 0.7", None),
        ("top 5", "top 5 accuracy 0.9", None),
    ],
)
def test_what_follows_a_name_is_its_number_or_none(name: str, line: str, value: float | None) -> None:
    _, evidence = evidence_of(name, line)
    assert (evidence.metrics[name].last if name in evidence.metrics else None) == value


def test_a_table_goes_on_after_other_lines_and_ends_at_the_next_header() -> None:
    rows = "epoch  loss  acc\n1  0.5  0.9\nsaving the model to m.pt\n\n2  0.25  0.95\n"
    rows += "step  acc  loss\n1  0.97  0.125"
    assert value_of("loss", rows, "best") == 0.125
    assert [value_of("acc", rows, take) for take in ("first", "last")] == [0.9, 0.97]
    with pytest.raises(NoValueError, match="no metric loss in what it printed"):
        value_of("loss", "the loss is low now\n1 2 3 4 5\nloss of epochs\n12:30 7 ok")


def test_intermediate_values_may_be_in_a_table_or_without_a_sign() -> None:
    for printed in ("epoch  val loss\n1  0.5\n2  0.25", "epoch 1 val loss 0.5\nepoch 2 val loss 0.25"):
        curve, asked = Curve(), Intermediate(name="val loss", step="epoch")
        for line in printed.split("\n"):
            curve.look(line, asked)
        assert (curve.steps, curve.values) == ([1, 2], [0.5, 0.25])


def test_the_time_for_a_line_grows_with_its_length_alone() -> None:
    source = Objective.model_validate({"command": ["train"], "value": "a b"}).source
    lines = (
        "a ",
        "a b ",
        "a b=",
        "a b [",
        "a b [1, ",
        "a b 1 ",
        "a\t b",
        "a b tensor(",
        "(a b",
        "a b|1|",
        "1  ",
        "a b  c  ",
    )
    began = time.process_time()
    for text in lines:
        metrics = Metrics()
        source.look("a b  c", metrics)
        source.look(f"x{text * (LONGEST_LINE // len(text))}x", metrics)
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("val\nloss", "has a line break or another control character"),
        ("loss\x1b[0m", "has a line break or another control character"),
        (" loss", "begins or ends with a space"),
    ],
)
def test_a_name_that_no_line_can_have_is_refused_with_a_pattern_to_use(name: str, what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Objective.model_validate({"command": ["train"], "value": name})
    assert f"no printed line has a metric whose name {what}; leave that out, or give a pattern: " in str(caught.value)
    with pytest.raises(ValidationError, match="no printed line has a metric"):
        Intermediate(name=name)
    command = {"command": ["train", "--lr={lr}"], "value": {"source": "printed", "name": "loss"}}
    with pytest.raises(UserError, match=r"limits: no printed line has a metric|cannot contain the character"):
        a_study(objective=command, space={"lr": {"type": "real", "low": 1, "high": 2}}, limits={name: "<= 3"})


def test_a_name_twice_in_a_line_is_a_warning_with_what_to_ask_for() -> None:
    printed = "train loss 0.5 val loss 0.4\nloss 1\nloss 0.3, again loss: 0.3, then loss 0.2\ntest loss 7"
    _, evidence = evidence_of("loss", printed)
    assert evidence.metrics.memory.warnings == [
        "loss stands more than once in a line, with different numbers (2 of 4 lines that have it): the last one "
        "counts; ask for more of its name, such as 'val loss', or give a pattern (objective.value: {source: pattern, "
        "pattern: …})"
    ]
    _, evidence = evidence_of("val loss", "train loss 0.5 val loss 0.4")
    assert evidence.metrics.memory.warnings == []


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("train loss 0.5\nval loss: 0.4", "loss was printed after 'train' and after 'val', and counts as one metric"),
        ("loss 0.5\nBest loss: 0.4", "loss was printed alone and after 'best', and counts as one metric"),
        ("val loss 0.5\nvalidation loss: 0.4\nVal loss=0.3", None),
        ("epoch 1 loss 0.5\n(3) loss: 0.4\n\tloss 0.3\nstep loss 0.1", None),
    ],
)
def test_a_name_after_other_words_in_other_lines_is_a_warning(printed: str, said: str | None) -> None:
    _, evidence = evidence_of("loss", printed)
    warnings = evidence.metrics.memory.warnings
    assert [each[: len(said or "")] for each in warnings] == ([said] if said else [])


def test_a_metric_of_a_progress_bar_alone_is_a_warning() -> None:
    bars = "\r 50%|#####     | 1/2 [00:01<00:01, loss=0.5]\n\r100%|##########| 2/2 [00:02<00:00, loss=0.4]"
    _, evidence = evidence_of("loss", bars)
    assert evidence.metrics.memory.warnings == [
        "loss was printed in a progress bar alone, which does not show every number: print it once more when an epoch "
        "has ended"
    ]
    _, evidence = evidence_of("loss", f"{bars}\nloss=0.4")
    assert evidence.metrics.memory.warnings == []


@pytest.mark.parametrize(
    ("name", "names", "hint"),
    [
        ("val_loss", ["loss", "acc"], "; 'loss' is near, but another metric"),
        ("val_loss", ["train_loss"], "; 'train_loss' is near, but another metric"),
        ("val_loss", ["loss", "valid_loss"], "; did you mean 'valid_loss'?"),
        ("val_acc", ["acc", "val_accuracy"], "; did you mean 'val_accuracy'?"),
        ("valLoss", ["val_loss", "loss"], "; did you mean 'val_loss'?"),
        ("test_acc", ["val_acc"], "; 'val_acc' is near, but another metric"),
        ("accuracy", ["acuracy"], "; did you mean 'acuracy'?"),
        ("loss", ["x"], ""),
    ],
)
def test_another_metric_is_never_offered_as_the_one_that_was_meant(name: str, names: list[str], hint: str) -> None:
    assert seen(name, names) == f"seen: {', '.join(names)}{hint}"


def test_values_that_are_all_nan_are_counted() -> None:
    for take in ("last", "first", "best"):
        with pytest.raises(NoValueError) as caught:
            value_of("loss", "loss=nan\n" * 12, take)
        assert str(caught.value) == "the metric loss in what it printed has 12 values, all NaN"
    assert value_of("loss", "loss=nan\nloss=0.5\nloss=nan", "best") == 0.5
    with pytest.raises(NoValueError, match="the metric loss in what it printed is nan; it must be finite"):
        value_of("loss", "loss=0.5\nloss=nan")


def test_what_libraries_print_here_is_read() -> None:
    report = classification_report([0, 0, 1, 1, 2], [0, 1, 1, 1, 2])
    assert [value_of(name, report) for name in ("accuracy", "macro avg.f1-score", "1.recall")] == [0.8, 0.82, 1.0]
    text = io.StringIO()
    table = rich.table.Table("epoch", "val loss")
    for row in (("1", "0.5"), ("2", "0.25")):
        table.add_row(*row)
    rich.console.Console(file=text, width=80, force_terminal=True).print(table)
    assert value_of("val loss", text.getvalue()) == 0.25
    assert value_of("loss", repr({"acc": numpy.float32(0.5), "loss": numpy.array([0.25])})) == 0.25
