"""From `make push` to a best value: the compiled pipeline, unchanged, in KFP's own engine on the pushed images."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bayesopt.steps import STEPS
from tests.e2e.conftest import ROOT, make, run
from tests.ledgers import comparable

REGISTRY = "127.0.0.1:5000/kfp-bayesopt-e2e-kfp"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Push the images and return the file of their digests."""
    path = tmp_path_factory.mktemp("push") / "images.json"
    pushed = make("push", f"REGISTRY={REGISTRY}", "TAG=test", f"IMAGES={path}")
    assert pushed.returncode == 0, pushed.stderr
    yield path
    run("docker", "rmi", "--force", *(f"{REGISTRY}/{step}:test" for step in STEPS))


def _run_kfp(study: Path, images: Path, out: Path) -> str:
    ended = make("run-kfp", f"STUDY={study}", f"IMAGES={images}", f"OUT={out}")
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return ended.stdout


def _ledger(out: Path) -> str:
    return (out / "trials.jsonl").read_text()


def _small(folder: Path, old: str = "high: 10.0", new: str = "high: 10.0") -> Path:
    """Write the Branin study with 2 x 2 trials, and something else changed."""
    text = (ROOT / "studies" / "branin.yaml").read_text()
    for before, after in (("iterations: 4", "iterations: 2"), ("parallel_trials: 4", "parallel_trials: 2"), (old, new)):
        assert before in text
        text = text.replace(before, after)
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def test_the_seeds_study_ends_as_it_does_in_process(images: Path, tmp_path: Path) -> None:
    """Compose is compared with a run in process too, so that all three agree.

    Equal bit for bit where numpy runs on the same kernels; across machines to a relative 1e-6.
    """
    from pipeline.local import Options
    from pipeline.local import run as run_in_process

    study = Path("studies/branin.yaml")
    printed = _run_kfp(study, images, tmp_path / "kfp")
    best = json.loads((tmp_path / "kfp" / "best.json").read_text())
    assert best["value"] == pytest.approx(0.80801, abs=1e-3)
    assert re.search(rf"^best value {best['value']!r}$", printed, re.MULTILINE)

    run_in_process(str(ROOT / study), str(tmp_path / "in-process"), 2, Options())
    ours, theirs = (comparable(_ledger(tmp_path / folder)) for folder in ("kfp", "in-process"))
    assert len(ours) == 16
    for one, other in zip(ours, theirs, strict=True):
        assert one.pop("parameters") == pytest.approx(other.pop("parameters"), rel=1e-6)
        assert one.pop("values") == pytest.approx(other.pop("values"), rel=1e-6)
        assert one == other


def test_the_pipeline_that_runs_names_the_digests_of_the_registry(images: Path, tmp_path: Path) -> None:
    compiled = make("compile", f"STUDY={_small(tmp_path)}", f"IMAGES={images}")
    assert compiled.returncode == 0, compiled.stderr
    text = (ROOT / "out" / "branin" / "pipeline.yaml").read_text()
    named = set(re.findall(r"^ +image: (\S+)$", text, re.MULTILINE))
    assert named == set(json.loads(images.read_text()).values())
    assert all(re.fullmatch(rf"{REGISTRY}/\w+@sha256:[0-9a-f]{{64}}", image) for image in named)


def test_an_unchanged_study_costs_no_evaluation_and_a_changed_range_does(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _run_kfp(_small(tmp_path), images, out)
    first = _ledger(out)
    _run_kfp(_small(tmp_path), images, out)
    assert _ledger(out) == first, "times and hosts too: nothing ran"

    _run_kfp(_small(tmp_path, new="high: 9.0"), images, out)
    assert not _times(_ledger(out)) & _times(first)


def _times(ledger: str) -> set[Any]:
    return {json.loads(line)["started"] for line in ledger.splitlines()}
