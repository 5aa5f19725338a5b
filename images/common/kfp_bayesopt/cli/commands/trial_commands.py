"""The commands about single trials: their logs, and the best one with its model."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kfp_bayesopt import hints, workspace
from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.output_options import Answer, with_answer
from kfp_bayesopt.cli.options.subject_options import Subject, with_subject
from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.store import storage

if TYPE_CHECKING:  # `--help` waits for nothing
    from kfp_bayesopt.folder.study_folder import StudyFolder
    from kfp_bayesopt.folder.trials import Record

SECONDS_BETWEEN_LOOKS = 0.5
MOST_LOG_BYTES = 20_000_000
FORMATS = ("text", "flags", "key-value", "env", "json", "yaml")
LONGEST_REASON = 80
VERDICTS = ("same", "equally good", "not checked", "differs")


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
@with_answer(
    root="The study folder.",
    best="The best trial and the numbers of trials, as in best.json.",
    trial="The trial that is meant: the one that is named, else the recommended or the best one; null of a front.",
    parameters="Its parameters; null of a front.",
    model="What was fetched of its model: a list of lines.",
)
@with_subject()
def best(
    subject: Subject,
    trial: int | None,
    model: bool,
    into: Path | None,
    form: str,
    answer: Answer,
) -> None:
    """Show the best trial of a study, and fetch its model.

    Of a noisy study it is the recommended one.

    \b
    Example:
      bayesopt best my-study --format flags
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.folder.documents import data_of
    from kfp_bayesopt.session.reporting import best_of, chosen_trial
    from kfp_bayesopt.session.summary import formatted, summary

    folder = subject.folder()
    found = best_of(folder)
    if not found.is_found:
        raise UserError(f"{folder.root}: {found.missing or 'no trial has ended'}")
    number, parameters, fetched = None, None, list[str]()
    if form == "text" and trial is None:
        answer.say(summary(found))
    if form != "text" or trial is not None or model or not found.front:
        number, parameters = chosen_trial(folder, found, trial)
    if form != "text" or trial is not None:
        answer.say(formatted(parameters or {}, form, folder.study.objective.how))
    if model and number is not None:
        from kfp_bayesopt.folder.model import fetch_model

        for line in fetch_model(folder, number, into or workspace.out(folder.study.name, "best-model")):
            answer.say(line)
            fetched.append(line)
    answer.give(root=folder.root, best=data_of(found), trial=number, parameters=parameters, model=fetched)


@click.command(cls=Command)
@with_answer(
    root="The study folder.",
    counts="How many suggestions have each verdict: same, equally good, not checked, differs.",
    trials="A list, of each suggestion that is not plainly the same: trial, verdict, why.",
    decisions="How many decisions there were to stop a trial early, or to let it go on.",
    wrong_decisions="A list, of each of them that is wrong: trial, step, why.",
)
@with_subject()
def verify(subject: Subject, answer: Answer) -> None:
    """Compute every suggestion again; exit 1 if one differs.

    Each follows from the trials that it had seen, as does each decision to stop a trial early.

    \b
    Example:
      bayesopt verify my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.session.reporting import decisions_again

    folder = subject.folder()
    counts, trials = _verify_suggestions(folder, answer)
    wrong = counts["differs"]
    rungs = list(decisions_again(folder))
    mistakes = [(rung, text) for rung, text in rungs if text]
    for rung, mistake in mistakes:
        answer.say(f"trial {rung.trial} at step {rung.step}: {mistake}: {folder.rung_uri(rung.step, rung.trial)}")
    if rungs:
        answer.say(f"early stopping: {len(rungs)} decisions, {len(mistakes)} wrong")
    answer.give(
        root=folder.root,
        counts={verdict: counts[verdict] for verdict in VERDICTS},
        trials=trials,
        decisions=len(rungs),
        wrong_decisions=[{"trial": rung.trial, "step": rung.step, "why": why} for rung, why in mistakes],
    )
    if mistakes:
        raise UserError(f"{folder.root}: {len(mistakes)} of the decisions to stop a trial are wrong")
    if wrong:
        which = "suggestion does" if wrong == 1 else "suggestions do"
        raise UserError(f"{folder.root}: {wrong} {which} not follow from the records")


def _verify_suggestions(folder: StudyFolder, answer: Answer) -> tuple[Counter[str], list[dict[str, object]]]:
    """Compute the suggestions of a study again, and say the results.

    Returns:
        The number of each verdict, and those that are worth a word.
    """
    from kfp_bayesopt.session.reporting import suggestions_again

    results = []
    for each in suggestions_again(folder):
        results.append(each)
        if each.verdict == "differs":
            answer.say(f"trial {each.trial} differs: {each.why}")
        elif each.why and each.verdict != "not checked":
            answer.say(f"trial {each.trial}: {each.why}")
    for why, count in Counter(each.why for each in results if each.verdict == "not checked").items():
        answer.say(f"{count} not checked: {why}")
    counts = Counter[str](each.verdict for each in results)
    answer.say(", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS))
    return counts, [asdict(each) for each in results if each.why or each.verdict != "same"]


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
