"""`python -m pipeline COMMAND`: the old name of the command `bayesopt`, from the checkout."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "images" / "common")]

from kfp_bayesopt import hints  # noqa: E402 - only now it can be found
from kfp_bayesopt.cli.main import main  # noqa: E402
from kfp_bayesopt.cli.renamed import say_renamed  # noqa: E402

if __name__ == "__main__":
    if hints.VARIABLE not in os.environ and sys.stderr.isatty():
        say_renamed("python -m pipeline", "bayesopt")
    hints.comes_by("make")
    main("python -m pipeline")
