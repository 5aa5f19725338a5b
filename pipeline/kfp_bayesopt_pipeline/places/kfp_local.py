"""Runs a compiled pipeline on this machine: KFP's own engine, the real images, a container for each trial."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from docker.types import Mount
from kfp import components, local

from kfp_bayesopt import hints, session
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.data import Data, data_of_containers
from kfp_bayesopt.folder.jobs import end_of
from kfp_bayesopt.folder.roots import local_root
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.code import code_in_image
from kfp_bayesopt.session.following import following, verdict_of
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.session.view import View
from kfp_bayesopt.steps import REPORT_PAGE
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.local import make_folder, share
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline import pipeline_file
from kfp_bayesopt_pipeline.images import Images, trial_image
from kfp_bayesopt_pipeline.places.protocol import Place
from kfp_bayesopt_pipeline.preflight.runtimes import images_that_run

LAST_LINES = 20


class KfpLocal(Place):
    """KFP's own engine on this machine, a container for each trial."""

    name = "kfp.local"
    elsewhere = "in_kfp_engine"


PLACE = KfpLocal()


def run_study(
    study_path: str,
    images_path: Path | None,
    compiled: Path | None,
    root: Path | None,
    going_on: GoingOn,
    data: str,
    view: View,
    say: Callable[[str], None],
) -> None:
    """Run the pipeline of a study to its end, and show it.

    Args:
        study_path: The study file.
        images_path: The file that names the images, where it is not the usual one.
        compiled: A pipeline to run as it is; by default the study is compiled.
        root: The study folder; `out/NAME` by default.
        going_on: How the study goes on.
        data: What the objective is given: a text or a URI.
        view: How it is shown.
        say: Shows a warning, and what a person wants to know of earlier trials.

    Raises:
        UserError: Something is wrong, the folder holds another study or is in use, or the job has failed.
    """
    study, content = Study.read(study_path)
    given = check(study, study_path, data)
    if compiled is not None:
        pipeline_file.check(compiled, study_path, content)
    images = images_that_run(study, study_path, images_path)
    folder = str(root or local_root(study))
    run_read(study, content, Path(study_path).parent, images, folder, going_on, given, view, say, compiled)


def check(study: Study, source: str, data: str) -> Data | None:
    """Refuse what KFP's engine ignores or containers do not see, and return what the objective is given.

    Args:
        study: The study.
        source: Names it in messages.
        data: What the objective is given: a text or a URI.

    Raises:
        UserError: The study asks for a machine type, or the data is a path.
    """
    given = data_of_containers(data, "a container")
    machine = study.steps.evaluate.machine_type
    if machine is not None:
        raise UserError(
            f"{source}: steps.evaluate.machine_type is {machine!r}, but machine types and spot machines work on "
            f"Vertex only; give cpu and memory instead, or run the study with `{hints.SUBMIT}`"
        )
    return given


def run_read(
    study: Study,
    content: bytes,
    beside: Path,
    images: Images,
    root: str,
    going_on: GoingOn,
    data: Data | None,
    view: View,
    say: Callable[[str], None],
    compiled: Path | None = None,
    **docker_options: Any,
) -> None:
    """Run the pipeline of a study that was read.

    Args:
        study: The study.
        content: Its study file.
        beside: The folder of the study file.
        images: The image of each step.
        root: The study folder.
        going_on: How the study goes on.
        data: What the objective is given.
        view: How it is shown.
        say: Shows a warning, and what a person wants to know of earlier trials.
        compiled: A pipeline to run as it is; by default the study is compiled.
        docker_options: Options of `docker run` for the containers, by docker-py's names.

    Raises:
        UserError: As for `run_study`.
    """
    pipeline = None if compiled else pipeline_file.compiled(study, content, images, say)
    folder = StudyFolder(root, study)
    with session.open(
        folder,
        content,
        PLACE.name,
        code=code_in_image(study, trial_image(study, images)),
        going_on=going_on,
        beside=beside,
        images=images,
        data=data,
        can_join=False,
    ) as opened:
        if opened.note:
            say(opened.note)
        with opened.shown(view, study.parallel_trials) as progress, following(folder.root, progress):
            written = compiled or pipeline_file.write(study, pipeline or b"")
            run(written, Path(folder.root), opened.job.job, **docker_options)
        progress.finish(verdict_of(folder), f"{folder.root}/{REPORT_PAGE}")


def mounts_of(study: Study) -> list[Mount]:
    """Return what trials see of this machine beside the study folder: the wheels of the packages of a function."""
    function = study.objective.function
    if function is None or function.wheels is None or not storage.is_local(function.wheels):
        return []
    return [Mount(function.wheels, function.wheels, type="bind", read_only=True)]


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
    make_folder(own)
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
        share(log)
        root.handlers, root.level = [logging.StreamHandler(file)], logging.INFO
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
        finally:
            root.handlers, root.level = before, level
