"""The Makefile: each word of people is a call of `bayesopt`, in the environment that it needs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kfp_bayesopt.cli.main import cli
from tests import ROOT, makefile
from tests.builders import study_text

CARD = [
    "run",
    "test",
    "build",
    "push",
    "submit",
    "compile",
    "run-kfp",
    "e2e",
    "bench",
    "generate",
    "lock",
    "site",
    "format",
    "help",
]
WORDS = makefile.list_of("WORDS") + makefile.list_of("OLD_WORDS")
INSTALLED = [word for name in (".venv", ".venv-cloud") for word in ("-o", f"{name}/installed")]
NOTE = """
import json, sys
with open({log!r}, "a") as log:
    print(json.dumps(sys.argv[1:]), file=log)
sys.exit("wrong" in sys.argv)
"""


def _link(folder: Path) -> None:
    """Let `make` in a folder read the words of the checkout."""
    (folder / "Makefile").symlink_to(ROOT / "Makefile")
    (folder / "pipeline").symlink_to(ROOT / "pipeline")


def _make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = ["make", "--silent", *INSTALLED, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def _all_told(tmp_path: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """Run `make` with a stand-in for `bayesopt`; return what that was given each time."""
    log = tmp_path / "log"
    note = tmp_path / "note.py"
    note.write_text(NOTE.format(log=str(log)))
    ended = _make(f"BAYESOPT={sys.executable} {note}", *arguments)
    return ended, [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def _told(tmp_path: Path, *arguments: str) -> list[str]:
    ended, (told,) = _all_told(tmp_path, *arguments)
    assert ended.returncode == 0, ended.stderr
    return told


# --- words and variables -----------------------------------------------------------------------


def test_the_help_has_the_words_of_the_card_and_no_others() -> None:
    named = re.findall(r"^  make (\S+) ", _make().stdout, re.MULTILINE)
    assert sorted(named) == sorted(CARD)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_a_command_and_each_of_its_variables_an_option_of_it(word: str, tmp_path: Path) -> None:
    given = [f"{name}=1" for name in sorted(makefile.variables() - {"FLAGS", "PYTHON", "BENCH"})]
    told = _told(tmp_path, word, *given, "CODE=same", "FORMAT=katib")
    assert told[0] in cli.commands
    options = {name for each in cli.commands[told[0]].params for name in each.opts}
    assert {each for each in told if each.startswith("--")} <= options
    taken = makefile.list_of(f"TAKES_{word}") if word != "convert" else []
    assert len({each for each in told if each.startswith("--")}) >= len(taken)


@pytest.mark.parametrize("word", makefile.list_of("OLD_WORDS"))
def test_a_word_that_goes_says_once_what_to_type_instead(word: str, tmp_path: Path) -> None:
    ended, (told,) = _all_told(tmp_path, word, "NAME=mine", "FROM=a.csv", "ROOT=gs://b/mine", "JOB=a-1")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"make {word} is gone in the next release; type: {sys.executable} ")
    assert shlex.split(line.partition("note.py ")[2]) == told


@pytest.mark.parametrize("target", ["compile", "run-kfp", "submit"])
def test_a_path_with_spaces_and_quotes_is_one_argument(target: str, tmp_path: Path) -> None:
    told = _told(tmp_path, target, "STUDY=my studies/Bob's (first).yaml", "IMAGES=my images.json", "OUT=my results")
    assert told[:4] == [target, "my studies/Bob's (first).yaml", "--images", "my images.json"]
    assert ("my results" in told) == (target == "run-kfp")


def test_a_study_in_a_folder_with_spaces_runs_through_make(tmp_path: Path) -> None:
    folder = tmp_path / "Bob's study"
    folder.mkdir()
    (folder / "my study.yaml").write_bytes(study_text(iterations=1, optimizer={"engine": "random"}))
    command = f"BAYESOPT={sys.executable} -m pipeline"
    ended = _make(command, "run", f"STUDY={folder}/my study.yaml", f"OUT={tmp_path}/my results")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "my results" / "best.json").exists()


@pytest.mark.parametrize("target", ["cancel", "results"])
def test_without_a_job_there_is_the_usage(target: str) -> None:
    ended = _make(target)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"usage: make {target} JOB=id TARGET=vertex|kfp\n")


@pytest.mark.parametrize(
    ("target", "command"),
    [("jobs", "jobs"), ("delete", "delete"), ("pull", "download"), ("push-folder", "upload")],
)
def test_make_leads_to_the_folder_that_is_named(target: str, command: str, tmp_path: Path) -> None:
    told = _told(tmp_path, target, "STUDY=my study.yaml", "OUT=my results", "ROOT=gs://bucket/mine", "ALL=1", "CONFIG=")
    assert told[:6] == [command, "my study.yaml", "--out", "my results", "--root", "gs://bucket/mine"]
    assert told[6:] == (["--all"] if target == "delete" else [])


@pytest.mark.parametrize("target", ["run-kfp", "submit"])
def test_make_says_how_a_study_goes_on(target: str, tmp_path: Path) -> None:
    told = _told(tmp_path, target, "FRESH=1", "CODE=same", "RETRY_FAILED=1", "ENDED=branin-1")
    given = {"--fresh", "--same-code", "--retry-failed", "--ended", "branin-1"}
    assert given <= set(told)


# --- environments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["run"], ".venv"),
        (["run", "ROOT=gs://b/mine"], ".venv-cloud"),
        (["check"], ".venv"),
        (["check", "IN=image"], ".venv-cloud"),
        (["best"], ".venv"),
        (["best", "FORMAT=json"], ".venv"),
        (["best", "JOB=a-1"], ".venv-cloud"),
        (["best", "PIPELINE_ROOT=gs://b/runs"], ".venv-cloud"),
        (["best", "PIPELINE_ROOT=gs://b/runs", "OUT=out/branin"], ".venv"),
        (["pull", "PIPELINE_ROOT=gs://b/runs", "OUT=out/branin"], ".venv-cloud"),
        (["status", "OUT=gs://b/mine"], ".venv-cloud"),
        (["import", "FROM=table.csv"], ".venv"),
        (["import", "FROM=table.parquet"], ".venv-cloud"),
        (["import", "FROM=sqlite:///study.db"], ".venv-cloud"),
        (["export"], ".venv"),
        (["export", "FORMAT=csv"], ".venv"),
        (["export", "FORMAT=optuna"], ".venv-cloud"),
        (["convert", "FORMAT=vertex"], ".venv"),
        (["jobs", "OUT=out/branin"], ".venv"),
        (["studies"], ".venv"),
        *((([word]), ".venv-cloud") for word in ("build", "push", "submit", "compile", "run-kfp", "compose")),
    ],
    ids=" ".join,
)
def test_a_word_takes_the_environment_that_it_needs(
    arguments: list[str], environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder without .env, where everything is installed."""
    monkeypatch.delenv("PIPELINE_ROOT", raising=False)
    _link(tmp_path)
    called = _make("--dry-run", *arguments, cwd=tmp_path).stdout.splitlines()
    assert [line.partition("/bin/bayesopt ")[0] for line in called if "/bin/bayesopt " in line][-1] == environment


def test_the_root_of_a_bucket_in_env_takes_the_environment_of_the_cloud(tmp_path: Path) -> None:
    _link(tmp_path)
    for line, environment in (("# PIPELINE_ROOT=gs://b\n", ".venv/"), ("PIPELINE_ROOT=gs://b/runs\n", ".venv-cloud/")):
        (tmp_path / ".env").write_text(line)
        assert f"{environment}bin/bayesopt best " in _make("--dry-run", "best", cwd=tmp_path).stdout


# --- make build push submit --------------------------------------------------------------------


@pytest.mark.parametrize("order", ["build push submit", "submit push build", "-j4 submit build push"])
def test_the_three_words_run_in_their_order_when_all_is_known(order: str, tmp_path: Path) -> None:
    ended, told = _all_told(tmp_path, *order.split(), "STUDY=mine", "REGISTRY=r.example/a", "TARGET=kfp", "CONFIG=")
    assert ended.returncode == 0, ended.stderr
    ready, *others = told
    assert sorted(ready[:3]) == ["push", "ready", "submit"]
    assert ready[3:] == ["--registry", "r.example/a", "--target", "kfp"]
    assert others == [
        ["build", "mine", "--registry", "r.example/a", "--target", "kfp"],
        ["push", "mine", "--registry", "r.example/a", "--target", "kfp"],
        ["submit", "mine", "--target", "kfp"],
    ]


@pytest.mark.parametrize("jobs", [[], ["-j3"]])
def test_nothing_is_built_when_something_is_not_known(jobs: list[str], tmp_path: Path) -> None:
    ended, told = _all_told(tmp_path, *jobs, "build", "push", "submit", "REGISTRY=wrong", "CONFIG=")
    assert ended.returncode == 2
    assert told == [["ready", "push", "submit", "--registry", "wrong"]]


@pytest.mark.parametrize("words", ["build", "push", "submit", "run build"])
def test_one_of_them_asks_for_itself(words: str, tmp_path: Path) -> None:
    _, told = _all_told(tmp_path, *words.split())
    assert [each[0] for each in told] == words.split()


def test_what_is_missing_is_said_at_once_in_the_words_of_make(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("REGISTRY", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_REGION", "PIPELINE_ROOT"):
        monkeypatch.setenv(variable, "")
    ended = _make(f"BAYESOPT={sys.executable} -m pipeline", "build", "push", "submit", "CONFIG=")
    assert ended.returncode == 2
    *lines, last = ended.stderr.splitlines()
    assert lines == [
        "Error: nothing was built:",
        "  no registry to push to: give REGISTRY=HOST/PROJECT/REPOSITORY, or set REGISTRY in the environment or .env, "
        "or GOOGLE_CLOUD_PROJECT and GOOGLE_CLOUD_REGION there, by which it is REGION-docker.pkg.dev/PROJECT/bayesopt",
        *(
            f"  {name} is missing; give {variable}=, or set it in the environment or .env, or {name} in "
            "vertex_config.json"
            for name, variable in (
                ("pipeline_root", "PIPELINE_ROOT"), ("project_id", "GOOGLE_CLOUD_PROJECT"),
                ("region", "GOOGLE_CLOUD_REGION"),
            )
        ),
    ]  # fmt: skip
    assert last.endswith("ready] Error 1")


# --- from elsewhere ----------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["run", "check"])
def test_who_stands_elsewhere_is_told_what_to_type_there(word: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_bytes(study_text())
    command = shlex.join(["make", "--silent", *INSTALLED, "-C", str(ROOT), word, "STUDY=study.yaml"])
    ended = subprocess.run(["bash", "-c", f"cd {tmp_path} && {command}"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(
        f"study.yaml is in {tmp_path}, but make reads paths from {ROOT}; type there: {ROOT}/.venv/bin/bayesopt {word} "
        "study.yaml\n"
    )
