"""What a person gets of a study: its files, its summary, and whether it has succeeded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.folder.publish import judge, publish, summary
from kfp_bayesopt.folder.results import Best, Recommendation
from kfp_bayesopt.steps import REPORT_PAGE, RESULTS
from tests.builders import a_record, a_study, write_folder


def best_of(values: list[float | None], **changes: Any) -> Best:
    """Return the best trial of a 2 x 2 study with these values."""
    study = a_study()
    return Best.of(study, [a_record(study, n, value) for n, value in enumerate(values, 1)]).model_copy(update=changes)


def test_every_result_is_written_and_replaced(tmp_path: Path) -> None:
    study = a_study()
    folder = write_folder(tmp_path, study)
    publish(folder, [])
    assert {path.name for path in tmp_path.iterdir()} == set(RESULTS) - {REPORT_PAGE}
    assert (tmp_path / "trials.jsonl").read_bytes() == b""
    ledger = [a_record(study, 1, None, log="trials/000001/log-1.txt"), a_record(study, 2, 0.25)]
    best = publish(folder, ledger, ended="enough")
    assert (best.value, best.trial, best.completed, best.failed, best.ended) == (0.25, 2, 1, 1, "enough")
    assert Best.model_validate_json((tmp_path / "best.json").read_bytes()) == best
    lines = (tmp_path / "trials.jsonl").read_bytes().splitlines(keepends=True)
    assert lines == [record.to_bytes() for record in ledger]
    assert json.loads((tmp_path / "failures.json").read_bytes()) == {
        "format": 2,
        "study": "branin",
        "fingerprint": study.fingerprint,
        "failures": [
            {
                "trial": 1,
                "attempt": 1,
                "parameters": {"x1": 1.0, "x2": 2.0},
                "reason": {"kind": "raised", "message": "ValueError: no", "last_lines": []},
                "log": "trials/000001/log-1.txt",
            }
        ],
    }


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    study = a_study()
    written = []
    for name in ("one", "other"):
        publish(write_folder(tmp_path / name, study), [a_record(study, n, float(n)) for n in (1, 2)])
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert written[0] == written[1]


# --- the summary ---------------------------------------------------------------------------------


def test_the_summary_is_a_few_lines_of_markdown() -> None:
    assert summary(best_of([0.5, 0.25, None])) == (
        "# branin\n\nBest value **0.25** in trial 2.\n\n| parameter | value |\n|---|---|\n| `x1` | `1.0` |\n"
        "| `x2` | `2.0` |\n\n\n2 of 4 trials completed, 1 failed.\n"
    )


def test_the_summary_says_why_a_study_has_ended_or_failed() -> None:
    assert summary(best_of([0.5], ended="enough")).endswith(
        "1 of 4 trials completed, 0 failed.\n\nEnded early: enough.\n"
    )
    assert summary(best_of([None]), "no luck") == (
        "# branin\n\nNo trial has completed (1 failed); failures.json has the reasons.\n\n"
        "0 of 4 trials completed, 1 failed.\n\n"
        "The study has failed: no luck.\n"
    )


def test_the_summary_of_more_trials_than_the_budget_says_so() -> None:
    assert "\n4 trials completed, 1 failed; the budget is 4.\n" in summary(best_of([1.0, 2.0, 3.0, 4.0, None]))


def test_the_summary_of_a_noisy_study_has_what_it_recommends() -> None:
    recommended = Recommendation(trial=3, parameters={"x1": 7, "x2": 8}, value=0.5, mean=0.123456789)
    assert (
        "\nRecommended, because the study is noisy: trial 3, whose mean by the model is 0.123457.\n\n"
        "| parameter | value |\n|---|---|\n| `x1` | `7` |\n"
    ) in summary(best_of([0.5], recommended=recommended))


@pytest.mark.parametrize(
    ("value", "cell"),
    [("a|b", '"a\\|b"'), ("`x`", '"\\u0060x\\u0060"'), ("a\nb", '"a\\nb"'), (None, "null"), (True, "true")],
)
def test_no_value_breaks_the_table(value: Any, cell: str) -> None:
    row = summary(best_of([0.5], parameters={"x1": value})).splitlines()[6]
    assert row == f"| `x1` | `{cell}` |"


# --- the verdict ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "failed", "unfinished", "failure"),
    [
        ([1.0, 2.0, 3.0, None], None, 0, None),
        ([1.0], None, 0, None),  # the study has ended early
        ([1.0], None, 3, "1 of 4 trials have ended; run the same command again to finish"),
        ([], None, 4, "0 of 4 trials have ended; run the same command again to finish"),
        ([None, None], None, 2, "no trial has completed (2 failed); failures.json has the reasons"),
        ([1.0], "no such module", 3, "no such module"),
        ([None], "no such module", 0, "no such module"),
    ],
)
def test_a_study_has_succeeded_when_it_is_finished_and_has_a_value(
    values: list[float | None], failed: str | None, unfinished: int, failure: str | None
) -> None:
    best = best_of(values)
    verdict = judge(best, failed, unfinished)
    assert (verdict.best, verdict.failure) == (best, failure)
