"""Folders that somebody else has, or that are only read: one message, nothing half done, and what reads goes on."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.session.view import View
from kfp_bayesopt.store.local import what_denies
from kfp_bayesopt_pipeline.places.in_process import Options
from kfp_bayesopt_pipeline.places.in_process import run as run_here
from tests.builders import write_study

NOBODY = 65534
READING = ["status", "best", "logs", "verify", "jobs"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository whose study was run."""
    root = tmp_path_factory.mktemp("ran")
    (root / ".git").mkdir()
    write_study(root, optimizer={"engine": "random"})
    run_here(str(root / "study.yaml"), str(root / "out" / "branin"), 2, Options(), View())
    return root


@pytest.fixture(autouse=True)
def repository(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in a repository, with a space in its name, whose study was run."""
    root = tmp_path / "their repository"
    shutil.copytree(ran, root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("BAYESOPT_DOOR", "command")
    yield root
    for each in (root, *sorted(root.rglob("*"))):
        each.chmod(0o755)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("process", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32 * 1) for name in ("effective", "permitted", "inheritable"))


@contextlib.contextmanager
def as_anybody() -> Iterator[None]:
    """Do only what the owners and the modes of files allow, as root too."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None)
    header, both = _Header(0x20080522, 0), (_Capabilities * 2)()
    assert libc.capget(ctypes.byref(header), both) == 0
    before = both[0].effective[0]
    both[0].effective[0] = before & ~0b1110  # over permissions of files, and over their owners
    assert libc.capset(ctypes.byref(header), both) == 0
    try:
        yield
    finally:
        both[0].effective[0] = before
        assert libc.capset(ctypes.byref(header), both) == 0


def keep_out(path: Path) -> None:
    """Let a file or folder be somebody else's, who keeps it to themselves."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
        path.chmod(0o700 if path.is_dir() else 0o600)
    else:
        path.chmod(0)


def run(*words: str) -> Result:
    with as_anybody():
        return CliRunner().invoke(cli, words)


def content(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in sorted(root.rglob("*"))}


def only_read(root: Path) -> None:
    for each in (root, *root.rglob("*")):
        each.chmod(0o555 if each.is_dir() else 0o444)


@pytest.mark.parametrize("name", READING)
def test_commands_that_read_work_in_a_repository_that_is_only_read(name: str, repository: Path) -> None:
    only_read(repository)
    before = content(repository)
    ended = run(name)
    assert ended.exit_code == 0, ended.output
    assert content(repository) == before


@pytest.mark.parametrize(
    ("words", "problem", "way_out"),
    [
        (["run"], "out/branin: cannot write results there: ", "give another folder with --out or --root"),
        (["run", "--fresh"], "out/branin: cannot write results there: ", "give another folder with --out or --root"),
        (
            ["report"],
            "out/branin: cannot write results there: ",
            "--to FILE writes the page elsewhere, and nothing there",
        ),
        (["delete"], "out/branin: cannot write results there: ", "give another folder with --out or --root"),
        (["export"], "out/branin.csv: permission denied: out belongs to ", "choose another path"),
        (["new", "mine"], "mine: cannot be made: Permission denied", "choose another folder: --into folder"),
    ],
)
def test_what_writes_names_the_folder_and_another_way_and_leaves_nothing(
    words: list[str], problem: str, way_out: str, repository: Path
) -> None:
    only_read(repository)
    before = content(repository)
    ended = run(*words)
    assert ended.exit_code == 1
    assert ended.output.startswith(f"Error: {problem}")
    assert ended.output.endswith(f"{way_out}\n")
    assert content(repository) == before


def test_a_trial_that_was_tried_is_told_where_its_time_cannot_be_kept(repository: Path) -> None:
    only_read(repository)
    ended = run("check", "--json")
    assert ended.exit_code == 0, ended.output
    assert "Warning: how long it took is not kept for `bayesopt plan`: " in ended.stderr


@pytest.mark.parametrize("part", ["trials", "trials/000002", "trials/000002/record-1.json", "study", "jobs", "."])
@pytest.mark.parametrize("name", ["status", "best", "export", "report", "run"])
def test_what_somebody_else_keeps_to_themselves_is_one_message(name: str, part: str, repository: Path) -> None:
    keep_out(repository / "out" / "branin" / part)
    words = [name, "--to", "page.html"] if name == "export" else [name]
    ended = run(*words)
    if ended.exit_code == 0:
        assert (name, part) in {
            ("best", "study"),
            ("export", "jobs"),
            ("report", "jobs"),
        }  # no more than is needed is read
        return
    assert ended.exit_code == 1
    (line,) = (line for line in ended.output.splitlines() if line.startswith("Error: "))
    assert "Permission denied" in line or "permission denied" in line
    assert " belongs to " in line
    assert "Traceback" not in ended.output


@pytest.mark.parametrize("part", ["", "trials", "study"])
def test_a_fresh_start_moves_all_or_nothing(part: str, repository: Path) -> None:
    if part:
        keep_out(repository / "out" / "branin" / part)
    else:
        (repository / "out").chmod(0o555)
    before = content(repository)
    ended = run("run", "--fresh")
    assert ended.exit_code == 1, ended.output
    assert ended.output.startswith(
        "Error: out/branin: cannot be moved aside to start again: Permission denied: "
        f"{f'out/branin/{part}' if part else 'out'} belongs to ".replace(f"out/branin/{part} belongs", "it belongs")
    )
    assert ended.output.endswith("; nothing was moved; give another folder with --out or --root\n")
    assert content(repository) == before


def test_what_denies_access_is_named_with_whose_it_is(repository: Path) -> None:
    folder = repository / "closed"
    (folder / "deep").mkdir(parents=True)
    with as_anybody():
        assert re.fullmatch(r"closed belongs to \S+ \(drwxr-xr-x\)", what_denies("closed/nothing"))
        assert re.fullmatch(r"the working folder belongs to \S+ \(drwx.*\)", what_denies("nothing"))
    keep_out(folder)
    with as_anybody():
        assert re.fullmatch(r"closed belongs to \S+ \(d\S+\)", what_denies("closed/deep/file"))
        assert re.fullmatch(r"it belongs to \S+ \(d\S+\)", what_denies("closed"))


@pytest.mark.parametrize("name", ["run", "status", "best"])
def test_a_study_that_may_not_be_looked_at_is_said_to_be_somebody_elses(name: str, repository: Path) -> None:
    folder = repository / "closed"
    folder.mkdir()
    write_study(folder)
    keep_out(folder)
    for given in ("closed", "closed/study.yaml", str(folder)):
        ended = run(name, given)
        assert ended.exit_code == 1
        assert re.fullmatch(
            rf"Error: {re.escape(given)}: Permission denied: \S.* belongs to \S+ \(d\S+\); choose another path\n",
            ended.output,
        ), ended.output


# --- other repositories --------------------------------------------------------------------------


def test_a_folder_that_two_repositories_share_is_refused_to_the_other_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = str(tmp_path / "shared")
    assert CliRunner().invoke(cli, ["run", "--out", shared]).exit_code == 0
    other = tmp_path / "other"
    (other / ".git").mkdir(parents=True)
    write_study(other, optimizer={"engine": "random"}, direction="maximize")
    monkeypatch.chdir(other)
    before = content(tmp_path / "shared")
    ended = CliRunner().invoke(cli, ["run", "--out", shared])
    assert ended.exit_code == 1
    assert f"Error: {shared}: holds another study, 'branin' (" in ended.output
    assert content(tmp_path / "shared") == before


def test_a_working_folder_that_was_deleted_is_said_once(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for words in (["status"], ["run", str(repository / "study.yaml")], ["studies"], ["best", "--job", "x"]):
        ended = CliRunner().invoke(cli, words)
        assert ended.exit_code == 1
        assert ended.output == ("Error: the working folder was deleted or moved away; change to one that exists\n")


@pytest.mark.parametrize("inside", ["", "study", "pyvenv.cfg"])
def test_a_folder_beside_the_code_that_may_not_be_entered_is_no_code(inside: str, repository: Path) -> None:
    """Such as lost+found on a disk of its own, or the data of a database."""
    (repository / "closed").mkdir()
    (repository / "closed" / inside).mkdir(exist_ok=True)
    keep_out(repository / "closed")
    ended = run("run")
    assert ended.exit_code == 0, ended.output
    assert "4 of these trials were in out/branin already" in ended.output
