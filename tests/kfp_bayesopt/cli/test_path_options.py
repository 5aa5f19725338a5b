"""What a person names is the same in every command, other storage is refused, and nothing is said of no study."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from kfp_bayesopt.cli.commands.folder_commands import jobs_
from kfp_bayesopt.cli.commands.report_commands import report
from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.stores import ALL
from tests.builders import a_batch, a_record, a_study, records_of, study_text, write_folder

TYPES = {path_options.folder.name, path_options.path.name}
PATHS = [
    (name, parameter.opts[0])
    for name, command in sorted(cli.commands.items())
    for parameter in command.params
    if isinstance(parameter, click.Option) and parameter.type.name in TYPES
]
"""Each option of each command that names a folder or a file."""
GIVEN = {"name": "mine", "words": "submit", "registry": "a", "tag": "b", "repository": "c", "out": "d", "sources": "e"}
LOOKING = {
    **{
        name: [name, "study.yaml"] for name in ("best", "delete", "export", "jobs", "logs", "report", "verify", "watch")
    },
    "upload": ["upload", "study.yaml", "--root", "other"],
    "status": ["status", "--study", "study.yaml"],
}
"""The commands that look at a study, but `download`, whose source is the other option."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_ROOT", raising=False)
    Path("study.yaml").write_bytes(study_text(optimizer={"engine": "gp"}))


def _options(command: click.Command) -> list[str]:
    return [name for parameter in command.params for name in parameter.opts]


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def _required(name: str, but: str) -> list[str]:
    """Return what a command cannot do without, but for an option."""
    words = []
    for parameter in cli.commands[name].params:
        if isinstance(parameter, click.Argument):
            words.append(GIVEN.get(str(parameter.name), "study.yaml"))
        elif parameter.required and parameter.opts[0] != but:
            words += [parameter.opts[0], GIVEN[str(parameter.name)]]
    return words


# --- other storage -----------------------------------------------------------------------------


@pytest.mark.parametrize("uri", ["b2://bucket/x", "b2:/bucket/x", "GS://bucket/x", "file:///x", "gs:/bucket/x"])
@pytest.mark.parametrize(("name", "option"), PATHS)
def test_every_option_refuses_other_storage_and_leaves_nothing_behind(name: str, option: str, uri: str) -> None:
    ended = _run(name, *_required(name, option), option, uri)
    assert ended.exit_code == 1, ended.output
    assert ended.output.startswith(f"Error: {uri}: only {ALL} URIs and local paths are supported; ")
    assert ended.output.endswith("did you mean gs://bucket/x?\n") == (uri.lower().startswith("gs:"))
    assert [path.name for path in Path().iterdir()] == ["study.yaml"]


@pytest.mark.parametrize("name", [name for name, each in cli.commands.items() if "--pipeline-root" in _options(each)])
def test_a_pipeline_root_with_one_slash_is_said_with_the_one_that_is_meant(name: str) -> None:
    ended = _run(name, *_required(name, ""), "--pipeline-root", "gs:/bucket/x")
    assert ended.exit_code == 1
    assert re.search(r"pipeline_root: expected gs://.*BUCKET/PREFIX, because .*, but got ", ended.output)
    assert "'gs:/bucket/x'; did you mean gs://bucket/x?\n" in ended.output


def test_so_do_the_study_and_the_sources_of_earlier_trials_and_the_settings() -> None:
    for arguments in (
        ["run", "b2://bucket/study.yaml"],
        ["import", "study.yaml", "--from", "b2://bucket/x"],
        ["verify", "study.yaml", "--pipeline-root", "b2://bucket/x"],
        ["jobs", "study.yaml", "--pipeline-root", "b2://bucket/x"],
    ):
        ended = _run(*arguments)
        assert ended.exit_code == 1, arguments
        assert f"only {ALL} URIs and local paths are supported" in ended.output or "BUCKET/PREFIX" in ended.output
    Path("study.yaml").write_bytes(study_text(optimizer={"engine": "gp"}, warm_start=["b2://bucket/x"]))
    ended = _run("run", "study.yaml")
    assert ended.output.splitlines()[-1] == (
        f"Error: b2://bucket/x: only {ALL} URIs and local paths are supported; a folder of that name here is "
        "written ./NAME"
    )


def test_a_folder_whose_name_looks_like_other_storage_can_be_named() -> None:
    write_folder("./s3:/x", study := a_study(optimizer={"engine": "gp"}), a_batch(study, [{"x1": 1.0, "x2": 2.0}]))
    assert _run("jobs", "study.yaml", "--out", "./s3:/x").output == f"no jobs in {Path.cwd()}/s3:/x\n"


@pytest.mark.parametrize("option", ["--out", "--root"])
def test_both_options_take_a_folder_here_and_one_in_a_bucket(bucket: str, option: str) -> None:
    study = a_study(optimizer={"engine": "gp"})
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}])
    for root in ("mine", f"{bucket}/path-options{option}"):
        write_folder(root, study, batch, [a_record(study)])
        assert CliRunner().invoke(jobs_, ["study.yaml", option, f"{root}/"]).output == f"no jobs in {root}\n"
        ended = CliRunner().invoke(report, ["study.yaml", option, root])
        assert "1 of 4 trials" in ended.output
        assert "report.html" in {entry.uri.rpartition("/")[2] for entry in storage.entries(f"{root}/")}
    assert sorted(path.name for path in Path().iterdir()) == ["mine", "study.yaml"]


# --- no study, no trials -----------------------------------------------------------------------


@pytest.mark.parametrize("name", [*LOOKING, "download"])
def test_a_command_that_looks_at_a_study_that_is_not_there_says_so_and_exits_1(name: str, bucket: str) -> None:
    Path("notes").mkdir()
    Path("notes/study.yaml").write_bytes(study_text())
    empty = f"{bucket}/empty"
    for root, problem in (("nowhere", "no such folder"), ("notes", "holds no study"), (empty, "holds no study")):
        named = (
            ["download", "study.yaml", "--out", "new", "--root", root]
            if name == "download"
            else [*LOOKING[name], "--out", root]
        )
        ended = _run(*named)
        assert ended.exit_code == 1
        assert (
            ended.output == f"Error: {root}: {problem}; give its folder with --out or --root, or run the study first\n"
        )
    assert sorted(str(path) for path in Path().rglob("*")) == ["notes", "notes/study.yaml", "study.yaml"]


def test_a_study_without_trials_is_no_study_that_was_verified_or_exported() -> None:
    StudyFolder("empty", a_study(optimizer={"engine": "gp"})).write_study(Path("study.yaml").read_bytes())
    for name, problem in {
        "best": "holds no trial yet; run the study first",
        "export": "holds no trial yet; run the study first",
        "logs": "holds no trial yet; run the study first",
        "verify": "holds no trial yet; run the study first",
    }.items():
        ended = _run(name, "study.yaml", "--out", "empty")
        assert (ended.exit_code, ended.output) == (1, f"Error: empty: {problem}\n")
    assert _run("report", "study.yaml", "--out", "empty").exit_code == 1
    assert _run("status", "--study", "study.yaml", "--out", "empty").output == (
        "0 of 4 trials have records; folder empty\n"
    )


# --- a folder that is only read --------------------------------------------------------------


def _a_run() -> str:
    study = a_study(optimizer={"engine": "gp"})
    suggestions = a_batch(study, [{"x1": 1.0, "x2": 2.0}, {"x1": 3.0, "x2": 4.0}])
    folder = write_folder("done", study, suggestions, records_of(study, suggestions, [1.0, 2.0]))
    folder.write_study(Path("study.yaml").read_bytes())
    return folder.root


def _content(root: str) -> dict[str, tuple[bytes, int]]:
    """Return what is in a folder, and when it was changed."""
    return {
        str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in [Path(root), *Path(root).rglob("*")]
    }


@pytest.mark.parametrize("to", ["page.html", "pages"])
def test_a_report_is_written_elsewhere_and_nothing_into_the_study_folder(to: str) -> None:
    root = _a_run()
    Path("pages").mkdir()
    before = _content(root)
    ended = _run("report", "study.yaml", "--out", root, "--to", to)
    page = Path("pages/report.html") if to == "pages" else Path("page.html")
    assert ended.output == "Error: 2 of 4 trials have ended; run the same command again to finish\n"
    assert page.read_bytes().startswith(b"<!DOCTYPE html>")
    assert _content(root) == before


def test_a_folder_that_cannot_be_written_says_how_a_report_is_made_of_it() -> None:
    root = _a_run()
    (Path(root) / ".lock").mkdir()  # no user is above this, as root is above permissions
    ended = _run("report", "study.yaml", "--out", root)
    assert (ended.exit_code, ended.output) == (
        1,
        f"Error: {root}: cannot write results there: Is a directory; TO=FILE (--to FILE) writes the page elsewhere, "
        "and nothing there\n",
    )


@pytest.mark.parametrize(
    "command",
    [
        ["best", "study.yaml"],
        ["status", "--study", "study.yaml"],
        ["verify", "study.yaml"],
        ["export", "study.yaml", "--to", "table.csv"],
        ["logs", "study.yaml"],
        ["jobs", "study.yaml"],
    ],
)
def test_what_only_looks_at_a_study_changes_nothing_in_its_folder_and_needs_no_results(command: list[str]) -> None:
    root = _a_run()
    before = _content(root)
    ended = _run(*command, "--out", root)
    assert "Traceback" not in ended.output
    assert command[0] == "verify" or ended.exit_code == 0, ended.output  # these suggestions follow from nothing
    if command[0] == "best":
        assert ended.output.startswith("best value 1.0\n")
    assert _content(root) == before
