"""What a step gives: the file that it writes for whoever called it, and that `executor` shows to KFP."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self

from kfp_bayesopt.errors import NotFoundError
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Record, Suggestion
from kfp_bayesopt.steps import Step
from kfp_bayesopt.store.tree import Tree
from kfp_bayesopt.study.sources.base import VALUE
from kfp_bayesopt.study.study import Study

NONE = "none"
"""The text of a value that is not there: KFP fails a task that leaves an output parameter out."""
FOLDER = "study folder"
"""What the metadata of an artifact call the place in the study folder that it comes from."""
MISSING = "missing"
"""What they call the reason that an artifact is empty."""
MOST_METRICS = 100
"""The most metrics that an artifact shows: its metadata have at most 200 kB on Vertex, and a name up to 200 letters."""


@dataclass(frozen=True)
class Outputs:
    """What a step gives, by the names of its ports; one that is left out has nothing to show.

    Attributes:
        values: Texts, numbers, mappings and lists; for metrics a mapping of numbers.
        files: Paths or URIs of files.
        contents: Contents of files that are nowhere else.
        trees: Folders with files.
        about: What the metadata of an artifact say besides.
    """

    values: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    about: dict[str, dict[str, str | float]] = field(default_factory=dict)

    def write(self, path: str) -> None:
        """Write them to a file as JSON, and the contents beside it."""
        files = {**self.files, **{name: str(Path(path).with_name(name)) for name in self.contents}}
        for name, content in self.contents.items():
            Path(files[name]).write_bytes(content)
        trees = {name: asdict(tree) for name, tree in self.trees.items()}
        written = {"values": self.values, "files": files, "trees": trees, "about": self.about}
        Path(path).write_text(json.dumps({key: each for key, each in written.items() if each}))

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Return what a step has written."""
        found = json.loads(Path(path).read_text())
        trees = {
            name: Tree({each: (uri, md5) for each, (uri, md5) in tree["files"].items()}, tree["folders"])
            for name, tree in found.pop("trees", {}).items()
        }
        return cls(**found, trees=trees)

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
        value = NONE if record.reason is not None else record.outcome if record.value is None else repr(record.value)
        return cls(values={"value": value, "parameters": record.parameters, "metrics": _metrics_of(record)})

    @classmethod
    def of_worker(cls, study: Study, records: Sequence[Record]) -> Self:
        """Return what a worker has done: a line of JSON for each trial that it has evaluated, and its best."""
        best = Best.of(study, records)
        done = [
            {
                "trial": record.trial, "attempt": record.attempt, "state": record.state, "values": record.values,
                "parameters": record.parameters, "seconds": record.seconds,
                "reason": record.reason.message if record.reason else None,
            }
            for record in records
        ]  # fmt: skip
        about: dict[str, str | float] = {"trials": len(records)}
        if best.value is not None and best.trial is not None:
            about |= {"best": best.value, "trial": best.trial}
        found = next((record for record in records if record.trial == best.trial), None)
        return cls(
            values={"metrics": {"trials": len(records)} | ({} if found is None else _metrics_of(found))},
            contents={"done": "".join(f"{json.dumps(each)}\n" for each in done).encode()},
            about={"done": about},
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
            trees=self.trees | other.trees,
            about=self.about | other.about,
        )


def _best_of(root: str) -> Best | None:
    try:
        return read_document(Best, f"{root}/best.json")
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


def metrics(values: Mapping[str, float]) -> dict[str, float]:
    """Return the first metrics of a trial, its value left out: as many as an artifact can show."""
    return dict(islice(((name, value) for name, value in values.items() if name != VALUE), MOST_METRICS))


def _metrics_of(record: Record) -> dict[str, float]:
    value = {} if record.value is None else {VALUE: record.value}
    return {**metrics(record.values), "trial": record.trial, "seconds": record.seconds, **value}


def held(value: Any) -> Any:
    """Return a value as the messages of KFP hold it: a number that is none of theirs becomes text."""
    match value:
        case dict():
            return {name: held(each) for name, each in value.items()}
        case list():
            return [held(each) for each in value]
        case float() if not math.isfinite(value):
            return repr(value)
        case int() if abs(value) > sys.float_info.max:
            return str(value)
        case str():
            return value.encode(errors="replace").decode()  # half of a pair of UTF-16
    return value
