"""What `travels` says of a function."""

from __future__ import annotations

import re
from importlib.metadata import version

import numpy as np
import pytest

from kfp_bayesopt import UserError, travels
from tests.kfp_bayesopt.function.cells import cell

CELL = """
RATE = 0.5
UNUSED = 3

class Net:
    pass

def helper(x):
    return x * RATE

def made(n):
    def train(x):
        return helper(x) + n + data.sum() + len(Net.__name__)
    return train

train = made(3)
"""


def test_it_names_what_goes_along_with_kinds_sizes_and_packages() -> None:
    found = travels(cell(CELL, data=np.zeros((10, 20))))
    assert [(each.name, each.kind) for each in found.items] == [
        ("train", "function"),
        ("Net", "class"),
        ("RATE", "0.5"),
        ("data", "ndarray of 10 x 20"),
        ("helper", "function"),
        ("train → n", "3"),
    ]
    (data,) = [each for each in found.items if each.name == "data"]
    assert data.size > 1600
    assert found.packages == {name: version(name) for name in ("dill", "numpy")}
    first, *lines = repr(found).splitlines()
    assert first.startswith("train: ")
    assert re.search(r"^  data       ndarray of 10 x 20  +1\.\d+ kB$", "\n".join(lines), re.MULTILINE)
    assert "A variable that is changed afterwards changes no trial" in repr(found)


def test_what_cannot_travel_is_said_as_it_is_when_it_is_tuned() -> None:
    with pytest.raises(UserError, match="train → data: a generator; take a list, or make it inside of the function"):
        travels(cell(CELL, data=(each for each in "a")))
