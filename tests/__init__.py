"""The tests, which mirror the packages and `images/`."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""
