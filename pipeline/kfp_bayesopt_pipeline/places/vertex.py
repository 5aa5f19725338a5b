"""The place `vertex`: Vertex AI Pipelines, whose machines have a type and a price."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from kfp_bayesopt.vertex import EXPERIMENT, EXPERIMENT_WORDS, MODEL, MODEL_WORDS
from kfp_bayesopt_pipeline.places.protocol import TargetPlace
from kfp_bayesopt_pipeline.places.settings import EVERY_COMMAND, Setting, Settings

if TYPE_CHECKING:  # `--help` reads the settings, and waits for nothing
    from kfp_bayesopt.study.study import Study
    from kfp_bayesopt_pipeline.plan.prices import Prices


@dataclass(frozen=True)
class VertexSettings(Settings):
    """The settings of Vertex: where jobs run, and their account."""

    pipeline_root: Annotated[
        str,
        replace(
            Settings.described()["pipeline_root"],
            rule=r"gs://[^/\s]+(/\S*)?",
            words="gs://BUCKET/PREFIX, because Vertex reads and writes gs:// paths",
        ),
    ] = ""
    project_id: Annotated[
        str,
        Setting(
            "GOOGLE_CLOUD_PROJECT",
            "Google Cloud project.",
            r"[a-z]([a-z0-9.:-]{4,61})[a-z0-9]",
            "a project id, such as my-project-123",
            EVERY_COMMAND,
        ),
    ] = ""
    region: Annotated[
        str,
        Setting(
            "GOOGLE_CLOUD_REGION",
            "Region of the job.",
            r"[a-z]+-[a-z]+\d+",
            "a region, such as europe-west1",
            EVERY_COMMAND,
        ),
    ] = ""
    service_account: Annotated[
        str,
        Setting(
            "SERVICE_ACCOUNT",
            "Account that the steps run as.",
            r"[^@\s]+@[^@\s]+\.[^@\s]+",
            "an e-mail address, such as steps@my-project.iam.gserviceaccount.com",
        ),
    ] = ""
    network: Annotated[
        str,
        Setting(
            "VERTEX_NETWORK",
            "VPC network that the steps are peered with.",
            r"projects/[^/]+/global/networks/[^/]+",
            "projects/NUMBER/global/networks/NAME",
        ),
    ] = ""
    encryption_key: Annotated[
        str,
        Setting(
            "VERTEX_ENCRYPTION_KEY",
            "Customer-managed key of the job.",
            r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+",
            "projects/P/locations/R/keyRings/K/cryptoKeys/NAME",
        ),
    ] = ""
    trials_experiment: Annotated[
        str,
        Setting(
            "VERTEX_TRIALS_EXPERIMENT",
            "Experiment of Vertex that gets a run for each trial, at the end of the job.",
            EXPERIMENT,
            EXPERIMENT_WORDS,
        ),
    ] = ""
    register: Annotated[
        str,
        Setting(
            "VERTEX_REGISTER",
            "Model of Vertex' registry that gets the best trial's as a version: NAME, or NAME=IMAGE that serves it.",
            MODEL,
            MODEL_WORDS,
        ),
    ] = ""
    jobs_a_minute: Annotated[
        str,
        Setting(
            "VERTEX_JOBS_A_MINUTE",
            "Quota of the project: jobs that it may submit in a minute and region, where that is not 60.",
            r"[1-9]\d{0,5}",
            "a whole number",
        ),
    ] = ""
    endpoint: Annotated[
        str,
        Setting(
            "VERTEX_ENDPOINT",
            "Another address of the API; http:// ones get no credentials.",
            r"(https?://)?[^\s/]+/?",
            "an address, such as https://europe-west1-aiplatform.googleapis.com",
        ),
    ] = ""

    def of_custom_jobs(self) -> dict[str, str]:
        """Return account, network and key, which may each be empty."""
        return {
            "service_account": self.service_account,
            "network": self.network,
            "encryption_spec_key_name": self.encryption_key,
        }

    @property
    def shared(self) -> dict[str, str]:
        """Where the trials and the model go besides, by the names of inputs, as far as that is asked for."""
        asked = {"experiment": self.trials_experiment, "register": self.register}
        return {name: value for name, value in asked.items() if value}

    def of_component(self, study: Study) -> dict[str, str]:
        """Return those of custom jobs, if trials are some, and where the trials and the model go besides."""
        of_jobs = self.of_custom_jobs() if study.steps.evaluate.machine_type is not None else {}
        return {name: value for name, value in of_jobs.items() if value} | self.shared


class Vertex(TargetPlace):
    """Vertex AI Pipelines."""

    name = "vertex"
    has_prices = True
    settings = VertexSettings
    service = "vertex_service"
    extra = "vertex"
    ends_task = "Vertex ends it after 7 days"

    def limits(self, study: Study, root: str) -> list[str]:
        """Return the features and sizes of a study that Vertex would refuse, of a job without labels."""
        from kfp_bayesopt_pipeline.preflight.limits import JOBS_A_MINUTE, vertex_problems

        return vertex_problems(study, root, JOBS_A_MINUTE, 0, "")

    def start_seconds(self, study: Study, prices: Prices) -> float:
        """Return the time until a machine has started, which a persistent one has already."""
        known = prices.start_seconds
        return known.vertex if study.steps.evaluate.persistent_resource is None else known.persistent_resource

    def assumptions(self, study: Study, prices: Prices) -> Iterator[str]:
        """Yield what is assumed of times and prices."""
        yield from super().assumptions(study, prices)
        hour, plain = prices.of_trials(study, spot=False), prices.an_hour(study.steps.update, None)
        currency = prices.currency
        yield f"- {hour:.3f} {currency} an hour for a machine that evaluates, {plain:.3f} for the other steps"
        yield f"- {prices.pipeline_run:.2f} {currency} for the run of the pipeline; no disks, storage and traffic"
        if study.steps.evaluate.machine_type is None:
            yield "- spot machines need a machine_type"
        else:
            losses = f"{prices.spot.losses_per_hour:g} times an hour"
            yield f"- spot machines cost {prices.spot.share:.0%} of that, and are taken away {losses}"
        yield f"- prices of {prices.region}, {prices.date}: a prices.yaml of yours corrects them"


PLACE = Vertex()
