"""What tests of the pipeline share."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session", autouse=True)
def _quick_compiler() -> Iterator[None]:
    """Show KFP the names of the functions that called it alone.

    It looks at the whole stack of calls for each limit of each task, with the lines of all files in it. Of a test that
    stack is deep: it took four fifths of the time.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of kfp, at import
        from kfp.dsl import pipeline_task
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_task, "inspect", SimpleNamespace(stack=_names))
        yield


def _names() -> list[tuple[None, None, None, str]]:
    """Return what `inspect.stack` would of its caller, and of the caller of that, without files and lines."""
    caller = sys._getframe(1)
    assert caller.f_back is not None
    return [(None, None, None, frame.f_code.co_name) for frame in (caller, caller.f_back)]
