"""Whole objects of Google Cloud Storage, with retries, checksums and messages a person can act on."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator

from google.api_core.exceptions import BadRequest, Forbidden, NotFound, Unauthorized
from google.auth.exceptions import DefaultCredentialsError, RefreshError
from google.cloud.storage import Blob, Client
from google.cloud.storage.retry import DEFAULT_RETRY

from bayesopt.errors import NotFoundError, UserError
from bayesopt.storage import check_size

# Connection errors, 408, 429 and 5xx are tried again, with growing pauses, for two minutes in all.
RETRY = DEFAULT_RETRY.with_timeout(120)


def read(uri: str, limit: int | None = None) -> bytes:
    """Return the content of an object; its crc32c is compared with the one that the service holds."""
    with _errors(uri):
        blob = _blob(uri)
        if limit is not None:
            blob.reload(retry=RETRY)
            check_size(uri, blob.size, limit)
        return bytes(blob.download_as_bytes(retry=RETRY))


def write(uri: str, content: bytes) -> None:
    """Write an object whole; the service compares its crc32c with ours before it shows the object.

    The name of an object is decided by the caller and its content by the inputs of the step, so
    that a write which is tried again writes the same.
    """
    with _errors(uri):
        _blob(uri).upload_from_string(content, content_type="application/octet-stream", checksum="crc32c", retry=RETRY)


def find(prefix: str) -> list[str]:
    """Return the URIs of all objects whose URI begins so."""
    bucket, _, name = prefix.removeprefix("gs://").partition("/")
    with _errors(prefix):
        return [f"gs://{bucket}/{blob.name}" for blob in _client().list_blobs(bucket, prefix=name, retry=RETRY)]


def _blob(uri: str) -> Blob:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not bucket or not name:
        raise UserError(f"{uri}: gs://BUCKET/OBJECT must hold, but the bucket or the object is missing")
    return _client().bucket(bucket).blob(name)


@functools.cache
def _client() -> Client:
    # Else each process asks for its bucket as well, in a thread, for traces that nobody collects;
    # that needs a role which reading and writing objects does not.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    # Objects need no project; without this the client insists on one.
    return Client(project=None)


@contextlib.contextmanager
def _errors(uri: str) -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        missing = "bucket" if "bucket does not exist" in str(error) else "object"
        raise NotFoundError(f"{uri}: the {missing} must exist, but it is not there") from None
    except (Forbidden, Unauthorized) as error:
        raise UserError(
            f"{uri}: permission denied ({error.message}); grant roles/storage.objectUser "
            "on the bucket to the account that runs this"
        ) from None
    except BadRequest as error:
        raise UserError(f"{uri}: a bucket and an object of Cloud Storage must be named, but: {error.message}") from None
    except (DefaultCredentialsError, RefreshError) as error:
        raise UserError(
            f"{uri}: no valid credentials ({error}); run `gcloud auth application-default login`, "
            "or set GOOGLE_APPLICATION_CREDENTIALS"
        ) from None
