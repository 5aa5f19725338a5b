"""The commands about jobs on a target: submit, status, cancel, results.

What a command needs is imported in its body, so that `--help` waits for nothing.
"""

from __future__ import annotations

import functools
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kfp_bayesopt import workspace
from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.meant import taken_for_a_job
from kfp_bayesopt.cli.options.output_options import Answer, with_answer
from kfp_bayesopt.cli.options.path_options import with_root
from kfp_bayesopt.cli.options.study_options import with_data, with_going_on, with_images, with_study
from kfp_bayesopt.cli.options.subject_options import Subject, with_subject
from kfp_bayesopt.cli.options.target_options import Choice, with_target
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt_pipeline.places import AGAIN_ON, load_target

if TYPE_CHECKING:  # `--help` waits for nothing
    from kfp_bayesopt.session.opening import GoingOn

SECONDS_BETWEEN_POLLS = 10.0
AGAIN = ", ".join(f"{times} on {name}" for name, times in AGAIN_ON.items())


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
@with_data
@click.option("--wait", is_flag=True, help="Follow the job to its end and fetch its results.")
@click.option(
    "--again",
    type=click.IntRange(0, 99),
    help=f"With --wait: send the study again up to N times, while each job brings new trials.  [default: {AGAIN}]",
    metavar="N",
)
@click.option("--every", type=float, default=SECONDS_BETWEEN_POLLS, hidden=True)
@with_answer(job="The job, by its id on the target.", page="Its page on the web.", root="The study folder.")
@with_target
def submit(
    study: str,
    images: Path | None,
    labels: dict[str, str],
    run_name: str | None,
    root: str | None,
    going_on: GoingOn,
    data: str,
    wait: bool,
    again: int | None,
    every: float,
    answer: Answer,
    chosen: Choice,
) -> None:
    """Check everything and submit the pipeline of a study.

    A study that was stopped, here or elsewhere, continues. With --wait, --json prints a line for each event, as `run`
    does; Ctrl-C stops waiting, and the job goes on.

    \b
    Example:
      bayesopt submit my-study --wait \\
        --project-id my-project --region europe-west1 \\
        --pipeline-root gs://my-bucket/runs
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.cli.views import note, view_for
    from kfp_bayesopt_pipeline.places import submitting, waiting
    from kfp_bayesopt_pipeline.places.protocol import Options

    if root is not None and (problem := chosen.settings.described()["pipeline_root"].problem_with(root)):
        raise click.UsageError(f"--root: {problem}")
    if root is not None and going_on.fresh:
        raise click.UsageError("--fresh and --root exclude each other: give another --root to start again")
    if again is not None and not wait:
        raise click.UsageError("--again is for a study that is waited for: give --wait, too")
    send = functools.partial(
        submitting.submit,
        study,
        images,
        load_target(chosen.name, chosen.settings),
        Options(labels, run_name, data),
        settings=chosen.settings,
        problems=chosen.problems,
        say=note,
    )
    sent = send(root=root, going_on=going_on)
    if wait:
        most = AGAIN_ON[chosen.name] if again is None else again
        waiting.follow_to_the_end(sent, view_for(answer.as_json), every, most, send)
        return
    answer.give(job=sent.submitted.id, page=sent.submitted.page, root=sent.folder.root)
    answer.say("\n".join(sent.lines))


@click.command(cls=Command)
@with_answer(
    root="The study folder.",
    study="The name of the study; null while the job has not written it.",
    fingerprint="What identifies it; null as before.",
    trials="The budget: how many trials were asked for; null as before.",
    done="How many trials have records.",
    best="The best trial and the numbers of trials, as in best.json; null as before.",
    failures="The failed trials, as in failures.json.",
    complete="Whether the study has all that it was asked for; null as before.",
    running="A list: worker, trial, attempt, parameters, since, alive (the last sign of life).",
    left="The same of trials that a job which has ended left without a record.",
    job="The job; null for a study.",
    state="The state of the job, in the words of its target; null for a study.",
    tasks="The state of each task of the job by its title; of several of a title, the number in each state.",
    reason="Why the job has failed; null if it has not.",
    remarks="A list of what else its target tells, such as that pods are pending.",
)
@with_subject(words_are_jobs=True)
def status(subject: Subject, answer: Answer) -> None:
    """Show the state of a study and what runs now, or of a job.

    Of a study, that is what its folder tells: trials, what is best, and each worker's trial. Of a job, that is also the
    state of its steps, and the reason of a failure. A word that is no path is taken for a job.

    \b
    Example:
      bayesopt status my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.session.activity import UNKNOWN, activity_of, facts_of
    from kfp_bayesopt_pipeline.places import remote_jobs

    job: dict[str, Any] = {"job": None, "state": None, "tasks": {}, "reason": None, "remarks": []}
    over, is_reached = None, True
    if subject.job is None:
        root = subject.where()
    else:
        job = remote_jobs.facts(subject.chosen.load(), subject.job)
        root, over, is_reached = job.pop("root"), job.pop("over"), job.pop("reached")
    if answer.as_json:
        answer.give(root=root, **(facts_of(root, over) if is_reached else UNKNOWN), **job)
        return
    for line in itertools.chain(remote_jobs.lines(job), activity_of(root, over) if is_reached else ()):
        answer.say(line)


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

    with taken_for_a_job(job):
        click.echo(remote_jobs.cancel(chosen.load(), job))


@click.command(cls=Command)
@click.argument("job")
@click.option("--out", type=path_options.path, help="Folder to write to.  [default: out/JOB]")
@with_answer(
    job="The job.",
    root="The study folder.",
    files="The files that were written.",
    best="The best trial and the numbers of trials, as in best.json; null if that is not there.",
)
@with_target
def results(job: str, out: Path | None, answer: Answer, chosen: Choice) -> None:
    """Fetch the results of a job's study.

    It works while the job runs, too, and after it has failed.

    \b
    Example:
      bayesopt results my-study-20260101-120000 \\
        --project-id my-project --region europe-west1
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.folder.documents import data_of
    from kfp_bayesopt.session.studies import best_of
    from kfp_bayesopt.session.summary import results_in
    from kfp_bayesopt_pipeline.places import remote_jobs

    folder = out or workspace.out(job.rpartition("/")[2])
    with taken_for_a_job(job):
        target = chosen.load()
        found = target.find(job)
    root = target.inputs(found).root
    files = remote_jobs.fetch(target, job, found, folder)
    told = best_of(str(folder))
    answer.give(job=job, root=root, files=list(map(str, files)), best=told and data_of(told))
    for path in files:
        answer.say(str(path))
    for line in results_in(str(folder), root):
        answer.say(line)
