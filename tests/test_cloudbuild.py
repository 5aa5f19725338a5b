"""The file of Cloud Build: it is generated, Google's own type reads it, and it does what its header says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from google.cloud.devtools.cloudbuild_v1.types import Build
from ruamel.yaml import YAML

from kfp_bayesopt.steps import STEPS
from kfp_bayesopt_pipeline.cloudbuild import cloudbuild_file
from tests import ROOT

TEXT = (ROOT / "cloudbuild.yaml").read_text()
BUILD: dict[str, Any] = YAML(typ="safe").load(TEXT)
ORDER = [step["id"] for step in BUILD["steps"]]
BUILT_IN = {"PROJECT_ID", "SHORT_SHA", "COMMIT_SHA"}


def _step(name: str) -> dict[str, Any]:
    return next(step for step in BUILD["steps"] if step["id"] == name)


def test_the_committed_file_follows_the_list_of_steps() -> None:
    assert cloudbuild_file() == TEXT, "`make generate` writes the file"


def test_the_file_is_a_build_by_googles_own_type() -> None:
    build = Build.from_json(json.dumps(BUILD))
    assert [step.id for step in build.steps] == ORDER
    assert build.timeout.total_seconds() == 2400


def test_a_key_that_is_no_field_of_a_build_would_be_refused() -> None:
    with pytest.raises(Exception, match="waitfor"):
        Build.from_json(json.dumps({"steps": [{"waitfor": ["-"]}]}))


def test_steps_wait_for_steps_before_them_and_each_is_named_once() -> None:
    assert len(set(ORDER)) == len(ORDER)
    for number, step in enumerate(BUILD["steps"]):
        assert set(step["waitFor"]) <= {"-", *ORDER[:number]}


def test_tests_and_builds_begin_side_by_side() -> None:
    assert {step["id"] for step in BUILD["steps"] if step["waitFor"] == ["-"]} == {"test", *STEPS}


@pytest.mark.parametrize("step", STEPS)
def test_an_image_is_pushed_only_when_everything_has_passed(step: str) -> None:
    assert set(_step(f"push-{step}")["waitFor"]) == {"test", *STEPS}
    assert _step(f"push-{step}")["args"][-1] == f"${{_IMAGES}}/{step}"


def test_every_substitution_is_defined_and_used() -> None:
    """Cloud Build refuses a build that does otherwise; `$$` is a dollar of the shell."""
    values = json.dumps(BUILD).replace("$$", "")
    used = set(re.findall(r"\$\{?(\w+)", values))
    assert used == set(BUILD["substitutions"]) | {"PROJECT_ID", "SHORT_SHA"}
    assert used - set(BUILD["substitutions"]) <= BUILT_IN


def test_no_image_is_tagged_latest() -> None:
    assert ":latest" not in TEXT
