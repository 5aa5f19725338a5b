"""The component that tunes as the text of a file, in each of its forms.

KFP builds no pipeline while another one is being built, which is when a person's own calls `tune`. So it is built then
in a process apart: `python -m kfp_bayesopt_pipeline.tuning.component`, with the form on standard input.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from dataclasses import asdict, dataclass

from kfp_bayesopt import extras

MOST_BYTES = 10_000
"""The largest size of the component of every study."""


@dataclass(frozen=True)
class Form:
    """A form of the component.

    Attributes:
        image: The image of its tasks; None where it comes at run time.
        data: Whether the data are an artifact, which is required then.
    """

    image: str | None = None
    data: bool = False


def text_of(form: Form) -> str:
    """Return the component as YAML, in one document: Vertex' client reads no second one."""
    with extras.needed_by("a component", "kfp"):
        from kfp_bayesopt_pipeline.compile import text_of  # it takes seconds to import
        from kfp_bayesopt_pipeline.tuning.graph import make_tune

    return text_of(make_tune(form.image, form.data), leaves_in_a_line=True)


@functools.cache
def built_apart(form: Form) -> str:
    """Return the same, built in another process."""
    command = [sys.executable, "-P", "-W", "ignore", "-m", "kfp_bayesopt_pipeline.tuning.component"]
    given = json.dumps(asdict(form))
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.stdout.write(text_of(Form(**json.load(sys.stdin))))
