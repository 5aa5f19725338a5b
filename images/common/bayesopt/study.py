"""What a person asks for: search space, objective, direction, budget, and how trials are proposed and run."""

from __future__ import annotations

import hashlib
import json
import math
import string
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bayesopt.engines import OptimizerSettings
from bayesopt.engines.gp import GpSettings
from bayesopt.engines.grid import GridSettings
from bayesopt.space import Parameter
from bayesopt.strict import StrictModel


class Objective(StrictModel):
    """What turns parameters into a value: a Python function or a command."""

    python: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$",
        description="`module:function`, found in the image or beside the study file. It takes the parameters "
        "as keyword arguments and returns a number.",
        examples=["objectives.branin:branin"],
    )
    command: list[str] | None = Field(
        None,
        min_length=1,
        description="A program and its arguments; `{name}` stands for the value of a parameter. "
        "The last line that it prints is the value.",
        examples=[["python", "train.py", "--lr={lr}"]],
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.python is None) == (self.command is None):
            raise ValueError("one of python and command must be given")
        return self

    def placeholders(self) -> set[str]:
        """Return the names that stand in braces in the command.

        Raises:
            ValueError: What stands in braces is more than a name, or none.
        """
        names: set[str] = set()
        for part in self.command or []:
            try:
                fields = list(string.Formatter().parse(part))
            except ValueError as error:
                raise ValueError(f"braces must be doubled where no parameter is meant ({error})") from None
            for _, name, form, conversion in fields:
                if name == "":
                    raise ValueError("{} must name a parameter, or have its braces doubled")
                if form or conversion:
                    raise ValueError(f"{{{name}}} must stand without a format; it is the value with all its digits")
                if name:
                    names.add(name)
        return names

    def __str__(self) -> str:
        return self.python or " ".join(self.command or [])


class Stop(StrictModel):
    """When a study ends before its budget is spent; the iteration that is under way is evaluated to its end."""

    target: float | None = Field(None, description="A value as good as this has been reached.")
    no_improvement_iterations: int | None = Field(
        None, ge=1, description="So many iterations in a row have not improved the best value."
    )
    max_hours: float | None = Field(
        None, gt=0, description="So many hours lie between the start of the first trial and the end of the last."
    )


class Step(StrictModel):
    """What a step gets on Kubeflow and Vertex."""

    cpu: float = Field(1, gt=0, description="CPU cores.")
    memory: str = Field("8G", pattern=r"^[1-9]\d*(K|M|G|T|Ki|Mi|Gi|Ti)$", description="Memory, as `8G` or `512Mi`.")
    accelerator_type: str | None = Field(None, min_length=1, description="As the target names it: `NVIDIA_TESLA_T4`.")
    accelerator_count: int | None = Field(None, ge=1, description="How many accelerators. Default: one, with a type.")
    retries: int = Field(2, ge=0, le=10, description="How often a step that failed is run again.")
    backoff_seconds: int = Field(60, ge=0, le=3600, description="Pause before the first retry; it doubles each time.")
    cache: bool = Field(True, description="Take the outputs of an earlier run with the same inputs.")

    @model_validator(mode="after")
    def _check_accelerators(self) -> Self:
        if self.accelerator_count is not None and self.accelerator_type is None:
            raise ValueError(f"accelerator_type must be given with accelerator_count={self.accelerator_count}")
        return self


class EvaluateStep(Step):
    """What a trial gets on Kubeflow and Vertex."""

    image: str | None = Field(None, min_length=1, description="An image of your own, built on the evaluate image.")
    machine_type: str | None = Field(None, min_length=1, description="Vertex only: `n1-standard-8` and the like.")
    spot: bool = Field(False, description="Vertex only: spot machines, which may be taken away; retries run again.")

    @model_validator(mode="after")
    def _check_machine(self) -> Self:
        if self.spot and self.machine_type is None:
            raise ValueError("machine_type must be given with spot: true")
        if self.machine_type is not None and {"cpu", "memory"} & self.model_fields_set:
            raise ValueError("cpu and memory cannot be combined with machine_type, which decides them")
        return self


class Steps(StrictModel):
    """What each step gets on Kubeflow and Vertex; a run on this machine does not read it."""

    init: Step = Step()
    evaluate: EvaluateStep = EvaluateStep()
    update: Step = Step()


class Study(StrictModel):
    """A search space, an objective and a budget of iterations x parallel trials."""

    name: str = Field(
        pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="Lower case letters, digits and hyphens, at most 63; names folders and jobs.",
    )
    objective: Objective
    direction: Literal["minimize", "maximize"] = Field("minimize", description="Which values are better.")
    iterations: int = Field(ge=1, le=1000, description="How many batches of trials are evaluated, one after another.")
    parallel_trials: int = Field(ge=1, le=1000, description="How many trials of a batch are evaluated side by side.")
    space: dict[str, Parameter] = Field(min_length=1, description="The parameters to search, by name.")
    optimizer: Annotated[OptimizerSettings, Field(discriminator="engine")] = Field(
        GpSettings(), description="How trials are proposed."
    )
    stop: Stop = Field(Stop(), description="When to end before the budget is spent. Default: never.")
    noisy: bool = Field(
        False, description="The same parameters give other values each time: the best is chosen by the model's mean."
    )
    max_failed_trials: int | None = Field(
        None,
        ge=0,
        description="The study stops when more trials have failed. Default: a quarter of all, one batch at least.",
    )
    max_trial_seconds: float | None = Field(
        None, gt=0, description="A trial that takes longer is stopped and counts as failed. Default: no limit."
    )

    max_parallel: int | None = Field(
        None, ge=1, description="How many trials of a batch run at the same time on Kubeflow and Vertex. Default: all."
    )
    steps: Steps = Field(Steps(), description="Machines, retries and caching of each step on Kubeflow and Vertex.")

    @field_validator("optimizer", mode="before")
    @classmethod
    def _default_engine(cls, optimizer: Any) -> Any:
        return {"engine": "gp", **optimizer} if isinstance(optimizer, dict) else optimizer

    @field_validator("space")
    @classmethod
    def _check_names(cls, space: dict[str, Parameter]) -> dict[str, Parameter]:
        if bad := [repr(name) for name in space if not name.isidentifier()]:
            raise ValueError(f"the name of a parameter must be a Python identifier, but got {', '.join(bad)}")
        return space

    @model_validator(mode="after")
    def _check_command(self) -> Self:
        if self.objective.command is None:
            return self
        try:
            used = self.objective.placeholders()
        except ValueError as error:
            raise ValueError(f"objective.command: {error}") from None
        if unknown := sorted(used - set(self.space)):
            raise ValueError(f"objective.command: {{{unknown[0]}}} must be a parameter of the space")
        if unused := sorted(set(self.space) - used):
            raise ValueError(f"objective.command: the parameter {{{unused[0]}}} must be used, but it is not there")
        return self

    @model_validator(mode="after")
    def _check_grid(self) -> Self:
        if not isinstance(self.optimizer, GridSettings):
            return self
        sizes = {name: self.optimizer.points_of(parameter) for name, parameter in self.space.items()}
        if (size := math.prod(sizes.values())) > self.trials:
            raise ValueError(
                f"optimizer: a grid must fit into the budget of {self.trials} trials (iterations x parallel_trials), "
                f"but has {size} points ({' x '.join(f'{name}: {n}' for name, n in sizes.items())}); "
                "lower points_per_parameter or raise iterations"
            )
        return self

    @property
    def trials(self) -> int:
        """The budget: how many trials the study has in all."""
        return self.iterations * self.parallel_trials

    @property
    def failures_allowed(self) -> int:
        """How many trials may fail before the study stops."""
        if self.max_failed_trials is not None:
            return self.max_failed_trials
        return max(self.parallel_trials, self.trials // 4)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that are equal where trials can be shared: same name, objective, direction and space.

        The budget and the optimiser may change and the trials are still those of this study.
        """
        identity = self.model_dump(mode="json", include={"name", "objective", "direction", "space"})
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    def is_better(self, value: float, other: float) -> bool:
        """Tell whether a value is better than another one."""
        return value < other if self.direction == "minimize" else value > other
