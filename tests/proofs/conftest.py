"""Long proofs: `make proofs` runs them whole, `make test-long` a share of each, the same one every time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from kfp_bayesopt.store.objects.az import az
from kfp_bayesopt.store.objects.s3 import s3
from tests.proofs.faulty_storage import Door, door

WHOLE = os.environ.get("PROOFS") == "whole"
SEED = int(os.environ.get("PROOFS_SEED", "0"))

STORES = ("gs", "s3", "az")
"""The schemes over which the proofs run; minio is s3 with other settings."""


def share(whole: int, part: int) -> int:
    """Return how many cases of a proof are run: all of them, or the share of every `make test-long`."""
    return whole if WHOLE else part


@pytest.fixture(params=STORES)
def faulty_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Return a door before a bucket of each kind of store, through which all requests go."""
    if request.param == "gs":
        opened: Door = request.getfixturevalue("faulty")
        opened.bucket = request.getfixturevalue("bucket")
        yield opened
        return
    scheme, variable, store = {
        "s3": ("s3", "AWS_ENDPOINT_URL", s3),
        "az": ("az", "AZURE_STORAGE_CONNECTION_STRING", az),
    }[request.param]
    bucket = request.getfixturevalue(f"{scheme}_bucket")
    (behind,) = re.findall(r"http://([^/;]+)", os.environ[variable])
    with door(behind, bucket) as opened:
        monkeypatch.setenv(variable, os.environ[variable].replace(f"http://{behind}", opened.address))
        store.forget()
        yield opened
        store.forget()
