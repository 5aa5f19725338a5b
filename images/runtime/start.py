"""Runs a program of ours in an image: start.py /opt/bayesopt/bin/NAME [ARGUMENT...].

NAME is a step, whose folder holds `main.py`, or one of PROGRAMS.
"""

import gc
import runpy
import sys
import tempfile
from pathlib import Path

PROGRAMS = {"copy": "kfp_bayesopt.steps.copy", "executor": "kfp_bayesopt.steps.executor"}

del sys.argv[0]
code = Path(__file__).parent
name = Path(sys.argv[0]).name
sys.path[:0] = [str(code), str(code.with_name("packages"))]
# Importing makes many objects and no garbage: with fewer collections a start is a fifth shorter.
gc.set_threshold(100_000)
try:
    tempfile.gettempdir()
except FileNotFoundError:  # a read-only container; libraries ask for it when they are imported, and then never use it
    tempfile.tempdir = "/dev/shm"  # noqa: S108 - every container can write there
runpy.run_module(PROGRAMS.get(name) or f"images.{name}.main", run_name="__main__")
