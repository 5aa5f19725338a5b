"""Damaged files: any bytes give a value or a clear message, within 2 s, 300 MB and 4 kB."""

from __future__ import annotations

import base64
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.folder.documents import Document, OfStudy
from kfp_bayesopt.study.study import Study
from tests import ROOT
from tests.builders import study_text
from tests.proofs import foreign, fuzzing
from tests.proofs.conftest import SEED, share

pytestmark = pytest.mark.long

CASES = share(100_000, 1_500)
AT_ONCE = 5_000
FOUND = sorted((ROOT / "tests" / "data" / "fuzz").iterdir())


def fuzz(first: int, count: int) -> list[str]:
    """Read damaged files in a process of its own; return what went wrong, with the file for `tests/data/fuzz/`."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.proofs.fuzzing", str(SEED), str(first), str(count)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = ended.stdout.splitlines()
    assert ended.returncode == 0, f"after {len(lines)} findings: {ended.stderr[-2000:]}"
    *cases, figures = [json.loads(line) for line in lines]
    assert figures["cases"] == count
    print(json.dumps(figures))  # noqa: T201 - for `pytest -s`
    return [
        f"{case['read']}-{case['case']}: {case['found']}\n{base64.b64decode(case['content'])!r:.2000}" for case in cases
    ]


@pytest.mark.parametrize("first", range(0, CASES, AT_ONCE))
def test_a_damaged_file_gives_a_value_or_a_clear_message(first: int) -> None:
    assert fuzz(first, min(AT_ONCE, CASES - first)) == []


def test_nearly_every_case_is_damaged_and_every_kind_of_file_is_among_them() -> None:
    cases = [fuzzing.case(SEED, number) for number in range(2000)]
    assert {(name, kind) for name, kind, _ in cases} == {
        *((name, "bytes") for name in fuzzing.CONTENTS),
        *((name, "json") for name in fuzzing.DOCUMENTS),
        *((name, "yaml") for name in fuzzing.OF_YAML),
        *((name, "table") for name in foreign.MADE),
    }
    unharmed = sum(content == fuzzing.CONTENTS[name] for name, _, content in cases)
    assert unharmed < len(cases) / 20


def test_every_document_of_a_study_folder_and_every_key_of_a_study_is_among_them() -> None:
    known: set[type[Document]] = {*Document.__subclasses__(), *OfStudy.__subclasses__()} - {OfStudy}
    assert set(fuzzing.KINDS.values()) == known
    keys = {key for study in fuzzing.STUDIES for key in study}
    assert keys == Study.model_fields.keys()


@pytest.mark.parametrize("name", fuzzing.CONTENTS)
def test_every_file_is_good_before_it_is_damaged(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"file{foreign.SUFFIXES.get(name, '')}"
    path.write_bytes(fuzzing.CONTENTS[name])
    assert fuzzing.read(name, str(path))


@pytest.mark.parametrize("study", fuzzing.STUDIES, ids=range(len(fuzzing.STUDIES)))
def test_every_study_is_good_before_it_is_damaged(study: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text(fuzzing.written_in_blocks(fuzzing.tree_of(study)))
    assert fuzzing.read("study", str(tmp_path / "file"))


@pytest.mark.parametrize("path", FOUND, ids=[path.name for path in FOUND])
def test_a_file_that_once_ended_in_a_traceback_gives_a_clear_message(path: Path) -> None:
    assert fuzzing.problem(path.name.partition("-")[0], path) is None


LARGEST = {
    "choices": study_text(space={"x": {"type": "categorical", "choices": [f"choice-{n:05}" for n in range(10_000)]}}),
    "words": b"a: " + b"x " * 126_000,
    "lines": b"a: |\n" + b" x\n" * 84_000,
    "blank lines": b"\n" * 255_000,
    "empty lists": b"space: {x: {type: categorical, choices: [" + b"[]," * 11_900 + b"1]}}",
    "bad choices": study_text(space={"x": {"type": "categorical", "choices": [[1]] * 5_900}}),
    "parameters": study_text(space={f"x{n}": {"type": "real", "low": "a"} for n in range(2_300)}),
    "unknown keys": b"".join(b"k%d: 1\n" % n for n in range(5_900)),
    "duplicate keys": b"k: 1\n" * 5_900,
    "exclamation marks": b"a: " + b"!" * 250_000,
    "brackets": b"[" * 255_000,
    "grid": study_text(
        space={f"x{n}": {"type": "real", "low": 0, "high": 1} for n in range(2_000)},
        optimizer={"engine": "grid", "points_per_parameter": 10**200},
    ),
}


@pytest.mark.parametrize("content", LARGEST.values(), ids=LARGEST)
def test_the_largest_study_files_stay_within_the_limits(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    gc.freeze()  # what all the tests hold, a program that reads a study does not: collections would walk through it
    assert fuzzing.problem("study", tmp_path / "file") is None
    gc.unfreeze()


def test_a_reader_that_crashes_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(fuzzing, "read", crash)
    found = fuzzing.problem("study", tmp_path / "file")
    assert found is not None
    assert found.endswith("RecursionError\n")
