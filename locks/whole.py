"""Checks that an environment has all that a lock names, run by its own Python: `python -I locks/whole.py LOCK`.

It prints the first missing thing, and exits 1 then.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

_LINE = re.compile(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;]+)(?:\s*;\s*([^\\\n]+))?", re.MULTILINE)


def missing(lock: str) -> Iterator[str]:
    """Yield the missing packages of a lock, and their missing files."""
    from pip._vendor.packaging.markers import Marker

    # All sizes declared for each file: two packages may bring a file of the same name, and the later one's wins.
    sizes: dict[Path, set[int]] = defaultdict(set)
    names: dict[Path, str] = {}
    for name, version, marker in _LINE.findall(lock):
        if marker and not Marker(marker.strip()).evaluate():
            continue
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            yield f"{name} is missing"
            continue
        if found.version != version:
            yield f"{name} is {found.version} and not {version}"
        for file in found.files or []:
            # Bytecode comes and goes, and pip's own notes change.
            if file.size is not None and file.suffix != ".pyc":
                path = Path(str(file.locate()))
                sizes[path].add(file.size)
                names[path] = f"{name}: {file}"
    for path, expected in sizes.items():
        if _size(path) not in expected:
            yield f"{names[path]} is missing or damaged"


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


if __name__ == "__main__":
    for problem in missing(Path(sys.argv[1]).read_text()):
        sys.exit(problem)
