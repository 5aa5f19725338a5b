"""Runs studies: in this process, in compose, and on Kubeflow and Vertex.

The packages of the steps are used from where the images are built.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMON = str(ROOT / "images" / "common")

sys.path.insert(0, COMMON)
