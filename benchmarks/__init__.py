"""Measures speed, size and quality as ratios against a baseline in the same run: `make bench`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "pipeline"), str(ROOT / "images" / "common")]
