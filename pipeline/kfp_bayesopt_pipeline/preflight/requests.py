"""What all pods of a study that run at the same time ask a KFP cluster for: more than it has leaves them pending."""

from __future__ import annotations

from kfp_bayesopt.study.budget import workers
from kfp_bayesopt.study.machines import Step, gigabytes
from kfp_bayesopt.study.study import Study

Amounts = dict[str, float]
UNITS = {"memory": " GB"}


def asked_at_once(study: Study) -> Amounts:
    """Return what all pods at once ask for: `CPU`, `memory` in GB, and accelerators by their type.

    A limit without a request is one.
    """
    side_by_side = workers(study)
    trials = {what: amount * side_by_side for what, amount in _asked(study.steps.evaluate).items()}
    others = (_asked(study.steps.init), _asked(study.steps.update))  # each of them runs alone
    names = dict.fromkeys(name for each in (trials, *others) for name in each)
    return {name: max(each.get(name, 0.0) for each in (trials, *others)) for name in names}


def said_at_once(study: Study) -> str:
    """Return the same as a sentence."""
    asked = asked_at_once(study)
    count = workers(study)
    pods = "1 pod" if count == 1 else f"{count} pods at once"
    if not asked:
        return f"{pods}, without a request of CPU or memory (steps.evaluate.request)"
    amounts = ", ".join(f"{name} {amount:.3g}{UNITS.get(name, '')}" for name, amount in asked.items())
    return f"{pods} {'asks' if count == 1 else 'together ask'} for {amounts}"


def _asked(step: Step) -> Amounts:
    cpu = step.request.cpu or step.cpu
    memory = step.request.memory or step.memory
    found = {"CPU": cpu, "memory": gigabytes(memory) if memory else None}
    if step.accelerator_type is not None:
        found[step.accelerator_type] = float(step.accelerator_count or 1)
    return {name: amount for name, amount in found.items() if amount}
