"""From `make push` to a best value: the compiled pipeline, unchanged, in KFP's own engine on the pushed images."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_bayesopt.steps import steps_of
from tests import ROOT
from tests.e2e.conftest import REGISTRY, make, run
from tests.ledgers import check_agreement, comparable


def _try_kfp(study: Path, images: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return make("run-kfp", f"STUDY={study}", f"IMAGES={images}", f"OUT={out}")


def _run_kfp(study: Path, images: Path, out: Path) -> str:
    ended = _try_kfp(study, images, out)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return ended.stdout


def _ledger(out: Path) -> str:
    return (out / "trials.jsonl").read_text()


def _small(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the Branin study with 2 x 2 trials, and something else changed."""
    text = (ROOT / "studies" / "branin.yaml").read_text()
    for before, after in (("iterations: 4", "iterations: 2"), ("parallel_trials: 4", "parallel_trials: 2"), *changes):
        assert before in text
        text = text.replace(before, after)
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def test_the_seeds_study_ends_as_it_does_in_process(images: Path, tmp_path: Path) -> None:
    """Compose is compared with a run in process too, so that all three agree."""
    from kfp_bayesopt_pipeline.places.in_process import Options
    from kfp_bayesopt_pipeline.places.in_process import run as run_in_process

    study = Path("studies/branin.yaml")
    printed = _run_kfp(study, images, tmp_path / "kfp")
    best = json.loads((tmp_path / "kfp" / "best.json").read_text())
    assert best["value"] == pytest.approx(0.80801, abs=1e-3)
    assert re.search(rf"^best value {best['value']!r}$", printed, re.MULTILINE)

    run_in_process(str(ROOT / study), str(tmp_path / "in-process"), 2, Options())
    ours, theirs = (comparable(_ledger(tmp_path / folder)) for folder in ("kfp", "in-process"))
    assert len(ours) == 16
    check_agreement(ours, theirs)


def test_the_pipeline_that_runs_names_the_digests_of_the_registry(images: Path, tmp_path: Path) -> None:
    compiled = make("compile", f"STUDY={_small(tmp_path)}", f"IMAGES={images}")
    assert compiled.returncode == 0, compiled.stderr
    text = (ROOT / "out" / "branin" / "pipeline.yaml").read_text()
    named = set(re.findall(r"^ +image: (\S+)$", text, re.MULTILINE))
    pushed = json.loads(images.read_text())
    assert named == {pushed[step.name] for step in steps_of("batches")}
    assert all(re.fullmatch(rf"{REGISTRY}/\w+@sha256:[0-9a-f]{{64}}", image) for image in named)


@pytest.mark.long
def test_the_same_command_evaluates_nothing_again_and_more_iterations_only_their_own_trials(
    images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _run_kfp(_small(tmp_path), images, out)
    first = _ledger(out)
    assert len(first.splitlines()) == 4
    _run_kfp(_small(tmp_path), images, out)
    assert _ledger(out) == first, "times and machines too: nothing ran"

    _run_kfp(_small(tmp_path, ("iterations: 2", "iterations: 3")), images, out)
    assert _ledger(out).startswith(first)
    assert len(_ledger(out).splitlines()) == 6
    assert not (out / ".kfp").exists()


KILLED = f"{REGISTRY}/killed:test"
KILLING = r"""
FROM {evaluate}
USER root
# The program goes on under another folder; in its place is one that ends as the kernel ends what takes all memory.
RUN mkdir /opt/bayesopt/own && ln -s /opt/bayesopt/bin/start /opt/bayesopt/own/evaluate \
 && printf '#!/bin/sh\ncase "$*" in *"--trial 2"*) exit 137;; esac\nexec /opt/bayesopt/own/evaluate "$@"\n' >/tmp/new \
 && chmod 755 /tmp/new && rm /opt/bayesopt/bin/evaluate && mv /tmp/new /opt/bayesopt/bin/evaluate
USER 1000:1000
"""


@pytest.fixture
def killed(images: Path, tmp_path: Path) -> Iterator[str]:
    """Return the evaluate image with a second trial that is killed."""
    folder = tmp_path / "image"  # a Dockerfile beside the study would be that of the study
    folder.mkdir()
    (folder / "Dockerfile").write_text(KILLING.format(evaluate=json.loads(images.read_text())["evaluate"]))
    built = run("docker", "build", "--quiet", "--tag", KILLED, str(folder))
    assert built.returncode == 0, built.stderr
    yield KILLED
    run("docker", "rmi", "--force", KILLED)


@pytest.mark.long
def test_a_trial_that_is_killed_leaves_results_and_the_reason_and_the_same_command_goes_on(
    killed: str, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    own = ("objective:", f"steps: {{evaluate: {{image: '{killed}', retries: 0}}}}\nobjective:")
    failed = _try_kfp(_small(tmp_path, own), images, out)
    assert failed.returncode != 0
    reasons = (
        "Error: 1 of 4 trials have ended; run the same command again to finish\n",
        # Where Docker is faster than kfp.local, that takes the trial for a success, and `update` looks for its record.
        "Error: the record of trial 2 is missing; run `evaluate` for it again\n",
    )
    assert any(reason in failed.stderr for reason in reasons), failed.stderr
    first = _ledger(out)
    assert [json.loads(line)["trial"] for line in first.splitlines()] == [1]
    assert json.loads((out / "best.json").read_text())["completed"] == 1
    assert (out / ".kfp").is_dir(), "what KFP had is kept for whoever looks why"

    _run_kfp(_small(tmp_path), images, out)
    assert _ledger(out).startswith(first)
    assert [json.loads(line)["trial"] for line in _ledger(out).splitlines()] == [1, 2, 3, 4]


@pytest.mark.long
def test_a_mistake_in_the_study_ends_the_job_at_once_with_one_sentence(images: Path, tmp_path: Path) -> None:
    """The trial that finds it succeeds, so that KFP runs none of them again; `report` alone fails."""
    out = tmp_path / "out"
    failed = _try_kfp(_small(tmp_path, ("objectives.branin:branin", "objectives.branin:brain")), images, out)
    assert failed.returncode != 0
    (ended,) = [json.loads(path.read_text()) for path in out.glob("jobs/*/ended.json")]
    assert (ended["state"], ended["step"]) == ("failed", "evaluate")
    assert "brain" in ended["reason"]
    assert f"Error: {ended['reason']}\n" in failed.stderr
    engine = (out / ".kfp" / "engine.log").read_text()
    states = re.findall(r"Task \S*'([\w-]+)'\S* finished with status \S*?(SUCCESS|FAILURE)", engine)
    assert "Retrying" not in engine
    assert {task for task, state in states if state == "FAILURE"} == {"report", "report-2"}
    assert not list(out.glob("trials/000003"))
