"""The optimiser's work between two batches: learn the ended trials, and propose the next ones."""

from __future__ import annotations

import contextlib
import functools
from importlib.metadata import version

from threadpoolctl import threadpool_info

from kfp_bayesopt.errors import ExistsError, UserError
from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record, Seen, Suggestion, Trials, digest_of
from kfp_bayesopt.proposing.early_end import Stop, reason_to_stop, too_many_failed
from kfp_bayesopt.proposing.state import load_engine, write_state
from kfp_bayesopt.search.engine import Engine, is_initial, suggest
from kfp_bayesopt.study.budget import batch_after
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.version import __version__


def begin(folder: StudyFolder, trials: Trials, job: Job | None) -> Stop | None:
    """Prepare a folder for a job: note the trials that it gives another attempt, and propose the first batch if any.

    Returns:
        The reason the study ends here, or None.
    """
    folder.write_suggestions(trials.unwritten)
    failed = [record for record in trials.ended if job is not None and job.tries_again(record)]
    if job is not None and failed:
        # A trial of version 0.1.0 has no suggestion that `evaluate` could read.
        folder.write_suggestions(_suggestion_of(folder.study, record) for record in failed)
        with contextlib.suppress(ExistsError):  # written by this step before it was killed
            folder.retry(job.job, [record.trial for record in failed])
    if SCHEDULES[folder.study.schedule].claims_first:  # its workers propose
        return None
    return advance(folder, trials, 0)


def advance(folder: StudyFolder, trials: Trials, after: int) -> Stop | None:
    """Propose and write the missing part of the batch after a trial, and add it to the known trials.

    Args:
        folder: The study folder.
        trials: Its known trials.
        after: Number of the last trial of the batch before; it and those before it have ended.

    Returns:
        The reason the study ends here, or None if it goes on or its budget is spent.

    Raises:
        UserError: A trial before the batch was never proposed, though there are points left.
    """
    study = folder.study
    batch = batch_after(study, after)
    if batch and all(number in trials.records and trials.records[number].is_final for number in batch):
        return None  # what was paid for counts, whatever the study says now
    ledger = trials.ended
    before = [record for record in ledger if record.trial <= after]
    if stop := reason_to_stop(study, before) if batch else too_many_failed(study, before):
        return stop
    last = batch[-1] if batch else min(after, study.budget)
    if all(number in trials.records or number in trials.pending for number in range(1, last + 1)):
        return None
    engine = load_engine(folder, ledger)
    write_state(folder, engine, ledger)
    suggestions = propose(folder.searched, engine, trials, last)
    if suggestions and suggestions[0].trial <= after:
        raise UserError(
            f"{folder.root}: trial {suggestions[0].trial} was never proposed; run `init`, or `update` after each batch "
            "before it, first"
        )
    written = folder.write_suggestions(suggestions)
    trials.pending |= {suggestion.trial: suggestion for suggestion in written}
    if not any(number in trials.pending for number in batch):
        return Stop(f"every point of the space has been tried, {trials.proposed} trials")
    return None


def propose(study: Study, engine: Engine, trials: Trials, last: int) -> list[Suggestion]:
    """Return suggestions for the trials up to a number that have none, fewer if points run out.

    The same trials give the same suggestions. A step that was killed between two of them finds the first ones, and
    proposes the others as if it had not been killed.
    """
    ledger = trials.ended
    highest = max((record.trial for record in ledger), default=0)
    pending = trials.running
    points = suggest(engine, study, ledger, pending, last)
    iteration, digest, found = _iteration(trials, highest), digest_of(ledger), versions()
    return [
        Suggestion(
            study=study.name,
            fingerprint=study.fingerprint,
            trial=number,
            iteration=iteration,
            parameters=parameters,
            initial=is_initial(study, number) or None,
            seen=Seen(
                highest=highest,
                pending=[each for each in sorted(pending) if each < highest],
                unknown=list(range(highest + 1, number)),
                ledger=digest,
            ),
            optimizer=study.optimizer.model_dump(mode="json"),
            parallel_trials=study.parallel_trials,
            asked=study.asked,
            versions=found,
        )
        for number, parameters in points.items()
    ]


def versions() -> dict[str, str]:
    """Return the versions of everything that computes suggestions; other kernels round differently."""
    found = {"bayesopt": __version__, **_packages()}
    # Without its version, which numpy and scipy bring along: scipy's is not always loaded.
    kernels = {
        f"{each['internal_api']} {each.get('architecture', '')}".strip()
        for each in threadpool_info()
        if each["user_api"] == "blas"
    }
    return found | ({"blas": ", ".join(sorted(kernels))} if kernels else {})


@functools.cache
def _packages() -> dict[str, str]:
    # Once in a process: the text of a package's description is parsed each time.
    return {name: version(name) for name in ("numpy", "scipy")}


def _iteration(trials: Trials, highest: int) -> int:
    """Return the number of the batch: that of its other trials, if it was proposed in part."""
    same = [each.iteration for each in trials.pending.values() if each.seen.highest == highest and each.iteration]
    before = [record.iteration or 0 for record in trials.records.values()]
    before += [each.iteration or 0 for each in trials.pending.values()]
    return max(same) if same else max(before, default=0) + 1


def _suggestion_of(study: Study, record: Record) -> Suggestion:
    return Suggestion(
        study=study.name,
        fingerprint=study.fingerprint,
        trial=record.trial,
        iteration=record.iteration,
        parameters=record.parameters,
        seen=Seen(highest=0, unknown=list(range(1, record.trial)), ledger=digest_of([])),
        optimizer={},
        versions={},
    )
