"""Every model of a file reads back what it writes: all of them, in every variant."""

from __future__ import annotations

import importlib
import itertools
import json
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

import kfp_bayesopt
import kfp_bayesopt_pipeline
from kfp_bayesopt.folder.documents import Document, OfStudy, parse_document
from kfp_bayesopt.folder.old_folder import OldRecord
from kfp_bayesopt.identity import IdentityModel
from kfp_bayesopt.search.engines.base import EngineSettings
from kfp_bayesopt.search.engines.ordered import OrderedSettings
from kfp_bayesopt.search.skopt_engine import SkoptState
from kfp_bayesopt.space.parameters import BaseParameter, _Listed, _Number
from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.study.sources.base import NamedSource, Source
from kfp_bayesopt.study.study import Study
from tests.examples import documents, studies

BASES = {
    Document,
    OfStudy,
    IdentityModel,
    EngineSettings,
    Source,
    NamedSource,
    BaseParameter,
    _Listed,
    _Number,
    OrderedSettings,
}
"""What others are made of; nothing is one of them alone."""
WITH_NULLS = {OldRecord, SkoptState}
"""Those that are written with the keys that say nothing."""


def inside(value: Any) -> Iterator[StrictModel]:
    """Yield a model and those in it."""
    if isinstance(value, StrictModel):
        yield value
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from inside(each)


def variants(model: StrictModel) -> Iterator[tuple[dict[str, Any], StrictModel]]:
    """Yield what a model is made of, and the model: with all words that its keys may have, and without keys."""
    kind, given = type(model), {name: getattr(model, name) for name in type(model).model_fields}
    words = {name: choices for name, field in kind.model_fields.items() if (choices := list(_words(field.annotation)))}
    optional = [name for name, field in kind.model_fields.items() if not field.is_required()]
    said = [{**given, **dict(zip(words, chosen, strict=True))} for chosen in itertools.product(*words.values())]
    required = {name: value for name, value in given.items() if name not in optional}
    said += [{**required, name: word} for name, choices in words.items() for word in choices]
    tried = [(each, left_out) for each in said for left_out in ([], optional)] + [(given, [name]) for name in optional]
    for each, left_out in tried:
        data = {name: value for name, value in each.items() if name not in left_out}
        try:
            yield data, kind.model_validate(data)
        except ValidationError:  # not these together
            continue


def _words(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_args(annotation) and type(None) in get_args(annotation):
        found = [word for each in get_args(annotation) for word in _words(each)]
        yield from [*found, None] if found else []


def models() -> set[type[StrictModel]]:
    """Return every model of the product."""
    for package in (kfp_bayesopt, kfp_bayesopt_pipeline):
        _import_all(package)
    found: set[type[StrictModel]] = set()
    new: set[type[StrictModel]] = {StrictModel}
    while new:
        found |= new
        new = {
            each for kind in new for each in kind.__subclasses__() if not each.__module__.startswith("tests")
        } - found
    return found - {StrictModel} - BASES


def _import_all(package: ModuleType) -> None:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


MODELS = sorted(models(), key=lambda kind: (kind.__name__, kind.__module__))
EXAMPLES = [each for whole in (*documents(), *studies()) for each in inside(whole)]


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_every_model_reads_back_what_it_writes(kind: type[StrictModel]) -> None:
    """A new model needs an example above, with all of its keys."""
    examples = [each for each in EXAMPLES if type(each) is kind]
    many = examples[:2] if kind is Study else examples  # which takes long to check, and the others are parts of it
    found = [each for example in many for each in variants(example)]
    found += [({name: getattr(each, name) for name in kind.model_fields}, each) for each in examples]
    assert found, f"{kind.__name__}: give an example of it, with all of its keys"
    for name, field in kind.model_fields.items():
        given = [repr(data[name]) for data, _ in found if name in data]
        assert set(map(repr, _words(field.annotation))) <= set(given), f"{kind.__name__}.{name}: all of its words"
        if not field.is_required() and len(list(_words(field.annotation))) != 1:
            default = repr(field.get_default(call_default_factory=True))
            assert any(each != default for each in given), f"{kind.__name__}.{name}: give an example with it"
            assert any(name not in data for data, _ in found), f"{kind.__name__}.{name}: give an example without it"
    for _, each in found:
        check(kind.model_validate(json.loads(each.model_dump_json())), each)
        if kind not in WITH_NULLS:
            check(kind.model_validate(json.loads(each.model_dump_json(exclude_none=True))), each)
        if isinstance(each, Document) and kind not in WITH_NULLS:
            check(parse_document(type(each), each.to_bytes(), "a file"), each)


def check(one: StrictModel, other: StrictModel) -> None:
    """Check that two models are equal, in the types of what they hold too: Python takes 1, 1.0 and True for equal."""
    assert one == other
    assert one.model_dump_json() == other.model_dump_json()
