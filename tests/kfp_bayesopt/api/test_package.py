"""The names that are promised, and what importing them brings along."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import kfp_bayesopt
from kfp_bayesopt.wording import PATTERNS
from tests import ROOT
from tests.builders import a_record, a_study, a_suggestion, study_text, write_folder
from tests.images.test_rooms import packages_of

PROMISED = [
    "Best",
    "Categorical",
    "Checked",
    "Constant",
    "Contents",
    "Integer",
    "Ordinal",
    "Real",
    "Result",
    "Search",
    "Status",
    "Study",
    "Trial",
    "UserError",
    "__version__",
    "open_study",
    "run",
    "travels",
    "tune",
]
"""To add a name here is a decision; to take one away breaks programs of others."""

MODULES = "import json, sys; print(json.dumps([name for name in sys.modules]))"


def modules_after(code: str) -> set[str]:
    """Return the modules that a new process has after some code and that an empty one has not."""
    before, after = (
        set(json.loads(subprocess.run([sys.executable, "-c", each], capture_output=True, text=True, check=True).stdout))
        for each in (MODULES, f"{code}\n{MODULES}")
    )
    return after - before


def top_level_names() -> set[str]:
    """Return the names by which the packages of this environment are imported."""
    return {name for name in packages_distributions() if name.isidentifier()} - sys.stdlib_module_names


def test_the_names_are_those_that_are_promised() -> None:
    assert kfp_bayesopt.__all__ == PROMISED
    assert set(PROMISED) <= set(dir(kfp_bayesopt))
    for name in PROMISED:
        found = getattr(kfp_bayesopt, name)
        assert name == "__version__" or inspect.getdoc(found), f"{name} has no docstring"
    assert PATTERNS  # a module of ours is no name of the package, and still imported by its own


def test_what_is_not_promised_is_not_there() -> None:
    assert not hasattr(kfp_bayesopt, "study_of")
    code = "from kfp_bayesopt import Studdy"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: cannot import name 'Studdy' from 'kfp_bayesopt'" in ended.stderr


def test_importing_the_package_imports_nothing_else() -> None:
    brought = modules_after("import kfp_bayesopt")
    assert {name for name in brought if name.partition(".")[0] not in sys.stdlib_module_names} == {"kfp_bayesopt"}


def test_describing_a_study_needs_no_packages_but_those_of_the_evaluate_image() -> None:
    """What may be done in an image whose lock names pydantic and a YAML reader, and no numpy."""
    others = {name for name in top_level_names() if name not in packages_of("evaluate") | {"kfp_bayesopt"}}
    assert {"numpy", "scipy", "skopt", "kfp", "optuna"} <= others
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({sorted(others)!r}))"
        + """
import kfp_bayesopt
from kfp_bayesopt import Categorical, Integer, Real, Study, UserError, __version__
study = Study(name="a", objective="m:f", space={"x": Real(0, 1), "n": Integer(1, 3), "k": Categorical(["a", "b"])},
              trials=4, parallel_trials=2)
assert Study.from_text(study.to_text()) == study
"""
    )
    assert "kfp_bayesopt.study.study" in modules_after(code)


def test_every_name_has_its_own_module_in_the_list_for_type_checkers() -> None:
    """The imports under TYPE_CHECKING and the table are two lists of the same names."""
    text = (ROOT / "images/common/kfp_bayesopt/__init__.py").read_text()
    typed = {
        name.strip(): line.split()[1].removeprefix("kfp_bayesopt.")
        for line in text.splitlines()
        if line.startswith("    from kfp_bayesopt.")
        for name in line.partition(" import ")[2].split(",")
    }
    assert typed == kfp_bayesopt._ROOMS
    assert sorted(typed) == PROMISED


def test_reading_a_study_folder_imports_neither_numpy_nor_a_cloud(tmp_path: Path) -> None:
    study = a_study()
    folder = write_folder(tmp_path, study, [a_suggestion(study)], [a_record(study)])
    folder.write_study(study_text())
    code = f"from kfp_bayesopt import open_study\nr = open_study({str(tmp_path)!r})\nr.best, r.status, r.front"
    heavy = {"numpy", "scipy", "google", "kfp", "docker", "skopt"}
    assert {name.partition(".")[0] for name in modules_after(code)} & heavy == set()


def test_the_version_is_one_line_which_the_images_read_without_python() -> None:
    """`images/runtime/compile.sh` takes the line by sed."""
    text = (ROOT / "images" / "common" / "kfp_bayesopt" / "version.py").read_text()
    assert re.findall(r'^__version__ = "(.*)"', text, re.MULTILINE) == [kfp_bayesopt.__version__]
