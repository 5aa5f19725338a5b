"""Writes the locks, as `make lock` does. All are drafted first, and none is replaced unless every one is closed."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from locks import ROOT
from locks.closed import (
    LOWEST,
    MACHINES,
    METADATA,
    OUTSIDE,
    Machine,
    Metadata,
    gaps,
    key,
    machines_of,
    metadata_of,
    pins_for,
    read_metadata,
    read_project,
    read_requirements,
)

# The lock of the cloud commands is the largest. It comes first, and the others take their versions from it, so that a
# study runs on the same packages everywhere.
BASE = "pipeline/cloud"
# Each lock fits every machine; where one package needs several versions for that, as few as possible.
EVERYWHERE = ("--universal", "--fork-strategy", "fewest", "--python-version", MACHINES[0].python)
OF_PROJECT = f"{LOWEST}/project.in"
OLDEST = (
    *("--resolution", "lowest-direct", "--python-version", MACHINES[0].python),
    *("--python-platform", MACHINES[0].platform, OF_PROJECT),
)


def folders() -> list[str]:
    """Return the folders of the repository that have a lock, the one that the others follow first."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*requirements.in"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = sorted(str(Path(name).parent) for name in listed.stdout.splitlines())
    return [BASE, *(folder for folder in found if folder != BASE)]


def main() -> None:
    """Write the locks and the requirements of their packages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    upgrade = parser.parse_args().upgrade
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder)
        locked = folders()
        draft_locks(draft, locked, upgrade)
        if found := draft_metadata(draft, locked):
            sys.exit("\n".join(["no lock was written, because these would lack a package:", *found]))
        for name in [*(f"{each}/requirements.txt" for each in locked), METADATA]:
            replace(ROOT / name, (draft / name).read_text())


def draft_locks(draft: Path, locked: list[str], upgrade: bool) -> None:
    """Write the locks below a folder, with the versions of the current locks as far as these still fit."""
    for name in [OUTSIDE, *(f"{each}/requirements.{kind}" for each in locked for kind in ("in", "txt"))]:
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copyfile(ROOT / name, draft / name)
    (draft / OF_PROJECT).write_text("".join(f"{each}\n" for each in read_project(ROOT / "pyproject.toml")))
    for folder in locked:
        print(f"resolving {folder}/requirements.in", flush=True)
        kind = OLDEST if folder == LOWEST else EVERYWHERE
        uv(
            draft,
            *("pip", "compile", *kind),
            *("--generate-hashes", "--no-emit-index-url", "--custom-compile-command", "make lock"),
            *("--excludes", OUTSIDE),
            *(["--upgrade"] if upgrade else []),
            *(["-c", f"{BASE}/requirements.txt"] if folder not in (BASE, LOWEST) else []),
            *(f"{folder}/requirements.in", "-o", f"{folder}/requirements.txt"),
        )


def draft_metadata(draft: Path, locked: list[str]) -> list[str]:
    """Write the requirements of the locked packages below a folder, and return the gaps in the locks."""
    known = read_metadata(ROOT / METADATA) if (ROOT / METADATA).exists() else {}
    needed: dict[str, Metadata] = {}
    found: list[str] = []
    outside = {canonicalize_name(requirement.name) for requirement in read_requirements(draft / OUTSIDE)}
    for folder in locked:
        lock = read_requirements(draft / folder / "requirements.txt")
        for machine in machines_of(folder):
            for pin in pins_for(machine, lock).values():
                if key(pin) not in needed:
                    needed[key(pin)] = known.get(key(pin)) or ask(pin, machine)
        asked = read_requirements(draft / folder / "requirements.in")
        found += [
            f"{folder}/requirements.txt: {gap}" for gap in gaps(asked, lock, needed, outside, machines_of(folder))
        ]
    (draft / METADATA).write_text(json.dumps(needed, indent=1, sort_keys=True) + "\n")
    return found


def ask(pin: Requirement, machine: Machine) -> Metadata:
    """Return the requirements that a package declares, by installing it alone into a temporary folder."""
    print(f"asking what {key(pin)} needs", flush=True)
    with tempfile.TemporaryDirectory() as target:
        platform = ("--python-platform", machine.platform, "--python-version", machine.python)
        uv(ROOT, "pip", "install", "--no-deps", "--target", target, *platform, key(pin))
        [package] = importlib.metadata.distributions(path=[target])
        return metadata_of(package)


def uv(folder: Path, *arguments: str) -> None:
    """Run uv in a folder; it reports its own errors."""
    if subprocess.run([sys.executable, "-m", "uv", *arguments, "--quiet"], cwd=folder).returncode:
        sys.exit("no lock was written")


def replace(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    beside = path.with_name(f".{path.name}")
    beside.write_text(text)
    beside.replace(path)


if __name__ == "__main__":
    main()
