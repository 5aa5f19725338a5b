"""The cloud commands of `python -m pipeline`: images, compile, run-kfp, submit, status, cancel, results.

What imports kfp or aiplatform, which takes seconds, is imported by the command that needs it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from bayesopt import storage
from bayesopt.errors import UserError
from bayesopt.study import Study
from bayesopt.study_file import load_study
from bayesopt.trials import Best
from pipeline.summary import summary
from pipeline.targets import settings as names
from pipeline.targets.settings import CLUSTER, ENVIRONMENT, VERTEX, Settings

if TYPE_CHECKING:
    from pipeline.targets.kfp import Cluster
    from pipeline.targets.vertex import Submission, Vertex

SECONDS_BETWEEN_LOOKS = 10.0


@click.command()
@click.option("--registry", required=True, help="Where the images are: HOST/PROJECT/REPOSITORY.")
@click.option("--tag", required=True, help="Their tag.")
@click.option("--pushed", is_flag=True, help="Name them by the digests that they got when they were pushed.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
def images(registry: str, tag: str, pushed: bool, out: Path) -> None:
    r"""Write which image each step runs.

    \b
    Example:
      python -m pipeline images --registry 127.0.0.1:5000/bayesopt --tag 1.0 --pushed --out out/images.json
    """
    from pipeline.images import write_images

    for image in write_images(out, registry, tag, pushed).values():
        click.echo(image)


@click.command("compile")
@click.argument("study")
@click.option("--images", type=click.Path(path_type=Path), required=True, help="File that `images` has written.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Pipeline to write, as YAML.")
def compile_(study: str, images: Path, out: Path) -> None:
    r"""Compile the pipeline of a study for Kubeflow and Vertex.

    \b
    Example:
      python -m pipeline compile studies/branin.yaml --images out/images.json --out out/branin/pipeline.yaml
    """
    loaded = load_study(study)
    from pipeline.images import load_images
    from pipeline.kfp.compile import compile_study  # after the study was found good: it takes seconds to import

    storage.write(str(out), compile_study(loaded, load_images(images)).encode())
    click.echo(f"{out}: {loaded.iterations} iterations of {loaded.parallel_trials} trials")


@click.command("run-kfp")
@click.argument("study")
@click.option("--compiled", type=click.Path(path_type=Path), required=True, help="Pipeline that `compile` has written.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the results.")
@click.option("--cache/--no-cache", default=True, help="Take outputs of an earlier run with the same inputs.")
def run_kfp(study: str, compiled: Path, out: Path, cache: bool) -> None:
    r"""Run a compiled pipeline on this machine with KFP's own engine, in containers.

    \b
    Example:
      python -m pipeline run-kfp studies/branin.yaml --compiled out/branin/pipeline.yaml --out out/branin-kfp
    """
    machine = load_study(study).steps.evaluate.machine_type
    if machine is not None:
        raise UserError(
            f"{study}: steps.evaluate.machine_type must be left out to run here, because Vertex alone has machine "
            f"types and spot machines, but got {machine!r}; give cpu and memory, or run it with `make submit`"
        )
    from pipeline.kfp import local as local_engine

    local_engine.run(compiled, Path(study), out, cache)
    _show_best(out)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each setting, and the settings as one dictionary."""

    @functools.wraps(command)
    def wrapped(**options: Any) -> None:
        config = options.pop("config")
        given = names.read_config(config) if config else {}
        settings = {name: options.pop(name) or given.get(name) for name in ENVIRONMENT}
        command(settings=settings, **options)

    decorated: Callable[..., None] = wrapped
    for name, variable in reversed(ENVIRONMENT.items()):
        decorated = click.option(f"--{name.replace('_', '-')}", name, envvar=variable, help=f"[${variable}]")(decorated)
    return click.option("--config", type=click.Path(path_type=Path), help="A vertex_config.json.")(decorated)


@click.command()
@click.argument("study")
@click.option("--images", type=click.Path(path_type=Path), required=True, help="File that `images` has written.")
@click.option("--target", type=click.Choice(["vertex", "kfp"]), default="vertex", show_default=True)
@click.option("--label", "labels", multiple=True, callback=names.parse_labels, help="KEY=VALUE; as often as you like.")
@click.option("--run-name", help="Name of the run on a KFP cluster.  [default: study and time]")
@click.option("--cache/--no-cache", default=None, help="Take earlier outputs, or not.  [default: as the study says]")
@click.option("--wait", is_flag=True, help="Follow the run to its end.")
@click.option("--every", type=float, default=SECONDS_BETWEEN_LOOKS, hidden=True)
@with_settings
def submit(
    study: str,
    images: Path,
    target: str,
    labels: dict[str, str],
    run_name: str | None,
    cache: bool | None,
    wait: bool,
    every: float,
    settings: Settings,
) -> None:
    r"""Check everything, upload a study and submit its pipeline.

    \b
    Example:
      python -m pipeline submit studies/branin.yaml --images out/images.json \\
        --project-id my-project --region europe-west1 --pipeline-root gs://my-bucket/bayesopt
    """
    loaded, compiled = _check(study, images, settings, target)
    if target == "kfp":
        _submit_to_cluster(loaded, Path(study), compiled, settings, run_name, cache, wait, every)
        return
    from pipeline.targets import vertex

    job = vertex.submit(_vertex(settings), _submission(settings, labels, cache), loaded, Path(study), compiled)
    click.echo(f"job {job.name}\n{job._dashboard_uri()}")
    if wait:
        _wait(job, loaded, every)


def with_target(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option that says which service runs jobs."""
    return click.option("--target", type=click.Choice(["vertex", "kfp"]), default="vertex", show_default=True)(command)


@click.command()
@click.argument("job")
@with_target
@with_settings
def status(job: str, target: str, settings: Settings) -> None:
    """Show the state of a job and of each of its steps."""
    if target == "kfp":
        from pipeline.targets import kfp as service

        found = service.find(_checked_cluster(settings).client(), job)
    else:
        from pipeline.targets import vertex as service  # type: ignore[no-redef]

        found = service.find(_checked_vertex(settings), job)
    for task, state in service.task_states(found).items():
        click.echo(f"{task}: {state}")
    state = service.state_of(found)
    click.echo(f"{job}: {state}")
    if state == "FAILED":
        click.echo(service.reason(found))


@click.command()
@click.argument("job")
@with_target
@with_settings
def cancel(job: str, target: str, settings: Settings) -> None:
    """Stop a job; what its steps have written stays."""
    if target == "kfp":
        from pipeline.targets import kfp as cluster

        cluster.cancel(_checked_cluster(settings).client(), job)
    else:
        from pipeline.targets import vertex

        found = vertex.find(_checked_vertex(settings), job)
        with vertex.api_errors(f"job {job}"):
            found.cancel()
    more = f"JOB={job}" if target == "vertex" else f"TARGET=kfp JOB={job}"
    click.echo(f"{job}: asked to stop; `make status {more}`, `make results {more}`")


@click.command()
@click.argument("job")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: out/JOB]")
@with_target
@with_settings
def results(job: str, out: Path | None, target: str, settings: Settings) -> None:
    """Fetch the best trial and the ledger of a job, or what is there of one that failed."""
    folder = out or Path("out") / job.rpartition("/")[2]
    if target == "kfp":
        from pipeline.targets import kfp as cluster

        where = _checked_cluster(settings)
        written = cluster.fetch(cluster.find(where.client(), job), where.pipeline_root, folder)
    else:
        from pipeline.targets import vertex

        written = vertex.fetch(vertex.find(_checked_vertex(settings), job), folder)
    for path in written:
        click.echo(path)
    _show_best(folder)


def _check(study: str, images: Path, settings: Settings, target: str) -> tuple[Study, Path]:
    """Check all that a submission needs and compile the study.

    Raises:
        UserError: Something is missing or wrong; the message names all of it.
    """
    lines = names.problems(settings, VERTEX if target == "vertex" else CLUSTER)
    loaded = None
    try:
        loaded = load_study(study)
    except UserError as error:
        lines += error.message.splitlines()
    if loaded is not None and target == "kfp" and loaded.steps.evaluate.machine_type is not None:
        lines.append(f"{study}: steps.evaluate.machine_type and spot are of Vertex, but the target is a KFP cluster")
    from pipeline.images import check_image, load_images
    from pipeline.kfp.compile import check_batch, compile_study

    try:
        if loaded is not None:
            check_batch(loaded)
    except UserError as error:
        lines.append(f"{study}: {error.message}")
    found = None
    try:
        found = load_images(images)
        if loaded is not None and loaded.steps.evaluate.image is not None:
            found["evaluate"] = check_image(loaded.steps.evaluate.image, f"{study}: steps.evaluate.image")
    except UserError as error:
        lines.append(error.message)
    lines += _check_outside(settings, target, found, {line.partition(" ")[0] for line in lines})
    if lines or loaded is None or found is None:
        raise UserError("nothing was submitted:\n" + "\n".join(f"  {line}" for line in lines))

    compiled = Path("out") / loaded.name / "pipeline.yaml"
    storage.write(str(compiled), compile_study(loaded, found).encode())
    return loaded, compiled


def _check_outside(settings: Settings, target: str, images: dict[str, str] | None, wrong: set[str]) -> list[str]:
    """Return what is wrong outside of this machine.

    Args:
        settings: The settings.
        target: vertex or kfp.
        images: The image of each step, if they are good.
        wrong: Names of settings that are not good, which nothing is asked with.
    """
    from pipeline.preflight import checks
    from pipeline.targets import vertex

    lines: list[str] = []
    token = None
    if target == "kfp" and "host" not in wrong:
        lines += checks.check_service(str(settings["host"]))
    if target == "vertex" and not {"project_id", "region", "endpoint"} & wrong:
        where = _vertex(settings)
        lines += checks.check_service(where.address)
        try:
            where.connect()
            token = None if lines else vertex.access_token()
        except UserError as error:
            lines.append(error.message)
    if images is not None:
        lines += checks.check_images(images, token)
    root = settings["pipeline_root"]
    if root is None or "pipeline_root" in wrong:
        return lines
    # Cloud Storage without credentials or network would be asked for two minutes before it is given up.
    return lines or checks.check_bucket(root)


def _vertex(settings: Settings) -> Vertex:
    from pipeline.targets.vertex import Vertex

    return Vertex(
        str(settings["project_id"]), str(settings["region"]), settings["credentials_path"], settings["endpoint"]
    )


def _checked_vertex(settings: Settings) -> Vertex:
    if lines := names.problems(settings, ("project_id", "region")):
        raise UserError("\n".join(lines))
    return _vertex(settings)


def _submission(settings: Settings, labels: dict[str, str], cache: bool | None) -> Submission:
    from pipeline.targets.vertex import Submission

    return Submission(
        pipeline_root=str(settings["pipeline_root"]),
        service_account=settings["service_account"],
        experiment=settings["experiment_name"],
        network=settings["network"],
        encryption_key=settings["encryption_key"],
        labels=labels,
        cache=cache,
    )


def _wait(job: Any, study: Study, every: float) -> None:
    """Follow a job to its end and show its best trial; a job that did not succeed is an error."""
    from pipeline.targets import vertex

    for line in vertex.follow(job, every):
        click.echo(line)
    state = vertex.state_of(job)
    if state != "SUCCEEDED":
        why = f": {vertex.reason(job)}" if state == "FAILED" else ""
        raise UserError(f"job {job.name}: {state}{why}; `make results JOB={job.name}` fetches what is there")
    folder = Path("out") / job.name
    vertex.fetch(job, folder)
    _show_best(folder)


def _submit_to_cluster(
    study: Study,
    path: Path,
    compiled: Path,
    settings: Settings,
    run_name: str | None,
    cache: bool | None,
    wait: bool,
    every: float,
) -> None:
    from pipeline.targets import kfp as cluster

    target = _cluster(settings, run_name, cache)
    client, run = cluster.submit(target, study, path, compiled)
    click.echo(f"run {run}\n{target.host.rstrip('/')}/#/runs/details/{run}")
    if not wait:
        return
    for line in cluster.follow(client, run, every):
        click.echo(line)
    ended = cluster.find(client, run)
    state = cluster.state_of(ended)
    if state != "SUCCEEDED":
        why = f": {cluster.reason(ended)}" if state == "FAILED" else ""
        raise UserError(f"run {run}: {state}{why}; `make results TARGET=kfp JOB={run}` fetches what is there")
    folder = Path("out") / run
    cluster.fetch(ended, target.pipeline_root, folder)
    _show_best(folder)


def _cluster(settings: Settings, run_name: str | None = None, cache: bool | None = None) -> Cluster:
    from pipeline.targets.kfp import Cluster

    return Cluster(
        host=str(settings["host"]),
        pipeline_root=str(settings["pipeline_root"]),
        namespace=settings["namespace"],
        token=settings["token"],
        experiment=settings["experiment_name"],
        run_name=run_name,
        cache=cache,
    )


def _checked_cluster(settings: Settings) -> Cluster:
    if lines := names.problems(settings, CLUSTER):
        raise UserError("\n".join(lines))
    return _cluster(settings)


def _show_best(folder: Path) -> None:
    try:
        best = Best.model_validate_json(storage.read(str(folder / "best.json")))
    except ValidationError as error:
        raise UserError(f"{folder}/best.json: the best trial of this version must be there, but {error}") from None
    click.echo(f"\n{summary(best)}\nresults in {folder}")


COMMANDS = (images, compile_, run_kfp, submit, status, cancel, results)
