"""Where an installed package came from, and whether a wheel is that package."""

from __future__ import annotations

from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any

from kfp_bayesopt_pipeline.elsewhere.origins import difference, origin
from kfp_bayesopt_pipeline.elsewhere.wheels import Wheel
from tests.wheels import a_package, a_wheel

LINUX = "cp311-cp311-manylinux_2_17_x86_64"


def a_distribution(folder: Path, **how: Any) -> Distribution:
    """Return a package as an installer leaves it."""
    a_package(folder, **how)
    return PathDistribution(folder / "greeting-1.0.dist-info")


def a_wheel_of(folder: Path, **how: Any) -> Wheel:
    return Wheel.read(a_wheel(folder, **how))


def test_conda_says_where_a_package_was_built_and_that_is_no_origin(tmp_path: Path) -> None:
    built = {"url": "file:///croot/task/build", "dir_info": {}}
    assert origin(a_distribution(tmp_path, direct_url=built, installer="conda")) is None
    assert origin(a_distribution(tmp_path / "pip", direct_url=built)) == "the folder /croot/task/build"


def test_a_package_of_an_index_has_no_origin_and_equals_its_wheel(tmp_path: Path) -> None:
    package = a_distribution(tmp_path)
    assert origin(package) is None
    assert difference(package, a_wheel_of(tmp_path)) is None


def test_a_package_that_somebody_else_published_under_the_name_of_a_private_one_is_another(tmp_path: Path) -> None:
    package = a_distribution(tmp_path)
    same_name = a_wheel_of(tmp_path, modules={"greeting.py": "import os\n"})
    assert difference(package, same_name) == "greeting.py"
    other_modules = a_wheel_of(tmp_path, modules={"other.py": "import os\n"})
    assert difference(package, other_modules) == "other.py"


def test_a_module_that_a_build_writes_may_differ_from_one_system_to_the_other(tmp_path: Path) -> None:
    modules = {"greeting/__init__.py": "", "greeting/config.py": "SYSTEM = 'linux'\n"}
    wheel = a_wheel_of(tmp_path, tag=LINUX, modules=modules)
    modules["greeting/config.py"] = "SYSTEM = 'mac'\n"
    mac = a_distribution(tmp_path / "mac", tag="cp311-cp311-macosx_11_0_arm64", modules=modules)
    assert difference(mac, wheel) is None
    here = a_distribution(tmp_path / "linux", tag=LINUX, modules=modules)
    assert difference(here, wheel) == "greeting/config.py"
    modules["greeting/__init__.py"] = "X = 1\n"
    assert difference(a_distribution(tmp_path / "both", tag="cp311-cp311-win32", modules=modules), wheel) is not None
