"""`studies`, `jobs`, `delete`, `download` and `upload`, on folders here and in a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner, Result

from kfp_bayesopt.cli.commands.folder_commands import delete, download, jobs_, studies, upload
from kfp_bayesopt.folder.jobs import Submitted, end, record_submission, whoami
from kfp_bayesopt.folder.publish import publish
from kfp_bayesopt.folder.roots import root_of
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.copying import names_in
from kfp_bayesopt.session.opening import open_job
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from tests.builders import a_batch, a_record, a_study, study_text, write_folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_ROOT", raising=False)
    Path("study.yaml").write_bytes(study_text())


def _fill(root: str, trials: int = 2, *, place: str = "vertex", ended: bool = True) -> Study:
    study = a_study()
    open_job(StudyFolder(root, study), study_text(), place, job="branin-1", code=None)
    if ended:
        end(root, "branin-1", "succeeded", None, "report")
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}] * trials)
    records = [a_record(study, trial, 0.5 / trial) for trial in range(1, trials + 1)]
    publish(write_folder(root, study, batch, records), records)
    return study


def _run(command: Command, *arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(command, list(arguments), input=answer)


# --- what there is -----------------------------------------------------------------------------


def test_where_there_is_no_study_that_is_said() -> None:
    assert _run(studies).output == "no studies in out\n"
    ended = _run(studies, "--out", "nowhere")
    assert (ended.exit_code, ended.output) == (1, "Error: nowhere: no such folder\n")


def test_trials_that_were_stopped_early_have_ended() -> None:
    study = _fill("out/mine")
    records = [a_record(study, 1, 0.5), *(a_record(study, trial, 0.7, state="stopped") for trial in (2, 3))]
    publish(StudyFolder("out/mine", study), [*records, a_record(study, 4, None)])
    assert _run(studies).output.splitlines()[1].split()[4:] == ["4", "of", "4", "0.5"]


def test_the_studies_here_and_in_the_bucket_are_listed(bucket: str) -> None:
    runs = f"{bucket}/runs"
    study = _fill("out/mine")
    _fill(root_of(runs, study), trials=1)
    fresh = root_of(runs, study, fresh=True)
    open_job(StudyFolder(fresh, study), study_text(), "kfp", job="branin-2", code=None)
    Path("out/notes").mkdir()
    shown = _run(studies, "--pipeline-root", runs)
    assert [line.split() for line in shown.output.splitlines()] == [
        ["study", "fingerprint", "run", "state", "trials", "best", "value"],
        ["branin", study.fingerprint, "out/mine", "succeeded", "2", "of", "4", "0.25"],
        ["branin", study.fingerprint, "0001", "succeeded", "1", "of", "4", "0.5"],
        ["branin", study.fingerprint, "0002", "running", "-", "-"],
    ]


def test_a_study_whose_files_are_damaged_is_listed_without_them() -> None:
    study = _fill("out/mine")
    Path("out/mine/best.json").write_text("{")
    assert _run(studies).output.splitlines()[1].split() == [
        "branin",
        study.fingerprint,
        "out/mine",
        "succeeded",
        "-",
        "-",
    ]


def test_the_jobs_of_a_study_are_listed_with_their_ends() -> None:
    _fill("out/branin", ended=False)
    record_submission("out/branin", "branin-1", Submitted(id="run-7", page="http://127.0.0.1"))
    end("out/branin", "branin-1", "failed", "2 of 4 trials have failed", "update")
    open_job(StudyFolder("out/branin", a_study()), study_text(), "vertex", job="branin-2", code=None)
    folder, title, first, second = _run(jobs_, "study.yaml").output.splitlines()
    assert folder == "out/branin"
    assert title.split() == ["job", "place", "by", "submitted", "state"]
    assert first.split()[:4] == ["branin-1", "vertex", "run-7", whoami()]
    assert first.endswith("  failed: 2 of 4 trials have failed")
    assert second.split()[:3] == ["branin-2", "vertex", whoami()]
    assert second.endswith("  running")


def test_the_folder_is_the_one_that_is_named_else_the_one_in_the_bucket(bucket: str) -> None:
    runs = f"{bucket}/chosen"
    root = root_of(runs, _fill("out/branin"))
    _fill(root)
    Path("vertex_config.json").write_text(f'{{"pipeline_root": "{runs}", "project_id": "my-project"}}')
    for options, folder in (
        (["--pipeline-root", runs], root),
        (["--config", "vertex_config.json"], root),
        (["--pipeline-root", runs, "--out", "out/branin"], "out/branin"),
        (["--root", f"{root}/"], root),
        ([], root),
    ):
        assert _run(jobs_, "study.yaml", *options).output.splitlines()[0] == folder


def test_a_pipeline_root_that_is_none_is_refused() -> None:
    ended = _run(studies, "--pipeline-root", "b2://bucket")
    assert ended.exit_code == 1
    assert ended.output == (
        "Error: pipeline_root: expected gs://, s3://, minio:// or az://BUCKET/PREFIX, because the steps read and write "
        "there, but got 'b2://bucket'\n"
    )


# --- deletion ----------------------------------------------------------------------------------


def test_results_are_deleted_without_a_question() -> None:
    _fill("out/branin")
    assert _run(delete, "study.yaml").output == "out/branin: deleted 4 derived objects; the records are there\n"
    assert "trials/000001/record-1.json" in names_in("out/branin")


@pytest.mark.parametrize("answer", ["", "\n", "yes\n", "branin2\n"])
def test_records_are_not_deleted_unless_the_study_is_named(answer: str) -> None:
    _fill("out/branin")
    before = names_in("out/branin")
    ended = _run(delete, "study.yaml", "--all", answer=answer)
    assert ended.exit_code == 1
    assert "This deletes all records in out/branin for ever; type the name of the study to go on" in ended.output
    assert names_in("out/branin") == before


@pytest.mark.parametrize(("options", "answer"), [([], "branin\n"), (["--yes"], None)])
def test_all_of_a_study_is_deleted(bucket: str, options: list[str], answer: str | None) -> None:
    root = f"{bucket}/gone"
    _fill(root)
    ended = _run(delete, "study.yaml", "--all", "--root", root, *options, answer=answer)
    assert ended.exit_code == 0, ended.output
    assert f"{root}: deleted " in ended.output
    assert list(storage.entries(f"{root}/")) == []


def test_nothing_is_deleted_while_a_job_runs() -> None:
    _fill("out/branin", ended=False)
    before = names_in("out/branin")
    ended = _run(delete, "study.yaml", "--all", "--yes")
    assert ended.exit_code == 1
    assert ended.output.startswith("Error: out/branin: job branin-1 has not ended (vertex, submitted by ")
    assert names_in("out/branin") == before
    assert _run(delete, "study.yaml", "--all", "--yes", "--ended", "branin-1").exit_code == 0


def test_a_folder_without_a_study_and_one_of_another_study_are_left_alone() -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("")
    ended = _run(delete, "study.yaml", "--all", "--yes", "--out", "mine")
    assert ended.output == (
        "Error: mine: holds no study; give its folder with --out or --root, or run the study first\n"
    )
    _fill("out/branin")
    Path("other.yaml").write_bytes(study_text(direction="maximize"))
    ended = _run(delete, "other.yaml", "--all", "--yes")
    assert ended.output.startswith("Error: out/branin: holds another study, 'branin' (")
    assert Path("out/branin/best.json").exists()


# --- from here to the bucket and back ----------------------------------------------------------


def test_a_study_goes_to_the_bucket_and_comes_back(bucket: str) -> None:
    runs = ["--pipeline-root", f"{bucket}/travels"]
    root = root_of(runs[1], _fill("out/branin"))
    count = len([name for name in names_in("out/branin") if "/" in name])
    pushed = _run(upload, "study.yaml", *runs)
    assert pushed.output == f"{root}: {count} objects are new, 0 were there\n"
    assert _run(download, "study.yaml", *runs).output == f"out/branin: 0 objects are new, {count} were there\n"
    assert (
        _run(download, "study.yaml", *runs, "--out", "copy").output == f"copy: {count} objects are new, 0 were there\n"
    )
    assert names_in("copy") == names_in(root) == names_in("out/branin")


@pytest.mark.parametrize("command", [download, upload])
def test_without_a_bucket_there_is_the_usage(command: Command) -> None:
    ended = _run(command, "study.yaml")
    assert ended.exit_code == 2
    assert "where is the bucket? give --root or --pipeline-root, or set PIPELINE_ROOT" in ended.output


def test_a_folder_of_another_study_is_not_copied(bucket: str) -> None:
    root = f"{bucket}/theirs"
    _fill(root)
    Path("other.yaml").write_bytes(study_text(direction="maximize"))
    ended = _run(download, "other.yaml", "--root", root)
    assert ended.exit_code == 1
    assert ended.output.startswith(f"Error: {root}: holds another study, 'branin' (")
    assert names_in("out/branin") == {}
