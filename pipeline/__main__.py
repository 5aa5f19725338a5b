"""`python -m pipeline COMMAND`: the old name of the command `bayesopt`, from the checkout."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OURS = [str(HERE), str(HERE.parent / "images" / "common")]
if not {*OURS} <= {*sys.path}:  # an environment of a person's own, which does not know them
    sys.path[:0] = OURS
    # Processes of ours find them too; those of the objective get back what the person had.
    os.environ["BAYESOPT_KEPT_PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(OURS)

from kfp_bayesopt import hints  # noqa: E402 - only now it can be found
from kfp_bayesopt.cli.main import main  # noqa: E402
from kfp_bayesopt.cli.renamed import say_renamed  # noqa: E402

if __name__ == "__main__":
    if hints.VARIABLE not in os.environ and sys.stderr.isatty():
        say_renamed("python -m pipeline", "bayesopt")
    hints.comes_by("make")
    main("python -m pipeline")
