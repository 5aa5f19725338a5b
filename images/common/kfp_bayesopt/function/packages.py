"""The installed packages that modules come from, with what these need: name and version of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOADER = "dill"
"""The package that loads a function, whatever it imports."""


def packages_of(modules: Iterable[str], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the packages that modules come from, closed over what each needs, and dill with its own.

    Args:
        modules: Names of modules, with their parents: `sklearn.linear_model`. Those of the standard library, of no
            installed package, or that are not there are left out.
        environment: Variables of markers, such as `sys_platform`, where they differ from those of this Python. What
            is not installed here is left out.

    Returns:
        The version of each by its normalized name, in the order of names.
    """
    known = packages_distributions()
    ahead = [(LOADER, "")]
    for module in modules:
        names = known.get(module.partition(".")[0], [])
        ahead += [(name, "") for name in (_that_hold(module, names) if len(set(names)) > 1 else names)]
    found: dict[str, str] = {}
    done = set()
    while ahead:
        name, extra = each = ahead.pop()
        if each in done:
            continue
        done.add(each)
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[canonicalize_name(package.metadata["Name"])] = package.version
        for text in package.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({**(environment or {}), "extra": extra}):
                ahead += [(needed.name, wanted) for wanted in ("", *needed.extras)]
    return dict(sorted(found.items()))


def _that_hold(module: str, names: Iterable[str]) -> list[str]:
    """Return those of several packages with one folder, such as `google`, that have a module; all if none has it."""
    every = sorted(set(names))
    path = module.replace(".", "/")
    holding = [
        name
        for name in every
        if any(str(file) in (f"{path}.py", f"{path}/__init__.py") for file in distribution(name).files or ())
    ]
    return holding or every
