"""What a step gives: the file that it writes for whoever called it, and that `executor` shows to KFP."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from kfp_bayesopt.errors import NotFoundError
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Record, Suggestion
from kfp_bayesopt.steps import Step
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.sources.base import VALUE

NONE = "none"
"""The text of a value that is not there: KFP fails a task that leaves an output parameter out."""
FOLDER = "study folder"
"""What the metadata of an artifact call the place in the study folder that it comes from."""


@dataclass(frozen=True)
class Outputs:
    """What a step gives, by the names of its ports; one that is left out has nothing to show.

    Attributes:
        values: Texts, numbers, mappings and lists; for metrics a mapping of numbers.
        files: Paths or URIs of files.
        contents: Contents of files that are nowhere else.
        about: What the metadata of an artifact say besides.
    """

    values: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    about: dict[str, dict[str, str | float]] = field(default_factory=dict)

    def write(self, path: str) -> None:
        """Write them to a file as JSON, and the contents beside it."""
        files = {**self.files, **{name: str(Path(path).with_name(name)) for name in self.contents}}
        for name, content in self.contents.items():
            Path(files[name]).write_bytes(content)
        Path(path).write_text(json.dumps({"values": self.values, "files": files, "about": self.about}))

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Return what a step has written."""
        return cls(**json.loads(Path(path).read_text()))

    @classmethod
    def of_results(cls, step: Step, root: str, best: Best | None = None) -> Self:
        """Return what a step shows of the results in a study folder.

        Args:
            step: The step.
            root: The study folder.
            best: Its best trial; by default what is there says it.
        """
        files = {port.name: f"{root}/{port.file}" for port in step.writes if port.file and port.kind != "metrics"}
        best = best or _best_of(root)
        value = None if best is None else best.value
        return cls(
            values={
                "best_value": NONE if value is None else repr(value),
                "best_parameters": (best and best.parameters) or {},
                "metrics": {} if best is None else _counts(best),
            },
            files=files,
            about={name: {FOLDER: uri} for name, uri in files.items()},
        )

    @classmethod
    def of_record(cls, record: Record | None) -> Self:
        """Return what a trial has given; nothing if it has no record."""
        if record is None:
            return cls()
        value = record.values.get(VALUE) if record.reason is None else None
        return cls(
            values={
                "value": NONE if value is None else repr(value),
                "parameters": record.parameters,
                "metrics": {"trial": record.trial, **record.values, "seconds": record.seconds},
            }
        )

    @classmethod
    def of_batch(cls, root: str, batch: Iterable[Suggestion]) -> Self:
        """Return the suggestions of a batch."""
        proposed = [{"trial": each.trial, "parameters": each.parameters} for each in batch]
        return cls(
            contents={"suggestions": json.dumps(proposed, indent=1).encode()},
            about={"suggestions": {FOLDER: f"{root}/trials/"}},
        )

    def __or__(self, other: Outputs) -> Outputs:
        """Return both."""
        return Outputs(
            values=self.values | other.values,
            files=self.files | other.files,
            contents=self.contents | other.contents,
            about=self.about | other.about,
        )


def _best_of(root: str) -> Best | None:
    try:
        return Best.model_validate_json(storage.read(f"{root}/best.json", limit=Best.max_bytes))
    except NotFoundError:
        return None


def _counts(best: Best) -> dict[str, float]:
    counts = {
        "best value": best.value,
        "trials completed": best.completed,
        "trials failed": best.failed,
        "trials stopped": best.stopped,
    }
    return {name: value for name, value in counts.items() if value is not None}
