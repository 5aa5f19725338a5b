"""Writes the trials of a study as runs of MLflow: a parent run, and below it a run for each trial.

A run is found again by its tags: the study, and the number of the trial. It is whole when its status is that of
the trial, which is written last; what a killed fold has begun, the next one completes. Parameters and points of metrics
that are there already are no doubles for the server, as their times are those of the trial and not of the writing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from kfp_bayesopt.errors import DamagedError, NotFoundError, UserError, shortened
from kfp_bayesopt.exchange.exporters.mlflow_api import AT_ONCE, AbsentError, Api, Json, ThereError
from kfp_bayesopt.folder import roots
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Claim, Curve, Record, Trials
from kfp_bayesopt.study.export import Mlflow
from kfp_bayesopt.version import __version__

STATES = {"completed": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
"""The status of a run by the state of its trial."""
ENDED = frozenset(STATES.values())
OURS = "kfp-bayesopt"
STUDY, TRIAL, ATTEMPT = f"{OURS}.study", f"{OURS}.trial", f"{OURS}.attempt"
PARENT = "mlflow.parentRunId"
RUN_ID = "MLFLOW_RUN_ID"
"""The variable with the run that this one belongs to, as MLflow's own client reads it."""
CURVE = "intermediate"
MOST_POINTS = 850  # of one request; the server takes 1,000 entries with parameters and tags
MOST_PARAMETERS = 100
MOST_VERSIONS = 1000
LONGEST_PARAMETER, LONGEST_TAG = 500, 5000


def fold(folder: StudyFolder, trials: Trials, best: Best, asked: Mlflow) -> str:
    """Write a run for each trial that has none yet or another state, and return what was written, in a sentence.

    It takes three requests for each of them.

    Raises:
        UserError: The server refuses it, or does not answer. What has been written stays, and is found the next time.
    """
    api = Api(asked.uri)
    experiment = _experiment(api, asked.experiment or folder.study.name)
    key = _key(folder)
    search = {"experiment_ids": [experiment], "filter": f"tags.`{STUDY}` = '{key}'"}
    known = {_tags(run).get(TRIAL): run for run in api.pages("runs/search", "runs", **search)}
    parent = _parent(api, experiment, folder, key, trials, known.get("study"))
    wanted = [each for each in trials.ledger if not _is_whole(known.get(str(each.trial)), each)]
    curves = {curve.trial: curve for curve in folder.read_curves(wanted)}
    ids = {name: _id(run) for name, run in known.items() if name is not None}

    def write(record: Record) -> None:
        trial = str(record.trial)
        if trial not in ids:
            name, tags = f"{folder.study.name}-{record.trial:04d}", {STUDY: key, TRIAL: trial, PARENT: parent}
            ids[trial] = _created(api, experiment, name, _milliseconds(record.started), tags)
        run_id = ids[trial]
        for entries in _entries(record, curves.get(record.trial)):
            api.post("runs/log-batch", run_id=run_id, **entries)
        api.post("runs/update", run_id=run_id, status=STATES[record.state], end_time=_ended(record))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(write, wanted):
            pass
    _conclude(api, folder, parent, trials, best, known.get("study"))
    registered = f"; {_register(api, asked.model, folder, key, trials, best, ids)}" if asked.model else ""
    new = sum(str(each.trial) not in known for each in wanted)
    counts = f"{new} new, {len(wanted) - new} changed, {len(trials.ledger) - len(wanted)} as they were"
    return f"MLflow at {asked.uri}: a run for each of {len(trials.ledger)} trials ({counts}){registered}"


def _key(folder: StudyFolder) -> str:
    """Return what identifies the study here: the same wherever its folder is copied to, and however that is named.

    Two studies may lie in folders of the same name, on two machines or below two working folders.
    """
    try:
        identity = read_document(Claim, folder.claim_uri(1, 1), folder.study).token
    except (NotFoundError, DamagedError):  # its trials were written by hand, or by an earlier release
        identity = roots.absolute(folder.root)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _experiment(api: Api, name: str) -> str:
    """Return the id of an experiment, which is made where there is none."""
    try:
        found = api.get("experiments/get-by-name", experiment_name=name)["experiment"]
    except AbsentError:
        try:
            return str(api.post("experiments/create", name=name)["experiment_id"])
        except ThereError:  # somebody else has made it meanwhile
            found = api.get("experiments/get-by-name", experiment_name=name)["experiment"]
    if found.get("lifecycle_stage") == "deleted":
        raise UserError(
            f"MLflow at {api.uri}: the experiment {name} is deleted; restore it, or name another one: "
            "export: {mlflow: {experiment: NAME}}"
        )
    return str(found["experiment_id"])


def _parent(api: Api, experiment: str, folder: StudyFolder, key: str, trials: Trials, known: Json | None) -> str:
    """Return the id of the run of the study, which is made where there is none."""
    if known is not None:
        return _id(known)
    tags = {STUDY: key, TRIAL: "study", f"{OURS}.fingerprint": folder.study.fingerprint, f"{OURS}.version": __version__}
    if above := os.environ.get(RUN_ID):
        tags[PARENT] = above
    started = min((_milliseconds(each.started) for each in trials.ledger), default=0)
    return _created(api, experiment, folder.study.name, started, tags)


def _created(api: Api, experiment: str, name: str, started: int, tags: Mapping[str, str]) -> str:
    """Create a run, and return its id."""
    made = api.post("runs/create", experiment_id=experiment, run_name=name, start_time=started, tags=_pairs(tags))
    return _id(made["run"])


def _entries(record: Record, curve: Curve | None) -> Iterator[Json]:
    """Yield what a run says of a trial, in requests of a size that the server takes."""
    at = _ended(record)
    points = [_point(name, value, at, 0) for name, value in record.values.items()]
    if curve is not None:
        points += [_point(CURVE, value, at, step) for step, value in zip(curve.steps, curve.values, strict=True)]
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in record.parameters.items()}
    params = [{"key": _name(name), "value": shortened(text, LONGEST_PARAMETER)} for name, text in texts.items()]
    tags = {ATTEMPT: str(record.attempt), f"{OURS}.state": record.state}
    if record.reason is not None:
        tags[f"{OURS}.reason"] = shortened(record.reason.message, LONGEST_TAG)
    yield {"metrics": points[:MOST_POINTS], "params": params[:MOST_PARAMETERS], "tags": _pairs(tags)}
    for first in range(MOST_POINTS, len(points), MOST_POINTS):
        yield {"metrics": points[first : first + MOST_POINTS]}
    for first in range(MOST_PARAMETERS, len(params), MOST_PARAMETERS):
        yield {"params": params[first : first + MOST_PARAMETERS]}


def _is_whole(run: Json | None, record: Record) -> bool:
    if run is None or run["info"].get("status") != STATES[record.state]:
        return False
    return _tags(run).get(ATTEMPT) == str(record.attempt)


def _conclude(api: Api, folder: StudyFolder, parent: str, trials: Trials, best: Best, known: Json | None) -> None:
    """Say in the run of the study which trial is the best, and that it has ended."""
    study = folder.study
    ended = max(map(_ended, trials.ledger), default=0)
    tags = {f"{OURS}.done": f"{best.done} of {study.budget}"}
    metrics: list[Json] = []
    if best.value is not None:
        tags[f"{OURS}.best"] = str(best.trial)
        metrics = [_point(f"best_{name}", best.value, ended, best.done) for name in study.goals]
    status = "FINISHED" if best.done >= study.budget or best.ended else "RUNNING"
    if known is None or not tags.items() <= _tags(known).items():
        api.post("runs/log-batch", run_id=parent, metrics=metrics, tags=_pairs(tags))
    if known is None or known["info"].get("status") != status:
        api.post("runs/update", run_id=parent, status=status, **({"end_time": ended} if status in ENDED else {}))


def _register(
    api: Api, name: str, folder: StudyFolder, key: str, trials: Trials, best: Best, ids: Mapping[str, str]
) -> str:
    """Register the model of the best trial as a version of a model, unless it is one already."""
    record = trials.records.get(best.trial) if best.trial is not None else None
    if record is None:
        return f"model {name}: no version, as no trial is the best"
    manifest = folder.read_manifest(record.trial, record.evaluated)
    if manifest is None or not manifest.files:
        return f"model {name}: no version, as trial {record.trial} wrote no file to BAYESOPT_OUTPUT"
    source = folder.output_uri(record.trial, record.evaluated)
    with contextlib.suppress(ThereError):
        api.post("registered-models/create", name=name)
    quoted = name.replace("'", "''")
    for version in api.get("model-versions/search", filter=f"name = '{quoted}'", max_results=MOST_VERSIONS).get(
        "model_versions", []
    ):
        if _tags(version).get(TRIAL) == f"{key}/{record.trial}":
            return f"model {name}: trial {record.trial} is version {version['version']} already"
    files = [each.name for each in manifest.files]
    described = {"parameters": record.parameters, "values": record.values, "files": files}
    made = api.post(
        "model-versions/create", name=name, source=source, run_id=ids[str(record.trial)],
        description=shortened(json.dumps(described), LONGEST_TAG),
        tags=_pairs({TRIAL: f"{key}/{record.trial}", f"{OURS}.fingerprint": folder.study.fingerprint}),
    )["model_version"]  # fmt: skip
    return f"model {name}: trial {record.trial} is version {made['version']}"


def _id(run: Json) -> str:
    return str(run["info"]["run_id"])


def _tags(tagged: Json) -> dict[str, str]:
    """Return the tags of a version, or of a run, which has them in its data."""
    return {each["key"]: each.get("value", "") for each in tagged.get("data", tagged).get("tags", [])}


def _pairs(tags: Mapping[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _point(name: str, value: float, at: int, step: int) -> Json:
    return {"key": _name(name), "value": value, "timestamp": at, "step": step}


def _name(name: str) -> str:
    """Return a name as MLflow takes it: letters, digits, `_`, `-`, `.`, spaces, `:` and `/`, as that of a file."""
    taken = re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)[:250]
    is_file = posixpath.normpath(f"_/{taken}") == f"_/{taken}" and not taken.startswith("..")
    return taken if is_file else re.sub("[./]", "_", taken)


def _ended(record: Record) -> int:
    return _milliseconds(record.started) + round(record.seconds * 1000)


def _milliseconds(time: Any) -> int:
    return round(datetime.fromisoformat(str(time)).timestamp() * 1000)
