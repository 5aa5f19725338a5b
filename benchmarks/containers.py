"""A trial as a container: how long it takes from start to exit, and how large the images are."""

from __future__ import annotations

import json
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.timing import time_commands

BASE = "python:3.13-slim-trixie"
STEPS = ("init", "evaluate", "update")
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
    with _fake_storage(images["evaluate"]) as network, tempfile.TemporaryDirectory() as folder:
        local = [
            "--study",
            "/data/study.yaml",
            "--suggestions",
            "/data/suggestions.json",
            "--record-out",
            "/tmp/r.json",
        ]
        cloud = [part.replace("/data", "gs://bayesopt").replace("/tmp", "gs://bayesopt") for part in local]
        _suggest(images["init"], folder, network)
        container = ["docker", "run", "--rm", "--network", network, "--env", "STORAGE_EMULATOR_HOST=http://gcs:9023"]
        trial = [*container, "--volume", f"{folder}:/data:ro", images["evaluate"], "python", "main.py", "--index", "0"]
        timings = time_commands(
            {
                "click": [*container, images["evaluate"], "python", "-c", "import click"],
                "local": [*trial, *local],
                "cloud": [*trial, *cloud],
            },
            runs,
        )
        seed = time_commands({"seed": ["docker", "run", "--rm", BASE, "sh", "-c", SEED]}, 3)["seed"]
    click = timings["click"]
    rows = [
        ('`python -c "import click"`, the least there is', click),
        ("a trial of Branin on local paths", timings["local"]),
        ("a trial of Branin through gs:// on a fake Cloud Storage", timings["cloud"]),
        ("the seed's way: pip install, then the trial, in a bare image (3 runs)", seed),
    ]
    base = _size(BASE)
    return (
        "One container, wall time of `docker run` from start to exit:\n\n"
        f"| container | median of {runs} (lowest to highest) | more than the first | ratio to a trial through gs:// |\n"
        "| --- | --- | --- | --- |\n"
        + "".join(
            f"| {name} | {timing} | {timing.median - click.median:+.2f} s | "
            f"{timing.median / timings['cloud'].median:.1f} |\n"
            for name, timing in rows
        )
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
    """Run a fake Cloud Storage at gcs:9023 in a network of its own; give the network's name."""
    server = _build("gcs", "tests/e2e/gcs/Dockerfile", "tests/e2e/gcs")
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


def _suggest(init: str, folder: str, network: str) -> None:
    """Make suggestions for Branin in a folder and in the fake Cloud Storage."""
    Path(folder).chmod(0o777)
    Path(folder, "study.yaml").write_bytes(Path("studies/branin.yaml").read_bytes())
    script = (
        "python main.py --study /data/study.yaml --optimizer-out /data/o --ledger-out /data/l "
        "--suggestions-out /data/suggestions.json"
        " && for f in study.yaml suggestions.json; do python -m bayesopt.copy /data/$f gs://bayesopt/$f; done"
    )
    container = ["docker", "run", "--rm", "--network", network, "--env", "STORAGE_EMULATOR_HOST=http://gcs:9023"]
    subprocess.run(
        [*container, "--volume", f"{folder}:/data", init, "sh", "-c", script], check=True, capture_output=True
    )


def _size(image: str) -> int:
    inspected = subprocess.run(["docker", "image", "inspect", image], check=True, capture_output=True)
    return int(json.loads(inspected.stdout)[0]["Size"])
