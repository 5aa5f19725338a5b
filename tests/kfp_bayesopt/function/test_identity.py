"""What the identity of a function follows from, and what changes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kfp_bayesopt.function.walk import walk
from tests.kfp_bayesopt.function.cells import cell

CELL = """
import enum
import functools
from collections import namedtuple
from dataclasses import dataclass, field

import numpy as np

RATE = 0.5
NAMES = {"a", "b", ("c", frozenset({"x", "y", "z"}))}
TABLE = np.arange(6.0).reshape(2, 3)
SETTINGS = {"depth": [1, 2, {"width": 3}], "kind": "tree"}
MODEL = None
Point = namedtuple("Point", "x y", defaults=[3])


class Kind(enum.Enum):
    SMALL = 1
    LARGE = 2


@dataclass
class Settings:
    depth: int = 3
    names: list = field(default_factory=list)


class Base:
    scale = 2

    def loss(self, lr):
        return lr * self.scale


class Net(Base):
    kind = Kind.SMALL

    def __init__(self, layers):
        self.layers = layers

    @property
    def size(self):
        return 10 * self.layers

    @classmethod
    def make(cls, layers):
        return cls(layers)

    def loss(self, lr):
        return super().loss(lr) + self.size


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def counted(function):
    calls = 7

    @functools.wraps(function)
    def wrapper(*args, **keywords):
        return function(*args, **keywords) + calls

    return wrapper


@functools.lru_cache
def kept(x):
    return x + RATE


shifted = functools.partial(max, 5)
best = Net(4)
best.itself = best


@counted
def train(lr, layers=3, *, momentum=0.9):
    global MODEL
    class Inner:
        \"\"\"Of the function alone.\"\"\"
        bias = 4
    MODEL = Net.make(layers)
    chosen = [each for each in NAMES if each in {"a", "q"}]
    total = MODEL.loss(lr) + even(2) + len(chosen) + TABLE.sum() + kept(1) + shifted(2) + Inner.bias
    return total + SETTINGS["depth"][0] + (lambda: (lambda: RATE)())() + best.layers + Settings().depth + Point(1).y
"""

CHANGES = {
    "a constant of the function": ('"q"', '"r"'),
    "a constant in a lambda in a lambda": ("(lambda: RATE)", "(lambda: 2 * RATE)"),
    "a name that it uses": ("TABLE.sum()", "TABLE.max()"),
    "a value of the notebook": ("RATE = 0.5", "RATE = 0.25"),
    "an int that becomes a float": ("scale = 2", "scale = 2.0"),
    "a set": ('"x", "y", "z"', '"x", "y"'),
    "an array": ("np.arange(6.0)", "np.arange(1.0, 7.0)"),
    "the shape of an array": ("reshape(2, 3)", "reshape(3, 2)"),
    "the type of an array": ("np.arange(6.0)", "np.arange(6)"),
    "a value deep inside": ('"width": 3', '"width": 4'),
    "a default": ("layers=3", "layers=4"),
    "a default of a keyword": ("momentum=0.9", "momentum=0.8"),
    "a helper": ("odd(n - 1)", "odd(n - 2)"),
    "a helper of a helper": ("n != 0", "n != 1"),
    "a method": ("+ self.size", "- self.size"),
    "a property": ("10 * self", "11 * self"),
    "a class method": ("return cls(layers)", "return cls(layers + 1)"),
    "an attribute of a base": ("scale = 2", "scale = 3"),
    "an attribute of an object": ("best = Net(4)", "best = Net(5)"),
    "a member of an enum": ("LARGE = 2", "LARGE = 3"),
    "a field of a dataclass": ("depth: int = 3", "depth: int = 4"),
    "a default of a named tuple": ("defaults=[3]", "defaults=[4]"),
    "a value of a closure": ("calls = 7", "calls = 8"),
    "what a partial is given": ("partial(max, 5)", "partial(max, 6)"),
    "a function of a partial": ("partial(max, 5)", "partial(min, 5)"),
    "a function that is kept": ("return x + RATE", "return x - RATE"),
    "a class in the function": ("bias = 4", "bias = 5"),
    "its decorator": ("@counted\n", ""),
}


def code(source: str) -> str:
    """Return the identity of the function of a cell."""
    found = walk(cell(source), "train")
    assert not found.problems
    return found.code


FIRST = code(CELL)


@pytest.mark.parametrize(("old", "new"), CHANGES.values(), ids=CHANGES)
def test_it_is_another_one_with_another(old: str, new: str) -> None:
    assert CELL.count(old) == 1
    assert code(CELL.replace(old, new)) != FIRST


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nRATE", "\n\n\n# two lines lower\nRATE"),
        ("Of the function alone.", "Of it alone."),
        ("RATE = 0.5", "RATE = 0.5\nUNUSED = 4"),
        ("MODEL = None", "MODEL = {1: 2}"),
        ("SETTINGS", "SETTINGS\t"),
    ],
    ids=["lines", "documentation", "a name that it does not use", "a name that it assigns itself", "spaces"],
)
def test_it_stays_with_other(old: str, new: str) -> None:
    changed = CELL.replace(old, new, 1)
    assert changed != CELL
    assert code(changed) == FIRST


def test_it_stays_when_the_cell_is_run_again_and_when_the_function_was_called() -> None:
    train = cell(CELL)
    assert train(lr=0.5)
    assert walk(train, "train").code == FIRST


@pytest.mark.parametrize("seed", ["1", "2"])
def test_it_stays_after_a_restart_with_another_hash_seed(seed: str) -> None:
    text = f"{CELL}\nfrom kfp_bayesopt.function.walk import walk\nprint(walk(train, 'train').code)"
    ended = subprocess.run(
        [sys.executable, "-c", text], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == FIRST


def test_a_module_beside_the_notebook_counts_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "beside_a").mkdir()
    (tmp_path / "beside_a/__init__.py").write_text("from .more import loss\n")
    (tmp_path / "beside_a/more.py").write_text("import beside_b, yaml\ndef loss(x): return x\n")
    (tmp_path / "beside_b.py").write_text("A = 1\n")
    train = cell("def train(x):\n from beside_a import loss\n return loss(x)")
    found = walk(train, "train")
    assert list(found.modules.beside) == ["beside_a/__init__.py", "beside_a/more.py", "beside_b.py"]
    assert found.modules.folders == (tmp_path,)
    assert found.modules.imported == {"yaml"}
    (tmp_path / "beside_b.py").write_text("A = 2\n")
    assert walk(train, "train").code != found.code


def test_a_method_of_an_object_is_told_by_the_object_too() -> None:
    text = "class Trainer:\n def fit(self, x): return x * self.a\n"
    codes = {code(f"{text}t = Trainer()\nt.a = {value}\ntrain = t.fit") for value in (1, 1, 2)}
    assert len(codes) == 2


def test_an_object_that_can_be_called_is_told_by_its_class_too() -> None:
    codes = {code(f"class Trainer:\n def __call__(self, x): return x * {value}\ntrain = Trainer()") for value in "112"}
    assert len(codes) == 2
