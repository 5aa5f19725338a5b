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
from typing import Any, Literal
from urllib.parse import ParseResult, parse_qs, unquote, urlparse

import pytest
from google.cloud.aiplatform_v1.types import PipelineJob
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from tests.kfp_stand_in import are_inputs
from tests.vertex_resources import Contexts, Models, RefusedError

Json = dict[str, Any]

OF_CLIENTS = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""Marks for tests with Google's client libraries, which warn at import or in their own code."""

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
        contexts: The contexts of ML Metadata, such as experiments.
        models: The Model Registry.
        lost_uploads: When set, one upload of a model is not answered, after or before it has been `taken`.
        requests: Each request that it was sent: method and path.
        hiccups: How many times `GET` is answered with a fault of the service before it is answered again.
    """

    def __init__(self, root: Path, run: bool = False) -> None:
        self.jobs: dict[str, Json] = {}
        self.refusal: tuple[int, str, str] | None = None
        self.outcome = "PIPELINE_STATE_SUCCEEDED"
        self.contexts = Contexts()
        self.models = Models()
        self.lost_uploads: Literal["", "taken", "not taken"] = ""
        self.requests: list[str] = []
        self.hiccups = 0
        self._engines: dict[str, subprocess.Popen[bytes]] = {}
        self._root = root
        self._run = run
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                stand_in._answer(self, json.loads(self.rfile.read(length) or b"{}"))

            do_PATCH = do_POST  # noqa: N815 - the name is http.server's

            def do_GET(self) -> None:
                stand_in._answer(self, None)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def take_client(self) -> None:
        """Have aiplatform's own client send its requests here."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import aiplatform

        aiplatform.init(
            project="my-project",
            location="europe-west1",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            api_endpoint=self.endpoint,
            api_transport="rest",
        )

    def stop(self) -> None:
        """Close the server."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler, body: Json | None) -> None:
        url = urlparse(request.path)
        self.requests.append(f"{request.command} {url.path.removeprefix('/v1/')}")
        if self.refusal is not None:
            self._refuse(request, *self.refusal)
        elif body is None and self.hiccups:
            self.hiccups -= 1
            self._refuse(request, 503, "UNAVAILABLE", "not now")
        elif body is not None and url.path.endswith("/pipelineJobs"):
            self._take(request, url, body)
        elif "/metadataStores/default" in url.path:
            self._answer_of(self.contexts, request, url, body)
        elif re.search(r"/locations/[^/]+/models", url.path):
            self._answer_of(self.models, request, url, body)
        elif (known := self.jobs.get(url.path.rpartition("/")[2].removesuffix(":cancel"))) is None:
            self._refuse(request, 404, "NOT_FOUND", "no such job")
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

    def _take(self, request: BaseHTTPRequestHandler, url: ParseResult, body: Json) -> None:
        """Answer a job that is sent."""
        try:
            job = self._create(url.path, parse_qs(url.query)["pipelineJobId"][0], body)
        except (ValueError, json_format.ParseError) as error:
            self._refuse(request, 400, "INVALID_ARGUMENT", str(error))
        else:
            self._send(request, 200, job)

    def _answer_of(
        self, kept: Contexts | Models, request: BaseHTTPRequestHandler, url: ParseResult, body: Json | None
    ) -> None:
        """Answer for what is kept beside jobs."""
        is_lost = url.path.endswith("/models:upload") and self.lost_uploads
        if is_lost:
            self.lost_uploads = ""
        if is_lost == "not taken":
            request.connection.close()
            return
        try:
            found = kept.answer(
                request.command, unquote(url.path).removeprefix("/v1/"), parse_qs(url.query), body or {}
            )
        except RefusedError as error:
            self._refuse(request, error.status, error.code, str(error))
        else:
            if is_lost:
                request.connection.close()
                return
            self._send(request, 200, found)

    def _refuse(self, request: BaseHTTPRequestHandler, status: int, code: str, message: str) -> None:
        self._send(request, status, {"error": {"code": status, "status": code, "message": message}})

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
        if not are_inputs(body["runtimeConfig"].get("parameterValues", {}), spec):
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
        _, project, _, region, *_ = job["name"].split("/")
        order = {
            "spec": str(root / "spec.yaml"),
            "root": str(root),
            "parameters": job["runtimeConfig"].get("parameterValues", {}),
            "user": f"{os.getuid()}:{os.getgid()}",
            "environment": {
                "STORAGE_EMULATOR_HOST": os.environ["STORAGE_EMULATOR_HOST"],
                "VERTEX_ENDPOINT": self.endpoint,
                # As Vertex sets them; KFP's engine names artifacts otherwise.
                "CLOUD_ML_PROJECT_ID": project,
                "CLOUD_ML_REGION": region,
            },
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
