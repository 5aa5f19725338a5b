"""A constraint that is added to a study that has begun: what breaks it is outside, as with limits, and is learnt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from kfp_bayesopt.cli.views import view_for
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.formats.optuna import write_optuna
from kfp_bayesopt.exchange.importing import collect
from kfp_bayesopt.folder.publish import judge, summary
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.proposing.early_end import reason_to_stop
from kfp_bayesopt.proposing.recommendation import recommend
from kfp_bayesopt.report.contents import contents
from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt.search.engine import replay
from kfp_bayesopt.search.ledger_engine import LedgerEngine
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.space.goals import Standing
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places import in_process as local
from tests.builders import a_record, a_study, several, write_study

SPACE: dict[str, Any] = {"x": {"type": "integer", "low": 1, "high": 40}}
ADDED = ["x >= 20"]
VALUES = {8: 8.0, 30: 30.0, 25: 25.0, 12: 12.0, 22: 22.0}


def _study(constraints: list[str] = ADDED, **changes: Any) -> Study:
    given = {"space": SPACE, "objective": {"python": "a:b"}, "optimizer": {"engine": "gp"}, "trials": 8, **changes}
    return a_study(**{"iterations": None, "constraints": constraints, **given})


def _ledger(study: Study, *points: int) -> list[Record]:
    return [
        a_record(study, number, VALUES[x], parameters={"x": x}) for number, x in enumerate(points or VALUES, 1)
    ]  # fmt: skip


def test_it_is_the_same_study() -> None:
    assert _study().fingerprint == _study([]).fingerprint


def test_the_best_trial_is_one_that_keeps_it_and_the_others_are_counted_as_outside() -> None:
    study = _study()
    before, best = Best.of(_study([]), _ledger(study)), Best.of(study, _ledger(study))
    assert (before.trial, before.outside, before.outside_of) == (1, None, None)
    assert (best.trial, best.value, best.outside, best.outside_of) == (5, 22.0, 2, ["constraints"])
    assert best.counts == "5 completed, 0 failed, 2 outside the constraints"
    assert "5 of 8 trials completed, 0 failed.\n\n2 of the completed ones break a constraint.\n" in summary(best)
    standing = Standing[Record](study)
    assert [record.trial for record in _ledger(study) if standing.add(record)] == [2, 3, 5]


def test_where_none_keeps_it_the_study_has_no_best_trial_and_says_what_helps() -> None:
    best = Best.of(_study(), _ledger(_study(), 8, 12))
    assert (best.value, best.outside, best.nearest) == (None, 2, "trial 1: breaks x >= 20")
    said = (
        "none of the 2 completed trials keeps all constraints; the nearest is trial 1: breaks x >= 20; what is "
        "proposed from now on keeps the constraints: raise the budget and run the same command again"
    )
    assert (best.missing, judge(best, None, 0).failure) == (said, said)


def test_limits_and_constraints_are_told_apart() -> None:
    study = _study(objective={"python": "a:b", "value": "loss"}, limits={"latency": "<= 100"})
    ledger = [
        a_record(study, number, parameters={"x": x}, values={"value": 1.0, "latency": latency})
        for number, (x, latency) in enumerate([(8, 120.0), (30, 110.0), (10, 90.0)], 1)
    ]
    best = Best.of(study, ledger)
    assert (best.outside, best.outside_of, best.nearest) == (
        3, ["limits", "constraints"], "trial 2: latency 110, not <= 100",
    )  # fmt: skip
    assert best.counts == "3 completed, 0 failed, 3 outside the limits and constraints"
    assert "3 of the completed ones break a limit or a constraint." in summary(best)


def test_what_breaks_it_is_not_on_the_front() -> None:
    study = several(space=SPACE, constraints=ADDED, optimizer={"engine": "gp"})
    ledger = [
        a_record(study, loss, parameters={"x": x}, values={name: sign * loss for name, sign in study.signs.items()})
        for loss, x in enumerate([8, 25, 30], 1)
    ]
    best = Best.of(study, ledger)
    assert ([each.trial for each in best.front or []], best.outside) == ([2], 1)


def test_it_does_not_reach_the_target_and_is_not_recommended_under_noise() -> None:
    study = _study(noisy=True, stop={"target": 20.0})
    ledger = _ledger(study)
    assert reason_to_stop(study, ledger) is None
    assert reason_to_stop(_study([], noisy=True, stop={"target": 20.0}), ledger) is not None
    found = recommend(study, ledger)
    assert found is not None
    assert found.parameters["x"] == 22


def test_the_search_learns_from_it_and_proposes_none() -> None:
    study = _study(parallel_trials=3)
    engine = replay(study, _ledger(study))
    assert isinstance(engine, LedgerEngine)
    assert len(engine.points) == len(VALUES)
    assert all(isinstance(each["x"], int) and each["x"] >= 20 for each in engine.suggest(3))


def test_the_report_draws_it_as_outside_and_does_not_say_what_is_to_be_gained() -> None:
    study = _study()
    shown = contents(study, _ledger(study), Best.of(study, _ledger(study)))
    assert shown["trials"]["broken"] == ["breaks x >= 20", None, None, "breaks x >= 20", None]
    assert (shown["best"]["outside"], shown["best"]["outside_of"]) == (2, ["constraints"])
    assert not [each for each in shown["advice"] if each["kind"] == "progress"]
    none = contents(study, _ledger(study, 8, 12), Best.of(study, _ledger(study, 8, 12)))
    assert none["advice"][0]["text"] == (
        "No trial keeps all constraints. The nearest is trial 1: breaks x >= 20. Raise the budget: what is proposed "
        "from now on keeps the constraints."
    )


def test_exports_say_which_trials_break_it(tmp_path: Path) -> None:
    study = _study()
    write_optuna(study, _ledger(study), tmp_path / "trials.db")
    loaded = optuna.load_study(storage=f"sqlite:///{tmp_path}/trials.db", study_name=study.name)
    assert loaded.best_trial.params == {"x": 22}


def test_earlier_trials_that_break_it_are_hints_and_an_initial_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("x,value\n8,8\n25,25\n")
    found = collect(_study(), ["table.csv"], tmp_path)
    assert [(each.parameters, each.same) for each in found] == [({"x": 8}, False), ({"x": 25}, True)]
    taken = _study().with_earlier((Earlier(origin="a", same=True, parameters={"x": 8}, values={"value": 1.0}),))
    assert Encoding(taken.space, taken.kept).keeps(LedgerEngine(taken).points).tolist() == [False]
    assert Best.of(taken, _ledger(taken)).trial == 5
    with pytest.raises(UserError, match=r"initial_trials\[0\]: breaks the constraint 'x >= 20'"):
        _study(initial_trials=[{"x": 8}])


def test_a_run_goes_on_with_it_and_the_terminal_says_which_trials_are_outside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = "def objective(x):\n    return x\n", str(tmp_path / "out")
    given: dict[str, Any] = {"space": SPACE, "optimizer": {"engine": "random"}, "parallel_trials": 4}
    local.run(str(write_study(tmp_path, code, iterations=2, **given)), out, 1, local.Options())
    later = write_study(tmp_path, code, iterations=3, constraints=ADDED, **given)
    capsys.readouterr()
    best = local.run(str(later), out, 1, local.Options(), view_for())
    shown = capsys.readouterr().out
    points = [json.loads(line)["parameters"]["x"] for line in Path(out, "trials.jsonl").read_text().splitlines()]
    assert best.parameters == {"x": min(x for x in points if x >= 20)}
    assert all(x >= 20 for x in points[8:])
    outside = sum(x < 20 for x in points)
    assert outside > 0
    assert shown.count("(breaks x >= 20)") == outside
    assert f"12 completed, 0 failed, {outside} outside the constraints" in shown
