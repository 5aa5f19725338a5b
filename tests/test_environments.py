"""`make` sets up environments, also in a folder with a space in its path; their packages are made here, offline."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests import ROOT

pytestmark = pytest.mark.long

PACKAGES = ("greeting", "farewell")
MODULES = ", ".join(PACKAGES)


def _digest(content: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).decode().rstrip("=")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with what `make` needs, and a lock of two packages."""
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT / "locks", folder / "locks", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "pipeline").mkdir()
    ours = folder / "images" / "common" / "kfp_bayesopt" / "cli"
    ours.mkdir(parents=True)
    (ours / "main.py").write_text("import sys\n\n\ndef main() -> None:\n    print(sys.argv[1:])\n")
    (folder / "wheels").mkdir()
    for name in PACKAGES:
        about = f"{name}-1.0.dist-info"
        files = {
            f"{name}.py": f"print({name!r})\n",
            # Two packages may bring a file of the same name, as botorch and ax-platform do.
            "scripts/convert.py": "pass\n" * (1 + PACKAGES.index(name)),
            # It asks for a package that is nowhere: the lock is installed as it is.
            f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: x\n",
            f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        with zipfile.ZipFile(folder / "wheels" / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            for file, content in files.items():
                wheel.writestr(file, content)
            sizes = [f"{file},sha256={_digest(content)},{len(content)}\n" for file, content in files.items()]
            wheel.writestr(f"{about}/RECORD", "".join([*sizes, f"{about}/RECORD,,\n"]))
    return folder


def _write_lock(checkout: Path) -> Path:
    lock = checkout / "pipeline" / "requirements.txt"
    wheels = {name: checkout / "wheels" / f"{name}-1.0-py3-none-any.whl" for name in PACKAGES}
    digests = {name: hashlib.sha256(wheel.read_bytes()).hexdigest() for name, wheel in wheels.items()}
    lock.write_text("".join(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n" for name, digest in digests.items()))
    return lock


def _command(checkout: Path, target: str, python: str = sys.executable, modules: str = MODULES) -> list[str]:
    given = [f"PYTHON={python}", f"MODULES_.venv={modules}"]
    return ["make", "--no-print-directory", "-C", str(checkout), *given, target]


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return environment | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "wheels", "PIP_CONFIG_FILE": os.devnull}


def _make(checkout: Path, *arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
    command = _command(checkout, *arguments, **options)
    return subprocess.run(command, env=_environment(), capture_output=True, text=True, timeout=300)


def _imports(checkout: Path) -> str:
    python = str(checkout / ".venv" / "bin" / "python")
    command = [python, "-c", f"import {MODULES}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_an_environment_is_set_up_from_its_lock_alone_and_again_after_it_broke_off(checkout: Path) -> None:
    lock = _write_lock(checkout)
    right = lock.read_text()
    lock.write_text(right.replace("sha256:", "sha256:0000"))
    broken = _make(checkout, ".venv/installed")
    assert broken.returncode == 2
    assert broken.stderr.startswith("ERROR: ")
    assert (
        "cannot install pipeline/requirements.txt; the whole output of pip is in .venv/install.log\n" in broken.stderr
    )
    assert "Traceback" not in broken.stderr
    left = checkout / ".venv" / "left"
    left.touch()

    lock.write_text(right)
    again = _make(checkout, ".venv/installed")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == (
        "setting up .venv from pipeline/requirements.txt: 2 packages, less than a minute\n  .venv: installing\n"
    )
    assert not left.exists()
    assert _imports(checkout) == "greeting\nfarewell\n"
    command = [str(checkout / ".venv" / "bin" / "bayesopt"), "run", "a study.yaml"]
    printed = subprocess.run(command, cwd=checkout.parent, capture_output=True, text=True, check=True).stdout
    assert printed == "['run', 'a study.yaml']\n"

    nothing = _make(checkout, ".venv/installed")
    assert (nothing.returncode, nothing.stdout) == (0, "make: '.venv/installed' is up to date.\n")


def test_of_two_set_ups_at_once_one_waits_for_the_other(checkout: Path) -> None:
    _write_lock(checkout)
    both = [
        subprocess.Popen(
            _command(checkout, ".venv/installed"), env=_environment(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [each.communicate(timeout=300)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert sum("waiting for another set-up of .venv\n" in each for each in said) == 1
    assert sum("setting up .venv from" in each for each in said) == 1
    assert _imports(checkout) == "greeting\nfarewell\n"


def test_one_that_was_killed_is_done_again_and_a_broken_one_heals(checkout: Path) -> None:
    _write_lock(checkout)
    started = subprocess.Popen(
        [sys.executable, "-m", "locks.install", ".venv", "pipeline/requirements.txt"], cwd=checkout,
        env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    with started:
        for _ in range(3000):
            if list(checkout.glob(".venv/lib/python*/site-packages/pip")):
                break
            time.sleep(0.01)
        started.kill()
    assert not (checkout / ".venv" / "installed").exists()
    assert _make(checkout, ".venv/installed").returncode == 0
    assert _imports(checkout) == "greeting\nfarewell\n"

    (module,) = checkout.glob(".venv/lib/python*/site-packages/farewell.py")
    module.unlink()
    assert "setting up .venv from" in _make(checkout, "set-up/.venv").stdout
    assert _imports(checkout) == "greeting\nfarewell\n"
    assert _make(checkout, "set-up/.venv").stdout == "", "it is whole"


def test_an_environment_that_cannot_import_what_it_is_for_has_no_mark(checkout: Path) -> None:
    _write_lock(checkout)
    refused = _make(checkout, ".venv/installed", modules="greeting, nowhere")
    assert refused.returncode == 2
    assert (
        ".venv was set up from pipeline/requirements.txt, but ModuleNotFoundError: No module named 'nowhere'; its "
        "output is in .venv/install.log\n" in refused.stderr
    )
    assert not (checkout / ".venv" / "installed").exists()


def test_a_python_that_is_too_old_is_refused_with_the_way_out(checkout: Path) -> None:
    """Python reads `sitecustomize.py` as it starts; this one makes it take itself for 3.9."""
    _write_lock(checkout)
    old = checkout / "old"
    old.mkdir()
    (old / "sitecustomize.py").write_text("import platform, sys\nsys.version_info = (3, 9, 1)\n")
    old.joinpath("python").write_text(f'#!/bin/sh\nPYTHONPATH="$(dirname "$0")" exec {sys.executable} "$@"\n')
    old.joinpath("python").chmod(0o755)
    refused = _make(checkout, ".venv/installed", "./old/python")
    assert refused.returncode == 2
    assert "Python 3.11 or later is needed, but " in refused.stderr
    assert "; use: make PYTHON=python3.12" in refused.stderr
    assert not (checkout / ".venv").exists()


def test_a_comparison_without_torch_says_where_people_get_it(checkout: Path) -> None:
    """The environment is there, and holds a Python that sees no packages."""
    lock = checkout / "benchmarks" / "requirements.txt"
    python = checkout / ".venv-peers" / "bin" / "python"
    for path, text in (lock, ""), (python, f'#!/bin/sh\nexec {sys.executable} -S "$@"\n'):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    python.chmod(0o755)
    (checkout / ".venv-peers" / "installed").touch()
    for target in ("bench/quality", "bench/speed"):
        refused = _make(checkout, target)
        assert refused.returncode == 2
        assert refused.stdout == ""
        assert refused.stderr.startswith(
            "torch is not installed in .venv-peers, and no lock has it; pytorch.org says which build is "
            "for this machine, the usual one is: .venv-peers/bin/pip install torch\n"
        )
