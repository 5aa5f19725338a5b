"""Advice on a study: sentences, each with a number that supports it.

Each rule is a function from the findings to a sentence or None. The three most important sentences are printed; the
page shows the others below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.report.failure_region import FailureRegion
from kfp_bayesopt.report.importance import LEAST_SHARE, Importance
from kfp_bayesopt.report.numbers import label
from kfp_bayesopt.report.times import Times
from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt.space.goals import broken, loss
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study

MORE_TRIALS = 10
# If ten more trials promise a smaller share of the way from the median to the best value, they are not worth their
# price.
LEAST_GAIN = 0.03
# A share of the way from the median to the best value: the mean changes by less along a parameter that does not matter.
LEAST_RANGE = 0.25
# With fewer trials the model still shows its prior.
TRIALS_A_PARAMETER = 10
NEAR_BOUND = 0.02
# Most of the best trials must be at least this near.
NEARLY = 0.1
GOOD_TRIALS = 5
# Noise below this share of the variance of the values is not mentioned.
LEAST_NOISE = 0.05
LEAST_IDLE = 0.25
LEAST_MACHINE_SECONDS = 600.0
FEWEST_COMPARED = 3
"""With fewer completed trials it is too early to report that nothing is compared."""
MOST_NAMES = 4


@dataclass(frozen=True)
class Findings:
    """The findings about a study, from which the rules give advice.

    Attributes:
        study: The study.
        best: Its best trial.
        ledger: Its records.
        importances: The most important parameter first; empty while unknown.
        ranges: The change of the model's mean along each parameter, with all others as in the best trial.
        gain: The expected gain of ten more trials; None without a model.
        way: The distance from the median of the values to the best one.
        noise: Standard deviation of the noise, and its share of the variance; None without a model.
        region: The part of the space in which trials fail; None without one.
        times: The use of machine time.
    """

    study: Study
    best: Best
    ledger: Sequence[Record]
    importances: Sequence[Importance]
    ranges: Mapping[str, float]
    gain: float | None
    way: float
    noise: tuple[float, float] | None
    region: FailureRegion | None
    times: Times


@dataclass(frozen=True)
class Sentence:
    """A piece of advice.

    Attributes:
        kind: The name of its rule.
        text: The advice and its reason.
    """

    kind: str
    text: str


def advise(findings: Findings) -> list[Sentence]:
    """Return the advice, the most important sentence first."""
    return [Sentence(kind, text) for kind, rule in RULES.items() if (text := rule(findings))]


def _failures(findings: Findings) -> str | None:
    region = findings.region
    if region is None:
        return None
    elsewhere = (
        f"{region.failed_elsewhere} of {region.trials_elsewhere} elsewhere" if region.trials_elsewhere else "none else"
    )
    where = f"{region.name} {region.relation} {label(region.value)}"
    has_failed = any(record.state == "failed" for record in findings.ledger)
    has_broken = any(any(broken(findings.study, record)) for record in findings.ledger)
    failed = " or ".join(["failed"] * has_failed + ["broke a limit"] * has_broken)
    way_out = (
        "mend it, or widen the limit" if has_failed and has_broken else "mend it" if has_failed else "widen the limit"
    )
    title = "Failures" if has_failed else "Trials that break a limit"
    return (
        f"{title} lie together: {region.failed} of {region.trials} trials with {where} {failed}, {elsewhere}. "
        f"Leave that part out of the space, or {way_out}."
    )


def _memory(findings: Findings) -> str | None:
    count = sum(record.reason is not None and record.reason.kind == "memory" for record in findings.ledger)
    if not count:
        return None
    which = f"{count} of {len(findings.ledger)} trials"
    return f"{which} had too little memory and count as failed. Give trials more, and evaluate the failed ones again."


def _none_completed(findings: Findings) -> str | None:
    best = findings.best
    if best.is_found or not best.recorded:
        return None
    if best.completed:
        way_out = (
            "Raise the budget: what is proposed from now on keeps the constraints"
            if "constraints" in best.bounds
            else "Widen the limits, or the space"
        )
        return f"No trial keeps all {best.bounds}. The nearest is {best.nearest}. {way_out}."
    if best.stopped:
        others = f", and {best.failed} failed" if best.failed else ""
        return (
            f"No trial has completed: {best.stopped} were stopped early{others}, so that there is no best one. Raise "
            "early_stopping.min_steps, or the number of trials."
        )
    return f"All {best.failed} trials failed, so that nothing can be said of the parameters. See the reasons below."


def _bound(findings: Findings) -> str | None:
    recommended = findings.best.recommended
    parameters = recommended.parameters if recommended else findings.best.parameters
    if parameters is None or not findings.importances:
        return None
    matters = {each.name for each in findings.importances if each.high >= LEAST_SHARE}
    found = [name for name in _at_bounds(findings, parameters) if name in matters]
    if not found:
        return None
    named = ", ".join(f"{name} = {label(parameters[name])}" for name in found[:MOST_NAMES])
    plural = "are at bounds" if len(found) > 1 else "is at a bound"
    return f"The best trial {plural} of the space: {named}. Widen it there; better values may lie beyond."


def _at_bounds(findings: Findings, parameters: Parameters) -> list[str]:
    """Return the ordered parameters of more than three values that are at a bound in most good trials too."""
    study = findings.study
    encoding = Encoding(study.space)
    row = encoding.encode(parameters)
    losses = ((loss(study, record), record) for record in findings.ledger)
    counting = [(found, record.trial, record) for found, record in losses if found is not None]
    good = [record for *_, record in nsmallest(GOOD_TRIALS, counting)]
    rows = encoding.encode_all([record.parameters for record in good])
    found = []
    for column, name in enumerate(encoding.names):
        levels = encoding.levels[column]
        if encoding.categorical[column] or 0 < levels <= 3:
            continue
        near = max(NEAR_BOUND, 0.75 / levels if levels else 0.0)
        low, high = rows[:, column] <= max(near, NEARLY), rows[:, column] >= 1 - max(near, NEARLY)
        is_low, is_high = row[column] <= near, row[column] >= 1 - near
        if (is_low and 2 * low.sum() > len(good)) or (is_high and 2 * high.sum() > len(good)):
            found.append(name)
    return found


def _progress(findings: Findings) -> str | None:
    gain, way, best = findings.gain, findings.way, findings.best
    if gain is None or way <= 0:
        return None
    share = gain / way
    amount = f"{gain:.2g} on average ({_percent(share)} of the way from the median to the best value)"
    if share < LEAST_GAIN:
        return f"The search has converged: ten more trials are expected to gain {amount}."
    if best.ended is None and best.done < best.trials:
        return f"The search has not converged: ten more trials are expected to gain {amount}."
    return f"More trials are worth it: ten more are expected to gain {amount}."


def _noise(findings: Findings) -> str | None:
    if findings.noise is None or findings.noise[1] < LEAST_NOISE:
        return None
    deviation, share = findings.noise
    said = (
        "compare the recommended trial with the best one" if findings.study.noisy
        else "set `noisy: true`, and repeat the best trials before you rely on one"
    )  # fmt: skip
    return (
        f"Values look noisy: equal parameters may differ by about {deviation:.2g} ({_percent(share)} of the "
        f"variance); {said}."
    )


def _idle(findings: Findings) -> str | None:
    times = findings.times
    total, idle = times.total, times.idle
    if total < LEAST_MACHINE_SECONDS or sum(idle.values()) / total < LEAST_IDLE:
        return None
    shares = ", ".join(f"{_percent(seconds / total)} {_IDLE[kind]}" for kind, seconds in idle.items() if seconds)
    return (
        f"Machines idled for {_percent(sum(idle.values()) / total)} of {total / 3600:.1f} machine hours ({shares}); "
        f"{_way_out_of_idling(max(idle, key=lambda kind: idle[kind]), findings.study)}."
    )


_IDLE = {
    "starting": "starting",
    "proposing": "while trials were proposed",
    "waiting": "waiting for the slowest of a batch",
    "unknown": "not known for what",
}


def _way_out_of_idling(kind: str, study: Study) -> str:
    """Return the remedy for the main cause of idle machines."""
    if kind == "unknown":
        return "their records do not say when they were proposed, and longer trials use machines better in any case"
    return SCHEDULES[study.schedule].against_idling(kind, study.optimizer.engine)


def _unimportant(findings: Findings) -> str | None:
    names = [
        each.name
        for each in findings.importances
        # A parameter that matters little over the whole space may still decide among good trials.
        if each.high < LEAST_SHARE and findings.ranges.get(each.name, math.inf) < LEAST_RANGE * findings.way
    ]
    known = sum(record.state != "failed" for record in findings.ledger)
    if known < TRIALS_A_PARAMETER * len(findings.importances):
        return None
    if not names or len(names) == len(findings.importances):
        return None
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    highest = max(each.high for each in findings.importances if each.name in names)
    plural = "do not matter" if len(names) > 1 else "does not matter"
    them = "them" if len(names) > 1 else "it"
    return (
        f"{', '.join(names[:MOST_NAMES])}{more} {plural} here (at most {_percent(highest)} of the variance); "
        f"fix {them}, and the search has fewer dimensions."
    )


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.0f} %"


def _nothing_to_compare(findings: Findings) -> str | None:
    rule, completed = findings.study.early_stopping, [each for each in findings.ledger if each.state == "completed"]
    if rule is None or len(completed) < FEWEST_COMPARED or any(each.state == "stopped" for each in findings.ledger):
        return None
    last = max((each.steps.last for each in completed if each.steps is not None), default=None)
    if last is None:
        return (
            "No trial was stopped early, as none said a value on the way: name the metric that it prints "
            "(`objective.intermediate`), or let it append to the file BAYESOPT_INTERMEDIATE."
        )
    if last < rule.first:
        return f"No trial was stopped early: they are compared from step {rule.first} on, and the last was {last}."
    return None


def _models_missing(findings: Findings) -> str | None:
    missing = findings.best.models_missing
    if missing is None:
        return None
    return f"{missing[0].upper()}{missing[1:]}. Its value counts; evaluate it again with its parameters for the model."


RULES: dict[str, Callable[[Findings], str | None]] = {
    "none completed": _none_completed,
    "models missing": _models_missing,
    "memory": _memory,
    "failures": _failures,
    "bound": _bound,
    "progress": _progress,
    "noise": _noise,
    "nothing to compare": _nothing_to_compare,
    "idle": _idle,
    "unimportant": _unimportant,
}
"""The rules, the most important first."""
