"""The commands about jobs on a target: submit, status, cancel, results.

What a command needs is imported in its body, so that `--help` waits for nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kfp_bayesopt import workspace
from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.output_options import with_json
from kfp_bayesopt.cli.options.path_options import with_root
from kfp_bayesopt.cli.options.study_options import with_going_on, with_images, with_study
from kfp_bayesopt.cli.options.subject_options import Subject, with_subject
from kfp_bayesopt.cli.options.target_options import Choice, with_target
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.store import storage
from kfp_bayesopt_pipeline.places import load_target

if TYPE_CHECKING:  # `--help` waits for nothing
    from kfp_bayesopt.session.opening import GoingOn

SECONDS_BETWEEN_POLLS = 10.0


def parse_labels(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Turn KEY=VALUE options into labels, by the rule of the API."""
    labels = {}
    for value in values:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}", value):
            raise click.BadParameter(
                f"expected KEY=VALUE with lower case letters, digits, _ and - (at most 63 each), but got {value!r}"
            )
        key, _, labels[key] = value.partition("=")
    return labels


@click.command(cls=Command)
@with_study()
@with_images
@click.option("--label", "labels", multiple=True, callback=parse_labels, help="KEY=VALUE; may be given several times.")
@click.option("--run-name", help="Name of the run.  [default: from the name of the study]")
@with_root("by the study, below PIPELINE_ROOT", here=False)
@with_going_on(can_join=True)
@click.option("--wait", is_flag=True, help="Follow the job to its end and fetch its results.")
@click.option("--every", type=float, default=SECONDS_BETWEEN_POLLS, hidden=True)
@with_json
@with_target
def submit(
    study: str,
    images: Path | None,
    labels: dict[str, str],
    run_name: str | None,
    root: str | None,
    going_on: GoingOn,
    wait: bool,
    every: float,
    as_json: bool,
    chosen: Choice,
) -> None:
    """Check everything and submit the pipeline of a study.

    A study that was stopped, here or elsewhere, continues.

    \b
    Example:
      bayesopt submit my-study --wait \\
        --project-id my-project --region europe-west1 \\
        --pipeline-root gs://my-bucket/runs
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.cli.views import note, view_for
    from kfp_bayesopt_pipeline.places import submitting
    from kfp_bayesopt_pipeline.places.protocol import Options

    if root is not None and storage.is_local(root):
        raise click.UsageError(f"--root must be gs://BUCKET/PREFIX, because jobs write there, but got {root!r}")
    if root is not None and going_on.fresh:
        raise click.UsageError("--fresh and --root exclude each other: give another --root to start again")
    sent = submitting.submit(
        study,
        images,
        load_target(chosen.name, chosen.settings),
        Options(labels, run_name),
        pipeline_root=chosen.settings.pipeline_root,
        root=root,
        going_on=going_on,
        problems=chosen.problems,
        say=note,
    )
    if wait:
        submitting.follow_to_the_end(sent, view_for(as_json), every)
    else:
        click.echo("\n".join(sent.lines))


@click.command(cls=Command)
@with_subject(words_are_jobs=True)
def status(subject: Subject) -> None:
    """Show the state of a study and what runs now, or of a job.

    Of a study, that is what its folder tells: trials, what is best, and each worker's trial. Of a job, that is also the
    state of its steps, and the reason of a failure. A word that is no path is taken for a job.

    \b
    Example:
      bayesopt status my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.session.activity import activity_of
    from kfp_bayesopt_pipeline.places import remote_jobs

    job = subject.job
    for line in activity_of(subject.where()) if job is None else remote_jobs.status(subject.chosen.load(), job):
        click.echo(line)


@click.command(cls=Command)
@click.argument("job")
@with_target
def cancel(job: str, chosen: Choice) -> None:
    """Stop a job; files that its steps have written stay.

    \b
    Example:
      bayesopt cancel my-study-20260101-120000 \\
        --project-id my-project --region europe-west1
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt_pipeline.places import remote_jobs

    click.echo(remote_jobs.cancel(chosen.load(), job))


@click.command(cls=Command)
@click.argument("job")
@click.option("--out", type=path_options.path, help="Folder to write to.  [default: out/JOB]")
@with_target
def results(job: str, out: Path | None, chosen: Choice) -> None:
    """Fetch the results of a job's study.

    It works while the job runs, too, and after it has failed.

    \b
    Example:
      bayesopt results my-study-20260101-120000 \\
        --project-id my-project --region europe-west1
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.session.summary import results_in
    from kfp_bayesopt_pipeline.places import remote_jobs

    target = chosen.load()
    folder = out or workspace.out(job.rpartition("/")[2])
    found = target.find(job)
    for path in remote_jobs.fetch(target, job, found, folder):
        click.echo(path)
    for line in results_in(str(folder), target.inputs(found).root):
        click.echo(line)
