"""The repository of images: given, or made by docs/vertex-setup.sh; nothing is pushed where it is not known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt_pipeline.building import docker_commands, registry
from kfp_bayesopt_pipeline.building.every_image import Wanted, build_images
from kfp_bayesopt_pipeline.building.step_images import check_tag
from tests import needed

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


def test_a_docker_that_does_not_answer_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    needed.program("docker")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(UserError) as raised:
        build_images(None, Path(), Wanted(registry="r.example/ours", only=("init",)), print)
    assert raised.value.message.startswith("Docker does not answer: Cannot connect to the Docker daemon at ")


def test_the_last_lines_of_a_build_that_fails_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\ncat >/dev/null\nseq 30\necho no space left >&2\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    said: list[str] = []
    with pytest.raises(UserError) as raised:
        build_images(None, Path(), Wanted(registry="r.example/ours", tag="1.0", only=("init",)), said.append)
    shown = "".join(f"    | {line}\n" for line in (*range(12, 31), "no space left"))
    assert raised.value.message == (
        f"r.example/ours/init:1.0: Docker cannot build the image; it said at last:\n{shown}mend it and build again"
    )
    assert said == ["building r.example/ours/init:1.0"]


@pytest.mark.parametrize(
    ("said", "way_out"),
    [
        (
            "denied: Permission denied",
            "; `gcloud auth configure-docker a-docker.pkg.dev` gives Docker the right to push there",
        ),
        ("dial tcp: connection refused", ""),
    ],
)
def test_a_push_that_is_refused_names_the_login(
    said: str, way_out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(UserError) as raised:
        docker_commands.push("a-docker.pkg.dev/p/r/init:1.0")
    assert raised.value.message == f"a-docker.pkg.dev/p/r/init:1.0: cannot be pushed: {said}{way_out}"
