"""The source `hypertune`: the metrics file of Vertex AI and AI Platform, as the package cloudml-hypertune writes it."""

from __future__ import annotations

import io
import json
from typing import Literal

from kfp_bayesopt.space.numerals import read_number
from kfp_bayesopt.study.sources.base import Evidence, Metrics, NamedSource, NoValueError
from kfp_bayesopt.study.sources.file import lines_of, open_new


class Hypertune(NamedSource):
    """The metrics reported by `hypertune.HyperTune().report_hyperparameter_tuning_metric`."""

    source: Literal["hypertune"]

    @property
    def origin(self) -> str:
        """The metrics file."""
        return "the metrics file of hypertune"

    def find(self, evidence: Evidence) -> Metrics:
        """Return the metrics of the lines of the file; each line also holds its step."""
        metrics = Metrics()
        with (
            open_new("CLOUD_ML_HP_METRIC_FILE", [evidence.metric_file], evidence) as file,
            io.TextIOWrapper(file, "utf-8", errors="replace") as text,
        ):
            for line in lines_of(text, self.origin):
                found = metrics_of(line)
                if found is None:
                    raise NoValueError(f"a line of {self.origin} is not valid JSON: {evidence.shown(line.rstrip())}")
                for name, number in found.items():
                    metrics.add(name, number)
        return metrics


def metrics_of(line: str | bytes) -> dict[str, float] | None:
    """Return the metrics of a line of the file, with its step `global_step`; None if it is not JSON."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    # The package writes numbers as text, because numpy's numbers are not JSON.
    numbers = {name: read_number(str(each)) for name, each in found.items()} if isinstance(found, dict) else {}
    return {name: each for name, each in numbers.items() if each is not None and name not in {"timestamp", "trial"}}
