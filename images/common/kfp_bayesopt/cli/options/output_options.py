"""The option that makes a command print for programs."""

from __future__ import annotations

import click

with_json = click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each event.")
