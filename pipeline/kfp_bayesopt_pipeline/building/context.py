"""The folder of a study as Docker's build context: the files, their size, and those that an image must not have."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt import extras, hints
from kfp_bayesopt.errors import UserError

MOST_BYTES = 500_000_000
# Applied if a folder has no .dockerignore of its own.
IGNORED = (
    ".env", ".env.*", "**/.git", "**/.hg", "**/.svn", "**/.venv*", "**/venv", "**/__pycache__", "**/*.pyc",
    "**/.*_cache", "**/.ipynb_checkpoints", "**/node_modules", "out", "**/*.pem", "**/*.key", "**/id_rsa*",
    "**/id_ed25519*", "**/.ssh", "**/.aws", "**/.gcloud", "**/.netrc", "**/.pypirc", "Dockerfile", ".dockerignore",
)  # fmt: skip
# Names and beginnings of files with secrets.
_SECRET_NAMES = re.compile(r"\.env(\..*)?|.*\.(pem|key|p12|pfx)|id_(rsa|dsa|ecdsa|ed25519)|\.netrc|\.pypirc|\.pgpass")
_SECRET_CONTENTS = re.compile(
    rb"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----|\"type\":\s*\"(service_account|authorized_user)\""
    rb"|aws_secret_access_key\s*=|\bAKIA[0-9A-Z]{16}\b|\bghp_[A-Za-z0-9]{36}\b|\bhf_[A-Za-z0-9]{34}\b|\bxox[bp]-[0-9A-Za-z-]{20,}"
)
LOOKED_AT = 1_000_000
_PUBLIC = re.compile(r".*\.pub|\.env\.(example|sample|template)")


@dataclass(frozen=True)
class Context:
    """The files of a folder for an image.

    Attributes:
        folder: The folder.
        ignored: The patterns that leave files out.
        files: The other files, by their names in the folder.
        size: Their total size in bytes.
    """

    folder: Path
    ignored: tuple[str, ...]
    files: tuple[str, ...]
    size: int

    def digest(self, *others: str) -> str:
        """Return a digest of the files, and of other texts."""
        digest = hashlib.sha256()
        for name in self.files:
            path = self.folder / name
            mode = path.stat().st_mode & 0o111
            digest.update(f"{name}\0{mode}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        for text in others:
            digest.update(hashlib.sha256(text.encode()).digest())
        return digest.hexdigest()[:16]


def read_context(folder: Path, allow_secrets: bool = False) -> Context:
    """Read the build context of a study's folder.

    Args:
        folder: The folder.
        allow_secrets: Whether files that look like credentials may go into the image.

    Raises:
        UserError: It is too large, or holds files that look like credentials or that an image cannot contain.
    """
    with extras.needed_by("an image", "kfp"):
        from docker.utils.build import exclude_paths
    own = folder / ".dockerignore"
    lines = own.read_text(errors="replace").splitlines() if own.is_file() else IGNORED
    ignored = tuple(line.strip() for line in lines if line.strip() and not line.strip().startswith("#"))
    # If no Dockerfile is named, Docker includes the folder's, whatever the patterns say.
    found = sorted(exclude_paths(str(folder), list(ignored), dockerfile="-"))
    files = [name for name in found if not (folder / name).is_dir() or (folder / name).is_symlink()]
    problems = list(_problems(folder, files, allow_secrets))
    size = sum((folder / name).lstat().st_size for name in files)
    if size > MOST_BYTES:
        largest = sorted(files, key=lambda name: -(folder / name).lstat().st_size)[:3]
        named = ", ".join(f"{name} ({(folder / name).lstat().st_size / 1e6:,.0f} MB)" for name in largest)
        problems.append(
            f"has {size / 1e6:,.0f} MB, more than {MOST_BYTES / 1e6:,.0f}: {named}; leave data out with a line in "
            ".dockerignore, and have the objective fetch it"
        )
    if problems:
        raise UserError("\n".join(f"{folder}: {problem}" for problem in problems[:20]))
    return Context(folder, ignored, tuple(name for name in files if (folder / name).is_file()), size)


def _problems(folder: Path, files: list[str], allow_secrets: bool) -> Iterator[str]:
    for name in files:
        path = folder / name
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            yield f"{name} is a link out of the folder, which an image cannot follow; copy the file, or leave it out"
        elif path.is_symlink() and not path.exists():
            yield f"{name} is a link to nothing; remove it, or leave it out in .dockerignore"
        elif path.is_file():
            try:
                with path.open("rb") as file:
                    content = file.read(LOOKED_AT)
            except OSError as error:
                yield f"{name} cannot be read: {error.strerror}; mend it, or leave it out in .dockerignore"
                continue
            if not allow_secrets and _looks_secret(path.name, content):
                yield (
                    f"{name} looks like credentials, and everybody who has the image would have them; leave it out "
                    f"with a line in .dockerignore, give it to trials with objective.env, or say {hints.ALLOW_SECRETS}"
                )
        elif path.exists() and not path.is_dir():
            yield f"{name} is neither a file nor a folder; leave it out in .dockerignore"


def _looks_secret(name: str, content: bytes) -> bool:
    return bool((_SECRET_NAMES.fullmatch(name) and not _PUBLIC.fullmatch(name)) or _SECRET_CONTENTS.search(content))
