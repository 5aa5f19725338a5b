"""Runs one trial in the middle of the search space as a test of the objective: `make check`."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from kfp_bayesopt import hints, workspace
from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.folder.data import check_data, data_of_containers, read_data
from kfp_bayesopt.folder.documents import parse_document, parse_json
from kfp_bayesopt.folder.jobs import ensure_job
from kfp_bayesopt.folder.study_folder import StudyFolder, study_uri
from kfp_bayesopt.folder.trials import Record, Seen, Suggestion, digest_of
from kfp_bayesopt.space.constraints import SAMPLES, points
from kfp_bayesopt.space.parameters import Parameter, Parameters, Value, in_order, present
from kfp_bayesopt.steps import EVALUATE
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.attempt import run_trial
from kfp_bayesopt.trial.process.sessions import Sessions

JOB = "check"
"""The job of a trial that is given data."""


def middle_of(study: Study) -> Parameters:
    """Return the point in the middle of the search space, or one that keeps the constraints if that does not."""
    values = {name: _middle(parameter) for name, parameter in study.space.items()}
    middle = present(study.space, values, in_order(study.space))
    if study.keeps(middle):
        return middle
    numbers = random.Random(0)  # noqa: S311 - no secret
    return next((point for point in points(study.space, numbers, SAMPLES) if study.keeps(point)), middle)


def _middle(parameter: Parameter) -> Value:
    levels, axis = parameter.levels, parameter.axis
    if levels is not None and (axis is None or axis.kind == "linear" or levels == 1):
        return parameter.value_at((levels - 1) // 2)
    assert axis is not None
    # Not by the logarithm, which gives 0.010000000000000004.
    middle = (axis.low * axis.high) ** 0.5 if axis.log else axis.value(0.5)
    if levels is None:
        return min(max(middle, axis.low), axis.high)
    first, second = (float(str(parameter.value_at(index))) for index in (0, 1))
    return parameter.value_at(min(round((middle - first) / (second - first)), levels - 1))


def check_here(study: Study, folder: Path, data: str = "", apart: bool = False) -> Record:
    """Evaluate one trial in process and show its output; nothing of it is kept.

    Args:
        study: The study.
        folder: The folder that its objective runs in.
        data: What it is given: a text, a URI, or a path from the working folder.
        apart: Whether its output goes to standard error, for standard output is a document.
    """
    output = sys.stderr if apart else sys.stdout
    given = read_data(data, folder=Path.cwd())
    check_data(study, given)
    with tempfile.TemporaryDirectory() as temporary, Sessions() as sessions:
        checked = StudyFolder(temporary, study)
        checked.write_suggestions([_suggestion(study)])
        job = None if given is None else ensure_job(checked, JOB, study_uri(temporary, b""), given)
        record = run_trial(checked, 1, folder, sessions, job, echo=output.buffer)
        assert record is not None
        return record


def check_in(image: str, study: Study, content: bytes, data: str = "", apart: bool = False) -> Record:
    """Evaluate one trial in a container of an image and show its output.

    Args:
        image: The image.
        study: The study.
        content: Its file.
        data: What its objective is given: a text or a URI.
        apart: As of `check_here`.

    Raises:
        UserError: The image has no runtime, or Docker cannot run it.
    """
    given = data_of_containers(data, "a container")
    check_data(study, given)
    with tempfile.TemporaryDirectory() as temporary:
        folder = StudyFolder(temporary, study)
        folder.write_study(content)
        folder.write_suggestions([_suggestion(study)])
        mine = f"{os.getuid()}:{os.getgid()}"
        command = ["docker", "run", "--rm", "--user", mine, "--volume", f"{temporary}:/data", "--entrypoint"]
        command += [EVALUATE.program, image, "--root", "/data", "--study", study_uri("/data", content), "--trial", "1"]
        if given is not None:
            ensure_job(folder, JOB, study_uri(temporary, content), given)
            command += ["--job", JOB]
        try:
            ended = subprocess.run(command, stdout=2 if apart else None, stderr=subprocess.PIPE, text=True, check=False)
        except OSError:
            raise UserError(f"docker is not installed, and {hints.IN_IMAGE} needs it") from None
        files = folder.files_of(1)
        if not files.records:
            said = ended.stderr.strip().splitlines()[-3:]
            raise UserError(f"{image}: cannot run a trial: " + " ".join(said))
        uri = folder.record_uri(1, 1)
        return parse_document(Record, Path(uri).read_bytes(), uri, study)


def note_seconds(study: Study, seconds: float) -> None:
    """Note the duration of a trial, for the plan of the study."""
    storage.replace(_noted(study), json.dumps({"seconds": seconds}).encode())


def noted_seconds(study: Study) -> float | None:
    """Return the duration of the trial of `make check`; None if it has not run for this study."""
    try:
        seconds = parse_json(storage.read(_noted(study), limit=1000))["seconds"]
    except (NotFoundError, ValueError, KeyError, TypeError):
        return None
    is_time = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 1e9
    return float(seconds) if is_time else None


def _noted(study: Study) -> str:
    return str(workspace.out(study.name, f"checked-{study.fingerprint}.json"))


def result_of(record: Record) -> str:
    """Return value, metrics and seconds of a trial in a few lines."""
    parameters = " ".join(f"{name}={value}" for name, value in record.parameters.items())
    lines = [f"trial in the middle of the space: {parameters}"]
    if record.state != "failed":
        lines += [f"value {record.value!r}"] if record.value is not None else []
        lines += [f"  metric {name} = {value!r}" for name, value in record.values.items() if name != "value"]
    if record.steps is not None:
        lines.append(f"{record.steps.count} values on the way, from step {record.steps.first} to {record.steps.last}")
    lines.append(f"{record.seconds:g} s")
    return "\n".join(lines)


def warnings_of(study: Study, record: Record) -> list[str]:
    """Return warnings about features of a study that its trial does not use, and those of its record."""
    found = list(record.warnings or [])
    rule = study.early_stopping
    if rule is None or record.state == "failed":
        return found
    if record.steps is None:
        found.append(
            "early_stopping: the trial said no value on the way, so that none will be stopped; name the metric that it "
            "prints (objective.intermediate), or append to the file BAYESOPT_INTERMEDIATE"
        )
    elif record.steps.last < rule.first:
        found.append(
            f"early_stopping: the last step was {record.steps.last}, and trials are compared from step {rule.first} "
            "on; lower max_steps or min_steps"
        )
    return found


def _suggestion(study: Study) -> Suggestion:
    return Suggestion(
        study=study.name,
        fingerprint=study.fingerprint,
        trial=1,
        iteration=1,
        parameters=middle_of(study),
        seen=Seen(highest=0, ledger=digest_of([])),
        optimizer={},
        versions={},
    )
