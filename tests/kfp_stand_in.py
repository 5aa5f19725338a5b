"""A stand-in for the API of a KFP cluster on loopback: it checks the runs that it is sent.

What it is sent and what it answers has only fields that `kfp_server_api`, the generated client of the real service,
knows. As the real service it tells no errors of runs and tasks (api_converter.go fills none in).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import ParseResult, parse_qs, urlparse

import kfp_server_api
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

Json = dict[str, Any]
API = "/apis/v2beta1"
LONGEST_PARAMETERS = 10_000  # characters of all input parameters
NOW = "2026-01-01T12:00:00Z"
NEVER = "1970-01-01T00:00:00Z"  # what it says of a run that has not ended
NOT_YET = "0001-01-01T00:00:00Z"  # and of a task


def checked(model: str, content: Json) -> Json:
    """Return what a model of the API takes, with all in it that is a model again.

    Raises:
        ValueError: It has a field that the model does not have, or a value that is not one of its.
    """
    kind = getattr(kfp_server_api, model)
    if not hasattr(kind, "openapi_types"):
        return content
    if unknown := content.keys() - kind.attribute_map.values():
        raise ValueError(f"{model}: unknown fields {sorted(unknown)}")
    fields = {field: name for name, field in kind.attribute_map.items()}
    for field, value in content.items():
        part = kind.openapi_types[fields[field]].removeprefix("list[").removesuffix("]")
        values = value if isinstance(value, list) else [value]
        if part.startswith(("V2beta1", "Google")):
            allowed = getattr(getattr(kfp_server_api, part), "allowable_values", None)
            for each in values:
                if allowed is not None and each not in allowed:
                    raise ValueError(f"{model}.{field}: {each!r} is not one of {allowed}")
                if isinstance(each, dict):
                    checked(part, each)
    return content


def are_inputs(given: Json, spec: PipelineSpec) -> bool:
    """Tell whether a run gives a pipeline the inputs that it must have, and no others."""
    inputs = spec.root.input_definitions.parameters
    needed = {name for name, each in inputs.items() if not each.is_optional}
    return needed <= given.keys() <= set(inputs)


def a_task(name: str, state: str | None = "SUCCEEDED", *, run: int = 1, start: str = NOW) -> Json:
    """Return what the API says of a task: of one that was left out, no state.

    Args:
        name: Its name in the Workflow: those of pods are `executor` and the like, whatever they run.
        state: Its state.
        run: The number of its run.
        start: When it began, or was to.
    """
    told = {"run_id": run_id(run), "task_id": f"{name}-{start}", "display_name": name, "create_time": NOW}
    told |= {"start_time": start, "end_time": NOT_YET}
    return checked("V2beta1PipelineTaskDetail", told if state is None else {**told, "state": state})


def run_id(number: int) -> str:
    """Return the id of a run, by how many were made up to it."""
    return f"00000000-0000-4000-8000-{number:012d}"


class KfpStandIn:
    """Answers healthz, experiments and runs at http://127.0.0.1:PORT.

    Attributes:
        host: Its address.
        runs: The runs that it was sent.
        recurring: The recurring runs that it was sent.
        tokens: The bearer tokens that came with requests.
        experiments: Names of the experiments that were made.
        refusal: When set, runs are answered with this HTTP status.
        expires: How often a run can be looked at before the token is refused; never by default.
        states: What a run says of its state, one look after another; the last one stays.
        history: The states that a run says it has had.
        tasks: What a run says of its tasks.
        version: What it says of its version.
        tag: The name that it has for that; the server of the UI has another one (healthz.ts).
        on_run: Is called with each run that it has taken.
    """

    def __init__(self) -> None:
        self.runs: list[Json] = []
        self.recurring: list[Json] = []
        self.tokens: set[str | None] = set()
        self.experiments: list[str] = []
        self.refusal: int | None = None
        self.expires: int | None = None
        self.states = ["PENDING", "RUNNING", "SUCCEEDED"]
        self.history: list[str] = []
        self.tasks: list[Json] = []
        self.version = "2.17.0"
        self.tag = "tag_name"
        self.on_run: Callable[[Json], None] = lambda _: None
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
                stand_in._reply(self, *stand_in._post(urlparse(self.path).path, body))

            def do_GET(self) -> None:
                stand_in._reply(self, *stand_in._get(urlparse(self.path)))

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Close the server."""
        self._server.shutdown()
        self._server.server_close()

    def _reply(self, request: BaseHTTPRequestHandler, status: int, answer: Json) -> None:
        self.tokens.add(request.headers.get("Authorization"))
        content = json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _post(self, path: str, body: Json) -> tuple[int, Json]:
        if path == f"{API}/experiments":
            self.experiments.append(checked("V2beta1Experiment", body)["display_name"])
            return 200, {"experiment_id": "experiment-1", **body}
        if path.endswith(":terminate"):
            self.states, self.history = ["FAILED"], ["PENDING", "RUNNING", "CANCELING", "FAILED"]  # as of 2.17
            return 200, {}
        if path == f"{API}/recurringruns":
            spec = checked("V2beta1RecurringRun", body)["pipeline_spec"]
            json_format.ParseDict(spec.get("pipeline_spec", spec), PipelineSpec())
            self.recurring.append(body)
            return 200, {"recurring_run_id": run_id(len(self.recurring)), **body}
        if path != f"{API}/runs":
            return 404, {"message": f"no {path}"}
        if self.refusal is not None:
            return self.refusal, {"message": "refused"}
        spec = checked("V2beta1Run", body)["pipeline_spec"]
        parsed = json_format.ParseDict(spec.get("pipeline_spec", spec), PipelineSpec())
        parameters = body["runtime_config"]["parameters"]
        if not are_inputs(parameters, parsed):
            return 400, {"message": "parameters must be the inputs of the pipeline"}
        if len(json.dumps(parameters)) > LONGEST_PARAMETERS:
            return 400, {"message": "parameters are too long"}
        self.runs.append(body)
        self.on_run(body)
        return 200, {"run_id": run_id(len(self.runs)), **body}

    def _get(self, url: ParseResult) -> tuple[int, Json]:
        path = url.path
        runs = {run_id(number): run for number, run in enumerate(self.runs, 1)}
        if path == f"{API}/healthz":
            # The generated client knows two of these; the server writes all four (main.go).
            told = {"multi_user": False, "pipeline_store": "database"}
            return 200, {
                "commit_sha": "unknown",
                "tag_name": self.version,
                **checked("V2beta1GetHealthzResponse", told),
            }
        if path == f"{API}/experiments":
            return 200, {"experiments": []}
        if path == f"{API}/runs":
            asked = parse_qs(url.query)
            assert asked["sort_by"] == ["created_at desc"]
            found = [{**run, "run_id": each, "state": self.states[0]} for each, run in runs.items()]
            if "filter" in asked:
                (wanted,) = json.loads(asked["filter"][0])["predicates"]
                assert (wanted["operation"], wanted["key"]) == ("EQUALS", "display_name")
                found = [run for run in found if run["display_name"] == wanted["stringValue"]]
            return 200, checked("V2beta1ListRunsResponse", {"runs": found[::-1]})
        if (number := path.removeprefix(f"{API}/runs/")) in runs:
            if self.expires is not None and (left := self.expires - 1) < 0:
                return 401, {"message": "expired"}
            self.expires = None if self.expires is None else left
            state = self.states[0]
            self.states = self.states[1:] or self.states
            run = {**runs[number], "run_id": number, "state": state, "run_details": {"task_details": self.tasks}}
            history = [{"update_time": NOW, "state": each} for each in self.history]
            run |= {"state_history": history} if history else {}
            return 200, checked("V2beta1Run", {**run, "created_at": NOW, "scheduled_at": NOW, "finished_at": NEVER})
        return 404, {"message": f"no {path}"}
