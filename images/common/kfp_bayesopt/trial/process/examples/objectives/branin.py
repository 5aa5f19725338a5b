"""The Branin function, the usual first test of an optimiser."""

from math import cos, pi


def branin(x1: float, x2: float) -> float:
    """Compute the Branin function (Dixon and Szegö 1978) on -5 <= x1 <= 10, 0 <= x2 <= 15.

    Its minimum is 0.397887, at (-pi, 12.275), (pi, 2.275) and (9.42478, 2.475).
    """
    return (x2 - 5.1 / (4 * pi**2) * x1**2 + 5 / pi * x1 - 6) ** 2 + 10 * (1 - 1 / (8 * pi)) * cos(x1) + 10
