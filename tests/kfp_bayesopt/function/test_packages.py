"""The packages that modules come from."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from kfp_bayesopt.function.packages import packages_of


def test_what_a_package_needs_is_among_them_and_the_standard_library_is_not() -> None:
    found = packages_of(["pandas.core.frame", "json", "no_such_module", "tests.builders"])
    assert {"pandas", "numpy", "python-dateutil", "six", "dill"} <= set(found)
    assert found["pandas"] == version("pandas")
    assert not {"json", "pytest"} & set(found)  # pytest is wanted by an extra of pandas alone


def test_dill_is_always_among_them() -> None:
    assert packages_of([]) == {"dill": version("dill")}


def test_of_several_packages_with_one_folder_the_one_is_found_that_has_the_module() -> None:
    found = packages_of(["google.cloud.storage"])
    assert "google-cloud-storage" in found
    assert "google-cloud-aiplatform" not in found


def test_markers_and_extras_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {
        "one_part": ["Two.Part[more]>=1", 'three; sys_platform == "win32"', "not-installed"],
        "two_part": ['four; extra == "more"', 'five; extra == "other"'],
        "three": [],
        "four": [],
        "five": [],
    }
    for name, wanted in needs.items():
        info = tmp_path / f"{name}-2.dist-info"
        info.mkdir()
        lines = [f"Name: {name}", "Version: 2", *(f"Requires-Dist: {each}" for each in wanted)]
        (info / "METADATA").write_text("\n".join(lines))
        (info / "top_level.txt").write_text(name)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert set(packages_of(["one_part.inner"])) == {"one-part", "two-part", "four", "dill"}
    assert set(packages_of(["one_part"], {"sys_platform": "win32"})) == {
        "one-part",
        "two-part",
        "three",
        "four",
        "dill",
    }
