"""The step `report`: writes the results of a study, and decides whether it has succeeded."""

import logging

import click

from kfp_bayesopt.report.report import report
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.steps.options import with_folder
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.vertex.sharing import Shared


@click.command(cls=Command)
@with_folder
@click.option("--experiment", default="", help="Experiment of Vertex AI that gets a run for each trial.")
@click.option(
    "--register", default="", help="Model of Vertex AI's registry that gets the best one as a version: NAME[=IMAGE]."
)
@click.option("--pipeline-job", default="", help="Resource name of the pipeline job, with its project and region.")
def main(root: str, study_uri: str, job: str | None, experiment: str, register: str, pipeline_job: str) -> Outputs:
    """Write the ledger, the best trial, the failed ones and a report; exit 1 if the study has failed.

    Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/report --root out/branin --study studies/branin.yaml
    """  # noqa: D301 - click wants the character \b
    is_asked = click.get_current_context().params["outputs"] is not None
    return report(root, study_uri, job, Shared(experiment, register, pipeline_job), hands_on=is_asked)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    main()
