"""What the stand-in for Vertex AI keeps beside its jobs: contexts of ML Metadata, and models with their versions.

Bodies are read by the types of aiplatform's client, which refuse a field that there is not, and answers are written by
them: numbers of metadata are floats then, as in a `Struct`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from google.cloud.aiplatform_v1.types import Context, Model

Json = dict[str, Any]
Query = dict[str, list[str]]

PROJECT_NUMBER = "123456789"
NOW = "2026-01-01T00:00:00Z"


class RefusedError(Exception):
    """An answer of the API that is no success."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def _read(kind: type[Context | Model], body: Json) -> Json:
    """Return a body as the API understands it, and would give it back."""
    try:
        message = kind.from_json(json.dumps(body))
    except Exception as error:
        raise RefusedError(400, "INVALID_ARGUMENT", str(error)) from None
    found: Json = json.loads(kind.to_json(message, use_integers_for_enums=False, including_default_value_fields=False))
    return found


def _missing(what: str) -> RefusedError:
    return RefusedError(404, "NOT_FOUND", f"{what} is not found")


class Contexts:
    """The contexts of the default metadata store.

    Attributes:
        known: Each by its id; their parents are resource names.
        closed: Whether nothing can be added to a context.
        is_made: Whether the store is there: the first pipeline job makes it.
    """

    def __init__(self) -> None:
        self.known: dict[str, Json] = {}
        self.closed = False
        self.is_made = True

    def children(self, name: str) -> list[str]:
        """Return the ids of the children of a context, in the order in which they were added."""
        return [child for child, each in self.known.items() if self._has_parent(each, name)]

    def answer(self, method: str, path: str, query: Query, body: Json) -> Json:
        """Answer a request for a path below a metadata store."""
        if not self.is_made:
            raise _missing("metadata store default")
        store, _, rest = path.partition("/metadataStores/default")
        # Names come back with the number of the project, whatever it was asked by.
        store = re.sub(r"^projects/[^/]+", f"projects/{PROJECT_NUMBER}", store) + "/metadataStores/default"
        name, _, verb = rest.removeprefix("/contexts").removeprefix("/").partition(":")
        if not rest:
            return {"name": store}
        if not rest.startswith("/contexts"):
            return self._of_nobody(rest)
        if verb == "addContextChildren":
            return self._add(name, body["childContexts"])
        if method == "POST":
            return self._create(store, query["contextId"][0], body)
        if not name:
            return self._list(query)
        if name not in self.known:
            raise _missing(f"context {name}")
        if method == "PATCH":
            self.known[name] = {**_read(Context, body), "name": f"{store}/contexts/{name}"} | {
                "parentContexts": self.known[name].get("parentContexts", [])
            }
        return self.known[name]

    @staticmethod
    def _of_nobody(rest: str) -> Json:
        """Answer for artifacts and executions, which nobody makes here."""
        kind, _, name = rest.removeprefix("/").partition("/")
        if name:
            raise _missing(f"{kind} {name}")
        return {}

    def _create(self, store: str, name: str, body: Json) -> Json:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{3,127}", name):
            raise RefusedError(400, "INVALID_ARGUMENT", f"contextId {name!r} is not valid")
        if name in self.known:
            raise RefusedError(409, "ALREADY_EXISTS", f"context {name} already exists")
        made = {**_read(Context, body), "name": f"{store}/contexts/{name}", "createTime": NOW, "etag": "1"}
        self.known[name] = made
        return made

    def _add(self, name: str, children: list[str]) -> Json:
        if self.closed:
            raise RefusedError(403, "PERMISSION_DENIED", "no right")
        if name not in self.known:
            raise _missing(f"context {name}")
        for child in children:
            # One that somebody else made, such as that of a pipeline job, is known by its name alone.
            each = self.known.setdefault(child.rpartition("/")[2], {"name": child, "schemaTitle": "system.PipelineRun"})
            parents = each.setdefault("parentContexts", [])
            if self.known[name]["name"] not in parents:
                parents.append(self.known[name]["name"])
        return {}

    def _list(self, query: Query) -> Json:
        asked = query.get("filter", [""])[0]
        titles, parents = re.findall(r'schema_title="([^"]+)"', asked), re.findall(r'parent_contexts:"([^"]+)"', asked)
        found = [
            each
            for each in self.known.values()
            if (not titles or each.get("schemaTitle") in titles)
            and all(parent in each.get("parentContexts", []) for parent in parents)
        ]
        size, first = int(query.get("pageSize", ["100"])[0]), int(query.get("pageToken", ["0"])[0])
        if not 1 <= size <= 1000:
            raise RefusedError(400, "INVALID_ARGUMENT", "page_size must be in range 1-1000")
        more = {"nextPageToken": str(first + size)} if len(found) > first + size else {}
        return {"contexts": found[first : first + size], **more}

    @staticmethod
    def _has_parent(each: Json, name: str) -> bool:
        return any(parent.rpartition("/")[2] == name for parent in each.get("parentContexts", []))


class Models:
    """The Model Registry.

    Attributes:
        known: The versions of each model, by its id, the first one first.
        needs_container: Whether a model without a container is refused.
        pending: How often an operation is asked for before it is done.
    """

    def __init__(self) -> None:
        self.known: dict[str, list[Json]] = {}
        self.needs_container = False
        self.pending = 0

    def answer(self, method: str, path: str, query: Query, body: Json) -> Json:
        """Answer a request for a path below a location."""
        place, _, rest = path.partition("/models")
        place = re.sub(r"^projects/[^/]+", f"projects/{PROJECT_NUMBER}", place)
        if method == "POST" and rest == ":upload":
            return self._upload(place, body)
        if "/operations/" in rest:
            return self._operation(f"{place}/models{rest}")
        name, _, verb = rest.removeprefix("/").partition(":")
        name, _, version = name.partition("@")
        if name not in self.known:
            raise _missing(f"model {name}")
        versions = self.known[name]
        if verb == "listVersions":
            size, first = 2, int(query.get("pageToken", ["0"])[0])
            more = {"nextPageToken": str(first + size)} if len(versions) > first + size else {}
            return {"models": versions[first : first + size], **more}
        wanted = version or "default"
        found = [each for each in versions if wanted in (each["versionId"], *each.get("versionAliases", []))]
        if not found:
            raise _missing(f"version {version} of model {name}")
        return found[0]

    def _upload(self, place: str, body: Json) -> Json:
        model = _read(Model, body["model"])
        if not model.get("displayName"):
            raise RefusedError(400, "INVALID_ARGUMENT", "display_name is required")
        if self.needs_container and "containerSpec" not in model:
            raise RefusedError(400, "INVALID_ARGUMENT", "container_spec is required")
        if parent := body.get("parentModel"):
            name = parent.rpartition("/")[2]
            if name not in self.known:
                raise _missing(f"model {name}")
        elif not re.fullmatch(r"[a-z_][a-z0-9_-]{0,62}", name := body["modelId"]):
            raise RefusedError(400, "INVALID_ARGUMENT", f"model_id {name!r} is not valid")
        elif name in self.known:
            raise RefusedError(409, "ALREADY_EXISTS", f"model {name} already exists")
        versions = self.known.setdefault(name, [])
        aliases = model.get("versionAliases", []) or ([] if versions else ["default"])
        for each in versions:
            each["versionAliases"] = [alias for alias in each["versionAliases"] if alias not in aliases]
        number = str(len(versions) + 1)
        versions.append({
            **model, "name": f"{place}/models/{name}", "versionId": number, "versionAliases": aliases,
            "createTime": NOW, "versionCreateTime": NOW,
        })  # fmt: skip
        return self._operation(f"{place}/models/{name}/operations/{number}")

    def _operation(self, name: str) -> Json:
        if self.pending:
            self.pending -= 1
            return {"name": name}
        model, _, version = name.partition("/operations/")
        kind = "type.googleapis.com/google.cloud.aiplatform.v1.UploadModelResponse"
        return {"name": name, "done": True, "response": {"@type": kind, "model": model, "modelVersionId": version}}
