"""What must be equal in files that cannot share it, and what must be in none."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from kfp_bayesopt import __version__
from kfp_bayesopt.steps import STEPS
from tests import ROOT


def tracked() -> list[str]:
    """Return the files of the repository, those too that are not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    assert listed.returncode == 0, listed.stderr
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def dockerfile(step: str) -> str:
    return (ROOT / "images" / step / "Dockerfile").read_text()


# --- images ------------------------------------------------------------------------------------


def test_all_steps_share_the_recipe() -> None:
    """What is left when the packages and the files of a step are taken out is the same in each."""

    def recipe(step: str) -> str:
        text = re.sub(rf"\b{step}\b", "STEP", dockerfile(step))
        text = re.sub(r"(?<=COPY runtime/install.sh runtime/assemble.py )\S+", "LOCK", text)
        text = re.sub(r"(?<=compile.sh STEP).*", "", text)
        text = re.sub(r"# (Where the objective runs|It runs last).*\n", "", text)
        return re.sub(r"(?m)^COPY (?!--from|runtime/(install|compile)).*\n", "", text)

    assert len({recipe(step) for step in STEPS}) == 1


def test_no_two_dockerfiles_have_the_same_size() -> None:
    """Docker 20.10 takes one for the other where they were written in the same moment too, as by `git clone`."""
    assert len({len(dockerfile(step)) for step in STEPS}) == len(STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_an_image_is_built_as_every_image_must_be(step: str) -> None:
    text = dockerfile(step)
    assert text.startswith(f"# The step `{step}`. Build context: images/\nARG PYTHON_IMAGE=python:3.13-slim-trixie\n")
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 4 + ["image"] * 2
    assert "\nRUN sh /build/install.sh /build/requirements.txt\n" in text
    assert re.search(rf"^RUN sh /build/compile.sh {step}( [a-z/]+)*$", text, re.MULTILINE)
    assert "\nUSER 1000:1000\n" in text
    assert f'kfp-bayesopt.runtime="{__version__}" kfp-bayesopt.step="{step}"' in text
    assert f'\nENTRYPOINT ["/opt/bayesopt/bin/entrypoint", "{step}"]\nCMD ["--help"]\n' in text
    assert text.endswith(
        "FROM image AS s3\nCOPY --from=obstore /opt/bayesopt/packages /opt/bayesopt/packages\n"
        'LABEL kfp-bayesopt.stores="s3"\n\nFROM image\n'
    ), "without --target it is the image without what is added"
    assert not re.search(r"^# syntax", text, re.MULTILINE)
    assert re.findall(r"org\.opencontainers\.image\.(\w+)=", text) == ["title", "version"]


@pytest.mark.parametrize("step", STEPS)
def test_everything_that_an_image_copies_is_let_into_the_build(step: str) -> None:
    allowed = [line[1:] for line in (ROOT / "images" / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile(step), re.MULTILINE):
        for source in line.split():
            assert list((ROOT / "images").glob(source)), source
            assert any(source == pattern or source.startswith(f"{pattern}/") for pattern in allowed), source


# --- the repository ----------------------------------------------------------------------------


def test_no_file_holds_a_path_of_somebodys_machine() -> None:
    """A path below a home or a workplace works nowhere else; Ada, of the folder of 0.1.0, is nobody."""
    machine = re.compile(rf"(?<![\w.~$}}])/(?:home(?!/ada/)|Users|root|work|opt/pypi)/|{re.escape(str(ROOT))}")
    found = []
    for name in tracked():
        try:
            lines = (ROOT / name).read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{name}:{number}: {line.strip()}" for number, line in enumerate(lines, 1) if machine.search(line)]
    assert [line for line in found if not line.startswith("tests/test_repository.py:")] == []


def test_no_image_is_named_by_a_moving_tag() -> None:
    for name in tracked():
        if "Dockerfile" in name or name.endswith((".yml", ".yaml")):
            assert ":latest" not in (ROOT / name).read_text(), name


# --- tests -------------------------------------------------------------------------------------


def test_no_test_asserts_how_long_something_took() -> None:
    """A machine may be busy: set the clock, ask for processor time, or set a limit that it never comes near."""
    clock = re.compile(r"assert .*\b(?:monotonic|perf_counter|time)\(\) - ")
    found = [
        f"{name}:{number}"
        for name in tracked()
        if name.startswith("tests/")
        for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1)
        if clock.search(line)
    ]
    assert found == []


# --- workflows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("workflow", sorted((ROOT / ".github" / "workflows").iterdir()), ids=lambda path: path.name)
def test_a_workflow_takes_actions_by_their_commit_and_may_do_little(workflow: Path) -> None:
    text = workflow.read_text()
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", each)] == []
    assert "\npermissions: {contents: read}\n" in text


def test_the_release_says_that_it_was_never_run() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert text.startswith("# NEVER RUN YET. ")
