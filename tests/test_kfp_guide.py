"""Every command and example of docs/kfp.md is good, and those of a job run as they are written, without a cluster."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.folder.publish import publish
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.folder.study_folder import study_uri
from kfp_bayesopt.private import ENDPOINTS
from kfp_bayesopt.store.objects.s3 import minio
from kfp_bayesopt_pipeline.places.kfp import ENDPOINT, SECRET, KfpSettings, default_root, way_to
from tests import ROOT, fake_s3
from tests.builders import a_record
from tests.kfp_stand_in import KfpStandIn, run_id

GUIDE = (ROOT / "docs" / "kfp.md").read_text()
SECTIONS = dict(part.split("\n", 1) for part in re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:])
STUDY = ROOT / "studies" / "branin.yaml"

pytestmark = pytest.mark.filterwarnings("ignore")  # of the client libraries, in their own code


def _commands(text: str) -> list[list[str]]:
    """Return the commands that the examples of a page type, as words."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    typed = "".join(blocks).replace("\\\n", "")
    return [shlex.split(line.removeprefix("$ ")) for line in typed.splitlines() if line.startswith("$ ")]


def _section(title: str) -> str:
    (text,) = (text for numbered, text in SECTIONS.items() if title in numbered)
    return text


def test_the_commands_are_five() -> None:
    assert len(_commands(_section("Five commands"))) == 5


def test_what_needs_a_cluster_is_marked() -> None:
    for title, text in SECTIONS.items():
        assert bool(_commands(text)) == title.endswith("☁"), title


@pytest.mark.parametrize("words", [each for each in _commands(GUIDE) if each[0] == "bayesopt"], ids=" ".join)
def test_every_command_is_one(words: list[str]) -> None:
    command = cli.commands[words[1]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click.Parameter, "process_value", lambda _self, _context, value: value)  # there is no my-study
        command.make_context(words[1], words[2:])


def test_the_port_forward_is_that_of_the_messages() -> None:
    forward, export, *_ = _commands(_section("Results on a laptop"))
    assert way_to(ENDPOINT) == f"run `{' '.join(forward)}` and set {export[1]}"


def test_every_setting_is_in_the_table_and_no_other_variable() -> None:
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| `(\w+)` \|$", _section("Settings"), re.MULTILINE)
    described = KfpSettings.described()
    assert all(described[name].variable == variable for variable, name in rows)
    assert described.keys() - {name for _, name in rows} == {"credentials_path"}
    named = set(re.findall(r"`([A-Z][A-Z_]{4,})\b", GUIDE))
    assert named <= {each.variable for each in described.values()} | {
        "BAYESOPT_STORE_ACCESS_KEY",
        "BAYESOPT_STORE_SECRET_KEY",
    }


def test_where_studies_are_is_said_as_it_is() -> None:
    text = _section("Where the study is")
    for each in (default_root(""), default_root("ann"), ENDPOINT, SECRET):
        assert f"`{each}`" in text
    (steps,) = re.findall(r"`(steps: \{volume: .*?\}\})`", text)
    given = YAML(typ="safe", pure=True).load(f"{{{steps}}}")
    from tests.builders import a_study

    assert a_study(**given).steps.problem_with_root("/studies/tuning") is None


def test_the_messages_that_are_explained_are_messages_of_the_program() -> None:
    tables = _section("What `status` says") + _section("When something is refused")
    messages = re.findall(r"^\| `([^`]+)` \|", tables, re.MULTILINE)
    sources = "".join(path.read_text() for top in ("pipeline", "images") for path in (ROOT / top).rglob("*.py"))
    sources = re.sub(r'"\n\s+f?"', "", sources)  # of a message in two lines
    parts = [part for text in messages for part in re.split(r"\W*…\W*|^\d+ |: [\w, 0-9]*$", text) if part]
    assert len(messages) > 10
    assert [part for part in parts if part not in sources and part not in ("worker", "not run")] == []


@pytest.fixture
def cluster(tmp_path: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpStandIn]:
    """Return a cluster whose store nobody outside of it reaches."""
    fake_s3.empty(s3_server)
    fake_s3.make_bucket(s3_server, "mlpipeline")
    monkeypatch.setenv("HOME", str(tmp_path))  # the client keeps settings of its own there
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-study.yaml").write_text(STUDY.read_text())
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    stand_in = KfpStandIn()
    monkeypatch.setenv("KFP_HOST", stand_in.host)
    yield stand_in
    stand_in.stop()
    minio.forget()


def _type(words: list[str], job: str) -> str:
    """Run a command of the page on what is here, and return what it prints."""
    here = {"my-study": "my-study.yaml", "my-study-20260101-120000-3f2a": job}
    ran = CliRunner().invoke(cli, [here.get(word, word) for word in words[1:]])
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_results_are_read_on_a_laptop_by_the_commands_of_the_page(
    cluster: KfpStandIn, images: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a study that was submitted without reach of the store, and whose pods have done their work in it."""
    cluster.states = ["RUNNING"]
    submit = _commands(_section("Five commands"))[-1]
    words = [word for word in submit if word not in ("--host", "http://127.0.0.1:8080", "--wait")]
    assert len(words) == len(submit) - 3
    assert "not reached from here" in _type([*words, "--images", str(images)], "")
    given = cluster.runs[0]["runtime_config"]["parameters"]

    forward, export, *commands = _commands(_section("Results on a laptop"))
    assert (forward[0], export[0]) == ("kubectl", "export")
    assert " ".join(forward) in _type(commands[0], run_id(1)), "status says how"

    monkeypatch.setenv(export[1].partition("=")[0], s3_server)
    minio.forget()
    init: click.Command = importlib.import_module("images.init.main").main
    study = study_uri(given["root"], given["study"].encode())
    where = ["--root", given["root"], "--study", study, "--job", given["job"]]
    started = CliRunner().invoke(init, [*where, "--content", given["study"], "--opening", given["opening"]])
    assert started.exit_code == 0, started.output
    folder = study_folder(given["root"])
    proposed = folder.read().pending.values()
    records = [a_record(folder.study, each.trial, 0.5, parameters=each.parameters) for each in proposed]
    for record in records:
        folder.write_record(record)
    publish(folder, records)

    status, results, best = (_type(words, run_id(1)) for words in commands)
    assert f"4 of 16 trials have records; best value 0.5 in trial 1; folder {given['root']}\n" in status
    assert f"out/{run_id(1)}/best.json\n" in results
    assert "best value 0.5" in results
    assert "x1 = " in best
