"""The study of a component for any study is opened by `init`, once for a run, or refused with nothing written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.dialects import DIALECTS
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.folder.study_folder import study_uri
from kfp_bayesopt.session.sent import PACKED, text_to_send
from kfp_bayesopt.session.tuned import Tuned, begin_tuned, open_tuned
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.study.study_file import text_of
from tests.builders import a_batch, a_record, several, study_text, write_folder
from tests.ledgers import contents

IMAGE = f"europe-docker.pkg.dev/mine/tuning/worker@sha256:{'a' * 64}"
WORKERS: dict[str, Any] = {
    "schedule": "asynchronous",
    "iterations": None,
    "trials": 8,
    "optimizer": {"engine": "gp", "random_state": 1},
}


@pytest.fixture(params=["here", "bucket"])
def above(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return what is above all studies, on a disk and in a bucket."""
    return str(tmp_path) if request.param == "here" else f"{request.getfixturevalue('bucket')}/tuning"


def _text(**changes: Any) -> bytes:
    return study_text(**{**WORKERS, **changes})


def _open(above: str, run: str = "4f2a-run", content: str | bytes | None = None, **given: Any) -> Tuned:
    text = _text() if content is None else content
    asked = {"below": above, "run": run, "task": "tune", "image": IMAGE, **given}
    return open_tuned(content=text if isinstance(text, str) else text.decode(), **asked)


def _refusal(above: str, **given: Any) -> str:
    before = contents(above)
    with pytest.raises(UserError) as raised:
        _open(above, **given)
    assert contents(above) == before, "nothing was written"
    return raised.value.message


def _record_some(root: str, values: tuple[float, ...] = (0.5, 0.25)) -> None:
    study = study_folder(root).study
    points: list[Parameters] = [{"x1": 1.0 + number, "x2": 2.0} for number in range(len(values))]
    batch = a_batch(study, points)
    records = [
        a_record(study, each.trial, value, parameters=each.parameters)
        for each, value in zip(batch, values, strict=True)
    ]
    write_folder(root, study, batch, records)


def test_a_study_is_written_below_the_root_with_a_job_of_its_run(above: str) -> None:
    opened = _open(above)
    study = Study.from_text(_text())
    assert opened.root == f"{above}/studies/branin/{study.fingerprint}/0001"
    assert opened.study == study_uri(opened.root, _text())
    assert storage.read(opened.study, 10**6) == _text()
    job = jobs.read_job(opened.root, opened.job)
    assert (job.place, job.code, job.images) == ("tune", "image:sha256:" + "a" * 64, {"worker": IMAGE})
    assert (job.data, job.lease_minutes) == (None, 5.0)
    begin_tuned(opened)
    assert jobs.end_of(opened.root, opened.job) is None


def test_init_that_is_run_again_in_its_run_changes_nothing(above: str) -> None:
    opened = _open(above)
    begin_tuned(opened)
    before = contents(above)
    again = _open(above)
    begin_tuned(again)
    assert (again, contents(above)) == (opened, before)


def test_another_run_joins_the_job_that_has_not_ended(above: str) -> None:
    first, second = _open(above, "run-1"), _open(above, "run-2")
    assert first.root == second.root
    assert first.job != second.job
    assert jobs.job_ids(first.root) == {first.job: False, second.job: False}


def test_a_pipeline_that_is_run_twice_at_once_works_on_one_study(above: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda number: _open(above, f"run-{number % 2}"), range(4)))
    assert len({each.root for each in opened}) == 1
    assert len({each.job for each in opened}) == 2
    for each in opened:
        begin_tuned(each)
    assert len(jobs.job_ids(opened[0].root)) == 2


def test_two_tunes_with_one_root_have_a_folder_for_each_study_and_a_job_for_each_task(above: str) -> None:
    one, other = _open(above), _open(above, content=_text(direction="maximize"))
    assert one.root != other.root
    twin = _open(above, task="tune-2")
    assert twin.root == one.root
    assert twin.job != one.job


def test_a_fresh_start_has_the_next_folder_and_the_same_one_when_init_runs_again(above: str) -> None:
    first = _open(above)
    fresh = _open(above, "run-2", going_on="fresh")
    assert (first.root[-4:], fresh.root[-4:]) == ("0001", "0002")
    assert _open(above, "run-2", going_on="fresh") == fresh
    assert _open(above, "run-3", going_on="fresh").root[-4:] == "0003"
    assert _open(above) == first, "its job is where it was"
    assert _open(above, "run-4").root[-4:] == "0003"
    steps = {"evaluate": {"cache": False}}
    assert _open(above, "run-5", _text(steps=steps)).root[-4:] == "0004"


def test_how_a_study_goes_on_is_kept_in_its_job(above: str) -> None:
    opened = _open(above, going_on="same-code, retry-failed")
    job = jobs.read_job(opened.root, opened.job)
    assert (job.same_code, job.retry_failed) == (True, True)
    for word in ("anew", "ended", "fresh=1"):
        said = f"going_on: {word!r} is none of the words same-code, retry-failed, fresh and ended=JOB"
        assert _refusal(above, going_on=f"same-code,{word}") == said


def test_a_study_comes_as_a_text_packed_or_by_the_uri_of_its_file(above: str) -> None:
    opened = _open(above)
    file = f"{above}/studies.d/mine.yaml"
    storage.create(file, _text())
    assert _open(above, content=file).root == opened.root
    packed = text_to_send(_text() + b"\n# {{workflow.name}}\n")
    assert packed.startswith(PACKED)
    assert _open(above, content=packed).root == opened.root
    assert "nothing.yaml: no such " in _refusal(above, content=f"{above}/nothing.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "study: is empty; give the text of a study file, or its URI"),
        ("  \n ", "study: is empty; give the text of a study file, or its URI"),
        ("# nothing\n", "study: the file is empty; describe a study in it, as docs/study.md explains"),
        ("- a\n- b\n", "study: must be a mapping of keys to values, but got a list: ['a', 'b']"),
        ("name: [", "study: line 1: not valid YAML"),
        ("x: " + "1" * 1_000_000, "study: must have at most 256,000 bytes, but has 1,000,003"),
        ("name: x\nspace: {x: {type: real, low: 0, high: 1}}\n", "study: objective: required key is missing"),
        (f"{PACKED}x", "the text of the study that came with the run cannot be unpacked"),
        ("gs://no-such-bucket/study.yaml", "gs://no-such-bucket/study.yaml: "),
    ],
)
def test_a_text_that_is_no_study_is_refused(content: str, message: str, bucket: str) -> None:
    assert _refusal(f"{bucket}/tuning", content=content).startswith(message)


@pytest.mark.parametrize(
    ("dialect", "document"), [("katib", "an Experiment of Katib"), ("vertex", "a StudySpec of Ver")]
)
def test_a_text_of_another_tool_is_called_by_its_name(dialect: str, document: str, tmp_path: Path) -> None:
    study = Study.from_text(_text())
    text = text_of(DIALECTS[dialect].functions.write(study).data)
    said = _refusal(str(tmp_path), content=text)
    assert said.startswith(f"study: is {document}")
    assert said.endswith("`bayesopt convert FILE` makes the search space of one from it")


def test_what_only_a_component_of_its_own_can_keep_is_refused_in_one_message(tmp_path: Path) -> None:
    text = study_text(
        stop={"max_cost": 3},
        steps={
            "evaluate": {"machine_type": "n1-standard-8", "image": "mine:1"},
            "volume": {"claim": "a", "path": "/a"},
        },
    )
    assert _refusal(str(tmp_path), content=text).splitlines() == [
        "study: schedule: batches, steps.evaluate.machine_type, steps.volume: decided when a pipeline is compiled, and "
        "this one was compiled for every study; `bayesopt component STUDY` writes a component of this study, which "
        "keeps them",
        "study: stop.max_cost: nobody tells a run what its machines cost; say stop.max_hours instead",
        f"study: steps.evaluate.image is 'mine:1', and that of the component {IMAGE}; remove one of them",
    ]


def test_several_objectives_are_refused_because_they_have_no_best_parameters(tmp_path: Path) -> None:
    text = several(**WORKERS).to_text()
    assert _refusal(str(tmp_path), content=text).startswith("study: objectives: several have no best parameters")


@pytest.mark.parametrize("image", ["", "mine", "mine:latest", "mine@sha256:1", "two words:1"])
def test_an_image_without_a_digest_or_a_fixed_tag_is_refused(image: str, tmp_path: Path) -> None:
    assert _refusal(str(tmp_path), image=image).startswith("image: expected ")


def test_a_root_that_no_pod_keeps_or_that_is_a_study_folder_is_refused(above: str, tmp_path: Path) -> None:
    opened = _open(above)
    said = f"root: {opened.root}: is the folder of one study, and the root is above all studies"
    assert _refusal(opened.root).startswith(said)
    assert _refusal(opened.root, content=_text(name="other")).startswith(said)
    assert _refusal(str(tmp_path / "nowhere")).startswith(f"root: {tmp_path}/nowhere: there is no such folder")


def test_a_folder_that_another_study_has_got_into_is_refused(above: str) -> None:
    root = _open(above).root
    storage.create(study_uri(root, _text(direction="maximize")), _text(direction="maximize"))
    assert "holds another study, 'branin'" in _refusal(above, run="run-2", content=_text(trials=9))


def test_other_code_is_refused_with_the_words_of_the_component(above: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from kfp_bayesopt import hints

    opened = _open(above)
    study = study_folder(opened.root).study
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}])
    write_folder(opened.root, study, batch, [a_record(study, 1, 0.5, code="image:sha256:" + "b" * 64)])
    monkeypatch.setenv(hints.VARIABLE, hints.PIPELINE)
    said = _refusal(above, run="run-2")
    assert said.endswith("say going_on: same-code if it gives the same values, or start again with going_on: fresh")
    assert _open(above, "run-3", going_on="same-code").root == opened.root


def test_a_job_that_has_failed_starts_no_worker(above: str) -> None:
    opened = _open(above)
    jobs.end(opened.root, opened.job, "failed", "every trial fails alike", "worker")
    with pytest.raises(UserError, match="every trial fails alike"):
        begin_tuned(_open(above))


# --- data --------------------------------------------------------------------------------------


def test_other_data_have_another_folder(above: str) -> None:
    seven, eight = _open(above, data="seven"), _open(above, "run-2", data="eight")
    study = Study.from_text(_text())
    found = jobs.read_job(seven.root, seven.job).data
    assert found is not None
    assert seven.root == f"{above}/studies/branin/{study.fingerprint}-{found.digest[:12]}/0001"
    assert len({seven.root, eight.root, _open(above, "run-3").root}) == 3
    assert _open(above, "run-4", data="seven").root == seven.root


def test_an_artifact_is_known_by_what_it_holds(above: str, bucket: str) -> None:
    roots = []
    for week, content in enumerate((b"1", b"1", b"2")):
        uri = f"{bucket}/artifacts/{week}/data"
        storage.create(f"{uri}/table.csv", content)
        opened = _open(above, f"run-{week}", data=f"/gcs/{week}/data", data_uri=uri)
        roots.append(opened.root)
        data = jobs.read_job(opened.root, opened.job).data
        assert data is not None
        assert (data.given, data.uri) == (f"/gcs/{week}/data", uri)
    assert roots[0] == roots[1] != roots[2]


def test_data_that_are_not_there_are_refused(above: str, bucket: str) -> None:
    assert "nothing is there" in _refusal(above, data=f"{bucket}/nothing")
    assert "nothing is there" in _refusal(above, data="/gcs/nothing", data_uri=f"{bucket}/nothing")


def test_a_command_that_names_data_is_refused_without(above: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from kfp_bayesopt import hints

    text = _text(objective={"command": ["python", "train.py", "{data}", "{x1}", "{x2}"]})
    monkeypatch.setenv(hints.VARIABLE, hints.PIPELINE)
    said = (
        "branin: objective.command has {data}, and no data is given; give a text, a path or a URI with its input data"
    )
    assert _refusal(above, content=text) == said
    assert _open(above, content=text, data="seven").root


def test_the_next_week_begins_with_the_trials_of_the_last_one_as_hints(above: str) -> None:
    first = _open(above, "run-1", data="week 1")
    assert first.note is None
    _record_some(first.root)
    second = _open(above, "run-2", data="week 2")
    assert second.note == f"begins with 2 trials of {first.root}: 0 as its own, 2 as a hint where to look"
    assert [each.values for each in study_folder(second.root).searched.earlier] == [{"value": 0.5}, {"value": 0.25}]
    _record_some(second.root, (1.0,))
    third = _open(above, "run-3", data="week 3")
    assert third.note is not None
    assert third.note.startswith(f"begins with 1 trials of {second.root}:"), "the newest one that has trials"
    assert _open(above, "run-4", data="week 4").note == third.note, "that of week 3 has none"


def test_a_folder_that_has_trials_begins_with_no_others(above: str) -> None:
    first = _open(above, "run-1", data="week 1")
    _record_some(first.root)
    _record_some(_open(above, "run-2", data="week 2").root)
    assert _open(above, "run-3", data="week 1").note is None
    assert not study_folder(first.root).searched.earlier


def test_a_folder_that_is_damaged_keeps_no_week_from_beginning(above: str, caplog: pytest.LogCaptureFixture) -> None:
    first = _open(above, "run-1", data="week 1")
    _record_some(first.root)
    storage.replace(first.study, b"name: other\n")
    assert _open(above, "run-2", data="week 2").note is None
    assert any("left out" in record.message for record in caplog.records)
