"""What two ledgers of the same study must agree on."""

from __future__ import annotations

import json
from typing import Any

OF_THE_MACHINE = ("started", "seconds", "host")


def comparable(ledger: bytes | str) -> list[dict[str, Any]]:
    """Return the records of a ledger without times and hosts, which differ from run to run."""
    records = [json.loads(line) for line in ledger.splitlines()]
    return [{key: value for key, value in record.items() if key not in OF_THE_MACHINE} for record in records]
