"""The packages of a function, as a lock and a cache of wheels, from which each trial in an image installs them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from kfp_bayesopt import hints
from kfp_bayesopt.errors import ExistsError, NotFoundError, UserError, listed, named
from kfp_bayesopt.function.file import FunctionFile
from kfp_bayesopt.function.lock import Lock
from kfp_bayesopt.function.modules import place_beside
from kfp_bayesopt.function.stored import find_function
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.building.brought import Brought, build_wheel
from kfp_bayesopt_pipeline.elsewhere import wheels as of_worker
from kfp_bayesopt_pipeline.elsewhere.origins import difference, installed, origin, package_at, source
from kfp_bayesopt_pipeline.elsewhere.wheels import NoWheelError, Wheel

THREADS = 8
WHERE = "objective.function"
LOADER = "dill"


def prepare(study: Study, home: str, python: str, say: Callable[[str], None] | None = None) -> Study:
    """Return a study whose function brings its packages along, whose wheels are in a cache then.

    Nothing is written before all of them are found to be right.

    Args:
        study: The study; one without a function is returned as it is.
        home: The folder below which studies are; the cache is `HOME/wheels`.
        python: The version of the worker's Python, such as `3.11`.
        say: Shows what is downloaded. By default nothing does.

    Raises:
        UserError: A package cannot travel; the message names all that cannot, one a line, and the way out.
    """
    if study.objective.function is None:
        return study
    carried = carried_by(study)
    cache = f"{home.rstrip('/')}/wheels"
    packages = packages_of(carried)
    _refuse([*_not_of_an_index(packages), *_beside(carried)])
    with tempfile.TemporaryDirectory() as temporary:
        found = _find(packages, python, cache, Path(temporary), say)
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda wheel: _put(wheel, Path(temporary), cache), found))
    lock = Lock.of(wheel.pin for wheel in found)
    return study.with_packages(FunctionFile(carried.content, lock), cache)


def brought_into_image(study: Study, folder: Path) -> Brought:
    """Return the packages of a study's function for an image of its folder: any that pip can install here again.

    Args:
        study: The study; its objective is a function.
        folder: The folder for the wheels of those that no index has.

    Raises:
        UserError: pip cannot build one.
    """
    carried = carried_by(study)
    packages = packages_of(carried)
    for name, version in packages.items():
        package = installed(name, version)
        if package is not None and (where := source(package)) is not None:
            build_wheel(name, where, folder)
    return Brought(carried.header(WHERE).python, dict(sorted(packages.items())), folder)


def carried_by(study: Study) -> FunctionFile:
    """Return the file of a study's function: what it carries, else what lies beside the study file.

    Raises:
        UserError: It is not there, or another one.
    """
    function = study.objective.function
    assert function is not None
    if study.carried is not None:
        return study.carried
    return find_function([f"{study.folder or '.'}/{function.file_name}"], function.name, function.file)


def packages_of(carried: FunctionFile) -> dict[str, str]:
    """Return the packages of a function, name and version; what loads it is always among them.

    Those that are installed from a folder of this machine, whose modules lie there, are among them too.
    """
    header = carried.header(WHERE)
    own = filter(None, (package_at(place) for place in _places(carried).values()))
    return {LOADER: header.dill} | header.packages | {canonicalize_name(each.name): each.version for each in own}


def _places(carried: FunctionFile) -> dict[str, Path]:
    """Return where the modules of a function lie that are not installed, as far as they are there."""
    tops = dict.fromkeys(map(_top, carried.header(WHERE).beside))
    return {top: place for top in tops if (place := place_beside(top)) is not None}


def _top(file: str) -> str:
    """Return the name by which a module is imported, of its file or of one in it."""
    return file.partition("/")[0].partition(".")[0]


def _beside(carried: FunctionFile) -> list[str]:
    """Return the problem of modules that lie beside a notebook or script, and are of no package."""
    packaged = {top for top, place in _places(carried).items() if package_at(place) is not None}
    alone = [file for file in carried.header(WHERE).beside if _top(file) not in packaged]
    return [f"{named(alone)}: beside the notebook or script, and not where its trials run"] if alone else []


def _refuse(problems: Iterable[str]) -> None:
    if lines := [f"{problem}; say {hints.IMAGE_BUILD} to build an image with it" for problem in problems]:
        raise UserError(listed(WHERE, lines))


def _not_of_an_index(packages: Mapping[str, str]) -> list[str]:
    """Return the problems of packages that no index has."""
    found = ((name, version, installed(name, version)) for name, version in packages.items())
    origins = ((name, version, package and origin(package)) for name, version, package in found)
    return [
        f"{name}=={version}: is installed from {where}, and a worker takes packages from an index"
        for name, version, where in origins
        if where is not None
    ]


def _find(
    packages: Mapping[str, str], python: str, cache: str, folder: Path, say: Callable[[str], None] | None
) -> list[Wheel]:
    """Return the wheels of packages, and of what these need on a worker but not here; new ones are in a folder then."""
    found: dict[str, Wheel] = {}
    asked = {name: f"=={version}" for name, version in packages.items()}
    problems: list[str] = []
    while asked:
        before = {name: _in_cache(name, version, python, cache) for name, version in packages.items() if name in asked}
        found |= {name: wheel for name, wheel in before.items() if wheel is not None}
        new = {name: specifier for name, specifier in asked.items() if name not in found}
        if new and say is not None:
            say(f"downloading {len(new)} packages for Python {python} on Linux")
        problems += _download(new, python, folder, lambda line: say(f"{line} {cache}") if say is not None else None)
        for path in sorted(folder.glob("*.whl")):
            wheel = Wheel.read(path)
            found.setdefault(wheel.pin.name, wheel)
        _refuse([*problems, *_of_others(found, packages)])
        for name in new:
            of_worker.remember(found[name], python)
        asked = _needed_there(found, python)  # what is asked for in vain is refused above
    return list(found.values())


def _in_cache(name: str, version: str, python: str, cache: str) -> Wheel | None:
    """Return the wheel of a package that need not be downloaded."""
    wheel = of_worker.known(name, version, python)
    package = installed(name, version)
    if wheel is None or (package is not None and difference(package, wheel) is not None):
        return None
    return wheel if _is_there(wheel, wheel.pin.uri(cache)) else None


def _download(asked: Mapping[str, str], python: str, folder: Path, say: Callable[[str], object]) -> list[str]:
    """Download wheels, and return the problems of those that there are none of; `say` shows where they are kept."""
    left, problems = dict(asked), []
    while left:
        try:
            said = of_worker.download([f"{name}{specifier}" for name, specifier in left.items()], python, folder)
        except NoWheelError as error:
            name = str(error)
            if name not in left:
                raise UserError(f"{WHERE}: pip finds no {name} for Python {python} on Linux") from None
            where = "the index that pip is set to has no wheel of it"
            problems.append(f"{name}{left.pop(name)}: {where} for Python {python} on Linux (x86_64)")
        else:
            if of_worker.OTHER_INDEX in said:  # such as a private one
                say("pip is set to an index of its own; whoever may read the cache has these packages too:")
            break
    return problems


def _of_others(found: Mapping[str, Wheel], packages: Mapping[str, str]) -> list[str]:
    """Return the problems of wheels that are other packages than those that are installed here."""
    problems = []
    for name, version in packages.items():
        package = installed(name, version)
        if name in found and package is not None and (module := difference(package, found[name])) is not None:
            problems.append(
                f"{name}=={version}: the index that pip is set to has another package of that name and version than "
                f"is installed here ({module} differs); set pip to the index that it came from"
            )
    return problems


def _needed_there(found: Mapping[str, Wheel], python: str) -> dict[str, str]:
    """Return what packages need on a worker but not here, name and specifier, as far as it is not found."""
    here, there = _environment_here(), _environment(python)
    lacking: dict[str, SpecifierSet] = {}
    ahead = [(name, "") for name in found]
    done = set()
    while ahead:
        name, extra = each = ahead.pop()
        if each in done or name not in found:
            continue
        done.add(each)
        for needed in map(Requirement, found[name].needs):
            if needed.marker is not None and not needed.marker.evaluate({**there, "extra": extra}):
                continue
            other = canonicalize_name(needed.name)
            ahead += [(other, wanted) for wanted in needed.extras]
            is_theirs = needed.marker is not None and not needed.marker.evaluate({**here, "extra": extra})
            if is_theirs and other not in found:
                lacking[other] = lacking.get(other, SpecifierSet()) & needed.specifier
    return {name: str(specifier) for name, specifier in lacking.items()}


def _environment_here() -> dict[str, str]:
    return {name: str(value) for name, value in default_environment().items()}


def _environment(python: str) -> dict[str, str]:
    """Return the variables of markers on a worker."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


# --- the cache ---------------------------------------------------------------------------------


def _is_there(wheel: Wheel, uri: str) -> bool:
    """Tell whether a cache has a wheel, as far as its store tells without reading it.

    Raises:
        UserError: It has something else in its place.
    """
    try:
        entry = storage.stat(uri)
    except NotFoundError:
        return False
    if entry.size != wheel.size or entry.md5 not in (None, wheel.md5):
        raise _planted(wheel, uri)
    return True


def _put(wheel: Wheel, folder: Path, cache: str) -> None:
    """Put a wheel into a cache, once."""
    path, uri = folder / wheel.pin.file, wheel.pin.uri(cache)
    if not path.is_file():
        return
    try:
        storage.copy(str(path), uri)
    except ExistsError:
        raise _planted(wheel, uri) from None


def _planted(wheel: Wheel, uri: str) -> UserError:
    return UserError(f"{uri}: is not the wheel of {wheel.pin}, but other content; delete it, and find out who wrote it")
