"""A stand-in for a tracking server of MLflow: the answers of mlflow 3.17's own server to what the exporter asks.

The tests of the exporter run against a real server too, where MLFLOW_SERVER has its address.
"""

from __future__ import annotations

import json
import posixpath
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
FILTER = re.compile(r"tags\.`([^`]+)` = '([^']*)'")


class RefusedError(Exception):
    """The server refuses something, with a code."""


@dataclass
class Server:
    """What a server holds, and how it misbehaves.

    Attributes:
        asked: The methods that were asked for, in order.
        first: Answers that come before any other: status and text.
    """

    experiments: dict[str, Json] = field(default_factory=dict)
    runs: dict[str, Json] = field(default_factory=dict)
    models: dict[str, list[Json]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    first: list[tuple[int, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, body: Json) -> Json:
        """Return the answer to a request."""
        found: Json = getattr(self, "_" + method.replace("/", "_").replace("-", "_"))(**body)
        return found

    def _experiments_get_by_name(self, experiment_name: str) -> Json:
        if experiment_name not in self.experiments:
            raise RefusedError("RESOURCE_DOES_NOT_EXIST", f"Could not find experiment with name '{experiment_name}'")
        return {"experiment": self.experiments[experiment_name]}

    def _experiments_create(self, name: str) -> Json:
        number = str(len(self.experiments) + 1)
        self.experiments[name] = {"experiment_id": number, "name": name, "lifecycle_stage": "active"}
        return {"experiment_id": number}

    def _runs_create(self, experiment_id: str, run_name: str, tags: list[Json], start_time: int = 0) -> Json:
        run_id = f"{len(self.runs):032x}"
        info = {"run_id": run_id, "experiment_id": experiment_id, "status": "RUNNING", "start_time": start_time}
        named = [*tags, {"key": "mlflow.runName", "value": run_name}]
        self.runs[run_id] = {"info": info, "data": {"tags": named, "params": [], "metrics": []}}
        return {"run": self.runs[run_id]}

    def _runs_log_batch(self, run_id: str, **entries: list[Json]) -> Json:
        if sum(map(len, entries.values())) > 1000 or len(entries.get("params", [])) > 100:
            raise RefusedError("INVALID_PARAMETER_VALUE", "A batch logging request can contain at most 1000 entries")
        for each in [*entries.get("metrics", []), *entries.get("params", [])]:
            name = posixpath.normpath(each["key"])
            if name != each["key"] or name == "." or name.startswith(("..", "/")):
                raise RefusedError("INVALID_PARAMETER_VALUE", "Names may be treated as files in certain cases")
        data = self.runs[run_id]["data"]
        for param in entries.get("params", []):
            known = [each for each in data["params"] if each["key"] == param["key"]]
            if known and known != [param]:
                raise RefusedError("INVALID_PARAMETER_VALUE", "Changing param values is not allowed")
            data["params"] += [] if known else [param]
        data["metrics"] += [each for each in entries.get("metrics", []) if each not in data["metrics"]]
        for tag in entries.get("tags", []):
            data["tags"] = [each for each in data["tags"] if each["key"] != tag["key"]] + [tag]
        return {}

    def _runs_update(self, run_id: str, **info: Any) -> Json:
        self.runs[run_id]["info"] |= info
        return {"run_info": self.runs[run_id]["info"]}

    def _runs_search(self, experiment_ids: list[str], filter: str, max_results: int, page_token: str = "0") -> Json:  # noqa: A002
        match = FILTER.fullmatch(filter)
        assert match is not None
        tag = {"key": match[1], "value": match[2]}
        found = [
            each for each in self.runs.values()
            if tag in each["data"]["tags"] and each["info"]["experiment_id"] in experiment_ids
        ]  # fmt: skip
        first, most = int(page_token), min(max_results, 5)
        more = {"next_page_token": str(first + most)} if first + most < len(found) else {}
        return {"runs": found[first : first + most], **more}

    def _registered_models_create(self, name: str) -> Json:
        if name in self.models:
            raise RefusedError("RESOURCE_ALREADY_EXISTS", f"Registered Model (name={name}) already exists.")
        self.models[name] = []
        return {"registered_model": {"name": name}}

    def _model_versions_search(self, filter: str, max_results: str) -> Json:  # noqa: A002
        versions = self.models[filter.removeprefix("name = '").removesuffix("'")]
        return {"model_versions": versions[: int(max_results)]} if versions else {}

    def _model_versions_create(self, name: str, **described: Any) -> Json:
        self.models[name].append({"name": name, "version": str(len(self.models[name]) + 1), **described})
        return {"model_version": self.models[name][-1]}


@contextmanager
def serving() -> Iterator[tuple[str, Server]]:
    """Serve on loopback within the block, and yield the address and what the server holds."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, body: Json) -> None:
            method = urlsplit(self.path).path.removeprefix("/api/2.0/mlflow/")
            with server.lock:
                server.asked.append(method)
                if server.first:
                    status, text = server.first.pop(0)
                else:
                    try:
                        status, text = 200, json.dumps(server.answer(method, body))
                    except RefusedError as error:
                        code, message = error.args
                        status, text = 400, json.dumps({"error_code": code, "message": message})
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def do_GET(self) -> None:
            self._answer({key: value for key, (value,) in parse_qs(urlsplit(self.path).query).items()})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}", server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
