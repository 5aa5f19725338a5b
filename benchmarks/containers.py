"""A trial as a container: its time from start to exit, and the sizes of the images."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.timing import time_commands
from kfp_bayesopt.runtime import BIN
from kfp_bayesopt.steps import EVALUATE, INIT, STEPS
from kfp_bayesopt.steps.chain import Chain
from kfp_bayesopt_pipeline import shipped

BASE = "python:3.13-slim-trixie"
WAIT_FOR_STORAGE = """
import time, urllib.request
for _ in range(50):
    try:
        urllib.request.urlopen("http://gcs:9023/storage/v1/b/bayesopt")
        break
    except OSError:
        time.sleep(0.2)
"""
SEED = (
    "pip install --quiet scikit-optimize dill && "
    'python -c "from skopt.benchmarks import branin; print(branin([2.85, 2.6]))"'
)


def measure(runs: int = 9) -> str:
    """Return the figures as Markdown."""
    images = {step: _build(step, f"images/{step}/Dockerfile", "images") for step in STEPS}
    trials, first = images[EVALUATE.name], images[INIT.name]
    with _fake_storage(trials) as network, tempfile.TemporaryDirectory() as folder:
        here, cloud = Chain("/data/study.yaml", "/data"), Chain("gs://bayesopt/study.yaml", "gs://bayesopt")
        container = ["docker", "run", "--rm", "--network", network, "--env", "STORAGE_EMULATOR_HOST=http://gcs:9023"]
        container += ["--volume", f"{folder}:/data", "--user", f"{os.getuid()}:{os.getgid()}"]
        _begin(container, first, folder, here, cloud)
        timings = time_commands(
            {
                "trials": [*container, trials, "python", "-c", "pass"],
                "local": [*container, trials, *here.arguments(EVALUATE, 1)],
                "cloud": [*container, trials, *cloud.arguments(EVALUATE, 1)],
                "first": [*container, first, "python", "-c", "pass"],
                "gp": [*container, first, *here.arguments(INIT)],
            },
            runs,
        )
        seed = time_commands({"seed": ["docker", "run", "--rm", BASE, "sh", "-c", SEED]}, 3)["seed"]
    rows = [
        (f"`python -c pass` in the image `{EVALUATE.name}`", timings["trials"], timings["trials"]),
        ("a trial of Branin on local paths", timings["local"], timings["trials"]),
        ("a trial of Branin through gs:// on a fake Cloud Storage", timings["cloud"], timings["trials"]),
        (f"`python -c pass` in the image `{INIT.name}`", timings["first"], timings["first"]),
        ("the first batch of Branin with the engine `gp`, on local paths", timings["gp"], timings["first"]),
        ("the seed's way: pip install, then the trial, in a bare image (3 runs)", seed, timings["trials"]),
    ]
    base = _size(BASE)
    return (
        "One container, wall time of `docker run` from start to exit:\n\n"
        f"| container | median of {runs} (lowest to highest) | ratio to `python -c pass` in the same image |\n"
        "| --- | --- | --- |\n"
        + "".join(f"| {name} | {timing} | {timing.median / least.median:.2f} |\n" for name, timing, least in rows)
        + f"\nSize on top of the base image ({base / 1e6:.0f} MB):\n\n| image | MB |\n| --- | --- |\n"
        + "".join(f"| {step} | {(_size(images[step]) - base) / 1e6:.0f} |\n" for step in STEPS)
    )


def _build(name: str, dockerfile: str, context: str) -> str:
    tag = f"kfp-bayesopt-bench/{name}"
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", tag, "--file", dockerfile, context], check=True, capture_output=True
    )
    return tag


@contextmanager
def _fake_storage(client: str) -> Iterator[str]:
    """Run a fake Cloud Storage at gcs:9023 in a network of its own; yield the network's name."""
    server = _build("gcs", str(shipped.FAKE_STORAGE / "Dockerfile"), str(shipped.FAKE_STORAGE))
    name = f"bench-{uuid.uuid4().hex[:8]}"
    subprocess.run(["docker", "network", "create", name], check=True, capture_output=True)
    try:
        start = [
            "docker",
            "run",
            "--rm",
            "--detach",
            "--name",
            name,
            "--network",
            name,
            "--network-alias",
            "gcs",
            server,
        ]
        subprocess.run(start, check=True, capture_output=True)
        subprocess.run(
            ["docker", "run", "--rm", "--network", name, client, "python", "-c", WAIT_FOR_STORAGE], check=True
        )
        yield name
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
        subprocess.run(["docker", "network", "rm", name], capture_output=True, check=False)


def _begin(container: list[str], first: str, folder: str, here: Chain, cloud: Chain) -> None:
    """Propose the first batch of Branin in a folder and in the fake Cloud Storage."""
    branin = Path("studies/branin.yaml").read_text()
    Path(folder, "study.yaml").write_text(re.sub(r"(?m)^optimizer: .*", "optimizer: {engine: gp}", branin))
    copy = [*container, first, f"{BIN}/copy", "/data/study.yaml", cloud.study]
    for command in ([*container, first, *here.arguments(INIT)], copy, [*container, first, *cloud.arguments(INIT)]):
        subprocess.run(command, check=True, capture_output=True)


def _size(image: str) -> int:
    inspected = subprocess.run(["docker", "image", "inspect", image], check=True, capture_output=True)
    return int(json.loads(inspected.stdout)[0]["Size"])
