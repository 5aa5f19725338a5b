"""Storage fails at every operation of a study: it goes on, or says why and goes on when it is run again."""

from __future__ import annotations

import errno
import importlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import kfp_bayesopt.steps
from kfp_bayesopt.folder.study_folder import study_uri
from kfp_bayesopt.store import patience, storage
from kfp_bayesopt.study.budget import batches
from kfp_bayesopt.study.study import Study
from tests.builders import study_text
from tests.chain import Chain
from tests.ledgers import contents, meaning
from tests.proofs.conftest import SEED, share
from tests.proofs.faulty_storage import FAULTS, Door, Exchange, pass_on

# The client leaves the connections of failed downloads to the garbage collector.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

STEPS: dict[str, click.Command] = {
    step: importlib.import_module(f"images.{step}.main").main for step in kfp_bayesopt.steps.STEPS
}
STUDY = study_text(optimizer={"engine": "gp", "n_initial_points": 2, "random_state": 1})
Call = tuple[str, list[str]]


def chain_of(root: str) -> Chain:
    return Chain(study_uri(root, STUDY), root)


def calls_of(root: str) -> list[Call]:
    """Return the calls of a 2 x 2 study, in order."""
    chain = chain_of(root)
    calls: list[Call] = [("init", chain.init())]
    for batch in batches(Study.from_text(STUDY)):
        calls += [("evaluate", chain.evaluate(trial)) for trial in batch]
        calls += [("update", chain.update(batch))]
    return [*calls, ("report", chain.report())]


def invoke(call: Call) -> Result:
    step, arguments = call
    return CliRunner().invoke(STEPS[step], arguments, prog_name="main.py")


@dataclass
class Reference:
    """A study that nothing has gone wrong with.

    Attributes:
        root: Where it is.
        operations: For each call, how many operations of storage it makes.
        before: For each call, the study folder as it was then; and as it was in the end.
    """

    root: str
    operations: list[int] = field(default_factory=list)
    before: list[dict[str, bytes]] = field(default_factory=list)

    @property
    def calls(self) -> list[Call]:
        """The calls of the study."""
        return calls_of(self.root)

    def run(self, reset: Callable[[], object], count: Callable[[], int]) -> Reference:
        """Run the study and count its operations."""
        storage.create(study_uri(self.root, STUDY), STUDY)
        for call in self.calls:
            self.before.append(contents(self.root))
            reset()
            result = invoke(call)
            assert result.exit_code == 0, (call, result.output)
            self.operations.append(count())
        self.before.append(contents(self.root))
        return self

    def copy_for(self, number: int, root: str) -> Call:
        """Copy the study folder as it was before a call to another root; return the call for that root."""
        for name, content in self.before[number].items():
            storage.create(f"{root}/{name}", content)
        return calls_of(root)[number]

    def check(self, number: int, root: str) -> None:
        """Check that a call has made of a study folder what it made of this one."""
        assert meaning(contents(root)) == meaning(self.before[number + 1])

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


@pytest.fixture
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pauses be short, and a service that stays down be given up soon."""
    monkeypatch.setattr(patience, "RETRY", patience.RETRY.with_delay(initial=0.01, maximum=0.05).with_timeout(20))


def run_reference(root: str, faulty: Door) -> Reference:
    return Reference(root).run(faulty.open, lambda: faulty.requests)


@pytest.mark.usefixtures("_patience")
def test_a_fault_at_any_operation_of_a_store_changes_no_result(faulty_store: Door) -> None:
    """A fault that happens once is overcome; one that stays is a message, and the call again overcomes it."""
    reference = run_reference(f"{faulty_store.bucket}/faults", faulty_store)
    assert sum(reference.operations) > 60
    for case, (number, operation, kind) in enumerate(
        reference.cases([*FAULTS, "403 stays", "html stays"], faulty_store.part(18))
    ):
        faulty_store.open()
        root = f"{faulty_store.bucket}/fault-{case}"
        call = reference.copy_for(number, root)
        faulty_store.close_after(operation, FAULTS[kind.removesuffix(" stays")], stays=kind.endswith("stays"))
        result = invoke(call)
        if result.exit_code:
            assert kind.startswith("403") or kind.endswith("stays"), (number, operation, kind, result.output)
            check_message(result)
            faulty_store.open()
            result = invoke(call)
        assert result.exit_code == 0, (number, operation, kind, result.output)
        reference.check(number, root)


@pytest.mark.usefixtures("_patience")
def test_a_study_survives_faults_all_over_it(faulty_store: Door) -> None:
    """Every seventh operation fails, in another way each time, through whole studies."""
    kinds = [fault for name, fault in FAULTS.items() if name != "403"]
    reference = run_reference(f"{faulty_store.bucket}/calm", faulty_store)
    for storm in range(share(20, 1)):
        chance = random.Random(SEED + storm)

        def sometimes(exchange: Exchange, chance: random.Random = chance) -> None:
            (chance.choice(kinds) if chance.random() < 1 / 7 else pass_on)(exchange)

        root = f"{faulty_store.bucket}/storm-{storm}"
        faulty_store.open()
        storage.create(study_uri(root, STUDY), STUDY)
        faulty_store.close_after(1, sometimes, stays=True)
        for call in calls_of(root):
            result = invoke(call)
            assert result.exit_code == 0, (call, result.output)
        faulty_store.open()
        reference.check(len(reference.calls) - 1, root)


# --- local files ---------------------------------------------------------------------------------


class Disk:
    """Counts what is written to a disk, and fails at one of the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self._at, self._error = 0, 0, 0
        for name in ("fsync", "replace", "mkdir", "link"):
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
    reference = Reference(str(tmp_path / "reference")).run(lambda: disk.fail_at(0), lambda: disk.calls)
    errors = ["ENOSPC", "EDQUOT", "EROFS", "EIO"]
    for case, (number, operation, kind) in enumerate(reference.cases(errors, 10)):
        disk.fail_at(0)
        root = str(tmp_path / f"case-{case}")
        call = reference.copy_for(number, root)
        disk.fail_at(operation, getattr(errno, kind))
        result = invoke(call)
        if result.exit_code:  # a folder that is not made may be one that is there already
            check_message(result)
        disk.fail_at(0)
        assert [path for path in Path(root).rglob(".*") if path.is_file()] == []
        assert invoke(call).exit_code == 0
        reference.check(number, root)
