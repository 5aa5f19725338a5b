"""Writes the results of a study into its folder, and decides whether the study has succeeded."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kfp_bayesopt.errors import RetainedError, UnavailableError, UserError
from kfp_bayesopt.folder.results import Best, Failures, Recommendation, ledger_lines
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study

logger = logging.getLogger(__name__)


def publish(
    folder: StudyFolder,
    ledger: Sequence[Record],
    ended: str | None = None,
    recommended: Recommendation | None = None,
    failure: str | None = None,
) -> Best:
    """Write the ledger, the best trial and the failed ones, derived from the records, and return the best one.

    Args:
        folder: The study folder.
        ledger: All records.
        ended: The reason that the study has ended before its budget was spent.
        recommended: The recommended trial of a noisy study.
        failure: The reason that the study has failed.
    """
    best = Best.of(folder.study, ledger).model_copy(update={"ended": ended, "recommended": recommended})
    for name, content in results_of(folder.study, ledger, best, failure).items():
        try:
            storage.replace(f"{folder.root}/{name}", content)
        except RetainedError as error:  # the records are safe, and the results can be made from them anywhere
            logger.warning("%s", error.message)
    return best


def show_meanwhile(folder: StudyFolder, ledger: Sequence[Record]) -> None:
    """Write interim results of a running study; if that fails, the final ones come later."""
    try:
        publish(folder, ledger)
    except UnavailableError as error:
        logger.warning("the results so far are not written: %s", error.message)


def results_of(study: Study, ledger: Sequence[Record], best: Best, failure: str | None = None) -> dict[str, bytes]:
    """Return the files of results, by name."""
    return {
        "trials.jsonl": ledger_lines(ledger),
        "failures.json": Failures.of(study, ledger).to_bytes(),
        "best.json": best.model_dump_json(indent=1).encode() + b"\n",
        "summary.md": summary(best, failure).encode(),
    }


def summary(best: Best, failure: str | None = None) -> str:
    """Return the result in a few lines of Markdown."""
    lines = [f"# {best.study}", ""]
    if not best.is_found:
        missing = best.missing or "no trial has ended"
        lines.append(f"{missing[0].upper()}{missing[1:]}.")
    elif best.front:
        lines += _front(best)
    else:
        lines += [f"Best value **{best.value!r}** in trial {best.trial}.", "", *_table(best.parameters or {})]
    if best.metrics:
        lines += ["| metric | value |", "|---|---|", *_rows(best.metrics), ""]
    if recommended := best.recommended:
        lines += [
            f"Recommended, because the study is noisy: trial {recommended.trial}, whose mean by the model is "
            f"{recommended.mean:.6g}.",
            "",
            *_table(recommended.parameters),
        ]
    if best.recorded <= best.trials:
        lines += ["", f"{best.completed} of {best.trials} trials completed, {best.not_completed}."]
    else:  # the budget is smaller now
        lines += ["", f"{best.completed} trials completed, {best.not_completed}; the budget is {best.trials}."]
    if best.outside:
        one = " or ".join(f"a {kind.removesuffix('s')}" for kind in best.outside_of or ["limits"])
        lines += ["", f"{best.outside} of the completed ones {'breaks' if best.outside == 1 else 'break'} {one}."]
    said = [
        best.models_missing,
        f"the trials have cost about {best.cost:.2f}" if best.cost is not None else None,
        f"ended early: {best.ended}" if best.ended else None,
        f"the study has failed: {failure}" if failure else None,
    ]
    for sentence in filter(None, said):
        lines += ["", f"{sentence[0].upper()}{sentence[1:]}."]
    return "\n".join(lines) + "\n"


def _front(best: Best) -> list[str]:
    """Return a table of the front, one trial a row."""
    front = best.front or []
    names, parameters = list(front[0].values), list(dict.fromkeys(name for each in front for name in each.parameters))
    heads = ["trial", *(f"`{name}`" for name in (*names, *parameters))]
    lines = [f"{best}:", "", _row(heads), _row(["---"] * len(heads))]
    for each in front:
        cells = [each.values.get(name) for name in names] + [each.parameters.get(name) for name in parameters]
        lines.append(_row([str(each.trial), *("" if cell is None else f"`{_cell(cell)}`" for cell in cells)]))
    return [*lines, "", f"Hypervolume **{best.hypervolume:.6g}**, up to {_named(best.reference or {})}.", ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _named(values: Mapping[str, float]) -> str:
    return ", ".join(f"`{name}` {value:.6g}" for name, value in values.items())


def _table(parameters: Parameters) -> list[str]:
    return ["| parameter | value |", "|---|---|", *_rows(parameters), ""]


def _rows(cells: Mapping[str, object]) -> list[str]:
    return [f"| `{name}` | `{_cell(value)}` |" for name, value in cells.items()]


def _cell(value: object) -> str:
    return json.dumps(value).replace("|", "\\|").replace("`", "\\u0060")


@dataclass(frozen=True)
class Verdict:
    """Whether a study has succeeded.

    Attributes:
        best: The best trial, and the numbers of trials.
        failure: The reason it has failed, in one sentence; None if it has succeeded.
        advice: Sentences of advice, the most important one first.
    """

    best: Best
    failure: str | None
    advice: tuple[str, ...] = ()

    def best_of_success(self) -> Best:
        """Return the best trial of a study that has succeeded.

        Raises:
            UserError: It has failed.
        """
        if self.failure is not None:
            raise UserError(self.failure)
        return self.best


def judge(best: Best, failed: str | None, unfinished: int) -> Verdict:
    """Decide whether a study has succeeded.

    Args:
        best: The best trial.
        failed: The reason that its job has failed, if a step found one.
        unfinished: The number of trials of the budget that have not ended, unless the study was ended early.
    """
    if failed is None:
        failed = best.missing
    if failed is None and unfinished:
        done = best.trials - unfinished
        failed = f"{done} of {best.trials} trials have ended; run the same command again to finish"
    return Verdict(best, failed)
