"""The chain: what each program of a study is given."""

from __future__ import annotations

import click
import pytest

from images.evaluate.main import main as evaluate
from images.init.main import main as init
from images.report.main import main as report
from images.update.main import main as update
from images.worker.main import main as worker
from kfp_bayesopt.steps import STEPS
from tests.chain import Chain, options_of

COMMANDS = {"init": init, "evaluate": evaluate, "update": update, "worker": worker, "report": report}
CHAIN = Chain("study.yaml", "gs://bucket/run", "job-1")
CALLS = {
    "init": CHAIN.init(),
    "evaluate": CHAIN.evaluate(7),
    "update": CHAIN.update(range(5, 9)),
    "worker": CHAIN.worker(3),
    "report": CHAIN.report(),
}


@pytest.mark.parametrize("step", STEPS)
def test_the_arguments_of_a_step_are_options_of_its_command(step: str) -> None:
    parsed = COMMANDS[step].make_context(step, CALLS[step].copy()).params
    given = {"root": "gs://bucket/run", "study_uri": "study.yaml", "job": "job-1", "run": None, "outputs": None}
    assert {name: parsed.pop(name) for name in given} == given
    opening = dict.fromkeys(("task", "image", "data_uri", "going_on", "made_for"), "")
    own = {
        "init": {"content": "", "opening": "", "data": "", "below": None, **opening},
        "evaluate": {"trial": 7},
        "update": {"after": 8},
        "worker": {"worker": 3},
        "report": {"experiment": "", "register": "", "pipeline_job": ""},
    }
    assert parsed == own.get(step, {})


@pytest.mark.parametrize("step", STEPS)
def test_the_list_of_steps_has_the_options_of_each_command(step: str) -> None:
    options = [option for each in COMMANDS[step].params if isinstance(each, click.Option) for option in each.opts]
    assert {*options} == options_of(STEPS[step])


def test_by_hand_there_is_no_job() -> None:
    assert Chain("study.yaml", "out").init() == ["--root", "out", "--study", "study.yaml"]


def test_a_worker_has_its_number_from_a_list_of_kfp_too() -> None:
    """The engine of KFP on a machine gives each item of a list of numbers as a text such as 2.0."""
    for text in ("2", "2.0"):
        assert worker.make_context("worker", ["--root", "r", "--study", "s", "--worker", text]).params["worker"] == 2
    for text in ("b", "0.0", "1.5"):
        with pytest.raises(click.BadParameter):
            worker.make_context("worker", ["--root", "r", "--study", "s", "--worker", text])
