"""A base image with the Python that runs the tests: this machine's, copied over the base image of another one.

No registry is reached, so it stands for the official image of this Python under that name.
"""

from __future__ import annotations

import io
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
BASE = "python:3.13-slim-trixie"
OFFICIAL = f"python:{VERSION}-slim-trixie"
LEFT_OUT = {"site-packages", "test", "idlelib", "tkinter", "turtledemo", "lib2to3", "__pycache__"}
RECIPE = f"""
FROM {BASE}
ADD python.tar /usr/local/
RUN ldconfig \\
 && ln -sf python{VERSION} /usr/local/bin/python3 && ln -sf python{VERSION} /usr/local/bin/python \\
 && python -m ensurepip --default-pip >/dev/null && python -c 'import ctypes, hashlib, lzma, sqlite3, ssl, zlib'
"""


def make_base() -> bool:
    """Make the image, unless there is one of that name; tell whether it was made."""
    if subprocess.run(["docker", "image", "inspect", OFFICIAL], capture_output=True).returncode == 0:
        return False
    ended = subprocess.run(
        ["docker", "build", "--quiet", "--tag", OFFICIAL, "-"], input=_context(), capture_output=True
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return True


def _context() -> bytes:
    """Return the context of the build: the recipe, and Python as a tar archive."""
    prefix, library = Path(sys.base_prefix), Path(sysconfig.get_path("stdlib"))
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        archive.add(prefix / "bin" / f"python{VERSION}", f"bin/python{VERSION}")
        for file in (prefix / "lib").glob(f"libpython{VERSION}.so*"):
            archive.add(file, f"lib/{file.name}")
        for path in library.iterdir():
            if path.name not in LEFT_OUT and not path.name.startswith("config-"):
                archive.add(path, f"lib/python{VERSION}/{path.name}", filter=_kept)
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, content in {"Dockerfile": RECIPE.encode(), "python.tar": written.getvalue()}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return context.getvalue()


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(entry.name).name in LEFT_OUT else entry
