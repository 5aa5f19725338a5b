"""The optimizer state: loaded where it fits, rebuilt from the ledger where not, and nothing in it is ever run."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from kfp_bayesopt.folder.results import ledger_lines
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.proposing.state import (
    MAX_BYTES,
    MAX_HEADER_BYTES,
    STATE_FORMAT,
    SavedEngine,
    load_engine,
    state_uri,
    write_state,
)
from kfp_bayesopt.search.engine import new_engine, replay
from kfp_bayesopt.search.engines import OptimizerSettings
from kfp_bayesopt.search.engines.base import EngineSettings
from kfp_bayesopt.search.skopt_engine import SkoptEngine
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from tests.builders import X, a_record, a_study, learn_batch, study_text

SKOPT: dict[str, Any] = {"engine": "skopt", "n_initial_points": 2}
STUDY = a_study(optimizer=SKOPT)


Saved = tuple[bytes, list[Record], bytes]


def write_at(root: Path, ledger: list[Record], content: bytes, study: Study = STUDY) -> Path:
    """Write a file where the state after a ledger is looked for."""
    path = Path(state_uri(StudyFolder(str(root), study), ledger))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Return the file of an engine that has fitted a model, its ledger, and the state in the file."""
    engine, folder = SkoptEngine(STUDY), StudyFolder(str(tmp_path_factory.mktemp("saved")), STUDY)
    ledger = learn_batch(STUDY, engine, [])
    write_state(folder, engine, ledger)
    return storage.read(state_uri(folder, ledger), limit=MAX_BYTES), ledger, engine.state()


# --- what is saved -----------------------------------------------------------------------------


def load_skopt(root: Path | str, ledger: list[Record]) -> SkoptEngine:
    engine = load_engine(StudyFolder(str(root), STUDY), ledger)
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
    folder = StudyFolder(str(tmp_path), study)
    write_state(folder, engine, ledger)
    assert Path(state_uri(folder, ledger)).stat().st_size < 9_000


def test_the_header_is_a_line_that_any_language_reads(saved: Saved) -> None:
    header = json.loads(saved[0].partition(b"\n")[0])
    assert header["format"] == STATE_FORMAT == "bayesopt-optimizer-state/3"
    assert {"numpy", "scikit-learn", "scikit-optimize", "scipy", "sha256", "trials"} <= set(header)


def test_the_same_input_gives_the_same_bytes(saved: Saved, tmp_path: Path) -> None:
    folder = StudyFolder(str(tmp_path), STUDY)
    for _ in (1, 2):
        write_state(folder, replay(STUDY, saved[1]), saved[1])
    (path,) = (tmp_path / "state").iterdir()
    assert str(path) == state_uri(folder, saved[1])
    assert path.read_bytes() == saved[0]


def test_its_name_says_after_how_many_trials_it_was_saved_and_what_it_fits(saved: Saved) -> None:
    folder = StudyFolder("out", STUDY)
    other = StudyFolder("out", a_study(optimizer={**SKOPT, "random_state": 7}))
    assert re.fullmatch(r"out/state/000002-[0-9a-f]{16}\.state", state_uri(folder, saved[1]))
    edited = [saved[1][0], saved[1][1].model_copy(update={"values": {"value": 1.0}})]
    assert len({state_uri(folder, saved[1]), state_uri(folder, edited), state_uri(other, saved[1])}) == 3


def test_a_state_is_loaded_where_it_fits_and_after_the_batch_before(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaded, not rebuilt: `learn` is called for the batch since, and for no other."""
    learnt: list[int] = []
    write_at(tmp_path, saved[1], saved[0])
    ledger = learn_batch(STUDY, replay(STUDY, saved[1]), saved[1])
    expected = replay(STUDY, ledger).suggest(2)
    learn = SkoptEngine.learn

    def counted(engine: SkoptEngine, records: list[Record]) -> None:
        learnt.extend(record.trial for record in records)
        learn(engine, records)

    monkeypatch.setattr(SkoptEngine, "learn", counted)
    assert load_skopt(tmp_path, saved[1]).state() == saved[2]
    assert learnt == []
    assert load_skopt(tmp_path, ledger).suggest(2) == expected
    assert learnt == [3, 4]


def test_nothing_learnt_is_not_saved(tmp_path: Path) -> None:
    write_state(StudyFolder(str(tmp_path), STUDY), new_engine(STUDY), [])
    assert list(tmp_path.iterdir()) == []


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
def test_the_others_save_nothing_and_read_nothing(
    engine: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = a_study(iterations=20, optimizer={"engine": engine})
    ledger = [a_record(study, parameters=parameters) for parameters in new_engine(study).suggest(1)]
    folder = StudyFolder(str(tmp_path), study)
    write_state(folder, replay(study, ledger), ledger)
    assert list(tmp_path.iterdir()) == []
    write_at(tmp_path, ledger, b"damage", study)
    assert load_engine(folder, ledger).suggest(2) == replay(study, ledger).suggest(2)
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
        lambda content: changed(content, format="x/4"),
        "format: expected 'bayesopt-optimizer-state/3', but got 'x/4'",
    ),
    "of the format before, a dilled engine": (
        lambda content: signed(content, pickle.dumps(SkoptEngine), format="bayesopt-optimizer-state/1", dill="0.4.1"),
        "format: expected 'bayesopt-optimizer-state/3', but got 'bayesopt-optimizer-state/1'",
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
    path = write_at(tmp_path, ledger, damage(content))
    assert load_skopt(tmp_path, ledger).state() == state
    (message,) = caplog.messages
    assert message.startswith(f"{path}: optimizer state not used: {reason}")
    assert message.endswith("; rebuilding it from 2 trials")
    assert caplog.records[0].levelno == logging.WARNING


def test_a_missing_state_is_rebuilt_without_a_word(
    saved: Saved, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_skopt(tmp_path, saved[1]).state() == saved[2]
    assert caplog.messages == []


def test_a_folder_in_its_place_is_rebuilt_with_a_warning(
    saved: Saved, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(state_uri(StudyFolder(str(tmp_path), STUDY), saved[1]))
    path.mkdir(parents=True)
    assert load_skopt(tmp_path, saved[1]).state() == saved[2]
    assert caplog.messages == [
        f"{path}: optimizer state not used: expected a file, but it is a folder; rebuilding it from 2 trials"
    ]


def test_an_object_that_is_too_large_is_not_used(bucket: str, saved: Saved, caplog: pytest.LogCaptureFixture) -> None:
    uri = state_uri(StudyFolder(bucket, STUDY), saved[1])
    storage.create(uri, saved[0] + bytes(MAX_BYTES))
    assert load_skopt(bucket, saved[1]).state() == saved[2]
    held = len(saved[0]) + MAX_BYTES
    assert caplog.messages == [
        f"{uri}: optimizer state not used: has {held:,} bytes, but at most 1,048,576 are read; "
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
from kfp_bayesopt.folder.documents import parse_document
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.proposing.state import load_engine
from kfp_bayesopt.study.study import Study

messages = []
handler = logging.Handler()
handler.emit = lambda record: messages.append(record.getMessage())
logging.getLogger().addHandler(handler)
study = Study.from_file("study.yaml")
lines = open("trials.jsonl", "rb").read().splitlines()
ledger = [parse_document(Record, line, "trials.jsonl", study) for line in lines]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
load_engine(StudyFolder("none", study), ledger)
before = peak()
for case in sys.argv[1:]:
    messages.clear()
    state = load_engine(StudyFolder(case, study), ledger).state()
    print(json.dumps({"case": case, "messages": messages, "state": state.decode(), "megabytes": peak() - before}))
"""


@pytest.fixture(scope="module")
def attacked(saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return what came of each hostile state: the warnings, the engine's state, and how many megabytes it took."""
    content, ledger, state = saved
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "study.yaml").write_bytes(study_text(optimizer=SKOPT))
    (folder / "trials.jsonl").write_bytes(ledger_lines(ledger))

    def write(case: str, content: bytes) -> Path:
        (folder / case).mkdir()
        return write_at(folder / case, ledger, content)

    for case, payload in PAYLOADS.items():
        write(case, signed(content, payload(state)))
    for case, (header, _) in HEADERS.items():
        write(case, header(content))
    for case, length in SPARSE.items():
        with write(case, b"").open("wb") as file:
            file.write(signed(content, b"", bytes=length) if case == "a gigabyte" else b"")
            file.truncate(length)
    ran = subprocess.run([sys.executable, "-c", ATTACKED, *CASES], cwd=folder, capture_output=True, text=True)
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
    uri = state_uri(StudyFolder(case, STUDY), saved[1])
    assert message.startswith(f"{uri}: optimizer state not used: {CASES[case]}")
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
    write_at(tmp_path, ledger, signed(content, with_state(state, **forged)))
    engine = load_skopt(tmp_path, ledger)
    assert caplog.messages == []
    ledger = learn_batch(STUDY, engine, ledger)
    for parameters in [*engine.suggest(2), *(record.parameters or {} for record in ledger)]:
        assert -5 <= parameters["x1"] <= 10  # type: ignore[operator]
        assert 0 <= parameters["x2"] <= 15  # type: ignore[operator]
