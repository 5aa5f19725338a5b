"""A fake store behind a door that does something wrong at one request, or at all from there on."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Reply:
    """What the storage behind the door has answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Exchange:
    """One request at the door, and what can be done with it.

    Attributes:
        operation: What it is for.
        path: What is asked for, which may be changed before it is passed on.
    """

    def __init__(self, handler: BaseHTTPRequestHandler, behind: str) -> None:
        self._handler = handler
        self._behind = behind
        self.path = handler.path
        self._headers = {name: value for name, value in handler.headers.items() if name != "Connection"}
        self._content = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.operation = _operation(handler)

    @property
    def is_of_google(self) -> bool:
        """Whether it is in the language of Cloud Storage."""
        return _is_of_google(self._handler.path)

    @property
    def is_of_azure(self) -> bool:
        """Whether it is in the language of Azure."""
        return "x-ms-version" in self._handler.headers

    @property
    def name(self) -> str | None:
        """The object of Cloud Storage that is written whole by the request; None of any other."""
        found = re.search(rb'"name": "([^"]+)"', self._content)
        return found[1].decode() if found else None

    def forward(self) -> Reply:
        """Let the storage behind the door do what it was asked for."""
        return self._ask(self._handler.command, self.path, self._content, self._headers)

    def let_it_replace(self) -> None:
        """Let what is to be new replace what is there, as a store does that does not know of create-once."""
        self.path = self.path.replace("&ifGenerationMatch=0", "")
        self._headers = {name: value for name, value in self._headers.items() if name.lower() != "if-none-match"}

    def overtake(self, content: bytes) -> None:
        """Write the object of Cloud Storage that is about to be written, as somebody else."""
        assert self.name, "no upload in one request"
        name = urllib.parse.quote(self.name, safe="")
        path = self._handler.path.partition("?")[0]
        self._ask("POST", f"{path}?uploadType=media&name={name}", content, {"Content-Type": "application/octet-stream"})

    def _ask(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> Reply:
        connection = http.client.HTTPConnection(self._behind)
        try:
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            return Reply(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def reply(self, reply: Reply, body: bytes | None = None) -> None:
        """Give an answer, with part of its body or with another one where that is given."""
        self._handler.send_response(reply.status)
        for name, value in reply.headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self._handler.send_header(name, value)
        is_head = self._handler.command == "HEAD"  # which says how long the body would be
        length = next((value for name, value in reply.headers if is_head and name.lower() == "content-length"), None)
        self._handler.send_header("Content-Length", length or str(len(reply.body)))
        self._handler.end_headers()
        self._handler.wfile.write(reply.body if body is None else body)

    def hang_up(self) -> None:
        """Break the connection."""
        with contextlib.suppress(OSError):
            self._handler.connection.shutdown(socket.SHUT_RDWR)


def _operation(handler: BaseHTTPRequestHandler) -> str:
    """Return what a request is for: read, range, stat, list, create, replace, part (of an upload) or delete."""
    path, _, query = handler.path.partition("?")
    if handler.command == "DELETE":
        return "delete"
    if _is_of_google(path):
        return _operation_of_google(handler, path, query)
    match handler.command:
        case "PUT":
            return "create" if "If-None-Match" in handler.headers else "replace"
        case "HEAD":
            return "stat"
    if "list-type=2" in query or "comp=list" in query:
        return "list"
    return "range" if "Range" in handler.headers else "read"


def _is_of_google(path: str) -> bool:
    return path.startswith(("/storage/", "/upload/", "/download/", "/resumable/"))


def _operation_of_google(handler: BaseHTTPRequestHandler, path: str, query: str) -> str:
    match handler.command:
        case "POST":
            return "create" if "ifGenerationMatch=0" in query else "replace"
        case "PUT":
            return "part"
    if path.startswith("/download/"):
        return "range" if "Range" in handler.headers else "read"
    return "list" if path.endswith("/o") else "stat"


Fault = Callable[[Exchange], None]


@dataclass
class Door:
    """Where requests come in.

    Attributes:
        address: What the settings of the store must say.
        bucket: The URI of a bucket behind it.
        operations: What each request that has come was for, as `Exchange.operation` says.
        fault: What is done at request number `at`, and at those after it where `stays` says so.
    """

    address: str = ""
    bucket: str = ""
    operations: list[str] = field(default_factory=list)
    at: int = 0
    fault: Fault | None = None
    stays: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def requests(self) -> int:
        """How many requests have come."""
        return len(self.operations)

    def part(self, cases: int) -> int:
        """Return how many cases of a proof `make test-long` runs: a third of them over any store but Google's."""
        return cases if self.bucket.startswith("gs:") else cases // 3

    def close_after(self, requests: int, fault: Fault, stays: bool = False) -> None:
        """Let requests pass until one of them, counted from now, gets the fault."""
        self.operations, self.at, self.fault, self.stays = [], requests, fault, stays

    def open(self) -> None:
        """Let all requests pass, and count them from now."""
        self.operations, self.fault = [], None

    def next_fault(self, operation: str) -> Fault | None:
        """Count a request; return what must go wrong with it."""
        with self._lock:
            self.operations.append(operation)
            due = self.requests >= self.at if self.stays else self.requests == self.at
            return self.fault if due else None


@contextlib.contextmanager
def door(behind: str, bucket: str = "") -> Iterator[Door]:
    """Open a door before the storage at an address `HOST:PORT`."""
    opened = Door(bucket=bucket)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            exchange = Exchange(self, behind)
            (opened.next_fault(exchange.operation) or pass_on)(exchange)

        do_POST = do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    opened.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield opened
    server.shutdown()
    server.server_close()


# --- what can go wrong ---------------------------------------------------------------------------


def pass_on(exchange: Exchange) -> None:
    exchange.reply(exchange.forward())


def unavailable(exchange: Exchange) -> None:
    exchange.reply(Reply(503, [], b"try again later"))


def forbidden(exchange: Exchange) -> None:
    exchange.reply(Reply(403, [], b"someone does not have access"))


def reset(exchange: Exchange) -> None:
    exchange.hang_up()


def lost_answer(exchange: Exchange) -> None:
    exchange.forward()
    exchange.hang_up()


def truncated(exchange: Exchange) -> None:
    answered = exchange.forward()
    exchange.reply(answered, answered.body[: len(answered.body) // 2])
    exchange.hang_up()


def wrong_bytes(exchange: Exchange) -> None:
    """Flip a bit in the middle of an object, or where JSON or XML stops being that.

    Only whole objects have a checksum, and obstore does not give that of Azure.
    """
    answered = exchange.forward()
    if not answered.body or exchange.operation == "range" or (exchange.operation == "read" and exchange.is_of_azure):
        exchange.hang_up()
        return
    at = len(answered.body) // 2 if exchange.operation == "read" else 0
    exchange.reply(answered, answered.body[:at] + bytes([answered.body[at] ^ 1]) + answered.body[at + 1 :])


def overtaken(exchange: Exchange) -> None:
    """Let somebody else write the same object first: no fault of storage, so that it is not in the list below."""
    exchange.overtake(b"of somebody else")
    exchange.reply(exchange.forward())


def html(exchange: Exchange) -> None:
    """Answer as a proxy does that wants a password; obstore takes that for a list of nothing, and does not say so."""
    if exchange.operation == "list" and not exchange.is_of_google:
        exchange.hang_up()
        return
    exchange.reply(Reply(200, [("Content-Type", "text/html")], b"<html>Please log in</html>"))


FAULTS: dict[str, Fault] = {
    "503": unavailable,
    "reset": reset,
    "lost answer": lost_answer,
    "truncated": truncated,
    "wrong bytes": wrong_bytes,
    "html": html,
    "403": forbidden,
}
