"""The cloud commands of `python -m pipeline`: images, compile, run-kfp, submit, status, cancel, results.

What imports kfp or aiplatform, which takes seconds, is imported by the command that needs it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from pydantic import ValidationError

from bayesopt import storage
from bayesopt.errors import UserError
from bayesopt.study import Study
from bayesopt.study_file import load_study
from bayesopt.trials import Best
from pipeline.summary import summary
from pipeline.targets import TARGETS, jobs, load_target
from pipeline.targets.protocol import FAILED, Options, Target
from pipeline.targets.settings import Setting, Settings, option, read_config

SECONDS_BETWEEN_POLLS = 10.0

with_images = click.option(
    "--images",
    type=click.Path(path_type=Path),
    default=Path("out/images.json"),
    show_default=True,
    help="Names the image of each step; `images` writes it.",
)


@dataclass(frozen=True)
class Choice:
    """The target that a person chose, its settings, and what is wrong with them.

    Attributes:
        name: Name of the target.
        settings: Those that are good.
        problems: A line for each that is malformed or missing.
    """

    name: str
    settings: Settings
    problems: list[str]

    def load(self) -> Target:
        """Return the target.

        Raises:
            UserError: A setting is malformed or missing.
        """
        if self.problems:
            raise UserError("\n".join(self.problems))
        return load_target(self.name, self.settings)


def with_target(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --target and one for each setting; it gets the `Choice` as `chosen`."""
    settings: dict[str, Setting] = {}
    for model in TARGETS.values():
        settings |= model.described()

    @functools.wraps(command)
    @click.pass_context
    def wrapped(context: click.Context, /, target: str, config: Path | None, **options: Any) -> None:
        model = TARGETS[target]
        given, problems = read_config(config, list(settings)) if config else ({}, [])
        for name in settings:
            value = options.pop(name)
            typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            if value and typed and name not in model.model_fields:
                raise click.UsageError(f"{option(name)} is no setting of the target {target}; choose another --target")
            if value:
                given[name] = value
        good, lines = model.read(given, str(context.info_name))
        command(chosen=Choice(target, good, problems + lines), **options)

    decorated: Callable[..., None] = wrapped
    for name, setting in reversed(settings.items()):
        owners = [target for target, model in TARGETS.items() if name in model.model_fields]
        about = setting.help if len(owners) == len(TARGETS) else f"{', '.join(owners)}: {setting.help}"
        decorated = click.option(option(name), name, envvar=setting.variable, show_envvar=True, help=about)(decorated)
    decorated = click.option(
        "--config", type=click.Path(path_type=Path), help="Settings in a file, such as vertex_config.json."
    )(decorated)
    return click.option(
        "--target", type=click.Choice(list(TARGETS)), default="vertex", show_default=True, help="Where jobs run."
    )(decorated)


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
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
def images(registry: str, tag: str, pushed: bool, out: Path) -> None:
    """Write which image each step runs.

    \b
    Example:
      python -m pipeline images --registry 127.0.0.1:5000/bayesopt \\
        --tag 1.0 --pushed --out out/images.json
    """  # noqa: D301 - click wants the character \b
    from pipeline.images import write_images

    for image in write_images(out, registry, tag, pushed).values():
        click.echo(image)


@click.command("compile")
@click.argument("study")
@with_images
@click.option("--out", type=click.Path(path_type=Path), help="Pipeline to write.  [default: out/NAME/pipeline.yaml]")
def compile_(study: str, images: Path, out: Path | None) -> None:
    """Compile the pipeline of a study for Kubeflow and Vertex.

    It goes to a folder with the name that the study file gives the study.

    \b
    Example:
      python -m pipeline compile studies/branin.yaml
    """  # noqa: D301 - click wants the character \b
    loaded = load_study(study)
    from pipeline.images import load_images

    written = _compile(loaded, load_images(images), out)
    click.echo(f"{written}: {loaded.iterations} iterations of {loaded.parallel_trials} trials")


@click.command("run-kfp")
@click.argument("study")
@with_images
@click.option("--compiled", type=click.Path(path_type=Path), help="A pipeline that `compile` wrote, to run as it is.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the results.  [default: out/NAME-kfp]")
@click.option("--cache/--no-cache", default=True, help="Take outputs of an earlier run with the same inputs.")
def run_kfp(study: str, images: Path, compiled: Path | None, out: Path | None, cache: bool) -> None:
    """Run the pipeline of a study on this machine with KFP's own engine, in containers.

    \b
    Example:
      python -m pipeline run-kfp studies/branin.yaml
    """  # noqa: D301 - click wants the character \b
    loaded = load_study(study)
    machine = loaded.steps.evaluate.machine_type
    if machine is not None:
        raise UserError(
            f"{study}: steps.evaluate.machine_type is {machine!r}, but machine types and spot machines work on Vertex "
            "only; give cpu and memory instead, or run the study with `make submit`"
        )
    from pipeline.images import load_images
    from pipeline.kfp import local as local_engine

    folder = out or Path("out") / f"{loaded.name}-kfp"
    local_engine.run(compiled or _compile(loaded, load_images(images)), Path(study), folder, cache)
    _show_best(folder)


@click.command()
@click.argument("study")
@with_images
@click.option("--label", "labels", multiple=True, callback=parse_labels, help="KEY=VALUE; may be given several times.")
@click.option("--run-name", help="Name of the run.  [default: from the name of the study]")
@click.option("--cache/--no-cache", default=None, help="Take earlier outputs, or not.  [default: as the study says]")
@click.option("--wait", is_flag=True, help="Follow the job to its end and fetch its results.")
@click.option("--every", type=float, default=SECONDS_BETWEEN_POLLS, hidden=True)
@with_target
def submit(
    study: str,
    images: Path,
    labels: dict[str, str],
    run_name: str | None,
    cache: bool | None,
    wait: bool,
    every: float,
    chosen: Choice,
) -> None:
    """Check everything, upload a study and submit its pipeline.

    \b
    Example:
      python -m pipeline submit studies/branin.yaml --wait \\
        --project-id my-project --region europe-west1 \\
        --pipeline-root gs://my-bucket/runs
    """  # noqa: D301 - click wants the character \b
    from pipeline.preflight.submission import check_submission

    options = Options(labels, run_name, cache)
    target = load_target(chosen.name, chosen.settings)
    loaded, found = check_submission(study, images, target, options, chosen.problems)
    job, page = target.submit(loaded, Path(study), _compile(loaded, found), options)
    click.echo(f"job {job}\n{page}")
    if wait:
        folder = Path("out") / job
        for line in jobs.wait(target, job, folder, every):
            click.echo(line)
        _show_best(folder)


@click.command()
@click.argument("job")
@with_target
def status(job: str, chosen: Choice) -> None:
    """Show the state of a job and of each of its steps, and why it failed.

    \b
    Example:
      python -m pipeline status branin-20260101-120000 \\
        --project-id my-project --region europe-west1
    """  # noqa: D301 - click wants the character \b
    target = chosen.load()
    found = target.find(job)
    states = target.states(found)
    for title, state in jobs.count(states).items():
        click.echo(f"{title}: {state}")
    click.echo(f"{job}: {states.job}")
    if states.job == FAILED:
        click.echo(target.reason(found))


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
    click.echo(f"{job}: asked to stop; {jobs.hint('status', target, job)}, {jobs.hint('results', target, job)}")


@click.command()
@click.argument("job")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: out/JOB]")
@with_target
def results(job: str, out: Path | None, chosen: Choice) -> None:
    """Fetch the best trial and the ledger of a job, or what is there of one that failed.

    \b
    Example:
      python -m pipeline results branin-20260101-120000 \\
        --project-id my-project --region europe-west1
    """  # noqa: D301 - click wants the character \b
    target = chosen.load()
    folder = out or Path("out") / job.rpartition("/")[2]
    for path in jobs.fetch(target, target.find(job), folder):
        click.echo(path)
    _show_best(folder)


def _compile(study: Study, images: dict[str, str], out: Path | None = None) -> Path:
    """Compile a study, whose name says where to, and return the file."""
    from pipeline.kfp.compile import compile_study  # it takes seconds to import

    written = out or Path("out") / study.name / "pipeline.yaml"
    storage.write(str(written), compile_study(study, images).encode())
    return written


def _show_best(folder: Path) -> None:
    """Show the best trial of the results in a folder.

    Raises:
        UserError: No trial has completed, or another version wrote the file.
    """
    file = folder / "best.json"
    try:
        best = Best.model_validate_json(storage.read(str(file)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise UserError(f"{file}: not a best trial of this version: {path}: {first['msg']}") from None
    if best.value is None:
        raise UserError(f"no trial has completed, {best.failed} have failed; {folder}/trials.jsonl says why")
    click.echo(f"\n{summary(best)}\nresults in {folder}")


COMMANDS = (images, compile_, run_kfp, submit, status, cancel, results)
