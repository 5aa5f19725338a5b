"""Writes the trials of a study as runs of an experiment of Vertex AI, a run for each trial.

They are the resources that aiplatform's client makes, in metadata/experiment_resources.py and
experiment_run_resource.py: the experiment is a context of the schema `system.Experiment`, and its children of the
schema `system.ExperimentRun` are the runs, with parameters, metrics and state in their metadata. So `get_experiment_df`
and `ExperimentRun` of that client read them.

A run has the name of its study folder and trial: whoever writes it again finds it, and changes only what differs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.vertex import EXPERIMENT as EXPERIMENT_NAME
from kfp_bayesopt.vertex import EXPERIMENT_WORDS
from kfp_bayesopt.vertex.api import Api, Json, NotThereError, ThereError
from kfp_bayesopt.vertex.trials import description_of, labels_of

EXPERIMENT = "system.Experiment"
RUN = "system.ExperimentRun"
VERSION = "0.0.1"  # of both schemas: aiplatform.metadata.constants.SCHEMA_VERSIONS
STATES = {"completed": "COMPLETE", "failed": "FAILED", "stopped": "CANCELLED"}
"""The state of a run, of those that executions have, by that of its trial."""

MOST_OF_NAME = 36  # of a study's name in that of a run
PAGE = 1000  # contexts of a list in one answer; the service gives no more
AT_ONCE = 100  # runs that are added to their experiment by one request
MOST_EXACT = 2**53  # of integers; metadata are JSON whose numbers are all floats


def write_runs(api: Api, experiment: str, folder: StudyFolder, ledger: Sequence[Record]) -> str:
    """Write a run for each trial that has none yet or another state, and return what was written, in a sentence.

    It takes one request for each of them, one for each hundred, and two or three more.

    Args:
        api: The API of the project and region.
        experiment: Name of the experiment; it is made where there is none.
        folder: The study folder.
        ledger: Its records.

    Raises:
        UserError: Vertex AI refuses it, or does not answer. What has been written stays, and is found the next time.
    """
    if not re.fullmatch(EXPERIMENT_NAME, experiment):
        raise UserError(f"experiment: expected {EXPERIMENT_WORDS}, but got {shown(experiment)}")
    context = _experiment(api, experiment)
    known = {
        each["name"].rpartition("/")[2]: each
        for each in api.pages(
            f"{_store(api)}/contexts",
            "contexts",
            pageSize=PAGE,
            filter=f'schema_title="{RUN}" AND parent_contexts:"{context}"',
        )
    }
    written = changed = 0
    wanted = [(f"{experiment}-{run_name(folder, record)}", record) for record in ledger]
    for first in range(0, len(wanted), AT_ONCE):
        added = []
        for run, record in wanted[first : first + AT_ONCE]:
            made = run_of(folder, record)
            if (there := known.get(run)) is None:
                added.append(_create(api, run, made))
                written += 1
            elif not _says(there.get("metadata", {}), made["metadata"]):
                api.patch(f"{_store(api)}/contexts/{run}", _merged(there, made))
                changed += 1
        if added:  # before the next ones: a run that is in no experiment is seen by nobody
            api.post(f"{context}:addContextChildren", {"childContexts": added})
    counts = f"{written} new, {changed} changed, {len(wanted) - written - changed} as they were"
    return f"experiment {experiment}: a run for each of {len(wanted)} trials ({counts})"


def run_name(folder: StudyFolder, record: Record) -> str:
    """Return the name of a trial's run, which is the same whoever writes it, and that of no other trial."""
    digest = hashlib.sha256(folder.root.encode()).hexdigest()[:8]
    return f"{folder.study.name[:MOST_OF_NAME].rstrip('-')}-{digest}-{record.trial:04d}"


def run_of(folder: StudyFolder, record: Record) -> Json:
    """Return the context that is the run of a trial."""
    return {
        "displayName": run_name(folder, record),
        "schemaTitle": RUN,
        "schemaVersion": VERSION,
        "labels": labels_of(folder),
        "description": description_of(folder, record),
        "metadata": {
            "_params": {name: _parameter(value) for name, value in record.parameters.items()},
            "_metrics": dict(record.values),
            "_state": STATES[record.state],
        },
    }


def _parameter(value: Any) -> bool | float | str:
    """Return a parameter as a run can have it: the client takes numbers and text, and no integer beyond 2^53 stays."""
    is_exact = not isinstance(value, int) or -MOST_EXACT <= value <= MOST_EXACT
    return value if isinstance(value, bool | int | float | str) and is_exact else json.dumps(value)


def _store(api: Api) -> str:
    return f"{api.parent}/metadataStores/default"


def _experiment(api: Api, name: str) -> str:
    """Return the resource name of an experiment, which is made where there is none."""
    try:
        found = api.get(f"{_store(api)}/contexts/{name}")
    except NotThereError:
        body = {
            "displayName": name,
            "schemaTitle": EXPERIMENT,
            "schemaVersion": VERSION,
            "metadata": {"experiment_deleted": False},  # the console lists it by that
        }
        try:
            found = api.post(f"{_store(api)}/contexts", body, contextId=name)
        except ThereError:
            found = api.get(f"{_store(api)}/contexts/{name}")
        except NotThereError:
            raise UserError(
                f"experiment {name}: {api.parent} has no metadata store yet, which the first pipeline job there makes; "
                f'run `aiplatform.Experiment.create("{name}")` once'
            ) from None
    if found.get("schemaTitle") != EXPERIMENT or "tensorboard_link" in found.get("metadata", {}):
        raise UserError(
            f"experiment {name}: {found['name']} is there, but is no experiment ({found.get('schemaTitle')}); give "
            "another name"
        )
    return str(found["name"])


def _create(api: Api, run: str, made: Json) -> str:
    """Create a run, or replace one that was created and then not added to its experiment; return its resource name."""
    try:
        return str(api.post(f"{_store(api)}/contexts", made, contextId=run)["name"])
    except ThereError:
        return str(
            api.patch(f"{_store(api)}/contexts/{run}", {**made, "name": f"{_store(api)}/contexts/{run}"})["name"]
        )


def _says(found: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    """Tell whether a run says what it should; others may have added to it."""
    return _merged(found, made) == found


def _merged(found: Mapping[str, Any], made: Mapping[str, Any]) -> Json:
    """Return what a run should say, with what others have added to it."""
    merged = {
        key: _merged(found.get(key, {}), value) if isinstance(value, Mapping) else value for key, value in made.items()
    }
    # Without an etag it is replaced, whoever has changed it since.
    return {key: value for key, value in {**found, **merged}.items() if key != "etag"}
