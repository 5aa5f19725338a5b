"""What has another name now: the old one works for a release, and says so."""

from __future__ import annotations

import click

GONE_IN = "0.3.0"
"""The release in which the old names of 0.1.0 go."""


def say_renamed(old: str, new: str, gone_in: str = GONE_IN) -> None:
    """Say on standard error that something is called otherwise now."""
    click.echo(f"{old} is now called {new}; the old name goes in {gone_in}", err=True)
