"""The component that tunes as the text of a file.

KFP builds no pipeline while another one is being built, which is when a person's own calls `tune`. So it is built then
in a process apart: `python -m kfp_bayesopt_pipeline.tuning.component`, with the form on standard input.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys

from kfp_bayesopt import extras
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.tuning.forms import Form

MOST_BYTES = 10_000
"""The largest size of the component of every study."""


def text_of(form: Form) -> str:
    """Return the component as YAML.

    It is one document, because Vertex' client reads no second one; where a study is for a KFP cluster, a second one
    says what its pods need.
    """
    with extras.needed_by("a component", "kfp"):
        from kfp_bayesopt_pipeline.compile import text_of  # it takes seconds to import
        from kfp_bayesopt_pipeline.tuning.graph import make_own, make_tune

    if form.own is None:
        return text_of(make_tune(form.image, form.data), leaves_in_a_line=True)
    return text_of(make_own(Study.from_text(form.own.text), form.own, form.data), leaves_in_a_line=True)


@functools.cache
def built_apart(form: Form) -> str:
    """Return the same, built in another process."""
    command = [sys.executable, "-P", "-W", "ignore", "-m", "kfp_bayesopt_pipeline.tuning.component"]
    given = json.dumps(form.to_data())
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.stdout.write(text_of(Form.from_data(json.load(sys.stdin))))
