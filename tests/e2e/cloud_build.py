"""Runs the docker steps of cloudbuild.yaml on this machine, one after another, as Cloud Build would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests import ROOT

DOCKER = "gcr.io/cloud-builders/docker"


def lay_out(workspace: Path) -> None:
    """Copy the files of the repository, without what git ignores, to where the steps run."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (workspace / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, workspace / name)


def run_docker_steps(workspace: Path, given: dict[str, str]) -> str:
    """Run the steps of the builder `docker` and return what they print.

    Args:
        workspace: Where they run; what they write stays there.
        given: Substitutions in place of those of the file, and the built-in ones that it uses.
    """
    build: dict[str, Any] = YAML(typ="safe").load((workspace / "cloudbuild.yaml").read_text())
    substitutions = {**build["substitutions"], **given}
    environment = dict(pair.split("=", 1) for pair in build["options"]["env"])
    printed = ""
    for step in build["steps"]:
        if step["name"] == DOCKER:
            command = [step.get("entrypoint", "docker"), *(fill(each, substitutions) for each in step["args"])]
            ended = subprocess.run(
                command, cwd=workspace, env={**os.environ, **environment}, timeout=900,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            assert ended.returncode == 0, f"{step['id']}: {ended.stdout[-4000:]}"
            printed += ended.stdout
    return printed


def fill(text: str, substitutions: dict[str, str]) -> str:
    """Put the substitutions in; one may name others, and `$$` is a dollar."""

    def replace(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else fill(substitutions[match[1]], substitutions)

    return re.sub(r"\$\$|\$\{(\w+)\}", replace, text)
