"""The repository of images: given, or made by docs/vertex-setup.sh; nothing is pushed where it is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt_pipeline.building import registry
from kfp_bayesopt_pipeline.building.every_image import Wanted, build_images
from kfp_bayesopt_pipeline.building.step_images import check_tag

PROJECT = {"GOOGLE_CLOUD_PROJECT": "my-project", "GOOGLE_CLOUD_REGION": "europe-west1"}


@pytest.mark.parametrize(
    ("given", "variables", "expected"),
    [
        ("r.example/ours", {"REGISTRY": "r.example/theirs", **PROJECT}, "r.example/ours"),
        (None, {"REGISTRY": "r.example/theirs", **PROJECT}, "r.example/theirs"),
        (None, PROJECT, "europe-west1-docker.pkg.dev/my-project/bayesopt"),
        (None, {**PROJECT, "REGISTRY": ""}, "europe-west1-docker.pkg.dev/my-project/bayesopt"),
        (
            None,
            {**PROJECT, "GOOGLE_CLOUD_PROJECT": "example.com:mine"},
            "europe-west1-docker.pkg.dev/example.com/mine/bayesopt",
        ),
        (None, {"GOOGLE_CLOUD_PROJECT": "my-project"}, None),
        (None, {}, None),
    ],
)
def test_the_repository_is_the_one_that_is_given_else_the_project_s(
    given: str | None, variables: dict[str, str], expected: str | None
) -> None:
    assert registry.registry_of(given, variables) == expected


@pytest.mark.parametrize(
    "name",
    [
        "europe-west1-docker.pkg.dev/my-project/bayesopt", "127.0.0.1:5000/bayesopt", "localhost/a", "[::1]:5000/a",
        "registry:5000/a/b_c",
    ],
)  # fmt: skip
def test_a_host_with_a_path_is_pushed_to(name: str) -> None:
    assert registry.problem_of(name) is None


@pytest.mark.parametrize(
    "name",
    ["kfp-bayesopt", "https://r.example/a", "r.example", "r.example/A", "r.example//a", "r.example/a:1", "a/b", "-"],
)
def test_anything_else_is_refused(name: str) -> None:
    assert registry.problem_of(name) == (
        "registry: expected HOST/PROJECT/REPOSITORY, such as europe-west1-docker.pkg.dev/my-project/bayesopt, but got "
        f"{name!r}"
    )


def test_images_that_stay_here_need_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("REGISTRY", *PROJECT):
        monkeypatch.delenv(variable, raising=False)
    assert registry.registry_here(None) == "kfp-bayesopt"
    assert registry.registry_here("mine/images") == "mine/images"


@pytest.mark.parametrize(
    ("variables", "lacking"),
    [
        ({}, "GOOGLE_CLOUD_PROJECT and GOOGLE_CLOUD_REGION"),
        ({"GOOGLE_CLOUD_PROJECT": "my-project"}, "GOOGLE_CLOUD_REGION"),
    ],
)
def test_a_push_to_nowhere_is_refused_before_anything_is_built(
    variables: dict[str, str], lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("REGISTRY", *PROJECT):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("PATH", "")
    said: list[str] = []
    with pytest.raises(UserError) as raised:
        build_images(None, Path(), Wanted(push=True), said.append)
    assert raised.value.message == (
        f"no registry to push to: give REGISTRY=HOST/PROJECT/REPOSITORY, or set REGISTRY in the environment or .env, "
        f"or {lacking} there, by which it is REGION-docker.pkg.dev/PROJECT/bayesopt"
    )
    assert said == []


@pytest.mark.parametrize("tag", ["latest", "", "a b", "-a", "a" * 129])
def test_a_tag_that_moves_or_is_none_is_refused(tag: str) -> None:

    with pytest.raises(UserError, match=r"^tag: expected letters, digits, dots, hyphens and underscores"):
        check_tag(tag)


def test_without_docker_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"^docker is not installed, and images are built with it$"):
        build_images(None, Path(), Wanted(registry="r.example/ours"), print)
