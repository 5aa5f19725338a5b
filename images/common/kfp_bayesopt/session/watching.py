"""Serves the report of a study while it runs, to the person at this machine alone."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.report.page import packed, page
from kfp_bayesopt.report.write import contents_of
from kfp_bayesopt.session.activity import Activity
from kfp_bayesopt.store import storage

ADDRESS = "127.0.0.1"
# A bucket is asked less often: each look costs a list and the reads of new files.
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_LOOKS_AT_BUCKET = 10.0
# The model is fitted again with each new trial; it may use at most a fifth of a core.
REST = 4.0
# The page counts as open if it has asked this recently; it asks every 2 seconds.
SECONDS_OF_A_LOOK = 5.0
# The time for a browser to start and to come with its ticket.
SECONDS_OF_A_TICKET = 120.0
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

logger = logging.getLogger(__name__)


class Live:
    """The current contents of the report of a study; each look reads only new files.

    Attributes:
        folder: The study folder.
        packed: The contents as compressed JSON.
        tag: Changes with them.
    """

    def __init__(self, folder: StudyFolder, full: bool = True) -> None:
        """Read the study folder.

        Args:
            folder: The study folder.
            full: Show hosts, paths and the last lines of failed trials too.

        Raises:
            UserError: It is damaged, or storage does not answer.
        """
        self.folder = folder
        self._full = full
        self._activity = Activity(folder)
        self._shown: tuple[Any, ...] = ()
        self._problem: str | None = None
        self.contents: dict[str, Any] = {}
        self.packed = b""
        self.tag = ""
        self.look()

    def look(self) -> None:
        """Read new files; if that fails, the old contents stay, with the reason."""
        try:
            self._activity.look()
            trials, busy = self._activity.trials, self._activity.busy
            known = (len(trials.records), [(each.trial, each.attempt) for each in busy])
            if known != self._shown or self._problem is not None:
                best = Best.of(self.folder.study, trials.ledger)
                self.contents = contents_of(self.folder, trials, best, running=busy, full=self._full)
                self._shown, self._problem = known, None
                self._pack()
        except UserError as error:
            if not self.contents:
                raise
            if error.message != self._problem:
                logger.warning("%s", error.message)
                self._problem = error.message
                self.contents["problem"] = error.message
                self._pack()

    def _pack(self) -> None:
        self.packed = packed(self.contents)
        self.tag = f'"{hashlib.sha256(self.packed).hexdigest()[:32]}"'


class Server(ThreadingHTTPServer):
    """Answers requests for the page of a study, and for its news.

    Attributes:
        live: The contents.
        token: The secret of the address, shown in the terminal alone.
        asked: The time of the page's last request.
    """

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, live: Live, port: int = 0) -> None:
        """Listen on this machine alone.

        Args:
            live: The contents.
            port: The port; by default a free one.

        Raises:
            UserError: The port is taken.
        """
        try:
            super().__init__((ADDRESS, port), Handler)
        except OSError as error:
            raise UserError(f"port {port}: {error.strerror}; give another PORT, or none for a free one") from None
        self.live = live
        self.token = secrets.token_urlsafe(24)
        self.asked = 0.0
        self._session = secrets.token_urlsafe(24)
        self._tickets: dict[str, float] = {}

    @property
    def hosts(self) -> set[str]:
        """The names of this server in a browser; any other name is an attack (DNS rebinding)."""
        return {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}

    @property
    def cookie(self) -> str:
        """The name of the cookie: browsers do not separate the cookies of two ports."""
        return f"kfp-bayesopt-{self.server_port}"

    @property
    def url(self) -> str:
        """The address to open."""
        return f"http://{ADDRESS}:{self.server_port}/?token={self.token}"

    def address_for_one_use(self) -> str:
        """Return an address that opens the page once, and soon: all users of a machine see a program's arguments."""
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = time.monotonic() + SECONDS_OF_A_TICKET
        return f"http://{ADDRESS}:{self.server_port}/?token={ticket}"

    def enter(self, given: str, port: int) -> str | None:
        """Return the content of the cookie for a valid token or ticket, given the client's port; else None."""
        if secrets.compare_digest(given.encode(), self.token.encode()):
            return self._session
        if not is_of_us(port, self.server_port):
            return None
        until = self._tickets.pop(given, 0.0)
        return self._session if time.monotonic() < until else None

    def knows(self, cookie: str) -> bool:
        """Tell whether the content of a cookie is of this server."""
        return secrets.compare_digest(cookie.encode(), self._session.encode())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a browser that has gone away."""


class Handler(BaseHTTPRequestHandler):
    """Answers GET for three paths."""

    server: Server
    server_version = "kfp-bayesopt"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        """Answer with the page, its news, or a refusal."""
        asked = urlsplit(self.path)
        if self.headers.get("Host", "") not in self.server.hosts:
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, b"unknown host\n")
        elif asked.path == "/" and (given := parse_qs(asked.query).get("token")):
            self._enter(given[0])
        elif not self._is_known():
            self._answer(HTTPStatus.FORBIDDEN, b"open the address that the terminal shows, with its token\n")
        elif asked.path == "/":
            content = page(self.server.live.contents, live=True)
            self._answer(HTTPStatus.OK, content, {"Content-Type": "text/html; charset=utf-8"})
        elif asked.path == "/contents":
            self._contents()
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"not found\n")

    def _enter(self, token: str) -> None:
        """Turn the token into a cookie, so that it is not in the address of the page."""
        session = self.server.enter(token, self.client_address[1])
        if session is None:
            self._answer(HTTPStatus.FORBIDDEN, b"wrong token, or one that was used; open the one of the terminal\n")
            return
        cookie = f"{self.server.cookie}={session}; Path=/; HttpOnly; SameSite=Strict"
        self._answer(HTTPStatus.SEE_OTHER, b"", {"Location": "/", "Set-Cookie": cookie})

    def _is_known(self) -> bool:
        try:
            cookies = SimpleCookie(self.headers.get("Cookie", ""))
        except CookieError:
            return False
        found = cookies.get(self.server.cookie)
        return found is not None and self.server.knows(found.value)

    def _contents(self) -> None:
        self.server.asked = time.monotonic()
        live = self.server.live
        if self.headers.get("If-None-Match") == live.tag:
            self._answer(HTTPStatus.NOT_MODIFIED, None, {"ETag": live.tag})
            return
        kind = {"Content-Type": "application/json", "Content-Encoding": "gzip", "ETag": live.tag}
        self._answer(HTTPStatus.OK, live.packed, kind)

    def _answer(self, status: HTTPStatus, content: bytes | None, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "text/plain; charset=utf-8"} | HEADERS | (headers or {})).items():
            self.send_header(name, value)
        if content is not None:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if content:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: the terminal shows the study."""


def is_of_us(client: int, server: int) -> bool:
    """Tell whether a connection on this machine, between two ports, is this user's, or of an unknown user.

    So nobody else can be faster with a ticket that the list of processes shows.
    """
    try:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    except OSError:  # not Linux
        return True
    ends = [f":{client:04X}", f":{server:04X}"]
    users = {int(row[7]) for row in rows if [row[1][-5:], row[2][-5:]] == ends}
    return users <= {0, os.getuid()}


@contextlib.contextmanager
def watching(folder: StudyFolder, port: int = 0) -> Iterator[Server]:
    """Serve the report of a study until the end of the block, or a little longer while the page is open.

    Raises:
        UserError: The folder is damaged, or the port is taken.
    """
    live = Live(folder)
    server = Server(live, port)
    ended = threading.Event()
    pause = SECONDS_BETWEEN_LOOKS if storage.is_local(folder.root) else SECONDS_BETWEEN_LOOKS_AT_BUCKET

    def look() -> None:
        took = 0.0
        while not ended.wait(max(pause, took * REST)):
            began = time.monotonic()
            live.look()
            took = time.monotonic() - began

    threads = [threading.Thread(target=look, daemon=True), threading.Thread(target=server.serve_forever, daemon=True)]
    for thread in threads:
        thread.start()
    try:
        yield server
        ended.set()
        threads[0].join()
        live.look()
        if time.monotonic() - server.asked < SECONDS_OF_A_LOOK:
            time.sleep(SECONDS_OF_A_LOOK)  # the page comes for the last trials
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
