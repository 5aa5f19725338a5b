"""What cannot be taken along is said at once, each with its path and the way out."""

from __future__ import annotations

import re
import socket
import sqlite3
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kfp_bayesopt import UserError
from kfp_bayesopt.function.taking import walk_over
from tests.kfp_bayesopt.function.cells import cell

CLIENT = """
class Client:
    def __init__(self, opened):
        self.sock = opened
    def fit(self, x):
        return x
"""
INSIDE = "open it inside of the function, which runs in other processes"


def said(source: str, **names: Any) -> str:
    """Return the message about the function of a cell."""
    with pytest.raises(UserError) as caught:
        walk_over(cell(source, **names))
    return caught.value.message


def test_all_of_them_are_in_one_message() -> None:
    with socket.socket() as opened, Path(__file__).open() as file:
        message = said(
            CLIENT
            + "client = Client(opened)\n"
            + "def helper():\n return numbers, client\n"
            + "def train(x, file=file):\n return helper(), data\n",
            opened=opened,
            file=file,
            numbers=(each for each in "a"),
            data={"all": [np.zeros(13_000_000)]},
        )
    assert message == (
        "objective: train cannot be taken along:\n"
        f"- train → file: an open file; {INSIDE}\n"
        f"- train → helper → client (Client).sock: a socket; {INSIDE}\n"
        "- train → helper → numbers: a generator; take a list, or make it inside of the function\n"
        "- train → data['all'][0]: 104 MB, and at most 64 MB are taken along; write it to a file or a bucket, and give "
        "it to the trials with data="
    )


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (threading.Lock, "a lock; make it inside of the function: trials are processes of their own, and share none"),
        (threading.Event, "a lock; make it inside of the function: trials are processes of their own, and share none"),
        (threading.Thread, "a thread; start it inside of the function"),
    ],
)
def test_what_runs_or_waits_in_this_process_stays_here(made: Any, message: str) -> None:
    assert (
        said("def train(x): return it", it=made()) == f"objective: train cannot be taken along: train → it: {message}"
    )


def test_a_connection_to_a_database_stays_here() -> None:
    with sqlite3.connect(":memory:") as database:
        assert said("def train(x): return it", it=database).endswith(f"train → it: a database connection; {INSIDE}")
    database.close()


def test_an_object_that_python_cannot_take_apart_is_said_with_its_reason() -> None:
    message = said(
        "class A:\n def __reduce_ex__(self, _): raise TypeError('no way')\nit = A()\ndef train(x): return it"
    )
    assert message.endswith("train → it (A): an A cannot be taken along (no way); make it inside of the function")


def test_a_bound_method_is_refused_for_what_its_object_has_open() -> None:
    with socket.socket() as opened:
        message = said(f"{CLIENT}train = Client(opened).fit", opened=opened)
    assert message == f"objective: fit cannot be taken along: fit → self (Client).sock: a socket; {INSIDE}"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("async def train(x): return x", "train: an async function, and"),
        ("async def train(x): yield x", "train: an async function, and"),
        ("def train(x): yield x", "train: a generator function, and"),
        ("class train: pass", "train: a class, and"),
        ("class T:\n async def __call__(self, x): return x\ntrain = T()", "T: an async function, and"),
        ("import functools\nasync def t(x): return x\ntrain = functools.partial(t, 1)", "t: an async function, and"),
    ],
)
def test_what_gives_no_value_when_it_is_called_is_refused(source: str, message: str) -> None:
    assert re.search(
        f"cannot be taken along: {message} a trial calls the function and takes what it returns; ", said(source)
    )


def test_a_structure_that_is_nested_too_deeply_is_refused() -> None:
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    assert "is nested too deeply" in said("def train(x): return it", it=nested)


def test_of_large_data_in_parts_the_largest_is_named() -> None:
    parts = {"a": np.zeros(3_000_000), "b": np.zeros(4_000_000), "c": b"1" * 20_000_000}
    message = said("def train(x): return parts", parts=parts)
    assert "train → parts['b']: 32 MB of 76 MB in all, and at most 64 MB" in message


def test_open_in_a_notebook_is_that_of_python() -> None:
    from IPython.core.interactiveshell import _modified_open

    found = walk_over(cell("def train(x): return open(x)", open=_modified_open))
    assert (found.names, found.modules.imported) == ({}, frozenset())


def test_a_magic_of_a_notebook_is_refused() -> None:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.__new__(InteractiveShell)
    message = said("def train(x): return get_ipython().run_line_magic('time', '')", get_ipython=shell.get_ipython)
    assert message.endswith(
        "train → get_ipython → self: the notebook itself, as in %magic or get_ipython(); leave it out: trials run in "
        "no notebook"
    )
