"""A comparison of this machine's clock with the storage's, by which all others measure the age of a file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kfp_bayesopt.store import storage

MOST = timedelta(minutes=5)
"""The largest difference of clocks; services refuse requests beyond it."""


def here() -> datetime:
    """Return the time by the clock of this machine."""
    return datetime.now(UTC)


def now(root: str) -> datetime:
    """Return the time by the clock of the storage of a study folder, else by that of this machine."""
    return storage.date(root) or here()


def warning(root: str) -> str | None:
    """Return a warning if the clock of this machine is wrong; the storage must have answered before.

    Args:
        root: A study folder.
    """
    known = storage.date(root)
    if known is None:
        return None
    ahead = here() - known
    if abs(ahead) <= MOST:
        return None
    size = timedelta(seconds=round(abs(ahead).total_seconds()))
    where = "ahead of" if ahead > timedelta(0) else "behind"
    return (
        f"the clock of this machine is {size} {where} that of the storage of {root}; set it, as the times that it "
        "writes are wrong by as much"
    )
