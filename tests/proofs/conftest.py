"""Long proofs: `make proofs` runs them whole, `make test-long` a share of each, the same one every time."""

from __future__ import annotations

import os

WHOLE = os.environ.get("PROOFS") == "whole"
SEED = int(os.environ.get("PROOFS_SEED", "0"))


def share(whole: int, part: int) -> int:
    """Return how many cases of a proof are run: all of them, or the share of every `make test-long`."""
    return whole if WHOLE else part
