"""What every type of parameter can do: to be drawn, encoded, converted, exported, imported, reported and described."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from kfp_bayesopt.exchange.dialects import DIALECTS
from kfp_bayesopt.exchange.dialects.base import as_text
from kfp_bayesopt.exchange.formats import FORMATS
from kfp_bayesopt.exchange.importing import collect
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.report.contents import contents
from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt.space.constraints import points
from kfp_bayesopt.space.parameters import BaseParameter, Parameter
from kfp_bayesopt.study.study import Study
from tests import ROOT
from tests.builders import a_record, a_study

TYPES: dict[str, type[BaseParameter]] = {
    get_args(each.model_fields["type"].annotation)[0]: each for each in get_args(get_args(Parameter)[0])
}
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "real": [
        {"low": -5.0, "high": 10.0},
        {"low": 1e-5, "high": 1e-1, "log": True},
        {"low": 0.5, "high": 0.999, "scale": "reverse_log"},
        {"low": 0.01, "high": 0.99, "scale": "logit"},
        {"low": 0.0, "high": 1.0, "step": 0.1},
        {"low": 0.001, "high": 0.1, "step": 0.001, "log": True},
    ],
    "integer": [
        {"low": -3, "high": 9},
        {"low": 10, "high": 100, "step": 15},
        {"low": 1, "high": 4096, "log": True},
        {"low": 32, "high": 1024, "step": 32, "log": True},
    ],
    "ordinal": [{"values": [8, 32, 256]}, {"values": [0.1, 1, 10.0]}, {"values": ["small", "large", "huge"]}],
    "categorical": [
        {"choices": ["a", "b"]},
        {"choices": [2, 2.5, True, None, "rbf"]},
        {"choices": [[64], {"n": 8}]},
    ],
    "constant": [{"value": 3}, {"value": "adam"}, {"value": [1, 2]}],
}
EACH = pytest.mark.parametrize(
    "described",
    [{"type": kind, **example} for kind in TYPES for example in EXAMPLES.get(kind, [])],
    ids=lambda described: json.dumps(described).replace('"', "")[1:-1],
)
OTHER = {"type": "real", "low": 0.0, "high": 1.0}


def study_of(described: dict[str, Any]) -> Study:
    """Return a study with a parameter of the type, and another one that is searched in any case."""
    return a_study(space={"it": described, "other": OTHER}, objective={"python": "a:b"}, optimizer={"engine": "gp"})


def ledger_of(study: Study, count: int = 24) -> list[Record]:
    """Return records at points of the space, whose values follow from them."""
    drawn = list(points(study.space, random.Random(1), count))
    values = Encoding(study.space).encode_all(drawn).sum(axis=1)
    return [
        a_record(study, number, float(value), parameters=each)
        for number, (each, value) in enumerate(zip(drawn, values, strict=True), 1)
    ]


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal, and of the same type."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def test_every_type_has_an_example() -> None:
    assert EXAMPLES.keys() == TYPES.keys()


@EACH
def test_a_type_knows_its_values(described: dict[str, Any]) -> None:
    parameter = study_of(described).space["it"]
    assert parameter.levels or parameter.span
    assert parameter.levels or parameter.axis
    values: list[Any] = [point["it"] for point in points({"it": parameter}, random.Random(2), 50)]
    assert [parameter.problem_with(value) for value in values] == [None] * 50
    assert parameter.problem_with({"is": "no value"})
    if (span := parameter.span) is not None:
        assert all(isinstance(value, int if span.is_whole else float) for value in values)
        assert all(span.low <= value <= span.high for value in values)
    if parameter.levels is not None:
        ends = {0, parameter.levels - 1, parameter.levels // 2}
        assert all(parameter.index_of(parameter.value_at(index)) == index for index in ends)
        assert span is not None or same(parameter.listed, [parameter.value_at(n) for n in range(parameter.levels)])
    assert parameter.is_searched or parameter.levels == 1


@EACH
def test_a_type_is_encoded_and_decoded(described: dict[str, Any]) -> None:
    study = study_of(described)
    encoding = Encoding(study.space)
    drawn = [record.parameters for record in ledger_of(study)]
    rows = encoding.encode_all(drawn)
    assert np.isfinite(rows).all()
    for found, point in zip(encoding.decode_all(rows), drawn, strict=True):
        assert found["it"] == pytest.approx(point["it"]) if isinstance(point["it"], float) else same(found, point)


@pytest.mark.parametrize("dialect", DIALECTS)
@EACH
def test_a_type_is_written_in_a_dialect_and_read_again(described: dict[str, Any], dialect: str) -> None:
    """What is another parameter then was named as lost, or has the same values as text."""
    study = study_of(described)
    written = DIALECTS[dialect].functions.write(study)
    data = json.loads(json.dumps(written.data))
    assert DIALECTS[dialect].functions.recognises(data)
    read = DIALECTS[dialect].functions.read(data, "a.yaml").data
    again, first = study_of(read["space"]["it"]).space["it"], study.space["it"]
    is_named = any(each.startswith("it: ") for each in written.lost)
    if first.span is not None and again.span is not None:
        assert is_named or again.span == first.span
        assert (again.span.low, again.span.high, again.span.is_whole) == (
            first.span.low, first.span.high, first.span.is_whole,
        )  # fmt: skip
        return
    assert again.levels == first.levels
    texts = [[as_text(each.value_at(n)) for n in range(each.levels or 0)] for each in (first, again)]
    numbers = [[float(text) if text.replace(".", "").isdigit() else text for text in each] for each in texts]
    assert numbers[0] == numbers[1]
    assert is_named or (first.axis is None) == (again.axis is None)


@pytest.mark.parametrize("form", FORMATS)
@EACH
def test_a_type_is_exported_and_imported_with_its_values(described: dict[str, Any], form: str, tmp_path: Path) -> None:
    study = study_of(described)
    ledger = ledger_of(study)
    path = tmp_path / f"trials{FORMATS[form].suffix}"
    FORMATS[form].functions.write(study, ledger, path)
    found = collect(study, [str(path)], tmp_path)
    assert all(each.same for each in found)
    assert [each.values["value"] for each in found] == [record.value for record in ledger]
    for each, record in zip(found, ledger, strict=True):
        assert same(each.parameters, record.parameters)


@EACH
def test_a_type_is_in_the_report(described: dict[str, Any]) -> None:
    study = study_of(described)
    ledger = ledger_of(study)
    found = contents(study, ledger, Best.of(study, ledger))
    drawn = next(each for each in found["parameters"] if each["name"] == "it")
    assert len(drawn["values"]) == len(ledger)
    if "labels" in drawn:
        assert all(0 <= value < len(drawn["labels"]) for value in drawn["values"])
    else:
        assert all(drawn["low"] <= value <= drawn["high"] for value in drawn["values"])
    is_searched = study.space["it"].is_searched
    assert ("it" in found["model"]["slices"]) == is_searched
    if is_searched:
        assert "it" in {each["name"] for each in found["model"]["importance"]}
        assert len(found["model"]["slices"]["it"]["x"]) == len(found["model"]["slices"]["it"]["mean"]) > 0


@pytest.mark.parametrize("kind", TYPES)
def test_a_type_is_in_the_schema_and_in_the_documents(kind: str) -> None:
    name = TYPES[kind].__name__
    schema = json.loads((ROOT / "docs" / "study.schema.json").read_text())
    assert schema["$defs"][name]["properties"]["type"]["const"] == kind
    assert f"\n## {name}\n" in (ROOT / "docs" / "study-reference.md").read_text()
    assert f"`{kind}`" in (ROOT / "docs" / "study.md").read_text()


def test_the_names_of_other_tools_mean_types_that_there_are() -> None:
    assert {name.partition(" ")[0] for each in TYPES.values() for name in each.names_elsewhere.values()} <= TYPES.keys()
