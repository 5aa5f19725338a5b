"""An engine that is saved and loaded after every batch, against one that never was, for all settings of skopt."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.proposing.state import load_engine, write_state
from kfp_bayesopt.search.engines.skopt import SkoptSettings
from kfp_bayesopt.search.skopt_engine import SkoptEngine
from tests.builders import BRANIN_SPACE, MIXED, a_study, learn_batch
from tests.proofs.conftest import SEED, share

pytestmark = pytest.mark.long

ESTIMATORS = ("GP", "RF", "ET")
SPACES: dict[str, dict[str, Any]] = {
    "real": BRANIN_SPACE,
    "mixed": MIXED,
    "categorical": {
        name: {"type": "categorical", "choices": choices}
        for name, choices in {"three": [1, 2, 3], "two": ["u", "v"], "one": ["only"]}.items()
    },
}
# The first three are one of each estimator, with the acquisition function that learns.
CASES = [
    ("GP", "gp_hedge", "sobol", "mixed"),
    ("RF", "gp_hedge", "lhs", "mixed"),
    ("ET", "gp_hedge", "random", "categorical"),
]
_OTHERS = itertools.product(
    ESTIMATORS,
    ("gp_hedge", "EI", "LCB", "PI"),
    ("random", "sobol", "halton", "hammersly", "lhs"),
    SPACES,
)
CASES += random.Random(SEED).sample([case for case in _OTHERS if case not in CASES], k=177)


@pytest.mark.parametrize(("estimator", "acquisition", "generator", "space"), CASES[: share(180, 3)])
def test_an_engine_that_is_saved_after_every_batch_goes_on_as_one_that_never_was(
    estimator: str, acquisition: str, generator: str, space: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    optimizer = {
        "engine": "skopt",
        "n_initial_points": 2,
        "base_estimator": estimator,
        "acq_func": acquisition,
        "initial_point_generator": generator,
    }
    study = a_study(space=SPACES[space], optimizer=optimizer)
    folder = StudyFolder(str(tmp_path), study)
    never, loaded = SkoptEngine(study), SkoptEngine(study)
    ledger: list[Record] = []
    for failed in (True, False, False):
        ledger = learn_batch(study, never, ledger, failed=failed)
        loaded.learn(ledger[-2:])
        assert loaded.state() == never.state()
        write_state(folder, loaded, ledger)
        engine = load_engine(folder, ledger)
        assert isinstance(engine, SkoptEngine)
        loaded = engine
    assert loaded.suggest(2) == never.suggest(2)
    assert caplog.messages == []


def test_the_cases_are_all_settings_of_skopt() -> None:
    """A choice that is added there must be added here."""
    for position, name in enumerate(("base_estimator", "acq_func", "initial_point_generator")):
        choices = SkoptSettings.model_json_schema()["properties"][name]["enum"]
        assert {case[position] for case in CASES} == set(choices)
    assert len(set(CASES)) == 180
