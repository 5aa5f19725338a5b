"""The digits study beats scikit-learn's default hyperparameters by what the README says."""

from __future__ import annotations

import pytest

from studies.digits.objective import accuracy
from tests import ROOT


def test_the_best_trial_beats_the_defaults_by_what_the_readme_says() -> None:
    assert "0.9633 with the library's defaults to 0.9750" in " ".join((ROOT / "README.md").read_text().split())
    assert accuracy(C=1.0, gamma="scale", kernel="rbf") == pytest.approx(0.9633, abs=5e-4)
    assert accuracy(C=1000.0, gamma=0.00046263877687335105, kernel="rbf") == pytest.approx(0.9750, abs=5e-4)
