"""The budget of a study, which may have changed since a batch was proposed."""

from __future__ import annotations

from bayesopt.study import Study
from bayesopt.trials import Batch


def due(study: Study, batch: Batch) -> int:
    """Return how many suggestions of a batch, from the first, lie within the budget of the study."""
    if batch.iteration > study.iterations:
        return 0
    return sum(suggestion.trial <= study.trials for suggestion in batch.suggestions)
