"""The compose file is written from the study."""

from __future__ import annotations

from pathlib import Path

from pipeline import ROOT
from pipeline.compose import compose_file


def test_the_committed_file_is_the_chain_of_the_branin_study() -> None:
    assert (ROOT / "docker-compose.test.yml").read_text() == compose_file(Path("studies/branin.yaml"))
