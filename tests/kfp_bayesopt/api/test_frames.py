"""What a study has come to as tables."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt import Result, UserError, open_study
from kfp_bayesopt.api.frames import KINDS
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Curve, Record, Steps
from kfp_bayesopt.report.contents import contents
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from tests.builders import a_record, a_study, a_suggestion, several, study_text, write_folder

OBJECTIVES: dict[str, Any] = {
    "objectives": {"accuracy": "maximize", "latency": "minimize"},
    "optimizer": {"engine": "gp"},
}
OBJECTIVES["objective"] = {"python": "mine:objective"}


def opened(root: Path, study: Study, text: bytes, records: list[Record]) -> Result:
    """Return a study folder with these records."""
    suggestions = [a_suggestion(study, each.trial, each.parameters) for each in records]
    write_folder(root, study, suggestions, records).write_study(text)
    return open_study(root)


def of_one(root: Path, trials: int = 16) -> Result:
    """Return a study of which the value is x1 and a little x2."""
    study = a_study(iterations=8)
    points = [{"x1": (7.3 * n) % 15 - 5, "x2": (4.1 * n) % 15} for n in range(1, trials + 1)]
    records = [
        a_record(study, n, point["x1"] + 0.01 * point["x2"], parameters=point, iteration=(n + 1) // 2)
        for n, point in enumerate(points, 1)
    ]
    return opened(root, study, study_text(iterations=8), records)


def test_importance_is_that_of_the_report(tmp_path: Path) -> None:
    result = of_one(tmp_path)
    frame = result.importance
    assert list(frame.columns) == ["parameter", "share", "low", "high"]
    study, ledger = result.study, result._folder.read().ledger
    shown = contents(study, ledger, Best.of(study, ledger))["model"]["importance"]
    assert shown[0]["name"] == "x1"
    assert frame.to_dict("list") == {
        "parameter": [each["name"] for each in shown],
        **{key: [each[key] for each in shown] for key in ("share", "low", "high")},
    }
    few = of_one(tmp_path / "few", trials=2).importance
    assert (list(few.columns), len(few)) == (["parameter", "share", "low", "high"], 0)


def test_importance_and_front_of_several_objectives(tmp_path: Path) -> None:
    study = several(iterations=8)
    points = [{"x1": (7.3 * n) % 15 - 5, "x2": (4.1 * n) % 15} for n in range(1, 17)]
    records = [
        a_record(study, n, values={"accuracy": point["x1"], "latency": point["x2"]}, parameters=point)
        for n, point in enumerate(points, 1)
    ]
    result = opened(tmp_path, study, study_text(iterations=8, **OBJECTIVES), records)
    rows = result.importance
    assert list(rows.columns) == ["objective", "parameter", "share", "low", "high"]
    first = rows.drop_duplicates("objective")
    assert dict(zip(first["objective"], first["parameter"], strict=True)) == {"accuracy": "x1", "latency": "x2"}
    front = result.frame("front")
    assert list(front.columns) == list(result.trials.columns)
    assert list(front["trial"]) == [each.trial for each in result.front]
    assert len(front) > 1


def test_the_front_of_one_objective_is_the_best_trial(tmp_path: Path) -> None:
    result = of_one(tmp_path, trials=4)
    assert result.best is not None
    assert list(result.frame("front")["trial"]) == [result.best.trial]


def test_curves_are_a_row_for_each_step(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    study = a_study()
    records = [
        a_record(study, n, 0.5 / n, steps=Steps(first=1, last=3, count=3, value=0.5 / n) if n > 1 else None)
        for n in (1, 2, 3)
    ]
    result = opened(tmp_path, study, study_text(), records)
    curve = Curve(study=study.name, fingerprint=study.fingerprint, trial=2, attempt=1, steps=[1, 2, 3],
                  values=[1.0, 0.5, 0.25])  # fmt: skip
    storage.create(result._folder.curve_uri(2, 1), curve.to_bytes())
    frame = result.curves
    assert frame.to_dict("list") == {"trial": [2, 2, 2], "step": [1, 2, 3], "value": [1.0, 0.5, 0.25]}
    # That of a trial which cannot be read costs nobody the others.
    assert "the curve of trial 3 is left out" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_each_table_is_a_frame_or_rows_and_empty_without_trials(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = opened(tmp_path / "none", a_study(), study_text(), []).frame(kind)
    assert len(none) == 0
    assert len(none.columns) > 2
    result = of_one(tmp_path / "some")
    frame = result.frame(kind)
    monkeypatch.setitem(sys.modules, "pandas", None)  # neither found nor imported
    rows = result.frame(kind)
    assert [_known(row) for row in rows] == [_known(row) for row in frame.to_dict("records")]


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """A frame has NaN for None in a column of numbers."""
    return {k: v for k, v in row.items() if v is not None and not (isinstance(v, float) and math.isnan(v))}


def test_a_table_that_there_is_not_is_named(tmp_path: Path) -> None:
    result = of_one(tmp_path, trials=2)
    with pytest.raises(UserError) as caught:
        result.frame("trial")
    assert caught.value.message == "no frame is called 'trial'; did you mean 'trials'?"
    with pytest.raises(UserError) as caught:
        result.frame(3)  # type: ignore[arg-type]
    assert caught.value.message == "no frame is called 3; there are trials, curves, front, importance"
