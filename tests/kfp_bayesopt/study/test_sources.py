"""Where a value comes from: each source finds it, keeps the other metrics, and says why there is none."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.study.objective import Objective
from kfp_bayesopt.study.sources import file, tensorboard
from kfp_bayesopt.study.sources.base import LONGEST_LINE, MOST_NAMES, Direction, Evidence, Metrics, NoValueError, seen


def read(
    value: Any,
    folder: Path,
    *,
    lines: str = "",
    returned: Any = None,
    files: Mapping[str, str | bytes] | None = None,
    direction: Direction = "maximize",
) -> dict[str, float]:
    """Return the values of an objective that printed these lines, returned this and wrote these files."""
    function = {"python": "a:b"} if returned is not None else {"command": ["train"]}
    source = Objective.model_validate({**function, "value": value}).source
    evidence = Evidence(
        who="train", started=time.time(), folders=(folder, folder), metric_file=folder / "hypertune" / "output.metrics"
    )
    evidence.returned, evidence.printed = returned, lines.encode()
    evidence.last_line = lines.rstrip().rpartition("\n")[2]
    for line in lines.splitlines():
        source.look(line, evidence.metrics)
    for name, content in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return source.read(evidence, {"value": direction})


FILE = {"source": "file", "name": "acc"}
HYPERTUNE = '{"timestamp": 1.5, "trial": "0", "acc": "0.93", "global_step": "%d"}\n'


@pytest.mark.parametrize(
    ("value", "left", "values"),
    [
        (None, {"lines": "epoch 1\n0.93\n"}, {"value": 0.93}),
        ({"source": "last-line"}, {"lines": "1e-3"}, {"value": 1e-3}),
        ("acc", {"lines": "acc=0.5 loss=2\nacc=0.93 loss=0.2\n"}, {"value": 0.93, "acc": 0.93, "loss": 0.2}),
        ("val_acc", {"lines": "Epoch 3/3: val_acc: 0.93 - 12s"}, {"value": 0.93, "val_acc": 0.93}),
        ("acc", {"lines": '{"acc": 0.93, "step": 3, "name": "x"}'}, {"value": 0.93, "acc": 0.93, "step": 3.0}),
        ("test/acc", {"lines": "{'test/acc': 0.93}"}, {"value": 0.93, "test/acc": 0.93}),
        ("acc", {"lines": "\x1b[32macc\x1b[0m = 93%"}, {"value": 93.0, "acc": 93.0}),
        (
            {"source": "printed", "name": "acc", "take": "best"},
            {"lines": "acc=0.9\nacc=nan\nacc=0.8"},
            {"value": 0.9, "acc": 0.9},
        ),
        (
            {"source": "printed", "name": "acc", "take": "first"},
            {"lines": "acc=0.9\nacc=0.8"},
            {"value": 0.9, "acc": 0.9},
        ),
        (
            {"source": "pattern", "pattern": r"accuracy is (\S+)"},
            {"lines": "accuracy is 0.5\naccuracy is .93"},
            {"value": 0.93},
        ),
        (
            {"source": "pattern", "pattern": r"(?P<value>[\d.]+) after (?P<epoch>\d+)", "take": "best"},
            {"lines": "0.93 after 1\n0.9 after 2"},
            {"value": 0.93, "epoch": 2.0},
        ),
        (
            {**FILE, "path": "m.json"},
            {"files": {"m.json": '{"acc": 0.93, "ok": true, "x": {"y": 2}}'}},
            {"value": 0.93, "acc": 0.93, "x.y": 2.0},
        ),
        (
            {**FILE, "path": "m.json", "name": "x.y"},
            {"files": {"m.json": '\ufeff{"x": {"y": 2}}'}},
            {"value": 2.0, "x.y": 2.0},
        ),
        (
            {**FILE, "path": "a/m.jsonl", "take": "best"},
            {"files": {"a/m.jsonl": '{"acc": 0.93}\n{"acc": 0.9}\n'}},
            {"value": 0.93, "acc": 0.93},
        ),
        (
            {**FILE, "path": "m.csv"},
            {"files": {"m.csv": "step,acc,note\n1,0.5,a\n2,0.93,b\n"}},
            {"value": 0.93, "acc": 0.93, "step": 2.0},
        ),
        (
            {"source": "hypertune", "name": "acc"},
            {"files": {"hypertune/output.metrics": HYPERTUNE % 1 + HYPERTUNE % 2}},
            {"value": 0.93, "acc": 0.93, "global_step": 2.0},
        ),
        (None, {"returned": 0.93}, {"value": 0.93}),
        (
            "acc",
            {"returned": {"acc": 0.93, "loss": 0.2, "note": "'x' (str)"}},
            {"value": 0.93, "acc": 0.93, "loss": 0.2},
        ),
    ],
    ids=str,
)
def test_a_source_finds_the_value_and_the_other_metrics(
    tmp_path: Path, value: Any, left: dict[str, Any], values: dict[str, float]
) -> None:
    assert read(value, tmp_path, **left) == values


def test_the_best_follows_the_direction_of_the_study(tmp_path: Path) -> None:
    best = {"source": "printed", "name": "loss", "take": "best"}
    assert read(best, tmp_path, lines="loss=3\nloss=1\nloss=2", direction="minimize")["value"] == 1.0


@pytest.mark.parametrize(
    ("value", "left", "said"),
    [
        (
            "val_acc",
            {"lines": "val_accuracy=0.9 loss=1"},
            "no metric val_acc in what it printed; seen: val_accuracy, loss; did you mean 'val_accuracy'?",
        ),
        ("acc", {"lines": "nothing"}, "no metric acc in what it printed; no metric was seen there"),
        ("acc", {"lines": "acc=0.9\nacc=nan"}, "the metric acc in what it printed is nan; it must be finite"),
        (
            {"source": "pattern", "pattern": "acc (x)"},
            {"lines": "acc x"},
            "the pattern 'acc (x)' matched 'x', which is no number",
        ),
        (
            {"source": "pattern", "pattern": "acc (.*)"},
            {"lines": "ac"},
            "nothing that it printed matches the pattern 'acc (.*)'",
        ),
        (
            {"source": "pattern", "pattern": "(a*)*b"},
            {"lines": "a" * 50},
            "the pattern '(a*)*b' took longer than 5 s of processor time over the output; make it simpler: without "
            "nested repetitions",
        ),
        ({**FILE, "path": "m.json"}, {}, "no file 'm.json': it did not write "),
        ({**FILE, "path": "m.json"}, {"files": {"m.json": '{"acc": 0.'}}, "'m.json' is not valid JSON: "),
        ({**FILE, "path": "m.json"}, {"files": {"m.json": b"\xff\xfe"}}, "'m.json' is not UTF-8"),
        (
            {**FILE, "path": "m.json"},
            {"files": {"m.json": "3"}},
            "'m.json' must hold a JSON object of metrics, or a list of these",
        ),
        ({**FILE, "path": "m.json"}, {"files": {"m.json": "[" * 100_000}}, "'m.json' is not valid JSON: "),
        (
            {**FILE, "path": "m.json"},
            {"files": {"m.json": '{"acc": NaN}'}},
            "the metric acc in 'm.json' is nan; it must be finite",
        ),
        (
            {**FILE, "path": "m.json"},
            {"files": {"m.json": '{"acc": "0.9"}'}},
            "no metric acc in 'm.json'; no metric was seen there",
        ),
        ({**FILE, "path": "m.csv"}, {"files": {"m.csv": "step\n1\n"}}, "no metric acc in 'm.csv'; seen: step"),
        (
            {**FILE, "path": "m.jsonl"},
            {"files": {"m.jsonl": '{"acc": 1}\n{"acc'}},
            "'m.jsonl', line 2: not valid JSON: ",
        ),
        ({"source": "hypertune", "name": "acc"}, {}, "no file 'CLOUD_ML_HP_METRIC_FILE': it did not write "),
        ("acc", {"returned": {"acc": "nan (float)"}}, "train: acc must be a finite number, but got nan (float)"),
        ("acc", {"returned": {"accuracy": 1.0}}, "train returned no acc; seen: accuracy; did you mean 'accuracy'?"),
        ("acc", {"returned": 0.5}, "train must return a mapping with acc, but got 0.5"),
        (
            None,
            {"returned": {"acc": 1.0}},
            "train returned a mapping (acc); name the metric to optimise: objective.value: NAME",
        ),
    ],
    ids=str,
)
def test_a_source_that_finds_no_value_says_why(tmp_path: Path, value: Any, left: dict[str, Any], said: str) -> None:
    with pytest.raises(NoValueError) as caught:
        read(value, tmp_path, **left)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("take", ["last", "first", "best"])
def test_a_file_of_lines_is_read_to_its_end_however_long_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, take: str
) -> None:
    monkeypatch.setattr(file, "MOST_BYTES", 10_000)
    accuracies = [0.5, *[0.6] * 50_000, 0.93, *[0.6] * 50_000, 0.7]
    step = "{}".format
    lines = {
        "m.jsonl": [f'{{"acc": {each}, "step": {number}}}' for number, each in enumerate(accuracies)],
        "m.csv": ["acc,step", *(f"{each},{number}" for number, each in enumerate(accuracies))],
    }
    expected = {"last": 0.7, "first": 0.5, "best": 0.93}[take]
    for name, each in lines.items():
        value = {**FILE, "path": name, "take": take}
        assert read(value, tmp_path, files={name: "\n".join(each)})["value"] == expected
    reported = "".join(
        f'{{"acc": "{each}", "global_step": "{step(number)}"}}\n' for number, each in enumerate(accuracies)
    )
    found = read(
        {"source": "hypertune", "name": "acc", "take": take}, tmp_path, files={"hypertune/output.metrics": reported}
    )
    assert (found["value"], found["global_step"]) == (expected, 100_002.0)


def test_what_must_be_in_memory_as_a_whole_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "MOST_BYTES", 1000)
    with pytest.raises(NoValueError) as caught:
        read({**FILE, "path": "m.json"}, tmp_path, files={"m.json": " " * 1001})
    way_out = "write a line of JSON for each step (.jsonl)"
    assert str(caught.value) == f"'m.json' has more than 1,000 characters; {way_out}"
    for name in ("m.jsonl", "m.csv"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 2**40)  # it has holes, and no end of a line
        with pytest.raises(NoValueError, match=rf"^'{name}', line 1: has more than 1,000 characters$"):
            read({**FILE, "path": name}, tmp_path)


def test_a_file_counts_only_where_it_is_a_new_regular_file_of_the_trial_or_the_study(tmp_path: Path) -> None:
    inside, outside = tmp_path / "trial", tmp_path / "secret.json"
    inside.mkdir()
    outside.write_text('{"acc": 1}')
    metrics, value = inside / "m.json", {**FILE, "path": "m.json"}

    def said() -> str:
        with pytest.raises(NoValueError) as caught:
            read(value, inside)
        metrics.unlink()
        return str(caught.value)

    metrics.symlink_to(outside)
    assert "is a link to" in said()
    metrics.symlink_to("/proc/self/status")
    assert "is a link to" in said()
    os.mkfifo(metrics)
    assert said() == "'m.json' is not a regular file"
    metrics.write_text('{"acc": 1}')
    os.utime(metrics, (time.time() - 60, time.time() - 60))
    assert said() == "'m.json' is older than the trial: it was written by an earlier one, or by hand"
    (inside / "real.json").write_text('{"acc": 0.5}')
    metrics.symlink_to("real.json")
    assert read(value, inside)["value"] == 0.5


def test_what_is_kept_of_the_metrics_does_not_grow_with_the_output() -> None:
    metrics = Metrics()
    for number in range(MOST_NAMES * 2):
        metrics.add(f"m{number}", 1.0)
    assert len(metrics) == MOST_NAMES
    source = Objective.model_validate({"command": ["train"], "value": "acc"}).source
    # Each would take minutes where a pattern began again at every letter.
    for text in ("a" * LONGEST_LINE, "a=" * (LONGEST_LINE // 2), "1" * LONGEST_LINE, "a=1" + "e" * LONGEST_LINE):
        source.look(text, metrics)
    assert len(metrics) == MOST_NAMES


def test_numbers_too_large_for_a_float_are_no_value(tmp_path: Path) -> None:
    with pytest.raises(NoValueError, match="is inf; it must be finite"):
        read("acc", tmp_path, lines=json.dumps({"acc": 10**400}))


def test_at_most_ten_names_are_shown() -> None:
    assert seen("x", [f"m{number}" for number in range(12)]).endswith("m9 and 2 more")


# Written by tensorboardX 2.6: acc 0.5 and 1.0, loss 0.25.
EVENTS = base64.b64decode(
    "GAAAAAAAAACjf0siCQMrVOsswtpBGg1icmFpbi5FdmVudDoy7Fq6WBkAAAAAAAAAi/EIKAl/NlTrLMLaQRABKgwKCgoDYWNjFQAA"
    "AD9VKeIrGQAAAAAAAACL8QgoCdc7VOsswtpBEAIqDAoKCgNhY2MVAACAP2JqZVgaAAAAAAAAABKb2C0JOzxU6yzC2kEQAioNCgsK"
    "BGxvc3MVAACAPmUofSY="
)
# Written by TensorBoard's own writer: epoch_acc 0.75 as the content of a tensor, 0.875 as its `float_val`.
TENSORS = base64.b64decode(
    "SAAAAAAAAAD+kkidCYFUWOsswtpBGg1icmFpbi5FdmVudDoyUi4KLHRlbnNvcmJvYXJkLnN1bW1hcnkud3JpdGVyLmV2ZW50X2Zp"
    "bGVfd3JpdGVya3SXmxsAAAAAAAAAGg2eExABKhcKFQoJZXBvY2hfYWNjQggIASIEAABAPzqnVSsbAAAAAAAAABoNnhMQAioXChUK"
    "CWVwb2NoX2FjY0IICAEqBAAAYD92WU0J"
)
TENSORBOARD = {"source": "tensorboard", "path": "runs", "name": "acc"}


@pytest.mark.parametrize(
    ("value", "files", "values"),
    [
        ({}, {"runs/events.out.tfevents.1.vm": EVENTS}, {"value": 1.0, "acc": 1.0, "loss": 0.25}),
        ({"take": "first"}, {"runs/events.out.tfevents.1.vm": EVENTS}, {"value": 0.5, "acc": 0.5, "loss": 0.25}),
        # A writer that was killed leaves a record that is cut.
        ({}, {"runs/events.out.tfevents.1.vm": EVENTS[:-5]}, {"value": 1.0, "acc": 1.0}),
        (
            {"name": "epoch_acc"},
            {"runs/validation/events.out.tfevents.1.vm": TENSORS},
            {"value": 0.875, "epoch_acc": 0.875, "validation/epoch_acc": 0.875},
        ),
        (
            {"name": "validation/epoch_acc"},
            {"runs/train/e.tfevents.1": TENSORS, "runs/validation/e.tfevents.2": TENSORS},
            {"value": 0.875, "train/epoch_acc": 0.875, "validation/epoch_acc": 0.875},
        ),
    ],
)
def test_scalars_of_event_files_are_metrics(
    value: dict[str, Any], files: dict[str, bytes], values: dict[str, float], tmp_path: Path
) -> None:
    assert read(TENSORBOARD | value, tmp_path, files=files) == values


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "no event file of this trial in 'runs'; close or flush the summary writer"),
        ({"runs/e.tfevents.1": EVENTS[:60]}, "no metric acc in the event files in 'runs'; no metric was seen there"),
        ({"runs/e.tfevents.1": b"\xff" * 500}, "no metric acc in the event files in 'runs'; no metric was seen there"),
        (
            {"runs/a/e.tfevents.1": EVENTS, "runs/b/e.tfevents.1": EVENTS},
            "no metric acc in the event files in 'runs'; seen: a/acc, a/loss, b/acc, b/loss; did you mean 'b/acc'?",
        ),
    ],
)
def test_event_files_without_the_metric_say_what_is_there(files: dict[str, bytes], why: str, tmp_path: Path) -> None:
    with pytest.raises(NoValueError) as raised:
        read(TENSORBOARD, tmp_path, files=files)
    assert str(raised.value) == why


def test_no_byte_of_an_event_file_ends_in_anything_but_a_message(tmp_path: Path) -> None:
    for place in range(len(TENSORS)):
        for byte in (0, 0x7F, 0xFF):
            damaged = TENSORS[:place] + bytes([byte]) + TENSORS[place + 1 :]
            with contextlib.suppress(NoValueError):
                assert "value" in read(
                    {**TENSORBOARD, "name": "epoch_acc"}, tmp_path, files={"runs/e.tfevents.1": damaged}
                )


def test_an_event_file_is_read_to_its_end_past_what_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "MOST_BYTES", 1000)
    picture = b"\x30\x75" + bytes(6) + bytes(4) + bytes(30_000) + bytes(4)
    content = EVENTS[:-42] + picture * 100 + EVENTS[-42:]
    assert read(TENSORBOARD, tmp_path, files={"runs/e.tfevents.1": content}) == {"value": 1.0, "acc": 1.0, "loss": 0.25}
    os.truncate(tmp_path / "runs" / "e.tfevents.1", 2**40)
    assert read(TENSORBOARD, tmp_path)["acc"] == 1.0, "what follows is a hole"


def test_event_files_of_an_earlier_trial_do_not_count(tmp_path: Path) -> None:
    old = tmp_path / "runs" / "e.tfevents.1"
    old.parent.mkdir()
    old.write_bytes(EVENTS)
    os.utime(old, (time.time() - 60, time.time() - 60))
    with pytest.raises(NoValueError, match="no event file of this trial"):
        read(TENSORBOARD, tmp_path)
