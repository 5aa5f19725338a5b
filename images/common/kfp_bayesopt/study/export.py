"""Who else is told of a study: the trackers in which a team looks, and a webhook."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.study.environment import FromEnvironment, Secret, variable

Event = Literal["end", "failure"]


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


def _or_uri(schema: dict[str, Any]) -> None:
    """Allow the address of a server in the JSON Schema too."""
    schema["anyOf"].append({"type": "string"})


class Export(StrictModel):
    """The trackers that get the trials."""

    mlflow: Mlflow | None = Field(
        None,
        description="A run for each trial; a text is the address of the server.",
        json_schema_extra=_or_uri,
        examples=["https://mlflow.example.com"],
    )

    @model_validator(mode="before")
    @classmethod
    def _name_server(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(uri := data.get("mlflow"), str):
            data = {**data, "mlflow": {"uri": uri}}
        return data


def _secret(given: Any) -> Any:
    """Read where the address comes from.

    Raises:
        ValueError: It is written down, or comes from nowhere.
    """
    if isinstance(given, str):
        raise ValueError(  # noqa: TRY004 - pydantic takes it for a mistake of the person
            "whoever has the address can write there, so it is a secret: {from_environment: NAME} or "
            "{secret: projects/P/secrets/S/versions/N}"
        )
    return variable(given)


class Notify(StrictModel):
    """A webhook, and what it is told."""

    webhook: Annotated[FromEnvironment | Secret, BeforeValidator(_secret)] = Field(
        description="Its address, https and public: {from_environment: NAME} or {secret: …} of Secret Manager.",
        examples=[{"from_environment": "SLACK_WEBHOOK"}],
    )
    form: Literal["slack", "json"] = Field("slack", description="`slack`: a text; `json`: its parts.")
    on: list[Event] = Field(["end", "failure"], min_length=1, description="When: the study succeeds, or fails.")
