"""The command line: the group, and the one list of its commands."""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - what is imported below does not begin on an older one
    sys.exit(f"Error: kfp-bayesopt needs Python 3.11 or newer, but {sys.executable} is {sys.version.split()[0]}")
if sys.excepthook is sys.__excepthook__:  # Ctrl-C while the program starts or ends is no fault
    sys.excepthook = lambda kind, *fault: (
        None if issubclass(kind, KeyboardInterrupt) else sys.__excepthook__(kind, *fault)
    )

import click

from kfp_bayesopt import hints
from kfp_bayesopt.cli.group import Listed, Listing
from kfp_bayesopt.version import __version__

STUDY = "Make a study and run it"
LOOK = "Look at studies"
EXCHANGE = "Exchange trials and search spaces"
MACHINES = "Run a study in containers and in the cloud"
FOLDER = "Copy and delete study folders"
OTHER = "Other"

COMMANDS = {
    "new": Listed("building_commands:new", STUDY, "Make a folder with a study and a training script."),
    "check": Listed("building_commands:check", STUDY, "Run one trial, and show its output, value and seconds."),
    "run": Listed("run_commands:run", STUDY, "Run a study on this machine, trials in parallel processes."),
    "plan": Listed("plan_command:plan", STUDY, "Estimate the hours and the cost of a study."),
    "status": Listed("job_commands:status", LOOK, "Show the state of a study and what runs now, or of a job."),
    "watch": Listed("report_commands:watch", LOOK, "Show the report in a browser while the study runs."),
    "results": Listed("job_commands:results", LOOK, "Fetch the results of a job's study."),
    "best": Listed("trial_commands:best", LOOK, "Show the best trial of a study, and fetch its model."),
    "logs": Listed("trial_commands:logs", LOOK, "Print the log of a trial, or list the trials."),
    "verify": Listed("trial_commands:verify", LOOK, "Compute every suggestion again; exit 1 if one differs."),
    "report": Listed("report_commands:report", LOOK, "Write the results and the report of a study again."),
    "studies": Listed("folder_commands:studies", LOOK, "List the studies here and in the bucket."),
    "jobs": Listed("folder_commands:jobs_", LOOK, "List the jobs of a study."),
    "export": Listed("report_commands:export", EXCHANGE, "Write the trials of a study for other tools."),
    "import": Listed("report_commands:import_", EXCHANGE, "Make a study begin with trials of other ones."),
    "convert": Listed("convert_command:convert", EXCHANGE, "Convert a search space of Katib or Vertex, or to theirs."),
    "build": Listed("building_commands:build", MACHINES, "Build the images of the steps, and that of a study's code."),
    "push": Listed("building_commands:push", MACHINES, "Build the images and push them."),
    "compose": Listed("run_commands:compose", MACHINES, "Run a study in containers on this machine."),
    "run-kfp": Listed("run_commands:run_kfp", MACHINES, "Run the pipeline of a study here, by KFP's own engine."),
    "compile": Listed(
        "pipeline_commands:compile_", MACHINES, "Compile the pipeline of a study, for Vertex or a KFP cluster."
    ),
    "component": Listed("component_command:component", MACHINES, "Write a component: tuning as a step of a pipeline."),
    "submit": Listed("job_commands:submit", MACHINES, "Check everything and submit the pipeline of a study."),
    "cancel": Listed("job_commands:cancel", MACHINES, "Stop a job; files that its steps have written stay."),
    "download": Listed("folder_commands:download", FOLDER, "Copy a study folder from the bucket to this machine."),
    "upload": Listed("folder_commands:upload", FOLDER, "Copy a study folder from this machine to the bucket."),
    "delete": Listed("folder_commands:delete", FOLDER, "Delete the results of a study, or all of it."),
    "store": Listed("folder_commands:store", FOLDER, "Try whether a store keeps what studies rely on."),
    "completion": Listed("about_commands:completion", OTHER, "Print the script that completes commands in a shell."),
    "version": Listed("about_commands:version", OTHER, "Show the versions that decide what is suggested."),
    # Of the repository itself.
    "compose-file": Listed("run_commands:compose_file", None, "Write the compose file that runs a study."),
    "image": Listed("building_commands:image", None, "Build the image of a study's code alone."),
    "image-tag": Listed("pipeline_commands:image_tag", None, "Print the tag that the images of steps get."),
    "images": Listed("pipeline_commands:images", None, "Write the file that names the image of each step."),
    "ready": Listed("building_commands:ready", None, "Check that all is set which pushing and submitting need."),
    "stage": Listed("building_commands:stage", None, "Write the folder from which Cloud Build makes an image."),
    "schema": Listed("pipeline_commands:schema", None, "Write the JSON Schema of the study file, for editors."),
    "reference": Listed("pipeline_commands:reference", None, "Write the pages generated from code."),
    "cloudbuild": Listed("pipeline_commands:cloudbuild", None, "Write the file by which Cloud Build makes the images."),
}
"""Every command by its name, in the order of `--help`. It is imported when it is called."""

RENAMED = {"run-compose": "compose", "pull": "download", "push-folder": "upload"}
"""The new name of each command by its old one."""


def prepare() -> None:
    """Take the variables of `.env`, and show warnings."""
    import logging

    from kfp_bayesopt_pipeline.places.settings import load_env

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    load_env(warn=lambda text: click.echo(f"Warning: {text}", err=True))


@click.group(cls=Listing, listed=COMMANDS, renamed=RENAMED, prepare=prepare)
@click.version_option(__version__, prog_name="kfp-bayesopt", message="%(prog)s %(version)s")
def cli() -> None:
    """Parallel Bayesian hyperparameter optimisation, from a study file.

    \b
    Example:
      bayesopt run my-study
    """  # noqa: D301 - click wants the character \b


def main(prog_name: str = "bayesopt") -> None:
    """Run the command that the arguments of this process name."""
    hints.comes_by("command")
    try:
        cli(prog_name=prog_name)
    except Exception:
        from kfp_bayesopt.extras import unmet

        if reason := next(unmet(), None):  # no fault of ours: pip was told not to look at what we need
            sys.exit(f"Error: {reason}")
        raise
