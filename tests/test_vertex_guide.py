"""Every command and example of docs/vertex.md is good, as far as can be told without the cloud."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from kfp_bayesopt.folder.jobs import ended_uri, job_uri, submitted_uri
from kfp_bayesopt.folder.study_folder import StudyFolder, study_uri
from kfp_bayesopt.session.copying import ONCE
from kfp_bayesopt.steps import REPORT_PAGE, RESULTS
from kfp_bayesopt_pipeline.places import TARGETS
from tests import ROOT, makefile, needed
from tests.builders import a_study, study_text

GUIDE = (ROOT / "docs" / "vertex.md").read_text()
VARIABLES = {setting.variable for model in TARGETS.values() for setting in model.described().values()}
# What runs on a machine with Docker; tests/e2e runs it.
LOCAL = {"build", "run-kfp"}


def _commands(text: str) -> list[list[str]]:
    """Return the commands that the examples of a page type, as words."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    typed = "".join(blocks).replace("\\\n", "")
    return [shlex.split(line.removeprefix("$ ")) for line in typed.splitlines() if line.startswith("$ ")]


def test_every_command_of_a_job_and_a_folder_has_an_example() -> None:
    named = {words[1] for words in _commands(GUIDE) if words[0] == "bayesopt"}
    assert {"push", "plan", "submit", "status", "cancel", "results", "studies", "jobs", "download", "upload"} <= named


def test_every_variable_of_make_is_one_of_the_makefile_or_a_setting() -> None:
    variables = {word.partition("=")[0] for words in _commands(GUIDE) if words[0] == "make" for word in words[2:]}
    assert variables <= makefile.variables() | VARIABLES


def test_what_needs_the_cloud_is_marked() -> None:
    for section in re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        local = all(words[0] == "bayesopt" and words[1] in LOCAL for words in _commands(section))
        assert local != title.endswith("☁"), title


def test_settings_that_are_named_are_settings() -> None:
    named = set(re.findall(r"`([A-Z][A-Z_]{4,})\b", GUIDE)) - {"HTTPS_PROXY", "BAYESOPT_OUTPUT"}
    assert named <= VARIABLES | makefile.variables()


def test_the_lifecycle_rule_takes_logs_and_reports_and_nothing_that_a_study_needs() -> None:
    (rule,) = json.loads((ROOT / "docs" / "lifecycle.json").read_text())["rule"]
    endings = tuple(rule["condition"]["matchesSuffix"])
    assert rule["condition"]["matchesPrefix"] == ["runs/studies/"]
    assert 'setting PIPELINE_ROOT "$bucket/runs"\n' in (ROOT / "docs" / "vertex-setup.sh").read_text()
    folder = StudyFolder("gs://bucket/root", a_study())
    kept = [
        folder.suggestion_uri(1), folder.claim_uri(1, 1), folder.record_uri(1, 1), folder.fold_uri(1000),
        study_uri(folder.root, b""), job_uri(folder.root, "job-1"), submitted_uri(folder.root, "job-1"),
        ended_uri(folder.root, "job-1"), *(name for name in RESULTS if name != REPORT_PAGE),
    ]  # fmt: skip
    assert [uri for uri in kept if uri.endswith(endings)] == []
    assert folder.log_uri(1, 1).endswith(endings)
    # It names what a study has, and no ending of it is in both lists.
    once = [pattern for pattern in ONCE if re.search(r"\\.(txt|html)$", pattern)]
    assert once == [r"trials/[0-9]{6,}/log-[0-9]+\.txt"]


def test_the_messages_that_are_explained_are_messages_of_the_program() -> None:
    table = GUIDE.partition("## When something is refused\n")[2].partition("\n## ")[0]
    messages = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    sources = "".join(path.read_text() for top in ("pipeline", "images") for path in (ROOT / top).rglob("*.py"))
    assert len(messages) > 5
    assert [part for text in messages for part in re.split(r"\W*…\W*", text) if part not in sources] == []


def test_the_examples_of_a_study_compile() -> None:
    from kfp_bayesopt_pipeline.compile import compile_study
    from tests.kfp_bayesopt_pipeline.shapes import IMAGES

    examples = re.findall(r"^```yaml\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    assert examples
    for example in examples:
        changes = YAML(typ="safe", pure=True).load(example)
        assert "SPOT" in compile_study(a_study(**changes), study_text(**changes), IMAGES)


@pytest.mark.long
def test_gcloud_knows_every_command_and_option_of_the_guide(tmp_path: Path) -> None:
    """Without an account it gets as far as to say so, after it has read the command line."""
    needed.program("gcloud")
    environment = {**os.environ, "CLOUDSDK_CONFIG": str(tmp_path), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    commands = [words for words in _commands(GUIDE) if words[0] == "gcloud" and words[1] != "auth"]
    assert commands
    for words in commands:
        ended = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        assert "You do not currently have an active account selected" in ended.stderr, (words, ended.stderr)
