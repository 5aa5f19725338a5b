"""The wheel: our two packages, all that they read, and nothing else; the same bytes whoever builds it."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

from kfp_bayesopt.version import __version__
from tests import ROOT
from tests.installed import Installed, build
from tests.test_repository import tracked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = {"images/common/kfp_bayesopt": "kfp_bayesopt", "pipeline/kfp_bayesopt_pipeline": "kfp_bayesopt_pipeline"}
INFO = f"kfp_bayesopt-{__version__}.dist-info"
OF_INFO = {"METADATA", "WHEEL", "entry_points.txt", "licenses/LICENSE", "RECORD"}
MOST_BYTES = 1_000_000


def names_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as opened:
        return set(opened.namelist())


def test_the_wheel_holds_our_two_packages_and_what_they_read(wheel: Path) -> None:
    context = {"images/.dockerignore"}
    for name in tracked():
        is_packaged = any(name.startswith(f"{folder}/") for folder in PACKAGES)
        if name.startswith("images/") and not is_packaged and not name.endswith(".in"):
            context.add(name)
    expected = {
        f"kfp_bayesopt_pipeline/shipped/{name}" for name in (*context, "pipeline/tune.yaml", "studies/branin.yaml")
    }
    for folder, package in PACKAGES.items():
        expected |= {
            name.replace(folder, package, 1)
            for name in tracked()
            if name.startswith(f"{folder}/") and not name.endswith(".in")
        }
    expected |= {f"{INFO}/{name}" for name in OF_INFO}
    assert names_of(wheel) == expected
    assert wheel.name == f"kfp_bayesopt-{__version__}-py3-none-any.whl"


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size <= MOST_BYTES


def test_another_checkout_and_the_sdist_give_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """Times of files, the permissions of a clone and what was built before do not matter."""
    checkout = tmp_path / "checkout"
    for name in tracked():
        if name.startswith(("images/", "pipeline/", "studies/")) or "/" not in name:
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, checkout / name)
            os.utime(checkout / name, (1, 1))
            (checkout / name).chmod((checkout / name).stat().st_mode & 0o700)
    assert build("wheel", tmp_path / "again", checkout).read_bytes() == wheel.read_bytes()

    sdist = build("sdist", tmp_path / "source", checkout)
    with tarfile.open(sdist) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert build("wheel", tmp_path / "from-source", unpacked).read_bytes() == wheel.read_bytes()
    tops = {path.relative_to(unpacked).parts[0] for path in unpacked.rglob("*") if path.is_file()}
    assert tops == {".gitignore", "LICENSE", "PKG-INFO", "README.md", "images", "pipeline", "pyproject.toml", "studies"}


def test_the_backend_that_builds_is_that_of_the_tests() -> None:
    (asked,) = map(Requirement, PROJECT["build-system"]["requires"])
    lock = (ROOT / "tests" / "requirements.txt").read_text()
    assert f"\n{asked.name}{asked.specifier} " in lock


def test_what_a_person_asks_for_is_in_the_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        said = email.message_from_bytes(opened.read(f"{INFO}/METADATA"))
        assert opened.read(f"{INFO}/entry_points.txt").decode().split("\n")[:2] == [
            "[console_scripts]", "bayesopt = kfp_bayesopt.cli.main:main",
        ]  # fmt: skip
    assert (said["Name"], said["Version"], said["Requires-Python"]) == ("kfp-bayesopt", __version__, ">=3.11")
    assert said.get_all("Provides-Extra") == ["all", "gcs", "kfp", "mlflow", "optuna", "parquet", "s3", "vertex"]


def test_what_is_shipped_is_where_the_code_looks_for_it(installed: Installed, tmp_path: Path) -> None:
    code = (
        "import json\nfrom kfp_bayesopt_pipeline import shipped\n"
        "for name, path in vars(shipped).items():\n    if name.isupper(): print(name, path)\n"
    )
    printed = installed.run("python", "-c", code, cwd=tmp_path).stdout.splitlines()
    places = {name: Path(path) for name, path in (line.split(" ", 1) for line in printed)}
    assert all(path.is_relative_to(installed.packages) for path in places.values())
    assert places["PACKAGE"] == installed.packages / "kfp_bayesopt"
    assert places["PRICES"].read_text().startswith("# What `bayesopt plan`")
    for where, names in (
        ("IMAGES", ["init/Dockerfile", "runtime/bin/start", "common/requirements.txt", ".dockerignore"]),
        ("STUDIES", ["branin.yaml"]),
        ("FAKE_STORAGE", ["Dockerfile", "requirements.txt"]),
    ):
        assert [name for name in names if not (places[where] / name).is_file()] == []


def test_nothing_of_the_checkout_is_in_the_environment_of_a_person(installed: Installed, tmp_path: Path) -> None:
    listed = {path.name for path in installed.packages.iterdir()}
    assert {name for name in listed if "bayesopt" in name} == {"kfp_bayesopt", "kfp_bayesopt_pipeline", INFO}
    assert installed.pip("check").stdout == "No broken requirements found.\n"
    shown = installed.run("python", "-c", "import sys; print(*sys.path, sep='\\n')", cwd=tmp_path).stdout
    assert str(ROOT) not in shown


def test_branin_runs_from_an_empty_folder_and_ends_at_its_value(installed: Installed, tmp_path: Path) -> None:
    """The second of two commands: the first is `pip install`."""
    ran = installed.run("bayesopt", "run", "branin", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"\b0\.808\d*", ran.stdout), ran.stdout
    assert (tmp_path / "out" / "branin" / "report.html").is_file()
    said = installed.run("bayesopt", "--version", cwd=tmp_path).stdout
    assert said == f"kfp-bayesopt {__version__}\n"


def test_an_older_python_is_refused_in_one_sentence(wheel: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--no-index"]
    older = ["--python-version", "3.10", "--only-binary", ":all:", "--dest", str(tmp_path)]
    ended = subprocess.run([*command, *older, str(wheel)], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == "ERROR: Package 'kfp-bayesopt' requires a different Python: 3.10.0 not in '>=3.11'\n"
