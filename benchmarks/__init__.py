"""Measures speed, size and quality as ratios against a baseline in the same run: `make bench`."""

import pipeline  # noqa: F401 - it puts the packages of the steps on the path
