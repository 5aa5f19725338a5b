"""Which study a person means by STUDY."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.cli.options.meant import OTHER_TOOLS, Meant, is_meant, meant, study_file
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.stores import ALL
from kfp_bayesopt_pipeline import shipped
from tests.builders import a_batch, a_study, records_of, study_text, write_folder


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder of a repository that has a study at its root, and one beside."""
    root = tmp_path / "theirs"
    (root / ".git").mkdir(parents=True)
    (root / "models" / "large").mkdir(parents=True)
    (root / "study.yaml").write_bytes(study_text())
    (root / "models" / "small.yaml").write_bytes(study_text())
    monkeypatch.chdir(root / "models")
    return root


def a_folder(root: str) -> str:
    """Make a study folder with two trials."""
    study = a_study(optimizer={"engine": "gp"})
    suggestions = a_batch(study, [{"x1": 1.0, "x2": 2.0}, {"x1": 3.0, "x2": 4.0}])
    folder = write_folder(root, study, suggestions, records_of(study, suggestions, [1.0, 2.0]))
    folder.write_study(study_text(optimizer={"engine": "gp"}))
    return root


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


# --- the rule ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "file"),
    [
        (None, "../study.yaml"),
        ("..", "../study.yaml"),
        ("small.yaml", "small.yaml"),
        ("study.yaml", "../study.yaml"),
        ("models/small.yaml", "../models/small.yaml"),
        ("branin", str(shipped.STUDIES / "branin.yaml")),
    ],
)
def test_a_study_is_the_nearest_one_of_its_name(given: str | None, file: str) -> None:
    assert meant(given) == Meant(file=file)
    assert study_file(given) == file


def test_a_folder_with_a_study_goes_before_a_shipped_study_of_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    study_file("branin")
    said = f"branin: the study that is shipped with kfp-bayesopt, {shipped.STUDIES / 'branin.yaml'}\n"
    assert capsys.readouterr() == ("", said)
    Path("branin").mkdir()
    Path("branin/study.yaml").touch()
    assert study_file("branin") == "branin/study.yaml"
    assert capsys.readouterr().err == ""


def test_a_path_that_begins_with_a_dot_is_that_one_alone() -> None:
    with pytest.raises(UserError, match=r"^\./study\.yaml: no such file or folder"):
        meant("./study.yaml")


def test_a_study_folder_is_one_that_is_read_and_not_one_that_is_run() -> None:
    a_folder("../out/mine")
    assert meant("../out/mine") == Meant(folder="../out/mine")
    assert meant("out/mine") == Meant(folder="../out/mine")
    with pytest.raises(UserError) as raised:
        study_file("../out/mine")
    assert raised.value.message == (
        "../out/mine: is a study folder, with results; this command needs the study file that it was made from"
    )


def test_where_one_stands_in_a_study_folder_that_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    a_folder("../out/mine")
    monkeypatch.chdir("../out/mine")
    assert meant(None) == Meant(folder=".")
    assert study_file(None) == "../../study.yaml"


def test_a_study_that_was_run_in_the_folder_of_its_file_is_read_there_and_runs_by_its_file() -> None:
    a_folder("large")
    Path("large/study.yaml").write_bytes(study_text())
    assert meant("large") == Meant(folder="large")
    assert study_file("large") == "large/study.yaml"


def test_a_study_in_a_bucket_is_a_file_or_a_study_folder(bucket: str) -> None:
    StudyFolder(f"{bucket}/runs/one", a_study()).write_study(study_text())
    storage.create(f"{bucket}/mine.yaml", study_text())
    assert meant(f"{bucket}/runs/one/") == Meant(folder=f"{bucket}/runs/one")
    assert meant(f"{bucket}/mine.yaml") == Meant(file=f"{bucket}/mine.yaml")


# --- what is no study ---------------------------------------------------------------------------


def problem_of(given: str | None) -> str:
    with pytest.raises((UserError, click.UsageError)) as raised:
        meant(given)
    return str(raised.value)


def test_a_repository_without_a_study_says_where_it_was_looked_for(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "study.yaml").unlink()
    assert problem_of(None) == (
        "no study is named, and there is no study.yaml in the working folder or in a folder above it, up to the root "
        "of the repository; give a study file or its folder, or make one with `make new NAME=my-study`"
    )
    monkeypatch.chdir(tmp_path)
    assert problem_of(None) == (
        "no study is named, and there is no study.yaml in the working folder; give a study file or its folder, or "
        "make one with `make new NAME=my-study`"
    )


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("smal.yaml", "did you mean small.yaml?"),
        ("small", "did you mean small.yaml?"),
        ("larg", "did you mean large?"),
        ("models/smalll.yaml", "did you mean ../models/small.yaml?"),
        ("brannin", "did you mean branin?"),
        ("nowhere/at/all.yaml", "give a study file or its folder, or `make new NAME=my-study` makes one"),
    ],
)
def test_a_path_that_is_nothing_names_what_is_near(given: str, hint: str) -> None:
    assert problem_of(given) == f"{given}: no such file or folder; {hint}"


def test_a_folder_without_a_study_names_a_study_file_of_another_name() -> None:
    beginning = "large: holds no study: neither study.yaml nor the files of a study folder; "
    assert problem_of("large") == beginning + "`make new NAME=my-study` makes a folder that has one"
    Path("large/settings.yaml").write_text("debug: true\n")
    Path("large/tuned.yml").write_text("name: mine\nspace:\n  x: {}\n")
    assert problem_of("large") == beginning + "did you mean large/tuned.yml?"


@pytest.mark.parametrize(("pattern", "tool"), OTHER_TOOLS.items())
def test_a_folder_of_another_tool_says_how_its_trials_are_taken_along(pattern: str, tool: str) -> None:
    Path("large", pattern.replace("*", "x")).touch()
    assert problem_of("large") == (
        "large: holds no study: neither study.yaml nor the files of a study folder; it looks like a folder of "
        f"{tool}, whose trials `make import FROM=table.csv` takes along"
    )


def test_a_file_named_study_makes_no_study_folder() -> None:
    Path("large/study").touch()
    assert problem_of("large").startswith("large: holds no study")


@pytest.mark.parametrize(
    ("given", "problem"),
    [("x" * 300, "File name too long; choose another path"), ("a\0b", "no such file or folder; ")],
)
def test_what_no_path_can_be_is_said(given: str, problem: str) -> None:
    assert problem in problem_of(given)


@pytest.mark.parametrize("given", ["gs:/bucket/runs", "gcs://bucket/runs", "b2://bucket/runs"])
def test_a_uri_of_another_form_is_refused(given: str) -> None:
    assert re.match(f"{given}: only {ALL} URIs and local paths are supported; ", problem_of(given))


# --- commands -----------------------------------------------------------------------------------

LOOKING = {
    "status": "2 of 4 trials have records; best value 1.0 in trial 1; folder ",
    "logs": "trial  state      attempt",
    "best": "best value 1.0\n",
    "export": "branin.csv: 2 trials",
    "jobs": "no jobs in ",
}


@pytest.mark.parametrize("name", LOOKING)
@pytest.mark.parametrize("where", ["folder", "out", "here", "bucket"])
def test_a_command_that_looks_takes_a_study_folder_itself(
    name: str, where: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"{request.getfixturevalue('bucket')}/one" if where == "bucket" else "../out/mine"
    a_folder(root)
    words = {"folder": [root], "bucket": [root], "out": ["--out", root], "here": []}[where]
    if where == "here":
        monkeypatch.chdir(root)
        root = "."
    ended = run(name, *words)
    assert ended.exit_code == 0, ended.output
    assert LOOKING[name] in ended.output


def test_report_and_verify_take_a_study_folder_itself() -> None:
    a_folder("../out/mine")
    assert "2 of 4 trials have ended" in run("report", "../out/mine").output
    assert "0 same, 0 equally good, 2 not checked, 0 differs\n" in run("verify", "../out/mine").output


@pytest.mark.parametrize("name", ["status", "logs", "best", "verify", "report", "watch", "export", "jobs"])
def test_a_study_and_a_job_or_two_folders_at_once_are_refused(name: str) -> None:
    a_folder("../out/mine")
    for words, problem in (
        (["small.yaml", "--job", "x-1"], "give either a study or --job"),
        (["../out/mine", "--out", "elsewhere"], "../out/mine is a study folder; give either that or --root"),
    ):
        ended = run(name, *words)
        assert ended.exit_code == 2
        assert ended.output.endswith(f"Error: {problem}\n")


@pytest.mark.parametrize(
    ("word", "is_study"),
    [
        ("small.yaml", True), ("large", True), ("branin", True), ("./x", True), ("typo.yaml", True), ("gs://b/x", True),
        ("branin-20260101-120000", False), ("projects/p/locations/l/pipelineJobs/x-1", False),
    ],
)  # fmt: skip
def test_a_word_that_is_no_path_is_a_job(word: str, is_study: bool) -> None:
    assert is_meant(word) is is_study


def test_status_takes_a_job_as_a_word_and_a_study_as_an_option_as_before() -> None:
    a_folder("../out/branin")
    assert run("status", "--study", "small.yaml").output == run("status", "small.yaml").output
    ended = run("status", "branin-20260101-120000")
    assert ended.exit_code == 1
    assert "project_id is missing" in ended.output
    assert run("status", "small.yaml", "--study", "small.yaml").exit_code == 2


def test_a_folder_with_several_study_files_names_them() -> None:
    for name in ("a", "b"):
        Path("large", f"{name}.yaml").write_text("name: x\nspace:\n")
    assert run("run", "large").output == (
        "Error: large: holds no study: neither study.yaml nor the files of a study folder; did you mean large/a.yaml "
        "or large/b.yaml?\n"
    )


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("smal", "smal: no study of this name is here (did you mean small.yaml?), so it was taken for a job: "),
        ("x-1", "x-1: no study of this name is here, so it was taken for a job: "),
        ("projects/p/locations/l/pipelineJobs/x-1", ""),
    ],
)  # fmt: skip
def test_a_word_that_is_neither_a_study_nor_a_job_is_both_in_the_message(word: str, said: str) -> None:
    ended = run("status", word)
    assert ended.exit_code == 1
    first, *others = ended.output.splitlines()
    assert first.startswith(f"Error: {said}project_id is missing")
    assert "region is missing" in others[-1]


@pytest.mark.parametrize("word", ["gs:/b/x", "gs:b/x", "models/smal", "out/x y", " "])
def test_a_word_that_can_be_no_job_is_a_study(word: str) -> None:
    problem = "did you mean gs://b/x?" if word.startswith("gs:") else "no such file or folder"
    assert problem in run("status", word).output


@pytest.mark.parametrize("name", ["cancel", "results"])
def test_a_study_in_the_place_of_a_job_is_said(name: str) -> None:
    said = "Error: small.yaml: is a study, not a job; `make jobs STUDY=small.yaml` lists its jobs\n"
    assert run(name, "small.yaml").output.startswith(said)
    assert run(name, "x-1").output.startswith("Error: project_id is missing")


def test_where_a_job_may_well_be_meant_only_a_near_study_is_named() -> None:
    where = ["--project-id", "my-project", "--region", "europe-north9"]
    problem = "region: Vertex AI has no region 'europe-north9'; did you mean 'europe-north2'?\n"
    assert run("status", "x-1", *where).output == f"Error: {problem}"
    near = "smal: no study of this name is here (did you mean small.yaml?), so it was taken for a job: "
    assert run("status", "smal", *where).output == f"Error: {near}{problem}"
