"""The results of a study, in the lines that a person reads at the end of a run."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping

from kfp_bayesopt import hints
from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.failures import grouped
from kfp_bayesopt.folder.results import Best, Failures, Recommendation
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.arguments import file_of, text_of, words_of
from kfp_bayesopt.study.objective import BEHIND

MOST_SHOWN = 20


def summary(best: Best) -> str:
    """Return the lines about the best trial, the recommended one, and the reason for an early end."""
    lines = _of_front(best) if best.front else _of_best(best)
    if best.models_missing:
        lines.append(best.models_missing)
    if best.cost is not None:
        lines.append(f"the trials have cost about {best.cost:.2f}")
    if best.ended:
        lines.append(f"ended early: {best.ended}")
    if not best.front:
        recommendation = best.recommended or best
        lines.append(f"as flags: {flags(recommendation.parameters or {})}")
    return "\n".join(lines)


def results_in(root: str, home: str | None = None) -> Iterator[str]:
    """Yield why trials failed and what is best, by the results in a folder.

    Args:
        root: The folder.
        home: The study folder, if its results were copied from there.

    Raises:
        UserError: No trial has completed, or the results cannot be read.
    """
    best = read_document(Best, f"{root}/best.json")
    with contextlib.suppress(NotFoundError):
        yield from grouped(home or root, read_document(Failures, f"{root}/failures.json").failures)
    if missing := best.missing:
        raise UserError(f"{root}: {missing}")
    yield f"\n{summary(best)}\nresults in {root}"


def _of_best(best: Best) -> list[str]:
    lines = [
        f"best value {best.value!r}",
        *_lines(best.parameters),
        *(f"  {name}: {value:g}" for name, value in (best.metrics or {}).items()),
        f"{_trial(best)}; {best.counts}",
    ]
    if recommended := best.recommended:
        lines += [
            "recommended, because the study is noisy: the trial with the best mean of the model, "
            f"{recommended.mean:.6g} (its value was {recommended.value:.6g})",
            *_lines(recommended.parameters),
            _trial(recommended),
        ]
    return lines


def _of_front(best: Best) -> list[str]:
    """Return the lines about a front: trials and their values, and the command for the parameters of one."""
    front = best.front or []
    lines = [f"{best}:"]
    lines += [f"  trial {each.trial}: {_values(each.values)}" for each in front[:MOST_SHOWN]]
    if len(front) > MOST_SHOWN:
        lines.append(f"  and {len(front) - MOST_SHOWN} more, in best.json")
    lines.append(f"hypervolume {best.hypervolume:.6g}, up to {_values(best.reference or {})}; {best.counts}")
    lines.append(f"parameters of one: {hints.BEST_AS_FLAGS(trial=front[0].trial)}")
    return lines


def _values(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.6g}" for name, value in values.items())


def flags(parameters: Parameters, how: str = "text-flags") -> str:
    """Return parameters as words of a shell, in the form in which a study gives them, or else as options."""
    halves = (word.partition("=") for word in words_of(parameters, how))
    return " ".join(f"{name}{mark}{shlex.quote(value) if mark else ''}" for name, mark, value in halves)


def formatted(parameters: Parameters, form: str, how: str = "text-flags") -> str:
    """Return parameters for a program.

    Args:
        parameters: The parameters.
        form: `text`, which is the form of the study; `flags`, `key-value`, `env` (a shell's assignments), `json` or
            `yaml`.
        how: The form of the study: its objective's.
    """
    own = {"environment": "env", "json-file": "json", "yaml-file": "yaml", "key-value": "key-value"}
    match own.get(how, "flags") if form == "text" else form:
        case "flags":
            return flags(parameters, how if how in BEHIND and how != "key-value" else "text-flags")
        case "key-value":
            return flags(parameters, "key-value")
        case "env":
            return "\n".join(
                f"{re.sub(r'[^A-Za-z0-9_]', '_', name)}={shlex.quote(text_of(value))}"
                for name, value in parameters.items()
            )
        case "json":
            return json.dumps(parameters, ensure_ascii=False)
        case _:
            return file_of(parameters, yaml=True).decode().rstrip()


def _lines(parameters: Parameters | None) -> list[str]:
    return [f"  {name} = {json.dumps(value)}" for name, value in (parameters or {}).items()]


def _trial(of: Best | Recommendation) -> str:
    return f"in trial {of.trial}" + (f", iteration {of.iteration}" if of.iteration is not None else "")
