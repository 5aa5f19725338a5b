"""The house: which room knows which, without a circle, and how much a file and a folder hold.

Imports count wherever they are: at the top of a file, in a function, and under TYPE_CHECKING.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import ROOT

FLOORS = (
    (
        "kfp_bayesopt.errors",
        "kfp_bayesopt.hints",
        "kfp_bayesopt.private",
        "kfp_bayesopt.runtime",
        "kfp_bayesopt.version",
    ),
    (
        "kfp_bayesopt.wording",
        "kfp_bayesopt.strict",
        "kfp_bayesopt.identity",
        "kfp_bayesopt.growing",
        "kfp_bayesopt.extras",
        "kfp_bayesopt.workspace",
    ),
    ("kfp_bayesopt.store", "kfp_bayesopt.function"),
    ("kfp_bayesopt.space",),
    ("kfp_bayesopt.search",),
    ("kfp_bayesopt.study",),
    ("kfp_bayesopt.folder",),
    ("kfp_bayesopt.steps",),
    ("kfp_bayesopt.vertex",),
    ("kfp_bayesopt.proposing",),
    ("kfp_bayesopt.trial",),
    ("kfp_bayesopt.exchange",),
    ("kfp_bayesopt.report",),
    ("kfp_bayesopt.session",),
    ("kfp_bayesopt_pipeline",),
    ("kfp_bayesopt.api", "kfp_bayesopt.optuna"),
    ("kfp_bayesopt", "kfp_bayesopt.cli"),
    ("images", "pipeline"),
)
"""The rooms, the lowest first: a file imports of its own floor and of those below."""

MOST_IMPORTS = 20
MOST_FILES = 15


@dataclass
class House:
    """The modules of a checkout, and what each imports.

    Attributes:
        files: Each module by its dotted name.
        known: The modules of ours that each imports, anywhere.
        at_start: Those of them that are imported with it.
        foreign: The other packages that each imports with it.
        anywhere: The other packages that each imports, anywhere.
    """

    files: dict[str, Path]
    known: dict[str, set[str]] = field(default_factory=dict)
    at_start: dict[str, set[str]] = field(default_factory=dict)
    foreign: dict[str, set[str]] = field(default_factory=dict)
    anywhere: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for module, file in self.files.items():
            tree = ast.parse(file.read_text())
            every, first = set(imported(tree)), set(imported(tree, only_at_start=True))
            self.known[module] = {found for name in every if (found := self.module_of(name))} - {module}
            self.at_start[module] = {found for name in first if (found := self.module_of(name))} - {module}
            self.anywhere[module] = {name.partition(".")[0] for name in every if not self.module_of(name)}
            self.foreign[module] = {name.partition(".")[0] for name in first if not self.module_of(name)}

    def module_of(self, name: str) -> str | None:
        """The module that an import brings: the name may be of something in it."""
        while name and name not in self.files:
            name = name.rpartition(".")[0]
        return name or None

    def circles(self) -> list[set[str]]:
        """The modules that import each other, each circle once."""
        found: list[set[str]] = []
        reached = {module: reachable(module, self.known) for module in self.files}
        for module in sorted(self.files):
            circle = {other for other in reached[module] if module in reached[other]}
            if circle and circle not in found:
                found.append(circle)
        return found


def imported(tree: ast.AST, *, only_at_start: bool = False) -> Iterator[str]:
    """Yield the full name of everything that a file imports."""
    for node in ast.iter_child_nodes(tree):
        if only_at_start and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        ):
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "an import names its package in full"
            assert not node.level, "an import names its package in full"
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif not isinstance(node, ast.expr):
            yield from imported(node, only_at_start=only_at_start)


def reachable(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    """Everything that one leads to."""
    found: set[str] = set()
    ahead = set(arrows[start])
    while ahead:
        each = ahead.pop()
        found.add(each)
        ahead |= arrows[each] - found
    return found


def modules(root: Path) -> dict[str, Path]:
    """Every module of ours that something could import, by its name."""
    found = {}
    for base, package in ((root / "images/common", "kfp_bayesopt"), (root / "pipeline", "kfp_bayesopt_pipeline")):
        for file in (base / package).rglob("*.py"):
            parts = file.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    for file in (root / "images").glob("*/main.py"):
        found[f"images.{file.parent.name}.main"] = file
    found["pipeline.__main__"] = root / "pipeline/__main__.py"
    return found


def room_of(module: str) -> str:
    first, _, rest = module.partition(".")
    return first if first != "kfp_bayesopt" or not rest else f"{first}.{rest.partition('.')[0]}"


@pytest.fixture(scope="module")
def house() -> House:
    return House(modules(ROOT))


def test_no_modules_import_each_other(house: House) -> None:
    assert house.circles() == []


def test_a_room_knows_only_those_below_it(house: House) -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    upwards = {
        (module, room_of(other))
        for module, others in house.known.items()
        for other in others
        if floor[room_of(other)] > floor[room_of(module)]
    }
    assert upwards == set()


def test_no_file_imports_much_of_ours(house: House) -> None:
    assert {module for module, others in house.known.items() if len(others) > MOST_IMPORTS} == set()


def test_no_folder_has_many_files(house: House) -> None:
    files = Counter(file.parent for file in house.files.values() if file.name != "__init__.py")
    assert {str(folder.relative_to(ROOT)): count for folder, count in files.items() if count > MOST_FILES} == {}


def test_only_a_door_imports_click(house: House) -> None:
    doors = {"kfp_bayesopt.steps.command", "kfp_bayesopt.steps.options", "kfp_bayesopt.steps.copy"}
    users = {
        module
        for module, others in house.anywhere.items()
        if "click" in others and room_of(module) not in {"kfp_bayesopt.cli", "images"}
    }
    assert users == doors


def test_evaluate_starts_without_numpy(house: House) -> None:
    start = "images.evaluate.main"
    brought = {start} | reachable(start, house.at_start)
    # A module is imported with the packages that it is in.
    packages = {name for each in brought for name in parents(each)} & house.files.keys()
    while missing := packages - brought:
        brought |= missing | {other for each in missing for other in reachable(each, house.at_start)}
        packages = {name for each in brought for name in parents(each)} & house.files.keys()
    heavy = {"numpy", "scipy", "pandas", "skopt", "optuna", "kfp"}
    assert {each: found for each in brought if (found := house.foreign[each] & heavy)} == {}


def parents(module: str) -> Iterator[str]:
    """Yield the packages that a module is in."""
    while module := module.rpartition(".")[0]:
        yield module


def test_imports_count_wherever_they_are(tmp_path: Path) -> None:
    """What the other tests rely on: a file of each kind of import, each in a circle of its own with `top`."""
    code = {
        "top": "from house import inner, typed, whole\nimport json\n",
        "inner": "def function() -> None:\n    import house.top\n    import numpy\n",
        "typed": "if TYPE_CHECKING:\n    from house.top import Name\n    import numpy\n",
        "whole": "class Name:\n    import house.top\n",
        "alone": "import house.top\n",
    }
    files = {}
    for name, text in code.items():
        files[f"house.{name}"] = tmp_path / f"{name}.py"
        files[f"house.{name}"].write_text(text)
    house = House(files)
    assert house.circles() == [{"house.inner", "house.top", "house.typed", "house.whole"}]
    assert house.known["house.alone"] == {"house.top"}
    assert not house.at_start["house.inner"] | house.at_start["house.typed"]
    assert house.at_start["house.whole"] == {"house.top"}
    assert house.foreign["house.top"] == {"json"}
    assert house.foreign["house.inner"] == set()
    assert house.anywhere["house.inner"] == {"numpy"}
