"""The build context of the images of steps: what Docker would take, by one rule, with a tag of its own."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from docker.utils.build import exclude_paths

from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.version import __version__
from kfp_bayesopt_pipeline import shipped
from kfp_bayesopt_pipeline.building.step_context import StepContext, read_step_context
from tests.installed import Installed

IGNORED = [line for line in (shipped.IMAGES / ".dockerignore").read_text().splitlines() if line[:1] != "#"]


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path]:
    """Return the two folders as a wheel installs them: the package in one, all else in another, and no modes."""
    package = shutil.copytree(shipped.PACKAGE, tmp_path / "kfp_bayesopt", copy_function=shutil.copyfile)
    others = shutil.copytree(
        shipped.IMAGES, tmp_path / "shipped", copy_function=shutil.copyfile, ignore=lambda *_: {"kfp_bayesopt"}
    )
    return others, package


def test_it_is_what_docker_takes_of_the_checkout() -> None:
    taken = {name for name in exclude_paths(str(shipped.IMAGES), IGNORED) if (shipped.IMAGES / name).is_file()}
    recipes = {f"{step}/Dockerfile" for step in STEPS}
    assert set(read_step_context().files) == taken - {"Dockerfile", ".dockerignore"} | recipes


def test_it_is_the_same_to_the_byte_from_the_folders_of_a_wheel(parts: tuple[Path, Path]) -> None:
    (parts[1] / "study" / "__pycache__").mkdir(exist_ok=True)
    (parts[1] / "study" / "__pycache__" / "study.cpython-313.pyc").write_bytes(b"compiled by pip")
    ours, theirs = read_step_context(), read_step_context(*parts)
    assert theirs == ours
    assert theirs.archive() == ours.archive()
    assert theirs.version == ours.version


def test_an_installed_wheel_gives_the_bytes_of_the_checkout(installed: Installed) -> None:
    images = installed.packages / "kfp_bayesopt_pipeline" / "shipped" / "images"
    theirs = read_step_context(images, installed.packages / "kfp_bayesopt")
    ours = read_step_context()
    assert theirs.files == ours.files
    assert theirs.archive() == ours.archive()


def test_the_archive_has_modes_times_and_owners_by_a_rule(parts: tuple[Path, Path]) -> None:
    os.chmod(parts[0] / "init" / "main.py", 0o777)  # noqa: PTH101
    context = read_step_context(*parts)
    with tarfile.open(fileobj=io.BytesIO(context.archive())) as archive:
        entries = archive.getmembers()
        contents = {entry.name: archive.extractfile(entry) for entry in entries if entry.isfile()}
        assert {name: file.read() for name, file in contents.items() if file} == context.files
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    assert {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries} == {
        (315532800, 0, 0, "", "")
    }
    started = {entry.name for entry in entries if entry.isfile() and entry.mode == 0o755}
    assert started == {f"runtime/bin/{name}" for name in ("entrypoint", "python", "start")}
    assert {entry.mode for entry in entries if entry.isdir()} == {0o755}
    assert {entry.mode for entry in entries if entry.isfile() and entry.name not in started} == {0o644}


def test_a_file_that_is_new_or_changed_or_gone_changes_the_tag(parts: tuple[Path, Path]) -> None:
    versions = [read_step_context(*parts).version]
    (parts[1] / "new.py").write_text("1\n")
    versions.append(read_step_context(*parts).version)
    (parts[1] / "new.py").write_text("2\n")
    versions.append(read_step_context(*parts).version)
    (parts[1] / "new.py").rename(parts[1] / "newer.py")
    versions.append(read_step_context(*parts).version)
    (parts[0] / "init" / "Dockerfile").write_text("FROM scratch\n")
    versions.append(read_step_context(*parts).version)
    assert len(set(versions)) == 5
    assert all(version[: -len("0123456789ab")] == f"{__version__}-" for version in versions)
    (parts[0] / "init" / "requirements.in").write_text("what no image gets\n")
    (parts[1] / "cli" / "new.py").write_text("what no step imports\n")
    assert read_step_context(*parts).version == versions[-1]


def test_a_program_and_a_file_that_is_not_started_have_other_digests() -> None:
    assert StepContext({"runtime/bin/start": b""}).digest != StepContext({"runtime/start": b""}).digest
