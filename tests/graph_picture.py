"""Draws a compiled pipeline as SVG: its tasks, and what travels between them.

All of it comes from the pipeline, so that a picture shows what is compiled. `make golden` draws those of the documents,
`python -m tests.graph_picture PIPELINE.yaml PICTURE.svg` any other.

Tasks stand below what they wait for, and a loop or a nested pipeline is a frame around its tasks. An arrow says what it
carries; a dashed one is the order alone. The picture has colours for light and dark, and a ground of its own.
"""

from __future__ import annotations

import html
import json
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

KINDS = {
    "STRING": "text",
    "NUMBER_INTEGER": "integer",
    "NUMBER_DOUBLE": "number",
    "BOOLEAN": "yes or no",
    "STRUCT": "mapping",
    "LIST": "list",
}
SHOWN_ITEMS = 4

TITLE, SMALL = 14, 12  # sizes of text
LINE = 17  # height of a line of small text
PAD, GAP, MARGIN = 14, 34, 16
LONGEST, WIDEST = 54, 34  # characters of a line of inputs, and of a line in a box
ENDS_ALWAYS = "ALL_UPSTREAM_TASKS_COMPLETED"

STYLE = """
svg { --ground: #ffffff; --ink: #1f2328; --soft: #59636e; --line: #818b98; --box: #f6f8fa; --edge: #d1d9e0;
  --data: #0550ae }
@media (prefers-color-scheme: dark) {
svg { --ground: #0d1117; --ink: #f0f6fc; --soft: #9198a1; --line: #818b98; --box: #151b23; --edge: #3d444d;
  --data: #79c0ff }
}
text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 12px; fill: var(--soft) }
.ground { fill: var(--ground); stroke: var(--edge) }
.title { font-size: 14px; font-weight: 600; fill: var(--ink) }
.box { fill: var(--box); stroke: var(--line) }
.frame { fill: none; stroke: var(--line); stroke-dasharray: 2 3 }
.data { fill: var(--data) }
.edge { fill: none; stroke: var(--data); stroke-width: 1.5 }
.order { fill: none; stroke: var(--line); stroke-width: 1.2; stroke-dasharray: 5 4 }
.tip { fill: var(--data) }
.order-tip { fill: var(--line) }
"""


@dataclass
class Output:
    """What a task gives.

    Attributes:
        name: Its name.
        kind: Its type, as a person says it.
    """

    name: str
    kind: str

    @property
    def words(self) -> str:
        """The name, and the type where the name does not say it."""
        return self.name if self.kind.lower() == self.name.lower() else f"{self.name}\N{NO-BREAK SPACE}({self.kind})"


@dataclass
class Node:
    """A task, or a group of tasks.

    Attributes:
        key: The names of the groups that it is in, and its own.
        title: What a person reads in the UI.
        lines: What is said below.
        outputs: What it gives that no other task takes.
        many: It runs several times, side by side.
        layers: The tasks of a group, each layer below what it waits for.
    """

    key: Key
    title: str
    lines: list[str] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    many: bool = False
    layers: list[list[Node]] = field(default_factory=list)
    x: float = 0
    y: float = 0
    width: float = 0
    height: float = 0

    @property
    def leaves(self) -> Iterator[Node]:
        """The tasks in it."""
        if not self.layers:
            yield self
        for layer in self.layers:
            for node in layer:
                yield from node.leaves

    @property
    def nodes(self) -> Iterator[Node]:
        """Itself, and all that is in it."""
        yield self
        for layer in self.layers:
            for node in layer:
                yield from node.nodes


Key = tuple[str, ...]
Pair = tuple[Key, Key]
Edges = dict[Pair, list[str]]
"""What travels from one task to another."""


class Pipeline:
    """A compiled pipeline, read.

    Attributes:
        root: All its tasks.
        edges: What travels between them.
        order: Which wait for others without that anything travels.
    """

    def __init__(self, text: str) -> None:
        self._spec = next(iter(YAML(typ="safe", pure=True).load_all(text)))
        self._components: dict[str, Any] = self._spec["components"]
        self.edges: Edges = {}
        self.order: list[Pair] = []
        self._taken: set[tuple[Key, str]] = set()
        root = self._spec["root"]
        self.root = Node((), self._spec["pipelineInfo"]["name"])
        self.root.lines = textwrap.wrap(f"inputs: {', '.join(self._inputs)}", LONGEST) if self._inputs else []
        self._read(self.root, root, {})
        self._ends(root)
        for leaf in self.root.leaves:
            leaf.outputs = [each for each in leaf.outputs if (leaf.key, each.name) not in self._taken]
        self.order = [pair for pair in self.order if not any(_lies_in(each, pair) for each in self.edges)]

    def _read(self, group: Node, component: dict[str, Any], came: dict[str, list[Any]]) -> None:
        """Read the tasks of a group.

        Args:
            group: The group.
            component: Its component.
            came: For each input of the group that is an output of a task: which task's, and which output.
        """
        dag = component["dag"]
        depths: dict[str, int] = {}
        made: dict[str, Node] = {}
        behind: dict[str, set[str]] = {}  # all that a task waits for, also by way of others
        for name, task in _in_order(dag["tasks"]):
            key = (*group.key, name)
            inner = self._components[task["componentRef"]["name"]]
            node = made[name] = Node(key, task["taskInfo"]["name"])
            given = self._given(group, dag, task, came)
            waits = set(_before(task))
            implied = {each for other in waits for each in behind[other]}
            behind[name] = waits | implied
            self.order += [((*group.key, each), key) for each in sorted(waits - implied)]
            depths[name] = max((depths[each] + 1 for each in _before(task)), default=0)
            self._describe(node, task, inner)
            for key_of, output in given.get(_looped(task), []):
                self._add(key_of, key, output)
            if "dag" in inner:
                self._read(node, inner, given)
            else:
                node.outputs, node.many = _outputs(inner), group.many
                for sources in given.values():
                    for key_of, output in sources:
                        self._add(key_of, node.key, output)
        for name, depth in depths.items():
            while len(group.layers) <= depth:
                group.layers.append([])
            group.layers[depth].append(made[name])

    def _given(
        self, group: Node, dag: dict[str, Any], task: dict[str, Any], came: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """Return for each input of a task of a group that is an output of a task: which task's, and which output."""
        given = {}
        for to, source in _inputs(task):
            if "producerTask" in source:
                given[to] = list(self._leaves_of((*group.key, source["producerTask"]), dag, source))
            elif source.get("component") in came:
                given[to] = came[source["component"]]
        return given

    def _leaves_of(self, key: Key, dag: dict[str, Any], source: dict[str, Any]) -> Iterator[tuple[Key, Output]]:
        """Yield the tasks that give an output of a task, which may be a group, and the output as theirs."""
        inner = self._components[dag["tasks"][key[-1]]["componentRef"]["name"]]
        if "dag" not in inner:
            yield key, next(each for each in _outputs(inner) if each.name == source["key"])
            return
        for subtask, name in _selected(inner["dag"], source["key"]):
            yield from self._leaves_of((*key, subtask), inner["dag"], {"key": name})

    def _add(self, source: Key, target: Key, output: Output) -> None:
        self._taken.add((source, output.name))
        said = self.edges.setdefault((source, target), [])
        if output.words not in said:
            said.append(output.words)

    def _describe(self, node: Node, task: dict[str, Any], component: dict[str, Any]) -> None:
        if iterator := _iterator(task):
            node.title = _items(iterator["items"])
            limit = task.get("iteratorPolicy", {}).get("parallelismLimit")
            node.lines = [f"{limit} at a time"] if limit else []
            node.many = True
        elif node.title.startswith("exit-handler-"):
            node.title = "exit handler"
        elif condition := task.get("triggerPolicy", {}).get("condition"):
            node.title = "if " + re.sub(r"inputs\.\w+\['(?:pipelinechannel--)?([^']*)'\]", r"\1", condition)
        if task.get("triggerPolicy", {}).get("strategy") == ENDS_ALWAYS:
            node.lines = ["whatever happened before"]
        if "dag" not in component and node.title != (name := task["componentRef"]["name"].removeprefix("comp-")):
            step = re.sub(r"-\d+$", "", name)
            node.lines = [*node.lines] if step in node.title else [f"component {step}", *node.lines]

    def _ends(self, root: dict[str, Any]) -> None:
        """Add what the pipeline gives as a whole."""
        given = _outputs(root)
        if not given:
            return
        node = Node(("outputs",), "outputs of the pipeline", lines=[each.words for each in given])
        for each in given:
            for subtask, name in _selected(root["dag"], each.name):
                for source, output in self._leaves_of((subtask,), root["dag"], {"key": name}):
                    self._taken.add((source, output.name))
                    self.edges.setdefault((source, node.key), [])
        self.root.layers.append([node])

    @property
    def _inputs(self) -> list[str]:
        """What the pipeline takes, each as a person says it."""
        defined = self._spec["root"].get("inputDefinitions", {})
        return [each.words for each in (*_defined(defined, "parameters"), *_defined(defined, "artifacts"))]


def _lies_in(pair: Pair, of_groups: Pair) -> bool:
    """Whether two tasks are in two groups, or are these themselves."""
    return _within(pair[0], of_groups[0]) and _within(pair[1], of_groups[1])


def _within(inner: Key, outer: Key) -> bool:
    return inner[: len(outer)] == outer


def _before(task: dict[str, Any]) -> list[str]:
    """Return the names of the tasks that a task waits for."""
    sources = [source["producerTask"] for _, source in _inputs(task) if "producerTask" in source]
    return list(dict.fromkeys([*task.get("dependentTasks", []), *sources]))


def _in_order(tasks: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield tasks, each after those that it waits for."""
    left = dict(tasks)
    while left:
        ready = [name for name, task in left.items() if not any(each in left for each in _before(task))]
        for name in ready:
            yield name, left.pop(name)


def _inputs(task: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the inputs of a task: the task and output that each is, or the input of the group."""
    for kind, word in (("parameters", "Parameter"), ("artifacts", "Artifact")):
        for name, source in task.get("inputs", {}).get(kind, {}).items():
            if output := source.get(f"taskOutput{word}"):
                yield name, {"producerTask": output["producerTask"], "key": output[f"output{word}Key"]}
            elif (of_group := source.get(f"componentInput{word}")) is not None:
                yield name, {"component": of_group}


def _selected(dag: dict[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """Yield the tasks of a group that give one of its outputs, and which output of theirs."""
    outputs = dag["outputs"]
    if name in outputs.get("parameters", {}):
        found = outputs["parameters"][name]
        selectors = found.get("valueFromOneof", {}).get("parameterSelectors") or [found["valueFromParameter"]]
        key = "outputParameterKey"
    else:
        selectors, key = outputs["artifacts"][name]["artifactSelectors"], "outputArtifactKey"
    for selector in selectors:
        yield selector["producerSubtask"], selector[key]


def _outputs(component: dict[str, Any]) -> list[Output]:
    defined = component.get("outputDefinitions", {})
    return [*_defined(defined, "artifacts"), *_defined(defined, "parameters")]


def _defined(definitions: dict[str, Any], kind: str) -> Iterator[Output]:
    for name, said in definitions.get(kind, {}).items():
        if kind == "parameters":
            yield Output(name, KINDS.get(said["parameterType"], said["parameterType"].lower()))
        else:
            kind = said["artifactType"]["schemaTitle"].partition(".")[2]
            yield Output(name, "artifact" if kind == "Artifact" else kind)


def _iterator(task: dict[str, Any]) -> Any:
    """Return what makes a task a loop, or None."""
    return task.get("parameterIterator") or task.get("artifactIterator")


def _looped(task: dict[str, Any]) -> str:
    """Return which input of a task it goes over, if it is a loop over one."""
    items = (_iterator(task) or {"items": {}})["items"]
    return str(items.get("inputParameter") or items.get("inputArtifact") or "")


def _items(items: dict[str, str]) -> str:
    """Say what a loop goes over."""
    if "raw" not in items:
        named = items.get("inputParameter") or items.get("inputArtifact") or ""
        return f"for each of {named.removeprefix('pipelinechannel--')}"
    listed = [str(each) for each in json.loads(items["raw"])]
    if len(listed) > SHOWN_ITEMS:
        return f"for each of {listed[0]} … {listed[-1]}"
    return f"for each of {', '.join(listed)}"


# --- the layout: each box has a size, then a place -----------------------------------------------


def _wide(text: str, size: float = SMALL) -> float:
    """Return how wide a text is at most, in any usual font."""
    return len(text) * size * 0.58


def _label(words: list[str]) -> float:
    return max((_wide(each) for each in words), default=0)


def _head(node: Node) -> list[tuple[str, str]]:
    """Return the lines below the title, each with its style."""
    given = textwrap.wrap(", ".join(each.words for each in node.outputs), WIDEST)
    return [*((line, "") for line in node.lines), *((line, "data") for line in given)]


def _between(upper: list[Node], lower: list[Node], edges: Edges) -> float:
    """Return the space between two layers, in which the words of their arrows stand."""
    lines = [
        sum(
            len(words)
            for (source, target), words in edges.items()
            if _within(source, one.key) and any(_within(target, each.key) for each in lower)
        )
        for one in upper
    ]
    return GAP + max(lines) * LINE


def _measure(node: Node, edges: Edges) -> None:
    """Give a node, and all that is in it, a size."""
    text = _head(node)
    node.width = max(_wide(node.title, TITLE), _label([line for line, _ in text])) + 2 * PAD
    node.height = 2 * PAD + TITLE + LINE * len(text)
    if not node.layers:
        node.width = max(node.width, 150)
        return
    inside = 0.0
    for index, layer in enumerate(node.layers):
        for each in layer:
            _measure(each, edges)
        inside += max(each.height for each in layer)
        inside += _between(node.layers[index - 1], layer, edges) if index else 0
    widest = max(sum(each.width for each in layer) + GAP * (len(layer) - 1) for layer in node.layers)
    # Words stand to the right of an arrow, which begins in the middle.
    inner = [words for pair, words in edges.items() if _lies_in(pair, (node.key, node.key))]
    beside = max(map(_label, inner), default=0)
    # The title of a frame stands to the left of one that comes in.
    title = _wide(node.title, TITLE) if node.key else 0
    node.width = max(node.width, widest + 2 * PAD, 2 * (max(beside, title) + PAD + 10))
    node.height += inside + (PAD if node.key else 0)


def _place(node: Node, x: float, y: float, edges: Edges) -> None:
    """Give a node, and all that is in it, a place."""
    node.x, node.y = x, y
    y += 2 * PAD + TITLE + LINE * len(_head(node))
    for index, layer in enumerate(node.layers):
        if index:
            y += _between(node.layers[index - 1], layer, edges)
        left = x + (node.width - sum(each.width for each in layer) - GAP * (len(layer) - 1)) / 2
        for each in layer:
            _place(each, left, y, edges)
            left += each.width + GAP
        y += max(each.height for each in layer)


# --- the drawing ---------------------------------------------------------------------------------


def _text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> str:
    kind = f' class="{style}"' if style else ""
    where = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:g}" y="{y:g}"{kind}{where}>{html.escape(words)}</text>'


def _box(node: Node, depth: int) -> Iterator[str]:
    if depth:
        style = "frame" if node.layers else "box"
        for by in (8, 4, 0) if node.many and not node.layers else (0,):
            yield (
                f'<rect class="{style}" x="{node.x + by:g}" y="{node.y + by:g}" '
                f'width="{node.width:g}" height="{node.height:g}" rx="8"/>'
            )
    y = node.y + PAD + TITLE - 2
    yield _text(node.x + PAD, y, node.title, "title")
    for line, style in _head(node):
        y += LINE
        yield _text(node.x + PAD, y, line, style)


@dataclass
class Lane:
    """A line to the right of all boxes, down which arrows go.

    Attributes:
        x: Where it is.
        taken: From where to where arrows go down there.
    """

    x: float
    taken: list[tuple[float, float]] = field(default_factory=list)

    def is_free(self, source: Node, target: Node) -> bool:
        """Whether an arrow between two boxes meets no other there."""
        upper, lower = _heights(source, target)
        return all(lower < begin or end < upper for begin, end in self.taken)


def draw(text: str) -> str:
    """Return a compiled pipeline as SVG."""
    pipeline = Pipeline(text)
    root, edges = pipeline.root, pipeline.edges
    _measure(root, edges)
    _place(root, MARGIN, MARGIN, edges)
    nodes = {node.key: node for node in root.nodes}
    shapes = [shape for key, node in nodes.items() for shape in _box(node, len(key))]
    right = root.x + root.width - PAD / 2
    lanes: list[Lane] = []
    said: Counter[Key] = Counter()
    for source, target, words, data in [
        *((nodes[source], nodes[target], words, True) for (source, target), words in edges.items()),
        *((nodes[source], nodes[target], [], False) for source, target in pipeline.order),
    ]:
        upper, lower = _siblings(source, target, nodes)
        if _next_to_each_other(upper, lower, nodes[upper.key[:-1]]):
            shapes += _straight(source, target, upper.y + upper.height + LINE * said[upper.key], words, data)
            said[upper.key] += len(words)
        else:
            lane = next((each for each in lanes if each.is_free(source, target)), None)
            if lane is None:
                lane = Lane(right + GAP / 2)
                lanes.append(lane)
            lane.taken.append(_heights(source, target))
            right = max(right, lane.x + LINE * len(words) + 4)
            shapes += _around(source, target, words, data, lane.x)
    width, height = max(right, root.x + root.width) + MARGIN, root.y + root.height + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" role="img" aria-label="Graph of the pipeline {html.escape(root.title)}">',
            f"<style>{STYLE}</style>",
            f'<rect class="ground" x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="10"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def _heights(source: Node, target: Node) -> tuple[float, float]:
    """Return where an arrow leaves a box at its side, and where it comes to another."""
    return source.y + source.height - 8, target.y + 8


def _siblings(source: Node, target: Node, nodes: dict[Key, Node]) -> tuple[Node, Node]:
    """Return what holds each of two tasks in the innermost group that holds both."""
    depth = next(at for at, (one, other) in enumerate(zip(source.key, target.key, strict=False)) if one != other)
    return nodes[source.key[: depth + 1]], nodes[target.key[: depth + 1]]


def _next_to_each_other(upper: Node, lower: Node, group: Node) -> bool:
    at = {each.key: index for index, layer in enumerate(group.layers) for each in layer}
    return at[lower.key] == at[upper.key] + 1


def _arrow(path: str, tip: str, data: bool) -> list[str]:
    style, of_tip = ("edge", "tip") if data else ("order", "order-tip")
    return [f'<path class="{style}" d="{path}"/>', f'<path class="{of_tip}" d="{tip}"/>']


def _words(x: float, y: float, words: list[str]) -> list[str]:
    return [_text(x, y + LINE * index, each, "data") for index, each in enumerate(words, 1)]


def _straight(source: Node, target: Node, below: float, words: list[str], data: bool) -> list[str]:
    """Draw an arrow downwards, with its words beside it, below a height."""
    x1, y1 = source.x + source.width / 2, source.y + source.height
    x2, y2 = target.x + target.width / 2, target.y
    middle, end = (y1 + y2) / 2, y2 - 7
    curve = f"V{end:g}" if abs(x1 - x2) < 1 else f"C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {end:g}"
    drawn = _arrow(f"M{x1:g} {y1:g} {curve}", f"M{x2 - 4.5:g} {y2 - 8:g} h9 l-4.5 8z", data)
    return drawn + _words(x1 + 9, below, words)


def _around(source: Node, target: Node, words: list[str], data: bool, lane: float) -> list[str]:
    """Draw an arrow to the right of all that is between, with its words along it."""
    y1, y2 = _heights(source, target)
    x1, x2 = source.x + source.width, target.x + target.width
    drawn = _arrow(f"M{x1:g} {y1:g} H{lane:g} V{y2:g} H{x2 + 7:g}", f"M{x2 + 8:g} {y2 - 4.5:g} v9 l-8 -4.5z", data)
    turned = [_text(0, -LINE * index - 5, each, "data") for index, each in enumerate(reversed(words))]
    return [*drawn, f'<g transform="translate({lane:g} {y1 + 9:g}) rotate(90)">', *turned, "</g>"] if words else drawn


if __name__ == "__main__":
    given, drawn = sys.argv[1:]
    Path(drawn).write_text(draw(Path(given).read_text()))
