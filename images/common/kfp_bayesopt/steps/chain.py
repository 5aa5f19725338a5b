"""The steps of a study as programs with arguments."""

from __future__ import annotations

from dataclasses import dataclass

from kfp_bayesopt.steps import Step


@dataclass(frozen=True)
class Chain:
    """A study and its folder.

    Attributes:
        study: Path or gs:// URI of the study file.
        root: The study folder.
        job: The job of the steps; None without a job.
    """

    study: str
    root: str
    job: str | None = None

    @property
    def _common(self) -> list[str]:
        return ["--root", self.root, "--study", self.study, *(["--job", self.job] if self.job else [])]

    def arguments(self, step: Step, number: int | None = None) -> list[str]:
        """Return the arguments of a task of a step, with its number if the step has several."""
        assert (step.number is None) == (number is None)
        numbered = [] if step.number is None else [str(step.number.option), str(number)]
        return [*self._common, *numbered]
