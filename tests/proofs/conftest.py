"""Long proofs: `make proofs` runs them whole, `make test-long` a share of each, the same one every time."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from kfp_bayesopt.store.objects.s3 import s3
from tests.proofs.faulty_storage import Door, door

WHOLE = os.environ.get("PROOFS") == "whole"
SEED = int(os.environ.get("PROOFS_SEED", "0"))

STORES = ("gs", "s3")
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
    bucket = request.getfixturevalue("s3_bucket")
    with door(os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"), bucket) as opened:
        monkeypatch.setenv("AWS_ENDPOINT_URL", opened.address)
        s3.forget()
        yield opened
        s3.forget()
