"""Documents: what is written is read again, and what is bad is refused with the way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from kfp_bayesopt.errors import NotFoundError, UserError, shown
from kfp_bayesopt.folder.documents import Document, read_document
from kfp_bayesopt.folder.trials import Claim, Record, Suggestion
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.store import storage
from tests.builders import BRANIN_SPACE, a_record, a_study, a_suggestion

STUDY = a_study()
NOW = "2026-01-01T00:00:00+00:00"

round_trip = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
text = some.text(some.characters(exclude_categories=["Cs"]))
finite = some.floats(allow_nan=False, allow_infinity=False)
scalars = some.one_of(some.booleans(), some.integers(-(2**63), 2**63), finite, text, some.none())
parameters: some.SearchStrategy[Parameters] = some.dictionaries(text, scalars)
points: some.SearchStrategy[Parameters] = some.fixed_dictionaries(
    {name: some.floats(space["low"], space["high"]) for name, space in BRANIN_SPACE.items()}
)
numbers = some.integers(1, 10**9)
REASON = some.fixed_dictionaries(
    {"kind": some.sampled_from(["raised", "value", "exit", "timeout", "memory", "mistake", "lost"]), "message": text},
    optional={"exit": some.none() | some.integers(-64, 255), "last_lines": some.lists(text, max_size=20)},
)


@some.composite
def records(draw: some.DrawFn, parameters: some.SearchStrategy[Parameters]) -> Record:
    """Any record of such parameters."""
    state = draw(some.sampled_from(["completed", "failed", "stopped"]))
    values = {**draw(some.dictionaries(text, finite)), "value": draw(finite)}
    return a_record(
        STUDY,
        draw(numbers),
        iteration=draw(some.none() | numbers),
        attempt=draw(numbers),
        parameters=draw(parameters),
        state=state,
        values={} if state == "failed" else values,
        reason=draw(REASON) if state == "failed" else None,
        seconds=draw(some.floats(0, 1e9)),
        machine=draw(some.none() | text),
        code=draw(some.none() | text),
        memory_bytes=draw(some.none() | some.integers(0, 2**60)),
        steps=draw(some.none() | some.just({"first": 1, "last": 9, "count": 3, "value": 0.5})),
    )


@some.composite
def suggestions(draw: some.DrawFn, parameters: some.SearchStrategy[Parameters]) -> Suggestion:
    """Any suggestion of such parameters."""
    seen = {"highest": draw(some.integers(0, 10**9)), "ledger": draw(text)}
    waiting = {key: draw(some.lists(numbers, max_size=4)) for key in ("pending", "unknown")}
    settings_of_engine = draw(some.dictionaries(text, some.none() | finite | text | some.lists(finite)))
    return a_suggestion(
        STUDY, draw(numbers), draw(parameters), iteration=draw(some.none() | numbers), seen={**seen, **waiting},
        optimizer=settings_of_engine, versions=draw(some.dictionaries(text, text)),
    )  # fmt: skip


claims = some.builds(
    Claim,
    study=some.just(STUDY.name),
    fingerprint=some.just(STUDY.fingerprint),
    trial=numbers,
    attempt=numbers,
    worker=text,
    token=text,
    job=some.none() | text,
    claimed=some.just(NOW),
)


def same(one: Any, other: Any) -> bool:
    """Tell whether two documents are equal in types too: Python takes 1, 1.0 and True for equal."""
    return one == other and repr(one) == repr(other)


def said(function: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return caught.value.message


# --- round trips -------------------------------------------------------------------------------


@round_trip
@given(some.one_of(records(parameters), suggestions(parameters)))
def test_a_document_of_any_parameters_makes_the_round_trip(tmp_path: Path, document: Document) -> None:
    path = str(tmp_path / "document.json")
    storage.replace(path, document.to_bytes())
    assert same(read_document(type(document), path), document)


@round_trip
@given(some.one_of(records(points), suggestions(points), claims))
def test_a_document_of_a_study_makes_the_round_trip(tmp_path: Path, document: Document) -> None:
    path = str(tmp_path / "document.json")
    storage.replace(path, document.to_bytes())
    assert same(read_document(type(document), path, STUDY), document)


def test_a_document_makes_the_round_trip_through_cloud_storage(bucket: str) -> None:
    storage.create(f"{bucket}/record.json", a_record(STUDY).to_bytes())
    assert read_document(Record, f"{bucket}/record.json", STUDY) == a_record(STUDY)


def test_a_document_is_one_line_of_json_that_any_language_reads() -> None:
    content = a_suggestion(STUDY, 1, {"x": 0.1, "k": None}).to_bytes()
    assert content.count(b"\n") == 1
    assert content.endswith(b"\n")
    data = json.loads(content, parse_constant=pytest.fail)
    assert (data["format"], data["trial"], data["parameters"]) == (2, 1, {"x": 0.1, "k": None})


def test_keys_without_a_value_are_left_out() -> None:
    data = json.loads(a_record(STUDY, iteration=None).to_line())
    assert not {"iteration", "reason", "log", "steps", "memory_bytes"} & data.keys()


@pytest.mark.parametrize("value", [-0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2])
def test_values_at_the_edge_survive(tmp_path: Path, value: float) -> None:
    storage.create(str(tmp_path / "record.json"), a_record(STUDY, value=value).to_bytes())
    assert repr(read_document(Record, str(tmp_path / "record.json"), STUDY).value) == repr(value)


# --- damage ------------------------------------------------------------------------------------


def bad_record(folder: Path, content: bytes) -> str:
    path = folder / "record.json"
    path.write_bytes(content)
    return said(read_document, Record, str(path), STUDY).removeprefix(f"{path}: ")


def bad_record_with(folder: Path, **changes: Any) -> str:
    return bad_record(folder, json.dumps({**a_record(STUDY).model_dump(exclude_none=True), **changes}).encode())


def test_a_missing_document_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        read_document(Record, str(tmp_path / "record.json"), STUDY)
    assert caught.value.message == f"{tmp_path}/record.json: no such file"


@pytest.mark.parametrize("size", [0, 1, 40, -3])
def test_a_truncated_document_is_refused(tmp_path: Path, size: int) -> None:
    message = bad_record(tmp_path, a_record(STUDY).to_bytes()[:size])
    assert message.startswith("damaged record: EOF while parsing ")
    assert message.endswith(f"; {Record.way_out}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[1]", "must be a mapping of keys to values"),
        (b"null", "must be a mapping of keys to values"),
        (b"\xff", "expected value at line 1 column 1"),
        (b"[" * 100_000, "recursion limit exceeded at line 1 column 202"),
        (b'{"a": 1, "a": 2}', "duplicate key 'a'"),
        (b'{"a": {"b": 1, "b": 2}}', "duplicate key 'b'"),
        (b'{"a": "\\ud800"}', "unexpected end of hex escape at line 1 column 14"),
        (b'{"a": NaN}', "expected value at line 1 column 7"),
    ],
    ids=["list", "null", "bytes", "deep", "duplicate", "duplicate below", "surrogate", "no number"],
)
def test_what_other_readers_stumble_over_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    assert bad_record(tmp_path, content) == f"damaged record: {problem}; {Record.way_out}"


def test_a_number_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    line = a_record(STUDY, value=0.5).to_line().replace('"value":0.5', '"value":1e999')
    assert bad_record(tmp_path, line.encode()) == (
        f"damaged record: values.value: must be a finite number, but got inf; {Record.way_out}"
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"started": "yesterday"}, "must be a time with its zone, such as 2026-01-01T12:00:00+00:00"),
        ({"started": "2026-01-01T00:00:00"}, "must be a time with its zone, such as 2026-01-01T12:00:00+00:00"),
        ({"started": "9999-12-31T00:00:00+00:00"}, "must be a time with its zone, such as 2026-01-01T12:00:00+00:00"),
        ({"seconds": -1.0}, "must be greater than or equal to 0"),
        ({"seconds": 1e300}, "must be less than or equal to 1000000000"),
        ({"trial": 0}, "must be greater than or equal to 1"),
        ({"trial": 10**300}, "must be less than or equal to 1000000000"),
        ({"machine": 3}, "must be a valid string"),
        ({"state": "running"}, "must be 'completed', 'failed' or 'stopped'"),
        ({"values": [0.5] * 10_000}, "must be a valid dictionary"),
    ],
    ids=str,
)
def test_a_field_that_cannot_be_used_is_named(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    ((key, value),) = changes.items()
    message = bad_record_with(tmp_path, **changes)
    assert message == f"damaged record: {key}: {problem}, but got {shown(value)}; {Record.way_out}"
    assert len(message) < 300


def test_unknown_and_missing_keys_are_named(tmp_path: Path) -> None:
    assert bad_record_with(tmp_path, extra=1) == f"damaged record: extra: unknown key; {Record.way_out}"
    data = a_record(STUDY).model_dump()
    del data["seconds"]
    assert bad_record(tmp_path, json.dumps(data).encode()) == (
        f"damaged record: seconds: required key is missing; {Record.way_out}"
    )


def test_a_document_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    assert bad_record(tmp_path, b" " * 1_000_001) == (
        f"has 1,000,001 bytes, but at most 1,000,000 are read; check that it is the right file; {Record.way_out}"
    )


# --- other formats and studies -----------------------------------------------------------------


@pytest.mark.parametrize("extra", [{}, {"key_of_tomorrow": 1}, {"trial": "of another kind"}], ids=str)
def test_a_newer_format_is_refused_by_its_number(tmp_path: Path, extra: dict[str, Any]) -> None:
    assert bad_record_with(tmp_path, format=3, **extra) == (
        "has format 3, but this version reads formats up to 2; use a newer version of kfp-bayesopt, at least the one "
        "that wrote it"
    )


@pytest.mark.parametrize("found", [1, "2", True])
def test_a_format_that_no_version_writes_there_is_damage(tmp_path: Path, found: object) -> None:
    assert bad_record_with(tmp_path, format=found) == (
        f"damaged record: format: must be 2, but got {found!r}; {Record.way_out}"
    )


@pytest.mark.parametrize(
    ("changes", "given", "difference"),
    [
        ({"name": "other"}, {}, "it has another name"),
        ({"direction": "maximize"}, {}, "it has another objective, direction or space"),
        (
            {"space": {"x1": {"type": "real", "low": 0.0, "high": 9.0}}},
            {"x1": 1.0},
            "it has another space: it has no x2",
        ),
        ({"direction": "maximize"}, {"x1": 11.0, "x2": 2.0}, "it has another space: its x1=11.0 does not lie between"),
        ({"direction": "maximize"}, {"x1": "a", "x2": 2.0}, 'it has another space: its x1="a" is not of type real'),
        ({"direction": "maximize"}, {"x1": True, "x2": 2.0}, "it has another space: its x1=true is not of type real"),
    ],
    ids=str,
)
def test_a_document_of_another_study_is_refused_with_what_is_different(
    tmp_path: Path, changes: dict[str, Any], given: Parameters, difference: str
) -> None:
    other = a_study(**changes)
    message = bad_record(tmp_path, a_record(other, parameters=given or {"x1": 1.0, "x2": 2.0}).to_bytes())
    assert message.startswith(
        f"the record is of another study, {other.name!r} ({other.fingerprint!r}), and not of 'branin' "
        f"({STUDY.fingerprint}): {difference}"
    )
    assert message.endswith("; use the study file that it was made with, or another folder")


def test_damage_in_a_document_of_another_study_is_no_traceback(tmp_path: Path) -> None:
    for point in ([1], {"x1": [1]}, {"x1": {"a": 1}}, None):
        message = bad_record_with(tmp_path, fingerprint="f" * 16, parameters=point)
        assert "it has another objective, direction or space" in message
