"""The public suites: their names, and the tables that are made of runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import ranks, suites
from benchmarks.peers import version_of
from benchmarks.suites import FUNCTIONS, GROUPS, SETS, measure


def test_the_groups_are_all_functions_each_once() -> None:
    assert [function for group in GROUPS.values() for function in group] == list(FUNCTIONS)


def test_each_suite_has_a_table_of_all_its_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "RESULTS", tmp_path / "runs.jsonl")
    monkeypatch.setattr(ranks, "DRAWS", 20)  # their intervals have tests of their own
    lines = [
        json.dumps(
            {
                "problem": task.name,
                "method": method,
                "version": version_of(method),
                "batch": chosen.batch,
                "seed": seed,
                "best": [(1, 1.0 if method == "gp" else 2.0)],
                "seconds": 1.0,
            }
        )
        for chosen in SETS.values()
        for task in chosen.tasks
        for method in ("gp", "random")
        for seed in (0, 1)
    ]
    suites.RESULTS.write_text("\n".join(lines))
    text = measure()
    for title, chosen in SETS.items():
        assert f"### {title}\n" in text
        assert f"Mean rank of 2 over {len(chosen.tasks)} problems, 2 seeds each" in text
    assert "| `gp`, ours | 1.00 (1.00 to 1.00) |" in text
    assert "Of these, separable:\n\nMean rank of 2 over 15 problems" in text
    assert "Of these, noise of 0.3:\n\nMean rank of 2 over 24 problems" in text
