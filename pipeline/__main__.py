"""`python -m pipeline COMMAND`: the command line, from the checkout."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "images" / "common")]

from kfp_bayesopt.cli.main import main  # noqa: E402 - only now it can be found

if __name__ == "__main__":
    main()
