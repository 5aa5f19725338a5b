"""The steps as they are in a component that tunes inside of somebody's pipeline: the study comes at run time.

`init` opens the study below a root and says in an artifact which folder that is; the steps after it take that artifact
for the study folder, the study file and the job. It is an artifact and no parameter because `kfp.local` gives a task in
a loop no parameter of another task.
"""

from __future__ import annotations

from dataclasses import replace

from kfp_bayesopt.steps import INIT, REPORT, REPORT_PAGE, WORKER, Port, Step

OPENED = "opened"
"""The artifact that says where a study is."""
DATA = "data"
"""What an earlier step gave: a text, or an artifact."""
OPENED_AS = ("root", "study", "job")
"""Its metadata, by the options that they become."""

_OPENED = Port(OPENED, None, "opened", "The study folder, as it was opened.")
_OF_FOLDER = ("root", "study", "job", "run")
_DATA = Port(DATA, "--data", "text", "What an earlier step gave: a text, or the URI of a file or a folder.")
_OPENING = (
    Port("root", "--below", "text", "What studies are below of."),
    Port("study", "--content", "text", "Text of a study file, or its URI."),
    Port("image", "--image", "text", "The image of the workers."),
    _DATA,
    Port("going_on", "--going-on", "text", "How the study goes on: words of same-code, retry-failed, fresh."),
    Port("run", "--run", "text", "What the service calls this run."),
    Port("task", "--task", "text", "What the service calls this task of the run."),
)
_WRITES = (
    Port("parameters", None, "mapping", "The best parameters."),
    Port("parameters_json", None, "text", "The best parameters as JSON, with each digit."),
    Port("value", None, "number", "The best value."),
    Port("trials", None, "dataset", "All trials as a table, CSV."),
    Port("model", None, "model", "What the best trial has written to BAYESOPT_OUTPUT."),
    Port("report", None, "html", "All trials, what they mean and what to do, as one page.", REPORT_PAGE),
    Port("metrics", None, "metrics", "Best value, and how many trials have completed and failed."),
)


def tuned(step: Step, data: bool = False) -> Step:
    """Return a step as it is in a component.

    Args:
        step: The step.
        data: Whether the data of an earlier step come as an artifact.
    """
    artifact = replace(_DATA, kind="file", meaning="What an earlier step gave.")
    if step is INIT:
        reads = tuple(artifact if data and port is _DATA else port for port in _OPENING)
        return replace(step, reads=reads, writes=(_OPENED, *step.writes))
    given = tuple(port for port in step.reads if port.name not in _OF_FOLDER)
    if step is WORKER:  # the items of a loop are texts, whatever the list was
        given = tuple(replace(port, kind="text") for port in given)
    if data and step is not REPORT:  # so that the launcher brings it to where the objective runs
        given = (*given, replace(artifact, option=None))
    return replace(step, reads=(_OPENED, *given), writes=_WRITES if step is REPORT else step.writes)
