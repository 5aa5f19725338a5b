"""The commands about the report of a study: write it again, and watch it while the study runs."""

from __future__ import annotations

import signal
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kfp_bayesopt import workspace
from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.path_options import with_root
from kfp_bayesopt.cli.options.study_options import study_of, with_study
from kfp_bayesopt.cli.options.subject_options import Subject, with_subject
from kfp_bayesopt.cli.options.target_options import Choice, with_target
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.exporters import EXPORTERS
from kfp_bayesopt.exchange.formats import FORMATS, format_of
from kfp_bayesopt.steps import REPORT_PAGE
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.store import clock, storage

if TYPE_CHECKING:  # `--help` waits for nothing
    pass

*_FIRST, _LAST = (form.suffix for form in FORMATS.values())
SUFFIXES = f"{', '.join(_FIRST)} or {_LAST}"
"""Of the files of all formats, as people list them."""


@click.command(cls=Command)
@click.option("--full", is_flag=True, help="Include hosts, paths and the last lines of failed trials.")
@click.option(
    "--to",
    type=path_options.path,
    help="File for the page; nothing is written into the study folder, which may be read-only.",
)
@with_subject()
def report(subject: Subject, full: bool, to: Path | None) -> None:
    """Write the results and the report of a study again.

    They are written from the records in its folder. For a folder in a bucket, the report is also copied to out/NAME on
    this machine.

    \b
    Example:
      bayesopt report my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.folder.roots import local_root
    from kfp_bayesopt.session.reporting import report_again
    from kfp_bayesopt.session.summary import summary

    folder = subject.folder()
    if to is not None and to.is_dir():
        to = to / REPORT_PAGE
    best = report_again(folder, subject.content, full, to)
    page = to or Path(folder.root, REPORT_PAGE)
    if to is None and not storage.is_local(folder.root):
        page = Path(local_root(folder.study), REPORT_PAGE)
        uri = f"{folder.root}/{REPORT_PAGE}"
        storage.replace(str(page), storage.read(uri, storage.stat(uri).size))
    warn_of_clock(folder.root)
    click.echo(f"{summary(best)}\nreport {page}")


@click.command(cls=Command)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on this machine.  [default: a free one]")
@click.option("--open", "is_opened", is_flag=True, help="Open it in a browser.")
@with_subject()
def watch(subject: Subject, port: int, is_opened: bool) -> None:
    """Show the report in a browser while the study runs.

    It stays up to date until Ctrl-C. It reads the study folder, here or in a bucket, with the permissions of the person
    who runs it, and changes nothing. Nobody else can see it: it listens on this machine alone, and the address has a
    secret.

    \b
    Example:
      bayesopt watch my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.session.watching import watching

    folder = subject.checked_folder()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    with watching(folder, port) as server:
        warn_of_clock(folder.root)
        click.echo(f"{folder.root}\n{server.url}\nCtrl-C ends it")
        if is_opened:
            webbrowser.open(server.address_for_one_use())
        try:
            ended.wait()
        except KeyboardInterrupt:
            server.asked = 0.0


@click.command(cls=Command)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    help=f"Format to write.  [default: by the suffix of --to, else {next(iter(FORMATS))}]",
)
@click.option(
    "--to",
    type=path_options.path,
    help=f"File to write, or {' or '.join(EXPORTERS)} for a tracker.  [default: out/NAME{SUFFIXES}]",
)
@click.option("--uri", envvar="MLFLOW_TRACKING_URI", help="Address of the tracker.  [default: that of the study]")
@with_subject()
def export(
    subject: Subject,
    form: str | None,
    to: Path | None,
    uri: str | None,
) -> None:
    """Write the trials of a study for other tools.

    That is a table, a storage that optuna-dashboard opens, or runs in a tracker, where what is there already is no
    double.

    \b
    Example:
      bayesopt export my-study --format csv
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.session.reporting import best_of, read_trials

    folder = subject.checked_folder()
    trials = read_trials(folder)
    ledger = trials.ledger
    if not ledger:
        raise UserError(f"{folder.root}: no trial has ended yet")
    if str(to) in EXPORTERS:
        exporter = EXPORTERS[str(to)]
        click.echo(exporter.fold(folder, trials, best_of(folder), exporter.asked(folder.study, uri)))
        return
    written = FORMATS[form] if form else format_of(to)
    path = to or workspace.out(f"{folder.study.name}{written.suffix}")
    written.functions.write(folder.study, ledger, path)
    click.echo(f"{path}: {len(ledger)} trials")


@click.command("import", cls=Command)
@with_study()
@click.option(
    "--from",
    "sources",
    multiple=True,
    required=True,
    shell_complete=path_options.files,
    help=f"A folder, here or in a bucket, or {SUFFIXES}; may be repeated.",
)
@with_root()
@with_target
def import_(study: str, sources: tuple[str, ...], root: str | None, chosen: Choice) -> None:
    """Make a study begin with trials of other ones.

    Those are study folders, tables, or storages of Optuna.

    \b
    Example:
      bayesopt import my-study --from out/old
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.exchange.importing import check_engine, collect, said_of
    from kfp_bayesopt.folder.lock import locked
    from kfp_bayesopt.folder.roots import chosen_folder
    from kfp_bayesopt.folder.study_folder import StudyFolder
    from kfp_bayesopt.session.opening import check_study

    loaded, content = study_of(study)
    folder = StudyFolder(chosen_folder(loaded, root, chosen.pipeline_root), loaded)
    check_engine(loaded)
    with locked(folder.root):
        check_study(folder, content)
        if folder.searched.earlier:
            raise UserError(
                f"{folder.root}: begins with trials of other studies already; they are read once; give another folder"
            )
        found = collect(loaded, sources, Path.cwd())
        folder.write_study(content)  # so that no other study begins with them
        folder.write_earlier(found)
    click.echo(f"{folder.root}: {said_of(found)}")


def warn_of_clock(root: str) -> None:
    """Print a warning if the clock of this machine is wrong."""
    if said := clock.warning(root):
        click.echo(f"Warning: {said}", err=True)
