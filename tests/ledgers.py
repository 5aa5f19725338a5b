"""What two study folders of the same study must agree on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kfp_bayesopt.store import storage

OF_THE_RUN = (
    *("attempt", "code", "cost", "log", "machine", "memory_bytes", "place", "processor_seconds"),
    *("seconds", "started", "startup_seconds", "suggested", "worker"),
)


def comparable(ledger: bytes | str) -> list[dict[str, Any]]:
    """Return the records of a ledger without what differs from run to run: times, machines, attempts."""
    records = [json.loads(line) for line in ledger.splitlines()]
    return [{key: value for key, value in record.items() if key not in OF_THE_RUN} for record in records]


def contents(root: str) -> dict[str, bytes]:
    """Return every object of a study folder, by its name below the root."""
    return {
        entry.uri.removeprefix(f"{root}/"): storage.read(entry.uri, limit=entry.size)
        for entry in storage.entries(f"{root}/")
    }


def meaning(files: dict[str, bytes]) -> dict[str, object]:
    """Return what a study folder says, whoever wrote it: suggestions, values, results."""
    said: dict[str, object] = {}
    for name, content in files.items():
        if name.endswith("suggestion.json") or name.startswith(("study/", "best", "summary")):
            said[name] = content
        elif "/record-" in name:
            said[name.partition("/record-")[0]] = comparable(content)
        elif name.endswith(".jsonl"):
            said[name] = comparable(content)
    return said


def check_agreement(ledger: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    """Check that two ledgers of one study, as `comparable` gives them, agree.

    They are equal bit for bit where numpy runs on the same kernels. Elsewhere a search for a maximum ends where
    rounding lets it: two versions of Python were 2.5e-6 apart on one processor, of how far the numbers of a parameter
    lie apart, and two processors a relative 1e-5 in a value.
    """
    for ours, theirs in zip(ledger, other, strict=True):
        assert ours.pop("values") == pytest.approx(theirs.pop("values"), rel=1e-4)
    points, others = ([record.pop("parameters") for record in records] for records in (ledger, other))
    for point, same in zip(points, others, strict=True):
        assert point.keys() == same.keys()
        for name, value in point.items():
            if not isinstance(value, float):
                assert value == same[name]
                continue
            numbers = [each[name] for each in others if name in each]
            assert value == pytest.approx(same[name], rel=1e-6, abs=5e-6 * (max(numbers) - min(numbers)))
    assert ledger == other
