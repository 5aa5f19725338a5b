"""A study file of a study folder is what its name says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.study_folder import study_uri
from kfp_bayesopt.study.study import Study
from tests.builders import study_text


def test_a_study_that_was_replaced_under_its_digest_is_refused(tmp_path: Path) -> None:
    path = Path(study_uri(str(tmp_path), study_text()))
    path.parent.mkdir()
    path.write_bytes(study_text())
    assert Study.from_file(path).name == "branin"
    path.write_bytes(study_text(iterations=100))
    with pytest.raises(UserError) as caught:
        Study.from_file(path)
    assert caught.value.message == (
        f"{path}: its content is not the one that its name is the digest of: it was replaced; delete it, and run the "
        "command with the study file again"
    )


def test_a_study_file_of_any_other_name_may_change(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(study_text())
    assert Study.from_file(path).name == "branin"
