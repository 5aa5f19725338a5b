"""A fake S3 for tests: the server of moto, with everything in memory.

It keeps what `kfp_bayesopt.store.objects` relies on: `If-None-Match: *` with 412; lists in the byte order of names with
prefix, delimiter, `start-after` and pages; ETags that are MD5; ranges with 206 and 416; 404 that tells a bucket from an
object. It is not like the real service in these ways:

- It looks whether a name is there, and writes a moment later: of ten writers at once two win now and then, which
  `bayesopt store` refuses. So `SERVER` lets it write one thing at a time.
- Nobody is refused: there are no keys, no policies, no regions, no rates; a signature is not read.
- It takes all names, all sizes of parts, and never answers 409.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from tests.certificates import Authority
from tests.fake_storage import BUCKET, UNTIL_INPUT_ENDS

PAGE = 1000
SETTINGS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}

SERVER = """
import threading
from moto import server

class OneWriter(server.DomainDispatcherApplication):
    writing = threading.Lock()

    def __call__(self, environment, start_response):
        if environment["REQUEST_METHOD"] in ("GET", "HEAD"):
            return super().__call__(environment, start_response)
        with self.writing:
            return super().__call__(environment, start_response)

server.DomainDispatcherApplication = OneWriter
server.main()
"""


@contextlib.contextmanager
def fake_s3(page: int = PAGE, authority: Authority | None = None) -> Iterator[str]:
    """Run a fake S3 that has one empty bucket; give its address.

    Args:
        page: How many names an answer to a list has.
        authority: Whose certificate it has, where it is reached by https.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = f"http{'s' if authority else ''}://127.0.0.1:{port}"
    certificate, key = authority.certificate() if authority else ("", "")
    secured = ["--ssl", "--ssl-cert", str(certificate), "--ssl-key", str(key)] if authority else []
    command = [sys.executable, "-W", "ignore", "-c", SERVER, "-H", "127.0.0.1", "-p", str(port), *secured]
    with subprocess.Popen(
        ["/bin/sh", "-c", UNTIL_INPUT_ENDS, "sh", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": str(page)},
    ):
        ends = time.monotonic() + 60
        while True:
            try:
                empty(address)
                break
            except urllib.error.URLError:
                assert time.monotonic() < ends, "the fake S3 does not start"
                time.sleep(0.05)
        yield address


def empty(address: str) -> None:
    """Delete all that a fake S3 holds, and make the one bucket that tests use."""
    _ask("POST", f"{address}/moto-api/reset")
    make_bucket(address, BUCKET)


def make_bucket(address: str, name: str) -> None:
    """Make one more bucket in a fake S3."""
    _ask("PUT", f"{address}/{name}")


def put(address: str, name: str, content: bytes = b"") -> None:
    """Put an object into the bucket as a console may, whatever its name."""
    _ask("PUT", f"{address}/{BUCKET}/{name}", content)


def _ask(method: str, url: str, body: bytes = b"") -> None:
    request = urllib.request.Request(url, body, method=method)
    anyone = ssl._create_unverified_context() if url.startswith("https:") else None
    with urllib.request.urlopen(request, timeout=60, context=anyone) as answer:
        answer.read()
