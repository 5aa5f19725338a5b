"""Steps and pipelines of a person, around a step that tunes.

KFP reads the annotations of a component, so this module must not postpone their evaluation.
"""

from collections.abc import Callable
from typing import Any

from kfp import dsl

IMAGE = f"europe-docker.pkg.dev/my-project/bayesopt/worker@sha256:{'0' * 64}"
Tune = Callable[..., Any]


def making(image: str) -> tuple[Any, Any, Any]:
    """Return the steps that prepare data, train and tidy up, in an image."""
    executor = ["/opt/bayesopt/bin/executor", "{{$}}"]

    def prepare(study: dsl.OutputPath(str), table: dsl.Output[dsl.Dataset]):  # type: ignore[no-untyped-def,valid-type]  # noqa: ARG001
        return dsl.ContainerSpec(image=image, command=executor, args=["prepare"])

    def train(parameters: dict, model: dsl.Input[dsl.Model]):  # type: ignore[no-untyped-def,type-arg]  # noqa: ARG001
        return dsl.ContainerSpec(image=image, command=executor, args=["train", parameters])

    def tidy():  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image=image, command=executor, args=["tidy"])

    made = [dsl.container_component(each) for each in (prepare, train, tidy)]
    return made[0], made[1], made[2]


prepare, train, tidy = making(IMAGE)


def pipeline(place: Callable[[Tune, Tune], None], tune: Tune, with_data: Tune) -> Any:
    """Return a pipeline that has a step that tunes somewhere.

    Args:
        place: Adds its tasks.
        tune: Tunes on data that are a text, or on none.
        with_data: Tunes on data that are an artifact.
    """
    return dsl.pipeline(lambda: place(tune, with_data), name="mine")


def in_the_middle(_tune: Tune, with_data: Tune) -> None:
    """Prepare data, tune on them, and train."""
    prepared = prepare()
    found = with_data(study=prepared.outputs["study"], data=prepared.outputs["table"], image=IMAGE)
    train(parameters=found.outputs["parameters"], model=found.outputs["model"])


def in_a_loop(tune: Tune, _with_data: Tune) -> None:
    """Tune several studies at once."""
    with dsl.ParallelFor(["name: a", "name: b"]) as study:
        found = tune(study=study, image=IMAGE)
        train(parameters=found.outputs["parameters"], model=found.outputs["model"])


def in_an_exit_handler(tune: Tune, _with_data: Tune) -> None:
    """Tidy up whatever happened."""
    with dsl.ExitHandler(tidy()):
        found = tune(study="name: a", image=IMAGE)
        train(parameters=found.outputs["parameters"], model=found.outputs["model"])


def twice(tune: Tune, _with_data: Tune) -> None:
    """Tune two studies, one after the other."""
    first = tune(study="name: a", image=IMAGE)
    second = tune(study="name: b", image=IMAGE, workers=["1"]).after(first)
    train(parameters=first.outputs["parameters"], model=second.outputs["model"])


PLACES = (in_the_middle, in_a_loop, in_an_exit_handler, twice)
