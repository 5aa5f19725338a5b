"""What services of Vertex AI are told of a trial, whichever resource it becomes."""

from __future__ import annotations

from kfp_bayesopt.errors import shortened
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record


def description_of(folder: StudyFolder, record: Record) -> str:
    """Return which trial it is, what came of it, and where it is kept."""
    return shortened(f"Trial {record.trial} of study {folder.study.name}: {record.outcome}. Study folder {folder.root}")


def labels_of(folder: StudyFolder) -> dict[str, str]:
    """Return the labels by which the resources of a study are found."""
    return {"study": folder.study.name, "fingerprint": folder.study.fingerprint}
