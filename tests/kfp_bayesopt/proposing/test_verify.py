"""Every suggestion can be computed again, and one that does not follow from the records is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.folder.trials import Record, Suggestion, Trials
from kfp_bayesopt.proposing.batches import propose, versions
from kfp_bayesopt.proposing.verify import Checked, verify
from kfp_bayesopt.search.engine import replay
from kfp_bayesopt.study.study import Study
from tests import ROOT
from tests.asynchronous import Simulation
from tests.builders import BRANIN_SPACE, a_record, a_study, study_text, write_folder
from tests.kfp_bayesopt.search.test_engines import BESIDE, ENGINES, study_of, value_of

TRIALS = 12


def ran(engine: str = "gp", **settings: Any) -> Simulation:
    """Return a study that asynchronous workers have finished."""
    optimizer = {"engine": engine, **settings} if settings else study_of(engine, BRANIN_SPACE).optimizer.model_dump()
    simulation = Simulation(a_study(optimizer=optimizer, parallel_trials=4, iterations=99, schedule="asynchronous"))
    simulation.run(TRIALS, 4, 0, value_of)
    return simulation


def checked(simulation: Simulation, **changed: Suggestion) -> dict[int, Checked]:
    """Verify a study, with suggestions that were changed."""
    suggestions = {**simulation.suggestions, **{each.trial: each for each in changed.values()}}
    records = [simulation.records[number] for number in sorted(simulation.records)]
    found = verify(simulation.study, records, list(suggestions.values()), retried=False)
    return {each.trial: each for each in found}


def batches(study: Study) -> tuple[list[Suggestion], list[Record]]:
    """Return the suggestions and records of a study that was run in batches."""
    suggestions: list[Suggestion] = []
    trials = Trials()
    for last in range(study.parallel_trials, study.budget + 1, study.parallel_trials):
        batch = propose(study, replay(study, trials.ledger), trials, last)
        suggestions += batch
        for each in batch:
            value = value_of(each.parameters, each.trial)
            trials.add(a_record(study, each.trial, value, parameters=each.parameters, iteration=each.iteration))
    return suggestions, trials.ledger


@pytest.mark.parametrize("engine", BESIDE)
def test_what_workers_proposed_is_computed_again(engine: str) -> None:
    assert {each.verdict for each in checked(ran(engine)).values()} == {"same"}


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_proposed_in_batches_is_computed_again(engine: str) -> None:
    study = study_of(engine, BRANIN_SPACE).model_copy(update={"iterations": 3})
    suggestions, records = batches(study)
    assert len(suggestions) == 12
    assert {each.verdict for each in verify(study, records, suggestions, retried=False)} == {"same"}


def test_the_settings_of_then_count_and_not_those_of_now() -> None:
    simulation = ran("gp", n_initial_points=4, random_state=3)
    now = {"parallel_trials": 9, "optimizer": ran("random").study.optimizer}
    simulation.study = simulation.study.model_copy(update=now)
    assert {each.verdict for each in checked(simulation).values()} == {"same"}


def test_a_suggestion_that_somebody_put_there_differs() -> None:
    simulation = ran()
    wrong = simulation.suggestions[10].model_copy(update={"parameters": {"x1": 9.0, "x2": 1.0}})
    found = checked(simulation, wrong=wrong)
    assert found[10].verdict == "differs"
    assert found[10].why.startswith("x1 is 9.0 and not ")
    others = [each for number, each in simulation.suggestions.items() if number != 10 and 10 not in each.seen.pending]
    assert {found[each.trial].verdict for each in others} == {"same"}


def test_a_point_that_promises_as_much_is_equally_good() -> None:
    """Other kernels round in another way, and may end the climb elsewhere on the same hill."""
    simulation = ran(n_initial_points=4)
    last = simulation.suggestions[TRIALS]
    near = {name: value + 5e-5 for name, value in last.parameters.items()}  # type: ignore[operator]
    assert checked(simulation, near=last.model_copy(update={"parameters": near}))[TRIALS].verdict == "equally good"


def test_other_versions_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = ran()
    ours = versions()
    monkeypatch.setattr("kfp_bayesopt.proposing.verify.versions", lambda: {**ours, "numpy": "9.9"})
    found = checked(simulation)
    assert {each.verdict for each in found.values()} == {"not checked"}
    assert found[1].why == f"it was proposed with numpy {ours['numpy']}"


@pytest.mark.parametrize(
    ("version", "why"), [("0.0.1", "0.0.1"), (None, "of an unknown version")], ids=["another", "unknown"]
)
def test_a_version_that_proposes_otherwise_is_not_compared(version: str | None, why: str) -> None:
    simulation = ran()
    given = {name: each for name, each in versions().items() if name != "bayesopt"}
    given |= {"bayesopt": version} if version else {}
    other = simulation.suggestions[1].model_copy(update={"versions": given})
    found = checked(simulation, other=other)
    assert (found[1].verdict, found[1].why) == ("not checked", f"it was proposed with bayesopt {why}")


def test_an_edited_record_is_found() -> None:
    simulation = ran()
    simulation.records[2] = simulation.records[2].model_copy(update={"values": {"value": -5.0}})
    found = checked(simulation)
    seen = {number for number, each in simulation.suggestions.items() if 2 in each.seen.records(number)}
    assert seen
    assert {number for number, each in found.items() if each.verdict == "differs"} == seen
    why = "the records that it was proposed from are other ones now"
    assert {found[number].why for number in seen} == {why}


def test_trials_that_were_evaluated_again_leave_nothing_to_compare() -> None:
    simulation = ran()
    simulation.records[2] = simulation.records[2].model_copy(update={"values": {"value": -5.0}})
    records = [simulation.records[number] for number in sorted(simulation.records)]
    found = list(verify(simulation.study, records, list(simulation.suggestions.values()), retried=True))
    assert {each.verdict for each in found} == {"same", "not checked"}


def test_an_engine_that_is_not_known_here_is_not_compared() -> None:
    simulation = ran()
    other = simulation.suggestions[3].model_copy(update={"optimizer": {"engine": "of the future"}})
    assert checked(simulation, other=other)[3].why == "its engine, or what the study asked for then, is not known here"


FLAGS = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
# What this processor can run of what people have.
KERNELS = ["Prescott", *(["Haswell"] if " avx2 " in FLAGS else []), *(["SkylakeX"] if " avx512f " in FLAGS else [])]


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    """Return a study of our kernels."""
    found = Simulation(a_study(optimizer={"engine": "gp"}, schedule="asynchronous", iterations=99))
    found.run(24, 4, 0, value_of)
    return found


@pytest.mark.long
@pytest.mark.parametrize("kernel", KERNELS)
def test_other_kernels_find_the_same_or_what_is_equally_good(
    kernel: str, simulation: Simulation, tmp_path: Path
) -> None:
    records = [simulation.records[number] for number in sorted(simulation.records)]
    write_folder(tmp_path / "out", simulation.study, list(simulation.suggestions.values()), records)
    study = tmp_path / "study.yaml"
    study.write_bytes(study_text(optimizer={"engine": "gp"}, schedule="asynchronous", iterations=99))
    command = [sys.executable, "-m", "pipeline", "verify", str(study), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernel}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith(" 0 not checked, 0 differs\n")


def test_what_the_study_asked_for_then_counts_and_not_what_it_asks_for_now() -> None:
    gp: dict[str, Any] = {"space": BRANIN_SPACE, "iterations": 3, "parallel_trials": 4, "optimizer": {"engine": "gp"}}
    study = a_study(**gp, constraints=["x1 <= x2"], noisy=True)
    suggestions, records = batches(study)
    assert {str(each.asked) for each in suggestions} == {"{'constraints': ['x1 <= x2'], 'noisy': True}"}
    now = a_study(**gp)
    assert {each.verdict for each in verify(now, records, suggestions, retried=False)} == {"same"}
    damaged = [each.model_copy(update={"asked": {"constraints": ["x9 <= x2"]}}) for each in suggestions]
    assert {each.verdict for each in verify(now, records, damaged, retried=False)} == {"not checked"}
