"""The words of tools for the state of a trial: ours, Optuna's, MLflow's, W&B's, Ray's, Ax', Katib's and Vertex'."""

from __future__ import annotations

from dataclasses import replace

from kfp_bayesopt.errors import named, shown
from kfp_bayesopt.exchange.formats.base import Found

COMPLETED = ("completed", "complete", "finished", "succeeded", "success", "terminated", "done")
FAILED = (
    "failed", "fail", "failure", "crashed", "killed", "error", "errored", "infeasible", "abandoned",
    "metricsunavailable",
)  # fmt: skip
STOPPED = ("stopped", "pruned", "earlystopped", "early_stopped", "stopping")
RUNNING = (
    "running", "waiting", "pending", "queued", "scheduled", "preempting", "preempted", "active", "requested", "created",
    "paused", "candidate", "staged", "starting",
)  # fmt: skip


def of_state(found: Found, state: str) -> Found:
    """Return a trial as its state has it: a failed one has no values, and one without an end tells nothing."""
    match state.lower():
        case word if word in COMPLETED:
            return found
        case word if word in FAILED:
            return replace(found, values={})
        case word if word in STOPPED:
            return replace(found, unusable="was stopped, and what it would have come to is not known")
        case word if word in RUNNING:
            return replace(found, unusable=f"is {word}, and has no end")
    known = f"{named(COMPLETED)}; {named(FAILED)}"
    return replace(found, unusable=f"its state is {shown(state)}, which is none that is known: {known}")
