"""The steps as KFP container components: typed inputs and outputs, artifacts by URI.

KFP reads the annotations themselves, so that this module must not postpone their evaluation.
"""

from dataclasses import dataclass
from typing import Any

from kfp import dsl

# The executor runs the step and tells KFP of its outputs; `command` replaces what the image would run.
COMMAND = ["python", "-m", "bayesopt.executor"]
STEP = ["python", "/app/main.py"]


@dataclass(frozen=True)
class Components:
    """The component of each step."""

    init: Any
    evaluate: Any
    update: Any


def make_components(images: dict[str, str]) -> Components:
    """Return the components that run these images, by step."""

    @dsl.container_component
    def init(
        study: str,
        optimizer: dsl.Output[dsl.Artifact],
        ledger: dsl.Output[dsl.Artifact],
        suggestions: dsl.Output[dsl.Artifact],
    ) -> dsl.ContainerSpec:
        """Check the study and propose the first batch of trials.

        Args:
            study: URI of the study file.
            optimizer: Optimizer state.
            ledger: All trials of the study as JSON lines; none yet.
            suggestions: Trials of iteration 1.
        """
        return dsl.ContainerSpec(
            image=images["init"],
            command=COMMAND,
            args=[
                "{{$}}",
                *STEP,
                *("--study", study),
                *("--optimizer-out", optimizer.uri),
                *("--ledger-out", ledger.uri),
                *("--suggestions-out", suggestions.uri),
            ],
        )

    @dsl.container_component
    def evaluate(
        study: str,
        suggestions: dsl.Input[dsl.Artifact],
        index: int,
        record: dsl.Output[dsl.Artifact],
        record_uri: dsl.OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        """Evaluate one trial.

        Args:
            study: URI of the study file.
            suggestions: Trials of this iteration.
            index: Which of them, from 0.
            record: The trial as JSON, with its value or its error.
            record_uri: URI of the record.
        """
        return dsl.ContainerSpec(
            image=images["evaluate"],
            command=COMMAND,
            args=[
                "{{$}}",
                *STEP,
                *("--study", study),
                *("--suggestions", suggestions.uri),
                *("--index", index),
                *("--record-out", record.uri),
            ],
        )

    @dsl.container_component
    def update(
        study: str,
        optimizer: dsl.Input[dsl.Artifact],
        ledger: dsl.Input[dsl.Artifact],
        suggestions: dsl.Input[dsl.Artifact],
        records: list,  # type: ignore[type-arg]
        next_optimizer: dsl.Output[dsl.Artifact],
        next_ledger: dsl.Output[dsl.Artifact],
        next_suggestions: dsl.Output[dsl.Artifact],
        best: dsl.Output[dsl.Artifact],
        metrics: dsl.Output[dsl.Metrics],
        best_value: dsl.OutputPath(str),  # type: ignore[valid-type]
        best_parameters: dsl.OutputPath(dict),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        """Learn from the trials of an iteration and propose the next batch.

        Args:
            study: URI of the study file.
            optimizer: Optimizer state before.
            ledger: All trials before this iteration.
            suggestions: Trials of this iteration.
            records: URIs of their records.
            next_optimizer: Optimizer state.
            next_ledger: All trials of the study as JSON lines.
            next_suggestions: Trials of the next iteration.
            best: The best trial so far.
            metrics: Best value, and how many trials have completed and failed.
            best_value: Best value so far.
            best_parameters: Its parameters.
        """
        return dsl.ContainerSpec(
            image=images["update"],
            command=COMMAND,
            args=[
                "{{$}}",
                *STEP,
                *("--study", study),
                *("--optimizer", optimizer.uri),
                *("--ledger", ledger.uri),
                *("--suggestions", suggestions.uri),
                *("--records", records),
                *("--optimizer-out", next_optimizer.uri),
                *("--ledger-out", next_ledger.uri),
                *("--best-out", best.uri),
                *("--suggestions-out", next_suggestions.uri),
            ],
        )

    return Components(init, evaluate, update)
