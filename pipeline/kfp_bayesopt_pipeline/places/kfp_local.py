"""Runs a compiled pipeline on this machine: KFP's own engine, the real images, a container for each trial."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docker.types import Mount
from kfp import components, local

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import end_of
from kfp_bayesopt.store import storage

LAST_LINES = 20


def run(compiled: Path, root: Path, job: str, **docker_options: Any) -> None:
    """Run a compiled pipeline in a study folder, which has the study and the job already.

    KFP's own files, and the output of it and the containers, are in `.kfp` of the study folder, which is removed when
    the job has succeeded.

    Args:
        compiled: The pipeline as YAML; it is run as it is.
        root: The study folder. The containers see it at the same path.
        job: Id of the job.
        docker_options: Options of `docker run` for the containers, by docker-py's names.

    Raises:
        UserError: The job has failed: why, or which step did, with its last lines.
    """
    folder = root.resolve()
    own = folder / ".kfp"
    storage.make_folder(own)
    mounts = [Mount(str(folder), str(folder), type="bind"), *docker_options.pop("mounts", [])]
    # The study folder is mounted with its owner on this machine, and the containers must write as that user.
    runner = local.DockerRunner(user=f"{os.getuid()}:{os.getgid()}", mounts=mounts, **docker_options)
    local.init(runner=runner, pipeline_root=str(own), enable_caching=False)
    pipeline = components.load_component_from_file(str(compiled))
    log = own / "engine.log"
    with _printing_into(log), warnings.catch_warnings():
        # It warns for each task that machines and names have no effect here.
        warnings.filterwarnings("ignore", message=".*have no effect in the current local runner.*")
        try:
            pipeline(root=str(folder), job=job)
            failure = None
        except RuntimeError as error:
            failure = f"{compiled}: {error}"
    if failure is not None:
        last = "".join(f"\n    | {line}" for line in log.read_text(errors="replace").splitlines()[-LAST_LINES:])
        failure = f"{failure}; its last lines, of {log}:{last}"
    # The reason given by the steps comes first: KFP gives none, and mistakes a container for a success if Docker
    # removed it before its status was read (`run_docker_container` in docker_task_handler.py).
    ended = end_of(str(folder), job)
    if ended is None:
        raise UserError(failure or f"{compiled}: no step has said how the job ended; run the same command again")
    if ended.state == "failed":
        raise UserError(ended.reason or f"{compiled}: the job has failed")
    if failure is not None:
        raise UserError(failure)
    shutil.rmtree(own)


@contextlib.contextmanager
def _printing_into(log: Path) -> Iterator[None]:
    """Write the log of KFP's engine into a file, with the output of the containers, which it prints."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    with log.open("w", encoding="utf-8") as file:
        storage.share(log)
        root.handlers, root.level = [logging.StreamHandler(file)], logging.INFO
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
        finally:
            root.handlers, root.level = before, level
