"""The recommendation of a noisy study: the best trial by the model, not by luck."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfp_bayesopt.folder.results import Recommendation
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.search.ledger_engine import LedgerEngine
from kfp_bayesopt.space.goals import loss
from kfp_bayesopt.study.study import Study


def recommend(study: Study, ledger: Sequence[Record]) -> Recommendation | None:
    """Return the completed trial with the best mean of the Gaussian process, whichever engine proposed it.

    Returns:
        None with fewer than 3 completed trials that keep all limits, which tell nothing about noise.
    """
    counting = [record for record in ledger if loss(study, record) is not None]
    if len(counting) < 3:
        return None
    from kfp_bayesopt.search.gp.proposal import (
        expected_values,  # scipy takes long to import, and most studies are not noisy
    )

    told = LedgerEngine(study)
    told.learn(counting)
    means = expected_values(told.encoding, told.points, told.values)
    best = counting[int(np.argmin(means))]
    assert best.value is not None
    return Recommendation(
        trial=best.trial,
        iteration=best.iteration,
        parameters=best.parameters,
        value=best.value,
        mean=float(means.min()) if study.direction == "minimize" else -float(means.min()),
    )
