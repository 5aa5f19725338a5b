"""Every image holds the rooms of our package that its programs may import, at their start or later."""

from __future__ import annotations

import re
import sys

import pytest

from kfp_bayesopt.steps import STEPS
from tests import ROOT
from tests.test_house import House, modules, parents

# Packages whose import has another name than their distribution.
IMPORTED_AS = {"ruamel-yaml": "ruamel", "google-cloud-storage": "google", "google-auth": "google"}
LEFT_OUT_OF_ALL = [
    line.removeprefix("common/kfp_bayesopt/")
    for line in (ROOT / "images" / ".dockerignore").read_text().splitlines()
    if line.startswith("common/kfp_bayesopt/")
]


@pytest.fixture(scope="module")
def house() -> House:
    return House(modules(ROOT))


def packages_of(step: str) -> set[str]:
    """Return the names that the packages in the lock of a step, and in that of other stores, are imported by."""
    locks = "".join((ROOT / "images" / lock).read_text() for lock in (STEPS[step].lock, "obstore/requirements.txt"))
    names = re.findall(r"^([\w.-]+)(?:\[.*\])?==", locks, re.MULTILINE)
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}


def left_out_of(step: str) -> list[str]:
    """Return the rooms that the image of a step does not get."""
    dockerfile = (ROOT / "images" / step / "Dockerfile").read_text()
    (rooms,) = re.findall(rf"^RUN sh /build/compile\.sh {step}(.*)$", dockerfile, re.MULTILINE)
    return [*rooms.split(), *LEFT_OUT_OF_ALL]


def reached_by(step: str, house: House) -> set[str]:
    """Return the modules that the programs in the image of a step may import; what lacks its packages ends at once."""
    packages = packages_of(step) | sys.stdlib_module_names
    ahead = {f"images.{each}.main" for each in (step, *STEPS[step].holds)}
    ahead |= {"kfp_bayesopt.steps.copy", "kfp_bayesopt.steps.executor"}
    found: set[str] = set()
    while ahead:
        module = ahead.pop()
        found.add(module)
        for package in parents(module):  # what a package imports at its start comes with each of its modules
            ahead |= house.at_start.get(package, set()) - found
        if house.foreign[module] <= packages:
            ahead |= house.known[module] - found
    return found


@pytest.mark.parametrize("step", STEPS)
def test_an_image_has_every_room_that_its_programs_import(step: str, house: House) -> None:
    rooms = tuple(f"kfp_bayesopt.{room.replace('/', '.')}" for room in left_out_of(step))
    reached = reached_by(step, house)
    importable = {module for module in reached if house.foreign[module] <= packages_of(step) | sys.stdlib_module_names}
    assert sorted(each for each in importable if f"{each}.".startswith(tuple(f"{room}." for room in rooms))) == []


@pytest.mark.parametrize("step", STEPS)
def test_what_an_image_leaves_out_is_there_to_be_left_out(step: str) -> None:
    package = ROOT / "images" / "common" / "kfp_bayesopt"
    assert [room for room in left_out_of(step) if not (package / room).is_dir()] == []


def test_a_room_that_is_needed_is_missed(house: House) -> None:
    for step, room in {"evaluate": "trial", "init": "proposing", "worker": "search.gp", "report": "report"}.items():
        assert any(each.startswith(f"kfp_bayesopt.{room}.") for each in reached_by(step, house)), step


def test_the_modules_of_a_step_that_need_no_other_package_are_most(house: House) -> None:
    """Names of packages that are wrong here would end the search at the first module."""
    for step in STEPS:
        reached = reached_by(step, house)
        lacking = {
            module: house.foreign[module] - packages_of(step) - sys.stdlib_module_names
            for module in reached
            if house.foreign[module] - packages_of(step) - sys.stdlib_module_names
        }
        others = {package for packages in lacking.values() for package in packages}
        assert others <= {"numpy", "scipy", "skopt", "dill", "packaging", "threadpoolctl", "optuna"}, (step, lacking)
