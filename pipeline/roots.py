"""Where a study lives: in a bucket its folder follows from what identifies it, here it is a folder of results."""

from __future__ import annotations

import contextlib
import itertools
import re
from datetime import datetime
from pathlib import Path

from bayesopt import storage
from bayesopt.study import Study

_RUN = re.compile(r"\d{4,9}")


def home_of_studies(pipeline_root: str) -> str:
    """Return the prefix of all studies below a pipeline root."""
    return f"{pipeline_root.rstrip('/')}/studies"


def root_of(pipeline_root: str, study: Study, fresh: bool = False) -> str:
    """Return the folder of a study below a pipeline root: that of its highest run, or of the next one.

    Raises:
        UserError: The bucket cannot be listed.
    """
    home = f"{home_of_studies(pipeline_root)}/{study.name}/{study.fingerprint}"
    highest = max((int(run) for run in runs_below(home)), default=0)
    return f"{home}/{max(1, highest + fresh):04d}"


def runs_below(home: str) -> list[str]:
    """Return the names of the runs of a study, the first one first."""
    return sorted((name for name in storage.folders(f"{home}/") if _RUN.fullmatch(name)), key=int)


def local_root(study: Study, out: Path | None = None) -> str:
    """Return the folder of a study on this machine."""
    return str(out or Path("out") / study.name)


def move_aside(folder: Path) -> None:
    """Move what a folder holds to a new folder beside it, named by the time; hidden files stay."""
    kept = [item for item in folder.iterdir() if not item.name.startswith(".")] if folder.is_dir() else []
    if not kept:
        return
    name = f"{folder}.{datetime.now().astimezone():%Y-%m-%dT%H-%M-%S}"
    for aside in (Path(name + end) for end in itertools.chain([""], (f"-{n}" for n in itertools.count(2)))):
        with contextlib.suppress(FileExistsError):
            aside.mkdir()
            break
    for item in kept:
        item.rename(aside / item.name)
