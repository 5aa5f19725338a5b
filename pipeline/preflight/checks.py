"""Checks what a submission needs outside of this machine: services, images, the bucket."""

from __future__ import annotations

import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

from bayesopt import storage
from bayesopt.errors import BucketNotFoundError, NotFoundError, UserError
from pipeline.images import Images
from pipeline.preflight.registry import missing


def check_service(address: str) -> list[str]:
    """Return why a service cannot be reached, if so; any answer will do."""
    try:
        with urllib.request.urlopen(address, timeout=20):  # noqa: S310 - the settings allow http and https only
            return []
    except urllib.error.HTTPError as error:
        error.close()
        return []
    except (OSError, HTTPException, ValueError) as error:  # the last two: what answers there does not speak HTTP
        reason = str(getattr(error, "reason", error)).strip()
        return [f"cannot reach {address}: {reason}; check the network, the proxy (HTTPS_PROXY), and the region or host"]


def check_images(images: Images, token: str | None) -> list[str]:
    """Return which images are not in their registries.

    Args:
        images: The image of each step.
        token: An access token of Google, where there is one.
    """
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda image: missing(image, token), dict.fromkeys(images.values()))
    return [problem for problem in found if problem]


def check_bucket(pipeline_root: str) -> list[str]:
    """Return why the bucket of the pipeline root cannot be used, if so; without a root there is nothing to say."""
    if not pipeline_root:
        return []
    try:
        storage.read(f"{pipeline_root.rstrip('/')}/studies/none.yaml", patience=20)
    except BucketNotFoundError:
        bucket = pipeline_root.removeprefix("gs://").partition("/")[0]
        return [f"pipeline_root: the bucket {bucket} does not exist; docs/vertex-setup.sh creates one"]
    except NotFoundError:
        return []
    except UserError as error:
        return [f"pipeline_root: {error.message}"]
    return []
