"""The list of exporters: the trackers that get the trials of a study; each has a file of this folder.

An exporter folds the ledger: it writes what is missing there or differs, and called again it writes nothing.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kfp_bayesopt import extras, hints
from kfp_bayesopt.errors import UserError

if TYPE_CHECKING:  # the help of commands names the exporters, and waits for nothing
    from kfp_bayesopt.extras import Extra
    from kfp_bayesopt.folder.results import Best
    from kfp_bayesopt.folder.study_folder import StudyFolder
    from kfp_bayesopt.folder.trials import Trials
    from kfp_bayesopt.study.study import Study

Fold = Callable[["StudyFolder", "Trials", "Best", Any], str]
"""Writes what is missing or differs, as the settings of the study ask, and returns what was written in a sentence."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exporter:
    """A tracker that gets trials.

    Attributes:
        name: What a person calls it: the key of `export` in a study, and the file of this folder that has its `fold`.
        title: What messages call it.
        extra: The extra that it needs.
    """

    name: str
    title: str
    extra: Extra

    @property
    def fold(self) -> Fold:
        """What writes the trials."""
        with extras.needed_by(self.title, self.extra):
            found: Fold = importlib.import_module(f"{__name__}.{self.name}").fold
        return found

    def asked(self, study: Study, uri: str | None) -> Any:
        """Return the settings of a study for it, with another address where one is given.

        Raises:
            UserError: There is no address.
        """
        from pydantic import ValidationError  # the help of commands waits for nothing

        from kfp_bayesopt.study.export import Export
        from kfp_bayesopt.wording import mistakes_of

        known = getattr(study.export, self.name)
        if uri is None and known is None:
            raise UserError(f"which address? {hints.URI}, or export: {{{self.name}: ADDRESS}} in the study")
        given = {} if known is None else known.model_dump(exclude_none=True)
        try:
            return getattr(Export.model_validate({self.name: given | ({"uri": uri} if uri else {})}), self.name)
        except ValidationError as error:
            raise UserError("\n".join(mistakes_of(error, Export))) from None


EXPORTERS = {each.name: each for each in (Exporter("mlflow", "writing runs of MLflow", "mlflow"),)}
"""The exporters by name."""


def export_all(folder: StudyFolder, trials: Trials, best: Best) -> None:
    """Write the trials wherever the study asks; a tracker that does not take them is a warning, and harms no study."""
    for exporter in EXPORTERS.values():
        asked = getattr(folder.study.export, exporter.name)
        if asked is None:
            continue
        try:
            said = exporter.fold(folder, trials, best, asked)
        except UserError as error:
            again = hints.EXPORT(name=exporter.name)
            logger.warning("the study folder has all trials, but %s; `%s` writes what is missing", error.message, again)
        else:
            logger.info("%s", said)
