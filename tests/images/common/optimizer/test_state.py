"""The optimizer state: loaded where it fits, rebuilt from the ledger where not, and never trusted before that."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dill
import pytest

from bayesopt.trials import Record
from optimizer.engine import Engine, new_engine
from optimizer.iteration import first_batch, next_batch
from optimizer.state import load_engine, write_state
from tests.builders import X, a_record, a_study, records_of

STUDY = a_study(optimizer={"engine": "skopt", "n_initial_points": 2})


Done = tuple[bytes, list[Record], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a state after one iteration of two, its ledger, and the suggestions of iteration 3."""
    return _run(tmp_path_factory.mktemp("done"))


def _run(folder: Path) -> Done:
    engine, batch = first_batch(STUDY)
    ledger = records_of(STUDY, batch, [3.0, 2.0])
    second = next_batch(STUDY, engine, batch, ledger, ledger)
    write_state(str(folder / "optimizer.dill"), engine, STUDY, ledger)
    SECOND[:] = records_of(STUDY, second, [1.0, 4.0])
    return (folder / "optimizer.dill").read_bytes(), ledger, proposes(engine)


SECOND: list[Record] = []


def proposes(engine: Engine) -> list[dict[str, Any]]:
    """Return what an engine suggests after it has learnt the second iteration, which it proposed itself."""
    engine.learn(SECOND)
    return engine.suggest(1)


def test_a_state_that_fits_is_used_without_a_warning(
    done: Done, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content, ledger, expected = done
    (tmp_path / "state").write_bytes(content)
    assert proposes(load_engine(str(tmp_path / "state"), STUDY, ledger, pending=2)) == expected
    assert caplog.messages == []


def changed(content: bytes, **header: object) -> bytes:
    """Return a state with other words in its header."""
    line, _, payload = content.partition(b"\n")
    return json.dumps({**json.loads(line), **header}).encode() + b"\n" + payload


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "it has no header"),
    "no header": (lambda content: content.partition(b"\n")[2], "it has no header"),
    "header cut off": (lambda content: content[:20], "it has no header"),
    "header only": (
        lambda content: content.partition(b"\n")[0] + b"\n",
        "it is damaged: its payload is not the one that was written",
    ),
    "header is a list": (lambda _: b"[]\npayload", "it has no header"),
    "truncated": (lambda content: content[:-1], "it is damaged: its payload is not the one that was written"),
    "one bit": (
        lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
        "it is damaged: its payload is not the one that was written",
    ),
    "format": (
        lambda content: changed(content, format="x/2"),
        "format must be 'bayesopt-optimizer-state/1', but got 'x/2'",
    ),
    "python": (lambda content: changed(content, python="2.7"), "python must be "),
    "scikit-optimize": (lambda content: changed(content, **{"scikit-optimize": "0.9.0"}), "scikit-optimize must be "),
    "numpy": (lambda content: changed(content, numpy="1.26.0"), "numpy must be "),
    "study": (lambda content: changed(content, fingerprint="0" * 16), "fingerprint must be "),
    "trials": (lambda content: changed(content, trials=4), "trials must be 2, but got 4"),
    "ledger": (lambda content: changed(content, ledger="0" * 64), "ledger must be "),
    "cannot be unpickled": (
        lambda content: signed(content, b"\x80\x04nonsense"),
        "it cannot be unpickled: ",
    ),
    "of code that has changed": (
        lambda content: signed(content, b"\x80\x04\x8c\x06bygone\x8c\x06Engine\x93."),
        "it cannot be unpickled: ModuleNotFoundError: No module named 'bygone'",
    ),
}


def signed(content: bytes, payload: bytes) -> bytes:
    """Return a state with another payload and the header that fits it."""
    header = {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    return changed(content, **header).partition(b"\n")[0] + b"\n" + payload


@pytest.mark.parametrize("case", DAMAGE)
def test_a_state_that_does_not_fit_is_rebuilt_with_a_warning(
    done: Done, case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content, ledger, _ = done
    damage, reason = DAMAGE[case]
    path = tmp_path / "state"
    path.write_bytes(damage(content))
    engine = load_engine(str(path), STUDY, ledger, pending=2)
    assert engine._optimizer.yi == [3.0, 2.0]  # type: ignore[attr-defined]
    (message,) = caplog.messages
    assert message.startswith(f"{path}: optimizer state not used: {reason}")
    assert message.endswith("; rebuilding it from 2 trials")
    assert caplog.records[0].levelno == logging.WARNING


def test_a_missing_state_is_rebuilt_with_a_warning(
    done: Done, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, ledger, expected = done
    assert proposes(load_engine(str(tmp_path / "none"), STUDY, ledger, pending=2)) == expected
    assert caplog.messages == [
        f"{tmp_path}/none: optimizer state not used: it is not there; rebuilding it from 2 trials"
    ]


def test_a_state_of_other_optimizer_settings_is_not_used(
    done: Done, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content, ledger, _ = done
    (tmp_path / "state").write_bytes(content)
    load_engine(str(tmp_path / "state"), a_study(optimizer={"engine": "skopt", "random_state": 9}), ledger, pending=2)
    assert "optimizer state not used: optimizer must be {" in caplog.text


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, (f"import pathlib; pathlib.Path({str(self.path)!r}).touch()",))


@pytest.mark.parametrize("header", ["none", "wrong digest", "other version"])
def test_nothing_is_unpickled_before_the_header_was_read(done: Done, header: str, tmp_path: Path) -> None:
    content, ledger, _ = done
    payload = pickle.dumps(Bomb(tmp_path / "executed"))
    bomb = {
        "none": payload,
        "wrong digest": content.partition(b"\n")[0] + b"\n" + payload,
        "other version": changed(signed(content, payload), numpy="1.0"),
    }[header]
    (tmp_path / "state").write_bytes(bomb)
    load_engine(str(tmp_path / "state"), STUDY, ledger, pending=2)
    assert not (tmp_path / "executed").exists()


def test_the_bomb_of_these_tests_would_go_off(tmp_path: Path) -> None:
    dill.loads(pickle.dumps(Bomb(tmp_path / "executed")))
    assert (tmp_path / "executed").exists()


def test_the_state_of_200_trials_of_6_parameters_is_small(tmp_path: Path) -> None:
    """It holds points and values, not the models that were fitted to them."""
    study = a_study(space={f"x{n}": X for n in range(6)}, optimizer={"engine": "skopt", "n_initial_points": 200})
    engine = new_engine(study)
    points = [*engine.suggest(199), dict.fromkeys(study.space, 0.5)]
    ledger = [a_record(study, trial, float(trial), parameters=point) for trial, point in enumerate(points, 1)]
    engine.learn(ledger)  # which fits a model to all of them
    write_state(str(tmp_path / "state"), engine, study, ledger)
    assert len(ledger) == 200
    assert (tmp_path / "state").stat().st_size < 200_000


def test_the_header_is_a_line_that_any_language_reads(done: Done) -> None:
    content, _, _ = done
    header = json.loads(content.partition(b"\n")[0])
    assert header["format"] == "bayesopt-optimizer-state/1"
    assert {"python", "numpy", "scikit-learn", "scikit-optimize", "dill", "sha256", "trials"} <= set(header)


def test_the_same_input_gives_the_same_bytes(done: Done, tmp_path: Path) -> None:
    assert _run(tmp_path)[0] == done[0]
