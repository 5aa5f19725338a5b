"""The page on reliability names tests that exist and figures that hold."""

from __future__ import annotations

import re

from kfp_bayesopt.store import patience
from tests import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    written = set(re.findall(r"^ *def (test_\w+)", tests, re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    assert sorted(named - written) == []


def test_every_promise_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and not line.startswith(("|---", "| promise"))]
    assert [row for row in rows if "`test_" not in row.split("|")[3]] == []


def test_every_proof_is_on_the_page() -> None:
    proofs = [ROOT / "tests" / "proofs" / f"test_{name}.py" for name in ("faults", "kills", "told", "workers")]
    written = [name for path in proofs for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)]
    assert [name for name in written if f"`{name}`" not in PAGE] == []


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    assert f"tried again, for {patience.RETRY.timeout / 60:.0f} minutes" in PAGE
    assert f"asked for {patience.MAX_DAMAGED} times" in PAGE
    assert f"given up after {patience.ATTEMPT / 60:.0f} minutes" in PAGE
    assert f"after {patience.FIRST_WORD} seconds, then every {patience.NEXT_WORD}" in PAGE
