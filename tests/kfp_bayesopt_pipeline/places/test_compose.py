"""The compose file is written from the study."""

from __future__ import annotations

from pathlib import Path

import yaml

from kfp_bayesopt_pipeline.places.compose import compose_file
from tests import ROOT


def test_the_committed_file_is_the_chain_of_the_branin_study() -> None:
    assert (ROOT / "docker-compose.test.yml").read_text() == compose_file(Path("studies/branin.yaml"))


def test_trials_of_other_studies_are_uploaded_before_the_first_step(tmp_path: Path) -> None:
    written = yaml.safe_load(
        compose_file(Path("studies/branin.yaml"), along={"earlier.jsonl": tmp_path / "trials.jsonl"})
    )
    service = written["services"]["upload-1"]
    assert service["command"][1:] == ["/earlier.jsonl", "gs://bayesopt/branin/earlier.jsonl"]
    assert service["volumes"] == [f"{tmp_path}/trials.jsonl:/earlier.jsonl:ro"]
    assert "upload-1" in written["services"]["init"]["depends_on"]
