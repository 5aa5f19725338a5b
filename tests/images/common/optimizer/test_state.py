"""The optimizer state: loaded where it fits, rebuilt from the ledger where not, and nothing in it is ever run."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from bayesopt import storage
from bayesopt.engines import OptimizerSettings
from bayesopt.engines.base import EngineSettings
from bayesopt.study import Study
from bayesopt.trials import Record, write_ledger
from optimizer.engine import new_engine, replay
from optimizer.skopt_engine import SkoptEngine
from optimizer.state import MAX_BYTES, MAX_HEADER_BYTES, SavedEngine, load_engine, write_state
from pipeline import COMMON, ROOT
from tests.builders import X, a_record, a_study, learn_batch, study_text

SKOPT: dict[str, Any] = {"engine": "skopt", "n_initial_points": 2}
STUDY = a_study(optimizer=SKOPT)


Saved = tuple[bytes, list[Record], bytes]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Return the file of an engine that has fitted a model, its ledger, and the state in the file."""
    engine, uri = SkoptEngine(STUDY), str(tmp_path_factory.mktemp("saved") / "state")
    ledger = learn_batch(STUDY, engine, [])
    write_state(uri, engine, STUDY, ledger)
    return storage.read(uri), ledger, engine.state()


# --- what is saved -----------------------------------------------------------------------------


def load_skopt(path: Path, study: Study, ledger: list[Record]) -> SkoptEngine:
    engine = load_engine(str(path), study, ledger)
    assert isinstance(engine, SkoptEngine)
    return engine


def test_points_and_values_come_from_the_ledger_alone(saved: Saved) -> None:
    """The state has no place for them."""
    assert set(json.loads(saved[2])) == {"key", "position", "hedge"}
    assert set(json.loads(saved[2])["hedge"]) == {"gains", "candidates"}


def test_a_suggestion_leaves_no_trace_in_the_engine() -> None:
    engine = SkoptEngine(STUDY)
    before = engine.state()
    assert engine.suggest(2) == engine.suggest(2)
    assert engine.state() == before


def test_the_state_does_not_grow_with_the_ledger(tmp_path: Path) -> None:
    study = a_study(space={f"x{n}": X for n in range(6)}, optimizer={"engine": "skopt", "n_initial_points": 40})
    engine = new_engine(study)
    points = engine.suggest(40)
    ledger = [a_record(study, trial, float(trial), parameters=point) for trial, point in enumerate(points, 1)]
    engine.learn(ledger)  # which fits a model to all of them
    write_state(str(tmp_path / "state"), engine, study, ledger)
    assert (tmp_path / "state").stat().st_size < 9_000


def test_the_header_is_a_line_that_any_language_reads(saved: Saved) -> None:
    header = json.loads(saved[0].partition(b"\n")[0])
    assert header["format"] == "bayesopt-optimizer-state/2"
    assert {"numpy", "scikit-learn", "scikit-optimize", "scipy", "sha256", "trials"} <= set(header)


def test_the_same_input_gives_the_same_bytes(saved: Saved, tmp_path: Path) -> None:
    write_state(str(tmp_path / "state"), replay(STUDY, saved[1]), STUDY, saved[1])
    assert storage.read(str(tmp_path / "state")) == saved[0]


# --- engines that need none --------------------------------------------------------------------

STATELESS = ["gp", "random", "sobol", "grid"]


def engine_of(settings: type[EngineSettings]) -> str:
    (name,) = get_args(settings.model_fields["engine"].annotation)
    return str(name)


def test_skopt_is_the_only_engine_that_keeps_a_state() -> None:
    keeping = [engine_of(settings) for settings in get_args(OptimizerSettings) if settings.keeps_state]
    assert keeping == ["skopt"]
    for engine in ["skopt", *STATELESS]:
        study = a_study(iterations=20, optimizer={"engine": engine})
        assert isinstance(new_engine(study), SavedEngine) == study.optimizer.keeps_state


@pytest.mark.parametrize("engine", STATELESS)
def test_the_state_of_the_others_is_a_header_which_is_never_read(
    engine: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = a_study(iterations=20, optimizer={"engine": engine})
    ledger = [a_record(study, parameters=parameters) for parameters in new_engine(study).suggest(1)]
    write_state(str(tmp_path / "state"), replay(study, ledger), study, ledger)
    header, newline, rest = (tmp_path / "state").read_bytes().partition(b"\n")
    assert json.loads(header)["optimizer"]["engine"] == engine
    assert (newline, rest) == (b"\n", b"")
    expected = replay(study, ledger).suggest(2)
    assert load_engine(str(tmp_path / "state"), study, ledger).suggest(2) == expected
    assert load_engine(str(tmp_path / "none"), study, ledger).suggest(2) == expected
    assert caplog.messages == []


# --- states that do not fit --------------------------------------------------------------------


def signed(content: bytes, payload: bytes, **header: object) -> bytes:
    """Return a state with another payload and the header that fits it, or with other words in its header."""
    line = {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest(), **header}
    return json.dumps({**json.loads(content.partition(b"\n")[0]), **line}).encode() + b"\n" + payload


def changed(content: bytes, **header: object) -> bytes:
    return signed(content, content.partition(b"\n")[2], **header)


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "it has no header"),
    "header cut off": (lambda content: content[:20], "it has no header"),
    "no header": (lambda content: content.partition(b"\n")[2] + b"\n", "format: expected "),
    "header only": (lambda content: content.partition(b"\n")[0] + b"\n", "bytes: expected 0, but got "),
    "truncated": (lambda content: content[:-1], "bytes: expected "),
    "one bit": (lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:], "sha256: expected "),
    "of a later format": (
        lambda content: changed(content, format="x/3"),
        "format: expected 'bayesopt-optimizer-state/2', but got 'x/3'",
    ),
    "of the format before, a dilled engine": (
        lambda content: signed(content, pickle.dumps(SkoptEngine), format="bayesopt-optimizer-state/1", dill="0.4.1"),
        "format: expected 'bayesopt-optimizer-state/2', but got 'bayesopt-optimizer-state/1'",
    ),
    "of another scikit-optimize": (
        lambda content: changed(content, **{"scikit-optimize": "0.9.0"}),
        "scikit-optimize: expected ",
    ),
    "of another numpy": (lambda content: changed(content, numpy="1.26.0"), "numpy: expected "),
    "of another study": (lambda content: changed(content, fingerprint="0" * 16), "fingerprint: expected "),
    "of other settings": (lambda content: changed(content, optimizer={}), "optimizer: expected "),
    "of more trials": (lambda content: changed(content, trials=4), "trials: expected 2, but got 4"),
    "of another ledger": (lambda content: changed(content, ledger="0" * 64), "ledger: expected "),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_state_that_does_not_fit_is_rebuilt_with_a_warning(
    saved: Saved, case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content, ledger, state = saved
    damage, reason = DAMAGE[case]
    path = tmp_path / "state"
    path.write_bytes(damage(content))
    assert load_skopt(path, STUDY, ledger).state() == state
    (message,) = caplog.messages
    assert message.startswith(f"{path}: optimizer state not used: {reason}")
    assert message.endswith("; rebuilding it from 2 trials")
    assert caplog.records[0].levelno == logging.WARNING


def test_a_missing_state_is_rebuilt_with_a_warning(
    saved: Saved, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_skopt(tmp_path / "none", STUDY, saved[1]).state() == saved[2]
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path}/none: optimizer state not used: ")
    assert message.endswith("; rebuilding it from 2 trials")


def test_a_folder_in_its_place_is_rebuilt_with_a_warning(
    saved: Saved, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_skopt(tmp_path, STUDY, saved[1]).state() == saved[2]
    assert "optimizer state not used: " in caplog.text


def test_an_object_that_is_too_large_is_not_used(bucket: str, saved: Saved, caplog: pytest.LogCaptureFixture) -> None:
    storage.write(f"{bucket}/state", saved[0] + bytes(MAX_BYTES))
    engine = load_engine(f"{bucket}/state", STUDY, saved[1])
    assert isinstance(engine, SkoptEngine)
    assert engine.state() == saved[2]
    held = len(saved[0]) + MAX_BYTES
    assert caplog.messages == [
        f"gs://bucket/state: optimizer state not used: has {held:,} bytes, but at most 1,048,576 are read; "
        "check that it is the right file; rebuilding it from 2 trials"
    ]


# --- hostile states ----------------------------------------------------------------------------

NO_STATE = "what follows its header is not a state of skopt"


class Reduce:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def with_state(state: bytes, **changes: Any) -> bytes:
    """Return a state with other values; those of `hedge` are named alone."""
    data = json.loads(state)
    for key, value in changes.items():
        (data["hedge"] if key in ("gains", "candidates") else data)[key] = value
    return json.dumps(data).encode()


# What is behind a header that is right in every word: who can write the file can compute its digest.
PAYLOADS: dict[str, Callable[[bytes], bytes]] = {
    "a call of os.system": lambda _: pickle.dumps(Reduce(os.system, "touch executed")),
    "a call of exec": lambda _: pickle.dumps(Reduce(exec, "open('executed', 'w').close()")),
    "a call of sys.exit": lambda _: pickle.dumps(Reduce(sys.exit, 0)),
    "a dilled function": lambda _: b'cdill._dill\n_create_function\n(S\'open("executed","w")\'\ntR.',
    "a dilled type": lambda _: b"cdill._dill\n_load_type\n(S'FunctionType'\ntR.",
    "the class of an engine": lambda _: pickle.dumps(SkoptEngine),
    "an array of 8 exabytes": lambda _: b"cnumpy\nzeros\n(I1000000000000000000\ntR.",
    "a persistent id": lambda _: b"Pexecuted\n.",
    "a bomb of lists that hold each other": lambda _: (
        b"(lp0\n" + b"".join(b"(g%d\ng%d\nlp%d\n" % (n, n, n + 1) for n in range(60)) + b"."
    ),
    "nothing": lambda _: b"",
    "null": lambda _: b"null",
    "a list": lambda _: b"[]",
    "no key": lambda _: b"{}",
    "other bytes than UTF-8": lambda _: b'{"key": "\xff"}',
    "half of a state": lambda state: state[: len(state) // 2],
    "a state and more": lambda state: state + b"{}",
    "deep lists": lambda _: b"[" * (MAX_BYTES - MAX_HEADER_BYTES),
    "deep objects": lambda _: b'{"key":' * ((MAX_BYTES - MAX_HEADER_BYTES) // 7),
    "many unknown keys": lambda state: state[:-1] + b"".join(b',"%x":1' % n for n in range(90_000)) + b"}",
    "many small lists": lambda state: state[:-1] + b',"more":[' + b"[],[]," * 170_000 + b"[]]}",
    "points and values of its own": lambda state: with_state(state, points=[[0.0, 0.0]], values=[-1e9]),
    "more points than the ledger has": lambda state: with_state(state, Xi=[[0.0, 0.0]] * 99, yi=[0.0] * 99),
    "words as text": lambda state: with_state(state, key=["1"] * 624),
    "too few words": lambda state: with_state(state, key=[1]),
    "many words": lambda state: with_state(state, key=[1] * 300_000),
    "a negative word": lambda state: with_state(state, key=[-1] * 624),
    "words over 32 bits": lambda state: with_state(state, key=[2**32] * 624),
    "fractions of words": lambda state: with_state(state, key=[0.5] * 624),
    "a position beyond the words": lambda state: with_state(state, position=625),
    "a position before the words": lambda state: with_state(state, position=-1),
    "a position of 10,000 digits": lambda state: state.replace(b'"position":', b'"position":' + b"9" * 10_000),
    "a position that is true": lambda state: with_state(state, position=True),
    "no hedge after a fit": lambda state: with_state(state, hedge=None),
    "a gain that is NaN": lambda state: with_state(state, gains=[0.0, float("nan"), 0.0]),
    "a gain that is infinite": lambda state: with_state(state, gains=[0.0, float("-inf"), 0.0]),
    "a gain that overflows": lambda state: with_state(state, gains=[0, 0, 0]).replace(b"[0, 0, 0]", b"[0, 1e999, 0]"),
    "gains that are missing": lambda state: with_state(state, gains=[0.0, 0.0]),
    "a gain that is text": lambda state: with_state(state, gains=["0", "0", "0"]),
    "candidates outside the space": lambda state: with_state(state, candidates=[[0.5, 1.5]] * 3),
    "candidates at the end of the world": lambda state: with_state(state, candidates=[[1e308, -1e308]] * 3),
    "candidates that are NaN": lambda state: with_state(state, candidates=[[0.5, float("nan")]] * 3),
    "candidates of other lengths": lambda state: with_state(state, candidates=[[0.5], [0.5, 0.5], []]),
    "candidates of many columns": lambda state: with_state(state, candidates=[[0.5] * 50_000] * 3),
    "candidates without columns": lambda state: with_state(state, candidates=[[], [], []]),
}

HEADERS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a header that is a list": (lambda _: b"[]\n{}", "its header is not a JSON object"),
    "a header that is a number": (lambda _: b"1\n{}", "its header is not a JSON object"),
    "a header of other bytes than UTF-8": (lambda _: b'{"format": "\xff\xfe"}\n', "its header is not a JSON object"),
    "a header of lone surrogates": (lambda _: b'{"format": "\\ud800"}\n', "its header is not a JSON object"),
    "a header of deep lists": (lambda _: b"[" * MAX_HEADER_BYTES + b"\n", "its header is not a JSON object"),
    "a header that is too long": (
        lambda content: changed(content, more="x" * MAX_HEADER_BYTES),
        "it has no header",
    ),
    "a header that runs code": (
        lambda _: pickle.dumps(Reduce(os.system, "touch executed"), protocol=0).replace(b"\n", b" ") + b"\n",
        "its header is not a JSON object",
    ),
    "a header of other types": (lambda content: changed(content, trials=["2"]), "trials: expected 2, but got ['2']"),
    "a header with a long word": (
        lambda content: changed(content, study="x" * 9000),
        "study: expected 'branin', but got 'xxxxxxxxxxxx...xxxxxxxxxxxxx'",
    ),
    "a header of control characters": (
        lambda content: changed(content, study="\x1b[2J\n"),
        "study: expected 'branin', but got '\\x1b[2J\\n'",
    ),
}

SPARSE = {"a gigabyte": 2**30, "a header of 100 MB": 100 * 2**20}

CASES = {
    **dict.fromkeys(PAYLOADS, NO_STATE),
    **{case: reason for case, (_, reason) in HEADERS.items()},
    **{case: f"has {length:,} bytes, but at most 1,048,576 are read" for case, length in SPARSE.items()},
}

# A process of its own: a state that ends it, or that takes all memory, ends no other test.
ATTACKED = """
import json, logging, resource, sys
from bayesopt.study_file import load_study
from bayesopt.trials import read_ledger
from optimizer.state import load_engine

messages = []
handler = logging.Handler()
handler.emit = lambda record: messages.append(record.getMessage())
logging.getLogger().addHandler(handler)
study = load_study("study.yaml")
ledger = read_ledger("trials.jsonl", study)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
load_engine("none", study, ledger)
before = peak()
for case in sys.argv[1:]:
    messages.clear()
    state = load_engine(case, study, ledger).state()
    print(json.dumps({"case": case, "messages": messages, "state": state.decode(), "megabytes": peak() - before}))
"""


@pytest.fixture(scope="module")
def attacked(saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return what came of each hostile state: the warnings, the engine's state, and how many megabytes it took."""
    content, ledger, state = saved
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "study.yaml").write_bytes(study_text(optimizer=SKOPT))
    write_ledger(str(folder / "trials.jsonl"), ledger)
    for case, payload in PAYLOADS.items():
        (folder / case).write_bytes(signed(content, payload(state)))
    for case, (header, _) in HEADERS.items():
        (folder / case).write_bytes(header(content))
    for case, length in SPARSE.items():
        with (folder / case).open("wb") as file:
            file.write(signed(content, b"", bytes=length) if case == "a gigabyte" else b"")
            file.truncate(length)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([COMMON, str(ROOT)])}
    ran = subprocess.run(
        [sys.executable, "-c", ATTACKED, *CASES], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not (folder / "executed").exists()
    outcomes = [json.loads(line) for line in ran.stdout.splitlines()]
    return {outcome["case"]: outcome for outcome in outcomes}


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_state_costs_a_warning_and_changes_nothing(
    saved: Saved, attacked: dict[str, dict[str, Any]], case: str
) -> None:
    outcome = attacked[case]
    (message,) = outcome["messages"]
    assert message.startswith(f"{case}: optimizer state not used: {CASES[case]}")
    assert message.endswith("; rebuilding it from 2 trials")
    assert len(message) < 300
    assert outcome["state"].encode() == saved[2]
    assert outcome["megabytes"] < 200


def test_the_calls_in_these_hostile_states_would_be_made_by_an_unpickler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for case in ("a call of os.system", "a call of exec"):
        pickle.loads(PAYLOADS[case](b""))
        (tmp_path / "executed").unlink()
    with pytest.raises(SystemExit):
        pickle.loads(PAYLOADS["a call of sys.exit"](b""))


@pytest.mark.parametrize(
    "forged",
    [
        {"key": [0] * 624},
        {"key": [2**32 - 1] * 624, "position": 0},
        {"gains": [1.7e308, -1.7e308, 0.0]},
        {"candidates": [[0.0, 1.0]] * 3},
    ],
    ids=["no random numbers", "the largest random numbers", "the largest gains", "a corner of the space"],
)
def test_a_state_that_is_forged_well_can_only_choose_among_the_points_of_the_space(
    saved: Saved, forged: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content, ledger, state = saved
    (tmp_path / "state").write_bytes(signed(content, with_state(state, **forged)))
    engine = load_skopt(tmp_path / "state", STUDY, ledger)
    assert caplog.messages == []
    ledger = learn_batch(STUDY, engine, ledger)
    for parameters in [*engine.suggest(2), *(record.parameters or {} for record in ledger)]:
        assert -5 <= parameters["x1"] <= 10  # type: ignore[operator]
        assert 0 <= parameters["x2"] <= 15  # type: ignore[operator]
