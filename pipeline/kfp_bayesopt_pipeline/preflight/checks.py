"""Checks the needs of a submission outside of this machine: services, images, the bucket."""

from __future__ import annotations

import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

from kfp_bayesopt.errors import BucketNotFoundError, UserError
from kfp_bayesopt.folder.roots import home_of_studies
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.names import split
from kfp_bayesopt.store.probe import trust
from kfp_bayesopt_pipeline.images import Images
from kfp_bayesopt_pipeline.preflight.registry import missing


def check_service(address: str) -> list[str]:
    """Return the reason a service cannot be reached, if so; any answer will do."""
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
    """Return the images that are missing in their registries.

    Args:
        images: The image of each step.
        token: An access token of Google, if any.
    """
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda image: missing(image, token), dict.fromkeys(images.values()))
    return [problem for problem in found if problem]


def check_bucket(pipeline_root: str, way_out: str = "create it") -> list[str]:
    """Return the reason the store of the pipeline root cannot be used or trusted, if so; nothing without a root.

    Args:
        pipeline_root: Where study folders are to be.
        way_out: How a bucket that does not exist is made.
    """
    if not pipeline_root:
        return []
    root = pipeline_root.rstrip("/")
    try:
        try:
            trust(root)
        except BucketNotFoundError:
            bucket, _ = split(pipeline_root)
            return [f"pipeline_root: the bucket {bucket} does not exist; {way_out}"]
        storage.folders(f"{home_of_studies(root)}/")
    except UserError as error:
        return [f"pipeline_root: {error.message}"]
    return []
