"""Suggestions, records, ledger and best: what is written is read again, and what is bad is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from bayesopt import storage
from bayesopt.errors import NotFoundError, UserError, shown
from bayesopt.space import Parameters, difference_of
from bayesopt.trials import (
    Batch,
    Best,
    Record,
    Suggestion,
    extend_ledger,
    read_batch,
    read_ledger,
    read_record,
    read_records,
    write_batch,
    write_best,
    write_ledger,
    write_record,
)
from tests.builders import a_batch, a_record, a_study, records_of, skipped

STUDY = a_study()
POINTS: list[Parameters] = [{"x1": 1.0, "x2": 2.0}, {"x1": 3.0, "x2": 4.0}]
BATCH = a_batch(STUDY, POINTS)
REMAKE = (
    "delete the ledger and the suggestions.json beside it, and run the study again, "
    "so that both are made from the records"
)

round_trip = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
text = some.text(some.characters(exclude_categories=["Cs"]))
finite = some.floats(allow_nan=False, allow_infinity=False)
parameters = some.dictionaries(
    text, some.one_of(some.booleans(), some.integers(-(2**63), 2**63), finite, text, some.none())
)


points = some.fixed_dictionaries({"x1": some.floats(-5, 10), "x2": some.floats(0, 15)})


@some.composite
def records(draw: some.DrawFn, trial: int | None = None) -> Record:
    """Any record; a trial of the study with that number where one is given."""
    state = draw(some.sampled_from(["completed", "failed"] if trial else ["completed", "failed", "skipped"]))
    there = state != "skipped"
    return a_record(
        STUDY,
        iteration=1 if trial else draw(some.integers(1, 1000)),
        trial=(trial or draw(some.integers(1, 10**6))) if there else None,
        parameters=draw(points if trial else parameters) if there else None,
        state=state,
        value=draw(finite) if state == "completed" else None,
        error=draw(text) if state == "failed" else None,
        seconds=draw(some.floats(0, 1e9)),
        host=draw(text),
    )


def said(function: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return caught.value.message


def same(one: Any, other: Any) -> bool:
    """Tell whether two documents are equal in types too: Python takes 1, 1.0 and True for equal."""
    return one == other and repr(one) == repr(other)


# --- round trips -------------------------------------------------------------------------------


@round_trip
@given(records())
def test_a_record_makes_the_round_trip(tmp_path: Path, record: Record) -> None:
    path = str(tmp_path / "record.json")
    write_record(path, record)
    assert same(read_record(path, STUDY), record)


@round_trip
@given(some.integers(0, 5).flatmap(lambda size: some.tuples(*(records(trial) for trial in range(1, size + 1)))))
def test_a_ledger_makes_the_round_trip(tmp_path: Path, ledger: tuple[Record, ...]) -> None:
    path = str(tmp_path / "trials.jsonl")
    write_ledger(path, ledger)
    assert same(read_ledger(path, STUDY), list(ledger))


@round_trip
@given(some.integers(1, 1000), some.lists(points, max_size=5))
def test_a_batch_makes_the_round_trip(tmp_path: Path, iteration: int, points: list[dict[str, Any]]) -> None:
    path = str(tmp_path / "suggestions.json")
    batch = a_batch(STUDY, points, iteration)
    write_batch(path, batch)
    assert same(read_batch(path, STUDY), batch)


@round_trip
@given(some.lists(some.none() | finite, max_size=5))
def test_the_best_trial_is_written_as_json(tmp_path: Path, values: list[float | None]) -> None:
    path = str(tmp_path / "best.json")
    best = Best.of(STUDY, [a_record(STUDY, trial, value) for trial, value in enumerate(values, 1)])
    write_best(path, best)
    assert json.loads(storage.read(path)) == best.model_dump()


def test_documents_make_the_round_trip_through_cloud_storage(bucket: str) -> None:
    write_record(f"{bucket}/trials/record.json", a_record(STUDY))
    write_ledger(f"{bucket}/trials/trials.jsonl", [a_record(STUDY)])
    write_batch(f"{bucket}/trials/suggestions.json", BATCH)
    assert read_record(f"{bucket}/trials/record.json", STUDY) == a_record(STUDY)
    assert read_ledger(f"{bucket}/trials/trials.jsonl", STUDY) == [a_record(STUDY)]
    assert read_batch(f"{bucket}/trials/suggestions.json", STUDY) == BATCH


# --- one record --------------------------------------------------------------------------------


def bad_record(folder: Path, content: bytes) -> str:
    path = folder / "record.json"
    path.write_bytes(content)
    return said(read_record, str(path), STUDY).removeprefix(f"{path}: ")


@pytest.mark.parametrize("size", [0, 1, 40, -3])
def test_a_truncated_record_is_refused(tmp_path: Path, size: int) -> None:
    whole = a_record(STUDY).to_line().encode() + b"\n"
    message = bad_record(tmp_path, whole[:size])
    assert message.startswith("damaged record: EOF while parsing ")
    assert message.endswith(f"; {Record.way_out}")


def test_a_record_that_is_no_object_is_refused(tmp_path: Path) -> None:
    assert bad_record(tmp_path, b"[1]").startswith("damaged record: ")
    assert bad_record(tmp_path, b"\xff").startswith("damaged record: ")


@pytest.mark.parametrize(
    ("parameters", "difference"),
    [
        ({"x1": 1.0}, "it has no x2"),
        ({"x1": 1.0, "x2": 2.0, "x3": 3.0}, "its x3 is no parameter of the study"),
        ({"x1": 11.0, "x2": 2.0}, "its x1=11.0 does not lie between -5.0 and 10.0"),
        ({"x1": "a", "x2": 2.0}, 'its x1="a" is not of type real'),
        ({"x1": True, "x2": 2.0}, "its x1=true is not of type real"),
    ],
)
def test_a_ledger_of_another_space_is_refused_with_the_difference(
    tmp_path: Path, parameters: Parameters, difference: str
) -> None:
    uri = str(tmp_path / "trials.jsonl")
    write_ledger(uri, [a_record(STUDY, 1, 0.5, parameters=POINTS[0]), a_record(STUDY, 2, 0.5, parameters=parameters)])
    message = f"{uri}, line 2: trial 2 is not in the space of the study: {difference}; {REMAKE}"
    assert said(read_ledger, uri, STUDY) == message
    other = a_study(space={"x1": {"type": "integer", "low": 0, "high": 3}})
    write_ledger(uri, [a_record(other, 1, 0.5, parameters=parameters)])
    assert f": it has another space: {difference}; use the study file that" in said(read_ledger, uri, STUDY)


@pytest.mark.parametrize(
    ("parameters", "difference"),
    [
        ({"n": 3, "kind": 1}, "its n=3 is not 0 plus a multiple of 2"),
        ({"n": 2.0, "kind": 1}, "its n=2.0 is not of type integer"),
        ({"n": 2, "kind": 1.0}, "its kind=1.0 is none of the choices"),
        ({"n": 2, "kind": 1}, None),
    ],
)
def test_a_discrete_value_outside_the_space_is_named(parameters: Parameters, difference: str | None) -> None:
    study = a_study(
        space={
            "n": {"type": "integer", "low": 0, "high": 4, "step": 2},
            "kind": {"type": "categorical", "choices": [1, True]},
        }
    )
    assert difference_of(study.space, parameters) == difference


def test_a_record_of_another_study_is_refused(tmp_path: Path) -> None:
    other = a_study(name="other")
    assert bad_record(tmp_path, a_record(other).to_line().encode()) == (
        f"the record is of another study, 'other' ('{other.fingerprint}'), and not of 'branin' ({STUDY.fingerprint}): "
        "it has another name; use the study file that it was made with, or another folder"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"value": "0.5"},
        {"value": True},
        {"value": None},
        {"error": "and a value"},
        {"state": "failed"},
        {"state": "failed", "value": None},
        {"state": "skipped"},
        {"state": "running"},
        {"trial": 0},
        {"trial": None},
        {"parameters": None},
        {"parameters": {"x1": [1]}},
        {"extra": 1},
        {"format": 2},
    ],
    ids=str,
)
def test_a_record_that_contradicts_itself_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    data = {**a_record(STUDY).model_dump(), **changes}
    assert bad_record(tmp_path, json.dumps(data).encode()).startswith("damaged record: ")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("NaN", "expected value at line 1 column 148"),
        ("Infinity", "expected value at line 1 column 148"),
        ("-Infinity", "invalid number at line 1 column 149"),
        ("1e999", "value: must be a finite number, but got inf"),
    ],
)
def test_a_value_that_is_no_finite_number_is_refused(tmp_path: Path, value: str, problem: str) -> None:
    line = a_record(STUDY, value=0.5).to_line().replace('"value":0.5', f'"value":{value}')
    assert bad_record(tmp_path, line.encode()) == f"damaged record: {problem}; {Record.way_out}"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"started": "yesterday"}, "must be a time with its zone, such as 2026-01-01T12:00:00+00:00"),
        ({"started": "2026-01-01T00:00:00"}, "must be a time with its zone, such as 2026-01-01T12:00:00+00:00"),
        ({"started": "9999-12-31T00:00:00+00:00"}, "must be a time with its zone, such as 2026-01-01T12:00:00+00:00"),
        ({"seconds": -1.0}, "must be greater than or equal to 0"),
        ({"seconds": 1e300}, "must be less than or equal to 1000000000"),
        ({"trial": 10**300}, "must be less than or equal to 1000000000"),
        ({"host": 3}, "must be a valid string"),
        ({"value": [0.5] * 10_000}, "must be a valid number"),
    ],
    ids=str,
)
def test_a_field_that_later_steps_could_not_use_is_named(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    ((key, value),) = changes.items()
    data = {**a_record(STUDY).model_dump(), **changes}
    message = bad_record(tmp_path, json.dumps(data).encode())
    assert message == f"damaged record: {key}: {problem}, but got {shown(value)}; {Record.way_out}"
    assert len(message) < 300


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[" * 100_000, "recursion limit exceeded at line 1 column 202"),
        (b'{"a": 1, "a": 2}', "duplicate key 'a'"),
        (b'{"a": {"b": 1, "b": 2}}', "duplicate key 'b'"),
        (b'{"a": "\\ud800"}', "unexpected end of hex escape at line 1 column 14"),
    ],
    ids=["deep", "duplicate", "duplicate below", "surrogate"],
)
def test_json_that_other_readers_stumble_over_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    assert bad_record(tmp_path, content) == f"damaged record: {problem}; {Record.way_out}"


def test_a_record_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    assert bad_record(tmp_path, b" " * 1_000_001) == (
        f"has 1,000,001 bytes, but at most 1,000,000 are read; check that it is the right file; {Record.way_out}"
    )


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    data = a_record(STUDY).model_dump()
    del data["host"]
    assert bad_record(tmp_path, json.dumps(data).encode()).startswith("damaged record: host: required key is missing; ")


# --- the records of a batch --------------------------------------------------------------------


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that writes records and returns their paths."""

    def write(*given: Record) -> list[str]:
        paths = [str(tmp_path / f"record-{index}.json") for index in range(len(given))]
        for path, record in zip(paths, given, strict=True):
            write_record(path, record)
        return paths

    return write


Put = Callable[..., list[str]]


def test_records_are_put_into_the_order_of_their_trials(put: Put) -> None:
    first, second = records_of(STUDY, BATCH, [1.0, None])
    assert read_records(put(second, skipped(STUDY), first), STUDY, BATCH) == [first, second]


def test_records_of_a_large_batch_are_read_side_by_side_without_a_warning(
    bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    batch = a_batch(STUDY, POINTS * 20)
    expected = records_of(STUDY, batch, [0.5] * 40)
    uris = [f"{bucket}/many/{record.trial}" for record in expected]
    for uri, record in zip(uris, expected, strict=True):
        write_record(uri, record)
    with caplog.at_level(logging.WARNING):
        assert read_records(uris, STUDY, batch) == expected
    assert caplog.messages == []


def test_a_missing_file_of_a_record_is_named(put: Put, tmp_path: Path) -> None:
    paths = [*put(a_record(STUDY)), str(tmp_path / "none.json")]
    with pytest.raises(NotFoundError) as caught:
        read_records(paths, STUDY, BATCH)
    assert caught.value.message == f"{paths[1]}: no such file"


def test_a_trial_without_a_record_is_named(put: Put) -> None:
    assert said(read_records, put(a_record(STUDY, 2, parameters=POINTS[1])), STUDY, BATCH) == (
        "iteration 1: the record of trial 1 is missing; run `evaluate` for it again"
    )


@pytest.mark.parametrize(("due", "given", "taken"), [(0, [], []), (0, [1, 2], [1, 2]), (1, [1], [1]), (0, [2], [])])
def test_records_of_trials_that_are_not_due_are_taken_up_to_a_gap(
    put: Put, due: int, given: list[int], taken: list[int]
) -> None:
    records = dict(zip((1, 2), records_of(STUDY, BATCH, [1.0, 2.0]), strict=True))
    paths = put(*(records[trial] for trial in given), skipped(STUDY))
    assert read_records(paths, STUDY, BATCH, due) == [records[trial] for trial in taken]


def test_a_trial_with_two_records_is_named(put: Put) -> None:
    paths = put(a_record(STUDY), a_record(STUDY, value=0.6))
    assert said(read_records, paths, STUDY, BATCH) == (
        f"{paths[1]}: duplicate record of trial 1; {paths[0]} has it too"
    )


def test_a_record_given_twice_is_a_duplicate_too(put: Put) -> None:
    paths = put(a_record(STUDY)) * 2
    assert said(read_records, paths, STUDY, BATCH).endswith(f"duplicate record of trial 1; {paths[0]} has it too")


def test_a_record_of_another_iteration_is_refused(put: Put) -> None:
    paths = put(a_record(STUDY, iteration=2))
    assert said(read_records, paths, STUDY, BATCH) == f"{paths[0]}: the record is of iteration 2, but the batch of 1"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"trial": 3}, "the batch has no trial 3"),
        ({"parameters": POINTS[1]}, "trial 1 of the batch has other parameters"),
        ({"parameters": {"x1": 1, "x2": 2.0}}, "trial 1 of the batch has other parameters"),
    ],
    ids=str,
)
def test_a_record_of_what_was_not_suggested_is_refused(put: Put, changes: dict[str, Any], problem: str) -> None:
    paths = put(a_record(STUDY, **changes))
    assert said(read_records, paths, STUDY, BATCH) == f"{paths[0]}: {problem}; {Record.way_out}"


def test_an_empty_batch_takes_only_skipped_records(put: Put) -> None:
    assert read_records(put(skipped(STUDY), skipped(STUDY)), STUDY, a_batch(STUDY, [])) == []


# --- the ledger --------------------------------------------------------------------------------


def bad_ledger(folder: Path, content: bytes) -> str:
    path = folder / "trials.jsonl"
    path.write_bytes(content)
    return said(read_ledger, str(path), STUDY).removeprefix(str(path))


LINES = [a_record(STUDY, trial).to_line().encode() + b"\n" for trial in (1, 2, 3)]


def test_a_ledger_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    assert bad_ledger(tmp_path, b"".join(LINES)[:-1]) == f": the last line is cut off; {REMAKE}"
    assert bad_ledger(tmp_path, b"".join(LINES)[:-20]) == f": the last line is cut off; {REMAKE}"


def test_a_damaged_line_of_a_ledger_is_numbered(tmp_path: Path) -> None:
    assert bad_ledger(tmp_path, LINES[0] + b"{\n" + LINES[2]).startswith(", line 2: damaged record: ")


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([1, 0], ", line 1: must be trial 1, but got trial 2"),
        ([0, 2], ", line 2: must be trial 2, but got trial 3"),
        ([0, 0], ", line 2: must be trial 2, but got trial 1"),
    ],
)
def test_the_trials_of_a_ledger_come_in_order(tmp_path: Path, order: list[int], said: str) -> None:
    assert bad_ledger(tmp_path, b"".join(LINES[index] for index in order)) == f"{said}; {REMAKE}"


def test_a_skipped_trial_is_not_in_a_ledger(tmp_path: Path) -> None:
    content = skipped(STUDY).to_line().encode() + b"\n"
    assert bad_ledger(tmp_path, content) == f", line 1: must be trial 1, but got a skipped one; {REMAKE}"


def test_an_empty_ledger_has_no_trials(tmp_path: Path) -> None:
    write_ledger(str(tmp_path / "trials.jsonl"), [])
    assert read_ledger(str(tmp_path / "trials.jsonl"), STUDY) == []


def test_a_batch_must_follow_the_ledger() -> None:
    ledger = [a_record(STUDY, 1), a_record(STUDY, 2)]
    following = a_batch(STUDY, POINTS, iteration=2, first=3)
    new = records_of(STUDY, following, [1.0, 2.0])
    assert [record.trial for record in extend_ledger(ledger, following, new)] == [1, 2, 3, 4]
    assert said(extend_ledger, [*ledger, *new], following, new) == (
        "iteration 2: the batch begins with trial 3, but the ledger has 4 trials; "
        "give the ledger of the iterations before"
    )


def test_the_iterations_of_a_ledger_have_no_gap(tmp_path: Path) -> None:
    lines = [a_record(STUDY, trial, iteration=iteration).to_line() for trial, iteration in ((1, 1), (2, 3))]
    assert bad_ledger(tmp_path, "\n".join([*lines, ""]).encode()) == (
        f", line 2: iteration 3 does not follow iteration 1; {REMAKE}"
    )


@pytest.mark.parametrize(
    "changes", [{"value": -100.0}, {"parameters": {"x1": 1.5, "x2": 2.0}}, {"state": "failed", "value": None}], ids=str
)
def test_a_batch_refuses_a_ledger_that_was_edited_since(changes: dict[str, Any]) -> None:
    ledger = [a_record(STUDY, 1), a_record(STUDY, 2)]
    following = a_batch(STUDY, POINTS, iteration=2, first=3).after(ledger)
    edited = [ledger[0], ledger[1].model_copy(update=changes)]
    assert said(extend_ledger, edited, following, []) == (
        "iteration 2: the ledger is not the one that the batch was proposed from: one of them was edited; " + REMAKE
    )


def test_a_batch_accepts_the_ledger_of_another_place_with_the_same_values() -> None:
    ledger = [a_record(STUDY, 1), a_record(STUDY, 2)]
    following = a_batch(STUDY, [], iteration=2).after(ledger)
    elsewhere = [record.model_copy(update={"host": "there", "seconds": 9.0}) for record in ledger]
    assert extend_ledger(elsewhere, following, []) == elsewhere


@pytest.mark.parametrize("value", [-0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2])
def test_values_at_the_edge_survive_in_a_ledger(tmp_path: Path, value: float) -> None:
    write_ledger(str(tmp_path / "trials.jsonl"), [a_record(STUDY, value=value)])
    assert repr(read_ledger(str(tmp_path / "trials.jsonl"), STUDY)[0].value) == repr(value)


@pytest.mark.parametrize(
    ("points", "first", "problem"),
    [
        ([{"x1": 1.0}], 1, "trial 1 is not in the space of the study: it has no x2"),
        ([POINTS[0], {"x1": 99.0, "x2": 1.0}], 5, "trial 6 is not in the space of the study: its x1=99.0"),
    ],
)
def test_a_batch_outside_the_space_is_refused(
    tmp_path: Path, points: list[Parameters], first: int, problem: str
) -> None:
    path = str(tmp_path / "suggestions.json")
    write_batch(path, a_batch(STUDY, points, first=first))
    assert said(read_batch, path, STUDY).startswith(f"{path}: damaged batch of suggestions: {problem}")


def test_the_trials_of_a_batch_are_numbered_without_a_gap(tmp_path: Path) -> None:
    path = str(tmp_path / "suggestions.json")
    batch = a_batch(STUDY, POINTS)
    write_batch(path, batch.model_copy(update={"suggestions": batch.suggestions[::-1]}))
    assert said(read_batch, path, STUDY) == (
        f"{path}: damaged batch of suggestions: trial 3 must come next, but got trial 1; {Batch.way_out}"
    )


# --- the best trial ----------------------------------------------------------------------------


@pytest.mark.parametrize(("direction", "trial"), [("minimize", 3), ("maximize", 2)])
def test_the_best_trial_follows_the_direction(direction: str, trial: int) -> None:
    study = a_study(direction=direction)
    ledger = [a_record(study, number, value) for number, value in enumerate([2.0, 5.0, -1.0, None, -1.0, 5.0], 1)]
    best = Best.of(study, ledger)
    assert (best.trial, best.completed, best.failed) == (trial, 5, 1)


def test_there_is_no_best_trial_while_none_has_completed() -> None:
    best = Best.of(STUDY, [a_record(STUDY, value=None)])
    assert (best.value, best.trial, best.parameters, best.failed) == (None, None, None, 1)


def test_documents_are_json_that_any_language_reads(tmp_path: Path) -> None:
    batch = Batch(
        study="s", fingerprint="f", iteration=1, suggestions=[Suggestion(trial=1, parameters={"x": 0.1, "k": None})]
    )
    write_batch(str(tmp_path / "b.json"), batch)
    assert json.loads((tmp_path / "b.json").read_text(), parse_constant=pytest.fail)["suggestions"] == [
        {"trial": 1, "parameters": {"x": 0.1, "k": None}}
    ]
