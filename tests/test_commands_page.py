"""Every example of docs/commands.md runs as it is written, in a folder that has what it needs."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.folder import jobs
from kfp_bayesopt_pipeline.building.context import read_context
from kfp_bayesopt_pipeline.places import TARGETS
from tests.commands_page import IN_CONTAINERS, examples
from tests.fake_storage import BUCKET, make_bucket
from tests.vertex_stand_in import VertexStandIn

pytestmark = pytest.mark.filterwarnings("ignore")  # of the client libraries, in their own code

EXAMPLES = examples()
JOB = "my-study-20260101-120000"
BIN = Path(sys.executable).parent

SUBMITTED = ("storage", "noted_images", "vertex", "job")
NEEDS: dict[str, tuple[str, ...]] = {
    "new": (),
    "check": ("study",),
    "run": ("study",),
    "plan": ("study",),
    "status": ("study", "results"),
    "watch": ("study", "results"),
    "results": ("study", "uploaded", *SUBMITTED),
    "best": ("study", "results"),
    "logs": ("study", "results"),
    "verify": ("study", "results"),
    "report": ("study", "results"),
    "studies": ("study", "results", "uploaded"),
    "jobs": ("study", "results"),
    "export": ("study", "results"),
    "import": ("study", "old"),
    "convert": ("study",),
    "compile": ("study", "noted_images"),
    "component": (),
    "cancel": ("study", "running", *SUBMITTED),
    "download": ("study", "uploaded"),
    "upload": ("storage", "study", "results"),
    "delete": ("study", "results"),
    "store": ("storage",),
    "completion": (),
    "version": (),
}
"""What each command needs before it is called: fixtures, in their order."""

PRINTED = {
    "new": "my-study: put your code into train.py, then ",
    "check": "value ",
    "run": "best value ",
    "plan": "20 trials, 4 at once",
    "status": "20 of 20 trials have records; best value ",
    "results": "best value ",
    "watch": "<html",
    "best": "--learning-rate=",
    "logs": "epoch=3 loss=",
    "verify": "20 same, 0 equally good, 0 not checked, 0 differs",
    "report": "report ",
    "studies": "  0001  ",
    "jobs": "in-process",
    "export": "my-study.csv",
    "import": "20 trials",
    "convert": "kind: Experiment",
    "compile": "out/my-study/pipeline.yaml",
    "component": "tune.yaml",
    "cancel": JOB,
    "store": "studies may be here",
    "download": "out/my-study",
    "upload": "gs://my-bucket/runs/",
    "delete": "deleted",
    "completion": "",
    "version": '"numpy"',
}
"""A part of what each prints."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which `bayesopt new my-study` and `bayesopt run my-study` were called, once for all tests."""
    folder = tmp_path_factory.mktemp("ran")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
        for command in ("new", "run"):
            (line,) = EXAMPLES[command]
            _call(line)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder, with an active environment and no settings."""
    folder = tmp_path / "repository"
    (folder / ".git").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    for model in TARGETS.values():
        for setting in model.described().values():
            monkeypatch.delenv(setting.variable, raising=False)
    return folder


@pytest.fixture
def study(here: Path, ran: Path) -> None:
    shutil.copytree(ran / "my-study", here / "my-study")


@pytest.fixture
def results(here: Path, ran: Path) -> None:
    shutil.copytree(ran / "out", here / "out")


@pytest.fixture
def old(here: Path, ran: Path) -> None:
    """Leave the trials in another study folder, and give the study itself none."""
    shutil.copytree(ran / "out" / "my-study", here / "out" / "old")


@pytest.fixture
def storage(bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name the bucket of the page as the place of study folders, and return it."""
    root = bucket.replace(BUCKET, "my-bucket")
    make_bucket(os.environ["STORAGE_EMULATOR_HOST"], "my-bucket")
    monkeypatch.setenv("PIPELINE_ROOT", f"{root}/runs")
    return root


@pytest.fixture
def uploaded(ran: Path, storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the study folder in the bucket."""
    with monkeypatch.context() as patch:
        patch.chdir(ran)
        assert f"{storage}/runs/" in _call(*EXAMPLES["upload"])


@pytest.fixture
def noted_images(here: Path, images: Path) -> None:
    """Have the file that names the images, that of the study's code among them."""
    named = json.loads(images.read_text())
    named["study"] = read_context(here / "my-study", allow_secrets=True).digest()
    (here / "out" / "my-study").mkdir(parents=True, exist_ok=True)
    (here / "out" / "my-study" / "images.json").write_text(json.dumps(named))


@pytest.fixture
def vertex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VertexStandIn]:
    stand_in = VertexStandIn(tmp_path / "service")
    monkeypatch.setenv("VERTEX_ENDPOINT", stand_in.endpoint)
    yield stand_in
    stand_in.stop()


@pytest.fixture
def running(vertex: VertexStandIn) -> None:
    vertex.outcome = "PIPELINE_STATE_RUNNING"


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have submitted the study as the job of the page."""
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "new_job_id", lambda _: JOB)
        _call(EXAMPLES["submit"][0].replace(" --wait", ""))


def _call(line: str, answer: str | None = None) -> str:
    """Call the command of a line here, and return what it printed."""
    program, *words = shlex.split(line)
    assert program == "bayesopt"
    ended = CliRunner().invoke(cli, words, input=answer, prog_name="bayesopt")
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def _in_a_shell(line: str) -> str:
    """Run a line in a shell in which the environment is active, and return what it printed."""
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def _watched(line: str) -> str:
    """Serve the report until Ctrl-C, and return the page."""
    with subprocess.Popen(shlex.split(line), stdout=subprocess.PIPE, text=True) as served:
        try:
            assert served.stdout is not None
            address = next(said for said in served.stdout if said.startswith("http://"))
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with browser.open(address.strip()) as answer:
                page = answer.read().decode()
        finally:
            served.send_signal(signal.SIGINT)
        assert served.wait(60) == 0
    return str(page)


def _deleted(line: str) -> str:
    return _call(line, "y\n")


OTHERWISE: dict[str, Callable[[str], str]] = {"watch": _watched, "completion": _in_a_shell, "delete": _deleted}
"""How a line is run that asks, serves or writes by the shell; the others are called here."""


def test_every_command_of_the_page_has_an_example_that_is_run() -> None:
    assert {command: lines for command, lines in EXAMPLES.items() if not lines} == {}
    assert sorted(EXAMPLES) == sorted([*NEEDS, *IN_CONTAINERS])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("command", NEEDS)
def test_an_example_runs_as_it_is_written(command: str, request: pytest.FixtureRequest) -> None:
    for need in NEEDS[command]:
        request.getfixturevalue(need)
    printed = [OTHERWISE.get(command, _call)(line) for line in EXAMPLES[command]]
    assert PRINTED.get(command, "") in printed[-1]


def test_the_script_of_a_shell_completes_commands(here: Path) -> None:
    _in_a_shell(*EXAMPLES["completion"])
    assert "bayesopt" in (here.parent / ".bashrc").read_text()
