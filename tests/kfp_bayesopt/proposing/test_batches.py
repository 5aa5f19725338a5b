"""What is proposed between two batches: the same whoever was killed, and what fits whatever a folder has."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Reason, Record, Suggestion, Trials
from kfp_bayesopt.proposing.batches import advance, begin, propose
from kfp_bayesopt.proposing.early_end import Stop
from kfp_bayesopt.search.engine import new_engine, suggest
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.budget import batches
from kfp_bayesopt.study.study import Study
from tests.builders import a_record, a_study, a_suggestion, write_folder
from tests.proofs.conftest import SEED, share

FEW = {"n": {"type": "integer", "low": 1, "high": 7}}
GP: dict[str, Any] = {"engine": "gp", "n_initial_points": 4}


def value_of(parameters: Parameters) -> float:
    """Return a value that follows from the point."""
    return zlib.crc32(json.dumps(parameters).encode()) / 2**32


def record_of(suggestion: Suggestion, value: float | None, study: Study, **changes: Any) -> Record:
    return a_record(
        study, suggestion.trial, value, iteration=suggestion.iteration, parameters=suggestion.parameters, **changes
    )


def evaluate(folder: StudyFolder, trials: Trials, numbers: Iterable[int], failing: Iterable[int] = ()) -> None:
    """Write the records of those trials that have a suggestion and no record."""
    for number in [number for number in numbers if number in trials.pending]:
        suggestion = trials.pending[number]
        value = None if number in failing else value_of(suggestion.parameters)
        record = record_of(suggestion, value, folder.study)
        folder.write_record(record)
        trials.add(record)


def run(
    root: Path | str, study: Study, batches_done: int = 1000, failing: Iterable[int] = (), job: Job | None = None
) -> tuple[Trials, Stop | None]:
    """Run a study, or so many of its batches; what the folder has is kept."""
    folder = StudyFolder(str(root), study)
    trials = folder.read()
    stop = begin(folder, trials, job)
    for batch in batches(study)[:batches_done]:
        if stop is not None:
            break
        evaluate(folder, trials, batch, failing)
        trials.check_ended(batch)
        stop = advance(folder, trials, batch[-1])
    assert StudyFolder(str(root), study).read().records == trials.records
    return trials, stop


def suggestions_in(root: Path) -> dict[str, bytes]:
    """Return the content of all suggestions, by their trial."""
    return {path.parent.name: path.read_bytes() for path in sorted(root.rglob("suggestion.json"))}


def points_of(root: Path) -> dict[int, Parameters]:
    """Return the parameters of all suggestions, by number."""
    return {int(trial): json.loads(content)["parameters"] for trial, content in suggestions_in(root).items()}


def a_job(study: Study, name: str = "again", **changes: Any) -> Job:
    return Job(
        study=study.name, fingerprint=study.fingerprint, job=name, study_file="study/x.yaml", place="in-process",
        submitted="2026-01-01T00:00:00+00:00", by="me@here", **changes,
    )  # fmt: skip


class KilledError(Exception):
    """This process was killed."""


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """Let the write of this number be the last; return a list of those that were made."""
    create, made = storage.create, list[str]()

    def counted(uri: str, content: bytes) -> None:
        if len(made) == number:
            raise KilledError
        made.append(uri)
        create(uri, content)

    monkeypatch.setattr(storage, "create", counted)
    return made


# --- killed and run again ------------------------------------------------------------------------

KILLED: dict[str, Study] = {
    "a model": a_study(optimizer=GP, parallel_trials=4, iterations=3),
    "skopt": a_study(optimizer={"engine": "skopt", "n_initial_points": 2}, parallel_trials=3, iterations=2),
    "a space that is nearly exhausted": a_study(optimizer=GP, space=FEW, parallel_trials=4, iterations=3),
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.long] if case == "skopt" else []) for case in KILLED]
)
def test_killed_between_any_two_suggestions_it_proposes_the_same_again(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = KILLED[case]
    _, expected = run(tmp_path / "whole", study)
    whole = suggestions_in(tmp_path / "whole")
    with monkeypatch.context() as patch:
        made = kill_at(patch, 1000)
        run(tmp_path / "counted", study)
    moments = [at for at, uri in enumerate(made) if "record" not in uri]
    for at in random.Random(SEED).sample(moments, share(len(moments), 4)):
        root = tmp_path / str(at)
        with monkeypatch.context() as patch:
            kill_at(patch, at)
            with pytest.raises(KilledError):
                run(root, study)
        _, stop = run(root, study)
        assert (suggestions_in(root), stop) == (whole, expected), at


@pytest.mark.parametrize("engine", ["gp", "random", "skopt"])
@pytest.mark.parametrize("space", [None, FEW], ids=["endless", "few points"])
def test_a_suggestion_is_the_same_whichever_others_of_its_batch_are_there(
    engine: str, space: dict[str, Any] | None
) -> None:
    """Suggestions are written side by side, so that a kill may leave any of them."""
    changes = {"space": space} if space else {}
    study = a_study(optimizer={"engine": engine, "random_state": 3}, parallel_trials=5, iterations=1, **changes)
    # So that the engine, which knows nothing of it, repeats it.
    repeated = new_engine(study).suggest(1)[0]
    for known in ({}, {9: repeated}):
        whole = suggest(new_engine(study), study, [], known, 5)
        assert len({json.dumps(point) for point in [*whole.values(), *known.values()]}) == 5 + len(known)
        for mask in range(2**5):
            there = {number: point for number, point in whole.items() if mask >> number - 1 & 1}
            rest = suggest(new_engine(study), study, [], {**known, **there}, 5)
            assert {**there, **rest} == whole
            assert not there.keys() & rest.keys()


def test_what_stands_in_for_repeated_points_does_not_depend_on_what_is_there() -> None:
    """The way in which free points of a small space are found depends on how many there are."""
    study = a_study(optimizer={"engine": "random"}, space=FEW, parallel_trials=4, iterations=2)

    class Repeating:
        def suggest(self, count: int, pending: Sequence[Parameters] = ()) -> list[Parameters]:
            return [{"n": 1}] * count

        def learn(self, records: object) -> None:
            pass

    ledger = [a_record(study, number, 1.0, parameters={"n": number}) for number in (1, 2, 3)]
    whole = suggest(Repeating(), study, ledger, {}, 7)
    assert sorted(str(point["n"]) for point in whole.values()) == ["4", "5", "6", "7"]
    for mask in range(2**4):
        there = {number: point for number, point in whole.items() if mask >> number - 4 & 1}
        assert {**there, **suggest(Repeating(), study, ledger, there, 7)} == whole


def test_a_suggestion_that_is_there_stays_though_another_engine_would_propose_otherwise(tmp_path: Path) -> None:
    study = a_study(parallel_trials=4, optimizer={"engine": "random"})
    run(tmp_path, study, batches_done=1)
    (tmp_path / "trials/000006/suggestion.json").unlink()
    kept = suggestions_in(tmp_path)
    other = a_study(parallel_trials=4, optimizer=GP)
    trials, _ = run(tmp_path, other)
    found = suggestions_in(tmp_path)
    assert {number: found[number] for number in kept} == kept
    assert json.loads(found["000006"])["optimizer"]["engine"] == "gp"
    assert json.loads(found["000005"])["optimizer"]["engine"] == "random"
    assert sorted(trials.records) == list(range(1, 9))
    assert len({json.dumps(point) for point in points_of(tmp_path).values()}) == 8


def test_two_that_propose_at_once_go_on_with_what_was_written_first(tmp_path: Path) -> None:
    study = a_study(optimizer={"engine": "random"})
    folder = write_folder(tmp_path, study, [a_suggestion(study, 1)])
    trials = Trials()  # as another one saw it just before
    assert begin(folder, trials, None) is None
    assert trials.pending[1].parameters == {"x1": 1.0, "x2": 2.0}
    assert trials.pending == folder.read().pending


# --- studies that changed ------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2), (3, 2), (2, 3), (1, 5), (6, 4)])
@pytest.mark.parametrize("recorded", [0, 1, 2])
def test_parallel_trials_may_grow_and_shrink_between_jobs(
    before: int, after: int, recorded: int, tmp_path: Path
) -> None:
    """What has a suggestion keeps it, every number is proposed once, and no point twice."""
    study = a_study(optimizer=GP, parallel_trials=before, iterations=12 // before)
    trials, _ = run(tmp_path, study, batches_done=1)
    evaluate(StudyFolder(str(tmp_path), study), trials, list(trials.pending)[::-1][:recorded])
    kept = suggestions_in(tmp_path)
    changed = a_study(optimizer=GP, parallel_trials=after, iterations=-(-12 // after))
    ended, stop = run(tmp_path, changed)
    assert stop is None
    assert sorted(ended.records) == list(range(1, changed.budget + 1))
    found = suggestions_in(tmp_path)
    assert {number: found[number] for number in kept} == kept
    assert len({json.dumps(point) for point in points_of(tmp_path).values()}) == changed.budget


def test_more_iterations_evaluate_what_is_new_and_no_more(tmp_path: Path) -> None:
    study = a_study(optimizer=GP)
    run(tmp_path, study)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    trials, stop = run(tmp_path, a_study(optimizer=GP, iterations=3))
    assert (sorted(trials.records), stop) == ([1, 2, 3, 4, 5, 6], None)
    assert {path: path.read_bytes() for path in before} == before
    run(tmp_path / "whole", a_study(optimizer=GP, iterations=3))
    assert suggestions_in(tmp_path / "whole") == {
        name: content for name, content in suggestions_in(tmp_path).items() if (tmp_path / "trials" / name).exists()
    }


@pytest.mark.parametrize("changes", [{"iterations": 1}, {"iterations": 3, "parallel_trials": 1}])
def test_fewer_trials_than_there_are_propose_and_evaluate_nothing(changes: dict[str, Any], tmp_path: Path) -> None:
    run(tmp_path, a_study())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    trials, stop = run(tmp_path, a_study(**changes))
    assert (sorted(trials.records), trials.pending, stop) == ([1, 2, 3, 4], {}, None)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_trials_beyond_a_smaller_budget_wait_until_it_grows_again(tmp_path: Path) -> None:
    run(tmp_path, a_study(iterations=3), batches_done=1)
    trials, _ = run(tmp_path, a_study(iterations=1))
    assert (sorted(trials.records), sorted(trials.pending)) == ([1, 2], [3, 4])
    trials, _ = run(tmp_path, a_study(iterations=3))
    assert sorted(trials.records) == [1, 2, 3, 4, 5, 6]


def test_another_engine_goes_on_with_what_the_first_has_found(tmp_path: Path) -> None:
    run(tmp_path, a_study(optimizer={"engine": "random"}, iterations=2))
    run(tmp_path, a_study(optimizer={"engine": "skopt", "n_initial_points": 2}, iterations=3))
    trials, _ = run(tmp_path, a_study(optimizer=GP, iterations=4))
    engines = [json.loads(content)["optimizer"]["engine"] for content in suggestions_in(tmp_path).values()]
    assert engines == ["random"] * 4 + ["skopt"] * 2 + ["gp"] * 2
    assert [record.iteration for record in trials.ledger] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_stop_that_changed_counts_from_the_next_batch_that_is_not_done(tmp_path: Path) -> None:
    run(tmp_path, a_study(iterations=3), batches_done=2)
    trials, stop = run(tmp_path, a_study(iterations=3, stop={"target": 100.0}))
    assert sorted(trials.records) == [1, 2, 3, 4]
    assert stop is not None
    assert stop.reason.endswith("has reached 100 (stop.target)")
    assert not stop.failed
    trials, stop = run(tmp_path, a_study(iterations=3, stop={"target": -1.0}))
    assert (sorted(trials.records), stop) == ([1, 2, 3, 4, 5, 6], None)


def test_a_batch_that_was_begun_is_finished_before_the_study_stops(tmp_path: Path) -> None:
    """So that a run that was killed and one that was not end with the same trials."""
    study = a_study(iterations=3, stop={"target": 100.0})
    folder = StudyFolder(str(tmp_path), study)
    trials = folder.read()
    begin(folder, trials, None)
    evaluate(folder, trials, [2])
    trials, stop = run(tmp_path, study)
    assert sorted(trials.records) == [1, 2]
    assert stop is not None


# --- the space is exhausted ----------------------------------------------------------------------


@pytest.mark.parametrize("iterations", [2, 3, 4, 5])
def test_a_space_without_points_left_ends_the_study(iterations: int, tmp_path: Path) -> None:
    """Also where that shows only after the last batch, which has fewer trials than were asked for."""
    study = a_study(space=FEW, optimizer=GP, parallel_trials=4, iterations=iterations)
    trials, stop = run(tmp_path, study)
    assert len({json.dumps(record.parameters) for record in trials.ledger}) == len(trials.records) == 7
    assert stop == Stop("every point of the space has been tried, 7 trials")


def test_a_space_that_ends_with_the_budget_is_no_early_end(tmp_path: Path) -> None:
    trials, stop = run(tmp_path, a_study(space=FEW, optimizer=GP, parallel_trials=7, iterations=1))
    assert (len(trials.records), stop) == (7, None)


# --- trials that have not ended --------------------------------------------------------------------


def test_a_pending_trial_below_recorded_ones_is_not_proposed_again(tmp_path: Path) -> None:
    study = a_study(optimizer=GP, parallel_trials=4, iterations=3)
    folder = StudyFolder(str(tmp_path), study)
    trials = folder.read()
    begin(folder, trials, None)
    evaluate(folder, trials, [1, 3, 4])
    changed = StudyFolder(str(tmp_path), a_study(optimizer=GP, parallel_trials=6, iterations=2))
    trials = changed.read()
    assert begin(changed, trials, None) is None
    assert sorted(trials.pending) == [2, 5, 6]
    assert trials.pending[5].seen.model_dump(include={"highest", "pending", "unknown"}) == {
        "highest": 4, "pending": [2], "unknown": [],
    }  # fmt: skip
    assert trials.pending[6].seen.unknown == [5]
    assert trials.pending[5].iteration == 2
    evaluate(changed, trials, [2])
    assert sorted(changed.read().records) == [1, 2, 3, 4]  # what the suggestions had seen is still so


def test_a_trial_that_gets_another_attempt_is_pending_for_what_is_proposed_meanwhile(tmp_path: Path) -> None:
    study = a_study(optimizer=GP, parallel_trials=4, iterations=3, space=FEW)
    folder = StudyFolder(str(tmp_path), study)
    trials = folder.read()
    begin(folder, trials, None)
    evaluate(folder, trials, [1, 3, 4])
    again = trials.pending[2]
    mistake = Reason(kind="mistake", message="no module named 'mine'")
    folder.write_record(record_of(again, None, study, reason=mistake))
    with pytest.raises(UserError, match=r"^trial 2: no module named 'mine'$"):
        folder.read().check_ended(range(1, 5))
    changed = StudyFolder(str(tmp_path), a_study(optimizer=GP, parallel_trials=7, iterations=1, space=FEW))
    trials = changed.read()
    assert begin(changed, trials, None) is None
    assert sorted(trials.pending) == [5, 6, 7]
    assert len({json.dumps(point) for point in points_of(tmp_path).values()}) == 7
    assert trials.pending[5].seen.pending == [2]
    changed.write_record(record_of(again, 0.5, study, attempt=2))
    assert sorted(changed.read().records) == [1, 2, 3, 4]


@pytest.mark.parametrize(("done", "after", "missing"), [(0, 2, 1), (1, 6, 5)])
def test_a_trial_that_was_never_proposed_is_not_passed_over(
    done: int, after: int, missing: int, tmp_path: Path
) -> None:
    study = a_study(iterations=4)
    trials = run(tmp_path, study, batches_done=done)[0] if done else Trials()
    evaluate(StudyFolder(str(tmp_path), study), trials, [3, 4])
    before = suggestions_in(tmp_path)
    with pytest.raises(UserError) as error:
        advance(StudyFolder(str(tmp_path), study), trials, after)
    assert error.value.message == (
        f"{tmp_path}: trial {missing} was never proposed; run `init`, or `update` after each batch before it, first"
    )
    assert suggestions_in(tmp_path) == before


# --- failed trials ---------------------------------------------------------------------------------


def test_too_many_failed_trials_end_the_study_as_failed(tmp_path: Path) -> None:
    study = a_study(max_failed_trials=1, iterations=3)
    trials, stop = run(tmp_path, study, failing=(1, 4))
    assert (sorted(trials.records), stop) == (
        [1, 2, 3, 4],
        Stop("2 of 4 trials have failed, more than 1 (max_failed_trials); failures.json has their reasons", True),
    )


def test_too_many_failed_trials_count_in_the_last_batch_too(tmp_path: Path) -> None:
    _, stop = run(tmp_path, a_study(max_failed_trials=1), failing=(3, 4))
    assert stop is not None
    assert stop.failed


def test_a_job_that_retries_failed_trials_names_them_once(tmp_path: Path) -> None:
    study = a_study()
    run(tmp_path, study, failing=(1, 4))
    folder = StudyFolder(str(tmp_path), study)
    trials = folder.read()
    begin(folder, trials, a_job(study))
    assert not (tmp_path / "retries").exists()
    assert begin(folder, trials, a_job(study, retry_failed=True)) is None
    noted = (tmp_path / "retries/again.json").read_bytes()
    assert json.loads(noted)["trials"] == [1, 4]
    # What is mended meanwhile changes nothing for a step that is run again.
    suggestion = folder.read_suggestion(4)
    folder.write_record(record_of(suggestion, 0.1, study, attempt=2))
    assert folder.read().records[4].value == 0.1
    assert begin(folder, folder.read(), a_job(study, retry_failed=True)) is None
    assert (tmp_path / "retries/again.json").read_bytes() == noted


def test_mended_trials_change_no_suggestion_that_is_there(tmp_path: Path) -> None:
    study = a_study(optimizer=GP, iterations=3)
    run(tmp_path, study, batches_done=2, failing=(2,))
    before = suggestions_in(tmp_path)
    folder = StudyFolder(str(tmp_path), study)
    begin(folder, folder.read(), a_job(study, retry_failed=True))
    folder.write_record(record_of(folder.read_suggestion(2), 0.1, study, attempt=2))
    trials, stop = run(tmp_path, study)
    assert (sorted(trials.records), stop) == ([1, 2, 3, 4, 5, 6], None)
    assert suggestions_in(tmp_path) == before


def test_failed_and_pending_trials_that_an_older_version_proposed_get_a_suggestion(tmp_path: Path) -> None:
    """`evaluate` reads it; those that completed need none."""
    study = a_study(iterations=3)
    folder = StudyFolder(str(tmp_path), study)
    points = new_engine(study).suggest(4)
    records = {
        number: a_record(study, number, None if number == 2 else 0.5, parameters=point, iteration=(number + 1) // 2)
        for number, point in enumerate(points[:3], 1)
    }
    pending = a_suggestion(study, 4, points[3], iteration=2)
    trials = Trials(records, {4: pending}, [pending])
    assert begin(folder, trials, a_job(study, retry_failed=True)) is None
    assert points_of(tmp_path) == {2: points[1], 4: points[3]}
    assert json.loads((tmp_path / "retries/again.json").read_bytes())["trials"] == [2]


# --- what a suggestion says ------------------------------------------------------------------------


def test_a_suggestion_says_what_it_follows_from(tmp_path: Path) -> None:
    study = a_study(optimizer=GP)
    trials, _ = run(tmp_path, study, batches_done=1)
    third, fourth = trials.pending[3], trials.pending[4]
    assert (third.iteration, fourth.iteration) == (2, 2)
    assert (third.seen.highest, third.seen.pending, third.seen.unknown) == (2, [], [])
    assert (fourth.seen.highest, fourth.seen.unknown) == (2, [3])
    assert third.optimizer == study.optimizer.model_dump(mode="json")
    assert set(third.versions) == {"bayesopt", "numpy", "scipy", "blas"}


def test_versions_do_not_depend_on_what_else_is_loaded() -> None:
    """Or steps and runs in process, which load other libraries, would write different suggestions."""
    study = a_study(optimizer={"engine": "random"})
    before = propose(study, new_engine(study), Trials(), 2)
    import scipy.linalg
    import sklearn  # noqa: F401 - brings a BLAS of its own

    assert scipy.linalg.lapack is not None
    assert propose(study, new_engine(study), Trials(), 2) == before
