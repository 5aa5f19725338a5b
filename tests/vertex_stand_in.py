"""A stand-in for the Vertex AI API on loopback: it checks the jobs that it is sent and runs them with KFP's engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

from google.cloud.aiplatform_v1.types import PipelineJob
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from tests.kfp_stand_in import are_inputs

Json = dict[str, Any]

RUN = """
import json, sys
from kfp import components, local
job = json.loads(sys.argv[1])
local.init(
    runner=local.DockerRunner(user=job["user"], network="host", environment=job["environment"]),
    pipeline_root=job["root"],
)
components.load_component_from_file(job["spec"])(**job["parameters"])
"""


class VertexStandIn:
    """Answers `POST` and `GET` of pipelineJobs, and `:cancel`, at http://127.0.0.1:PORT.

    Attributes:
        endpoint: Its address.
        jobs: The jobs that it was sent, by id.
        refusal: When set, every request is answered so: HTTP status, status of the API, message.
        outcome: The state that a job ends in when it is not run.
        experiments: The jobs of each experiment.
        closed_experiments: Whether nothing can be added to them.
        hiccups: How many times `GET` of a job is answered with a fault of the service before it is answered again.
    """

    def __init__(self, root: Path, run: bool = False) -> None:
        self.jobs: dict[str, Json] = {}
        self.refusal: tuple[int, str, str] | None = None
        self.outcome = "PIPELINE_STATE_SUCCEEDED"
        self.experiments: dict[str, list[str]] = {}
        self.closed_experiments = False
        self.hiccups = 0
        self._contexts: dict[str, Json] = {}
        self._engines: dict[str, subprocess.Popen[bytes]] = {}
        self._root = root
        self._run = run
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                stand_in._answer(self, json.loads(self.rfile.read(length) or b"{}"))

            def do_GET(self) -> None:
                stand_in._answer(self, None)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Close the server."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler, body: Json | None) -> None:
        url = urlparse(request.path)
        if self.refusal is not None:
            status, code, message = self.refusal
            self._send(request, status, {"error": {"code": status, "status": code, "message": message}})
        elif body is not None and url.path.endswith("/pipelineJobs"):
            try:
                job = self._create(url.path, parse_qs(url.query)["pipelineJobId"][0], body)
            except (ValueError, json_format.ParseError) as error:
                self._send(request, 400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": str(error)}})
            else:
                self._send(request, 200, job)
        elif "/metadataStores/default" in url.path:
            self._answer_metadata(request, url.path.removeprefix("/v1/"), parse_qs(url.query), body)
        elif (known := self.jobs.get(url.path.rpartition("/")[2].removesuffix(":cancel"))) is None:
            self._send(request, 404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "no such job"}})
        elif body is None and self.hiccups:
            self.hiccups -= 1
            self._send(request, 503, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "not now"}})
        elif body is not None:
            known["state"] = "PIPELINE_STATE_CANCELLED"
            if (engine := self._engines.get(url.path.rpartition("/")[2].removesuffix(":cancel"))) is not None:
                engine.kill()  # containers that run go on to their end, as a pod may
            self._send(request, 200, {})
        else:
            job_id = url.path.rpartition("/")[2]
            store = url.path.removeprefix("/v1/").partition("/pipelineJobs/")[0] + "/metadataStores/default"
            context = {"name": f"{store}/contexts/{job_id}", "schemaTitle": "system.PipelineRun"}
            known["jobDetail"] = {"taskDetails": self._task_details(job_id), "pipelineRunContext": context}
            self._send(request, 200, known)

    def _answer_metadata(
        self, request: BaseHTTPRequestHandler, path: str, query: dict[str, list[str]], body: Json | None
    ) -> None:
        """Answer what the client asks to add a job to an experiment."""
        store, _, context = path.partition("/contexts")
        name, _, verb = context.removeprefix("/").partition(":")
        if verb == "addContextChildren" and self.closed_experiments:
            self._send(request, 403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "no right"}})
        elif verb == "addContextChildren" and body is not None:
            self.experiments[name] += [child.rpartition("/")[2] for child in body["childContexts"]]
            self._send(request, 200, {})
        elif body is not None:
            name = query["contextId"][0]
            if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,127}", name):
                raise ValueError(f"contextId {name!r} is not valid")
            self.experiments[name] = []
            self._contexts[name] = {**body, "name": f"{store}/contexts/{name}"}
            self._send(request, 200, self._contexts[name])
        elif not name:
            self._send(request, 200, {"name": store})
        elif name in self._contexts:
            self._send(request, 200, self._contexts[name])
        else:
            self._send(request, 404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "no such context"}})

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, answer: Json) -> None:
        content = json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _create(self, path: str, job_id: str, body: Json) -> Json:
        """Check a job as the API does, and begin it."""
        # Both refuse fields that they do not know.
        PipelineJob.from_json(json.dumps(body))
        spec = json_format.ParseDict(body["pipelineSpec"], PipelineSpec())
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,127}", job_id):
            raise ValueError(f"pipelineJobId {job_id!r} is not valid")
        if not body["runtimeConfig"]["gcsOutputDirectory"].startswith("gs://"):
            raise ValueError("gcsOutputDirectory must be a gs:// path")
        if not are_inputs(body["runtimeConfig"]["parameterValues"], spec):
            raise ValueError("parameterValues must be the inputs of the pipeline")
        for executor in body["pipelineSpec"]["deploymentSpec"]["executors"].values():
            if not re.search(r"@sha256:[0-9a-f]{64}$|:[^/]+$", executor["container"]["image"]):
                raise ValueError("an image must have a tag or a digest")
        state = "PIPELINE_STATE_RUNNING" if self._run else self.outcome
        job = {**body, "name": f"{path.removeprefix('/v1/')}/{job_id}", "state": state}
        job["createTime"] = "2026-01-01T00:00:00Z"
        if self.outcome == "PIPELINE_STATE_FAILED":
            job["error"] = {"code": 9, "message": "The DAG failed because some tasks failed: [update]."}
        self.jobs[job_id] = job
        if self._run:
            threading.Thread(target=self._execute, args=(job_id,), daemon=True).start()
        return job

    def _execute(self, job_id: str) -> None:
        """Run the spec that was sent, in a process of its own, because kfp.local keeps its settings globally."""
        job = self.jobs[job_id]
        root = self._root / job_id
        root.mkdir(parents=True)
        (root / "spec.yaml").write_text(json.dumps(job["pipelineSpec"]))
        order = {
            "spec": str(root / "spec.yaml"),
            "root": str(root),
            "parameters": job["runtimeConfig"]["parameterValues"],
            "user": f"{os.getuid()}:{os.getgid()}",
            "environment": {"STORAGE_EMULATOR_HOST": os.environ["STORAGE_EMULATOR_HOST"]},
        }
        with (root / "log.txt").open("w") as log:
            command = [sys.executable, "-c", RUN, json.dumps(order)]
            self._engines[job_id] = engine = subprocess.Popen(command, stdout=log, stderr=log)
            status = engine.wait()
        if job["state"] != "PIPELINE_STATE_CANCELLED":
            job["state"] = "PIPELINE_STATE_FAILED" if status else "PIPELINE_STATE_SUCCEEDED"

    def _task_details(self, job_id: str) -> list[Json]:
        """Tell the tasks that have begun and ended from what kfp.local prints about them."""
        details: list[Json] = []
        log = self._root / job_id / "log.txt"
        said = re.sub(r"\x1b\[\d+m", "", log.read_text() if log.exists() else "")
        # Of tasks that run at once it loses some lines; each executes once.
        statuses = dict(re.findall(r"Task '(.+)' finished with status (\w+)", said))
        for name in re.findall(r"Executing task '(.+)'", said):
            state = {"SUCCESS": "SUCCEEDED", "FAILURE": "FAILED"}.get(statuses.get(name, ""), "RUNNING")
            details.append({"taskId": str(len(details)), "taskName": name, "state": state})
        return details
