"""Storage fails at every operation of a study: it goes on, or says why and goes on when it is run again."""

from __future__ import annotations

import errno
import importlib
import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from bayesopt import gcs, storage
from pipeline.chain import Chain
from tests.builders import study_text
from tests.ledgers import comparable
from tests.proofs.conftest import SEED, share
from tests.proofs.faulty_storage import FAULTS, Door, Exchange, door, pass_on

# The client leaves the connections of failed downloads to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

STEPS: dict[str, click.Command] = {
    step: importlib.import_module(f"images.{step}.main").main for step in ("init", "evaluate", "update")
}
STUDY = study_text(optimizer={"engine": "gp", "n_initial_points": 2, "random_state": 1})
Call = tuple[str, list[str]]


def calls_of(chain: Chain) -> list[Call]:
    """Return the calls of a 2 x 2 study, in order."""
    calls: list[Call] = [("init", chain.init())]
    for iteration in (1, 2):
        calls += [("evaluate", chain.evaluate(iteration, index)) for index in (0, 1)]
        calls += [("update", chain.update(iteration, 2))]
    return calls


def invoke(call: Call) -> Result:
    step, arguments = call
    return CliRunner().invoke(STEPS[step], arguments, prog_name="main.py")


def outputs_of(call: Call) -> list[str]:
    _, arguments = call
    return [value for name, value in itertools.pairwise(arguments) if name.startswith("--") and name.endswith("-out")]


def inputs_of(call: Call, root: str) -> list[str]:
    """Return what a call may read below the root of its study: all that calls before it have written."""
    before = itertools.takewhile(lambda each: each != call, calls_of(Chain(f"{root}/study.yaml", root)))
    return [f"{root}/study.yaml", *itertools.chain.from_iterable(map(outputs_of, before))]


def without_machine(uri: str) -> object:
    """Return what an object must have in common with that of another run."""
    content = storage.read(uri)
    if uri.endswith("optimizer.state"):
        return None  # a cache; it names the ledger that it was made from, with its times
    if uri.endswith("trials.jsonl") or "/record-" in uri:
        return comparable(content)
    return content


@dataclass
class Reference:
    """A study that nothing has gone wrong with.

    Attributes:
        root: Where it is.
        operations: For each call, how many operations of storage it makes.
    """

    root: str
    operations: list[int]

    @property
    def calls(self) -> list[Call]:
        """The calls of the study."""
        return calls_of(Chain(f"{self.root}/study.yaml", self.root))

    def copy_for(self, number: int, root: str) -> Call:
        """Copy what a call reads to another root; return the call for that root."""
        for uri in inputs_of(self.calls[number], self.root):
            storage.write(uri.replace(self.root, root), storage.read(uri))
        return calls_of(Chain(f"{root}/study.yaml", root))[number]

    def check(self, number: int, call: Call) -> None:
        """Check that a call has written what it wrote in this study."""
        for ours, theirs in zip(outputs_of(self.calls[number]), outputs_of(call), strict=True):
            assert without_machine(theirs) == without_machine(ours), theirs

    def cases(self, kinds: list[str], part: int) -> list[tuple[int, int, str]]:
        """Return (number of the call, number of the operation, kind of fault): all, or a share."""
        whole = [
            (number, operation, kind)
            for number, operations in enumerate(self.operations)
            for operation in range(1, operations + 1)
            for kind in kinds
        ]
        return random.Random(SEED).sample(whole, min(len(whole), share(len(whole), part)))


def check_message(result: Result) -> None:
    """Check that a call has ended with one message and no traceback."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert len(result.stderr) < 1000


# --- Cloud Storage -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faulty(_emulator: str) -> Iterator[Door]:
    with door(_emulator.removeprefix("http://")) as opened:
        yield opened


@pytest.fixture
def _patience(monkeypatch: pytest.MonkeyPatch, faulty: Door) -> Iterator[None]:
    """Let pauses be short, and a service that stays down be given up soon."""
    monkeypatch.setattr(gcs, "RETRY", gcs.RETRY.with_delay(initial=0.01, maximum=0.05).with_timeout(20))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", faulty.address)
    gcs._client.cache_clear()
    faulty.open()
    yield
    gcs._client.cache_clear()


def run_reference(root: str, faulty: Door) -> Reference:
    storage.write(f"{root}/study.yaml", STUDY)
    reference = Reference(root, [])
    for call in reference.calls:
        faulty.open()
        assert invoke(call).exit_code == 0
        reference.operations.append(faulty.requests)
    return reference


@pytest.mark.usefixtures("_patience")
def test_a_fault_at_any_operation_of_cloud_storage_changes_no_result(faulty: Door) -> None:
    """A fault that happens once is overcome; one that stays is a message, and the call again overcomes it."""
    reference = run_reference("gs://bucket/faults", faulty)
    assert sum(reference.operations) > 30
    for case, (number, operation, kind) in enumerate(reference.cases([*FAULTS, "403 stays", "html stays"], 20)):
        faulty.open()
        call = reference.copy_for(number, f"gs://bucket/fault-{case}")
        faulty.close_after(operation, FAULTS[kind.removesuffix(" stays")], stays=kind.endswith("stays"))
        result = invoke(call)
        assert faulty.requests >= operation
        if kind.startswith("403") or kind.endswith("stays"):
            check_message(result)
            faulty.open()
            result = invoke(call)
        assert result.exit_code == 0, (number, operation, kind, result.output)
        reference.check(number, call)


@pytest.mark.usefixtures("_patience")
def test_a_study_survives_faults_all_over_it(faulty: Door) -> None:
    """Every seventh operation fails, in another way each time, through whole studies."""
    kinds = [fault for name, fault in FAULTS.items() if name != "403"]
    reference = run_reference("gs://bucket/calm", faulty)
    for storm in range(share(20, 1)):
        chance = random.Random(SEED + storm)

        def sometimes(exchange: Exchange, chance: random.Random = chance) -> None:
            (chance.choice(kinds) if chance.random() < 1 / 7 else pass_on)(exchange)

        root = f"gs://bucket/storm-{storm}"
        storage.write(f"{root}/study.yaml", STUDY)
        faulty.close_after(1, sometimes, stays=True)
        for number, call in enumerate(calls_of(Chain(f"{root}/study.yaml", root))):
            assert invoke(call).exit_code == 0
            reference.check(number, call)


# --- local files ---------------------------------------------------------------------------------


class Disk:
    """Counts what is written to a disk, and fails at one of the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self._at, self._error = 0, 0, 0
        for name in ("fsync", "replace", "mkdir"):
            self._wrap(monkeypatch, name)

    def _wrap(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        real = getattr(os, name)

        def counted(*arguments: object, **options: object) -> object:
            self.calls += 1
            if self.calls == self._at:
                raise OSError(self._error, os.strerror(self._error))
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, counted)

    def fail_at(self, call: int, error: int = 0) -> None:
        """Fail at a call, counted from now; 0 for never."""
        self.calls, self._at, self._error = 0, call, error


def test_a_disk_that_fails_at_any_call_changes_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    root = str(tmp_path / "reference")
    storage.write(f"{root}/study.yaml", STUDY)
    reference = Reference(root, [])
    for call in reference.calls:
        disk.fail_at(0)
        assert invoke(call).exit_code == 0
        reference.operations.append(disk.calls)
    errors = ["ENOSPC", "EDQUOT", "EROFS", "EIO"]
    for case, (number, operation, kind) in enumerate(reference.cases(errors, 10)):
        disk.fail_at(0)
        call = reference.copy_for(number, str(tmp_path / f"case-{case}"))
        disk.fail_at(operation, getattr(errno, kind))
        result = invoke(call)
        if result.exit_code:  # a folder that is not made may be one that is there already
            check_message(result)
        disk.fail_at(0)
        assert [path for path in (tmp_path / f"case-{case}").rglob(".*") if path.is_file()] == []
        assert invoke(call).exit_code == 0
        reference.check(number, call)
