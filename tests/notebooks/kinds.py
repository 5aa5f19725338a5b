"""Notebooks of many kinds, as people write them: a short one each, whose function `train` is tuned in its last cell.

A line `# %%` begins a cell. The file form of a notebook is a module with the same cells, without their magics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from kfp_bayesopt import Categorical, Constant, Integer, Real
from kfp_bayesopt.space.parameters import Parameter

SPACE: dict[str, Parameter] = {"x": Real(-1, 1), "n": Integer(1, 4)}


@dataclass(frozen=True)
class Kind:
    """A notebook.

    Attributes:
        cells: Its cells before the one that tunes.
        space: What is tuned.
        objective: What the objective says beside its function: keys of that section of a study file.
        arguments: Arguments of `tune`, beside or instead of 4 trials, 2 at a time.
        beside: Files that lie beside it, by their names.
        after: Its cells after the one that tunes, where `result` is what it came to.
        states: The states of its trials.
    """

    cells: str
    space: dict[str, Parameter] = field(default_factory=lambda: SPACE)
    objective: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)
    after: str = ""
    states: tuple[str, ...] = ("completed",) * 4

    @property
    def definitions(self) -> list[str]:
        """The cells before the one that tunes."""
        return cells_of(self.cells)

    @property
    def further(self) -> list[str]:
        """The cells after it."""
        return cells_of(self.after) if self.after else []

    @property
    def module(self) -> str:
        """The cells as a module."""
        return re.sub(r"^(?:\w+ = )?[%!].*\n", "", self.cells, flags=re.MULTILINE)


def cells_of(text: str) -> list[str]:
    """Return the cells of a text."""
    return [cell.strip() for cell in text.split("# %%\n")]


KINDS = {
    "closure": Kind(
        """
def scaled(factor):
    offset = factor / 10

    def train(x, n):
        return factor * (x - offset) ** 2 + n

    return train

# %%
train = scaled(3)
"""
    ),
    "closure_of_its_own_name": Kind(
        """
def counting():
    def train(x, n):
        return x * x + (train(x, n - 1) if n > 1 else 0)

    return train

train = counting()
"""
    ),
    "inheritance": Kind(
        """
class Model:
    rate = 0.1

    def __init__(self, n):
        self.n = n

    def loss(self, x):
        return self.rate * x * x + self.n

# %%
class Deep(Model):
    rate = 0.5

    def loss(self, x):
        return super().loss(x) + 1

# %%
def train(x, n):
    return Deep(n).loss(x)
"""
    ),
    "properties_and_class_methods": Kind(
        """
class Model:
    def __init__(self, n):
        self._n = n

    @property
    def size(self):
        return self._n * self.step()

    @classmethod
    def of(cls, n):
        return cls(n)

    @staticmethod
    def step():
        return STEP

# %%
STEP = 2

def train(x, n):
    return x * x + Model.of(n).size
"""
    ),
    "dataclass": Kind(
        """
from dataclasses import dataclass, field, replace

@dataclass(frozen=True)
class Settings:
    x: float
    n: int = 1
    sizes: list[int] = field(default_factory=lambda: [1, 2])

# %%
def train(x, n):
    settings = replace(Settings(x), n=n)
    return settings.x ** 2 + settings.n * sum(settings.sizes)
"""
    ),
    "globals": Kind(
        """
EPOCHS = 3
SETTINGS = {"rate": 0.5, "sizes": [1, 2, 3], "names": {"a", "b"}}

# %%
def train(x, n):
    return EPOCHS * x * x + n * SETTINGS["rate"] + len(SETTINGS["names"]) + sum(SETTINGS["sizes"])
"""
    ),
    "global_that_the_function_changes": Kind(
        """
calls = 0

def train(x, n):
    global calls
    for _ in range(n):
        calls += 1
    return x * x + calls
"""
    ),
    "global_that_is_changed_after": Kind(
        """
OFFSET = 2

def train(x, n):
    return x * x + n + OFFSET
""",
        after="""
OFFSET = 1000
assert result.best.value < 100

# %%
assert train(0, 1) == 1001
""",
    ),
    "lambda": Kind("train = lambda x, n: x * x + n\n"),
    "lambda_in_a_lambda": Kind(
        """
power = 2
raised = lambda by: (lambda value: value ** by + power)

# %%
train = lambda x, n: (lambda y: raised(2)(y) + n)(x - 0.25)
"""
    ),
    "decorator": Kind(
        """
import functools

def twice(function):
    @functools.wraps(function)
    def wrapper(*args, **keywords):
        return function(*args, **keywords) + function(*args, **keywords)

    return wrapper

# %%
@twice
def train(x, n):
    '''Return the loss.'''
    return x * x + n
"""
    ),
    "decorator_with_a_cache": Kind(
        """
import functools

@functools.lru_cache(maxsize=None)
def steps(n):
    return n if n < 2 else steps(n - 1) + steps(n - 2)

# %%
def train(x, n):
    return x * x + steps(n + 5)
"""
    ),
    "partial": Kind(
        """
from functools import partial

def loss(factor, x, n):
    return factor * x * x + n

# %%
train = partial(loss, 3)
"""
    ),
    "callable_object": Kind(
        """
class Training:
    def __init__(self, data):
        self.data = data

    def __call__(self, x, n):
        return sum((each - x) ** 2 for each in self.data) + n

# %%
train = Training([0.1, 0.2, 0.4])
"""
    ),
    "bound_method": Kind(
        """
class Training:
    def __init__(self, data):
        self.data = data

    def loss(self, x, n):
        return sum((each - x) ** 2 for each in self.data) + n

# %%
train = Training([0.1, 0.2, 0.4]).loss
"""
    ),
    "mutual_recursion": Kind(
        """
def even(n):
    return n == 0 or odd(n - 1)

# %%
def odd(n):
    return n != 0 and even(n - 1)

# %%
def train(x, n):
    return x * x + (0 if even(n) else 1)
"""
    ),
    "helpers_of_other_cells": Kind(
        """
def squared(x):
    return x * x

# %%
import math as m

def penalty(n):
    return m.log(n) + squared(n)

# %%
def train(x, n):
    return squared(x) + penalty(n)
"""
    ),
    "helper_that_is_defined_again": Kind(
        """
def penalty(n):
    raise NotImplementedError

# %%
def train(x, n):
    return x * x + penalty(n)

# %%
def penalty(n):
    return n / 2
"""
    ),
    "relative_data": Kind(
        """
import csv
from pathlib import Path

def train(x, n):
    with open("data/points.csv") as file:
        points = [float(row["y"]) for row in csv.DictReader(file)]
    return sum((point - x) ** 2 for point in points) + n + len(Path("data/note.txt").read_text())
""",
        beside={"data/points.csv": "y\n0.1\n0.3\n", "data/note.txt": "four"},
    ),
    "module_beside": Kind(
        """
import losses

def train(x, n):
    return losses.squared(x) + losses.WEIGHT * n
""",
        beside={"losses.py": "WEIGHT = 0.5\n\ndef squared(x):\n    return x * x\n"},
    ),
    "names_from_a_module_beside": Kind(
        """
from losses import WEIGHT, Loss, squared as sq

def train(x, n):
    return sq(x) + Loss(n).value * WEIGHT
""",
        beside={
            "losses.py": "WEIGHT = 0.5\n\ndef squared(x):\n    return x * x\n\nclass Loss:\n"
            "    def __init__(self, n):\n        self.value = n\n"
        },
    ),
    "package_beside": Kind(
        """
import mine.parts.losses as losses
import os.path as paths

def train(x, n):
    return losses.squared(x) + n + len(paths.join("a", "b"))
""",
        beside={
            "mine/__init__.py": "",
            "mine/parts/__init__.py": "",
            "mine/parts/losses.py": "from mine.parts.power import power\n\ndef squared(x):\n    return power(x, 2)\n",
            "mine/parts/power.py": "def power(x, by):\n    return x ** by\n",
        },
    ),
    "imports_inside": Kind(
        """
def train(x, n):
    import math
    from statistics import mean

    return math.cos(x) + mean([n, n + 1])
"""
    ),
    "model_in_a_global": Kind(
        """
MODEL = None

class Model:
    def __init__(self):
        self.weights = [0.1, 0.2]

    def loss(self, x):
        return sum((weight - x) ** 2 for weight in self.weights)

# %%
def model():
    global MODEL
    if MODEL is None:
        MODEL = Model()
    return MODEL

# %%
def train(x, n):
    assert model() is model()
    return model().loss(x) + n
"""
    ),
    "numpy": Kind(
        """
import numpy as np

generator = np.random.default_rng(1)
X = generator.normal(size=(50, 3))
y = X @ np.array([0.1, 0.2, 0.3])

# %%
def train(x, n):
    residual = y - X @ np.full(3, x)
    return float(np.mean(residual ** 2)) + np.float64(n)
"""
    ),
    "pandas": Kind(
        """
import pandas as pd

frame = pd.DataFrame({"group": ["a", "b", "a"], "y": [0.1, 0.2, 0.6]})

# %%
def train(x, n):
    return ((frame.groupby("group")["y"].mean() - x) ** 2).sum() + n
"""
    ),
    "scikit_learn": Kind(
        """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_iris(return_X_y=True)
scaler = StandardScaler()

# %%
def train(x, n):
    model = make_pipeline(scaler, LogisticRegression(C=10 ** x, max_iter=20 * n))
    return cross_val_score(model, X, y, cv=3).mean()
""",
        arguments={"trials": 2, "maximize": True},
        states=("completed",) * 2,
    ),
    "joblib": Kind(
        """
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score

X, y = load_iris(return_X_y=True)

def score(model, X, y):
    return accuracy_score(y, model.predict(X))

# %%
def train(x, n):
    model = RandomForestClassifier(n_estimators=n, max_features=(x + 1.1) / 2.2, random_state=0)
    return cross_val_score(model, X, y, cv=2, n_jobs=2, scoring=score).mean()
""",
        arguments={"trials": 1, "parallel": 1, "maximize": True},
        states=("completed",),
    ),
    "future_annotations": Kind(
        """
from __future__ import annotations

from dataclasses import dataclass

@dataclass
class Loss:
    value: float
    parent: Loss | None = None

# %%
def train(x: float, n: int, *, more: Missing | None = None) -> Loss | float:
    loss: Loss = Loss(x * x, Loss(n))
    return loss.value + loss.parent.value
"""
    ),
    "enum": Kind(
        """
import enum

class Kernel(enum.Enum):
    LINEAR = 1
    RBF = 2

class Flag(enum.IntFlag):
    A = 1
    B = 2

# %%
DEFAULT = Kernel.RBF

def train(x, n):
    kernel = Kernel.LINEAR if n > 2 else Kernel.RBF
    return x * x + kernel.value + (kernel is DEFAULT) + (Flag.A | Flag.B)
"""
    ),
    "namedtuple": Kind(
        """
from collections import namedtuple
from typing import NamedTuple

Point = namedtuple("Point", "x n")

class Loss(NamedTuple):
    value: float
    weight: float = 2.0

    def total(self):
        return self.value * self.weight

# %%
ORIGIN = Point(0.5, 1)

def train(x, n):
    point = ORIGIN._replace(n=n)
    return Loss((point.x - x) ** 2).total() + point.n
"""
    ),
    "generator_inside": Kind(
        """
def batches(n):
    for each in range(n):
        yield from (each, each + 1)

# %%
def train(x, n):
    return x * x + sum(batch for batch in batches(n) if batch)
"""
    ),
    "exception": Kind(
        """
class DivergedError(Exception):
    def __init__(self, loss):
        super().__init__(f"the loss is {loss}")
        self.loss = loss

# %%
def epoch(x):
    if x < 0:
        raise DivergedError(-x)
    return x

def train(x, n):
    try:
        return epoch(x) + n
    except DivergedError as error:
        return error.loss + 10
"""
    ),
    "multiprocessing": Kind(
        """
import multiprocessing

WEIGHT = 3

def squared(x):
    return WEIGHT * x * x

# %%
def train(x, n):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(squared, [x] * n))
"""
    ),
    "threads": Kind(
        """
from concurrent.futures import ThreadPoolExecutor

def squared(x):
    return x * x

# %%
def train(x, n):
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(squared, [x] * n))
"""
    ),
    "pickle_inside": Kind(
        """
import pickle

class Model:
    def __init__(self, n):
        self.n = n

# %%
def train(x, n):
    with open("/dev/null", "wb") as file:
        pickle.dump(Model(n), file)
    return x * x + pickle.loads(pickle.dumps(Model(n))).n
"""
    ),
    "context_manager_and_async": Kind(
        """
import asyncio
import contextlib

@contextlib.contextmanager
def doubled(x):
    yield 2 * x

# %%
async def loss(x):
    await asyncio.sleep(0)
    return x * x

# %%
def train(x, n):
    with doubled(x) as y:
        return asyncio.run(loss(y)) + n
"""
    ),
    "magics": Kind(
        """
%%time
def train(x, n):
    return x * x + n

# %%
!ls
files = !ls
%timeit -n 1 -r 1 train(1, 1)
"""
    ),
    "plots_that_nobody_calls": Kind(
        """
def plot(result):
    import matplotlib.pyplot as plt

    plt.plot(result.trials["value"])
    display(plt.gcf())

# %%
def train(x, n):
    return x * x + n
"""
    ),
    "metric_among_several": Kind(
        """
def train(x, n):
    return {"loss": x * x + n, "accuracy": 1 - x * x / 2, "size": n}
""",
        arguments={"metric": "accuracy", "maximize": True, "limits": {"size": "<= 3"}},
    ),
    "several_objectives": Kind(
        """
def train(x, n):
    return {"accuracy": 1 - x * x / n, "latency": n + x}
""",
        arguments={"objectives": {"accuracy": "maximize", "latency": "minimize"}},
        after="assert len(result.front) >= 1\n",
    ),
    "conditions": Kind(
        """
def train(model, depth=None, rate=None):
    return depth + 1 if model == "tree" else rate * rate
""",
        space={
            "model": Categorical(["tree", "net"]),
            "depth": Integer(1, 5, when={"model": "tree"}),
            "rate": Real(0, 1, when={"model": "net"}),
        },
    ),
    "constants_and_lists": Kind(
        """
def train(sizes, kind, x):
    assert isinstance(sizes, list) and kind is None
    return x * x + len(sizes)
""",
        space={"sizes": Categorical([[64, 32], [16]]), "kind": Constant(None), "x": Real(-1, 1)},
    ),
    "failing_trial": Kind(
        """
class DivergedError(Exception):
    pass

# %%
def train(x, n):
    if n == 3:
        raise DivergedError("the loss is nan")
    return x * x + n
""",
        space={"x": Real(-1, 1), "n": Categorical([1, 3])},
        arguments={"initial_trials": [{"x": 0.5, "n": 1}, {"x": 0.5, "n": 3}, {"x": 0.25, "n": 1}, {"x": 0.1, "n": 1}]},
        states=("completed", "failed", "completed", "completed"),
    ),
    "early_stopping": Kind(
        """
import time

EPOCHS = 2

# %%
def train(x, n):
    for epoch in range(1, EPOCHS + 1):
        print(f"epoch={epoch} loss={x}", flush=True)
        time.sleep(30 if x > 0.9 else 1 / epoch)
    return {"loss": x}
""",
        objective={"intermediate": {"name": "loss", "step": "epoch"}},
        arguments={
            "metric": "loss",
            "early_stopping": {"rule": "asha", "min_steps": 1, "max_steps": 2},
            "trials": 3,
            "parallel": 1,
            "initial_trials": [{"x": 0.2, "n": 1}, {"x": 0.1, "n": 1}, {"x": 1, "n": 1}],
        },
        states=("completed", "completed", "stopped"),
    ),
}
