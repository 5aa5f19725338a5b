"""The locks: how they are written, what makes one whole, and how an environment is set up from one."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""
