"""The objective of the study: a formula in the place of a training, which fails in one corner of the space."""

import os
from pathlib import Path


def loss(rate: float, layers: int, kind: str) -> float:
    if kind == "tanh" and layers > 3:
        raise ValueError("the loss is not finite")
    value = (rate - 0.01) ** 2 + (layers - 2) ** 2 * 0.1 + (0.2 if kind == "tanh" else 0.0)
    Path(os.environ["BAYESOPT_OUTPUT"], "model.txt").write_text(f"{rate!r} {layers} {kind}\n")
    return value
