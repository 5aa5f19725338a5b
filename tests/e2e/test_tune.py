"""`tune` as a step of somebody's pipeline, in KFP's own engine on real images: what comes out, what never starts."""

# KFP reads the annotations of components and pipelines, so this module does not postpone them.
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kfp import dsl, local
from ruamel.yaml import YAML

from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline import tune
from tests.builders import study_text
from tests.e2e.conftest import BASE

pytestmark = pytest.mark.filterwarnings("ignore:.*have no effect in the current local runner.*")

SPACE: dict[str, Any] = {
    "rate": {"type": "real", "low": 1e-6, "high": 1e-5, "log": True},
    "layers": {"type": "integer", "low": 1, "high": 9},
    "shape": {"type": "categorical", "choices": [[64, 32.5], {"cells": 8}]},
    "seed": {"type": "constant", "value": 2**53 + 1},
}
"""What a mapping of KFP loses: integers beyond 2^53, and in kfp.local all of them."""
LOSS = "echo loss=0.$BAYESOPT_TRIAL"


def text_of(name: str = "tuned", loss: str = LOSS, **changes: Any) -> str:
    """Return the text of a study whose objective is a line of a shell."""
    given = {"schedule": "asynchronous", "iterations": None, "trials": 3, "optimizer": {"engine": "random"}, **changes}
    objective = {"command": ["sh", "-c", loss], "args": "flags", "value": "loss"}
    return study_text(name=name, objective=objective, space=SPACE, **given).decode()


@dsl.container_component  # type: ignore[untyped-decorator, unused-ignore]
def prepare(text: str, study: dsl.OutputPath(str), opened: dsl.OutputPath(str)):  # type: ignore[valid-type, no-untyped-def]
    """Hand a text on, and say when."""
    line = 'mkdir -p "$(dirname "$1")" "$(dirname "$2")" && printf %s "$0" >"$1" && date >"$2"'
    return dsl.ContainerSpec(image=BASE, command=["sh", "-c"], args=[line, text, study, opened])


@dsl.container_component  # type: ignore[untyped-decorator, unused-ignore]
def train(parameters: str, mapping: dict, value: float, seen: dsl.OutputPath(str)):  # type: ignore[type-arg, valid-type, no-untyped-def]
    """Write down what an earlier step gave."""
    line = 'mkdir -p "$(dirname "$3")" && printf "%s\\n%s\\n%s" "$0" "$1" "$2" >"$3" && echo trained'
    return dsl.ContainerSpec(image=BASE, command=["sh", "-c"], args=[line, parameters, mapping, value, seen])


@dsl.container_component  # type: ignore[untyped-decorator, unused-ignore]
def mourn():  # type: ignore[no-untyped-def]
    """Say that all is over."""
    return dsl.ContainerSpec(image=BASE, command=["echo"], args=["it is over"])


class Seen(NamedTuple):
    """What a pipeline gives: what the step after `tune` saw."""

    seen: str


def trained(tuned: Any) -> Any:
    """Add the step after `tune`, and return it."""
    outputs = tuned.outputs
    return train(parameters=outputs["parameters_json"], mapping=outputs["parameters"], value=outputs["value"])


class Here:
    """This machine, with KFP's engine.

    Attributes:
        runs: Where it writes.
        image: The image of the workers.
    """

    def __init__(self, runs: Path, image: str, printed: Callable[[], str]) -> None:
        self.runs, self.image, self._printed = runs, image, printed
        local.init(local.DockerRunner(user=f"{os.getuid()}:{os.getgid()}"), pipeline_root=str(runs))

    @property
    def root(self) -> str:
        """What studies are below of."""
        return str(self.runs)

    def tune(self, text: Any, **given: Any) -> Any:
        """Add the step."""
        return tune(text, image=self.image, root=self.root, **given)

    def run(self, pipeline: Any, **given: Any) -> tuple[Any, str]:
        """Run a pipeline, and return its outputs, or None if it has failed, and the log."""
        self._printed()
        try:
            outputs = dsl.pipeline(pipeline, name="mine")(**given).outputs
        except RuntimeError:
            return None, self._printed()
        return outputs, self._printed()

    def folders(self, name: str = "tuned") -> list[StudyFolder]:
        """The folders of a study, with their studies."""
        found = sorted(path.parent for path in Path(self.root, "studies", name).glob("*/*/study"))
        return [StudyFolder(str(path), Study.from_file(str(next((path / "study").iterdir())))) for path in found]

    def best(self, name: str = "tuned") -> dict[str, Any]:
        """The best parameters of the one folder of a study, as it has them."""
        (folder,) = self.folders(name)
        found: dict[str, Any] = json.loads(Path(folder.root, "best.json").read_text())
        return found


@pytest.fixture
def here(images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Here]:
    """Return this machine, on which pipelines run in an empty folder."""

    def printed() -> str:
        out, err = capfd.readouterr()
        return out + err

    log = logging.getLogger()
    handlers = [*log.handlers]
    yield Here(tmp_path, json.loads(images.read_text())["worker"], printed)
    log.handlers[:] = handlers  # two tasks of a loop that end at once leave KFP's own, with our captured output
    local.config.LocalExecutionConfig.instance = None


def _check_seen(seen: str, best: dict[str, Any]) -> None:
    """Check that the step after `tune` got the parameters to the last digit, and their value."""
    parameters, mapping, value = seen.split("\n")
    assert parameters == json.dumps(best["parameters"])
    assert {key: type(each) for key, each in json.loads(parameters).items()} == {
        key: type(each) for key, each in best["parameters"].items()
    }
    assert json.loads(parameters)["seed"] == 2**53 + 1
    assert json.loads(mapping).keys() == best["parameters"].keys()
    assert json.loads(mapping)["layers"] == best["parameters"]["layers"]
    assert float(value) == best["value"]


def test_a_step_behind_it_gets_the_best_parameters_of_a_study_that_an_earlier_step_gave(here: Here) -> None:
    def mine(text: str) -> Seen:
        tuned = here.tune(prepare(text=text).outputs["study"], workers=["1", "2"])
        return Seen(seen=trained(tuned).outputs["seen"])

    outputs, log = here.run(mine, text=text_of())
    assert outputs is not None, log[-3000:]
    _check_seen(outputs["seen"], here.best())
    assert here.best()["completed"] == 3


@pytest.mark.long
def test_it_runs_inside_of_a_nested_pipeline_twice_in_a_loop_and_in_the_exit_handler_of_somebody(here: Here) -> None:
    def one(text: str) -> Seen:
        return Seen(seen=trained(here.tune(text, workers=["1", "2"])).outputs["seen"])

    nested = dsl.pipeline(one, name="one")

    def mine() -> None:
        with dsl.ExitHandler(mourn()), dsl.ParallelFor([text_of("first"), text_of("second")]) as text:
            nested(text=text)

    outputs, log = here.run(mine)
    assert outputs is not None, log[-3000:]
    assert log.count("trained") >= 2
    assert "it is over" in log
    for name in ("first", "second"):
        assert here.best(name)["completed"] == 3


@pytest.mark.long
def test_two_in_one_pipeline_do_not_meet_though_they_have_one_root(here: Here) -> None:
    def mine() -> None:
        trained(here.tune(text_of("first")))
        trained(here.tune(text_of("second", trials=2)))

    outputs, log = here.run(mine)
    assert outputs is not None, log[-3000:]
    assert [here.best(name)["completed"] for name in ("first", "second")] == [3, 2]


def test_without_a_completed_trial_the_step_fails_with_its_sentence_and_what_is_behind_never_starts(here: Here) -> None:
    def mine() -> None:
        trained(here.tune(text_of(loss="echo there is no loss", trials=2, parallel_trials=1)))

    outputs, log = here.run(mine)
    assert outputs is None
    assert "trained" not in log
    assert "Error: trials 1 and 2, the first two to end, failed alike: no metric loss in what it printed" in log


@pytest.mark.long
def test_a_study_that_cannot_be_opened_starts_no_worker(here: Here) -> None:
    def mine(text: str) -> None:
        trained(here.tune(text))

    outputs, log = here.run(mine, text="kind: Experiment\napiVersion: kubeflow.org/v1beta1\n")
    assert outputs is None
    assert "worker" not in log.partition("Error:")[2], log[-3000:]
    assert "trained" not in log


@pytest.mark.long
def test_run_again_it_evaluates_nothing_again_and_gives_the_same(here: Here) -> None:
    def mine(text: str) -> Seen:
        return Seen(seen=trained(here.tune(text)).outputs["seen"])

    first, log = here.run(mine, text=text_of())
    assert first is not None, log[-3000:]
    records = (Path(here.folders()[0].root) / "trials.jsonl").read_text()
    again, log = here.run(mine, text=text_of())
    assert again is not None, log[-3000:]
    assert again["seen"] == first["seen"]
    assert (Path(here.folders()[0].root) / "trials.jsonl").read_text() == records
    more, log = here.run(mine, text=text_of(trials=5))
    assert more is not None, log[-3000:]
    assert len(here.folders()) == 1
    assert here.best()["completed"] == 5


@pytest.mark.long
def test_data_of_an_earlier_step_are_a_file_for_the_objective_and_other_data_another_study(here: Here) -> None:
    """The earlier step gives a text here; an artifact is that of docs/in-your-pipeline.md."""
    loss = 'echo "loss=$(wc -c <"$BAYESOPT_DATA")"'

    def mine(data: str) -> Seen:
        return Seen(seen=trained(here.tune(text_of(loss=loss, optimizer={"engine": "gp"}), data=data)).outputs["seen"])

    for name, content in (("first", "abc"), ("second", "abcde")):
        path = here.runs / name
        path.write_text(content)
        outputs, log = here.run(mine, data=str(path))
        assert outputs is not None, log[-3000:]
        assert float(outputs["seen"].split("\n")[2]) == len(content)
    assert len(here.folders()) == 2


def test_the_compiled_size_does_not_depend_on_the_number_of_trials(tmp_path: Path) -> None:
    from kfp import compiler

    def size(trials: int) -> int:
        def mine() -> None:
            trained(tune(text_of(trials=trials), image=f"registry.example.com/worker@sha256:{'0' * 64}"))

        path = tmp_path / "mine.yaml"
        compiler.Compiler().compile(dsl.pipeline(mine, name="mine"), str(path))
        YAML(typ="safe").load(path)
        return path.stat().st_size

    assert size(1000) - size(10) == len("00"), "but for the number itself, in the text of the study"
