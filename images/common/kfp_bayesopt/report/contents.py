"""The contents of a report, as the JSON that its page draws."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from kfp_bayesopt.folder.failures import kind_of
from kfp_bayesopt.folder.jobs import Ended, Job
from kfp_bayesopt.folder.results import Best, reference_of
from kfp_bayesopt.folder.trials import Curve, Record
from kfp_bayesopt.report.advice import MORE_TRIALS, Findings, advise
from kfp_bayesopt.report.failure_region import failure_region
from kfp_bayesopt.report.importance import Importance, ranked
from kfp_bayesopt.report.model import WHOLE, Model, progress_of
from kfp_bayesopt.report.numbers import brief, label
from kfp_bayesopt.report.privacy import Privacy
from kfp_bayesopt.report.random_search import random_search
from kfp_bayesopt.report.times import Times, times_of
from kfp_bayesopt.search.encoding import Encoding, Floats
from kfp_bayesopt.search.ledger_engine import LedgerEngine, values_of
from kfp_bayesopt.space.front import gain
from kfp_bayesopt.space.goals import Standing, broken, counts, losses
from kfp_bayesopt.space.parameters import Parameter, Parameters
from kfp_bayesopt.study.sources.base import VALUE
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.version import __version__


class Running(Protocol):
    """A trial that is being evaluated."""

    @property
    def trial(self) -> int:
        """Its number."""

    @property
    def since(self) -> datetime:
        """The time of its claim."""

    @property
    def parameters(self) -> Parameters:
        """Its parameters."""


_ABSENT: Any = object()
GRID = 24
MOST_LEVELS = 30
MOST_SLICES = 40
MAPPED = 3
MOST_METRICS = 50
MOST_POINTS = 100
"""The most points of one curve."""
Z90 = 1.645


def contents(
    study: Study,
    ledger: Sequence[Record],
    best: Best,
    jobs: Sequence[Job] = (),
    ends: Mapping[str, Ended] | None = None,
    running: Sequence[Running] = (),
    full: bool = False,
    curves: Sequence[Curve] = (),
) -> dict[str, Any]:
    """Return the data that the page of a study draws.

    Trials are columns, one list for each key, in the order of their numbers.

    Args:
        study: The study.
        ledger: Its records.
        best: Its best trial.
        jobs: Its submissions.
        ends: How they ended, by their ids.
        running: Trials that are being evaluated.
        full: Show hosts, paths and the last lines of failed trials too.
        curves: The intermediate values of trials.
    """
    privacy = Privacy(ledger, {job.by.rpartition("@")[2] for job in jobs}, full)
    told = LedgerEngine(study)
    told.learn(ledger)
    times = times_of(ledger, jobs)
    columns = list(study.signs)
    found = [_of_objective(study, best, ledger, told, columns.index(name), times) for name in study.goals]
    findings, analysis = found[0]
    if study.objectives:
        findings = replace(findings, importances=[], ranges={}, gain=None, noise=None)
    return {
        "study": _study(study, privacy),
        "best": _best(best, privacy),
        "counts": best.counts,
        "objectives": [
            _objective(study, ledger, name, drawn) for name, (_, drawn) in zip(study.objectives, found, strict=False)
        ],
        "front": [each.trial for each in best.front or []],
        "volume": _volumes(study, ledger),
        "advice": [asdict(sentence) | {"text": privacy.text(sentence.text)} for sentence in advise(findings)],
        "parameters": _parameters(study, ledger, privacy),
        "trials": _trials(study, ledger, privacy, full),
        "curves": [_curve(each) for each in curves],
        "recommended": best.recommended.trial if best.recommended else None,
        "running": [
            {"trial": each.trial, "since": each.since.isoformat(), "parameters": _labels(each.parameters, privacy)}
            for each in running
        ],
        "model": None if study.objectives else analysis,
        "times": _times(times, full),
        "jobs": [_job(job, (ends or {}).get(job.job), privacy) for job in jobs],
        "version": __version__,
    }


def _best(best: Best, privacy: Privacy) -> dict[str, Any]:
    """Return the details of the best trial apart from its number; reasons may name paths and machines."""
    found = best.model_dump(
        exclude_none=True, exclude={"format", "fingerprint", "parameters", "recommended", "metrics", "front"}
    )
    return found | {key: privacy.text(found[key]) for key in ("ended", "nearest", "models_missing") if key in found}


def _of_objective(
    study: Study, best: Best, ledger: Sequence[Record], told: LedgerEngine, index: int, times: Times
) -> tuple[Findings, dict[str, Any] | None]:
    """Return the findings on an objective, and the drawing of its model; None without a model."""
    encoding, points = told.encoding, told.points
    model, failed = _model_of(study, ledger, told, index)
    found = ranked(model) if model else []
    findings = _findings(study, best, ledger, model, found, encoding, points, failed, times)
    sign = list(study.signs.values())[index]
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not drawn
        analysis = _analysis(study, model, found, encoding, findings, sign) if model else None
    return findings, analysis


def _model_of(
    study: Study, ledger: Sequence[Record], told: LedgerEngine, index: int
) -> tuple[Model | None, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Return the model of an objective, None with too few trials, and which trials have failed."""
    values = values_of(told.losses[:, [index]], told.excesses)
    progress = progress_of(study, ledger)
    # A stopped trial may not have reached the metric of a limit.
    failed = np.isnan(values) & (progress == WHOLE)
    known = np.isfinite(values) & np.isfinite(progress)
    return Model.of(told.encoding, told.points[known], values[known], progress[known]), failed


def importances_of(study: Study, ledger: Sequence[Record]) -> dict[str, list[Importance]]:
    """Return the importance of the parameters to each objective, as the report shows it; empty while unknown."""
    told = LedgerEngine(study)
    told.learn(ledger)
    columns = list(study.signs)
    models = {name: _model_of(study, ledger, told, columns.index(name))[0] for name in study.goals}
    return {name: ranked(model) if model else [] for name, model in models.items()}


def _objective(study: Study, ledger: Sequence[Record], name: str, analysis: dict[str, Any] | None) -> dict[str, Any]:
    """Return one of several objectives: its values, its best trial and its model."""
    sign = study.signs[name]
    counting = [record for record in ledger if counts(study, record)]
    best = min(counting, key=lambda record: sign * record.values[name], default=None)
    return {
        "name": name,
        "direction": study.objectives[name],
        "values": [record.values.get(name) if record.state != "failed" else None for record in ledger],
        "best": best.trial if best else None,
        "model": analysis,
    }


def _curve(curve: Curve) -> dict[str, Any]:
    """Return the intermediate values of a trial, thinned out to a maximum, the last one included."""
    stride = -(-len(curve.steps) // MOST_POINTS) or 1
    kept = sorted({*range(0, len(curve.steps), stride), len(curve.steps) - 1})
    return {
        "trial": curve.trial,
        "steps": [curve.steps[index] for index in kept],
        "values": [curve.values[index] for index in kept],
    }


def _why_not_best(study: Study, record: Record) -> str:
    """Return the reason a trial with a value cannot be best; an empty string if it can."""
    if record.state == "stopped" and record.steps is not None:
        return f"stopped at step {record.steps.last}"
    return "; ".join(broken(study, record))


def _volumes(study: Study, ledger: Sequence[Record]) -> list[list[float]]:
    """Return the hypervolume of several objectives after each trial that improves it: [trial, volume]."""
    if not study.objectives:
        return []
    known = [found for record in ledger if counts(study, record) and (found := losses(study, record))]
    if not known:
        return []
    reference = reference_of(study, known)
    standing, volume, curve = Standing[Record](study), 0.0, []
    for record in ledger:
        before = [found for found, _ in standing.best]
        if standing.add(record) and (more := gain(standing.best[-1][0], before, reference)) > 0:
            volume += more
            curve.append([float(record.trial), _round(volume)])
    return curve


def _findings(
    study: Study,
    best: Best,
    ledger: Sequence[Record],
    model: Model | None,
    found: Sequence[Importance],
    encoding: Encoding,
    points: Floats,
    failed: np.ndarray[tuple[int], np.dtype[np.bool_]],
    times: Times,
) -> Findings:
    values = [record.value for record in ledger if record.value is not None and counts(study, record)]
    gain = noise = None
    if model is not None:
        gain = None if study.limits or best.outside else model.expected_gain(MORE_TRIALS, np.random.default_rng(0))
        noise = (math.sqrt(model.noise) * model.spread, model.noise)
        # The stopped trials are the bad ones: without them the median would be nearly the best value.
        stopped = points[[record.state == "stopped" for record in ledger]]
        if len(stopped):
            values += [study.signs[VALUE] * float(mean) for mean in model.mean(stopped)] if VALUE in study.signs else []
    way = abs(statistics.median(values) - best.value) if values and best.value is not None else 0.0
    region = failure_region(encoding, points, failed)
    ranges = {name: _range(model, encoding, column) for column, name in enumerate(encoding.names)} if model else {}
    return Findings(study, best, ledger, found, ranges, gain, way, noise, region, times)


def _study(study: Study, privacy: Privacy) -> dict[str, Any]:
    return {
        "name": study.name,
        "fingerprint": study.fingerprint,
        "objective": privacy.text(str(study.objective)),
        "direction": study.direction,
        "aim": study.aim,
        "budget": study.budget,
        "parallel": study.parallel_trials,
        "schedule": study.schedule,
        "engine": study.optimizer.engine,
        "noisy": study.noisy,
        "limits": {privacy.text(name): text for name, text in study.limits.items()},
    }


def _parameters(study: Study, ledger: Sequence[Record], privacy: Privacy) -> list[dict[str, Any]]:
    """Return the parameters and their values in all trials: numbers, or indices of the labels of choices."""
    found = []
    for name, parameter in study.space.items():
        # An inactive parameter has no value.
        values = [record.parameters.get(name, _ABSENT) for record in ledger]
        described: dict[str, Any] = {"name": name, "type": parameter.type}
        if (span := parameter.span) is not None:
            described |= {"low": span.low, "high": span.high, "scale": span.kind}
            described["values"] = [None if value is _ABSENT else value for value in values]
        else:
            described["labels"] = privacy.texts(map(label, parameter.listed))
            described["values"] = [None if value is _ABSENT else parameter.index_of(value) for value in values]
        found.append(described)
    return found


def _labels(parameters: Parameters, privacy: Privacy) -> dict[str, str]:
    return {name: privacy.text(label(value)) for name, value in parameters.items()}


def _trials(study: Study, ledger: Sequence[Record], privacy: Privacy, full: bool) -> dict[str, Any]:
    reasons: dict[str, int] = {}
    kinds: dict[str, str] = {}
    index: list[int | None] = []
    for record in ledger:
        if record.reason is None:
            index.append(None)
            continue
        reason = privacy.text(record.reason.message)
        index.append(reasons.setdefault(reason, len(reasons)))
        kinds.setdefault(reason, privacy.text(kind_of(record.reason.message)))
    metrics = sorted({name for record in ledger for name in record.values} - {VALUE})[:MOST_METRICS]
    trials: dict[str, Any] = {
        "number": [record.trial for record in ledger],
        "value": [record.value for record in ledger],
        "state": [record.state for record in ledger],
        "iteration": [record.iteration for record in ledger],
        "attempt": [record.attempt for record in ledger],
        "seconds": [round(record.seconds, 3) for record in ledger],
        "started": [record.started for record in ledger],
        "cost": [record.cost for record in ledger],
        "memory": [record.memory_bytes for record in ledger],
        "reason": index,
        "reasons": list(reasons),
        "kinds": list(kinds.values()),
        "metrics": {name: [record.values.get(name) for record in ledger] for name in metrics},
    }
    if study.limits or study.constraints or any(record.state == "stopped" for record in ledger):
        trials["broken"] = [privacy.text(_why_not_best(study, record)) or None for record in ledger]
    if full:
        trials["who"] = [record.worker for record in ledger]
        trials["lines"] = [record.reason.last_lines if record.reason else [] for record in ledger]
    return trials


def _times(times: Times, full: bool) -> dict[str, Any]:
    return {
        "begin": times.begin.isoformat() if times.begin else None,
        "running": times.running,
        "idle": times.idle,
        "total": times.total,
        "pauses": times.pauses,
        "lanes": [
            {
                "name": lane.worker if full and lane.worker else f"{'machine' if lane.worker else 'place'} {number}",
                # Trial, start, seconds, seconds of starting before it, seconds of proposing before that.
                "spans": [
                    [each.trial, *(round(x, 3) for x in (each.start, each.seconds, each.starting, each.proposing))]
                    for each in lane.spans
                ],
            }
            for number, lane in enumerate(times.lanes, 1)
        ],
    }


def _job(job: Job, ended: Ended | None, privacy: Privacy) -> dict[str, Any]:
    return {
        "id": job.job,
        "place": job.place,
        "submitted": job.submitted,
        "by": privacy.text(job.by),
        "code": job.code,
        "images": {step: privacy.text(image) for step, image in job.images.items()},
        "state": ended.state if ended else "running",
        "reason": privacy.text(ended.reason) if ended and ended.reason else None,
        "currency": job.rate.currency if job.rate else None,
    }


def _analysis(
    study: Study,
    model: Model,
    found: Sequence[Importance],
    encoding: Encoding,
    findings: Findings,
    sign: float,
) -> dict[str, Any]:
    names = [each.name for each in found] or encoding.names
    drawn = _random_search(study, model, max(study.budget, len(findings.ledger)), sign)
    mapped = [encoding.names.index(name) for name in names[:MAPPED]]
    pairs = [(one, other) for at, one in enumerate(mapped) for other in mapped[at + 1 :]]
    return {
        "importance": [asdict(each) for each in found],
        "gain": findings.gain,
        "trials": len(model.values),
        "slices": {name: _slice(model, encoding, encoding.names.index(name), sign) for name in names[:MOST_SLICES]},
        "maps": [_map(model, encoding, one, other, sign) for one, other in pairs],
        **drawn,
    }


def _grid(encoding: Encoding, parameter: Parameter, column: int) -> list[float]:
    """Return the grid of a column for the model: all levels if there are few, else evenly spaced ones."""
    levels = parameter.levels
    if levels is None:
        return [float(x) for x in np.linspace(0, 1, GRID)]
    wanted = MOST_LEVELS if levels <= MOST_LEVELS or encoding.categorical[column] else GRID
    indices = sorted({round(x) for x in np.linspace(0, levels - 1, min(wanted, levels))})
    return [encoding.level(column, index) for index in indices]


def _shown(encoding: Encoding, column: int, grid: Sequence[float]) -> list[Any]:
    """Return the values of a parameter on a grid: numbers, or indices of choices."""
    if encoding.parameters[column].span is None:
        return [encoding.index(column, x) for x in grid]
    return [encoding.value(column, x) for x in grid]


def _along(model: Model, encoding: Encoding, column: int) -> tuple[list[float], Floats]:
    """Return a grid of one column, and its rows, with all other columns as in the best trial."""
    grid = _grid(encoding, encoding.parameters[column], column)
    rows = np.repeat(model.best[None], len(grid), 0)
    rows[:, column] = grid
    return grid, encoding.canonical(rows)


def _slice(model: Model, encoding: Encoding, column: int, sign: float) -> dict[str, Any]:
    """Return the model's mean and 90 % band along one parameter, with all others as in the best trial."""
    grid, rows = _along(model, encoding, column)
    at = model.surface.predict(rows)
    mean, deviation = at.mean * model.spread + model.centre, at.deviation * model.spread
    return {
        "x": _shown(encoding, column, grid),
        "mean": _rounded(sign * mean),
        "low": _rounded(sign * mean - Z90 * deviation),
        "high": _rounded(sign * mean + Z90 * deviation),
    }


def _range(model: Model, encoding: Encoding, column: int) -> float:
    """Return the change of the mean along one parameter, with all others as in the best trial."""
    _, rows = _along(model, encoding, column)
    with np.errstate(over="ignore"):
        return float(np.ptp(model.mean(rows)))


def _map(model: Model, encoding: Encoding, one: int, other: int, sign: float) -> dict[str, Any]:
    """Return the model's mean over two parameters, with all others as in the best trial."""
    across, up = (_grid(encoding, encoding.parameters[column], column) for column in (one, other))
    rows = np.repeat(model.best[None], len(across) * len(up), 0)
    rows[:, one] = np.tile(across, len(up))
    rows[:, other] = np.repeat(up, len(across))
    means = sign * model.mean(encoding.canonical(rows))
    return {
        "x": encoding.names[one],
        "y": encoding.names[other],
        "xs": _shown(encoding, one, across),
        "ys": _shown(encoding, other, up),
        "mean": [_rounded(row) for row in means.reshape(len(up), len(across))],
    }


def _random_search(study: Study, model: Model, trials: int, sign: float) -> dict[str, Any]:
    """Return the expected course of a random search, [trials, value] and [trials, low, high], or a reason without."""
    found = "the model knows nothing of limits" if study.limits else random_search(model, trials)
    if isinstance(found, str):
        return {"random": [], "random_band": [], "random_unknown": found}
    low, high = (found.low, found.high) if sign > 0 else (found.high, found.low)
    return {
        "random": [[n, _round(sign * value)] for n, value in zip(found.trials, found.mean, strict=True)],
        "random_band": [
            [n, _round(sign * one), _round(sign * other)] for n, one, other in zip(found.trials, low, high, strict=True)
        ],
        "random_unknown": None,
    }


def _rounded(values: Floats) -> list[float]:
    return [_round(float(value)) for value in values]


def _round(value: float) -> float:
    """Return a number rounded to six digits, to keep the page small."""
    return float(brief(value)) if math.isfinite(value) else value
