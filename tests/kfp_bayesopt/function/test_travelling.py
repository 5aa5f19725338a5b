"""A function from Python to its trials: it is taken, saved, found again, and called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kfp_bayesopt import Study, UserError, run

SCRIPT = """
from kfp_bayesopt import Integer, Real, Study, run

K = 3


class Net:
    def __init__(self, layers):
        self.layers = layers

    def loss(self, lr):
        return (lr - 0.01) ** 2 + 0.1 * abs(self.layers - K)


def train(lr, layers):
    import pickle

    return pickle.loads(pickle.dumps(Net(layers))).loss(lr)


study = Study(
    name="cell",
    objective=train,
    space={"lr": Real(1e-4, 1, log=True), "layers": Integer(1, 8)},
    trials=4,
    parallel_trials=4,
)
study.save("study.yaml")
print(run(study, progress=False).best.value)
"""


@pytest.fixture
def value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    """The best value of the script, which has saved its study."""
    monkeypatch.chdir(tmp_path)
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert not ended.stderr
    return float(ended.stdout)


def test_a_function_of_a_script_is_tuned_and_its_file_goes_on(value: float, tmp_path: Path) -> None:
    study = Study.from_file(tmp_path / "study.yaml")
    assert run(study, root="again", progress=False).best.value == value  # type: ignore[union-attr]
    assert (tmp_path / f"again/code/{study.objective.function.file}.dill").is_file()  # type: ignore[union-attr]


@pytest.mark.usefixtures("value")
def test_another_file_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    study = Study.from_file(tmp_path / "study.yaml")
    file = tmp_path / study.objective.function.file_name  # type: ignore[union-attr]
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(UserError, match="is not the function of the study: its SHA-256 is "):
        run(study, root="again", progress=False)


@pytest.mark.usefixtures("value")
def test_a_file_that_is_gone_is_said_with_where_it_was_looked_for(tmp_path: Path) -> None:
    study = Study.from_file(tmp_path / "study.yaml")
    (tmp_path / study.objective.function.file_name).unlink()  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"the file of train is neither .*train-.*dill nor .*again/code/"):
        run(study, root="again", progress=False)
