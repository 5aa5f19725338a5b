"""The commands about single trials: their logs, and the best one with its model."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kfp_bayesopt import hints, workspace
from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.subject_options import Subject, with_subject
from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.store import storage

if TYPE_CHECKING:  # `--help` waits for nothing
    from kfp_bayesopt.folder.study_folder import StudyFolder
    from kfp_bayesopt.folder.trials import Record

SECONDS_BETWEEN_LOOKS = 0.5
MOST_LOG_BYTES = 20_000_000
FORMATS = ("text", "flags", "env", "json", "yaml")
LONGEST_REASON = 80


@click.command(cls=Command)
@click.option("--trial", type=click.IntRange(min=1), help="Number of the trial.  [default: a list of all]")
@click.option("--attempt", type=click.IntRange(min=1), help="Number of the attempt.  [default: the last]")
@click.option("--raw", is_flag=True, help="Print control characters as they are.")
@with_subject()
def logs(
    subject: Subject,
    trial: int | None,
    attempt: int | None,
    raw: bool,
) -> None:
    """Print the log of a trial, or list the trials.

    A trial that runs on this machine is followed to its end. Without --trial, all trials are listed.

    \b
    Example:
      bayesopt logs my-study --trial 7
    """  # noqa: D301 - click wants the character \b
    folder = subject.folder()
    if trial is None:
        _list(folder)
        return
    files = folder.files_of(trial)
    attempts = sorted({*files.claims, *files.records})
    if not attempts:
        raise UserError(f"{folder.root}: trial {trial} has not begun; without {hints.ONE_TRIAL} all trials are listed")
    which = attempt or attempts[-1]
    if which not in attempts:
        raise UserError(f"trial {trial} has no attempt {which}; it has {', '.join(map(str, attempts))}")
    if which in files.records:
        _print_log(folder, folder.read_record(trial, which), raw)
    else:
        _follow(folder, trial, which, raw)


@click.command(cls=Command)
@click.option("--model", is_flag=True, help="Fetch the files that the trial wrote to BAYESOPT_OUTPUT.")
@click.option("--into", type=path_options.path, help="Folder for the model.  [default: out/NAME/best-model]")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Print only the parameters, in this form.",
)
@click.option("--trial", type=click.IntRange(1), help="Another trial than the best, such as one of the front.")
@with_subject()
def best(
    subject: Subject,
    trial: int | None,
    model: bool,
    into: Path | None,
    form: str,
) -> None:
    """Show the best trial of a study, and fetch its model.

    Of a noisy study it is the recommended one.

    \b
    Example:
      bayesopt best my-study --format flags
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.session.reporting import best_of, chosen_trial
    from kfp_bayesopt.session.summary import formatted, summary

    folder = subject.folder()
    found = best_of(folder)
    if not found.is_found:
        raise UserError(f"{folder.root}: {found.missing or 'no trial has ended'}")
    if form == "text" and trial is None:
        click.echo(summary(found))
        if not model:
            return
    number, parameters = chosen_trial(folder, found, trial)
    if form != "text" or trial is not None:
        click.echo(formatted(parameters, "flags" if form == "text" else form))
    if model:
        from kfp_bayesopt.session.model import fetch_model

        for line in fetch_model(folder, number, into or workspace.out(folder.study.name, "best-model")):
            click.echo(line)


@click.command(cls=Command)
@with_subject()
def verify(subject: Subject) -> None:
    """Compute every suggestion again; exit 1 if one differs.

    Each follows from the trials that it had seen, as does each decision to stop a trial early.

    \b
    Example:
      bayesopt verify my-study
    """  # noqa: D301 - click wants the character \b
    folder = subject.folder()
    wrong = _verify_suggestions(folder)
    rungs = folder.read_rungs()
    values: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for rung in rungs:
        values[rung.step][rung.trial] = rung.value
    mistakes = [(rung, text) for rung in rungs if (text := rung.mistake(folder.study, values[rung.step]))]
    for rung, mistake in mistakes:
        click.echo(f"trial {rung.trial} at step {rung.step}: {mistake}: {folder.rung_uri(rung.step, rung.trial)}")
    if rungs:
        click.echo(f"early stopping: {len(rungs)} decisions, {len(mistakes)} wrong")
    if mistakes:
        raise UserError(f"{folder.root}: {len(mistakes)} of the decisions to stop a trial are wrong")
    if wrong:
        which = "suggestion does" if wrong == 1 else "suggestions do"
        raise UserError(f"{folder.root}: {wrong} {which} not follow from the records")


def _verify_suggestions(folder: StudyFolder) -> int:
    """Compute the suggestions of a study again, print the results, and return the number that differ."""
    from kfp_bayesopt.proposing.verify import verify as verified
    from kfp_bayesopt.session.reporting import read_trials

    found = read_trials(folder)
    suggested = folder.suggested()
    suggestions = folder.read_suggestions(suggested, found.records)
    counts: Counter[str] = Counter()
    for number in sorted(({*suggested} & found.records.keys()) - {each.trial for each in suggestions}):
        counts["differs"] += 1
        click.echo(f"trial {number} differs: its suggestion cannot be read")
    unchecked: Counter[str] = Counter()
    for checked in verified(folder.searched, found.ledger, suggestions, folder.has_retries()):
        counts[checked.verdict] += 1
        if checked.verdict == "not checked":
            unchecked[checked.why] += 1
        elif checked.verdict == "differs":
            click.echo(f"trial {checked.trial} differs: {checked.why}")
        elif checked.why:
            click.echo(f"trial {checked.trial}: {checked.why}")
    for why, count in unchecked.items():
        click.echo(f"{count} not checked: {why}")
    click.echo(
        ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("same", "equally good", "not checked", "differs"))
    )
    return counts["differs"]


def _list(folder: StudyFolder) -> None:
    from kfp_bayesopt.session.reporting import read_trials
    from kfp_bayesopt.session.studies import table

    trials = read_trials(folder)
    rows = []
    for record in sorted(trials.ledger, key=lambda record: (record.state != "failed", record.trial)):
        said = record.outcome.partition("\n")[0]
        rows.append([str(record.trial), record.state, str(record.attempt), record.log or "-", said[:LONGEST_REASON]])
    rows += [[str(number), "pending", "-", "-", ""] for number in trials.pending]
    click.echo(folder.root)
    for line in table(["trial", "state", "attempt", "log", "value or reason"], rows):
        click.echo(line)


def _print_log(folder: StudyFolder, record: Record, raw: bool) -> None:
    if record.log is None:
        click.echo(f"trial {record.trial} printed nothing")
    else:
        uri = folder.log_uri(record.trial, record.evaluated)
        _show(storage.read(uri, MOST_LOG_BYTES), raw)
        click.echo(f"log: {uri}", err=True)
    if page := _page(folder):
        click.echo(f"job: {page}", err=True)
    said = record.outcome if record.value is None else f"value {record.outcome}"
    click.echo(f"trial {record.trial}, attempt {record.attempt}: {record.state}: {said}", err=True)


def _follow(folder: StudyFolder, trial: int, attempt: int, raw: bool) -> None:
    """Print the output of a running trial until its record is written."""
    path = Path(folder.log_uri(trial, attempt)).with_name(f".log-{attempt}.txt")
    if not storage.is_local(folder.root) or not path.exists():
        meanwhile = f"; meanwhile look at {page}" if (page := _page(folder)) else ""
        raise UserError(f"trial {trial} has no record yet, and its log comes with it{meanwhile}")
    read = 0
    while True:
        is_done = attempt in folder.files_of(trial).records
        try:
            with path.open("rb") as file:
                file.seek(read)
                content = file.read()
        except FileNotFoundError:  # the log of the record has all of it
            content = storage.read(folder.log_uri(trial, attempt), MOST_LOG_BYTES)[read:]
        read += len(content)
        _show(content, raw, end="")
        if is_done:
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _page(folder: StudyFolder) -> str:
    """Return the web page of the job that was submitted last, if it has one."""
    from kfp_bayesopt.folder.documents import read_document
    from kfp_bayesopt.folder.jobs import Submitted, last_job, submitted_uri

    try:
        if (job := last_job(folder.root)) is not None:
            return read_document(Submitted, submitted_uri(folder.root, job)).page
    except NotFoundError:
        pass
    return ""


def _show(content: bytes, raw: bool, end: str = "\n") -> None:
    from kfp_bayesopt.trial.process.output import readable

    if raw:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    text = content.decode(errors="replace").replace("\r\n", "\n")
    shown = readable(text, len(text) * 10)
    click.echo(shown, nl=bool(end) and not shown.endswith("\n"))
