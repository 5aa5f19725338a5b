"""Opens the study of a component that tunes any study: text, image, data and root come in with the run.

Its job follows from the run, so that `init` that is run again in a run finds it; jobs of other runs are joined. Any
mistake is refused, with nothing written: no worker starts behind a failed `init`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt.errors import ExistsError, NotFoundError, UserError, listed, shown
from kfp_bayesopt.exchange.dialects import naming_other_tools
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.data import Data, read_data
from kfp_bayesopt.folder.roots import home_of, is_study_folder, root_of, root_of_other_data, runs_below
from kfp_bayesopt.folder.study_folder import StudyFolder, study_uri
from kfp_bayesopt.proposing.init import init
from kfp_bayesopt.session.code import check_image, code_in_image
from kfp_bayesopt.session.opening import GoingOn, open_job
from kfp_bayesopt.session.sent import PACKED, content_of
from kfp_bayesopt.steps import INIT, WORKER
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.steps.tuning import OPENED, OPENED_AS
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.study.study_file import read_study

logger = logging.getLogger(INIT.name)

PLACE = "tune"
"""Where such a job runs, as far as its steps know."""
LEASE_MINUTES = 5.0
"""Of its workers: what runs the pipeline may not start a dead one again."""
SOURCE = "study"
"""What the text of a study is called in messages."""
WORDS = ("same-code", "retry-failed", "fresh", "ended")
"""How a study goes on, as the input `going_on` says it."""
COMPONENT = "`bayesopt component STUDY` writes a component of this study, which keeps them"


@dataclass(frozen=True)
class Tuned:
    """A study that is open, and its job.

    Attributes:
        root: The study folder.
        study: The URI of the study file.
        job: The id of the job.
        note: A summary of the trials of other studies that it begins with.
    """

    root: str
    study: str
    job: str
    note: str | None = None


def open_tuned(
    *,
    below: str,
    content: str,
    run: str,
    task: str,
    image: str,
    data: str = "",
    data_uri: str = "",
    going_on: str = "",
    made_for: str = "",
) -> Tuned:
    """Write a study into its folder and open its job, unless that was done before in this run.

    Args:
        below: What is above all studies.
        content: The study: its text, as it is or packed, or the URI of its file.
        run: What the service calls the run.
        task: What it calls the task in it: two tasks of a run have two jobs.
        image: What evaluates its trials.
        data: What the objective is given.
        data_uri: Where it lies, if that is an artifact.
        going_on: Words of how it goes on, with commas between them.
        made_for: The fingerprint of the study that the pipeline was compiled for, and keeps all of; by default none.

    Returns:
        The study folder, the study file and the job.

    Raises:
        UserError: Anything is wrong; nothing was written then.
    """
    if not run:
        raise UserError("--run is empty: the job of a study that is tuned is known by the run of its pipeline")
    root_above = _above(below)
    words = _words(going_on)
    text, source = _text_of(content)
    study = study_of(text, source)
    check_image(image, "image")
    if problems := [*problems_of(study, image, made_for)]:
        raise UserError(listed(source, problems))
    given = read_data(data, data_uri)
    job = _job_of(study, run, [task, text.decode(errors="replace"), image, data, data_uri, root_above, *sorted(words)])
    home = home_of(root_above, study, given)
    root = _root_of_job(home, job)
    if root is not None:
        return Tuned(root, study_uri(root, text), job)
    root = _root_for(root_above, study, given, is_fresh="fresh" in words or not study.steps.evaluate.cache)
    try:
        opened = open_job(
            StudyFolder(root, study),
            text,
            PLACE,
            job=job,
            code=code_in_image(study, image),
            going_on=_going_on(words, study),
            images={WORKER.name: image},
            lease_minutes=LEASE_MINUTES,
            data=given,
            other_data=root_of_other_data(root_above, study, given),
        )
    except ExistsError:
        if _root_of_job(home, job) != root:
            raise
        return Tuned(root, study_uri(root, text), job)  # another attempt at this step has just written it
    return Tuned(root, study_uri(root, text), job, opened.note)


def _above(below: str) -> str:
    """Return what is above all studies.

    Raises:
        UserError: It is a study folder, or a folder that no pod keeps.
    """
    root = storage.given(below)
    if storage.is_local(root) and not Path(root).is_dir():
        raise UserError(
            f"root: {root}: there is no such folder where the step runs, and it would keep no files; give the address "
            "of a bucket, or mount what keeps them"
        )
    if is_study_folder(root):
        raise UserError(
            f"root: {root}: is the folder of one study, and the root is above all studies; give what stands before "
            "/studies in it"
        )
    return root


def _going_on(words: Mapping[str, str], study: Study) -> GoingOn:
    """Return how a study goes on: jobs of other runs are joined where that is possible."""
    return GoingOn(
        same_code="same-code" in words,
        retry_failed="retry-failed" in words,
        ended=words.get("ended"),
        join=SCHEDULES[study.schedule].can_join,
    )


def _words(going_on: str) -> dict[str, str]:
    """Return the words of how a study goes on, each with what stands behind it.

    Raises:
        UserError: One is unknown.
    """
    words: dict[str, str] = {}
    for word in filter(None, map(str.strip, going_on.split(","))):
        name, _, value = word.partition("=")
        if name not in WORDS or bool(value) != (name == "ended"):
            raise UserError(f"going_on: {shown(word)} is none of the words {', '.join(WORDS[:-1])} and ended=JOB")
        words[name] = value
    return words


def _text_of(content: str) -> tuple[bytes, str]:
    """Return the text of a study, and what it is called in messages.

    Raises:
        UserError: It is empty, cannot be unpacked, or cannot be read.
    """
    given = content.strip()
    if not given:
        raise UserError(f"{SOURCE}: is empty; give the text of a study file, or its URI")
    is_name = "\n" not in given and not given.startswith(("{", PACKED)) and ": " not in given
    if is_name and (given.startswith("/") or "://" in given):
        uri = storage.given(given)
        return read_study(uri), uri
    return content_of(content), SOURCE


def study_of(text: bytes, source: str) -> Study:
    """Return the study of a text.

    Raises:
        UserError: It is none.
    """
    with naming_other_tools(source, text):
        return Study.from_text(text, source)


def problems_of(study: Study, image: str | None, made_for: str) -> Iterator[str]:
    """Yield what of a study its component cannot keep.

    Args:
        study: The study.
        image: What evaluates its trials.
        made_for: The fingerprint of the study that the component was compiled for; empty of that of every study.
    """
    if made_for and made_for != study.fingerprint:
        yield f"is another study ({study.fingerprint}) than the one that the pipeline was compiled for ({made_for})"
    elif not made_for and (keys := study.of_compile_time):
        yield f"{', '.join(keys)}: decided when a pipeline is compiled, and this one was compiled for every study; " + (
            COMPONENT
        )
    if study.objectives:
        yield (
            "objectives: several have no best parameters, which the component gives; keep one of them and put "
            "`limits` on the others, or submit the study"
        )
    if study.stop.max_cost is not None:
        yield "stop.max_cost: nobody tells a run what its machines cost; say stop.max_hours instead"
    own = study.steps.evaluate.image
    if own not in (None, image):
        yield f"steps.evaluate.image is {shown(own)}, and that of the component {image}; remove one of them"


def _job_of(study: Study, run: str, inputs: list[str]) -> str:
    """Return the id of the job of a run: the same for the same inputs."""
    digest = hashlib.sha256(json.dumps([run, *inputs]).encode()).hexdigest()[:8]
    known = re.sub(r"[^a-z0-9]+", "-", run.lower()).strip("-")[-50:].strip("-")
    return "-".join(part for part in (study.name, known, digest) if part)


def _root_of_job(home: str, job: str) -> str | None:
    """Return the run below the folders of a study that has a job, the newest first; None if none has."""
    for each in reversed(runs_below(home)):
        try:
            jobs.read_job(root := f"{home}/{each}", job)
        except NotFoundError:
            continue
        return root
    return None


def _root_for(root_above: str, study: Study, data: Data | None, *, is_fresh: bool) -> str:
    """Return the folder of a study for a job; one that has no job yet is new enough for a fresh start."""
    root = root_of(root_above, study, data=data)
    if is_fresh and jobs.last_job(root) is not None:
        return root_of(root_above, study, fresh=True, data=data)
    return root


def begin_tuned(opened: Tuned) -> Outputs:
    """Do the work of `init` on a study that is open, and return what that gives, and where the study is.

    Raises:
        UserError: The job has failed: no worker is to start.
    """
    if opened.note:
        logger.info("%s", opened.note)
    given = init(opened.root, opened.study, opened.job)
    ended = jobs.end_of(opened.root, opened.job)
    if ended is not None and ended.state == "failed":
        raise UserError(ended.reason or f"{opened.root}: job {opened.job} has failed")
    about: dict[str, str | float] = {name: getattr(opened, name) for name in OPENED_AS}
    return given | Outputs(contents={OPENED: json.dumps(about).encode()}, about={OPENED: about})
