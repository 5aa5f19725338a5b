"""The pictures of compiled pipelines: those of the documents are what is compiled, and any pipeline can be drawn."""

from __future__ import annotations

import itertools
import re
import runpy
from xml.etree import ElementTree as Tree

import pytest
from kfp import compiler

from tests.graph_picture import Pipeline, draw
from tests.kfp_bayesopt_pipeline.shapes import DRAWN, PICTURES, drawn

# An exit handler, a loop in a nested pipeline, and a condition. KFP reads annotations, so they are not postponed.
NESTED = """
from typing import NamedTuple
from kfp import dsl

@dsl.container_component
def prepare(data: dsl.Output[dsl.Dataset], seeds: dsl.OutputPath(list)):
    return dsl.ContainerSpec(image="prepare")

@dsl.container_component
def fit(data: dsl.Input[dsl.Dataset], seed: str, loss: dsl.OutputPath(float), model: dsl.Output[dsl.Model]):
    return dsl.ContainerSpec(image="fit", args=[seed])

@dsl.container_component
def choose(losses: list, chosen: dsl.OutputPath(str), table: dsl.Output[dsl.Markdown]):
    return dsl.ContainerSpec(image="choose", args=[losses])

@dsl.container_component
def deploy(data: dsl.Input[dsl.Dataset], chosen: str):
    return dsl.ContainerSpec(image="deploy", args=[chosen])

@dsl.container_component
def tell():
    return dsl.ContainerSpec(image="tell")

Given = NamedTuple("Given", chosen=str)

@dsl.pipeline(name="inner")
def inner(data: dsl.Input[dsl.Dataset], seeds: list) -> Given:
    with dsl.ParallelFor(seeds, parallelism=2) as seed:
        fitted = fit(data=data, seed=seed)
    return Given(chosen=choose(losses=dsl.Collected(fitted.outputs["loss"])).outputs["chosen"])

@dsl.pipeline(name="outer")
def outer(go: str = "yes"):
    with dsl.ExitHandler(tell()):
        prepared = prepare()
        chosen = inner(data=prepared.outputs["data"], seeds=prepared.outputs["seeds"])
        with dsl.If(go == "yes"):
            deploy(data=prepared.outputs["data"], chosen=chosen.outputs["chosen"]).after(prepared)
"""


@pytest.mark.parametrize("picture", DRAWN)
def test_a_picture_of_the_documents_shows_what_is_compiled(picture: str) -> None:
    assert drawn(picture) == (PICTURES / f"{picture}.svg").read_text(), "`make golden` draws it"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a pipeline of somebody else."""
    source, path = (tmp_path_factory.mktemp("compiled") / name for name in ("outer.py", "outer.yaml"))
    source.write_text(NESTED)
    compiler.Compiler().compile(runpy.run_path(str(source))["outer"], str(path))
    return path.read_text()


def test_what_travels_is_followed_through_groups_to_the_tasks_that_give_and_take_it(compiled: str) -> None:
    pipeline = Pipeline(compiled)
    travels = {
        (source[-1], target[-1]): [each.replace("\N{NO-BREAK SPACE}", " ") for each in words]
        for (source, target), words in pipeline.edges.items()
    }
    assert travels == {
        ("prepare", "for-loop-1"): ["seeds (list)"],
        ("prepare", "fit"): ["data (Dataset)"],
        ("fit", "choose"): ["loss (number)"],
        ("choose", "deploy"): ["chosen (text)"],
        ("prepare", "deploy"): ["data (Dataset)"],
    }
    assert pipeline.order == [(("exit-handler-1",), ("tell",))]


def test_each_group_says_what_it_is_and_each_task_what_it_gives_to_nobody(compiled: str) -> None:
    root = Pipeline(compiled).root
    titles = ["outer", "exit handler", "prepare", "inner", "for each of seeds", "fit", "choose", "if go == 'yes'"]
    assert [node.title for node in root.nodes] == [*titles, "deploy", "tell"]
    left = {node.title: [each.name for each in node.outputs] for node in root.leaves}
    assert left == {"prepare": [], "fit": ["model"], "choose": ["table"], "deploy": [], "tell": []}
    assert [node.lines for node in root.leaves if node.title == "tell"] == [["whatever happened before"]]


def test_no_box_lies_on_another_and_all_are_within_the_picture(compiled: str) -> None:
    picture = Tree.fromstring(draw(compiled))
    width, height = (float(picture.get(name, 0)) for name in ("width", "height"))
    boxes = [
        tuple(float(each.get(name, "")) for name in ("x", "y", "width", "height"))
        for each in picture.iter("{http://www.w3.org/2000/svg}rect")
        if each.get("class") == "box"
    ]
    assert len(boxes) == 5 + 2, "five tasks, one of them three times"
    assert all(x >= 0 and y >= 0 and x + wide <= width and y + high <= height for x, y, wide, high in boxes)
    rows = sorted((y, y + high) for _, y, _, high in boxes)
    apart = [before[1] < after[0] for before, after in itertools.pairwise(rows)]
    assert apart.count(False) == 2, "only the three lie on each other"


def test_a_picture_has_colours_for_light_and_for_dark_and_names_nothing_outside(compiled: str) -> None:
    text = draw(compiled)
    light, dark = (set(re.findall(r"--(\w+):", part)) for part in re.findall(r"svg \{(.*?)\}", text, re.DOTALL))
    assert light == dark == set(re.findall(r"var\(--(\w+)\)", text))
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]


@pytest.mark.parametrize("picture", DRAWN)
def test_the_text_of_a_picture_is_large_enough_on_a_telephone(picture: str) -> None:
    width = float(Tree.fromstring((PICTURES / f"{picture}.svg").read_text()).get("width", "inf"))
    assert 12 * 360 / width > 7
