"""What the last step hands on to the pipeline that a study is part of: best parameters, table of trials, model."""

from __future__ import annotations

import functools
import json
import operator

from kfp_bayesopt.errors import UnavailableError, UserError
from kfp_bayesopt.exchange.formats.csv_table import csv_of
from kfp_bayesopt.folder.model import Model, model_of
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record, Trials
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.steps import REPORT
from kfp_bayesopt.steps.outputs import FOLDER, MISSING, Outputs, metrics
from kfp_bayesopt.steps.tuning import tuned
from kfp_bayesopt.store.tree import Tree


def handed_on(folder: StudyFolder, trials: Trials, best: Best) -> Outputs:
    """Return what a study that has succeeded gives; of a noisy one all of it is of the recommended trial.

    Raises:
        UnavailableError: The store does not answer.
    """
    results = (Outputs.of_results(step, folder.root, best) for step in (REPORT, tuned(REPORT)))
    given = functools.reduce(operator.or_, results) | Outputs(
        contents={"trials": csv_of(folder.study, trials.ledger)},
        about={"trials": {FOLDER: f"{folder.root}/trials.jsonl", "trials": len(trials.records)}},
    )
    chosen = best.recommended or best
    if chosen.trial is None:  # of several objectives there is a front
        return given
    record = trials.records[chosen.trial]
    values = {
        "parameters": record.parameters,
        "parameters_json": as_json(record.parameters),
        "value": record.value,
        "metrics": {
            **metrics(record.values),
            **given.values["metrics"],
            **({"recommended value": record.value} if best.recommended else {}),
        },
    }
    return given | Outputs(values=values) | _model(folder, record)


def as_json(parameters: Parameters) -> str:
    r"""Return parameters as JSON, with each digit and the same bytes everywhere.

    In ASCII, since not every database behind a pipeline keeps all of Unicode. And without `{{`: Argo replaces
    `{{workflow.name}}` in whatever a task is given. In JSON of a mapping `{{` can only be inside of a text, where
    `\u007b` is a brace too.
    """
    return json.dumps(parameters).replace("{{", r"{\u007b")


def _model(folder: StudyFolder, record: Record) -> Outputs:
    """Return the model of a trial: a folder, and an empty one where there is none, or not all of it."""
    assert record.value is not None
    known: dict[str, str | float] = {
        FOLDER: folder.output_uri(record.trial, record.evaluated),
        "trial": record.trial,
        "value": record.value,
    }
    try:
        model = model_of(folder, record)
    except UnavailableError:
        raise
    except UserError as error:  # the study is worth more than the list of its files
        model = Model(problem=error.message)
    if model.problem is not None:
        return Outputs(trees={"model": Tree()}, about={"model": {**known, MISSING: model.problem}})
    return Outputs(trees={"model": model.tree}, about={"model": {**known, "files": len(model.objects)}})
