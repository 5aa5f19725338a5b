"""Computes every suggestion of a study again, from the trials that it had seen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kfp_bayesopt.folder.trials import Record, Suggestion, growing_digest
from kfp_bayesopt.proposing.batches import versions
from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt.search.engine import Engine, new_engine, replay, suggest
from kfp_bayesopt.search.ledger_engine import LedgerEngine
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.version import __version__

SAME = 1e-6
"""
The largest difference between equal parameters, as a share of their ranges, and between equal acquisitions, as
logarithms."""
# Other BLAS kernels round differently; their points are then compared by the acquisition.
VERSIONS = ("numpy", "scipy")
PROPOSE_ALIKE = frozenset({"0.1.0", __version__})
"""The versions of ours that propose the same; one that proposes otherwise begins the list again."""

Verdict = Literal["same", "equally good", "not checked", "differs"]


@dataclass(frozen=True)
class Checked:
    """The result of computing a suggestion again.

    Attributes:
        trial: Its number.
        verdict: Whether it is the same.
        why: The reason it was not checked, the difference, or a remark.
    """

    trial: int
    verdict: Verdict
    why: str = ""


def verify(
    study: Study, records: Sequence[Record], suggestions: Sequence[Suggestion], retried: bool
) -> Iterator[Checked]:
    """Yield the result of computing each suggestion again, in the order of their numbers.

    Args:
        study: The study.
        records: Its ledger.
        suggestions: All of its suggestions.
        retried: Whether ended trials were evaluated again, so that the records of that time are unknown.
    """
    verifier = _Verifier(study, records, suggestions, retried)
    for each in sorted(suggestions, key=lambda suggestion: suggestion.trial):
        yield verifier.check(each)


class _Verifier:
    """Computes suggestions of a study again, one after another, sharing intermediate results."""

    def __init__(
        self, study: Study, records: Sequence[Record], suggestions: Sequence[Suggestion], retried: bool
    ) -> None:
        self._study = study
        self._ended = {record.trial: record for record in records if record.is_final}
        self._points = {each.trial: each.parameters for each in records}
        self._points |= {each.trial: each.parameters for each in suggestions}
        self._retried = retried
        self._digest = growing_digest()
        self._encoding = Encoding(study.space)
        self._versions = versions()
        self._studies: dict[str, Study | None] = {}

    def check(self, suggestion: Suggestion) -> Checked:
        """Compute a suggestion again."""
        trial, seen = suggestion.trial, suggestion.seen
        if suggestion.initial:
            return Checked(trial, "not checked", "the study asks for it (initial_trials)")
        if not suggestion.optimizer:
            return Checked(trial, "not checked", "it does not say what proposed it")
        ours = self._versions
        others = [
            f"{name} {suggestion.versions[name]}" for name in VERSIONS if suggestion.versions.get(name) != ours[name]
        ]
        if (version := suggestion.versions.get("bayesopt")) not in PROPOSE_ALIKE:
            others.insert(0, f"bayesopt {version or 'of an unknown version'}")
        if others:
            return Checked(trial, "not checked", f"it was proposed with {', '.join(others)}")
        then = self._then(suggestion)
        if then is None:
            return Checked(trial, "not checked", "its engine, or what the study asked for then, is not known here")
        learnt = suggestion.learnt_from(self._ended, self._digest)
        if learnt is None or not self._points.keys() >= set(seen.pending):
            if self._retried:
                return Checked(trial, "not checked", "trials that it had seen were evaluated again")
            return Checked(trial, "differs", "the records that it was proposed from are other ones now")
        pending = {number: self._points[number] for number in seen.pending}
        ledger = learnt.records
        if suggestion.iteration is None:
            engine = new_engine(then)
            engine.learn(ledger)
            before = sum(each < trial for each in seen.unknown)
            fantasies = engine.suggest(before + 1, list(pending.values()))
            beside, again = [*pending.values(), *fantasies[:before]], fantasies[before] if fantasies[before:] else {}
        else:
            engine = replay(then, ledger)
            batch = suggest(engine, then, ledger, pending, trial)
            again = batch.get(trial, {})
            beside = [*pending.values(), *(point for number, point in batch.items() if number < trial)]
        found = self._compare(engine, suggestion, again, beside)
        if learnt.twice and not found.why:
            named = ", ".join(map(str, learnt.twice))
            return replace(found, why=f"counted as ended and as pending: {named}")
        return found

    def _then(self, suggestion: Suggestion) -> Study | None:
        """Return the study as it was when a trial was proposed; None if that is unknown."""
        parallel = suggestion.parallel_trials or self._study.parallel_trials
        name = json.dumps([suggestion.asked, suggestion.optimizer, parallel], sort_keys=True)
        if name not in self._studies:
            try:
                self._studies[name] = self._study.with_asked(suggestion.asked, suggestion.optimizer, parallel)
            except ValueError:
                self._studies[name] = None
        return self._studies[name]

    def _compare(
        self, engine: Engine, suggestion: Suggestion, again: Parameters, beside: Sequence[Parameters]
    ) -> Checked:
        """Compare a suggestion with the point found again, beside the points that counted as pending."""
        encoding = self._encoding
        if not again:
            return Checked(suggestion.trial, "differs", "no point is left for it")
        one, other = encoding.encode_all([suggestion.parameters, again])
        apart = [
            name
            for name, categorical, a, b in zip(encoding.names, encoding.categorical, one, other, strict=True)
            if (a != b if categorical else abs(a - b) > SAME)
        ]
        if not apart:
            return Checked(suggestion.trial, "same")
        if isinstance(engine, LedgerEngine):
            promised = engine.promises([suggestion.parameters, again], beside)
            if promised is not None and promised[0] >= promised[1] - SAME:
                return Checked(suggestion.trial, "equally good")
        shown = ", ".join(
            f"{name} is {suggestion.parameters.get(name)!r} and not {again.get(name)!r}" for name in apart[:3]
        )
        return Checked(suggestion.trial, "differs", shown)
