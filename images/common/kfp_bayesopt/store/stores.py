"""The stores: the disk, and one line for each other one, by the scheme of its URIs; nothing else names them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt import extras
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.private import ENDPOINTS
from kfp_bayesopt.store import local
from kfp_bayesopt.store.protocol import Store


def _gcs() -> Store:
    with extras.needed_by("gs://…", "gcs"):
        from kfp_bayesopt.store import gcs
    return gcs


def _s3() -> Store:
    with extras.needed_by("s3://…", "s3"):
        from kfp_bayesopt.store.objects.s3 import s3
    return s3


def _minio() -> Store:
    with extras.needed_by("minio://…", "s3"):
        from kfp_bayesopt.store.objects.s3 import minio
    return minio


def _az() -> Store:
    with extras.needed_by("az://…", "s3"):
        from kfp_bayesopt.store.objects.az import az
    return az


@dataclass(frozen=True)
class Remote:
    """A store of buckets.

    Attributes:
        scheme: That of its URIs.
        load: Imports it, when it is needed: that takes longer than all other imports of `evaluate`, and a run on local
            paths does not need the package at all.
        aliases: Schemes that people write instead.
        web: A pattern of the beginning of its web addresses, after https://.
        layer: The extra that it needs, and that images have only where a study folder is there.
        addresses: The variables that tell where it is, of one that is nowhere without them.
    """

    scheme: str
    load: Callable[[], Store]
    aliases: tuple[str, ...] = ()
    web: str | None = None
    layer: str | None = None
    addresses: tuple[str, ...] = ()


REMOTES = (
    Remote("gs", _gcs, ("gcs",), r"(storage\.googleapis\.com|storage\.cloud\.google\.com)/"),
    Remote("s3", _s3, ("s3a", "s3n"), r"s3\.[a-z0-9.-]*amazonaws\.com/", extras.LAYER),
    Remote("minio", _minio, layer=extras.LAYER, addresses=ENDPOINTS),
    Remote("az", _az, ("azure",), r"[a-z0-9]+\.blob\.core\.windows\.net/", extras.LAYER),
)

*_FIRST, _LAST = (f"{each.scheme}://" for each in REMOTES)
ALL, ANY = (f"{', '.join(_FIRST)} {word} {_LAST}" for word in ("and", "or"))
"""The schemes, as messages name them."""
ROOT = f"{ANY}BUCKET/PREFIX"
"""What a folder in any of them is called."""
ROOTS = rf"({'|'.join(each.scheme for each in REMOTES)})://[^/\s]+(/\S*)?"
"""A pattern of one."""

_NAMES = "|".join(name for each in REMOTES for name in (each.scheme, *each.aliases))
_SCHEME = re.compile(rf"((?i:{_NAMES})(?=:)|[A-Za-z][A-Za-z0-9+.-]*(?=:/)):/*")  # no folder is called gs:bucket
_EMPTY = f"the path is empty; give a {ANY} URI or a local path"


def store_of(uri: str) -> Store:
    """Return the store of a URI or path.

    Raises:
        UserError: It is empty or has another scheme, or a package of the store is missing.
    """
    if not uri:
        raise UserError(_EMPTY)
    remote = _remote(uri)
    if remote is None:
        return local
    return remote.load()


def is_local(uri: str) -> bool:
    """Tell whether a URI is a path of this machine.

    Everything that reads or writes checks this first, so that nothing is created at a URI of an unknown storage: taken
    for a path, `ftp://host/x` would be a folder `ftp:`.

    Raises:
        UserError: It is neither a path nor of a store.
    """
    return _remote(uri) is None


def has_address(uri: str) -> bool:
    """Tell whether it is known where the store of a URI is: inside of a cluster, another machine does not know it."""
    remote = _remote(uri)
    return remote is None or not remote.addresses or any(map(os.environ.get, remote.addresses))


def given(uri: str) -> str:
    """Return a folder or file that a person named in our form: without a slash at its end.

    A path that begins like a URI, such as ./a:/b, becomes absolute, so that it is not mistaken for one later.

    Raises:
        UserError: It is empty, or neither a path nor a bucket's URI.
    """
    if not uri:
        raise UserError(_EMPTY)
    if remote := _remote(uri):
        beginning = f"{remote.scheme}://"
        if not uri.removeprefix(beginning).strip("/"):
            raise UserError(f"{uri}: the bucket is missing; give {beginning}BUCKET/PREFIX")
        return uri.rstrip("/")
    path = str(Path(uri))
    return str(Path.cwd() / path) if _SCHEME.match(path) else path


def _remote(uri: str) -> Remote | None:
    """Return the store of buckets that a URI is of; None if it is a path."""
    for each in REMOTES:
        if uri.startswith(f"{each.scheme}://"):
            return each
    if _SCHEME.match(uri):
        near = meant(uri)
        hint = f"did you mean {near}?" if near else "a folder of that name here is written ./NAME"
        raise UserError(f"{uri}: only {ALL} URIs and local paths are supported; {hint}")
    return None


def layer_of(uri: str) -> str | None:
    """Return the extra that an image needs besides, to reach a folder; None for what every image reaches, and for none.

    Raises:
        UserError: It is neither a path nor of a store.
    """
    remote = _remote(uri) if uri else None
    return None if remote is None else remote.layer


def meant(uri: str) -> str | None:
    """Return the URI or path that was probably meant by one of another scheme; None if that is unknown."""
    found = _SCHEME.match(uri)
    if found is None:
        return None
    scheme, rest = found[1].lower(), uri[found.end() :]
    near = f"/{rest}" if scheme == "file" else None
    for each in REMOTES:
        if scheme in (each.scheme, *each.aliases):
            near = f"{each.scheme}://{rest}"
        elif scheme in ("http", "https") and each.web and (web := re.match(each.web, rest)):
            near = f"{each.scheme}://{rest[web.end() :]}"
    return near
