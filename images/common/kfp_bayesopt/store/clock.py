"""Whether the clock of this machine is that of the storage, by which all others measure how old a file is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kfp_bayesopt.store import storage

MOST = timedelta(minutes=5)
"""Clocks may differ by so much; services take a request from no other."""


def here() -> datetime:
    """Return what the clock of this machine says."""
    return datetime.now(UTC)


def now(root: str) -> datetime:
    """Return the time by the clock of the storage that a study folder is on, else by that of this machine."""
    return storage.date(root) or here()


def warning(root: str) -> str | None:
    """Return that the clock of this machine is wrong, where that is so; the storage must have answered before.

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
