"""What KFP's installer says of the store that it brings into a cluster, in release 2.17."""

from __future__ import annotations

SERVICE = "http://seaweedfs.kubeflow:9000"
"""Its address for pods (`DefaultEndpointInMultiUserMode` of the launcher)."""
REGION = "minio"
SECRET = "mlpipeline-minio-artifact"  # noqa: S105 - its name
"""The secret with its keys, in each namespace with runs."""
SECRET_KEYS = "accesskey", "secretkey"
"""What they are called there."""
KEYS = "minio", "minio123"
"""The keys themselves, where nobody has set others: they are no secret."""
SETTINGS = "kfp-launcher"
"""The config map with what an administrator says of stores, in each namespace with runs; it need not be there."""
