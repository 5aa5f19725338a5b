"""The working folder of a trial: that of the study, or one of its own.

Frameworks write into the folder that they run in, such as `outputs/`, `lightning_logs/` and `mlruns/`; of several
trials at once that mixes. In a folder of its own, small files of the study are copies, which a trial may write over,
and larger files and folders are links. What frameworks have left there from other runs is not in it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from kfp_bayesopt.errors import UnavailableError

LARGEST_COPY = 1_000_000
"""The most bytes of a file that is copied; a larger one is data, which nobody writes over."""
LEFT_BEHIND = frozenset(
    [
        "__pycache__",
        "catboost_info",
        "checkpoints",
        "lightning_logs",
        "logs",
        "mlruns",
        "multirun",
        "out",
        "outputs",
        "runs",
        "tb_logs",
        "wandb",
    ]
)
"""Folders in which frameworks leave what they write: those of another run are none of this trial's."""


def folders_of(asked: Literal["study", "trial"], study: Path, own: Path) -> list[Path]:
    """Return the folders of an objective: first the one that it runs in, then where else files of it are.

    Args:
        asked: What `objective.folder` says.
        study: The folder of the study.
        own: The folder of the trial.

    Raises:
        UnavailableError: That of a trial cannot be made.
    """
    return [study] if asked == "study" else [working_folder(study, own), study]


def working_folder(study: Path, own: Path) -> Path:
    """Return a new folder below that of a trial, with what is in the folder of the study.

    Args:
        study: The folder of the study.
        own: The folder of the trial.

    Raises:
        UnavailableError: It cannot be made.
    """
    folder = own / "work"
    try:
        folder.mkdir()
        for path in sorted(study.iterdir()):
            if path.name.startswith(".") or (path.name in LEFT_BEHIND and path.is_dir()):
                continue
            if path.is_file() and path.stat().st_size <= LARGEST_COPY:
                shutil.copy2(path, folder / path.name)  # with its time: an old file of metrics stays an old one
            else:
                (folder / path.name).symlink_to(path.resolve())
    except OSError as error:
        raise UnavailableError(f"{folder}: the working folder of a trial cannot be made: {error.strerror}") from None
    return folder
