"""Puts the model of a trial into the Model Registry of Vertex AI, as a version of a model.

The version has the folder of the trial as its artifact, which it keeps for ever: by that it is known whether the trial
of this study folder is registered already.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from kfp_bayesopt.errors import UnavailableError, UserError, shown
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.vertex import MODEL, MODEL_WORDS
from kfp_bayesopt.vertex.api import Api, Json, NotThereError
from kfp_bayesopt.vertex.trials import description_of, labels_of

LOOKS = 120.0
"""The seconds after which a version whose upload was not answered would be there."""
LONGEST = 30 * 60.0
"""The seconds that an upload may take: Vertex copies the image that serves the model."""
PAUSE = 5.0


@dataclass(frozen=True)
class Target:
    """What a person asks for.

    Attributes:
        name: Id of the model.
        image: The image that serves it; None for an artifact alone.
    """

    name: str
    image: str | None = None

    @classmethod
    def of(cls, text: str) -> Target:
        """Read what a person has written.

        Raises:
            UserError: It is not of that form.
        """
        if (found := re.fullmatch(MODEL, text)) is None:
            raise UserError(f"register: expected {MODEL_WORDS}, but got {shown(text)}")
        return cls(found["name"], found["image"])


def register(api: Api, target: Target, folder: StudyFolder, record: Record) -> str:
    """Register the model of a trial, unless it is a version already, and return what is there, in a sentence.

    Args:
        api: The API of the project and region.
        target: The model.
        folder: The study folder, in a bucket of Google.
        record: The trial.

    Raises:
        UserError: The trial has no model, or Vertex AI refuses it, or does not answer.
    """
    uri = folder.output_uri(record.trial, record.evaluated)
    if not uri.startswith("gs://"):
        raise UserError(f"register: Vertex AI reads models from gs://, but the study folder is {folder.root}")
    if record.output_missing:
        raise UserError(f"register: the model of trial {record.trial} is missing: {record.output_missing}")
    manifest = folder.read_manifest(record.trial, record.evaluated)
    if manifest is None or not manifest.files:
        raise UserError(
            f"register: trial {record.trial} wrote no model; have the objective save it into BAYESOPT_OUTPUT"
        )
    model = f"{api.parent}/models/{target.name}"
    versions = _versions(api, model)
    version, how = _with(uri, versions), "is registered already"
    if version is None:
        described = _described(api, target, folder, record, uri)
        version, how = _upload(api, model, target, versions, described), "is registered"
    return f"model {target.name}: trial {record.trial} {how}, as version {version} of {model}"


def _described(api: Api, target: Target, folder: StudyFolder, record: Record, uri: str) -> Json:
    described: Json = {
        "displayName": target.name,
        "versionAliases": ["default"],  # as the client does: who asks for no version gets the newest one
        "versionDescription": description_of(folder, record),
        "artifactUri": uri,
        "labels": {**labels_of(folder), "trial": str(record.trial)},
    }
    if target.image is not None:
        described["containerSpec"] = {"imageUri": target.image}
    if api.pipeline_job and (key := api.get(api.pipeline_job).get("encryptionSpec")):
        described["encryptionSpec"] = key  # the job's is what a person has asked for
    return described


def _versions(api: Api, model: str) -> list[Json] | None:
    """Return the versions of a model; None if there is no such model."""
    try:
        return list(api.pages(f"{model}:listVersions", "models"))
    except NotThereError:
        return None


def _with(uri: str, versions: list[Json] | None) -> str | None:
    """Return the id of the version that has an artifact; None if there is none."""
    found = (each for each in versions or [] if each.get("artifactUri", "").rstrip("/") == uri)
    return next((str(each["versionId"]) for each in found), None)


def _upload(api: Api, model: str, target: Target, versions: list[Json] | None, described: Json) -> str:
    """Upload a version, or the first one of a new model, and return its id.

    Where no answer comes, it may have been taken: an upload has no id. So it is looked for before it is sent again.
    """
    place: Json = {"modelId": target.name} if versions is None else {"parentModel": model}
    if versions:  # a model of other people keeps its name
        described = {**described, "displayName": versions[-1].get("displayName") or target.name}
    for left in (2, 1, 0):
        try:
            operation = api.post(f"{api.parent}/models:upload", {**place, "model": described}, is_repeatable=False)
            return _finished(api, model, operation)
        except UnavailableError:
            if not left:
                raise
            time.sleep(LOOKS)
            if (version := _with(described["artifactUri"], _versions(api, model))) is not None:
                return version
        except UserError as error:
            raise UserError(error.message + _way_out(target)) from None
    raise AssertionError("the last try returns or raises")


def _finished(api: Api, model: str, operation: Json) -> str:
    """Wait for the end of an upload, and return the id of its version."""
    ends = time.monotonic() + LONGEST
    while not operation.get("done"):
        if time.monotonic() > ends:
            raise UserError(
                f"{model}: the upload of its version has not ended within {LONGEST / 60:.0f} minutes; its operation is "
                f"{operation['name']}"
            )
        time.sleep(PAUSE)
        operation = api.get(operation["name"])
    if (fault := operation.get("error")) is not None:
        raise UserError(f"{model}: Vertex AI has not taken the version: {fault.get('message')}")
    return str(operation["response"].get("modelVersionId", 1))


def _way_out(target: Target) -> str:
    if target.image is not None:
        return ""
    return f"; where it asks for a container, give the image that serves the model: {target.name}=IMAGE"
