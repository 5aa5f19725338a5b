"""What a process does in the time that it has to end."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from kfp_bayesopt.trial import interrupts as stopping
from kfp_bayesopt.trial.interrupts import uninterrupted


def test_what_is_called_returns_or_raises_as_it_would_without() -> None:
    assert uninterrupted(lambda: 3, lambda: None) == 3
    with pytest.raises(ZeroDivisionError):
        uninterrupted(lambda: 1 // 0, lambda: None)


def test_the_time_to_stop_is_counted_from_when_a_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is taken away counts it so, and a last word comes after it."""
    monkeypatch.setattr(stopping, "SECONDS_TO_STOP", 1.0)
    released = threading.Event()

    now, waited = [100.0], []

    class Thread(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            waited.append(timeout)

    class Outcomes:
        def get(self) -> None:
            raise KeyboardInterrupt

        def put(self, outcome: object) -> None:
            pass

    monkeypatch.setattr(stopping, "SimpleQueue", Outcomes)
    monkeypatch.setattr("threading.Thread", Thread)
    monkeypatch.setattr(stopping, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def stop() -> None:
        now[0] += 0.75

    with pytest.raises(KeyboardInterrupt):
        uninterrupted(lambda: released.wait(30), stop)
    assert waited == [0.25]
    released.set()
