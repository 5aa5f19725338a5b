"""What can be called, and what it refers to, works in the process of a trial."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import functools, logging, pathlib, re, sys, weakref

import numpy as np

pathlib.Path("beside").mkdir()
pathlib.Path("beside/kinds_beside.py").write_text("def one(): return 1")
sys.path.append("beside")
import kinds_beside

from kfp_bayesopt.function.taking import take

class Cached:
    @functools.cached_property
    def three(self):
        return 3

class Kept:
    pass

@functools.singledispatch
def kind(value):
    return "other"

@kind.register
def _(value: int):
    return "int"

def times(factor):
    def decorated(function):
        @functools.wraps(function)
        def called(*args, **keywords):
            return factor * function(*args, **keywords)
        return called
    return decorated

@times(2)
def helper(x):
    return x

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

class Model:
    def __init__(self):
        self.lambdas = lambda x: (lambda y: helper(y))(x)
    def __call__(self, x):
        return self.lambdas(x)
    def fit(self, x):
        return self(x) + 1

around = []
around.append(around)
kept = Kept()
weak = weakref.ref(kept)
words = re.compile("a+")
table = np.array([1, "a", None], dtype=object)
log = logging.getLogger(__name__)
model = Model()

def train(x):
    assert Cached().three == 3
    assert (kind(1), kind("")) == ("int", "other")
    assert around[0] is around and weak() is kept and words.match("aa") and table[1] == "a"
    assert kinds_beside.one() == 1
    assert even(4) and not odd(4)
    log.info("x")
    return helper(x)

for name, function in {
    "a function": train,
    "a lambda in a lambda": lambda x: (lambda y: (lambda: helper(y))())(x),
    "an object that can be called": model,
    "a method": model.fit,
    "a partial": functools.partial(model.fit),
}.items():
    open(name, "wb").write(take(function).content)
"""
LOADED = """
import hashlib, json, os, sys
from kfp_bayesopt.trial.process.caller import call_function
content = open(sys.argv[1], "rb").read()
print(json.dumps(call_function("train", [], {"x": 3}, True, sys.argv[1], hashlib.sha256(content).hexdigest())))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file of each."""
    made = tmp_path_factory.mktemp("kinds")
    subprocess.run([sys.executable, "-W", "ignore::ResourceWarning", "-c", SCRIPT], cwd=made, check=True)
    return made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a function", 6),
        ("a lambda in a lambda", 6),
        ("an object that can be called", 6),
        ("a method", 7),
        ("a partial", 7),
    ],
)
def test_it_works_in_another_process(name: str, value: float, folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, name], cwd=folder, capture_output=True, text=True, check=True, timeout=50
    )
    assert json.loads(ended.stdout) == {"returned": value}
