"""What two study folders of the same study must agree on."""

from __future__ import annotations

import json
from typing import Any

from bayesopt import storage

OF_THE_RUN = (
    *("attempt", "code", "log", "machine", "memory_bytes", "place", "processor_seconds"),
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
