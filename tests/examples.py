"""An example of every model of a file, with all of its keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kfp_bayesopt.folder.data import Data
from kfp_bayesopt.folder.jobs import Ended, Job, Submitted, Waiting, WorkerStart
from kfp_bayesopt.folder.known import Known
from kfp_bayesopt.folder.old_folder import OldBatch, OldRecord
from kfp_bayesopt.folder.results import Best, Failures
from kfp_bayesopt.folder.study_folder import Retry
from kfp_bayesopt.folder.trials import Claim, Curve, Heartbeat, Manifest, Rung, Said
from kfp_bayesopt.function.file import Header
from kfp_bayesopt.search.skopt_engine import SkoptState
from kfp_bayesopt.session.sent import Opening
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.study.study import Asked, Study
from kfp_bayesopt_pipeline.plan.prices import read_prices
from tests.builders import a_record, a_study, a_suggestion

NOW = "2026-01-01T00:00:00+00:00"
OF: dict[str, Any] = {"study": "branin", "fingerprint": "0" * 16}
TRIAL: dict[str, Any] = {**OF, "trial": 3, "attempt": 2}
POINT: dict[str, Any] = {"x": 0.1, "k": None, "shape": [1, {"a": True}]}
REASON: dict[str, Any] = {"kind": "exit", "exit": -9, "message": "it was killed", "last_lines": ["a", "b"]}
REASON |= {"unread": True}
STEPS: dict[str, Any] = {"cpu": 2, "memory": "16Gi", "accelerator_type": "L4", "accelerator_count": 2, "retries": 1}
STEPS |= {"backoff_seconds": 5, "cache": False, "request": {"cpu": 1, "memory": "8Gi"}}
POD: dict[str, Any] = {
    "node_selector": {"pool": "gpu"},
    "tolerations": [
        {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "toleration_seconds": 5},
        {"key": "a", "operator": "Exists"},
    ],
    "affinity": [{"key": "a", "operator": "In", "values": ["b"], "weight": 5}, {"key": "a", "operator": "Exists"},
                 {"key": "a", "operator": "Gt", "values": ["1"]}],
    "labels": {"team": "a"},
    "annotations": {"note": "a"},
    "shared_memory": "1Gi",
    "volumes": [{"claim": "data", "path": "/data", "sub_path": "a"}],
    "secrets": [{"name": "keys", "path": "/keys"}],
    "config_maps": [{"name": "texts", "path": "/texts"}],
    "image_pull_secrets": ["registry"],
}  # fmt: skip
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
FUNCTION: dict[str, Any] = {"name": "train", "code": "1" * 64, "file": "2" * 64, "python": "3.11"}
BESIDE: dict[str, Any] = {"beside": {"helpers.py": "4" * 64}, "folders": ["/mine/notebooks"]}
FUNCTION |= {"lock": "3" * 64, "wheels": "gs://bucket/wheels"}
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
        objective={"python": "a:b", "args": "dict", "value": "loss", "folder": "trial",
        "env": ENVIRONMENT}, warm_start=["other"],
        initial_trials=[{"three": 0.5}], stop={"target": 0.5, "no_improvement_iterations": 3, "max_hours": 2,
        "no_improvement_trials": 4, "max_cost": 5}, early_stopping=RULE, checkpoint=True, max_failed_trials=3,
        max_trial_seconds=9.5, finish_seconds=5, max_parallel=1, lease_minutes=30, schedule="asynchronous",
        steps={"init": STEPS, "evaluate": {**STEPS, "image": "an/image", "pod": POD}, "update": STEPS,
        "volume": {"claim": "studies", "path": "/studies"}}, direction="maximize", iterations=None, trials=9,
        export={"mlflow": {"uri": "https://mlflow.example.com", "experiment": "e", "model": "m"}},
        notify={"webhook": {"from_environment": "HOOK"}, "form": "json", "on": ["end"]},
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
    yield a_study(objective={"function": FUNCTION})
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
    more |= {"output_missing": "so", "read_from": 1, "warnings": ["twice"]}
    more |= {"steps": {"first": 1, "last": 9, "count": 9, "value": 0.5}}
    yield a_record(study, 3, parameters=POINT, **more, attempt=2)
    yield a_record(study, 3, None, parameters=POINT, reason=REASON)
    yield of(Claim, TRIAL, worker="a:1", token="b", job="c", place=2, claimed=NOW)
    yield of(Heartbeat, TRIAL, worker="a:1", at=NOW)
    yield of(Rung, TRIAL, step=3, value=0.5, seen=[{"trial": 1, "value": 1}], rule=RULE, stopped=True, at=NOW)
    yield of(Curve, TRIAL, steps=[1, 2], values=[0.5, 0.25])
    file: dict[str, Any] = {"name": "model/a", "size": 3, "md5": "0" * 32, "object": "model%2Fa"}
    yield of(Manifest, TRIAL, files=[file], folders=["empty"], left_out=["link"])
    said: dict[str, Any] = {"steps": [1, 3], "values": [0.5, 0.25], "stride": 2, "count": 4, "last": 4, "at_step": 0.5}
    said |= {"numbers": [0.5, 0.25, 0.25, 0.5], "said": [0.5, "0,5", 0.25, 0.5]}
    yield of(Said, TRIAL, goes_on_from=1, metrics={"a": [0.5, None, 0.5, 0.5]}, **said)
    yield of(Said, TRIAL)
    yield of(Retry, OF, trials=[1, 2])
    yield of(Known, OF, trial=3, records=[[1, 2]], suggestions=[2])
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
        lease_minutes=5,
        data={"given": "/minio/a", "uri": "minio://a", "digest": "0" * 64},
    )
    yield of(Data, {}, given="/minio/a", uri="minio://a", digest="0" * 64)
    yield of(Submitted, {}, id="a", page="https://example.com")
    yield of(Ended, {}, state="failed", reason="so", step="init", at=NOW)
    yield of(WorkerStart, {}, worker="a:1", place=2, at=NOW)
    yield of(Waiting, {}, worker="a:1", token="0" * 16, at=NOW)
    yield of(
        Opening,
        {},
        place="kfp",
        by="ann@laptop",
        code="image:0",
        same_code=True,
        retry_failed=True,
        join=True,
        over=["a-20260101-120000-3f2a"],
        images={"init": "a"},
        lease_minutes=5,
        data={"given": "gs://a/b", "digest": "0" * 64},
    )
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
        left=1,
        models_missing="so",
        outside_of=["limits", "constraints"],
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
    code: dict[str, Any] = {"name": "train", "code": "1" * 64, "python": "3.11", "implementation": "cpython"}
    yield of(Header, code, byte_order="little", dill="0.4.1", packages={"numpy": "2.4.0"}, **BESIDE)
