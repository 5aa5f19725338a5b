"""What an objective finds: its Python, its folder, its variables; and what is kept of what it leaves."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.store import secret_manager, storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.attempt import run_trial
from kfp_bayesopt.trial.evaluation import run_objective, seed_of
from kfp_bayesopt.trial.process import interpreters
from kfp_bayesopt.trial.process.interpreters import environment_of, python_of
from kfp_bayesopt.trial.process.output import Output
from kfp_bayesopt.trial.process.sessions import Sessions
from tests import ROOT
from tests.builders import X, a_study, a_suggestion, write_folder, write_study

SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}


def trial(folder: Path, code: str = "", environment: dict[str, str] | None = None, **changes: Any) -> Record:
    study = Study.from_file(str(write_study(folder, code, **{"space": SPACE, **changes})))
    suggestion = a_suggestion(study, 1, {"x": 2.5})
    with Sessions() as sessions:
        return run_objective(study, suggestion, 1, folder, sessions, Output(), environment)


def shell(code: str, **objective: Any) -> dict[str, Any]:
    return {"objective": {"command": ["sh", "-c", code, "{x}"], **objective}}


def error_of(record: Record) -> str:
    assert record.reason is not None
    return record.reason.message


# --- its Python --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment of a person, with a package that ours has not."""
    folder = tmp_path_factory.mktemp("person") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "theirs.py").write_text("VALUE = 7\n")
    return folder


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_a_function_runs_in_the_environment_that_the_person_is_in(tmp_path: Path, person: Path, variable: str) -> None:
    code = "import sys, theirs\ndef objective(x): print(sys.prefix); return theirs.VALUE\n"
    record = trial(tmp_path, code, {"PATH": os.environ["PATH"], variable: str(person)})
    assert record.value == 7.0
    said = error_of(trial(tmp_path, "import nowhere\ndef objective(x): return 1\n", {variable: str(person)}))
    assert said.endswith(f"or install it: {person}/bin/python -m pip install nowhere")


def test_the_base_of_conda_is_not_where_a_person_works_and_without_any_it_is_ours(person: Path) -> None:
    assert python_of({"CONDA_PREFIX": str(person), "CONDA_DEFAULT_ENV": "base"}) == sys.executable
    assert python_of({"VIRTUAL_ENV": "/nowhere"}) == sys.executable
    assert python_of({}) == sys.executable


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    """What stands in for it fails as an old one does: it cannot parse what calls the function."""
    python = tmp_path / "old" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\n[ "$1" != -c ] || { echo True; exit; }\necho SyntaxError >&2; exit 1\n')
    python.chmod(0o755)
    record = trial(tmp_path, "def objective(x): return x", {"VIRTUAL_ENV": str(tmp_path / "old")})
    assert error_of(record) == f"objective.python: {python} is older than 3.8; give a newer one, or a command"


def test_in_an_image_it_is_the_first_python_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "is_image", lambda: True)
    assert python_of({"PATH": str(tmp_path)}) is None
    (tmp_path / "python3").symlink_to(sys.executable)
    assert python_of({"PATH": str(tmp_path)}) == str(tmp_path / "python3")
    (tmp_path / "python").symlink_to(sys.executable)
    assert python_of({"PATH": str(tmp_path)}) == str(tmp_path / "python")
    said = error_of(trial(tmp_path / "study", "def objective(x): return x", {"PATH": "/nowhere"}))
    assert said.startswith("objective.python: there is no python in the image, neither `python` nor `python3`")


def test_the_objective_gets_back_what_was_put_away_for_our_process() -> None:
    ours = {"A": "1", "LD_PRELOAD": "ours", "BAYESOPT_KEPT_LD_PRELOAD": "theirs", "BAYESOPT_KEPT_PYTHONPATH": ""}
    assert environment_of(ours) == {"A": "1", "LD_PRELOAD": "theirs", "PYTHONPATH": ""}


@pytest.mark.parametrize("how", ["command", "function"])
def test_what_our_process_reaches_a_store_by_is_not_seen_by_an_objective(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor in the process that starts a command, whose variables any process of the same user can read."""
    for name in ("BAYESOPT_STORE_SECRET_KEY", "BAYESOPT_CA_BUNDLE"):
        monkeypatch.setenv(name, "ours")
    monkeypatch.setenv("AWS_REGION", "theirs")
    code = (
        "import os\nfrom pathlib import Path\n"
        "def f(x=0):\n"
        "    parent = Path(f'/proc/{os.getppid()}/environ').read_text() if x == 0 else ''\n"
        "    seen = [*os.environ, *parent.split(chr(0))]\n"
        "    assert os.environ['AWS_REGION'] == 'theirs'\n"
        "    assert not [each for each in seen if each.startswith(('BAYESOPT_STORE_', 'BAYESOPT_CA_BUNDLE'))]\n"
        "    return 1\n"
        "if __name__ == '__main__': print(f())\n"
    )
    (tmp_path / "mine.py").write_text(code)
    objective = {"python": "mine:f"} if how == "function" else {"command": [sys.executable, "mine.py", "{x}"]}
    record = trial(tmp_path, objective=objective)
    assert record.value == 1, record.reason


@pytest.mark.parametrize("name", ["main", "evaluation", "output", "caller", "kfp_bayesopt", "images", "click"])
def test_a_module_of_the_person_may_have_a_name_of_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("def f(x): return x + 1\n")
    assert trial(tmp_path, objective={"python": f"{name}:f"}).value == 3.5


def test_the_caller_needs_no_newer_python_than_3_8() -> None:
    """Vermin knows what each version of the language and the standard library has."""
    ended = subprocess.run(
        [
            str(Path(sys.executable).with_name("vermin")),
            "--no-tips",
            "-t=3.8-",
            "--violations",
            "images/common/kfp_bayesopt/trial/process/caller.py",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout


# --- its folder --------------------------------------------------------------------------------


def test_trials_at_the_same_time_keep_their_files_apart_and_leave_none(tmp_path: Path) -> None:
    code = (
        'echo "{{\\"acc\\": $BAYESOPT_TRIAL}}" >"$BAYESOPT_TRIAL_FOLDER/m.json"; sleep 0.5; '
        "echo $BAYESOPT_TRIAL_FOLDER >>folders"
    )
    changes = shell(code, value={"source": "file", "path": "m.json", "name": "acc"})
    study = Study.from_file(str(write_study(tmp_path, space=SPACE, **changes)))

    def evaluate_one(number: int) -> Record:
        with Sessions() as sessions:
            return run_objective(study, a_suggestion(study, number, {"x": 2.5}), 1, tmp_path, sessions, Output())

    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(evaluate_one, range(1, 9)))
    assert [record.value for record in records] == [float(number) for number in range(1, 9)]
    folders = (tmp_path / "folders").read_text().split()
    assert len(set(folders)) == 8
    assert not any(Path(folder).exists() for folder in folders)


def test_a_seed_is_the_same_in_every_attempt_and_another_one_in_every_trial(tmp_path: Path) -> None:
    study = a_study(space=SPACE)
    seeds = [seed_of(study, number) for number in range(1, 100)]
    assert len(set(seeds)) == 99
    assert all(0 <= seed < 2**31 for seed in seeds)
    record = trial(tmp_path, **shell("echo $BAYESOPT_SEED"))
    assert record.value == seed_of(Study.from_file(str(tmp_path / "study.yaml")), 1)


def test_parameters_in_a_file_are_for_the_user_alone(tmp_path: Path) -> None:
    objective = {"command": ["stat", "-c", "%a", "{parameters_file}"], "args": "json-file"}
    assert trial(tmp_path, objective=objective).value == 600.0


@pytest.mark.parametrize("bucket_or_not", ["bucket", "local"])
def test_what_a_trial_writes_to_its_output_is_kept_beside_its_record(
    tmp_path: Path, request: pytest.FixtureRequest, bucket_or_not: str
) -> None:
    root = request.getfixturevalue("bucket") + "/s" if bucket_or_not == "bucket" else str(tmp_path / "out")
    code = 'cd "$BAYESOPT_OUTPUT" && mkdir a && echo m >a/model && ln -s /etc/passwd b; echo 1'
    study = Study.from_file(str(write_study(tmp_path, space=SPACE, **shell(code))))
    folder: StudyFolder = write_folder(root, study, [a_suggestion(study, 1, {"x": 2.5})])
    with Sessions() as sessions:
        record = run_trial(folder, 1, tmp_path, sessions)
    assert record is not None
    assert record.value == 1.0
    assert storage.read(f"{folder.output_uri(1, 1)}/a/model", limit=100) == b"m\n"
    assert folder.read().ledger == [record]


# --- its variables -----------------------------------------------------------------------------


class Secrets(BaseHTTPRequestHandler):
    """Answers as Secret Manager does; the first time it is not there."""

    asked: list[str]

    def do_GET(self) -> None:
        """Give the secret `key`."""
        self.asked.append(self.path)
        status = 503 if len(self.asked) == 1 else 200 if "/key/" in self.path else 403
        self.send_response(status)
        self.end_headers()
        if status == 200:
            data = base64.b64encode(b"top-secret").decode()
            self.wfile.write(json.dumps({"name": self.path, "payload": {"data": data}}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield what is asked of a stand-in for Secret Manager."""
    from google.auth.credentials import AnonymousCredentials

    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Secrets,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(secret_manager, "SERVICE", f"http://127.0.0.1:{server.server_port}/v1")
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    monkeypatch.setattr("google.auth.default", lambda **_: (credentials, None))
    yield asked
    server.shutdown()
    server.server_close()


def test_a_secret_is_given_to_the_objective_alone_and_shown_nowhere(
    tmp_path: Path, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "p@ssword")
    env = {
        "KEY": {"secret": "projects/p/secrets/key/versions/1"},
        "TOKEN": {"from_environment": "MINE"},
        "MODE": "fast",
    }
    code = 'echo "$MODE $KEY"; printf %s "$TOKEN" | base64; echo "no $TOKEN" >&2; exit 3'
    study = Study.from_file(str(write_study(tmp_path, space=SPACE, **shell(code, env=env))))
    folder = write_folder(str(tmp_path / "out"), study, [a_suggestion(study, 1, {"x": 2.5})])
    with Sessions() as sessions:
        record = run_trial(folder, 1, tmp_path, sessions)
    assert record is not None
    assert error_of(record) == "sh exited 3: no ***"
    assert Path(folder.log_uri(1, 1)).read_text() == "fast ***\n***\nno ***\n"
    assert secrets == ["/v1/projects/p/secrets/key/versions/1:access"] * 2, "the first answer was 503"
    stored = "".join(path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert "p@ssword" not in stored
    assert "top-secret" not in stored


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        (
            {"from_environment": "NOT_SET"},
            "objective.env.A: the variable NOT_SET is not set where the trial is evaluated; export it, or give it to "
            "the "
            "container",
        ),
        (
            {"from_environment": "SHORT"},
            "objective.env.A: a secret must have at least 4 characters, so that it can be hidden in what is printed, "
            "but "
            "got 1; give a public value as text, or say secret: false",
        ),
        (
            {"secret": "projects/p/secrets/other/versions/1"},
            "objective.env.A: cannot fetch the secret projects/p/secrets/other/versions/1: status 403; grant "
            "roles/secretmanager.secretAccessor to the account that the trials run as",
        ),
    ],
)
@pytest.mark.usefixtures("secrets")
def test_a_variable_that_is_not_there_is_a_mistake_that_the_next_run_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: dict[str, str], said: str
) -> None:
    monkeypatch.setenv("SHORT", "x")
    record = trial(tmp_path, **shell("echo 1", env={"A": variable}))
    assert (error_of(record), record.is_final) == (said, False)


@pytest.mark.parametrize(
    ("value", "code", "values"),
    [
        ("loss", "echo 'acc=0.2026 loss=0.22026'", {"value": 0.22026, "loss": 0.22026, "acc": 0.2026}),
        ({"source": "pattern", "pattern": r"loss is (\S+)"}, "echo loss is 0.22026", {"value": 0.22026}),
        (None, "echo 0.22026", {"value": 0.22026}),
        (
            {"source": "file", "path": "m.json", "name": "loss"},
            """echo '{{"loss": 0.22026}}' > "$BAYESOPT_TRIAL_FOLDER/m.json\"""",
            {"value": 0.22026, "loss": 0.22026},
        ),
    ],
    ids=str,
)
def test_a_value_is_read_before_anything_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any, code: str, values: dict[str, float]
) -> None:
    for name, secret in (("PORT", "2026"), ("MODE", "loss")):
        monkeypatch.setenv(name, secret)
    env = {name: {"from_environment": name} for name in ("PORT", "MODE")}
    assert trial(tmp_path, **shell(code, env=env, value=value)).values == values


def test_the_steps_of_a_curve_are_read_before_anything_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "2026")
    asked = {"name": "loss", "step": "epoch"}
    for number, intermediate in enumerate([asked, {"pattern": r"epoch=(?P<step>\S+) loss=(?P<value>\S+)"}]):
        objective = shell(
            "echo epoch=12026 loss=0.22026; echo 1",
            env={"PORT": {"from_environment": "PORT"}},
            value={"source": "intermediate"},
            intermediate=intermediate,
        )
        (folder := tmp_path / str(number)).mkdir()
        study = Study.from_file(str(write_study(folder, space=SPACE, **objective)))
        found = write_folder(str(folder / "out"), study, [a_suggestion(study, 1, {"x": 2.5})])
        with Sessions() as sessions:
            record = run_trial(found, 1, folder, sessions)
        assert record is not None
        assert record.steps is not None
        assert (record.steps.last, record.values) == (12026, {"value": 0.22026})
        assert Path(found.log_uri(1, 1)).read_text() == "epoch=1*** loss=0.2***\n1\n"


def test_a_metric_that_nobody_asked_for_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "top-secret")
    monkeypatch.setenv("PIN", "48213")
    env = {name: {"from_environment": name} for name in ("TOKEN", "PIN")}
    record = trial(tmp_path, **shell("echo 'loss=1 top-secret=2 pin=48213 n=148213'", env=env, value="loss"))
    assert record.values == {"value": 1.0, "loss": 1.0, "n": 148213.0}


def test_a_text_that_is_no_number_is_masked_in_the_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "top-secret" * 10)
    env = {"TOKEN": {"from_environment": "TOKEN"}}
    for code, value in (("echo $TOKEN", None), ("echo loss=1$TOKEN", "loss")):
        said = error_of(trial(tmp_path, **shell(code, env=env, value=value)))
        assert "***" in said
        assert "top" not in said


def test_what_is_no_secret_is_shown_and_may_be_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "80")
    env = {"PORT": {"from_environment": "PORT", "secret": False}}
    study = Study.from_file(str(write_study(tmp_path, space=SPACE, **shell("echo port $PORT; echo 1", env=env))))
    folder = write_folder(str(tmp_path / "out"), study, [a_suggestion(study, 1, {"x": 2.5})])
    with Sessions() as sessions:
        record = run_trial(folder, 1, tmp_path, sessions)
    assert record is not None
    assert record.values == {"value": 1.0}
    assert Path(folder.log_uri(1, 1)).read_text() == "port 80\n1\n"


# --- what it says ------------------------------------------------------------------------------


def test_metrics_are_found_in_a_hundred_megabytes_without_an_end_and_beside_what_is_no_text(tmp_path: Path) -> None:
    code = "printf 'acc=0.5 '; head -c 100000000 /dev/zero | tr '\\0' a; printf '\\n\\377\\0acc=0.75\\n' >&2"
    record = trial(tmp_path, **shell(code, value="acc"))
    assert record.values == {"value": 0.75, "acc": 0.75}


def test_a_function_returns_metrics_by_name_or_prints_them(tmp_path: Path) -> None:
    returned = "{'acc': numpy.float32(0.5), 'm': numpy.ma.masked}"
    code = f"import numpy\ndef objective(x): print('loss=3'); return {returned}\n"
    named = {"python": "mine:objective", "value": "acc"}
    assert trial(tmp_path, code, objective=named).values == {"value": 0.5, "acc": 0.5}
    printed = {"python": "mine:objective", "value": {"source": "printed", "name": "loss"}}
    assert trial(tmp_path, code, objective=printed).values == {"value": 3.0, "loss": 3.0}


def test_a_function_takes_one_dict(tmp_path: Path) -> None:
    code = "def objective(parameters): return parameters['x']\n"
    objective = {"python": "mine:objective", "args": "dict"}
    assert trial(tmp_path, code, objective=objective).value == 2.5
    said = error_of(trial(tmp_path, "def objective(): pass\n", objective=objective))
    assert said.startswith("objective.python: cannot call mine:objective() with one dict (objective.args: dict): ")


@pytest.mark.parametrize(
    ("mode", "content", "said"),
    [
        (
            0o644,
            "#!/bin/sh\n",
            "Permission denied; it may not be run: `chmod +x ./run`, or name its interpreter: [python, ./run]",
        ),
        (0o755, "#!/no/such\n", "No such file or directory; the program that its first line names (#!) is missing"),
        (0o755, "\x7fELF", "Exec format error; it has no first line such as #!/bin/sh, or is of another processor"),
    ],
)
def test_a_script_that_cannot_be_run_is_a_mistake_with_the_way_out(
    tmp_path: Path, mode: int, content: str, said: str
) -> None:
    (tmp_path / "run").write_text(content)
    (tmp_path / "run").chmod(mode)
    record = trial(tmp_path, objective={"command": ["./run", "{x}"]})
    assert error_of(record) == f"objective.command: cannot run './run': {said}"
    assert not record.is_final
    missing = error_of(trial(tmp_path, objective={"command": ["run", "{x}"]}, environment={"PATH": "/bin"}))
    assert missing.endswith(f"No such file or directory; it is in {tmp_path}, so write './run'")


def test_a_negative_number_that_is_taken_for_an_option_shows_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--x')\np.parse_args()\n"
    )
    study = Study.from_file(
        str(write_study(tmp_path, space={"x": X}, objective={"command": [sys.executable, "t.py", "--x", "{x}"]}))
    )
    with Sessions() as sessions:
        record = run_objective(study, a_suggestion(study, 1, {"x": -1e-05}), 1, tmp_path, sessions, Output())
    assert error_of(record) == (
        f"{sys.executable} exited 2: t.py: error: argument --x: expected one argument; x begins with a -: write "
        "--x={x} in one word, or use args: flags"
    )
