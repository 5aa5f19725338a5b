"""Runs benchmarks and writes their figures into docs/performance.md: `python -m benchmarks NAME...`."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def main(names: list[str]) -> None:
    """Run the benchmarks named, and replace the text between their marks on the page."""
    for name in names:
        print(f"measuring {name}", flush=True)
        figures = importlib.import_module(f"benchmarks.{name}").measure()
        when = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores"
        before, start, rest = PAGE.read_text().partition(f"<!-- {name} -->")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        if not end:
            sys.exit(f"{PAGE.name}: the marks <!-- {name} --> and <!-- end of {name} --> are missing")
        PAGE.write_text(f"{before}{start}\nMeasured by `make bench BENCH={name}`: {when}.\n\n{figures}{end}{after}")
        print(figures)


if __name__ == "__main__":
    main(sys.argv[1:])
