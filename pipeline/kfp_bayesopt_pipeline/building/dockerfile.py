"""The Dockerfiles that a person does not have to write."""

from __future__ import annotations

from pathlib import Path

from kfp_bayesopt.runtime import RUNTIME

WORKDIR = "/study"
# A pip.conf for private indexes, which stays out of the image: make build PIP_CONF=file.
PIP = (
    "RUN --mount=type=secret,id=pip,target=/etc/pip.conf pip install --no-cache-dir --disable-pip-version-check "
    "--root-user-action=ignore"
)


def of_folder(folder: Path, python_image: str, runtime_image: str, more: str | None = None) -> str:
    """Return the Dockerfile of a folder without one: its requirements, its files, the runtime.

    Args:
        folder: The folder of the study.
        python_image: The base image.
        runtime_image: The image to copy the runtime from.
        more: A line that installs more packages.
    """
    lines = [f"FROM {python_image}", f"WORKDIR {WORKDIR}"]
    if (folder / "requirements.txt").is_file():
        lines += ["COPY requirements.txt .", f"{PIP} --requirement requirements.txt"]
    if more is not None:
        lines.append(more)
    lines.append("COPY --chown=1000:1000 . .")
    if (folder / "pyproject.toml").is_file():
        lines.append(f"{PIP} .")
    # Any user may write there, as the script does in its folder.
    lines += [f"RUN chmod 0777 {WORKDIR}", *_runtime(runtime_image), "USER 1000:1000"]
    return "\n".join(lines) + "\n"


def on_top_of(base_image: str, runtime_image: str) -> str:
    """Return the Dockerfile that adds the runtime to a person's image."""
    return "\n".join([f"FROM {base_image}", *_runtime(runtime_image)]) + "\n"


def of_python(python_image: str, python: str, runtime_image: str) -> str:
    """Return the Dockerfile of an image for functions that travel: a Python, the runtime, and no code.

    Args:
        python_image: The base image.
        python: The minor version that its Python must have.
        runtime_image: The image of the worker to copy the runtime from.
    """
    check = (
        'import sys; found = "%d.%d" % sys.version_info[:2]; '
        f'sys.exit(None if found == "{python}" else f"its Python is {{found}}, and not {python}")'
    )
    lines = [f"FROM {python_image}", f"RUN python -c '{check}'", f"WORKDIR {WORKDIR}"]
    # Any user may write there, as a function does in the folder of its notebook.
    return "\n".join([*lines, f"RUN chmod 0777 {WORKDIR}", *_runtime(runtime_image), "USER 1000:1000"]) + "\n"


def _runtime(runtime_image: str) -> list[str]:
    return [f"COPY --from={runtime_image} {RUNTIME} {RUNTIME}"]
