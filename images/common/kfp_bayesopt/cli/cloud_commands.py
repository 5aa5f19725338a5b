"""The cloud commands of `python -m pipeline`: images, compile, run-kfp, submit, status, cancel, results.

What imports kfp or aiplatform, which takes seconds, is imported by the command that needs it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

import click

from kfp_bayesopt import session
from kfp_bayesopt.cli import path_options
from kfp_bayesopt.cli.building_commands import BUILDING_COMMANDS
from kfp_bayesopt.cli.convert_command import convert
from kfp_bayesopt.cli.folder_commands import FOLDER_COMMANDS, chosen_folder, study_of
from kfp_bayesopt.cli.path_options import with_root
from kfp_bayesopt.cli.plan_command import plan
from kfp_bayesopt.cli.report_commands import REPORT_COMMANDS
from kfp_bayesopt.cli.study_argument import study_path, with_study
from kfp_bayesopt.cli.target_options import Choice, with_target
from kfp_bayesopt.cli.trial_commands import TRIAL_COMMANDS
from kfp_bayesopt.cli.views import view_for, with_json
from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.failures import grouped
from kfp_bayesopt.folder.jobs import end, whoami
from kfp_bayesopt.folder.publish import Verdict
from kfp_bayesopt.folder.results import Best, Failures
from kfp_bayesopt.folder.roots import changed_root, local_root, root_of
from kfp_bayesopt.folder.study_folder import StudyFolder, study_uri
from kfp_bayesopt.session.activity import activity_of
from kfp_bayesopt.session.code import code_of_image
from kfp_bayesopt.session.copying import there
from kfp_bayesopt.session.following import Follower, advice_of, following
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.session.summary import summary
from kfp_bayesopt.steps import REPORT_PAGE
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.images import Images, trial_image
from kfp_bayesopt_pipeline.places import load_target
from kfp_bayesopt_pipeline.places import remote_jobs as jobs
from kfp_bayesopt_pipeline.places.protocol import FAILED, Options
from kfp_bayesopt_pipeline.plan.plan import Where, rate_of
from kfp_bayesopt_pipeline.plan.plan import short as short_plan

SECONDS_BETWEEN_POLLS = 10.0
MOST_PIPELINE_BYTES = 2**26

with_images = click.option(
    "--images",
    type=path_options.path,
    help="Names the image of each step.  [default: out/NAME/images.json of a study with code, else out/images.json]",
)


def with_going_on(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options `fresh`, `keep`, `same_code`, `retry_failed` and `ended`: how a study goes on."""
    for give in (
        click.option("--ended", metavar="JOB", help="Id of a job that has ended without a word."),
        click.option("--retry-failed", is_flag=True, help="Evaluate failed trials again."),
        click.option("--same-code", is_flag=True, help="The code has changed, and gives the same values."),
        click.option("--keep", is_flag=True, help="The study was changed: start again with trials of it before."),
        click.option("--fresh", is_flag=True, help="Start again; what is there stays, aside."),
    ):
        command = give(command)
    return command


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


@click.command()
@click.option("--registry", required=True, help="Where the images are: HOST/PROJECT/REPOSITORY.")
@click.option("--tag", required=True, help="Their tag.")
@click.option("--pushed", is_flag=True, help="Name them by the digests that they got when they were pushed.")
@click.option("--out", type=path_options.path, required=True, help="File to write.")
def images(registry: str, tag: str, pushed: bool, out: Path) -> None:
    """Write which image each step runs.

    \b
    Example:
      python -m pipeline images --registry 127.0.0.1:5000/bayesopt \\
        --tag 1.0 --pushed --out out/images.json
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt_pipeline.images import write_images

    for image in write_images(out, registry, tag, pushed).values():
        click.echo(image)


@click.command("compile")
@with_study()
@with_images
@click.option("--out", type=path_options.path, help="Pipeline to write.  [default: out/NAME/pipeline.yaml]")
def compile_(study: str, images: Path | None, out: Path | None) -> None:
    """Compile the pipeline of a study for Kubeflow and Vertex.

    It goes to a folder with the name that the study file gives the study.

    \b
    Example:
      python -m pipeline compile studies/branin.yaml
    """  # noqa: D301 - click wants the character \b
    loaded, content = study_of(study)
    pipeline = _compiled(loaded, content, _images_of(loaded, study, images))
    written = _write_pipeline(loaded, pipeline, out)
    click.echo(f"{written}: {SCHEDULES[loaded.schedule].shape(loaded)}")


@click.command("run-kfp")
@with_study()
@with_images
@click.option("--compiled", type=path_options.path, help="A pipeline that `compile` wrote, to run as it is.")
@with_root("out/NAME", bucket=False)
@with_going_on
@with_json
def run_kfp(
    study: str,
    images: Path | None,
    compiled: Path | None,
    root: Path | None,
    fresh: bool,
    keep: bool,
    same_code: bool,
    retry_failed: bool,
    ended: str | None,
    as_json: bool,
) -> None:
    """Run the pipeline of a study on this machine with KFP's own engine, in containers.

    A study that was stopped, here or elsewhere, goes on from where it was.

    \b
    Example:
      python -m pipeline run-kfp studies/branin.yaml
    """  # noqa: D301 - click wants the character \b
    loaded, content = study_of(study)
    machine = loaded.steps.evaluate.machine_type
    if machine is not None:
        raise UserError(
            f"{study}: steps.evaluate.machine_type is {machine!r}, but machine types and spot machines work on Vertex "
            "only; give cpu and memory instead, or run the study with `make submit`"
        )
    from kfp_bayesopt_pipeline.places import kfp_local as local_engine

    if compiled is not None:
        _check_compiled(compiled, study, content)
    found = _images_of(loaded, study, images)
    pipeline = None if compiled else _compiled(loaded, content, found)
    folder = StudyFolder(str(root or local_root(loaded)), loaded)
    with session.open(
        folder,
        content,
        "kfp.local",
        code=code_of_image(trial_image(loaded, found)),
        going_on=GoingOn(fresh=fresh, keep=keep, same_code=same_code, retry_failed=retry_failed, ended=ended),
        beside=Path(study).parent,
        images=found,
        can_join=False,
    ) as opened:
        if opened.note:
            click.echo(opened.note, err=True)
        with (
            opened.shown(view_for(as_json), loaded.parallel_trials) as progress,
            following(folder.root, progress),
        ):
            written = compiled or _write_pipeline(loaded, pipeline or b"")
            local_engine.run(written, Path(folder.root), opened.job.job)
        progress.finish(_verdict(folder), f"{folder.root}/{REPORT_PAGE}")


@click.command()
@with_study()
@with_images
@click.option("--label", "labels", multiple=True, callback=parse_labels, help="KEY=VALUE; may be given several times.")
@click.option("--run-name", help="Name of the run.  [default: from the name of the study]")
@with_root("by the study, below PIPELINE_ROOT", here=False)
@with_going_on
@click.option("--join", is_flag=True, help="Add workers to an asynchronous study that runs.")
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
    fresh: bool,
    keep: bool,
    same_code: bool,
    retry_failed: bool,
    ended: str | None,
    join: bool,
    wait: bool,
    every: float,
    as_json: bool,
    chosen: Choice,
) -> None:
    """Check everything and submit the pipeline of a study.

    A study that was stopped, here or elsewhere, goes on from where it was.

    \b
    Example:
      python -m pipeline submit studies/branin.yaml --wait \\
        --project-id my-project --region europe-west1 \\
        --pipeline-root gs://my-bucket/runs
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt_pipeline.preflight.submission import check_submission

    if root is not None and storage.is_local(root):
        raise click.UsageError(f"--root must be gs://BUCKET/PREFIX, because jobs write there, but got {root!r}")
    if root is not None and fresh:
        raise click.UsageError("--fresh and --root exclude each other: give another --root to start again")
    options = Options(labels, run_name)
    target = load_target(chosen.name, chosen.settings)
    checked = check_submission(study, images, target, options, chosen.problems)
    compiled = _compiled(*checked)
    fresh = fresh or not checked.study.steps.evaluate.cache
    folder = StudyFolder(root or root_of(chosen.settings.pipeline_root, checked.study, fresh), checked.study)
    kept = changed_root(chosen.settings.pipeline_root, checked.study) if keep else None
    for line in short_plan(checked.study, cast(Where, chosen.name), folder):
        click.echo(line, err=True)
    with session.open(
        folder,
        checked.content,
        target.name,
        code=code_of_image(trial_image(checked.study, checked.images)),
        # A fresh start has a folder of its own.
        going_on=GoingOn(keep=keep, same_code=same_code, retry_failed=retry_failed, ended=ended, join=join),
        beside=Path(study).parent,
        kept=kept,
        images=checked.images,
        rate=rate_of(checked.study) if chosen.name == "vertex" else None,
        is_running=jobs.asks(target, folder.root),
    ) as opened:
        if opened.note:
            click.echo(opened.note, err=True)
        written = _write_pipeline(checked.study, compiled)
        submitted = target.submit(checked.study, opened.job, folder.root, written, options)
        opened.hand_over(submitted)
    submission = [f"job {submitted.id}", submitted.page, f"study folder {folder.root}"]
    if not wait:
        click.echo("\n".join(submission))
        return
    out = Path("out") / submitted.id
    view = view_for(as_json)
    view.lines(submission)
    with opened.shown(view, checked.study.parallel_trials) as progress:
        for line in jobs.wait(target, submitted.id, out, every, Follower(progress).look):
            progress.state(line)
    page = out / REPORT_PAGE
    progress.finish(_verdict(folder), str(page) if page.exists() else None)


@click.command()
@click.argument("job", required=False)
@click.option("--study", metavar="PATH", help="A study instead of a job: that of its folder.")
@with_root()
@with_target
def status(job: str | None, study: str | None, root: str | None, chosen: Choice) -> None:
    """Show the state of a job and of its steps, why it failed, how far its study is, and what each worker does.

    Of a study without a job, by its folder alone.

    \b
    Example:
      python -m pipeline status branin-20260101-120000 \\
        --project-id my-project --region europe-west1
    """  # noqa: D301 - click wants the character \b
    if (job is None) == (study is None):
        raise click.UsageError("give either a job or --study")
    if study is not None:
        for line in activity_of(there(chosen_folder(study_of(study_path(study))[0], root, chosen.pipeline_root))):
            click.echo(line)
        return
    assert job is not None
    target = chosen.load()
    found = target.find(job)
    states = target.states(found)
    for title, state in jobs.count(states).items():
        click.echo(f"{title}: {state}")
    click.echo(f"{job}: {states.job}")
    if states.job == FAILED:
        click.echo(jobs.reason(target, found))
    for line in activity_of(target.inputs(found).root):
        click.echo(line)


@click.command()
@click.argument("job")
@with_target
def cancel(job: str, chosen: Choice) -> None:
    """Stop a job; what its steps have written stays.

    \b
    Example:
      python -m pipeline cancel branin-20260101-120000 \\
        --project-id my-project --region europe-west1
    """  # noqa: D301 - click wants the character \b
    target = chosen.load()
    found = target.find(job)
    state = target.states(found).job
    if state in target.final:
        raise UserError(
            f"job {job} has already ended: {state}; {jobs.hint('results', target, job)} fetches its results"
        )
    target.cancel(found)
    # Its steps that still run see it, and whoever goes on with the study need not ask.
    end(*target.inputs(found), "failed", f"{whoami()} stopped it", "cancel")
    click.echo(f"{job}: asked to stop; {jobs.hint('status', target, job)}, {jobs.hint('results', target, job)}")


@click.command()
@click.argument("job")
@click.option("--out", type=path_options.path, help="Folder to write to.  [default: out/JOB]")
@with_target
def results(job: str, out: Path | None, chosen: Choice) -> None:
    """Fetch the results of a job's study, also while it runs and when it has failed.

    \b
    Example:
      python -m pipeline results branin-20260101-120000 \\
        --project-id my-project --region europe-west1
    """  # noqa: D301 - click wants the character \b
    target = chosen.load()
    folder = out or Path("out") / job.rpartition("/")[2]
    found = target.find(job)
    for path in jobs.fetch(target, job, found, folder):
        click.echo(path)
    _show_best(str(folder), target.inputs(found).root)


def _images_of(study: Study, study_path: str, path: Path | None) -> Images:
    """Return the image of each step, all of which can run it.

    Raises:
        UserError: One is missing or cannot.
    """
    from kfp_bayesopt_pipeline.images import load_images_of
    from kfp_bayesopt_pipeline.preflight.runtimes import check_runtimes

    found = load_images_of(study, study_path, path)
    if problems := check_runtimes(study, found):
        raise UserError("\n".join(problems))
    return found


def _compiled(study: Study, content: bytes, images: Images) -> bytes:
    """Compile a study."""
    from kfp_bayesopt_pipeline.compile import compile_study  # it takes seconds to import

    schedule = SCHEDULES[study.schedule]
    if schedule.unbounded is not None and schedule.task_seconds(study) is None:
        click.echo(
            f"Warning: {schedule.unbounded}; Vertex ends it after 7 days: set max_trial_seconds or stop.max_hours",
            err=True,
        )
    return compile_study(study, content, images).encode()


def _write_pipeline(study: Study, pipeline: bytes, out: Path | None = None) -> Path:
    """Write a compiled pipeline where the name of its study says, and return the file."""
    written = out or Path("out") / study.name / "pipeline.yaml"
    storage.replace(str(written), pipeline)
    return written


def _check_compiled(compiled: Path, study: str, content: bytes) -> None:
    """Refuse a pipeline that was compiled for another study file: it would look for that one in the study folder."""
    name = study_uri("", content)
    if name.encode() not in storage.read(str(compiled), MOST_PIPELINE_BYTES):
        raise UserError(f"{compiled}: was compiled for another study file than {study}; compile it again")


def _show_best(root: str, home: str | None = None) -> None:
    """Show the best trial of the results in a folder, and why trials failed.

    Args:
        root: The folder.
        home: The study folder, where its results were copied from there.

    Raises:
        UserError: No trial has completed, or the results cannot be read.
    """
    best = read_document(Best, f"{root}/best.json")
    with contextlib.suppress(NotFoundError):
        for line in grouped(home or root, read_document(Failures, f"{root}/failures.json").failures):
            click.echo(line)
    if missing := best.missing:
        raise UserError(f"{root}: {missing}")
    click.echo(f"\n{summary(best)}\nresults in {root}")


def _verdict(folder: StudyFolder) -> Verdict:
    """Return what came out of a study that has succeeded, and what to do next."""
    best = read_document(Best, f"{folder.root}/best.json")
    if missing := best.missing:
        raise UserError(f"{folder.root}: {missing}")
    return Verdict(best, None, advice_of(folder))


COMMANDS = (
    images,
    compile_,
    run_kfp,
    submit,
    status,
    cancel,
    results,
    *FOLDER_COMMANDS,
    *TRIAL_COMMANDS,
    *REPORT_COMMANDS,
    *BUILDING_COMMANDS,
    convert,
    plan,
)
