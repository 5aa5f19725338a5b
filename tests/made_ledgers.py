"""Ledgers of which the truth is known: what a report must say of them, and what not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from kfp_bayesopt.folder.trials import Reason, Record
from kfp_bayesopt.search.encoding import Encoding, Floats
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.study import Study
from tests.builders import a_record, a_study

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
INERT = ("colour", "unused")
SPACE = {
    "rate": {"type": "real", "low": 1e-5, "high": 1e-1, "log": True},
    "drop": {"type": "real", "low": 0.0, "high": 0.8},
    "layers": {"type": "integer", "low": 1, "high": 12},
    "kind": {"type": "categorical", "choices": ["adam", "sgd", "rms"]},
}


@dataclass(frozen=True)
class Made:
    """A ledger and its truth.

    Attributes:
        study: Its study.
        ledger: Its records.
        truth: The kinds of sentences that are true of it; `converged` where that is what `progress` must say.
        unknown: Those of which noise may hide that they are true: to say nothing of them is right too.
    """

    study: Study
    ledger: list[Record]
    truth: frozenset[str]
    unknown: frozenset[str]


def make(seed: int) -> Made:
    """Return a ledger in which each thing is so or not by the digits of its seed and a coin."""
    rng = np.random.default_rng(seed)
    converged, bound, inert, noisy, failing, idle = (bool(coin) for coin in rng.integers(0, 2, 6))
    scattered = bool(rng.integers(0, 2))  # failures anywhere, which must not be taken for a part of the space
    space = dict(SPACE)
    if inert:
        space |= {
            "colour": {"type": "categorical", "choices": ["red", "blue"]},
            "unused": {"type": "real", "low": -1.0, "high": 1.0},
        }
    batch = int(rng.integers(4, 9))
    count = 16 * batch if converged else 3 * batch
    study = a_study(
        space=space, objective={"python": "a:b"}, parallel_trials=batch, iterations=count // batch, noisy=noisy,
        direction=["minimize", "maximize"][seed % 2], optimizer={"engine": "gp"},
    )  # fmt: skip
    encoding = Encoding(study.space)
    rows = searched(encoding, count, converged, bound, rng)
    sign = 1.0 if study.direction == "minimize" else -1.0
    starts, seconds, before = schedule(count, batch, idle, rng)
    ledger = []
    for number, row in enumerate(rows, 1):
        point = encoding.decode(row)
        value: float | None = loss(point, bound) + (rng.normal() * 0.35 if noisy else 0.0)
        region = float(str(point["drop"])) > 0.6
        if (failing and region and rng.random() < 0.9) or (scattered and not failing and rng.random() < 0.1):
            value = None
        at = BEGIN + timedelta(seconds=float(starts[number - 1]))
        ledger.append(
            a_record(
                study,
                number,
                None if value is None else sign * value,
                parameters=point,
                iteration=(number - 1) // batch + 1,
                suggested=(at - timedelta(seconds=before)).isoformat(),
                started=at.isoformat(),
                startup_seconds=before,
                seconds=float(seconds[number - 1]),
                reason=Reason(kind="raised", message="ValueError: no") if value is None else None,
            )
        )
    in_region = sum(each.value is None for each in ledger) if failing else 0
    kinds = {
        "converged": remaining(encoding, rows, bound) < 0.02,
        "bound": bound and converged,
        "unimportant": inert and converged,
        "noise": noisy and converged,
        "failures": in_region >= 4,
        "idle": idle,
    }
    return Made(
        study,
        ledger,
        frozenset(kind for kind, is_true in kinds.items() if is_true),
        frozenset({"converged", "unimportant"} if noisy else ()),
    )


def loss(point: Parameters, bound: bool) -> float:
    """Return a loss that every parameter of `SPACE` has a share of, and whose optimum is inside or beyond a bound."""
    rate = (np.log10(float(str(point["rate"]))) + 5) / 4
    drop = float(str(point["drop"])) / 0.8
    layers = (float(str(point["layers"])) - 1) / 11
    kind = {"adam": 0.0, "sgd": 0.5, "rms": 0.9}[str(point["kind"])]
    at_rate = 1.5 * rate if bound else 6.0 * (rate - 0.45) ** 2
    return float(at_rate + 2.5 * (drop - 0.3) ** 2 + 4.0 * (layers - 0.5) ** 2 * (1 + rate) + kind)


def remaining(encoding: Encoding, rows: Floats, bound: bool) -> float:
    """Return what is left to gain of the way from the median to the best value there is."""
    losses = np.array([loss(encoding.decode(row), bound) for row in rows])
    rates = np.logspace(-5, -1, 41)
    points = [
        {"rate": rate, "drop": 0.24, "layers": layers, "kind": "adam"} for rate in rates for layers in range(1, 13)
    ]
    lowest = min(loss(point, bound) for point in points)
    return float((losses.min() - lowest) / (np.median(losses) - lowest))


def searched(encoding: Encoding, count: int, converged: bool, bound: bool, rng: np.random.Generator) -> Floats:
    """Return rows as a search leaves them, (n, d): anywhere first, then around the best so far, ever nearer."""
    rows = encoding.from_cube(rng.random((count, len(encoding))))
    if not converged:
        return rows
    begin = count // 4
    for number in range(begin, count):
        losses = [loss(encoding.decode(row), bound) for row in rows[:number]]
        best = rows[int(np.argmin(losses))]
        width = 0.3 * 0.93 ** (number - begin)
        fresh = encoding.from_cube(rng.random((1, len(encoding))))[0]
        numeric = np.clip(best + rng.normal(size=len(encoding)) * width, 0, 1)
        keep = np.where(encoding.categorical & (rng.random(len(encoding)) < 0.8), best, fresh)
        rows[number] = encoding.snap(np.where(encoding.categorical, keep, numeric)[None])[0]
    return rows


def schedule(count: int, batch: int, idle: bool, rng: np.random.Generator) -> tuple[Floats, Floats, float]:
    """Return when trials of batches began, how long they took, and how long their machines took to start."""
    before = 120.0 if idle else 5.0
    seconds = 300 * (rng.lognormal(0, 0.8, count) if idle else rng.uniform(0.95, 1.05, count))
    starts, now = np.empty(count), 0.0
    for first in range(0, count, batch):
        starts[first : first + batch] = now + before
        now += before + float(seconds[first : first + batch].max())
    return starts, seconds, before
