"""An image registry on loopback."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIGEST = "sha256:" + "0" * 64


class Registry:
    """Answers whether it has a manifest, at 127.0.0.1:PORT.

    Attributes:
        host: Its address without `http://`.
        answers: What it says of an image, by its name; 200 of others.
        tokens: What came as authorization.
        labels: The labels of an image, by its name; nobody may read those of others.
    """

    def __init__(self) -> None:
        self.answers: dict[str, int] = {}
        self.tokens: list[str | None] = []
        self.labels: dict[str, dict[str, str]] = {}
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                registry.tokens.append(self.headers.get("Authorization"))
                name = self.path.removeprefix("/v2/").partition("/manifests/")[0]
                self.send_response(registry.answers.get(name, 200))
                self.end_headers()

            def do_GET(self) -> None:
                """Answer as one with images of several platforms."""
                name, _, wanted = self.path.removeprefix("/v2/").rpartition("/")
                name = name.rpartition("/")[0]
                attested = {"digest": "sha256:a", "platform": {"os": "unknown", "architecture": "unknown"}}
                found = {
                    "sha256:image": {"config": {"digest": "sha256:config"}},
                    "sha256:config": {"config": {"Labels": registry.labels.get(name)}},
                }.get(wanted, {"manifests": [attested, {"digest": "sha256:image", "platform": {"os": "linux"}}]})
                self.send_response(200 if name in registry.labels else 403)
                self.end_headers()
                self.wfile.write(json.dumps(found).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Close the server."""
        self._server.shutdown()
        self._server.server_close()
