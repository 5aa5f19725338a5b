"""What must hold outside of this machine before a study is submitted: services, images, the bucket."""

from __future__ import annotations

import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from bayesopt import storage
from bayesopt.errors import BucketNotFoundError, NotFoundError, UserError
from pipeline.images import Images
from pipeline.preflight.registry import missing


def check_service(address: str) -> list[str]:
    """Return why a service cannot be reached, if so; any answer will do."""
    try:
        with urllib.request.urlopen(address, timeout=20):  # noqa: S310 - http or https, as the settings were checked
            return []
    except urllib.error.HTTPError as error:
        error.close()
        return []
    except OSError as error:
        reason = getattr(error, "reason", error)
        return [f"{address} must answer, but: {reason}; check the network, the proxy and the region or host"]


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
    """Return why the bucket of the pipeline root cannot be read, if so."""
    try:
        storage.read(f"{pipeline_root.rstrip('/')}/studies/none.yaml", patience=20)
    except BucketNotFoundError:
        bucket = pipeline_root.removeprefix("gs://").partition("/")[0]
        return [f"pipeline_root: the bucket {bucket} must exist, but it is not there; docs/vertex-setup.sh makes it"]
    except NotFoundError:
        return []
    except UserError as error:
        return [f"pipeline_root: {error.message}"]
    return []
