"""S3 and what speaks as it does: `s3://` with the settings that people have for AWS, and `minio://` as KFP writes it.

Our own settings, `BAYESOPT_STORE_…`, beat all others: only this process reads them, never an objective.
"""

from __future__ import annotations

import configparser
import functools
import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obstore.store import S3Store

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.private import ACCESS_KEY, ENDPOINT, ENDPOINTS, REGION, SECRET_KEY
from kfp_bayesopt.store.objects import installed, launcher
from kfp_bayesopt.store.objects.launcher import ClusterStore
from kfp_bayesopt.store.objects.objects import ONCE, Account, Objects, answers, client_options, endpoint_of

if TYPE_CHECKING:
    from obstore.store import S3Credential

DEFAULT_REGION = "us-east-1"
OTHERS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Where obstore itself finds keys: a role of a service account (IRSA), and the agent of a container."""
SOON = timedelta(minutes=5)
"""How long keys of a file are used before it is read again."""

_DENIED = (
    "let the account that runs this read, write, delete and list objects there (s3:GetObject, s3:PutObject, "
    "s3:DeleteObject, s3:ListBucket); without the last, a missing object is refused too"
)
_WAYS_OUT = {
    "InvalidAccessKeyId": "correct the access key",
    "SignatureDoesNotMatch": "correct the secret key",
    "InvalidToken": "renew the keys",
    "ExpiredToken": "renew the keys",
    "ExpiredTokenException": "renew the keys",
    "RequestExpired": "renew the keys, and see that the clock of this machine is right",
    "NotImplemented": "use a store that can create once (docs/stores.md)",
    "RequestTimeTooSkewed": "set the clock of this machine",
    "AuthorizationHeaderMalformed": "set AWS_REGION to the region of the bucket",
    "PermanentRedirect": "set AWS_REGION to the region of the bucket",
    "IllegalLocationConstraintException": "set AWS_REGION to the region of the bucket",
}


@dataclass(frozen=True)
class _Keys:
    """Keys, and where they are from."""

    access: str
    secret: str
    token: str | None
    expires: datetime | None


def _s3() -> Account:
    profile = _profile()
    return _account("s3", _endpoint() or profile.get("endpoint_url"), profile)


def _minio() -> Account:
    if endpoint := _endpoint():
        return _account("minio", endpoint, {})
    if launcher.is_pod():
        cluster = launcher.find(with_keys=not os.environ.get(ACCESS_KEY))
        return _account("minio", cluster.endpoint, {}, cluster)
    raise UserError(
        "minio:// paths are in the store of a cluster, which this machine has no address of; run `kubectl "
        f"port-forward -n kubeflow service/seaweedfs 9000:9000` and set {ENDPOINT}=http://127.0.0.1:9000"
    )


def _endpoint() -> str | None:
    return next(filter(None, map(os.environ.get, ENDPOINTS)), None)


def _account(
    scheme: str, endpoint: str | None, profile: Mapping[str, str], cluster: ClusterStore | None = None
) -> Account:
    variables = os.environ
    region = variables.get(REGION) or (cluster.region if cluster else None)
    region = region or variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION")
    region = region or profile.get("region") or DEFAULT_REGION
    if endpoint:
        endpoint = endpoint_of(endpoint)
    virtual = (
        cluster.virtual
        if cluster
        else _says_yes("AWS_VIRTUAL_HOSTED_STYLE_REQUEST") or variables.get("AWS_S3_FORCE_PATH_STYLE") in ("false", "0")
    )
    base = endpoint or f"https://s3.{region}.amazonaws.com"

    def address(bucket: str) -> str:
        scheme_of, _, host = base.partition("://")
        return f"{scheme_of}://{bucket}.{host}" if virtual else f"{base}/{bucket}"

    def opened(bucket: str) -> S3Store:
        if cluster:
            cluster.check(bucket)
        return open_as(bucket, address(bucket) if virtual else base, virtual)

    def open_as(bucket: str, endpoint_url: str, virtual: bool) -> S3Store:
        keys = _keys(scheme, cluster)
        if keys is None and not any(variables.get(name) for name in OTHERS) and (endpoint or not _has_metadata()):
            raise _no_keys(scheme)
        provider: Any = None if keys is None else functools.partial(_provided, scheme, cluster)
        return S3Store(
            bucket,
            region=region,
            virtual_hosted_style_request=virtual,
            disable_bulk_delete=True,
            endpoint=endpoint_url,
            client_options=client_options(base),
            retry_config=ONCE,
            credential_provider=provider,
        )

    return Account(
        f"S3 at {endpoint}" if endpoint else "S3",
        address,
        opened,
        _WAYS_OUT,
        cluster.denied if cluster else _DENIED,
        _no_keys(scheme).message,
        lambda bucket, end: open_as(bucket, address(bucket) + end, True),
    )


def _provided(scheme: str, cluster: ClusterStore | None) -> S3Credential:
    keys = _keys(scheme, cluster)
    if keys is None:
        raise _no_keys(scheme)
    return {
        "access_key_id": keys.access,
        "secret_access_key": keys.secret,
        "token": keys.token,
        "expires_at": keys.expires,
    }


def _keys(scheme: str, cluster: ClusterStore | None = None) -> _Keys | None:
    """Return the keys of the settings: ours, those of the environment, or of a profile.

    The profile that everybody has is for AWS: the store of a cluster takes it only where a person names it. The keys of
    a cluster's secret are for its store, whatever the variables of AWS are for.
    """
    variables = os.environ
    for access, secret, token in (
        (ACCESS_KEY, SECRET_KEY, None),
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    ):
        if cluster and cluster.keys and access != ACCESS_KEY:
            return _Keys(*cluster.keys, None, None)
        given = [variables.get(name) for name in (access, secret)]
        if any(given):
            if not all(given):
                there, missing = (access, secret) if given[0] else (secret, access)
                raise UserError(f"{there} is set, but {missing} is not; set both, or none")
            return _Keys(str(given[0]), str(given[1]), variables.get(token) or None if token else None, None)
    if scheme == "minio" and cluster is None and not variables.get("AWS_PROFILE"):
        return _Keys(*installed.KEYS, None, None)
    if variables.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return None
    profile = _profile()
    if "aws_access_key_id" in profile and "aws_secret_access_key" in profile:
        return _Keys(
            profile["aws_access_key_id"],
            profile["aws_secret_access_key"],
            profile.get("aws_session_token"),
            datetime.now(UTC) + SOON,
        )
    if "credential_process" in profile:
        return _of_process(profile["credential_process"])
    if other := next((key for key in ("sso_session", "sso_start_url", "role_arn") if key in profile), None):
        name = _profile_name()
        raise UserError(
            f"the profile {name} has its keys by {other}, which only the AWS command line can do; run "
            f'`eval "$(aws configure export-credentials --profile {name} --format env)"` first'
        )
    return None


def _of_process(command: str) -> _Keys:
    try:
        answer = subprocess.run(shlex.split(command), capture_output=True, check=True, timeout=60).stdout
        said = json.loads(answer)
        expires = said.get("Expiration")
        return _Keys(
            said["AccessKeyId"],
            said["SecretAccessKey"],
            said.get("SessionToken"),
            datetime.fromisoformat(expires.replace("Z", "+00:00")) if expires else None,
        )
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"the credential_process of the profile {_profile_name()} gives no keys ({type(error).__name__}); run it "
            "by hand to see why"
        ) from None


def _profile_name() -> str:
    return os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"


def _profile() -> dict[str, str]:
    """Return what the files of the AWS command line say of the profile that is asked for; of both, the keys' wins."""
    name, found, there = _profile_name(), dict[str, str](), False
    for variable, file, section in (
        ("AWS_CONFIG_FILE", "~/.aws/config", name if name == "default" else f"profile {name}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", name),
    ):
        path = Path(os.environ.get(variable) or file).expanduser()
        read = configparser.RawConfigParser(strict=False)
        try:
            read.read_string(path.read_text(), str(path))
        except (FileNotFoundError, PermissionError, NotADirectoryError):
            continue
        except (OSError, ValueError, configparser.Error) as error:
            raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); correct it") from None
        if read.has_section(section):
            there = True
            found.update(read.items(section))
    if not there and os.environ.get("AWS_PROFILE"):
        raise UserError(f"AWS_PROFILE is {name}, but ~/.aws has no profile of that name; correct or unset it")
    return found


def _has_metadata() -> bool:
    """Tell whether this is a machine of Amazon's, which may have keys; anywhere else its address leads nowhere."""
    if _says_yes("AWS_EC2_METADATA_DISABLED"):
        return False
    at = os.environ.get("AWS_METADATA_ENDPOINT") or "http://169.254.169.254"
    return answers(f"{at}/latest/api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})


def _no_keys(scheme: str) -> UserError:
    return UserError(
        f"no keys for {scheme}:// paths found; set {ACCESS_KEY} and {SECRET_KEY}, or AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    )


def _says_yes(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on")


s3 = Objects(_s3)
minio = Objects(_minio)
