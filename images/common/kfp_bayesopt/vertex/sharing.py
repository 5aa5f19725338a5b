"""What the step `report` leaves in other services of Vertex AI, after the results of the study are safe in its folder.

An experiment is for people to look at: where it cannot be written, that is said, and the step goes on. A model that is
not registered is no small thing: what comes next in a pipeline would take the version before it, so the step fails.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from kfp_bayesopt import extras
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shared:
    """What a person asks for, beside the study folder.

    Attributes:
        experiment: The experiment of Vertex AI that gets a run for each trial; empty for none.
        register: The model of its Model Registry that gets a version; empty for none.
        pipeline_job: Resource name of the pipeline job that asks.
    """

    experiment: str = ""
    register: str = ""
    pipeline_job: str = ""


NOTHING = Shared()


def share_trials(shared: Shared, folder: StudyFolder, ledger: Sequence[Record]) -> None:
    """Write the trials of a study into an experiment, if one is asked for; say it where that is not possible."""
    if not shared.experiment:
        return
    with extras.needed_by("an experiment of Vertex AI", "gcs"):  # google-auth, which other studies do without
        from kfp_bayesopt.vertex.api import Api
        from kfp_bayesopt.vertex.experiments import write_runs

    try:
        said = write_runs(Api.of(shared.pipeline_job, "experiment"), shared.experiment, folder, ledger)
    except UserError as error:
        logger.warning(
            "the trials are in the study folder, but not all of them are runs of the experiment %s: %s; the same "
            "command writes what is missing",
            *(shared.experiment, error.message),
        )
    else:
        logger.info("%s", said)


def share_model(shared: Shared, folder: StudyFolder, ledger: Sequence[Record], best: Best) -> None:
    """Register the model of the best trial of a study that has succeeded, if that is asked for.

    Raises:
        UserError: It is not registered.
    """
    if not shared.register:
        return
    with extras.needed_by("the Model Registry of Vertex AI", "gcs"):
        from kfp_bayesopt.vertex.api import Api
        from kfp_bayesopt.vertex.registry import Target, register

    found = best.recommended or best
    if found.trial is None:
        raise UserError("register: a study of several objectives has no best trial; register one of its front by hand")
    record = next(each for each in ledger if each.trial == found.trial)
    try:
        said = register(Api.of(shared.pipeline_job, "register"), Target.of(shared.register), folder, record)
    except UserError as error:
        raise UserError(
            f"{error.message}\nthe results of the study are in {folder.root}; when that is mended, the same command "
            "registers the model and evaluates nothing again"
        ) from None
    logger.info("%s", said)
