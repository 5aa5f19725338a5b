"""What a function of a notebook or a script imports, for the trials of another place."""

from __future__ import annotations

from kfp_bayesopt.study.study import Study


def prepare(study: Study, home: str, python: str) -> Study:  # noqa: ARG001 - its images have what it needs
    """Return a study whose function has what it imports wherever its trials run.

    Args:
        study: The study; one without a function is returned as it is.
        home: The pipeline root, or the folder on this machine, below which the cache of wheels is.
        python: The minor version of Python that its trials run in, such as `3.11`.
    """
    return study
