"""The locks: writing them, checking that they are complete, and setting up environments from them."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""
