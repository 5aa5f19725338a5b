"""The best compromises between several objectives: the Pareto front, and the volume that it dominates.

Losses are minimised, one number for each objective.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Losses = tuple[float, ...]


def worst(points: Sequence[Losses]) -> Losses:
    """Return the worst loss of each objective among some points."""
    return tuple(map(max, zip(*points, strict=True)))


def is_as_good(losses: Losses, other: Losses) -> bool:
    """Tell whether one is at least as good as another in each objective."""
    return all(a <= b for a, b in zip(losses, other, strict=True))


def front(points: Sequence[Losses]) -> list[int]:
    """Return the indices of the non-dominated points, in their order; of equal ones the first."""
    found: list[int] = []
    for index, point in enumerate(points):
        if not any(is_as_good(points[each], point) for each in found):
            found = [each for each in found if not is_as_good(point, points[each])]
            found.append(index)
    return found


def hypervolume(points: Sequence[Losses], reference: Losses) -> float:
    """Return the volume between points and a reference that is worse than them; others do not count.

    While, Bradstreet and Barone 2012, A Fast Way of Calculating Exact Hypervolumes, algorithm 1 (WFG).
    """
    inside = [point for point in points if all(a < b for a, b in zip(point, reference, strict=True))]
    best = sorted((inside[index] for index in front(inside)), reverse=True)
    if len(reference) == 2:
        # From the best value of the first objective on, each point is a step down of the second.
        volume, height = 0.0, reference[1]
        for first, second in reversed(best):
            volume += (reference[0] - first) * (height - second)
            height = second
        return volume
    return math.fsum(gain(point, best[index + 1 :], reference) for index, point in enumerate(best))


def gain(point: Losses, points: Sequence[Losses], reference: Losses) -> float:
    """Return the volume that a point adds to the hypervolume of others."""
    if any(a >= b for a, b in zip(point, reference, strict=True)):
        return 0.0
    alone = math.prod(b - a for a, b in zip(point, reference, strict=True))
    covered = [tuple(max(a, b) for a, b in zip(point, other, strict=True)) for other in points]
    return alone - hypervolume(covered, reference) if covered else alone
