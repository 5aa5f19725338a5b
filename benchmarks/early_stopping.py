"""The savings of early stopping: the rules on curves of real trainings against Optuna's pruners, and in live searches.

On the curves, 60 settings are tried in random order by 8 workers; each step takes one unit of time, and a stopped curve
is read no further. Live, the engine `gp` proposes trials to 8 workers or in batches of 8.
"""

from __future__ import annotations

import functools
import heapq
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.engine_runs import study_of
from benchmarks.learning_curves import STEPS, TRAININGS, Training, read_curves
from kfp_bayesopt.folder.trials import Record, Steps
from kfp_bayesopt.search.engine import new_engine
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.early_stopping import EarlyStopping

WORKERS = 8
SEEDS = 20
LIVE_SEEDS = 5
LIVE_TRIALS = 48
SHARE = 0.4
"""The steps that a search may take, as a share of those of all its trials run whole, however many trials it stops."""
BUDGET = SHARE * LIVE_TRIALS * STEPS
LIVE = ("linear on digits", "network on wine")
RULES: dict[str, EarlyStopping | None] = {
    "all run whole": None,
    "median": EarlyStopping(rule="median", max_steps=STEPS),
    "asha": EarlyStopping(rule="asha", max_steps=STEPS),
    "asha, eta: 3, min_steps: 1": EarlyStopping(rule="asha", max_steps=STEPS, eta=3, min_steps=1),
    "hyperband": EarlyStopping(rule="hyperband", max_steps=STEPS),
}

PRUNERS = ("MedianPruner", "SuccessiveHalvingPruner", "HyperbandPruner")

Stops = Callable[[int, int, float], bool]
"""Tells whether a trial, by its number, stops at a step with an error."""


def rule_stops(rule: EarlyStopping | None) -> Stops:
    """Return the decisions of a rule of ours."""
    rungs: dict[int, dict[int, float]] = {}

    def stops(trial: int, step: int, error: float) -> bool:
        if rule is None or step not in rule.rungs[rule.bracket(trial) :]:
            return False
        there = rungs.setdefault(step, {})
        others = [each for other, each in there.items() if rule.are_compared(trial, other, step)]
        there[trial] = error
        return rule.stops(error, others, "minimize")

    return stops


def optuna_stops(name: str) -> Stops:
    """Return the decisions of a pruner of Optuna, with its own defaults and the same number of steps."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    settings = {"max_resource": STEPS} if name == "HyperbandPruner" else {}
    study = optuna.create_study(pruner=getattr(optuna.pruners, name)(**settings))
    asked: dict[int, optuna.Trial] = {}

    def stops(trial: int, step: int, error: float) -> bool:
        if trial not in asked:
            asked[trial] = study.ask()
        asked[trial].report(error, step)
        if step == STEPS:
            study.tell(asked[trial], error)
        elif asked[trial].should_prune():
            study.tell(asked[trial], state=optuna.trial.TrialState.PRUNED)
            return True
        return False

    return stops


@dataclass
class Outcome:
    """The outcome of a search.

    Attributes:
        steps: The steps of all trials.
        first: The steps of the first `LIVE_TRIALS` trials.
        completed: Number, total steps until then, and error of each trial that ran whole, in order of their ends.
    """

    steps: int = 0
    first: int = 0
    completed: list[tuple[int, int, float]] = field(default_factory=list)

    def best(self, trials: float = np.inf, steps: float = np.inf) -> float:
        """Return the lowest error of the first trials, within a number of steps."""
        return min(
            (error for trial, taken, error in self.completed if trial <= trials and taken <= steps), default=np.inf
        )


def replayed(curves: Sequence[Sequence[float]], order: Sequence[int], stops: Stops) -> Outcome:
    """Replay curves in an order by some workers, each of which takes a unit of time for a step."""
    outcome = Outcome()
    waiting = iter(enumerate(order, 1))
    running: list[tuple[int, int, int, int]] = []  # when its next step has ended, number, curve, step
    for number, curve in [next(waiting) for _ in range(WORKERS)]:
        running.append((1, number, curve, 1))
    heapq.heapify(running)
    while running:
        time, number, curve, step = heapq.heappop(running)
        outcome.steps += 1
        error = curves[curve][step - 1]
        stopped = stops(number, step, error)
        if step < STEPS and not stopped:
            heapq.heappush(running, (time + 1, number, curve, step + 1))
            continue
        if not stopped:
            outcome.completed.append((number, outcome.steps, error))
        if (begun := next(waiting, None)) is not None:
            heapq.heappush(running, (time + 1, begun[0], begun[1], 1))
    return outcome


def searched(training: Training, rule: EarlyStopping | None, schedule: str, seed: int) -> Outcome:
    """Search a training with the engine `gp` and a stopping rule, until there are enough trials and steps."""
    study = study_of(1, "gp", seed, space=training.space, parallel_trials=WORKERS)
    outcome, stops = Outcome(), rule_stops(rule)
    ended: list[Record] = []
    running: list[tuple[int, int, int]] = []  # when its next step has ended, number, step
    started: dict[int, tuple[Parameters, Iterator[float]]] = {}

    def begin(time: int, count: int) -> None:
        engine = new_engine(study)
        engine.learn(sorted(ended, key=lambda record: record.trial))
        for point in engine.suggest(count, [started[number][0] for _, number, _ in running]):
            number = len(started) + 1
            started[number] = point, training.steps(**point)
            heapq.heappush(running, (time + 1, number, 1))

    begin(0, WORKERS)
    while outcome.steps < BUDGET or any(number <= LIVE_TRIALS for _, number, _ in running):
        time, number, step = heapq.heappop(running)
        point, errors = started[number]
        error = next(errors)
        outcome.steps += 1
        outcome.first += number <= LIVE_TRIALS
        stopped = stops(number, step, error)
        if step < STEPS and not stopped:
            heapq.heappush(running, (time + 1, number, step + 1))
            continue
        if not stopped:
            outcome.completed.append((number, outcome.steps, error))
        ended.append(
            Record(
                study=study.name, fingerprint=study.fingerprint, trial=number, parameters=point,
                state="stopped" if stopped else "completed", values={"value": error}, seconds=0.0,
                started="2026-01-01T00:00:00+00:00", steps=Steps(first=1, last=step, count=step, value=error),
            )
        )  # fmt: skip
        if schedule == "asynchronous" or not running:
            begin(time, 1 if schedule == "asynchronous" else WORKERS)
    return outcome


def _searched(asked: tuple[str, str, str, int]) -> Outcome:
    """Search a training by its name, in a schedule, with a rule by its name and a seed, on one core."""
    name, schedule, rule, seed = asked
    warnings.simplefilter("ignore")
    with threadpool_limits(1):
        (training,) = (each for each in TRAININGS if each.name == name)
        return searched(training, RULES[rule], schedule, seed)


def measure() -> str:
    """Return the tables as Markdown."""
    warnings.simplefilter("ignore")
    parts = [
        f"On curves: share of the steps, and by how much the best error is above that of all {STEPS} steps of all "
        f"settings, both medians of {SEEDS} orders:\n",
        f"| training | {' | '.join(RULES)} | {' | '.join(f'Optuna {name}' for name in PRUNERS)} |",
        "| --- |" + " --- |" * (len(RULES) + len(PRUNERS)),
    ]
    for training in TRAININGS:
        curves = read_curves(training)
        orders = [np.random.default_rng(seed).permutation(len(curves)).tolist() for seed in range(SEEDS)]
        best = min(curve[-1] for curve in curves)
        whole = STEPS * len(curves)
        cells = []
        makers = [functools.partial(rule_stops, rule) for rule in RULES.values()]
        makers += [functools.partial(optuna_stops, name) for name in PRUNERS]
        for make in makers:
            found = [replayed(curves, order, make()) for order in orders]
            share = np.median([each.steps / whole for each in found])
            lost = np.median([each.best() / best - 1 for each in found])
            cells.append(f"{share:.0%}, {lost:+.1%}")
        half = "" if training.half == "reporting" else " (chose)"
        parts.append(f"| {training.name}{half} | {' | '.join(cells)} |")
    head = [f"| training | schedule | {' | '.join(RULES)} |", "| --- | --- |" + " --- |" * len(RULES)]
    wheres = [(name, schedule) for name in LIVE for schedule in ("batches", "asynchronous")]
    asked = [(*where, rule, seed) for where in wheres for rule in RULES for seed in range(LIVE_SEEDS)]
    with ProcessPoolExecutor() as pool:
        outcomes = dict(zip(asked, pool.map(_searched, asked), strict=True))
    whole = STEPS * LIVE_TRIALS
    first, second = [], []
    for where in wheres:
        of_rules = [[outcomes[(*where, rule, seed)] for seed in range(LIVE_SEEDS)] for rule in RULES]
        shares = [np.median([each.first / whole for each in rule]) for rule in of_rules]
        errors = [np.median([each.best(trials=LIVE_TRIALS) for each in rule]) for rule in of_rules]
        bounded = [np.median([each.best(steps=BUDGET) for each in rule]) for rule in of_rules]
        cells = [f"{share:.0%}, {error:.3g}" for share, error in zip(shares, errors, strict=True)]
        first.append(f"| {' | '.join([*where, *cells])} |")
        second.append(f"| {' | '.join([*where, *(f'{error:.3g}' for error in bounded)])} |")
    parts += [
        f"\nLive, `gp`, {LIVE_TRIALS} trials: share of the steps, and the best error, medians of {LIVE_SEEDS} seeds:\n",
        *head, *first,
        f"\nLive, with as many trials as {SHARE:.0%} of those steps take: the best error:\n",
        *head, *second,
    ]  # fmt: skip
    return "\n".join(parts) + "\n"
