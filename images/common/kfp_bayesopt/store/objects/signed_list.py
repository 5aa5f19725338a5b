"""A list of S3 that has any name, by an address that obstore signs: its own fails as a whole at a name such as `a//b`.

It is asked for only where that has happened, as whoever opens such an address asks for keys once more.
"""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import obstore
from obstore import exceptions as bad

from kfp_bayesopt.store.certificates import trusting
from kfp_bayesopt.store.patience import DamagedError

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Store

WHOLE = timedelta(minutes=5)
"""How long a signed address holds."""


def objects_below(open_at: Callable[[str], S3Store], prefix: str) -> dict[str, ObjectMeta]:
    """Return the objects below a prefix, by name.

    Args:
        open_at: Returns a store whose requests go to the address of the bucket with something at its end.
        prefix: The prefix, up to a slash.
    """
    found: dict[str, ObjectMeta] = {}
    for page in _pages(open_at, {"prefix": prefix}):
        for each in page.iterfind("{*}Contents"):
            name = _text(each, "Key")
            found[name] = {
                "path": name,
                "last_modified": datetime.fromisoformat(_text(each, "LastModified").replace("Z", "+00:00")),
                "size": int(_text(each, "Size")),
                "e_tag": _text(each, "ETag"),
                "version": None,
            }
    return found


def folders_below(open_at: Callable[[str], S3Store], prefix: str) -> list[str]:
    """Return the prefixes of the folders just below one."""
    pages = _pages(open_at, {"prefix": prefix, "delimiter": "/"})
    return [_text(each, "Prefix") for page in pages for each in page.iterfind("{*}CommonPrefixes")]


def _pages(open_at: Callable[[str], S3Store], asked: dict[str, str]) -> Iterator[ET.Element]:
    token = ""
    while True:
        query = {"list-type": "2", "encoding-type": "url", **asked, **({"continuation-token": token} if token else {})}
        # The name that is signed becomes the value of the last parameter, by which clients of S3 say what they ask.
        url = obstore.sign(open_at(f"?{urllib.parse.urlencode(query)}&x-id="), "GET", "ListObjectsV2", WHOLE)
        page = _page(url)
        yield page
        token = (page.findtext("{*}NextContinuationToken") or "") if page.findtext("{*}IsTruncated") == "true" else ""
        if not token:
            return


def _page(url: str) -> ET.Element:
    context = trusting() if url.startswith("https:") else None
    try:
        with urllib.request.urlopen(url, timeout=60, context=context) as answer:  # noqa: S310 - of the settings
            content = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            body = error.read().decode(errors="replace")
        raise bad.GenericError(f"status code: {error.code} {error.reason}: {body}") from None
    except urllib.error.URLError as error:
        raise ConnectionError(str(error.reason)) from None
    try:
        page = ET.fromstring(content)  # noqa: S314 - of the store, which has the trials too
    except ET.ParseError:
        raise DamagedError("a page came that is no list") from None
    if not page.tag.endswith("ListBucketResult"):
        raise DamagedError("a page came that is no list")
    return page


def _text(element: ET.Element, name: str) -> str:
    text = element.findtext(f"{{*}}{name}")
    if text is None:
        raise DamagedError(f"a list came without {name}")
    return urllib.parse.unquote_plus(text) if name in ("Key", "Prefix") else text
