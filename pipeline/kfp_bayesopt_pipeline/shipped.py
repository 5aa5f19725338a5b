"""Finds what the distribution ships beside code: the build context of images, studies, prices, the fake Cloud Storage.

Prices and the recipe of the fake Cloud Storage lie in this package. Of the checkout's `images/` and `studies/` a wheel
has what is needed, in the folder `shipped` beside this module; in the checkout that folder is not there.
"""

from __future__ import annotations

from pathlib import Path

from kfp_bayesopt import version

HERE = Path(__file__).resolve().parent
_WHEEL = HERE / "shipped"
_BASE = _WHEEL if _WHEEL.is_dir() else HERE.parents[1]

IMAGES = _BASE / "images"
"""The recipe of each image, the runtime of images and their locks: the build context without PACKAGE."""

PACKAGE = Path(version.__file__).resolve().parent
"""The package that images hold, as `common/kfp_bayesopt` of the build context."""

STUDIES = _BASE / "studies"
"""Studies that run as they are, a file NAME.yaml each."""

TUNE = _BASE / "pipeline" / "tune.yaml"
"""The component that tunes any study, as a step of somebody's pipeline."""

PRICES = HERE / "plan" / "prices.yaml"
"""List prices of machines on Vertex."""

FAKE_STORAGE = HERE / "places" / "fake_storage"
"""The build context of a fake Cloud Storage, which studies in compose run on."""
