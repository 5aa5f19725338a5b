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

import bayesopt
import optimizer
import pipeline
import reporting
from bayesopt.documents import Document, OfStudy, parse_document
from bayesopt.earlier import Earlier
from bayesopt.engines.base import EngineSettings
from bayesopt.folder import Retry
from bayesopt.identity import IdentityModel
from bayesopt.jobs import Ended, Job, Submitted, WorkerStart
from bayesopt.known import Known
from bayesopt.old_folder import OldBatch, OldRecord
from bayesopt.results import Best, Failures
from bayesopt.sources.base import NamedSource, Source
from bayesopt.space import BaseParameter, _Listed, _Number
from bayesopt.strict import StrictModel
from bayesopt.study import Asked, Study
from bayesopt.trials import Claim, Curve, Heartbeat, Rung
from optimizer.skopt_engine import SkoptState
from pipeline.plan.prices import read_prices
from pipeline.targets.settings import KfpSettings, Settings, VertexSettings
from tests.builders import a_record, a_study, a_suggestion

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
    Settings,
}
"""What others are made of; nothing is one of them alone."""
WITH_NULLS = {OldRecord, SkoptState}
"""Those that are written with the keys that say nothing."""
NOW = "2026-01-01T00:00:00+00:00"
OF: dict[str, Any] = {"study": "branin", "fingerprint": "0" * 16}
TRIAL: dict[str, Any] = {**OF, "trial": 3, "attempt": 2}
POINT: dict[str, Any] = {"x": 0.1, "k": None, "shape": [1, {"a": True}]}
REASON: dict[str, Any] = {"kind": "exit", "exit": -9, "message": "it was killed", "last_lines": ["a", "b"]}
STEPS: dict[str, Any] = {"cpu": 2, "memory": "16Gi", "accelerator_type": "L4", "accelerator_count": 2, "retries": 1}
STEPS |= {"backoff_seconds": 5, "cache": False}
WHEN: dict[str, Any] = {"when": {"kind": "a"}}
SPACE: dict[str, Any] = {
    "kind": {"type": "categorical", "choices": ["a", 1, None]},
    "one": {"type": "real", "low": 0.1, "high": 0.9, "log": True, "step": 0.1, **WHEN},
    "two": {"type": "real", "low": 0.1, "high": 0.9, "scale": "logit", "when": {"four": {"low": 2, "high": 3}}},
    "three": {"type": "real", "low": 0.1, "high": 0.9, "scale": "linear"},
    "four": {"type": "integer", "low": 1, "high": 9, "log": True, "step": 2, "when": {"kind": ["a", None]}},
    "five": {"type": "ordinal", "values": [1, 2.5], **WHEN},
    "six": {"type": "constant", "value": [1, {"a": 2}], **WHEN},
    "seven": {"type": "categorical", "choices": [1, 2], "when": {"four": {"low": 2}}},
    "eight": {"type": "categorical", "choices": [1, 2], "when": {"four": {"high": 2}}},
}
ENVIRONMENT: dict[str, Any] = {
    "A": "text",
    "B": {"from_environment": "B", "kubernetes_secret": "name/key", "secret": False},
    "C": {"secret": "projects/p/secrets/s/versions/1"},
}
COMMAND: dict[str, Any] = {"command": ["train"], "args": "environment"}
SOURCES: list[dict[str, Any]] = [
    {"source": "last-line"},
    {"source": "printed", "name": "a", "take": "first"},
    {"source": "pattern", "pattern": r"a (\S+)", "take": "best"},
    {"source": "file", "path": "a.json", "name": "a", "take": "best"},
    {"source": "hypertune", "name": "a", "take": "best"},
    {"source": "tensorboard", "path": "runs", "name": "a", "take": "best"},
    {"source": "intermediate", "take": "best"},
    {"source": "intermediate", "step": 3},
]
ENGINES: list[dict[str, Any]] = [
    {"engine": "gp", "random_state": 3, "n_initial_points": 4},
    {"engine": "grid", "points_per_parameter": 3},
    {"engine": "optuna", "random_state": 3, "sampler": "gp"},
    {"engine": "random", "random_state": 3},
    {"engine": "skopt", "random_state": 3, "base_estimator": "RF", "n_initial_points": 3, "acq_func": "EI",
     "initial_point_generator": "lhs"},
    {"engine": "sobol", "random_state": 3},
]  # fmt: skip
RULE: dict[str, Any] = {"rule": "asha", "min_steps": 2, "max_steps": 9, "eta": 3}


def studies() -> Iterator[Study]:
    """Yield studies that have every section and every key."""
    yield a_study(
        optimizer={"engine": "gp"}, space=SPACE, constraints=["four <= 8"], limits={"size": "<= 3"}, noisy=True,
        objective={"python": "a:b", "args": "dict", "value": "loss", "env": ENVIRONMENT}, warm_start=["other"],
        initial_trials=[{"three": 0.5}], stop={"target": 0.5, "no_improvement_iterations": 3, "max_hours": 2,
        "no_improvement_trials": 4, "max_cost": 5}, early_stopping=RULE, checkpoint=True, max_failed_trials=3,
        max_trial_seconds=9.5, finish_seconds=5, max_parallel=1, lease_minutes=30, schedule="asynchronous",
        steps={"init": STEPS, "evaluate": {**STEPS, "image": "an/image"}, "update": STEPS}, direction="maximize",
        iterations=None, trials=9,
    )  # fmt: skip
    yield a_study(
        objective={**COMMAND, "value": {"source": "printed"}}, objectives={"a": "maximize", "b": "minimize"},
        reference={"a": 0.5}, optimizer={"engine": "gp"},
    )  # fmt: skip
    machine = {"machine_type": "n1-standard-8"}
    for where in ({"spot": True}, {"max_wait_hours": 2}, {"persistent_resource": "pool"}):
        yield a_study(steps={"evaluate": {**machine, **where}})
    for source in SOURCES:
        yield a_study(objective={**COMMAND, "value": source, "intermediate": {"name": "a", "step": "b"}})
    yield a_study(objective={**COMMAND, "intermediate": {"pattern": r"(\S+)"}})
    for engine in ENGINES:
        yield a_study(optimizer=engine, iterations=9)


def of(kind: type[StrictModel], part: dict[str, Any], **more: Any) -> StrictModel:
    """Return a model."""
    return kind(**part, **more)


def documents() -> Iterator[StrictModel]:
    """Yield what the files of a study folder hold, with all keys, and what else is read from files."""
    study = a_study()
    numbers: dict[str, Any] = {
        "hypervolume": 0.5,
        "reference": {"a": 1.0},
        "value": 0.5,
        "parameters": POINT,
        "trial": 3,
    }
    found: dict[str, Any] = {"trial": 3, "iteration": 2, "parameters": POINT}
    yield a_suggestion(
        study,
        3,
        POINT,
        initial=True,
        parallel_trials=4,
        asked={"noisy": True},
        versions={"numpy": "2"},
        optimizer={"engine": "gp", "n_initial_points": None},
        seen={"highest": 3, "pending": [1], "unknown": [2], "ledger": "0" * 64},
    )
    more: dict[str, Any] = {
        "iteration": 2,
        "log": "log-2.txt",
        "code": "files:0",
        "worker": "a:1",
        "place": "vertex",
        "suggested": NOW,
    }
    more |= {"startup_seconds": 2.0, "processor_seconds": 0.5, "memory_bytes": 2**40, "cost": 0.25}
    more |= {"steps": {"first": 1, "last": 9, "count": 9, "value": 0.5}}
    yield a_record(study, 3, parameters=POINT, **more, attempt=2)
    yield a_record(study, 3, None, parameters=POINT, reason=REASON)
    yield of(Claim, TRIAL, worker="a:1", token="b", job="c", place=2, claimed=NOW)
    yield of(Heartbeat, TRIAL, worker="a:1", at=NOW)
    yield of(Rung, TRIAL, step=3, value=0.5, seen=[{"trial": 1, "value": 1}], rule=RULE, stopped=True, at=NOW)
    yield of(Curve, TRIAL, steps=[1, 2], values=[0.5, 0.25])
    yield of(Retry, OF, trials=[1, 2])
    yield of(Known, OF, trial=3, records=[[1, 2]], suggestions=[2, 3])
    rate: dict[str, Any] = {"hour": 2.0, "start_seconds": 90.0, "currency": "USD", "prices": "2026-01-01"}
    yield of(
        Job,
        OF,
        job="a-1",
        study_file="study/0.yaml",
        place="vertex",
        submitted=NOW,
        by="a@b",
        process=3,
        code="image:0",
        same_code=True,
        retry_failed=True,
        images={"init": "a"},
        rate=rate,
    )
    yield of(Submitted, {}, id="a", page="https://example.com")
    yield of(Ended, {}, state="failed", reason="so", step="init", at=NOW)
    yield of(WorkerStart, {}, worker="a:1", place=2, at=NOW)
    yield of(
        Best,
        OF,
        direction="minimize",
        objectives={"a": "maximize"},
        **numbers,
        iteration=2,
        metrics={"a": 0.5},
        front=[{**found, "values": {"a": 0.5}}],
        completed=3,
        failed=1,
        stopped=1,
        outside=1,
        outside_of=["limits", "constraints"],
        left=1,
        nearest="trial 3",
        trials=9,
        recommended={**found, "value": 0.5, "mean": 0.4},
        ended="so",
        cost=0.5,
    )
    yield of(Failures, OF, failures=[{"trial": 3, "attempt": 2, "parameters": POINT, "reason": REASON, "log": "a"}])
    yield of(OldBatch, OF, iteration=1, suggestions=[{"trial": 1, "parameters": POINT}], ended="so", ledger="0" * 64)
    old: dict[str, Any] = {**OF, "iteration": 1, "started": NOW, "seconds": 0.5, "host": "a"}
    yield of(OldRecord, old, trial=1, parameters=POINT, state="completed", value=0.5)
    yield of(OldRecord, old, trial=1, parameters=POINT, state="failed", error="so")
    yield of(OldRecord, old, trial=None, parameters=None, state="skipped")
    yield of(Earlier, {}, origin="a", same=True, parameters=POINT, values={"a": 0.5})
    yield of(
        Asked,
        {},
        constraints=["a <= b"],
        limits={"a": "<= 1"},
        reference={"a": 0.5},
        noisy=True,
        earlier=3,
        decimal=True,
    )
    yield of(SkoptState, {}, key=[1] * 624, position=2, hedge={"gains": [0.5] * 3, "candidates": [[0.5]] * 3})
    yield of(SkoptState, {}, key=[1] * 624, position=2, hedge=None)
    yield read_prices()
    yield of(
        VertexSettings,
        {},
        pipeline_root="gs://a/b",
        credentials_path="c",
        experiment_name="d",
        project_id="project",
        region="europe-west4",
        service_account="a@b.iam.gserviceaccount.com",
        network="projects/1/global/networks/a",
        jobs_a_minute="6",
        encryption_key="projects/a/locations/b/keyRings/c/cryptoKeys/d",
        endpoint="https://example.com",
    )
    yield of(
        KfpSettings,
        {},
        pipeline_root="gs://a/b",
        credentials_path="c",
        experiment_name="d",
        host="https://kfp.example.com",
        namespace="team",
        token="t",
    )


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
    for package in (bayesopt, optimizer, reporting, pipeline):
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
