"""Where the trials of a study are written beside its folder: the trackers in which a team looks."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from kfp_bayesopt.strict import StrictModel


class Mlflow(StrictModel):
    """A tracking server of MLflow."""

    uri: str = Field(
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        max_length=1000,
        description="Address of the server; its credentials are MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN, of "
        "the environment.",
        examples=["https://mlflow.example.com"],
    )
    experiment: str | None = Field(
        None, min_length=1, max_length=500, description="Experiment that gets the runs. Default: the study's name."
    )
    model: str | None = Field(
        None,
        min_length=1,
        max_length=250,
        description="Model of the registry that gets the best trial's model as a version. Default: none.",
    )


def _or_uri(given: Any) -> Any:
    return {"uri": given} if isinstance(given, str) else given


class Export(StrictModel):
    """The trackers that get the trials."""

    mlflow: Annotated[Mlflow, BeforeValidator(_or_uri, json_schema_input_type=Mlflow | str)] | None = Field(
        None,
        description="A run for each trial; a text is the address of the server.",
        examples=["https://mlflow.example.com"],
    )
