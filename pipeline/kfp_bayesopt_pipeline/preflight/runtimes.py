"""Checks that an image holds our runtime, as new as the pipeline that starts it, for the right processor."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.documents import parse_json
from kfp_bayesopt.runtime import RUNTIME
from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.store.stores import layer_of
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.version import __version__
from kfp_bayesopt_pipeline.images import Images, images_used, load_images_of
from kfp_bayesopt_pipeline.preflight.registry import labels_of

PROCESSOR = "amd64"
"""The processor of Vertex, and of most clusters."""
VERSION_LABEL = "kfp-bayesopt.runtime"
STEP_LABEL = "kfp-bayesopt.step"
LAYER_LABEL = "kfp-bayesopt.stores"
ADDED = {"s3": f"{RUNTIME}/packages/obstore/__init__.pyc"}
"""A file of the packages that each stage of the Dockerfiles adds, by the stage."""
SECONDS = 60


def images_that_run(study: Study, study_path: str, path: Path | None) -> Images:
    """Read the image of each step of a study, all of which can run it.

    Args:
        study: The study.
        study_path: The study file.
        path: The file that names the images, where it is not the usual one.

    Raises:
        UserError: One is missing, or cannot run its step.
    """
    found = load_images_of(study, study_path, path)
    if problems := check_runtimes(study, found):
        raise UserError("\n".join(problems))
    return found


def check_runtimes(
    study: Study, images: Images, processor: str | None = None, root: str = "", study_path: str = ""
) -> list[str]:
    """Return the problems of images that cannot run their steps of a study.

    Args:
        study: The study.
        images: The image of each step.
        processor: The processor of the machines, by Docker's name, if known.
        root: Where study folders are, if they are not on this machine.
        study_path: The study file, for the way out.
    """
    used = images_used(study, images)
    problems = [problem for step, image in used.items() for problem in check_runtime(image, step, processor)]
    return problems or _out_of_reach(used, root, study_path)


def _out_of_reach(images: Images, root: str, study_path: str) -> list[str]:
    """Return, in one line, the images that cannot reach study folders, as far as Docker or a registry tells."""
    layer = layer_of(root)
    lacking = [image for image in dict.fromkeys(images.values()) if layer and not _has(image, layer)]
    if not lacking:
        return []
    scheme = root.partition(":")[0]
    way_out = hints.PUSH_FOR(study=study_path, root=root)
    return [
        f"{', '.join(lacking)}: cannot reach {scheme}:// folders; `{way_out}` makes images that can, and an image of "
        "your own copies the runtime of one of them (docs/images.md)"
    ]


def _has(image: str, layer: str) -> bool:
    """Tell whether the runtime of an image has packages that are added, or nobody knows."""
    found = _docker("image", "inspect", "--format", "{{json .Config.Labels}}", image)
    labels = labels_of(image) if found is None else json.loads(found) or {}
    if labels is None or labels.get(LAYER_LABEL) == layer:
        return True
    if found is None:  # what is in an image of their own cannot be seen from here
        return STEP_LABEL not in labels
    with _container(image) as container:  # one that copies the runtime lacks its labels
        return container is None or _file(container, ADDED[layer]) is not None


def check_runtime(image: str, step: str, processor: str | None = None) -> list[str]:
    """Return the reasons an image cannot run a step, as far as Docker has the image here.

    Args:
        image: Its name.
        step: Name of the step.
        processor: The processor that runs it, by Docker's name.
    """
    found = _docker("image", "inspect", image)
    if found is None:
        return []
    inspected: dict[str, Any] = json.loads(found)[0]
    problems = []
    if processor not in (None, inspected["Architecture"]):
        problems.append(
            f"{image}: is for {inspected['Architecture']}, but {processor} is needed; build it with "
            f"--platform linux/{processor}"
        )
    labels = inspected["Config"].get("Labels") or {}
    # An image that copies the runtime lacks its labels; one built on ours has them.
    if VERSION_LABEL in labels and STEP_LABEL in labels:
        return problems + _problems(image, step, {"version": labels[VERSION_LABEL], "step": labels[STEP_LABEL]})
    with _container(image) as container:
        if container is None:  # Docker could not look into it, which says nothing of the image
            return problems
        runtime = _file(container, f"{RUNTIME}/runtime.json")
        if runtime is not None and _file(container, "/bin/sh") is None:
            problems.append(f"{image}: has no /bin/sh, which starts the runtime; that of busybox will do")
    return problems + _problems(image, step, _parse(runtime))


def _problems(image: str, step: str, runtime: dict[str, str]) -> list[str]:
    copy = f"COPY --from=REGISTRY/{step}:TAG {RUNTIME} {RUNTIME}"
    if not runtime:
        return [f"{image}: has no {RUNTIME}, which runs the trials; add to its Dockerfile: {copy} (docs/images.md)"]
    problems, version, other = [], runtime["version"], runtime["step"]
    if _numbers(version) < _numbers(__version__):
        problems.append(f"{image}: its runtime is of version {version}, older than {__version__}; build it again")
    if step not in (other, *(STEPS[other].holds if other in STEPS else ())):
        problems.append(f"{image}: its runtime is that of {other}, not of {step}; change its Dockerfile: {copy}")
    return problems


@contextmanager
def _container(image: str) -> Iterator[str | None]:
    """Yield the id of a container of an image, without starting it; None if Docker makes none."""
    created = _docker("create", image, next(iter(STEPS.values())).program)
    if created is None:
        yield None
        return
    container = created.strip()
    try:
        yield container
    finally:
        _docker("rm", container)


def _file(container: str, path: str) -> bytes | None:
    """Return a file of a container, with links followed, as a tar archive; None if it does not exist."""
    ended = subprocess.run(
        ["docker", "cp", "--follow-link", f"{container}:{path}", "-"],  # noqa: S607
        capture_output=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    return None if ended.returncode else ended.stdout


def _parse(packed: bytes | None) -> dict[str, str]:
    """Return the description of a runtime: the one file in a tar archive, a line of JSON."""
    start, end = (packed or b"").find(b"{"), (packed or b"").find(b"}")
    if packed is None or start < 0:
        return {}
    try:
        read = parse_json(packed[start : end + 1])
    except ValueError:
        return {}
    return read if all(isinstance(read.get(key), str) for key in ("version", "step")) else {}


def _docker(*arguments: str) -> str | None:
    """Return the output of Docker, or None if Docker or the object does not exist."""
    try:
        ended = subprocess.run(
            ["docker", *arguments],  # noqa: S607
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout if ended.returncode == 0 else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if re.fullmatch("[0-9]{1,9}", part))
