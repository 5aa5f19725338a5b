"""What holds for every target, and what is done alike above all of them."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kfp_bayesopt.cli.commands.job_commands import cancel, results, status, submit
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import Job, Submitted, end
from kfp_bayesopt.folder.publish import publish
from kfp_bayesopt.session import NoAnswerError
from kfp_bayesopt.steps import RESULTS
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.images import Images
from kfp_bayesopt_pipeline.places import TARGETS, load_target
from kfp_bayesopt_pipeline.places import remote_jobs as jobs
from kfp_bayesopt_pipeline.places.protocol import Inputs, Options, RefusedError, States, Target
from kfp_bayesopt_pipeline.places.settings import EVERY_COMMAND, Setting, Settings, load_env, read_config
from kfp_bayesopt_pipeline.places.vertex import VertexSettings
from tests.builders import a_batch, a_record, a_study, write_folder
from tests.kfp_stand_in import KfpStandIn
from tests.vertex_stand_in import VertexStandIn

pytestmark = [
    pytest.mark.usefixtures("_root", "_no_settings"),
    pytest.mark.filterwarnings("ignore"),  # of the client libraries, in their own code
]


@pytest.fixture
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what this machine has set."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for model in TARGETS.values():
        for setting in model.described().values():
            monkeypatch.delenv(setting.variable, raising=False)


def _vertex(folder: Path) -> tuple[VertexStandIn, list[str]]:
    stand_in = VertexStandIn(folder)
    return stand_in, ["--project-id", "my-project", "--region", "europe-west1", "--endpoint", stand_in.endpoint]


def _kfp(_folder: Path) -> tuple[KfpStandIn, list[str]]:
    stand_in = KfpStandIn()
    return stand_in, ["--host", stand_in.host]


# A stand-in for each target with the options that lead to it, and the client libraries that the target imports.
STAND_INS: dict[str, Callable[[Path], tuple[VertexStandIn | KfpStandIn, list[str]]]] = {"vertex": _vertex, "kfp": _kfp}
CLIENTS = {"vertex": {"google.cloud.aiplatform", "vertexai"}, "kfp": {"kfp", "kfp_server_api"}}


@pytest.fixture(params=TARGETS)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """Return the options that lead to a stand-in for each target."""
    stand_in, where = STAND_INS[request.param](tmp_path / "service")
    yield ["--target", request.param, *where]
    stand_in.stop()


def _submit(images: Path, *arguments: str) -> str:
    """Submit a study and return the id of the job."""
    ended = CliRunner().invoke(submit, ["studies/branin.yaml", "--images", str(images), *arguments])
    assert ended.exit_code == 0, ended.output
    return ended.stdout.split()[1]


# --- every target ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_can_do_all_of_the_protocol_and_is_called_as_the_list_calls_it(name: str) -> None:
    target = load_target(name, TARGETS[name]())
    assert target.name == name
    assert {"SUCCEEDED", "FAILED"} <= target.final
    for method in (
        "problems",
        "unreached",
        "jobs_of",
        "submit",
        "find",
        "cancel",
        "states",
        "reason",
        "remarks",
        "inputs",
    ):
        asked = list(inspect.signature(getattr(Target, method)).parameters)[1:]
        assert list(inspect.signature(getattr(target, method)).parameters) == asked, method


def test_a_job_that_has_ended_cannot_be_cancelled(service: list[str], images: Path, bucket: str) -> None:
    job = _submit(images, *service, "--pipeline-root", bucket)
    for _ in range(2):  # one of the stand-ins goes on by a state each time that it is asked
        CliRunner().invoke(status, [job, *service])
    ended = CliRunner().invoke(cancel, [job, *service])
    assert ended.exit_code == 1
    assert ended.output == (
        f"Error: job {job} has already ended: SUCCEEDED; `make results TARGET={service[1]} JOB={job}` fetches its "
        "results\n"
    )


RUN = """
import json, sys
from kfp_bayesopt.cli.main import cli
for command in ("status", "results", "cancel"):
    try:
        cli([command, *json.loads(sys.argv[1])], standalone_mode=False)
    except Exception as error:
        print(type(error).__name__, error)  # there are no results, and what has ended cannot be cancelled
print(json.dumps(sorted(sys.modules)))
"""


def test_looking_after_a_job_imports_the_client_of_its_target_alone(
    service: list[str], images: Path, bucket: str
) -> None:
    job = _submit(images, *service, "--pipeline-root", bucket)
    command = [sys.executable, "-W", "ignore", "-c", RUN, json.dumps([job, *service])]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    *printed, modules = ended.stdout.splitlines()
    assert printed[0].startswith(f"{job}: ")
    assert printed[1].startswith("0 of 16 trials have records; folder gs://")
    assert printed[2].startswith(f"UserError job {job}: no results")
    imported = set(json.loads(modules))
    assert f"kfp_bayesopt_pipeline.places.{service[1]}" in imported
    assert imported & CLIENTS[service[1]], "it is what imports look like"
    others = set().union(*(clients for name, clients in CLIENTS.items() if name != service[1]))
    assert imported.isdisjoint(others)


# --- following and waiting ---------------------------------------------------------------------


class Scripted:
    """A target whose jobs go through given states. None is a service that does not answer; errors are raised."""

    name = "scripted"
    final = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})

    def __init__(self, *script: States | UserError | None, root: str = "") -> None:
        self._script = list(script)
        self._root = root

    def problems(self, study: Study | None, images: Images, options: Options) -> list[str]:
        """Find nothing wrong."""
        return []

    def unreached(self, root: str) -> str | None:
        """Reach every folder."""
        return None

    def jobs_of(self, root: str) -> dict[str, bool]:
        """Know no other job."""
        return {}

    def submit(
        self, study: Study, job: str, root: str, compiled: Path, options: Options, along: Mapping[str, str]
    ) -> Submitted:
        """Name the only job."""
        return Submitted(id="job-1", page="http://127.0.0.1/job-1")

    def find(self, job: str) -> States:
        """Go on to the next state; the last one stays."""
        found = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if found is None:
            raise NoAnswerError(f"job {job}: no answer")
        if isinstance(found, UserError):
            raise found
        return found

    def cancel(self, found: States) -> None:
        """Leave the script as it is."""

    def states(self, found: States) -> States:
        """Return what was found."""
        return found

    def reason(self, found: States) -> str:
        """Return a reason."""
        return "out of memory"

    def remarks(self, found: States) -> list[str]:
        """Return nothing."""
        return []

    def inputs(self, found: States) -> Inputs:
        """Return the study folder, if there is one."""
        if not self._root:
            raise UserError("job job-1: has no study folder")
        return Inputs(self._root, "job-1")


def _untimed(lines: Iterator[str]) -> list[str]:
    return [line.partition("  ")[2] for line in lines]


def test_each_change_of_a_state_is_one_line_and_trials_of_an_iteration_are_counted() -> None:
    trials = [("evaluate", "SUCCEEDED"), ("evaluate", "SUCCEEDED"), ("evaluate", "SUCCEEDED")]
    target = Scripted(
        States("RUNNING", [("init", "RUNNING")]),
        States("RUNNING", [("init", "RUNNING")]),
        States("RUNNING", [("init", "SUCCEEDED"), *trials, ("evaluate", "FAILED")]),
        States("SUCCEEDED", [("init", "SUCCEEDED"), *trials, ("evaluate", "FAILED")]),
    )
    assert _untimed(jobs.follow(target, "job-1", 0)) == [
        "init: RUNNING",
        "job-1: RUNNING",
        "init: SUCCEEDED",
        "evaluate: 1 FAILED, 3 SUCCEEDED",
        "job-1: SUCCEEDED",
    ]


def test_a_service_may_be_silent_for_a_while() -> None:
    silence = [None] * jobs.MAX_SILENT_POLLS
    target = Scripted(States("RUNNING", []), *silence, States("RUNNING", []), *silence, States("SUCCEEDED", []))
    assert _untimed(jobs.follow(target, "job-1", 0)) == [
        "job-1: RUNNING",
        "job job-1: no answer; trying again",
        "job job-1: no answer; trying again",
        "job-1: SUCCEEDED",
    ]


def test_a_token_that_expires_while_it_waits_stops_no_job(tmp_path: Path) -> None:
    refused = RefusedError("job job-1: the credentials were refused")
    with pytest.raises(RefusedError) as raised:
        list(jobs.wait(Scripted(States("RUNNING", []), refused), "job-1", tmp_path, 0))
    assert raised.value.message == (
        "job job-1: the credentials were refused; the job goes on: `make status TARGET=scripted JOB=job-1`"
    )


def test_a_service_that_stays_silent_is_given_up_and_the_job_goes_on(tmp_path: Path) -> None:
    waiting = jobs.wait(Scripted(States("RUNNING", []), None), "job-1", tmp_path, 0)
    told = []
    with pytest.raises(NoAnswerError) as raised:
        told += list(waiting)
    assert raised.value.message == ("job job-1: no answer; the job goes on: `make status TARGET=scripted JOB=job-1`")


@pytest.mark.parametrize(("state", "why"), [("FAILED", "FAILED: out of memory"), ("STOPPED", "STOPPED")])
def test_waiting_for_a_job_that_does_not_succeed_is_an_error(tmp_path: Path, state: str, why: str) -> None:
    with pytest.raises(UserError) as raised:
        list(jobs.wait(Scripted(States(state, [])), "job-1", tmp_path, 0))
    assert raised.value.message == (f"job job-1: {why}; `make results TARGET=scripted JOB=job-1` fetches what is there")


def test_the_reason_of_a_failed_job_is_what_a_step_has_written(tmp_path: Path) -> None:
    end(str(tmp_path), "job-1", "failed", "5 of 16 trials have failed", "update")
    failed = Scripted(States("FAILED", []), root=str(tmp_path))
    assert jobs.verdict(failed, failed.find("job-1")) == "FAILED: 5 of 16 trials have failed"


def test_a_job_that_failed_after_its_study_had_ended_has_the_reason_of_the_service(tmp_path: Path) -> None:
    end(str(tmp_path), "job-1", "succeeded", None, "report")
    failed = Scripted(States("FAILED", []), root=str(tmp_path))
    assert jobs.verdict(failed, failed.find("job-1")) == "FAILED: out of memory"


def _finished(root: Path | str, *values: float | None) -> None:
    study = a_study()
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}] * len(values))
    records = [a_record(study, trial, value) for trial, value in enumerate(values, 1)]
    publish(write_folder(root, study, batch, records), records)


def test_the_results_that_are_there_are_fetched(tmp_path: Path) -> None:
    _finished(tmp_path / "study", 0.5)
    there = sorted(name for name in RESULTS if (tmp_path / "study" / name).exists())
    assert there
    done = Scripted(States("SUCCEEDED", []), root=str(tmp_path / "study"))
    assert len(list(jobs.wait(done, "job-1", tmp_path / "out", 0))) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == there

    (tmp_path / "study" / "summary.md").unlink()  # one that is written last may not be there yet
    assert len(jobs.fetch(done, "job-1", done.find("job-1"), tmp_path / "fewer")) == len(there) - 1


def test_results_are_written_all_or_not_at_all(tmp_path: Path) -> None:
    _finished(tmp_path / "study", 0.5)
    (tmp_path / "study" / "summary.md").unlink()
    (tmp_path / "study" / "summary.md").mkdir()  # it cannot be read
    damaged = Scripted(States("SUCCEEDED", []), root=str(tmp_path / "study"))
    with pytest.raises(UserError, match=r"summary\.md: expected a file, but it is a folder"):
        list(jobs.wait(damaged, "job-1", tmp_path / "none", 0))
    assert not (tmp_path / "none").exists()


def test_results_without_a_completed_trial_are_an_error_in_one_sentence(
    images: Path, bucket: str, tmp_path: Path
) -> None:
    cluster, where = _kfp(tmp_path)
    assert isinstance(cluster, KfpStandIn)
    where = ["--target", "kfp", *where]
    try:
        job = _submit(images, *where, "--pipeline-root", f"{bucket}/failing")
        root = cluster.runs[0]["runtime_config"]["parameters"]["root"]
        _finished(root, None)
        ended: Result = CliRunner().invoke(results, [job, *where, "--out", str(tmp_path / "out")])
    finally:
        cluster.stop()
    assert ended.exit_code == 1
    assert ended.output.endswith(
        f"Error: {tmp_path}/out: no trial has completed (1 failed); failures.json has the reasons\n"
    )


# --- another job of the same folder ------------------------------------------------------------


def _job(place: str = "scripted") -> Job:
    study = a_study()
    return Job(
        study=study.name, fingerprint=study.fingerprint, job="job-1", study_file="study/0.yaml", place=place,
        submitted="2026-01-01T00:00:00+00:00", by="ann@elsewhere",
    )  # fmt: skip


@pytest.mark.parametrize(("state", "runs"), [("RUNNING", True), ("SUCCEEDED", False), ("STOPPED", False)])
def test_a_target_says_whether_a_job_of_its_own_runs(tmp_path: Path, state: str, runs: bool) -> None:
    assert jobs.asks(Scripted(States(state, [])), str(tmp_path))(_job()) is runs


def test_of_a_job_in_another_place_a_target_does_not_know(tmp_path: Path) -> None:
    assert jobs.asks(Scripted(States("SUCCEEDED", [])), str(tmp_path))(_job("compose")) is None


def test_a_target_that_does_not_answer_is_no_reason_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(NoAnswerError):
        jobs.asks(Scripted(None), str(tmp_path))(_job())


def test_a_job_that_its_target_does_not_know_may_be_under_way(tmp_path: Path) -> None:
    class Ignorant(Scripted):
        def find(self, job: str) -> States:
            raise UserError(f"job {job}: not found")

    assert jobs.asks(Ignorant(), str(tmp_path))(_job()) is None


# --- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", TARGETS.values())
def test_every_field_of_the_settings_is_described(model: type[Settings]) -> None:
    described = model.described()
    assert list(described) == [field.name for field in dataclasses.fields(model)]
    assert all(isinstance(setting, Setting) for setting in described.values())
    assert all(setting.help.endswith(".") and setting.variable.isupper() for setting in described.values())
    assert all(setting.words for setting in described.values() if setting.rule != r"(?s).*")


@pytest.mark.parametrize("model", TARGETS.values())
@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_what_a_command_needs_and_what_is_malformed_is_said_at_once(model: type[Settings], command: str) -> None:
    good, lines = model.read({"experiment_name": "My experiment"}, command)
    assert good == model()
    needed = [name for name, setting in model.described().items() if command in setting.needed_by]
    assert {line.split()[0] for line in lines} == {"experiment_name:", *needed}
    assert "experiment_name: expected lower case letters, digits and hyphens, at most 128, but got 'My experiment'" in (
        lines
    )


def test_a_malformed_token_is_not_shown() -> None:
    _, lines = TARGETS["kfp"].read({"host": "http://127.0.0.1", "token": "se cret"}, "status")
    assert lines == ["token: expected one word without spaces"]


def test_an_option_of_another_target_is_a_usage_error() -> None:
    ended = CliRunner().invoke(status, ["job-1", "--host", "http://127.0.0.1"])
    assert ended.exit_code == 2
    assert "Error: --host is no setting of the target vertex; choose another --target" in ended.output


def test_settings_of_another_target_in_the_environment_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "Not a project")
    ended = CliRunner().invoke(status, ["--job", "job-1", "--target", "kfp"])
    assert ended.output == (
        "Error: host is missing; give KFP_HOST=, or set it in the environment or .env, or host in vertex_config.json\n"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON: EOF while parsing a value at line 1 column 0; an example is"),
        (b"\xff", "not UTF-8 text; save it as UTF-8"),
        ('{"region": "a"}'.encode("utf-16"), "not UTF-8 text; save it as UTF-8"),
        (b"[" * 100_000, "not valid JSON: recursion limit exceeded at line 1 column 2"),
        (b"1" * 5000, "not valid JSON: number out of range at line 1 column 430"),
        (b'{"region": "a", "region": "b"}', "not valid JSON: duplicate key 'region'"),
        (b'{"region": NaN}', "not valid JSON: expected value at line 1 column 12"),
        (b"[]", 'must be an object, but got []; an example is {"region": "europe-west1"}'),
    ],
)
def test_a_configuration_that_cannot_be_read_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_config(path, ["region"])
    assert raised.value.message.startswith(f"{path}: {message}")


def test_a_configuration_may_begin_as_windows_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b'\xef\xbb\xbf{"region": "a"}\r\n')
    assert read_config(path, ["region"]) == ({"region": "a"}, [])


def test_a_setting_is_one_line_of_ascii_digits_where_it_has_some() -> None:
    given = {"region": "europe-west\u0661", "credentials_path": "key\x1b[2J.json"}
    _, lines = VertexSettings.read(given, "")
    assert lines == [
        "credentials_path: expected text without control characters, but got 'key\\x1b[2J.json'",
        "region: expected a region, such as europe-west1, but got 'europe-west\u0661'",
    ]


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = dict(os.environ)
    monkeypatch.delenv("FROM_FILE", raising=False)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("no_variables")
def test_the_variables_of_a_file_are_taken_and_its_other_lines_named(
    tmp_path: Path,
) -> None:
    path = tmp_path / ".env"
    warnings: list[str] = []
    path.write_bytes(b"\xef\xbb\xbfFROM_FILE=mine\r\nPATH=/nowhere\nno variable at all\n")
    load_env(path, warnings.append)
    assert os.environ["FROM_FILE"] == "mine"
    assert os.environ["PATH"] != "/nowhere", "what the environment has goes first"
    assert warnings == [f"{path}: left out what is no NAME=value: line 3"]


@pytest.mark.usefixtures("no_variables")
def test_the_variables_of_a_repository_count_in_its_folders_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".env").write_text("FROM_FILE=the repository's\n")
    (tmp_path / "models" / ".env").mkdir(parents=True)  # an environment of Python
    monkeypatch.chdir(tmp_path / "models")
    load_env()
    assert os.environ["FROM_FILE"] == "the repository's"


@pytest.mark.usefixtures("no_variables")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "not UTF-8 text; save it as UTF-8, or move it away"),
        (b"A=\x00b\n", "A: cannot be a variable: embedded null byte; correct it"),
        (
            b"A=xxxxxxxxxx\n" + b"".join(b"A%d=${A}${A}\nA=${A%d}\n" % (n, n) for n in range(40)),
            "refers to other variables with ${…} more than 20 times",
        ),
        (b"x" * 100_001, "has 100,001 bytes, but at most 100,000 are read"),
    ],
)
def test_a_file_of_variables_that_cannot_be_taken_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / ".env"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        load_env(path)
    assert raised.value.message.startswith(f"{path}: {message}")


def test_a_folder_called_as_the_file_of_variables_is_none(tmp_path: Path) -> None:
    load_env(tmp_path)


def test_every_wrong_key_of_a_configuration_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"region": 1, "regoin": "x", "host": null, "zzz": "", "pipeline_root": "gs://b"}')
    values, lines = read_config(path, ["region", "host", "pipeline_root"])
    assert values == {"pipeline_root": "gs://b"}
    assert lines == [
        f"{path}: region: must be a string, but got 1",
        f"{path}: unknown key 'regoin'; did you mean 'region'?",
        f"{path}: unknown key 'zzz'; known keys: region, host, pipeline_root",
    ]


@pytest.mark.parametrize("command", [status, cancel, results])
def test_a_region_that_vertex_does_not_have_is_said(command: object) -> None:
    ended = CliRunner().invoke(command, ["job-1", "--project-id", "my-project", "--region", "europe-north9"])  # type: ignore[arg-type]
    assert ended.exit_code == 1
    assert ended.output == "Error: region: Vertex AI has no region 'europe-north9'; did you mean 'europe-north2'?\n"


def test_a_region_that_vertex_does_not_have_is_said_before_anything_is_sent(images: Path, bucket: str) -> None:
    where = ["--project-id", "my-project", "--region", "europe-north9", "--endpoint", "http://127.0.0.1:1"]
    ended = CliRunner().invoke(
        submit, ["studies/branin.yaml", "--images", str(images), "--pipeline-root", bucket, *where]
    )
    assert ended.exit_code == 1
    assert ended.output == (
        "Error: nothing was submitted:\n"
        "  region: Vertex AI has no region 'europe-north9'; did you mean 'europe-north2'?\n"
    )


@pytest.mark.parametrize("command", [status, cancel, results])
def test_a_service_that_cannot_be_reached_is_said(command: object) -> None:
    where = ["--project-id", "my-project", "--region", "europe-west1", "--endpoint", "http://127.0.0.1:1"]
    ended = CliRunner().invoke(command, ["job-1", *where])  # type: ignore[arg-type]
    assert ended.exit_code == 1
    assert ended.output == (
        "Error: cannot reach http://127.0.0.1:1: [Errno 111] Connection refused; check the network, the proxy "
        "(HTTPS_PROXY), and the region or host\n"
    )


def test_a_name_that_no_job_can_have_is_said() -> None:
    vertex, where = _vertex(Path())
    try:
        ended = CliRunner().invoke(status, ["--job", "no job!", *where])
    finally:
        vertex.stop()
    assert ended.exit_code == 1
    assert ended.output == "Error: job no job!: not the id of a job, such as branin-20260101-120000\n"
