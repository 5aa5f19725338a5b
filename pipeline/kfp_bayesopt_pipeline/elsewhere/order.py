"""What somebody in Python asks of a place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.session.view import View
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.elsewhere.packages import prepare

BUILD = "build"
"""Asks for an image that is built for the study, in the place of the name of one."""


@dataclass(frozen=True)
class Order:
    """A study to run, and how.

    Attributes:
        study: The study.
        on: The name of the place.
        root: The study folder; by default where the place has it.
        going_on: How the study goes on.
        image: The image of the trials, or `build`; by default that of the Python of a function, else the one that was
            built from the folder of the code.
        data: What the objective is given.
        wait: Whether to wait for the end, where a job goes on without us.
        view: How it is shown.
    """

    study: Study
    on: str
    root: str | None
    going_on: GoingOn
    image: str | None
    data: str
    wait: bool
    view: View

    @property
    def folder(self) -> Path:
        """The folder in which the objective runs here, and below which its code is."""
        return Path(self.study.folder or Path.cwd()).resolve()

    def prepared(self, home: str) -> Study:
        """Return the study whose function has what it imports wherever its trials run; an image of its own has that.

        Args:
            home: The pipeline root, or the folder on this machine, below which the cache of wheels is.

        Raises:
            UserError: A package cannot travel.
        """
        function = self.study.objective.function
        return (
            self.study
            if function is None or self.image == BUILD
            else prepare(self.study, home, function.python, self.say)
        )

    def say(self, line: str) -> None:
        """Show a line."""
        self.view.lines([line])
