"""Variables of the environment of an objective, and the secrets among them, which are never shown."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from kfp_bayesopt.errors import shown
from kfp_bayesopt.identity import IdentityModel
from kfp_bayesopt.private import is_private

MASK = b"***"
SHORTEST_SECRET = 4
"""Shorter ones occur in any output by chance."""

FORBIDDEN = re.compile(r"(BAYESOPT_|LD_|PYTHON|GOOGLE_|CLOUD_ML_).*|PATH|STORAGE_EMULATOR_HOST")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# https://kubernetes.io/docs/concepts/configuration/secret: a DNS subdomain, and a key of letters, digits, -, _ and .
_KUBERNETES_SECRET = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[-._a-zA-Z0-9]{1,253}")
_SECRET = re.compile(r"projects/[^/\s]+/secrets/[\w-]+/versions/(\d+|latest)")


class FromEnvironment(IdentityModel):
    """The value of a variable on the machine that evaluates the trial; on a KFP cluster a secret can set it."""

    first_keys = ("from_environment",)

    from_environment: str = Field(description="Its name there.")
    kubernetes_secret: str | None = Field(
        None, description="On a KFP cluster, the secret of its namespace that the variable is set from: NAME/KEY."
    )
    secret: bool = Field(True, description="Whether nothing may show its value; false for a port, a mode, a path.")


class Secret(IdentityModel):
    """A secret of Google Cloud's Secret Manager."""

    first_keys = ("secret",)

    secret: str = Field(description="projects/PROJECT/secrets/SECRET/versions/VERSION")


def variable(value: Any) -> Any:
    """Read the value of a variable.

    Raises:
        ValueError: It is neither text nor the source of a secret value.
    """
    match value:
        case str() | FromEnvironment() | Secret():
            return value
        case {"from_environment": str(name), **others} if others.keys() <= {"kubernetes_secret", "secret"}:
            if not _NAME.fullmatch(name):
                raise ValueError(f"from_environment: must be the name of a variable, but got {shown(name)}")
            if is_private(name):
                raise ValueError(
                    f"from_environment: {name} is for our process alone; give the objective a variable of its own, "
                    "such as AWS_ACCESS_KEY_ID"
                )
            secret = others.get("kubernetes_secret")
            if secret is not None and not (isinstance(secret, str) and _KUBERNETES_SECRET.fullmatch(secret)):
                raise ValueError(f"kubernetes_secret: must be NAME/KEY, but got {shown(secret)}")
            if type(is_secret := others.get("secret", True)) is not bool:
                raise ValueError(f"secret: must be true or false, but got {shown(is_secret)}")
            return FromEnvironment(from_environment=name, kubernetes_secret=secret, secret=is_secret)
        case {"secret": str(secret), **others} if not others:
            if not _SECRET.fullmatch(secret):
                raise ValueError(
                    f"secret: must be projects/PROJECT/secrets/SECRET/versions/VERSION, but got {shown(secret)}"
                )
            return Secret(secret=secret)
        case _:
            hint = "; put it into quotes" if isinstance(value, bool | int | float) else ""
            raise ValueError(
                f"must be text, {{from_environment: NAME}} or {{secret: projects/P/secrets/S/versions/N}}, "
                f"but got {shown(value)}{hint}"
            )


Variable = Annotated[str | FromEnvironment | Secret, BeforeValidator(variable)]
"""A variable: text, or the source of its secret value."""


def check_variable(name: str) -> None:
    """Check the name of a variable for the objective.

    Raises:
        ValueError: It is not a name, or is reserved for the process around the objective.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name of a variable must be letters, digits and _, but got {shown(name)}")
    if FORBIDDEN.fullmatch(name):
        raise ValueError(
            f"{name} is not to be set here: BAYESOPT_*, LD_*, PYTHON*, GOOGLE_*, CLOUD_ML_*, PATH and "
            "STORAGE_EMULATOR_HOST belong to what runs the objective; set it in the image"
        )


def forms(secret: str) -> list[bytes]:
    """Return the forms of a secret in an output, the longest first.

    As it is, in base64 and in hexadecimal digits, in a URL, in JSON, and as Python prints text and bytes; in base64
    also as part of a longer text, such as `user:SECRET`.
    """
    plain = secret.encode(errors="surrogateescape")
    encoded = [form for encode in (base64.b64encode, base64.urlsafe_b64encode) for form in _in_base64(plain, encode)]
    quoted = [urllib.parse.quote(plain, safe=safe).encode() for safe in ("", "/")]
    quoted += [urllib.parse.quote_plus(plain).encode()]
    quoted += [re.sub(rb"%..", lambda match: match[0].lower(), each) for each in quoted]
    shown = [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    shown += [repr(secret)[1:-1], ascii(secret)[1:-1], repr(plain)[2:-1], plain.hex(), plain.hex().upper()]
    # Each line of a multi-line secret, such as a key: a program may print it line by line.
    lines = [line for line in plain.split(b"\n") if len(line) >= 8]
    found = {plain, *lines, *quoted, *encoded, *(each.encode(errors="surrogateescape") for each in shown)}
    return sorted((each for each in found if len(each) >= SHORTEST_SECRET), key=len, reverse=True)


def _in_base64(plain: bytes, encode: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Yield a secret in base64: alone, and preceded by 0, 1 or 2 bytes of a group of three.

    In the latter, only the part that does not depend on its surroundings: the first and last characters may encode
    other bits too.
    """
    alone = encode(plain)
    yield alone
    yield alone.rstrip(b"=")
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(plain)) * 8 // 6
        yield encode(bytes(before) + plain)[first:last]


class Masked:
    """Replaces secrets by *** in a stream of bytes, also across the borders of its chunks."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = sorted({form for secret in secrets for form in forms(secret)}, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, found))) if found else None
        self._forms = set(found)
        self._longest = len(found[0]) if found else 0
        self._by_start: dict[int, list[bytes]] = {}
        for form in found:
            self._by_start.setdefault(form[0], []).append(form)
        self._held = b""

    @property
    def has_secrets(self) -> bool:
        """Tell whether it has secrets to hide."""
        return self._pattern is not None

    def feed(self, chunk: bytes) -> bytes:
        """Return the part that can be shown by now: all but an end that may begin a secret."""
        if self._pattern is None:
            return chunk
        whole, shown, done = self._held + chunk, b"", 0
        end = self._open_end(whole, 0)
        for match in self._pattern.finditer(whole):
            if match.start() >= end:  # with what comes next it may be a longer one
                break
            shown += whole[done : match.start()] + MASK
            done = match.end()
        end = max(end, self._open_end(whole, done)) if done > end else end
        self._held = whole[max(end, done) :]
        return shown + whole[done:end]

    def rest(self) -> bytes:
        """Return the held-back end of the stream."""
        rest, self._held = self._held, b""
        return self._pattern.sub(MASK, rest) if self._pattern is not None else rest

    def mask(self, text: str) -> str:
        """Return a complete text without the secrets."""
        if self._pattern is None:
            return text
        return self._pattern.sub(MASK, text.encode(errors="surrogateescape")).decode(errors="replace")

    def hides(self, name: str, number: float) -> bool:
        """Tell whether a metric that nobody asked for would reveal a secret: by its name, or as its whole number."""
        if self.mask(name) != name:
            return True
        texts = {repr(number), f"{number:.0f}"} if number.is_integer() else {repr(number)}
        return any(text.encode() in self._forms for text in texts)

    def _open_end(self, whole: bytes, first: int) -> int:
        """Return the start of the end, not before a given position, that may begin a secret."""
        for start in range(max(len(whole) - self._longest + 1, first), len(whole)):
            end = whole[start:]
            if any(len(form) > len(end) and form.startswith(end) for form in self._by_start.get(whole[start], ())):
                return start
        return len(whole)
