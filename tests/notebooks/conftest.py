"""What notebooks share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ROOT
from tests.installed import Installed, an_environment, install


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return the environment of a person who has the wheel, a kernel, pandas and scikit-learn."""
    made = an_environment(tmp_path_factory.mktemp("notebooks"), lock=ROOT / "tests" / "requirements.txt")
    return install(wheel, made)
