"""Writes the folder of a new study: a study file, a training script, and its requirements."""

from __future__ import annotations

import re
from pathlib import Path

from kfp_bayesopt import hints, workspace
from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt.wording import NAME, PATTERNS

STUDY = """\
# What to search, and how; docs/study.md has every key.
name: {name}
objective:
  command: [python, train.py]
  args: flags # --learning-rate=0.01 --layers=2
  value: loss # from the lines that train.py prints
direction: minimize
iterations: 5
parallel_trials: 4
space:
  learning-rate: {{type: real, low: 1.0e-4, high: 1.0, log: true}}
  layers: {{type: integer, low: 1, high: 8}}
"""
TRAIN = '''\
"""Train a model: put your own code here."""

import argparse
import math

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float, required=True)
parser.add_argument("--layers", type=int, required=True)
options = parser.parse_args()

for epoch in range(1, 4):
    loss = (math.log10(options.learning_rate) + 2) ** 2 + abs(options.layers - 3) / 4 + 1 / epoch
    print(f"epoch={epoch} loss={loss:.6f}")
'''
REQUIREMENTS = "# What train.py imports, such as: scikit-learn==1.9.0\n"


def write_new(name: str, parent: Path) -> Path:
    """Write the folder of a new study and return it.

    Raises:
        UserError: The name is invalid, or the folder exists already.
    """
    if not re.fullmatch(NAME, name):
        raise UserError(f"NAME must be {PATTERNS[NAME]}, but got {shown(name)}")
    folder = parent / name
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UserError(f"{folder}: is there already; choose another NAME, or another folder: {hints.INTO}") from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror}; choose another folder: {hints.INTO}") from None
    for file, content in {
        workspace.STUDY_FILE: STUDY.format(name=name), "train.py": TRAIN, "requirements.txt": REQUIREMENTS,
    }.items():  # fmt: skip
        (folder / file).write_text(content)
    return folder
