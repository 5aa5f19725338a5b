"""What runs beside an objective: again and again, or for a limited time."""

from __future__ import annotations

import threading

from kfp_bayesopt.trial.process.threads import for_at_most, repeating


def test_a_function_is_called_until_it_is_done() -> None:
    calls, is_done = [], threading.Event()

    def count() -> bool:
        calls.append(1)
        if len(calls) == 3:
            is_done.set()
        return len(calls) == 3

    with repeating(count, 0.001):
        assert is_done.wait(60)
    assert len(calls) == 3


def test_nothing_is_called_after_the_block() -> None:
    with repeating(lambda: calls.append(1), 3600):
        calls: list[int] = []
    assert calls == []


def test_a_call_that_hangs_is_left_behind() -> None:
    began, may_end, ends = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        may_end.wait(60)
        ends.set()

    with repeating(hang, 0.001, patience=0.0):
        assert began.wait(60)
    assert not ends.is_set()
    for_at_most(0.001, hang)
    assert not ends.is_set()
    may_end.set()
    for_at_most(60, hang)
    assert ends.is_set()
