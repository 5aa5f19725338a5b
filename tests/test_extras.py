"""The extras: what needs one says so in one line where it is missing, and nothing else needs one."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kfp_bayesopt import extras
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.formats import FORMATS
from kfp_bayesopt.extras import Extra, needed_by
from kfp_bayesopt_pipeline.places import SERVICES
from locks.closed import read_project, read_requirements
from tests import ROOT
from tests.builders import study_text
from tests.installed import Installed, an_environment, install
from tests.test_house import House, modules

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[Requirement]] = {
    name: [Requirement(each) for each in listed] for name, listed in PROJECT["optional-dependencies"].items()
}
BASE = {
    "click",
    "dill",
    "numpy",
    "packaging",
    "pydantic",
    "pydantic_core",
    "dotenv",
    "rich",
    "ruamel",
    "skopt",
    "scipy",
    "threadpoolctl",
}
"""What our code imports of the packages that everybody has."""
OWN = {"kfp_bayesopt.api.frames": {"pandas"}, "kfp_bayesopt.store.certificates": {"certifi"}}
"""What a person has, or has not, and no extra brings."""


def test_the_code_knows_the_extras_of_the_distribution() -> None:
    assert {*get_args(Extra), "all"} == EXTRAS.keys()
    of_all = {name for each in EXTRAS["all"] for name in each.extras}
    held = {"vertex": {"kfp"}, "kfp": {"gcs", "s3"}}
    for name, needed in held.items():
        assert {extra for each in EXTRAS[name] for extra in each.extras} == needed
    assert of_all == {*get_args(Extra)} - set().union(*held.values()), "the others hold these"


@pytest.mark.parametrize(
    ("lock", "extras"), [("pipeline/requirements.in", []), ("pipeline/cloud/requirements.in", ["all"])]
)
def test_an_environment_of_people_has_what_a_wheel_asks_for(lock: str, extras: list[str]) -> None:
    """Each `requirements.in` names the packages of the distribution, and of all of its extras."""
    asked = [Requirement(each) for each in PROJECT["dependencies"]]
    if extras:
        asked = read_project(ROOT / "pyproject.toml")
    pins = {canonicalize_name(pin.name): pin for pin in read_requirements(ROOT / lock.replace(".in", ".txt"))}
    for each in asked:
        (pin,) = pins[canonicalize_name(each.name)].specifier
        assert each.specifier.contains(pin.version), f"{lock}: {pin.version} is not {each}"
    named = {canonicalize_name(each.name) for each in read_requirements(ROOT / lock)}
    assert named <= {canonicalize_name(each.name) for each in asked}


def _others(names: set[str]) -> set[str]:
    return names - BASE - sys.stdlib_module_names - {"__future__"}


def _imports(tree: ast.AST) -> Iterator[str]:
    for each in ast.walk(tree):
        if isinstance(each, ast.Import):
            yield from (alias.name for alias in each.names)
        elif isinstance(each, ast.ImportFrom):
            yield from (f"{each.module}.{alias.name}" for alias in each.names)


def _guarded(tree: ast.AST) -> set[str]:
    blocks = (each for each in ast.walk(tree) if isinstance(each, ast.With))
    return {
        name
        for block in blocks
        if ast.unparse(block.items[0]).startswith("extras.needed_by(")
        for name in _imports(block)
    }


def test_what_needs_an_extra_is_imported_where_its_absence_is_one_message() -> None:
    """What imports a package of an extra as it begins is itself imported within such a block alone."""
    house = House(modules(ROOT))
    needing = {module for module in house.files if _others(house.foreign[module])}
    while more := {module for module, others in house.at_start.items() if others & needing} - needing:
        needing |= more
    assert len(needing) > 5
    unguarded = {}
    for module in house.files.keys() - needing:
        tree = ast.parse(house.files[module].read_text())
        guarded = {house.module_of(name) or name.partition(".")[0] for name in _guarded(tree)}
        wanting = (house.known[module] & needing) | _others(house.anywhere[module])
        if wanting - guarded:
            unguarded[module] = wanting - guarded
    assert unguarded == OWN


GCS, S3, KFP, VERTEX, MLFLOW, PARQUET, OPTUNA = (
    f'needs packages that are not installed: pip install "kfp-bayesopt[{extra}]"' for extra in get_args(Extra)
)
REFUSED = {
    "a folder in a bucket": (["best", "study.yaml", "--root", "gs://bucket/mine"], f"gs://… {GCS}"),
    "a folder at S3": (["best", "study.yaml", "--root", "s3://bucket/mine"], f"s3://… {S3}"),
    "a folder at Azure": (["best", "study.yaml", "--root", "az://bucket/mine"], f"az://… {S3}"),
    "trials of a bucket": (["import", "gp.yaml", "--from", "gs://bucket/mine"], f"gs://… {GCS}"),
    "a run in a bucket": (["run", "study.yaml", "--out", "gs://bucket/mine"], f"gs://… {GCS}"),
    "a job on a cluster": (["status", "some-job", "--target", "kfp", "--host", "http://127.0.0.1:9"],
        f"the target kfp {KFP}"),
    "a job on Vertex": (
        ["status", "1", "--target", "vertex", "--project-id", "my-project", "--region", "europe-west1"],
        f"the target vertex {VERTEX}"),
    "a table": (["import", "gp.yaml", "--from", "table.parquet"], f"warm_start: table.parquet: reading it {PARQUET}"),
    "a storage": (["import", "gp.yaml", "--from", "storage.db"], f"warm_start: storage.db: reading it {OPTUNA}"),
    "an engine": (["run", "optuna.yaml"], f"optimizer.engine: optuna {OPTUNA}"),
    "images": (["build", "study.yaml"], f"an image {KFP}"),
}  # fmt: skip


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with studies, and files that need packages."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "mine.py").write_text("def objective(x1, x2):\n    return x1 + x2\n")
    (folder / "study.yaml").write_bytes(study_text(objective={"python": "mine:objective"}))
    (folder / "gp.yaml").write_bytes(
        study_text(name="third", objective={"python": "mine:objective"}, optimizer={"engine": "gp"})
    )
    (folder / "optuna.yaml").write_bytes(
        study_text(name="other", objective={"python": "mine:objective"}, optimizer={"engine": "optuna"})
    )
    (folder / "table.parquet").write_bytes(b"PAR1")
    (folder / "storage.db").write_bytes(b"SQLite format 3\0")
    (folder / "images.json").write_text(json.dumps({}))
    return folder


@pytest.mark.parametrize("case", REFUSED)
def test_a_missing_extra_is_one_line(installed: Installed, here: Path, case: str) -> None:
    command, message = REFUSED[case]
    ended = installed.run("bayesopt", *command, cwd=here)
    assert (ended.returncode, ended.stderr) == (1, f"Error: {message}\n")


@pytest.mark.parametrize("scheme", ["s3", "minio", "az"])
def test_in_an_image_the_way_out_is_to_build_those_that_have_it(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "is_image", lambda: True)
    with pytest.raises(UserError) as refused, extras.needed_by(f"{scheme}://…", "s3"):
        raise ModuleNotFoundError("No module named 'obstore'", name="obstore")
    assert refused.value.message == (
        f"{scheme}://… needs a package that this image lacks: `make build PIPELINE_ROOT={scheme}://BUCKET/PREFIX` "
        "makes images with it"
    )


def test_each_extra_that_code_asks_for_has_a_case() -> None:
    assert {each.extra for each in FORMATS.values()} == {None, "parquet", "optuna"}
    assert {*SERVICES} <= {*get_args(Extra)}


def test_a_package_that_is_too_old_is_one_line(wheel: Path, here: Path, tmp_path: Path) -> None:
    """`pip install --no-deps` takes it; pip itself says what is wrong."""
    made = install(wheel, an_environment(tmp_path / "environment"))
    least = next(Requirement(each) for each in PROJECT["dependencies"] if each.startswith("numpy"))
    version = importlib.metadata.version("numpy")
    for name in ("numpy", "numpy.libs", f"numpy-{version}.dist-info"):
        (made.packages / name).unlink()
    (made.packages / "numpy").mkdir()
    (made.packages / "numpy" / "__init__.py").write_text('__version__ = "1.20.3"\n')
    info = made.packages / "numpy-1.20.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.20.3\n")
    ended = made.run("bayesopt", "run", "study.yaml", "--out", str(tmp_path / "out"), cwd=here)
    assert ended.returncode == 1
    assert ended.stderr == (
        f'Error: kfp-bayesopt needs {least}, but numpy 1.20.3 is installed: pip install "{least}"\n'
    )
    assert re.search(
        rf"kfp-bayesopt .* has requirement {re.escape(str(least))}, but you have numpy 1\.20\.3",
        made.pip("check").stdout,
    )


@pytest.mark.parametrize("line", ["import none_of_theirs", "from none_of_theirs import a", "from shared_name import a"])
def test_a_missing_package_is_said_also_of_a_namespace_that_another_one_fills(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `google.cloud`, which BigQuery's package brings too."""
    (tmp_path / "shared_name" / "other").mkdir(parents=True)
    (tmp_path / "shared_name" / "other" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=r"^gs://… needs packages that are not installed: "), needed_by("gs://…", "gcs"):
        exec(line)


@pytest.mark.parametrize("fault", ["from shared_name.other import a", "raise ImportError('libx.so.1 is missing')"])
def test_a_package_that_is_there_and_broken_is_a_fault(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared_name" / "other").mkdir(parents=True)
    (tmp_path / "shared_name" / "other" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError), needed_by("gs://…", "gcs"):
        exec(fault)
