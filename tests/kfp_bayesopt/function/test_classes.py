"""Classes and types of a script that are made again whole where its function is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TYPES = '''
import enum
from collections import namedtuple
from typing import Generic, NamedTuple, NewType, TypeVar

T = TypeVar("T", bound=int)
Length = NewType("Length", int)
Pair = namedtuple("Pair", "x n", defaults=[1])


class Kernel(enum.Enum):
    """The kernel."""

    LINEAR = 1
    RBF = 2
    DEFAULT = 2

    def doubled(self):
        return self.value * 2

    @classmethod
    def _missing_(cls, value):
        return cls.RBF if value == "best" else super()._missing_(value)


class Named(enum.Enum):
    def shown(self):
        return self.name


class Planet(Named):
    EARTH = (5.9, 6.4)
    MARS = (0.6, 3.4)

    def __init__(self, mass, radius):
        self.mass = mass

    def shown(self):
        return super().shown() + "!"


class Word(str, enum.Enum):
    A = enum.auto()

    def __str__(self):
        return "word " + self.value


class Access(enum.IntFlag):
    R = 1
    W = 2
    RW = 3


class Loss(NamedTuple):
    value: float
    weight: "float" = 2.0

    def total(self):
        return self.value * self.weight


class Box(NamedTuple, Generic[T]):
    content: T

    def opened(self):
        return self.content


class Point(Pair):
    def further(self):
        return self.x + 1


def train():
    import pickle

    values = [Kernel.RBF, Access.R | Access.W, Loss(1), Pair(3), Point(4), Planet.MARS]
    assert pickle.loads(pickle.dumps(values)) == values
    try:
        Kernel(5)
    except ValueError as error:
        values.append(str(error))
    return values + [
        Kernel.DEFAULT is Kernel.RBF, Kernel("best"), Kernel.RBF.doubled(), Kernel.__doc__, [*Kernel],
        Planet.EARTH.mass, Planet.EARTH.shown(), str(Word.A), Access(3) is Access.RW, Loss(1.5).total(),
        Loss.__annotations__, Loss.__qualname__, Loss.__module__, Box(3).opened(), Point(1).further(), Length(3),
        Length.__module__, T.__bound__,
    ]
'''
HERE = """
from pathlib import Path

from kfp_bayesopt.function.taking import take

Path("train.dill").write_bytes(take(train).content.split(b"\\n", 2)[2])
print(train())
"""
THERE = """
import sys
from pathlib import Path
from types import ModuleType

import dill

main = sys.modules["__main__"] = ModuleType("__main__")
train, names = dill.loads(Path("train.dill").read_bytes())
vars(main).update(names)
print(train())
"""


def said(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)


def test_enums_named_tuples_and_types_are_there_what_they_were_here(tmp_path: Path) -> None:
    here, there = said(TYPES + HERE, tmp_path), said(THERE, tmp_path)
    assert (there.returncode, there.stdout) == (0, here.stdout), here.stderr + there.stderr


OWN_NEW = """
import enum

class Color(enum.Enum):
    def __new__(cls, value, label):
        made = object.__new__(cls)
        made._value_ = value
        return made

    RED = 1, "red"

def train():
    return Color.RED.value
"""
OF_NOBODY = """
class Lost:
    def __reduce__(self):
        return "nowhere"

lost = Lost()

def train():
    return lost
"""


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            OWN_NEW,
            "train cannot be taken along: OwnNewError: the enum Color has a __new__ of its own; give it __init__",
        ),
        (OF_NOBODY, "objective: train cannot be taken along: "),
    ],
)
def test_what_cannot_be_made_again_is_refused(script: str, message: str, tmp_path: Path) -> None:
    ended = said(script + HERE, tmp_path)
    assert ended.returncode == 1
    assert message in ended.stderr
