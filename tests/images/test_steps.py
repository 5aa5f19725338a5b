"""The programs of the three steps: options, help, exit status, and the whole chain through a fake Cloud Storage."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from bayesopt import copy, gcs, steps, storage
from bayesopt.study_file import load_study
from bayesopt.trials import read_batch, read_ledger, read_record
from pipeline import COMMON, ROOT
from pipeline.chain import Chain
from tests.builders import records_of, study_text, write_study
from tests.ledgers import comparable

STEPS: dict[str, click.Command] = {step: importlib.import_module(f"images.{step}.main").main for step in steps.STEPS}
COMMANDS = {**STEPS, "copy": copy.main}


def call(step: str, arguments: list[str]) -> Result:
    return CliRunner().invoke(COMMANDS[step], arguments, prog_name="main.py")


def succeed(step: str, arguments: list[str]) -> None:
    result = call(step, arguments)
    assert result.exit_code == 0, result.output


def failure(step: str, arguments: list[str]) -> str:
    """Call a step that must fail by a mistake of the user; return the one message."""
    result = call(step, arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    return result.stderr.removeprefix("Error: ").rstrip("\n")


# --- the chain ---------------------------------------------------------------------------------


def run_chain(study_uri: str, root: str) -> Chain:
    """Call the steps of a 2 x 2 study one after another, the second trial of a batch first."""
    chain = Chain(study_uri, root)
    succeed("init", chain.init())
    for iteration in (1, 2):
        for index in (1, 0):
            succeed("evaluate", chain.evaluate(iteration, index))
        succeed("update", chain.update(iteration, 2))
    return chain


def test_the_chain_runs_on_cloud_storage_as_on_local_files(bucket: str, tmp_path: Path) -> None:
    storage.write(f"{bucket}/chain/study.yaml", study_text())
    (tmp_path / "study.yaml").write_bytes(study_text())
    there = run_chain(f"{bucket}/chain/study.yaml", f"{bucket}/chain")
    here = run_chain(str(tmp_path / "study.yaml"), str(tmp_path))
    assert comparable(storage.read(there.ledger(2))) == comparable(storage.read(here.ledger(2)))
    assert storage.read(there.best(2)) == storage.read(here.best(2))
    assert storage.read(there.suggestions(1)) == storage.read(here.suggestions(1))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Return a chain that has run on local files."""
    folder = tmp_path_factory.mktemp("chain")
    (folder / "study.yaml").write_bytes(study_text())
    return run_chain(str(folder / "study.yaml"), str(folder))


def replaced(arguments: list[str], **options: str) -> list[str]:
    """Return the arguments with other values of some options."""
    arguments = list(arguments)
    for name, value in options.items():
        arguments[arguments.index("--" + name.replace("_", "-")) + 1] = value
    return arguments


def elsewhere(folder: Path, arguments: list[str]) -> list[str]:
    """Return the arguments with every output in another folder."""
    outputs = {
        part[2:]: str(folder / part[2:]) for part in arguments if part.startswith("--") and part.endswith("-out")
    }
    return replaced(arguments, **outputs)


def test_nothing_is_proposed_after_the_last_iteration(done: Chain) -> None:
    study = load_study(done.study)
    assert read_batch(done.suggestions(1), study).iteration == 2
    assert read_batch(done.suggestions(2), study).suggestions == []
    assert [record.trial for record in read_ledger(done.ledger(2), study)] == [1, 2, 3, 4]


def test_the_best_trial_is_that_of_the_ledger(done: Chain) -> None:
    best = json.loads(storage.read(done.best(2)))
    values = {record.trial: record.value for record in read_ledger(done.ledger(2), load_study(done.study))}
    assert best["value"] == values[best["trial"]] == min(value for value in values.values() if value is not None)


def test_a_step_that_is_run_again_writes_the_same_bytes(done: Chain, tmp_path: Path) -> None:
    for step, arguments in (("init", done.init()), ("update", done.update(1, 2))):
        again = elsewhere(tmp_path / step, arguments)
        succeed(step, again)
        for name in [part for part in arguments if part.endswith("-out")]:
            first, second = (storage.read(given[given.index(name) + 1]) for given in (arguments, again))
            assert first == second, name


def test_update_without_a_state_gives_the_same_suggestions(
    done: Chain, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    again = replaced(elsewhere(tmp_path, done.update(1, 2)), optimizer=str(tmp_path / "none"))
    succeed("update", again)
    assert (tmp_path / "suggestions-out").read_bytes() == storage.read(done.suggestions(1))
    assert f"{tmp_path}/none: optimizer state not used: " in caplog.text
    assert "; rebuilding it from 0 trials" in caplog.text


def test_an_empty_batch_passes_through_the_chain(done: Chain, tmp_path: Path) -> None:
    """A pipeline has as many containers as the study asks for, whether there are trials for them or not."""
    record = str(tmp_path / "record")
    succeed("evaluate", replaced(done.evaluate(3, 0), record_out=record))
    assert read_record(record, load_study(done.study)).state == "skipped"
    succeed("update", replaced(elsewhere(tmp_path, done.update(3, 1)), records=json.dumps([record])))
    assert (tmp_path / "ledger-out").read_bytes() == storage.read(done.ledger(2))
    assert (tmp_path / "best-out").read_bytes() == storage.read(done.best(2))


@pytest.mark.parametrize("changes", [{"iterations": 1}, {"stop": {"target": 1000.0}}])
def test_a_batch_that_a_changed_study_leaves_out_passes_through_the_chain(
    done: Chain, tmp_path: Path, changes: dict[str, Any]
) -> None:
    study = str(write_study(tmp_path, **changes))
    records = [str(tmp_path / f"record-{index}") for index in (0, 1)]
    if "iterations" in changes:
        for index, record in enumerate(records):
            succeed("evaluate", replaced(done.evaluate(2, index), study=study, record_out=record))
            assert read_record(record, load_study(study)).state == "skipped"
    else:
        records = []  # what evaluates the trials asks about the stop before it does
    given = replaced(elsewhere(tmp_path, done.update(2, 2)), study=study, records=json.dumps(records))
    succeed("update", given)
    assert (tmp_path / "ledger-out").read_bytes() == storage.read(done.ledger(1))
    ended = json.loads((tmp_path / "best-out").read_text())["ended"]
    assert ended.endswith("trials 3 to 4 were proposed, but not evaluated")
    assert read_batch(str(tmp_path / "suggestions-out"), load_study(study)).ended == ended


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_a_bad_study_is_one_message_and_nothing_is_written(done: Chain, step: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(study_text(iterations=0))
    arguments = {"init": done.init(), "evaluate": done.evaluate(1, 0), "update": done.update(1, 2)}[step]
    outputs = tmp_path / "outputs"
    given = replaced(elsewhere(outputs, arguments), study=str(tmp_path / "bad.yaml"))
    rule = "iterations: must be greater than or equal to 1, but got 0"
    assert failure(step, given) == f"{tmp_path}/bad.yaml: {rule}"
    assert not outputs.exists()


@pytest.mark.parametrize(
    ("option", "content", "rule"),
    [
        ("suggestions", "{", "damaged batch of suggestions: "),
        ("ledger", '{"trial": 1}', "the last line is cut off; delete"),
        ("ledger", '{"trial": 1}\n', "damaged record: "),
    ],
)
def test_update_writes_nothing_when_its_input_is_bad(
    done: Chain, tmp_path: Path, option: str, content: str, rule: str
) -> None:
    (tmp_path / "bad").write_text(content)
    outputs = tmp_path / "outputs"
    given = replaced(elsewhere(outputs, done.update(1, 2)), **{option: str(tmp_path / "bad")})
    said = failure("update", given)
    assert said.startswith(f"{tmp_path}/bad")
    assert rule in said
    assert not outputs.exists()


def test_update_writes_nothing_when_a_record_is_missing(done: Chain, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    given = replaced(elsewhere(outputs, done.update(1, 2)), records=json.dumps([done.record(1, 0)]))
    assert failure("update", given).startswith("iteration 1: the record of trial 2 is missing")
    assert not outputs.exists()


def test_update_given_its_own_ledger_again_writes_nothing(done: Chain, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    given = replaced(elsewhere(outputs, done.update(1, 2)), ledger=done.ledger(1))
    assert failure("update", given).endswith("the ledger has 2 trials; give the ledger of the iterations before")
    assert not outputs.exists()


def test_too_many_failed_trials_stop_the_study_after_the_ledger_was_written(tmp_path: Path) -> None:
    study_path = write_study(tmp_path, max_failed_trials=1)
    study = load_study(str(study_path))
    chain = Chain(str(study_path), str(tmp_path))
    succeed("init", chain.init())
    batch = read_batch(chain.suggestions(0), study)
    for index, record in enumerate(records_of(study, batch, [None, None])):
        storage.write(chain.record(1, index), record.to_line().encode())
    assert failure("update", chain.update(1, 2)) == (
        "branin: at most 1 trials may fail (max_failed_trials), but 2 of 2 have; the errors are in the ledger "
        + chain.ledger(1)
    )
    assert len(read_ledger(chain.ledger(1), study)) == 2
    assert read_batch(chain.suggestions(1), study).suggestions == []


def test_a_missing_object_is_one_message(bucket: str) -> None:
    assert failure("init", Chain(f"{bucket}/no-study.yaml", f"{bucket}/x").init()) == (
        "gs://bucket/no-study.yaml: no such object"
    )


@pytest.mark.usefixtures("bucket")
def test_a_missing_bucket_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_bytes(study_text())
    assert failure("init", Chain(str(tmp_path / "study.yaml"), "gs://no-such-bucket/x").init()) == (
        "gs://no-such-bucket/x/init/optimizer.state: the bucket no-such-bucket does not exist; "
        "create it, or correct its name"
    )


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_service_that_stays_down_is_one_message(
    answering: Callable[[Callable[[BaseHTTPRequestHandler], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(lambda request: request.send_error(503))
    monkeypatch.setattr(gcs, "RETRY", gcs.RETRY.with_delay(initial=0.05).with_timeout(0.3))
    said = failure("init", Chain("gs://bucket/study.yaml", "gs://bucket/x").init())
    assert said.startswith("gs://bucket/study.yaml: no answer from Cloud Storage since ")
    assert said.endswith("; check the network, then run the same command again")


# --- the command lines -------------------------------------------------------------------------


@pytest.mark.parametrize("step", COMMANDS)
def test_the_example_of_the_help_is_a_command_line_of_the_step(step: str) -> None:
    """Every option that must be given is given, and there are no others."""
    shown = call(step, ["--help"])
    assert shown.exit_code == 0
    example = shown.output.partition("Example:\n")[2].partition("\n\n")[0].replace("\\\n", " ")
    program, *arguments = shlex.split(example)
    if step == "copy":
        assert [program, *arguments[:2]] == ["python", "-m", "bayesopt.copy"]
        arguments = arguments[2:]
    else:
        assert program == steps.STEPS[step].program
    assert "\\b" not in shown.output
    with COMMANDS[step].make_context(step, arguments) as context:
        assert None not in context.params.values()


@pytest.mark.parametrize("step", STEPS)
def test_the_chain_gives_every_option_of_a_step_and_no_other(step: str) -> None:
    chain = Chain("study.yaml", "out")
    arguments = {"init": chain.init(), "evaluate": chain.evaluate(1, 0), "update": chain.update(1, 2)}[step]
    options = {option for parameter in STEPS[step].params for option in parameter.opts}
    assert {part for part in arguments if part.startswith("--")} == options


@pytest.mark.parametrize("step", STEPS)
def test_a_missing_option_exits_2(step: str) -> None:
    result = call(step, [])
    assert result.exit_code == 2
    assert "Error: Missing option '--study'." in result.stderr


@pytest.mark.parametrize("step", STEPS)
def test_a_misspelt_option_exits_2_and_is_told_the_right_one(step: str) -> None:
    result = call(step, ["--studdy", "x"])
    assert result.exit_code == 2
    assert "No such option '--studdy'. Did you mean '--study'?" in result.stderr


@pytest.mark.parametrize("index", ["-1", "one", "1.5"])
def test_an_index_that_is_no_natural_number_exits_2(index: str) -> None:
    assert call("evaluate", replaced(Chain("s", "o").evaluate(1, 0), index=index)).exit_code == 2


@pytest.mark.parametrize("records", ["", "a.json", "{}", '"a.json"', "[1]", '["a.json"', "a.json,b.json"])
def test_records_that_are_no_json_list_of_paths_exit_2(records: str) -> None:
    result = call("update", replaced(Chain("s", "o").update(1, 1), records=records))
    assert result.exit_code == 2
    assert 'a JSON list of paths must be given, as \'["a.json", "b.json"]\', but got ' in result.stderr


# --- copy --------------------------------------------------------------------------------------


def test_copy_brings_a_file_to_cloud_storage_and_back(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x00content")
    succeed("copy", [str(tmp_path / "a"), f"{bucket}/copied"])
    succeed("copy", [f"{bucket}/copied", str(tmp_path / "b")])
    assert (tmp_path / "b").read_bytes() == b"\x00content"
    assert call("copy", [f"{bucket}/copied", "-"]).stdout_bytes == b"\x00content"


def test_copy_of_nothing_is_one_message(tmp_path: Path) -> None:
    said = failure("copy", [str(tmp_path / "none"), "-"])
    assert said == f"{tmp_path}/none: no such file"


# --- what they import --------------------------------------------------------------------------


def imported_by(step: str, arguments: list[str]) -> set[str]:
    """Run a step as a program; return which modules it has imported."""
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_module(sys.argv[0], run_name='__main__')\n"
        "finally: print(*sys.modules)"
    )
    command = [sys.executable, "-c", code, f"images.{step}.main", *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{COMMON}:{ROOT}"}
    return set(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split())


def test_a_step_imports_what_it_needs_and_no_more(tmp_path: Path) -> None:
    study = write_study(tmp_path, optimizer={"engine": "gp", "n_initial_points": 2}, iterations=2)
    chain = Chain(str(study), str(tmp_path))
    heavy = {"scipy", "sklearn", "skopt", "google.cloud.storage"}
    assert not imported_by("init", chain.init()) & heavy
    for index in (0, 1):
        assert not imported_by("evaluate", chain.evaluate(1, index)) & heavy
    assert imported_by("update", chain.update(1, 2)) & heavy == {"scipy"}
    for index in (0, 1):
        succeed("evaluate", chain.evaluate(2, index))
    assert not imported_by("update", chain.update(2, 2)) & heavy  # nothing is proposed after the last iteration
