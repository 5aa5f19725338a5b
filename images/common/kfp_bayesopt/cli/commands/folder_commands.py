"""The commands about study folders: lists, copies between this machine and a bucket, and deletion."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kfp_bayesopt import workspace
from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.output_options import Answer, with_answer
from kfp_bayesopt.cli.options.path_options import with_root
from kfp_bayesopt.cli.options.study_options import study_of, with_study
from kfp_bayesopt.cli.options.subject_options import Subject, with_subject
from kfp_bayesopt.cli.options.target_options import with_config
from kfp_bayesopt.errors import UserError, named
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.store import storage
from kfp_bayesopt_pipeline.places.settings import Settings, config_file, read_config

if TYPE_CHECKING:  # `--help` waits for nothing
    from kfp_bayesopt.study.study import Study


def with_both(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the two folders of a copy: --out here, --root in the bucket."""
    of_bucket = "Study folder in the bucket.  [default: by the study, below PIPELINE_ROOT]"
    command = click.option("--root", type=path_options.folder, help=of_bucket)(command)
    return click.option("--out", type=path_options.folder, help="Study folder here.  [default: out/NAME]")(command)


def with_pipeline_root(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --pipeline-root, which the environment and vertex_config.json may hold too."""

    @functools.wraps(command)
    def wrapped(*args: Any, config: Path | None, pipeline_root: str | None, **options: Any) -> None:
        given = {"pipeline_root": pipeline_root or ""}
        config = config_file(config)
        is_of_config = config is not None and not pipeline_root
        if config is not None and is_of_config:
            # The other settings of the file do not concern this command.
            found, _ = read_config(config, list(Settings.described()))
            given |= {name: value for name, value in found.items() if name in given}
        settings, problems = Settings.read(given, "", config, given if is_of_config else ())
        if problems:
            raise UserError("\n".join(problems))
        command(*args, pipeline_root=settings.pipeline_root, **options)

    setting = Settings.described()["pipeline_root"]
    decorated: Callable[..., None] = click.option(
        "--pipeline-root", envvar=setting.variable, show_envvar=True, help=setting.help
    )(wrapped)
    return with_config(decorated)


@click.command(cls=Command)
@click.option("--out", type=path_options.folder, help="Folder of study folders.  [default: out]")
@with_answer(
    folders="Where they were looked for: the folder here, and the root in the bucket if it is set.",
    studies="A list: root, study, fingerprint, state (of the last job), trials (the budget), done, best (best.json).",
)
@with_pipeline_root
def studies(out: str | None, pipeline_root: str, answer: Answer) -> None:
    """List the studies here and in the bucket.

    Here, that is a folder of this machine; in the bucket, what is below PIPELINE_ROOT if it is set.

    \b
    Example:
      bayesopt studies --pipeline-root gs://my-bucket/runs
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.session.studies import studies_below, studies_in, table

    if out is not None and storage.is_local(out) and not Path(out).is_dir():
        raise UserError(f"{out}: no such folder")
    out = out or str(workspace.out())
    found = studies_in(out)
    if pipeline_root:
        found += studies_below(pipeline_root)
    looked_in = [out, *([pipeline_root] if pipeline_root else [])]
    answer.give(folders=looked_in, studies=[each.facts() for each in found])
    if not found:
        answer.say(f"no studies in {' or '.join(looked_in)}")
        return
    for line in table(["study", "fingerprint", "run", "state", "trials", "best value"], [each.row() for each in found]):
        answer.say(line)


@click.command("jobs", cls=Command)
@with_answer(
    root="The study folder.",
    jobs="A list, in the order of their times: job, place, id (of the target), by, submitted, state, reason.",
)
@with_subject()
def jobs_(subject: Subject, answer: Answer) -> None:
    """List the jobs of a study.

    Each has its id, place, submitter, time and end. It reads the given folder, else that below PIPELINE_ROOT if it is
    set, else out/NAME.

    \b
    Example:
      bayesopt jobs my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.session.studies import job_row, jobs_of, table

    folder = subject.where()
    found = list(jobs_of(folder))
    answer.give(root=folder, jobs=found)
    if not found:
        answer.say(f"no jobs in {folder}")
        return
    answer.say(folder)
    for line in table(["job", "place", "by", "submitted", "state"], [job_row(each) for each in found]):
        answer.say(line)


@click.command(cls=Command)
@with_study()
@click.option("--all", "everything", is_flag=True, help="Delete the records too, for ever.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--ended", metavar="JOB", help="Treat this job as ended (it crashed without reporting).")
@with_root()
@with_pipeline_root
def delete(study: str, everything: bool, yes: bool, ended: str | None, root: str | None, pipeline_root: str) -> None:
    """Delete the results of a study, or all of it.

    `report` makes the results again. --all deletes the records too. It finds the folder as `jobs` does. Other files in
    it stay.

    \b
    Example:
      bayesopt delete my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.folder.lock import locked
    from kfp_bayesopt.folder.roots import chosen_folder
    from kfp_bayesopt.folder.study_folder import StudyFolder
    from kfp_bayesopt.session.copying import delete_results, delete_study, refuse_link, there
    from kfp_bayesopt.session.opening import check_study, refuse_running

    loaded, content = study_of(study)
    folder = there(chosen_folder(loaded, root, pipeline_root))
    refuse_link(folder)
    check_study(StudyFolder(folder, loaded), content)
    with locked(folder):
        refuse_running(folder, ended)
        if not everything:
            click.echo(f"{folder}: deleted {delete_results(folder)} derived objects; the records are there")
            return
        if not yes:
            question = f"This deletes all records in {folder} for ever; type the name of the study to go on"
            if click.prompt(question, default="", show_default=False) != loaded.name:
                raise UserError(f"{folder}: nothing was deleted, because the answer was not {loaded.name}")
        click.echo(f"{folder}: deleted {delete_study(folder)} objects")


@click.command(cls=Command)
@with_study()
@with_both
@with_pipeline_root
def download(study: str, out: str | None, root: str | None, pipeline_root: str) -> None:
    """Copy a study folder from the bucket to this machine.

    The study can continue here.

    \b
    Example:
      bayesopt download my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.folder.roots import local_root

    loaded, content = study_of(study)
    _copy(loaded, content, _in_bucket(loaded, root, pipeline_root), out or local_root(loaded))


@click.command(cls=Command)
@with_study()
@with_both
@with_pipeline_root
def upload(study: str, out: str | None, root: str | None, pipeline_root: str) -> None:
    """Copy a study folder from this machine to the bucket.

    The study can continue there.

    \b
    Example:
      bayesopt upload my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.folder.roots import local_root

    loaded, content = study_of(study)
    _copy(loaded, content, out or local_root(loaded), _in_bucket(loaded, root, pipeline_root))


def _copy(study: Study, content: bytes, source: str, target: str) -> None:
    from kfp_bayesopt.folder.lock import locked
    from kfp_bayesopt.folder.study_folder import StudyFolder
    from kfp_bayesopt.session.copying import copy_folder, there
    from kfp_bayesopt.session.opening import check_study

    there(source)  # before a lock is made in the target
    with locked(target):
        for root in (source, target):
            check_study(StudyFolder(root, study), content)
        copied = copy_folder(source, target)
    click.echo(f"{target}: {copied.new} objects are new, {copied.kept} were there")
    if copied.left_out:
        click.echo(f"left out, because of their names: {named(copied.left_out)}")


def _in_bucket(study: Study, root: str | None, pipeline_root: str) -> str:
    from kfp_bayesopt.folder.roots import root_of

    if root is None and not pipeline_root:
        raise click.UsageError("where is the bucket? give --root or --pipeline-root, or set PIPELINE_ROOT")
    return root or root_of(pipeline_root, study)


@click.command(cls=Command)
@click.argument("root", type=path_options.folder)
@with_answer(
    root="The folder.",
    findings="A list: check, found (in words), verdict: right, noted (studies work, with that limit) or refused.",
    problem="Why no study is to be in this store; null if it may be trusted.",
)
def store(root: str, answer: Answer) -> None:
    """Try whether a store keeps what studies rely on.

    ROOT is a folder here or in a bucket. About 1,200 small files and one of 20 MB are written below a name that begins
    with a dot, and deleted again. Exits 1 if a study would lose data there.

    \b
    Example:
      bayesopt store gs://my-bucket/runs
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.store.probe import probe

    probed = probe(root)
    width = max(len(each.check) for each in probed.findings)
    for each in probed.findings:
        answer.say(f"{each.verdict:7}  {each.check:{width}}  {each.found}")
    answer.give(root=probed.root, findings=[asdict(each) for each in probed.findings], problem=probed.problem)
    if probed.problem is not None:
        raise UserError(probed.problem)
    answer.say(f"{probed.root}: studies may be here")
