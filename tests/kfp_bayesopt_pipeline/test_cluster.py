"""What a KFP cluster gives to tasks: by the settings of the target and the root, in the pipeline of `compile`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.pipeline_commands import compile_
from kfp_bayesopt_pipeline.cluster import Cluster
from kfp_bayesopt_pipeline.places.kfp import KfpSettings
from kfp_bayesopt_pipeline.places.vertex import VertexSettings
from tests.builders import write_study

# Of kfp, at import.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

INSTALLED = Cluster(
    endpoint="http://seaweedfs.kubeflow:9000",
    secret="mlpipeline-minio-artifact",
    access_key="accesskey",
    secret_key="secretkey",
)


@pytest.mark.parametrize(
    ("settings", "root", "variables", "secret"),
    [
        ({}, "minio://mlpipeline/a", {"BAYESOPT_STORE_ENDPOINT": "http://seaweedfs.kubeflow:9000"}, INSTALLED.secret),
        ({}, "gs://bucket/a", {}, ""),
        ({}, "s3://bucket/a", {}, ""),
        ({"store_region": "eu-west-1"}, "s3://bucket/a", {"BAYESOPT_STORE_REGION": "eu-west-1"}, ""),
        ({"store_secret": "mine"}, "s3://bucket/a", {}, "mine"),
        ({"store_secret": "mine"}, "az://container/a", {}, "mine"),
        (
            {"store_endpoint": "https://minio.example.com", "store_secret": "mine", "store_ca": "ca/ca.pem"},
            "minio://bucket/a",
            {
                "BAYESOPT_STORE_ENDPOINT": "https://minio.example.com",
                "BAYESOPT_CA_BUNDLE": "/opt/bayesopt-certificates/ca.pem",
            },
            "mine",
        ),
        ({"store_secret": "mine", "store_ca": "ca/ca.pem"}, "/studies/a", {}, ""),
    ],
)
def test_how_pods_reach_a_store_follows_from_the_root_and_the_settings(
    settings: dict[str, Any], root: str, variables: dict[str, str], secret: str
) -> None:
    found = KfpSettings(**settings).cluster(root)
    assert (found.variables, found.secret) == (variables, secret)


def test_what_the_installer_brings_is_reached_without_a_setting() -> None:
    assert KfpSettings().cluster("minio://mlpipeline/bayesopt") == INSTALLED


def test_the_keys_of_a_secret_may_have_other_names() -> None:
    found = KfpSettings(store_secret="mine/id/password").cluster("s3://bucket/a")
    assert found.secrets == {"id": "BAYESOPT_STORE_ACCESS_KEY", "password": "BAYESOPT_STORE_SECRET_KEY"}
    assert found.secret == "mine"


def test_vertex_is_no_cluster() -> None:
    assert VertexSettings().cluster("gs://bucket/a") is None


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("store_endpoint", "seaweedfs:9000", "expected an address, such as http://seaweedfs.kubeflow:9000, but got "),
        ("store_secret", "My_Secret", "expected NAME or NAME/ACCESS_KEY/SECRET_KEY, such as "),
        ("store_secret", "mine/id", "expected NAME or NAME/ACCESS_KEY/SECRET_KEY, such as "),
        ("store_region", "EU West", "expected lower case letters, digits and hyphens, but got 'EU West'"),
        ("store_ca", "ca", "expected NAME/KEY, such as my-certificates/ca.crt, but got 'ca'"),
        ("store_ca", "my.ca/ca.crt", "expected NAME/KEY, such as my-certificates/ca.crt, but got 'my.ca/ca.crt'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_an_example(name: str, value: str, problem: str) -> None:
    _, lines = KfpSettings.read({name: value}, "compile")
    assert len(lines) == 1
    assert lines[0].startswith(f"{name}: {problem}")


def _compiled(tmp_path: Path, images: Path, *arguments: str) -> list[Any]:
    study, out = write_study(tmp_path), tmp_path / "pipeline.yaml"
    ended = CliRunner().invoke(compile_, [str(study), "--images", str(images), "--out", str(out), *arguments])
    assert ended.exit_code == 0, ended.output
    return list(yaml.load_all(out.read_text(), Loader=yaml.CSafeLoader))


def test_compile_makes_a_pipeline_for_vertex_unless_another_target_is_given(tmp_path: Path, images: Path) -> None:
    (spec,) = _compiled(tmp_path, images)
    assert re.search(r"'resourceMemoryLimit': '8G'", str(spec))


def test_compile_says_what_a_pipeline_without_pods_leaves_out(tmp_path: Path, images: Path) -> None:
    study = write_study(tmp_path, steps={"evaluate": {"pod": {"labels": {"a": "b"}}, "request": {"cpu": 2}}})
    arguments = [str(study), "--images", str(images), "--out", str(tmp_path / "pipeline.yaml")]
    said = "steps.evaluate.request, steps.evaluate.pod.labels: left out, because only the pipeline of a KFP cluster has"
    assert said in CliRunner().invoke(compile_, arguments).stderr
    assert said not in CliRunner().invoke(compile_, [*arguments, "--target", "kfp"]).stderr


def test_compile_makes_a_pipeline_for_a_cluster(tmp_path: Path, images: Path) -> None:
    root = ["--pipeline-root", "minio://mlpipeline/mine", "--store-endpoint", "http://minio-service.kubeflow:9000"]
    spec, platforms = _compiled(tmp_path, images, "--target", "kfp", *root)
    assert str(spec).count("'http://minio-service.kubeflow:9000'") == len(spec["deploymentSpec"]["executors"]) == 4
    assert "mlpipeline-minio-artifact" in str(platforms)
    assert "Limit" not in str(spec).replace("parallelismLimit", "")
