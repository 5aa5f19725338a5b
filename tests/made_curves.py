"""Ledgers of studies with early stopping of which the truth is known: curves by a formula, stopped by the rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kfp_bayesopt.folder.trials import Record, Steps
from kfp_bayesopt.search.encoding import Encoding, Floats
from kfp_bayesopt.search.engine import new_engine
from kfp_bayesopt.search.sampling import keeping
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.study import Study
from tests.builders import a_record, a_study

STEPS = 27
PARALLEL = 4
SPACE: dict[str, Any] = {
    "decay": {"type": "real", "low": 1e-6, "high": 1e-2, "log": True},
    "batch": {"type": "ordinal", "values": [16, 32, 64, 128]},
    "rate": {"type": "real", "low": 1e-4, "high": 1.0, "log": True},
}
CATEGORICAL = {**SPACE, "kind": {"type": "categorical", "choices": ["adam", "sgd", "rms"]}}
CONDITIONAL = {**CATEGORICAL, "momentum": {"type": "real", "low": 0.0, "high": 1.0, "when": {"kind": "sgd"}}}


@dataclass(frozen=True)
class Curves:
    """A ledger with trials that were stopped early.

    Attributes:
        study: Its study, of which `rate` is nearly all that matters.
        ledger: Its records.
        whole: (n,) what whole trials anywhere in the space would give, lower is better.
    """

    study: Study
    ledger: list[Record]
    whole: Floats

    def expected(self, trials: int) -> float:
        """Return the best value that a search at random would have had after some trials; lower is better."""
        left = 1 - np.arange(len(self.whole) + 1) / len(self.whole)
        return float(-np.diff(left**trials) @ np.sort(self.whole))


def curve(point: Parameters) -> Floats:
    """Return the loss at each step: it falls to its floor as fast as the rate lets it."""
    rate, decay, batch = (float(str(point[name])) for name in ("rate", "decay", "batch"))
    speed = 0.25 * math.exp(-((math.log10(rate) + 1.5) ** 2) / 0.8)
    floor = 0.12 + 0.025 * (math.log10(decay) + 4) ** 2 + 0.02 * math.log2(batch / 16) + (0.3 if rate > 0.5 else 0)
    floor += {"adam": 0.0, "sgd": 0.4, "rms": 0.8}[str(point.get("kind", "adam"))]
    return np.asarray(floor + 2.2 * np.exp(-speed * np.arange(1, STEPS + 1)))


def stopped_early(
    seed: int, trials: int = 40, noise: float = 0.01, failing: float = 0.0, best: bool = False, **changes: Any
) -> Curves:
    """Return a search by `gp` of which trials are stopped by the rule of the study.

    Args:
        seed: Of all that is random.
        trials: How many.
        noise: Standard deviation of what is added to the values of a curve.
        failing: How probable it is that a trial fails.
        best: Whether the value of a trial is the best of its curve.
        changes: Of the study.
    """
    rng = np.random.default_rng(seed)
    is_asynchronous = changes.get("schedule") == "asynchronous"
    budget = {"iterations": None, "trials": trials} if is_asynchronous else {"iterations": trials // PARALLEL}
    study = a_study(
        **{
            "space": SPACE, "objective": {"python": "a:b"}, "parallel_trials": PARALLEL, **budget,
            "optimizer": {"engine": "gp", "random_state": seed},
            "early_stopping": {"rule": "asha", "max_steps": STEPS}, **changes,
        }
    )  # fmt: skip
    sign = 1.0 if study.direction == "minimize" else -1.0
    engine, ledger = new_engine(study), list[Record]()
    rungs: dict[int, dict[int, float]] = {}
    while len(ledger) < trials:
        batch = []
        for trial, point in enumerate(engine.suggest(PARALLEL), len(ledger) + 1):
            where = {"parameters": point, "iteration": (trial - 1) // PARALLEL + 1}
            if is_asynchronous:
                where |= {"iteration": None, "worker": f"vm-{trial % PARALLEL}:1"}
            if rng.random() < failing:
                batch.append(a_record(study, trial, None, **where))
                continue
            values = curve(point) + noise * rng.normal(size=STEPS)
            if best:
                values = np.minimum.accumulate(values)
            last, state = _end(study, trial, sign * values, rungs)
            value = float(sign * values[last - 1])
            steps = Steps(first=1, last=last, count=last, value=value)
            batch.append(a_record(study, trial, value, state=state, steps=steps, **where))
        engine.learn(batch)
        ledger += batch
    encoding = Encoding(study.space)
    rows = keeping(encoding, 2048, np.random.default_rng(5))
    return Curves(study, ledger, np.array([curve(encoding.decode(row))[-1] for row in rows]))


def _end(study: Study, trial: int, values: Floats, rungs: dict[int, dict[int, float]]) -> tuple[int, str]:
    """Return the last step of a trial, and its state then."""
    rule = study.early_stopping
    assert rule is not None
    for step in rule.rungs:
        if not rule.are_compared(trial, trial, step):
            continue
        there = rungs.setdefault(step, {})
        others = [value for other, value in there.items() if rule.are_compared(trial, other, step)]
        there[trial] = float(values[step - 1])
        if rule.stops(there[trial], others, study.direction):
            return step + trial % 2, "stopped"
    return STEPS, "completed"
