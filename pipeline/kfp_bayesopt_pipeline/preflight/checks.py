"""Checks the needs of a submission outside of this machine: services, images, the bucket."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

from kfp_bayesopt.errors import BucketNotFoundError, NotFoundError, RetainedError, UserError
from kfp_bayesopt.folder.roots import home_of_studies
from kfp_bayesopt.store import storage
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


PROBE = ".bayesopt"
"""The object that the check of a bucket writes; names that begin with a dot are ignored."""


def check_bucket(pipeline_root: str) -> list[str]:
    """Return the reason the bucket of the pipeline root cannot be used, if so; nothing without a root.

    Steps read, list, create and replace objects. All of that is tried; it leaves one small object that is ignored.
    """
    if not pipeline_root:
        return []
    probe = f"{pipeline_root.rstrip('/')}/{PROBE}"
    content = b"kfp-bayesopt looks here whether it may write\n"
    try:
        try:
            storage.read(probe, 1000, patience=20)  # the only one with little patience, so it is the first
        except BucketNotFoundError:
            bucket = pipeline_root.removeprefix("gs://").partition("/")[0]
            return [f"pipeline_root: the bucket {bucket} does not exist; docs/vertex-setup.sh creates one"]
        except NotFoundError:
            pass
        storage.folders(f"{home_of_studies(pipeline_root)}/")
        storage.create(probe, content)
        with contextlib.suppress(RetainedError):  # results cannot be replaced then, which costs a warning
            storage.replace(probe, content)
    except UserError as error:
        return [f"pipeline_root: {error.message}"]
    return []
