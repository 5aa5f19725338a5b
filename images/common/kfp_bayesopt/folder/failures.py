"""Failed trials as a person sees them: reason, last lines, log, and whether all will fail the same way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from kfp_bayesopt import hints
from kfp_bayesopt.folder.results import Failure
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.study.study import Study

MOST_REASONS = 5
MOST_TRIALS = 10
LONGEST_REASON = 300
# Reasons that say nothing of later trials: other parameters may take less time or memory, and other machines may stay.
BY_CHANCE = frozenset({"timeout", "memory", "lost"})
ANYTHING = "…"
ADDRESSES = r"""
      \b[A-Za-z][A-Za-z0-9+.-]*://[^\s'"<>,;)\]}]+
    | \b[A-Za-z]:\\[^\s'"<>|,;)\]}]+
    | (?<![\w./~<])(?:~|\.{1,2})?/(?:[^\s'"<>:,;()\[\]{}/]+/?)+
    | \b[\w.+-]+@[\w-]+(?:\.[\w-]+)*
"""
"""
A pattern, for `re.VERBOSE`: addresses with a scheme, such as gs://bucket/name; Windows paths; paths that begin with /,
~, . or ..; e-mail and host addresses."""
# Also numbers, including memory, versions and times, unless they are part of a name.
_VARYING = re.compile(
    ADDRESSES
    + r"""
    | \b0[xX][0-9a-fA-F]+
    | \b(?=[a-f-]*\d)[0-9a-f]{8}(?:-?[0-9a-f]{4,})*\b
    | (?<![A-Za-z_\d])[-+]?\d+(?:[.,:_]?\d+)*(?:[eE][-+]?\d+)?
    """,
    re.VERBOSE,
)


def kind_of(message: str) -> str:
    """Return the reason of a failure without its varying parts: numbers, paths and addresses."""
    return _VARYING.sub(ANYTHING, message)


def log_of(root: str, failure: Failure | Record) -> str | None:
    """Return the URI of the log of a trial, or None if it printed nothing."""
    return f"{root.rstrip('/')}/trials/{failure.trial:06d}/{failure.log}" if failure.log else None


def details(root: str, record: Record) -> Iterator[str]:
    """Yield the lines below that of a failed trial: its last lines, and the URI of its log."""
    if record.reason is None:
        return
    yield from (f"    | {line}" for line in record.reason.last_lines)
    if log := log_of(root, record):
        yield f"    log: {log}"


def grouped(root: str, failures: Iterable[Failure]) -> Iterator[str]:
    """Yield lines about failed trials, grouped by reason, the most frequent first."""
    groups: dict[str, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(kind_of(failure.reason.message), []).append(failure)
    if not groups:
        return
    count = sum(map(len, groups.values()))
    yield f"{count} {'trial' if count == 1 else 'trials'} failed:"
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    for kind, group in ordered[:MOST_REASONS]:
        messages = {failure.reason.message for failure in group}
        message = kind if len(messages) > 1 else messages.pop()
        share = f" ({len(group)} of {count}, {round(100 * len(group) / count)} %)" if len(ordered) > 1 else ""
        yield f"  {named(failure.trial for failure in group)}{share}: {message.partition(chr(10))[0][:LONGEST_REASON]}"
        if log := next((log for each in group if (log := log_of(root, each))), None):
            yield f"    log: {log}"
    if len(ordered) > MOST_REASONS:
        yield f"  and {len(ordered) - MOST_REASONS} other reasons; failures.json has all"


def named(trials: Iterable[int]) -> str:
    """Return the names of some trials, the first ones if they are many."""
    numbers = sorted(trials)
    more = f" and {len(numbers) - MOST_TRIALS} more" if len(numbers) > MOST_TRIALS else ""
    return f"{'trial' if len(numbers) == 1 else 'trials'} {', '.join(map(str, numbers[:MOST_TRIALS]))}{more}"


def alike(study: Study, root: str, ended: Iterable[Record]) -> str | None:
    """Return the reason to end a study whose first two trials failed with the same mistake; else None.

    A study that sets its own number of allowed failures follows that, and one with a value goes on.

    Args:
        study: The study.
        root: Its folder.
        ended: The ended trials, in the order of their ends; only as many as needed are consumed.
    """
    if study.max_failed_trials is not None:
        return None
    records = iter(ended)
    first = list(islice(records, 2))
    if len(first) < 2:
        return None
    one, two = first
    if one.reason is None or two.reason is None or one.reason.kind in BY_CHANCE:
        return None
    if (one.reason.kind, one.reason.message) != (two.reason.kind, two.reason.message):
        return None
    if any(record.reason is None for record in records):
        return None
    log = log_of(root, one)
    # A mistake is evaluated again by the next command anyway.
    again = "" if one.reason.kind == "mistake" or one.is_unread else f" with {hints.RETRY_FAILED}"
    return (
        f"trials {one.trial} and {two.trial}, the first two to end, failed alike: {one.reason.message}"
        + (f"; log: {log}" if log else "")
        + f"; mend it and run the same command again{again}, or set max_failed_trials to go on regardless"
    )
