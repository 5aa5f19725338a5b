"""What a function brings into the image of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from kfp_bayesopt import UserError
from kfp_bayesopt_pipeline.building.brought import Brought, build_wheel
from kfp_bayesopt_pipeline.building.dockerfile import PIP, of_folder
from tests.wheels import a_source, a_wheel

PACKAGES = {"dill": "0.4.1", "torch": "2.9.0+cu126"}


def test_an_image_has_the_packages_of_a_function_at_their_versions(tmp_path: Path) -> None:
    line = Brought("3.11", PACKAGES, tmp_path, is_closed=True).recipe(PIP, "here/study-x")
    assert line == f"{PIP} --no-deps 'dill==0.4.1' 'torch==2.9.0+cu126'"
    recipe = of_folder(tmp_path, "python:3.11-slim-trixie", "worker:1", line)
    assert recipe.index(line) < recipe.index("COPY --chown")
    other = Brought("3.11", PACKAGES, tmp_path, is_closed=False).recipe(PIP, "here/study-x")
    assert "--no-deps" not in other  # another system needs others


def test_another_wheel_of_what_no_index_has_makes_another_image(tmp_path: Path) -> None:
    brought = Brought("3.11", {"greeting": "1.0"}, tmp_path / "wheels", is_closed=True)
    recipes = set()
    for word in ("hello", "goodbye"):
        a_wheel(tmp_path / "wheels", modules={"greeting.py": f"WORD = '{word}'\n"})
        recipes.add(brought.recipe(PIP, "here/study-x"))
        mount = f"--mount=type=bind,from=here/study-x:{brought.tag},target=/brought"
        assert brought.recipe("RUN pip install", "here/study-x") == (
            f"RUN {mount} pip install --no-deps --find-links /brought 'greeting==1.0'"
        )
    assert len(recipes) == 2


def test_the_wheel_of_a_folder_is_built(tmp_path: Path) -> None:
    source = a_source(tmp_path / "source")
    build_wheel("greeting", source.as_uri(), tmp_path / "wheels")
    (wheel,) = (tmp_path / "wheels").iterdir()
    assert wheel.name == "greeting-1.0-py3-none-any.whl"


def test_what_pip_cannot_build_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^greeting: pip wheel file:///.*/gone: .*; build its wheel by hand, or publish it$"
    ):
        build_wheel("greeting", (tmp_path / "gone").as_uri(), tmp_path)
