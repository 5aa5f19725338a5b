"""Compiling a study for Kubeflow and Vertex: size and time as iterations and trials grow, compared with no loop.

KFP reads the annotations of a pipeline, so this module must not postpone their evaluation.
"""

import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from kfp import compiler, dsl

import kfp_bayesopt_pipeline  # noqa: F401 - it makes the packages of the steps importable
from kfp_bayesopt.steps import EVALUATE, INIT, STEPS, UPDATE
from kfp_bayesopt.study.budget import batches
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.compile import compile_study
from kfp_bayesopt_pipeline.components import make_component

IMAGES = {step: f"europe-docker.pkg.dev/my-project/bayesopt/{step}@sha256:{'0' * 64}" for step in STEPS}
SHAPES = ((4, 4), (10, 10), (10, 50), (100, 8), (100, 50))
UNROLLED = ((4, 4), (10, 10), (10, 50))  # more takes minutes


def measure(runs: int = 5) -> str:
    """Return the figures as Markdown."""
    rows = []
    for shape in SHAPES:
        content = _content(*shape)
        study = Study.from_text(content)
        seconds, size = _time(lambda study=study, content=content: compile_study(study, content, IMAGES), runs)
        plain = _time(lambda study=study: _compile_unrolled(study), 1) if shape in UNROLLED else None
        ratio = f"{plain[1] / 1000:.0f} kB, {plain[0]:.2f} s | {plain[1] / size:.1f}" if plain else "not tried | "
        rows.append(f"| {shape[0]} x {shape[1]} | {size / 1000:.0f} kB | {seconds:.2f} s | {ratio} |\n")
    return (
        f"The compiled pipeline and the time to compile it, median of {runs}; without a loop, as the seed has it, "
        "every trial is a task of its own:\n\n"
        "| iterations x trials | size | time | without a loop | ratio of sizes |\n"
        "| --- | --- | --- | --- | --- |\n" + "".join(rows)
    )


def _content(iterations: int, trials: int) -> bytes:
    return json.dumps(
        {
            "name": "branin",
            "objective": {"python": "objectives.branin:branin"},
            "iterations": iterations,
            "parallel_trials": trials,
            "space": {"x1": {"type": "real", "low": -5.0, "high": 10.0}},
        }
    ).encode()


def _compile_unrolled(study: Study) -> str:
    init, evaluate, update = (
        make_component(step, IMAGES[step.name], "study.yaml") for step in (INIT, EVALUATE, UPDATE)
    )

    @dsl.pipeline(name=study.name)  # type: ignore[untyped-decorator]
    def unrolled(root: str, job: str) -> None:
        last = init(root=root, job=job)
        for batch in batches(study):
            trials = [evaluate(root=root, job=job, trial=number).after(last) for number in batch]
            last = update(root=root, job=job, after=batch[-1]).after(*trials)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(unrolled, str(path))
        return path.read_text()


def _time(compile_it: Any, runs: int) -> tuple[float, int]:
    """Return the median of the seconds, and the size."""
    seconds, text = [], ""
    for _ in range(runs):
        begin = time.perf_counter()
        text = compile_it()
        seconds.append(time.perf_counter() - begin)
    return median(seconds), len(text)
