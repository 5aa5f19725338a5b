"""What the page of a report is given, for studies of every kind."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import numpy as np
import pytest

from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Curve, Reason, Record, Steps
from kfp_bayesopt.report.contents import contents
from kfp_bayesopt.report.numbers import brief, label
from kfp_bayesopt.report.page import packed, page
from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt.session.activity import Busy
from kfp_bayesopt.study.study import Study
from tests.builders import MIXED, RICH, a_record, a_study, several
from tests.made_ledgers import BEGIN


def ledger_of(study: Study, values: list[float | None], **changes: Any) -> list[Record]:
    """Return records at points anywhere in the space."""
    encoding = Encoding(study.space)
    rows = encoding.from_cube(np.random.default_rng(0).random((len(values), len(encoding))))
    return [
        a_record(study, number, value, parameters=encoding.decode(row), **changes)
        for number, (row, value) in enumerate(zip(rows, values, strict=True), 1)
    ]


def shown(study: Study, ledger: list[Record], **options: Any) -> dict[str, Any]:
    """Return what the page reads: JSON, without any number that is not finite."""
    found: dict[str, Any] = json.loads(
        gzip.decompress(packed(contents(study, ledger, Best.of(study, ledger), **options)))
    )
    assert page(found).startswith(b"<!DOCTYPE html>")
    return found


SPACES: dict[str, dict[str, Any]] = {
    "mixed": MIXED,
    "rich": RICH,
    "many parameters": {f"p{number}": {"type": "real", "low": 0.0, "high": 1.0} for number in range(200)},
    "many choices": {
        "x": {"type": "real", "low": 0.0, "high": 1.0},
        "word": {"type": "categorical", "choices": [f"choice {number}" for number in range(500)]},
    },
    "one value": {"only": {"type": "categorical", "choices": ["yes"]}},
    "any script": {
        "名前": {"type": "real", "low": 0.0, "high": 1.0},
        "імя": {"type": "categorical", "choices": ["<script>alert(1)</script>", "مرحبا", "\u202eabc", "🚀"]},
    },
}
VALUES: dict[str, list[float | None]] = {
    "none": [],
    "one": [0.5],
    "all failed": [None] * 6,
    "one completed": [None, 0.5, None],
    "all equal": [1.0] * 12,
    "huge": [1e300, -1e300, 1.7e308, -1.7e308, 0.0, 1e-300, 5.0, 1e200],
    "tiny": [1e-308, 2e-308, 3e-308, 5e-324, 0.0, 4e-308],
    "usual": [float(number % 7) for number in range(30)],
}


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_any_ledger_has_a_page(space: str, values: str, direction: str) -> None:
    study = a_study(space=SPACES[space], objective={"python": "a:b"}, direction=direction)
    ledger = ledger_of(study, VALUES[values])
    found = shown(study, ledger)
    assert [each["name"] for each in found["parameters"]] == list(SPACES[space])
    assert found["trials"]["number"] == list(range(1, len(ledger) + 1))
    assert found["trials"]["value"] == VALUES[values]
    if found["model"]:
        searched = {name for name, each in SPACES[space].items() if each["type"] != "constant"}
        assert {each["name"] for each in found["model"]["importance"]} in (searched, set())
        assert set(found["model"]["slices"]) <= searched


def test_the_values_of_the_trials_are_exact() -> None:
    study = a_study(space=MIXED, objective={"python": "a:b"})
    ledger = ledger_of(study, [0.1 + 0.2] * 20)
    found = shown(study, ledger)
    for described in found["parameters"]:
        values = [record.parameters[described["name"]] for record in ledger]
        if "labels" in described:
            assert described["labels"] == ["1", "1.0", "true", '"1"', "null", "rbf"]
            assert [described["labels"][index] for index in described["values"]] == [label(value) for value in values]
        else:
            assert described["values"] == values
    assert found["trials"]["value"] == [0.1 + 0.2] * 20


def test_neither_hosts_nor_paths_nor_last_lines_are_in_it_unless_asked_for() -> None:
    reason = Reason(kind="raised", message="OSError: /data/secret/x.csv on host-7", last_lines=["token=abc"])
    study = a_study()
    ledger = ledger_of(study, [None] * 3, reason=reason, worker="host-7:12", machine="host-7", log="log-1.txt")
    text = json.dumps(shown(study, ledger))
    assert not re.search("secret|host-7|token|log-1", text)
    assert shown(study, ledger)["trials"]["reasons"] == ["OSError: …/x.csv on …"]
    full = json.dumps(shown(study, ledger, full=True))
    assert all(each in full for each in ("/data/secret/x.csv", "host-7:12", "token=abc"))


def test_why_a_model_is_missing_and_why_a_study_ended_name_no_bucket_and_no_path() -> None:
    study = a_study()
    ledger = ledger_of(study, [0.5, 0.25], output_missing="gs://team-bucket/runs/m.pt: no permission")
    best = Best.of(study, ledger).model_copy(update={"ended": "failed alike: /data/secret/x.csv is missing"})
    told = contents(study, ledger, best)
    assert (
        told["best"]["models_missing"]
        == "the model of trial 2 is missing: …/m.pt: no permission, and so is that of 1 more"
    )
    assert told["best"]["ended"] == "failed alike: …/x.csv is missing"
    assert not any(each in json.dumps(told, default=str) for each in ("team-bucket", "/data/secret"))
    assert "gs://team-bucket" in contents(study, ledger, best, full=True)["best"]["models_missing"]


def test_failures_have_their_reasons_without_what_differs_from_trial_to_trial() -> None:
    study = a_study()
    ledger = [
        each.model_copy(update={"reason": Reason(kind="raised", message=f"OSError: /data/{each.trial}.csv: {n} bytes")})
        for each, n in zip(ledger_of(study, [None] * 3), (5, 70, 900), strict=True)
    ]
    trials = shown(study, ledger)["trials"]
    assert trials["reasons"] == [
        "OSError: …/1.csv: 5 bytes",
        "OSError: …/2.csv: 70 bytes",
        "OSError: …/3.csv: 900 bytes",
    ]
    assert trials["kinds"] == ["OSError: …: … bytes"] * 3


def test_running_trials_are_there_before_they_have_a_record() -> None:
    study = a_study()
    running = Busy("vm:1", 3, 1, BEGIN, BEGIN, {"x1": 1.0, "x2": 2.0})
    since = "2026-01-01T00:00:00+00:00"
    found = shown(study, [], running=[running])
    assert found["running"] == [{"trial": 3, "since": since, "parameters": {"x1": "1.0", "x2": "2.0"}}]


def bowl(study: Study, count: int) -> list[Record]:
    """Return records whose values a model can foretell."""
    found = ledger_of(study, [0.0] * count)
    return [
        each.model_copy(update={"values": {"value": sum(float(str(x)) ** 2 for x in each.parameters.values())}})
        for each in found
    ]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_random_search_is_never_expected_to_be_better_than_the_best_trial(direction: str) -> None:
    study = a_study(iterations=20, direction=direction)
    ledger = bowl(study, 30)
    found = shown(study, ledger)
    sign, best = (1, found["best"]["value"]) if direction == "minimize" else (-1, -found["best"]["value"])
    expected = [sign * value for _, value in found["model"]["random"]]
    assert expected == sorted(expected, reverse=True)
    assert expected[-1] >= best - 1e-3 * abs(best)
    assert found["model"]["random"][-1][0] == 40
    for (number, value), (same, low, high) in zip(found["model"]["random"], found["model"]["random_band"], strict=True):
        assert number == same
        assert low <= high
        assert number > 20 or low <= value <= high


def test_random_search_is_not_drawn_where_the_model_cannot_foretell_trials() -> None:
    study = a_study(iterations=20)
    found = shown(study, ledger_of(study, [float((number * 7) % 13) for number in range(30)]))["model"]
    assert (found["random"], found["random_band"]) == ([], [])
    assert re.fullmatch(
        r"the model foretells \d+ % of the variance of trials that it has not seen, and half is needed",
        found["random_unknown"],
    )
    assert found["importance"] == [], "intervals that leave everything open rank nothing"
    assert list(found["slices"]) == ["x1", "x2"]


def test_the_same_ledger_gives_the_same_page() -> None:
    study = a_study()
    ledger = ledger_of(study, VALUES["usual"])
    best = Best.of(study, ledger)
    assert page(contents(study, ledger, best)) == page(contents(study, ledger, best))


def test_a_page_asks_nobody_and_runs_no_script_but_its_own() -> None:
    study = a_study()
    ledger = ledger_of(study, [0.5])
    text = page(contents(study, ledger, Best.of(study, ledger))).decode()
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src &#x27;none&#x27;; script-src &#x27;sha256-")
    assert "connect-src &#x27;none&#x27;" in policy
    assert "unsafe" not in policy
    assert not re.search(r"""(?:src|href)=["'](?!#)|@import|url\(|eval\(|innerHTML|new Function""", text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"), (1.0, "1.0"), ("1", '"1"'), (True, "true"), ("true", '"true"'), (None, "null"), ("rbf", "rbf"),
        ("", '""'), (" a", '" a"'), (0.1 + 0.2, "0.3"), (1e-5, "1e-05"), (1e300, "1e+300"), ("nan", '"nan"'),
        ("\u202ex", '"\\u202ex"'), (-2.0, "-2.0"),
    ],
)  # fmt: skip
def test_a_label_tells_types_apart(value: Any, text: str) -> None:
    assert label(value) == text


def test_a_number_is_brief() -> None:
    assert [brief(value) for value in (0.0, 17.118423, 123456789.0)] == ["0.0", "17.1184", "1.23457e+08"]


def test_trials_outside_the_limits_are_shown_as_such_and_none_of_them_is_the_best() -> None:
    study = a_study(objective={"python": "a:b", "value": "loss"}, limits={"latency": "<= 100"})
    ledger = [
        each.model_copy(update={"values": {"value": each.trial / 10, "latency": 200 - 20.0 * each.trial}})
        for each in ledger_of(study, [1.0] * 12)
    ]
    found = shown(study, ledger)
    assert found["study"]["limits"] == {"latency": "<= 100"}
    assert found["trials"]["broken"] == [f"latency {200 - 20 * n}, not <= 100" if n < 5 else None for n in range(1, 13)]
    assert (found["best"]["trial"], found["best"]["outside"], found["best"]["completed"]) == (5, 4, 12)
    assert found["trials"]["value"][0] == 0.1
    assert found["model"]["random"] == [], "what is expected of chance knows no limits"
    assert found["model"]["gain"] is None
    strict = study.model_copy(update={"limits": {"latency": "<= -100"}})
    strict.__dict__.pop("bounds", None)
    advice = [each["text"] for each in shown(strict, ledger)["advice"]]
    assert (
        "No trial keeps all limits. The nearest is trial 12: latency -40, not <= -100. Widen the limits, or the space."
        in advice
    )


def test_trials_that_were_stopped_early_are_shown_as_such_and_none_of_them_is_the_best() -> None:
    study = a_study()
    steps = Steps(first=1, last=3, count=3, value=0.1)
    ledger = [a_record(study, 1, 0.5), a_record(study, 2, 0.1, state="stopped", steps=steps), a_record(study, 3, None)]
    found = shown(study, ledger)
    assert found["trials"]["broken"] == [None, "stopped at step 3", None]
    assert found["trials"]["state"] == ["completed", "stopped", "failed"]
    assert (found["best"]["trial"], found["best"]["stopped"]) == (1, 1)
    assert Best.of(study, ledger[1:]).missing == (
        "no trial has completed (1 failed, 1 stopped early); failures.json has the reasons"
    )


def test_curves_are_thinned_and_keep_their_ends() -> None:
    study = a_study()
    curve = Curve(
        study=study.name, fingerprint=study.fingerprint, trial=1, attempt=1, steps=list(range(1, 1003)),
        values=[1.0 / step for step in range(1, 1003)],
    )  # fmt: skip
    (found,) = shown(study, [a_record(study, 1, 0.5)], curves=[curve])["curves"]
    assert (found["steps"][0], found["steps"][-1], found["values"][-1]) == (1, 1002, 1 / 1002)
    assert len(found["steps"]) == len(found["values"]) <= 101


def test_several_objectives_have_a_front_its_volume_and_a_model_each() -> None:
    study = several()
    ledger = [
        each.model_copy(update={"values": {"accuracy": each.trial % 5 / 5, "latency": float(each.trial % 4)}})
        for each in ledger_of(study, [1.0] * 12)
    ]
    found = shown(study, [*ledger, a_record(study, 13, None)])
    accuracy, latency = found["objectives"]
    assert (accuracy["name"], accuracy["direction"], accuracy["best"]) == ("accuracy", "maximize", 4)
    assert (latency["direction"], latency["best"], latency["values"][:3]) == ("minimize", 4, [1.0, 2.0, 3.0])
    assert latency["values"][12] is None
    assert accuracy["model"]["slices"]
    assert latency["model"]["slices"]
    assert (found["front"], found["best"]["hypervolume"]) == ([4], pytest.approx(0.8 * 3))
    assert found["volume"][-1] == [4.0, pytest.approx(2.4)]
    assert found["model"] is None


@pytest.mark.parametrize("values", [[], [None] * 3, [1.0]])
def test_a_study_of_several_objectives_has_a_page_before_there_is_a_front(values: list[float | None]) -> None:
    study = several()
    ledger = [
        each if each.state == "failed" else each.model_copy(update={"values": {"accuracy": 0.5, "latency": 3.0}})
        for each in ledger_of(study, values)
    ]
    assert shown(study, ledger)["front"] == ([1] if values == [1.0] else [])
