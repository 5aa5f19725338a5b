"""Where an installed package came from, and whether a wheel of an index is that package."""

from __future__ import annotations

import csv
import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

from kfp_bayesopt_pipeline.elsewhere.wheels import MODULE, Wheel, tags_of


def installed(name: str, version: str) -> Distribution | None:
    """Return a package of this Python; None where it has none, or another version."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    return found if found.version == version else None


def origin(package: Distribution) -> str | None:
    """Return where a package came from that no index has; None if it came from an index.

    Installers write that down (PEP 610). Conda does too, but of the machine that built its package.
    """
    said = _said(package)
    if not said:
        return "a folder of this machine (develop)" if _is_developed(package) else None
    address = _shown(str(said.get("url", "")))
    if (repository := said.get("vcs_info")) is not None:
        return f"{repository.get('vcs', 'a repository')}, {address}"
    if (folder := said.get("dir_info")) is not None:
        return f"the folder {address}{', editable' if folder.get('editable') else ''}"
    return f"the file {address}"


def source(package: Distribution) -> str | None:
    """Return what pip calls the place that a package came from; None if it came from an index."""
    said = _said(package)
    if not said:
        return str(package.locate_file("")) if _is_developed(package) else None
    url = str(said["url"])
    if (repository := said.get("vcs_info")) is not None:
        commit = repository.get("commit_id")
        return f"{repository['vcs']}+{url}{f'@{commit}' if commit else ''}"
    return url


def package_at(place: Path) -> Distribution | None:
    """Return the package that is installed from a folder of this machine, in which a module lies."""
    for package in distributions():
        where = source(package) or ""
        path = urlsplit(where).path if where.startswith("file:") else where
        if path.startswith("/") and place.is_relative_to(Path(url2pathname(path)).resolve()):
            return package
    return None


def _said(package: Distribution) -> dict[str, dict[str, str]]:
    if (package.read_text("INSTALLER") or "").strip() == "conda":
        return {}
    try:
        said = json.loads(package.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _is_developed(package: Distribution) -> bool:
    """Tell whether a package is the folder of its source, as `setup.py develop` leaves it."""
    folder = Path(str(package.locate_file("")))
    is_old = package.read_text("RECORD") is None and package.read_text("SOURCES.txt") is not None
    return is_old and any((folder / name).is_file() for name in ("setup.py", "pyproject.toml"))


def _shown(url: str) -> str:
    """Return an address without the name and the password in it; of a file its path."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return parts.path
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def difference(package: Distribution, wheel: Wheel) -> str | None:
    """Return a module in which a wheel differs from the installed package; None if it is the same.

    A package of that name and version in another index is another package: a private one is not replaced by what
    somebody else has published. A wheel for another system may differ in generated modules.

    Args:
        package: The installed package.
        wheel: The wheel.
    """
    record = package.read_text("RECORD")
    if record is None:
        return None
    here = {line[0]: line[1] for line in csv.reader(record.splitlines()) if len(line) > 1 and MODULE.search(line[0])}
    both = [name for name in wheel.modules if here.get(name)]
    others = [name for name in both if here[name] != wheel.modules[name]]
    if both:
        most = 0 if tags_of(package.read_text("WHEEL") or "") == list(wheel.tags) else len(both) // 2
        return others[0] if len(others) > most else None
    return next(iter(wheel.modules), None) if any(here.values()) else None
