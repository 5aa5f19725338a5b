"""Writes the compose file that runs a study in containers, one for each trial, on a fake Cloud Storage."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.importing import collect
from kfp_bayesopt.folder.data import Data, check_data, data_of_containers
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.earlier import NAME, lines_of
from kfp_bayesopt.folder.jobs import end_of
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.roots import move_aside
from kfp_bayesopt.folder.study_folder import StudyFolder, study_uri
from kfp_bayesopt.runtime import BIN
from kfp_bayesopt.steps import INIT, REPORT, STEPS, Step, step_given, trial_step
from kfp_bayesopt.steps.chain import Chain
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.local import make_folder, remove_empty
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.workspace import STUDY_FILE
from kfp_bayesopt_pipeline import shipped
from kfp_bayesopt_pipeline.images import Images, images_used
from kfp_bayesopt_pipeline.places.protocol import Place

HEADER = """\
# Written by `make generate` from {study}; change kfp_bayesopt_pipeline/places/compose.py instead.
# Runs the whole chain in containers, one for each trial, through gs:// paths on a fake Cloud Storage:
#   docker compose -f docker-compose.test.yml up
# Images are built each time, from what has changed; an old one never runs.
# It ends by itself: when `result` has printed the best trial, or with status 1 when a step has failed.
# What is left then goes with `docker compose -f docker-compose.test.yml down`.
name: {project}

# As little as a cluster may allow: any user, nothing written outside the storage, not even to /tmp.
x-confined: &confined
  user: "12345"
  read_only: true
  cap_drop: [ALL]
  security_opt: [no-new-privileges]
x-step: &step
  <<: *confined
  environment: {{STORAGE_EMULATOR_HOST: "http://gcs:9023"}}
{anchors}x-done: &done {{condition: service_completed_successfully}}

services:
  gcs:
    <<: *confined
    build: {gcs}
    pull_policy: build
    image: kfp-bayesopt/gcs:test
    volumes: [/srv/data]
    init: false # `result` stops process 1, which must be the server itself
    healthcheck:
      test: [CMD, python, -c, "import urllib.request as r; r.urlopen('http://127.0.0.1:9023/storage/v1/b/bayesopt')"]
      interval: 1s
      retries: 60

  study: # uploads the study file
    <<: *{trial}
{build}    volumes: [{volume}]
    command: [{copy}, /studies/{file}, {uri}]
    depends_on: {{gcs: {{condition: service_healthy}}}}

"""

UPLOAD = """\
  {service}: # uploads a file of the study folder
    <<: *{trial}
    volumes: [{volume}]
    command: [{copy}, /{name}, {root}/{name}]
    depends_on: {{gcs: {{condition: service_healthy}}}}

"""
FOOTER = """\
  result: # prints the best trial and stops the fake Cloud Storage
    <<: *{trial}
    pid: "service:gcs"
    command: [sh, -c, "{copy} {best} - && kill -INT 1"]
    depends_on: {{{last}: *done}}
"""
FREE = """\
x-trial: &trial {{environment: {{STORAGE_EMULATOR_HOST: "http://gcs:9023"}}, image: {image}{volumes}}}
"""
BUILT = """\
    build: {{context: images, dockerfile: {step}/Dockerfile}}
    pull_policy: build
"""
COPY = f"{BIN}/copy"
FAKE_STORAGE = "pipeline/kfp_bayesopt_pipeline/places/fake_storage"
"""The recipe of the fake Cloud Storage in the checkout, where the compose file of tests lies."""
FOLDER = "/srv/data"
"""The folder of buckets in the fake Cloud Storage."""
SECONDS_BETWEEN_LOOKS = 2.0
LAST_LINES = 20


class Compose(Place):
    """Containers of Docker Compose, on a fake Cloud Storage."""

    name = "compose"
    elsewhere = "in_compose"


PLACE = Compose()


def compose_file(
    study_path: Path, images: Images | None = None, along: Mapping[str, Path] | None = None, data: str = ""
) -> str:
    """Return the compose file of a study.

    Args:
        study_path: The study file; its absolute path if images are given.
        images: The image of each step; by default they are built from the repository, and the study lies there too.
        along: Files that the study folder begins with, by their names in it.
        data: The text that the objective is given.
    """
    study = Study.from_file(study_path)
    root = f"gs://bayesopt/{study.name}"
    chain = Chain(study_uri(root, study_path.read_bytes()), root, PLACE.name)
    trials = trial_step(study.schedule)
    used = images_used(study, images or {step: f"kfp-bayesopt/{step}:test" for step in STEPS})
    anchors = "".join(f"x-{step}: &{step} {{<<: *step, image: {json.dumps(image)}}}\n" for step, image in used.items())
    if images is not None:  # code of a person may write where its image lets it
        anchors += FREE.format(image=json.dumps(used[trials.name]), volumes=_volumes(study))
    anchor_of_trials = trials.name if images is None else "trial"
    text = HEADER.format(
        study=study_path,
        project="kfp-bayesopt-test" if images is None else project_of(study),
        gcs=FAKE_STORAGE if images is None else json.dumps(str(shipped.FAKE_STORAGE)),
        build=BUILT.format(step=trials.name) if images is None else "",
        volume=json.dumps(f"{'' if study_path.is_absolute() else './'}{study_path.parent}:/studies:ro"),
        file=json.dumps(study_path.name)[1:-1],
        uri=chain.study,
        anchors=anchors,
        trial=trials.name,
        copy=COPY,
    )
    # Each image is built once, the first by `study`.
    built = {trials.name} if images is None else set(STEPS)
    after = ["study"]
    for name, file in (along or {}).items():
        service_name = f"upload-{len(after)}"
        volume = json.dumps(f"{file.resolve()}:/{name}:ro")
        text += UPLOAD.format(
            service=service_name, trial=anchor_of_trials, volume=volume, copy=COPY, name=name, root=root
        )
        after.append(service_name)

    def service(name: str, step: Step, arguments: list[str]) -> str:
        build = BUILT.format(step=step.name) if step.name not in built else ""
        built.add(step.name)
        depends = ", ".join(f"{other}: *done" for other in after)
        return (
            f"  {name}:\n"
            f"    <<: *{anchor_of_trials if step is trials else step.name}\n"
            f"{build}"
            f"    command: {json.dumps([step.program, *arguments])}\n"
            f"    depends_on: {{{depends}}}\n\n"
        )

    text += service(INIT.name, INIT, [*chain.arguments(INIT), *(["--data", _escaped(data)] if data else [])])
    after = [INIT.name]
    for stage in SCHEDULES[study.schedule].stages(study):
        step = step_given(stage.given)
        names = {
            f"{step.name}-{stage.iteration if stage.at_once is None else number}": number for number in stage.numbers
        }
        for name, number in names.items():
            text += service(name, step, chain.arguments(step, number))
        after = list(names)
    text += service(REPORT.name, REPORT, chain.arguments(REPORT))
    return text + FOOTER.format(best=f"{root}/best.json", last=REPORT.name, trial=trials.name, copy=COPY)


def _text_of(data: str) -> Data | None:
    """Return the data of trials in containers that reach no store but their own.

    Raises:
        UserError: It is a path, or the URI of another one.
    """
    given = data_of_containers(data, "a container")
    if given is not None and given.kind != "text":
        raise UserError(
            f"data: {given}: the containers reach no store but their own; give a text, or run the study here"
        )
    return given


def _escaped(text: str) -> str:
    """Return a text in which Compose fills in nothing."""
    return text.replace("$", "$$")


def project_of(study: Study) -> str:
    """Return Compose's name of a study's containers."""
    return f"kfp-bayesopt-{study.name}"


def _volumes(study: Study) -> str:
    """Return what trials see of this machine: the wheels of the packages of a function."""
    function = study.objective.function
    if function is None or function.wheels is None or not storage.is_local(function.wheels):
        return ""
    return f", volumes: {json.dumps([f'{function.wheels}:{function.wheels}:ro'])}"


def run(study: Study, study_path: Path, images: Images, target: Path, data: str = "") -> Best:
    """Run a study file in containers to its end, and return the best trial; their output is shown.

    Args:
        study: The study.
        study_path: Its file.
        images: The image of each step.
        target: The folder for the copy; an existing one is moved aside when there is something to copy.
        data: What the objective is given: a text.

    Raises:
        UserError: Docker cannot run it, or a step has failed.
    """
    return run_read(study, study_path.read_bytes(), study_path.parent, images, target, data)


def run_read(
    study: Study,
    content: bytes,
    beside: Path,
    images: Images,
    target: Path,
    data: str = "",
    look: Callable[[str], None] | None = None,
) -> Best:
    """Run a study in containers to its end, copy its study folder to this machine, and return the best trial.

    Args:
        study: The study.
        content: Its study file.
        beside: The folder of the study file, from which it names the sources of earlier trials.
        images: The image of each step.
        target: The folder for the copy; an existing one is moved aside when there is something to copy.
        data: What the objective is given: a text.
        look: Is called with a copy of the study folder as it is meanwhile. By default the output of the containers is
            shown instead.

    Raises:
        UserError: Docker cannot run it, or a step has failed.
    """
    check_data(study, given := _text_of(data))
    trials = collect(study, study.warm_start, beside, given)
    along = StudyFolder(str(target), study).code | ({NAME: lines_of(trials)} if trials else {})
    own, fetched = target.with_name(f".{target.name}.compose"), target.with_name(f".{target.name}.fetched")
    file, study_path, log = own / "compose.yaml", own / STUDY_FILE, own / "log.txt"
    compose = ["docker", "compose", "--file", str(file)]

    def fetch() -> bool:
        make_folder(fetched)
        source = f"gcs:{FOLDER}/bayesopt/{study.name}/."
        return subprocess.run([*compose, "cp", source, str(fetched)], capture_output=True, check=False).returncode == 0

    made = make_folder(target.parent)
    try:
        shutil.rmtree(own, ignore_errors=True)
        storage.replace(str(study_path), content)
        for name, each in along.items():
            storage.replace(str(own / name), each)
        uploaded = {name: own / name for name in along}
        storage.replace(str(file), compose_file(study_path.resolve(), images, uploaded, data).encode())
        up = [*compose, "up", "--force-recreate", "--renew-anon-volumes"]
        status = _shown(up) if look is None else _followed(up, log, lambda: fetch() and look(str(fetched)))
        last = _last_lines(log) if status and look is not None else ""
        shutil.rmtree(fetched, ignore_errors=True)
        is_copied = fetch()
        if is_copied:  # else there is nothing to put in the place of what is there
            move_aside(target)
            shutil.copytree(fetched, target, dirs_exist_ok=True)
    except FileNotFoundError:
        raise UserError("docker is not installed, and containers need it") from None
    except OSError as error:
        raise UserError(f"{target}: {error.strerror or error}; check the path and the disk") from None
    finally:
        with contextlib.suppress(OSError):
            subprocess.run([*compose, "down", "--volumes", "--remove-orphans"], capture_output=True, check=False)
        shutil.rmtree(own, ignore_errors=True)
        shutil.rmtree(fetched, ignore_errors=True)
        remove_empty(made)
    reason = end_of(str(target), PLACE.name) if is_copied else None
    if reason is not None and reason.state == "failed":
        raise UserError(reason.reason or "the study has failed")
    if status or not is_copied:
        raise UserError(f"the containers of {study.name} did not end well; {last or 'their output stands above'}")
    return read_document(Best, f"{target}/best.json")


def _shown(command: list[str]) -> int:
    """Run Compose with its output, and return its status."""
    return subprocess.run(command, check=False).returncode


def _followed(command: list[str], log: Path, look: Callable[[], object]) -> int:
    """Run Compose with its output in a file, look at the study from time to time, and return its status."""
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as up:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return up.wait(SECONDS_BETWEEN_LOOKS)
                look()
        except BaseException:
            up.terminate()
            raise


def _last_lines(log: Path) -> str:
    """Return the last lines of a file for a message."""
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    return "their last lines:" + "".join(f"\n    | {line}" for line in lines)
