"""The stand-in for Vertex AI, and aiplatform's own client that reads what we wrote there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_bayesopt.store import patience
from kfp_bayesopt.vertex.api import ENDPOINT, PROJECTS, REGIONS, Api
from tests.vertex_stand_in import VertexStandIn

JOB = "projects/123456789/locations/europe-west1/pipelineJobs/branin-1"


@pytest.fixture
def vertex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VertexStandIn]:
    """Yield a stand-in for Vertex AI, to which our requests and those of aiplatform's client go."""
    stand_in = VertexStandIn(tmp_path / "vertex")
    for name in (*PROJECTS, *REGIONS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(ENDPOINT, stand_in.endpoint)
    stand_in.take_client()
    yield stand_in
    stand_in.stop()


@pytest.fixture
def api(vertex: VertexStandIn) -> Api:  # noqa: ARG001 - it is to be there
    """Return the API as a task of a pipeline job asks it."""
    return Api.of(JOB, "experiment")


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests be given up after a second, with short pauses."""
    monkeypatch.setattr(patience, "RETRY", patience.RETRY.with_delay(0.01, 0.01).with_timeout(1))
