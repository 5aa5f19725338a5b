"""Wheels that tests make, and packages as installers leave them, without an index."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

ANY = "py3-none-any"


def _hash(content: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()


def _files(name: str, version: str, tag: str, modules: Mapping[str, str], needs: Iterable[str]) -> dict[str, str]:
    info = f"{name}-{version}.dist-info"
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {each}" for each in needs),
    ]
    files = dict(modules) | {
        f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = [f"{path},{_hash(content)},{len(content)}" for path, content in files.items()]
    return files | {f"{info}/RECORD": "\n".join([*record, f"{info}/RECORD,,"]) + "\n"}


def a_wheel(
    folder: Path,
    name: str = "greeting",
    version: str = "1.0",
    tag: str = ANY,
    modules: Mapping[str, str] | None = None,
    needs: Iterable[str] = (),
) -> Path:
    """Make a wheel in a folder, and return it; by default it has one module of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in _files(name, version, tag, modules or {f"{name}.py": "WORD = 'hello'\n"}, needs).items():
            archive.writestr(zipfile.ZipInfo(each), content)
    return path


def a_package(
    folder: Path,
    name: str = "greeting",
    version: str = "1.0",
    tag: str = ANY,
    modules: Mapping[str, str] | None = None,
    direct_url: object = None,
    installer: str = "pip",
) -> None:
    """Make a package in a folder as an installer leaves it."""
    files = _files(name, version, tag, modules or {f"{name}.py": "WORD = 'hello'\n"}, ())
    files[f"{name}-{version}.dist-info/INSTALLER"] = f"{installer}\n"
    if direct_url is not None:
        files[f"{name}-{version}.dist-info/direct_url.json"] = json.dumps(direct_url)
    for each, content in files.items():
        path = folder / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def a_source(folder: Path) -> Path:
    """Make the source of `greeting`, which pip builds without anything else, and return its folder."""
    wheel = a_wheel(folder / "made")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "greeting"\nversion = "1.0"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (folder / "backend.py").write_text(
        "import shutil\n\n\ndef build_wheel(folder, *_):\n"
        f"    shutil.copy('made/{wheel.name}', folder)\n    return '{wheel.name}'\n"
    )
    return folder
