"""The packages of a function in a container of its Python: they are installed there, and planted ones are refused."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from images.init.main import main as init
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.function.file import FunctionFile
from kfp_bayesopt.runtime import BIN
from kfp_bayesopt.steps import EVALUATE
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.function import Function
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.building.build import PLATFORM
from kfp_bayesopt_pipeline.building.python_images import PythonImages
from kfp_bayesopt_pipeline.elsewhere.packages import prepare
from tests.e2e.conftest import REGISTRY, run
from tests.kfp_bayesopt.function.cells import cell
from tests.python_base import OFFICIAL, VERSION, make_base
from tests.wheels import a_wheel

pytestmark = pytest.mark.long

TRAIN = """
def train(x):
    import dill, greeting
    print("dill of", dill.__file__)
    return len(greeting.WORD)
"""


@pytest.fixture(scope="module")
def image(images: Path) -> Iterator[str]:
    """The image of this Python, on the base of this machine's."""
    assert images.is_file()
    made = make_base()
    found = PythonImages([VERSION], REGISTRY, "test", PLATFORM)
    found.build(print)
    yield found.names[VERSION]
    run("docker", "rmi", "--force", found.names[VERSION], *([OFFICIAL] if made else []))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study folder with its trials proposed, whose function has brought its packages along."""
    a_wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path / 'index'} {os.environ.get('PIP_FIND_LINKS', '')}")
    space = {"x": {"type": "real", "low": 0.0, "high": 1.0}}
    study = Study(name="cell", objective=cell(TRAIN), space=space, iterations=1, parallel_trials=4)
    header = study.carried.header("train")  # type: ignore[union-attr]
    _, _, dumped = study.carried.content.split(b"\n", 2)  # type: ignore[union-attr]
    named = header.model_copy(update={"packages": {**header.packages, "greeting": "1.0"}})
    file = FunctionFile.of(named, dumped)
    objective = study.objective.model_copy(update={"function": Function.of(file, "train")})
    study = study.model_copy(update={"objective": objective}).carrying(file)
    prepare(study, str(tmp_path / "home"), VERSION).save(tmp_path / "study.yaml")
    options = ["--study", str(tmp_path / "study.yaml"), "--root", str(tmp_path / "root"), "--job", "job-1"]
    ended = CliRunner().invoke(init, options)
    assert ended.exit_code == 0, ended.output
    for name, content in StudyFolder("", Study.from_file(tmp_path / "study.yaml")).code.items():
        storage.create(str(tmp_path / "root" / name), content)
    return tmp_path / "root"


def evaluate(image: str, root: Path, trial: int) -> subprocess.CompletedProcess[str]:
    """Evaluate a trial in a container, which has a study folder and the wheels."""
    (study,) = (root / "study").glob("*.yaml")
    wheels = root.with_name("home") / "wheels"
    mounts = [
        "--volume",
        f"{root}:{root}",
        "--volume",
        f"{wheels}:{wheels}:ro",
        "--user",
        f"{os.getuid()}:{os.getgid()}",
    ]
    options = ["--root", str(root), "--study", str(study), "--trial", str(trial)]
    return run("docker", "run", "--rm", "--network=none", *mounts, image, f"{BIN}/{EVALUATE.name}", *options)


def test_a_trial_installs_its_packages_without_a_network_and_refuses_planted_ones_by_name(
    image: str, root: Path
) -> None:
    ended = evaluate(image, root, 1)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    log = (root / "trials/000001/log-1.txt").read_text()
    assert "dill of /tmp/bayesopt-" in log
    assert "/.packages/dill/" in log
    assert json.loads((root / "trials/000001/record-1.json").read_text())["values"] == {"value": 5}
    assert "2 packages of train in" in ended.stdout + ended.stderr

    (wheel,) = root.with_name("home").glob("wheels/*/greeting-1.0-py3-none-any.whl")
    (lock,) = root.glob("code/*.lock")
    (function,) = root.glob("code/*.dill")
    a_wheel(root.with_name("planted"), modules={"greeting.py": "WORD = 'planted'\n"})
    wheel.write_bytes((root.with_name("planted") / wheel.name).read_bytes())
    planted = {
        f"{wheel}: is not the wheel of greeting==1.0 that the lock names": wheel,
        f"{lock}: is not the lock of train's packages of the study": lock,
        f"{function}: is not the function of the study": function,
    }
    for number, (message, file) in enumerate(planted.items(), 2):
        if file is not wheel:
            file.write_bytes(file.read_bytes().replace(b"1", b"2"))
        ended = evaluate(image, root, number)
        assert ended.returncode == 1
        assert message in ended.stderr
    assert not (root / "trials/000002/log-1.txt").exists()
