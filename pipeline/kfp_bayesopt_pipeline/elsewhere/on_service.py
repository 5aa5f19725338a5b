"""Runs a study of a notebook or a script on a service that takes jobs, which go on without us."""

from __future__ import annotations

import functools
from typing import NamedTuple

from kfp_bayesopt import hints
from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.folder.jobs import Job, id_of
from kfp_bayesopt.folder.roots import home_of_studies, newest_root
from kfp_bayesopt.workspace import STUDY_FILE
from kfp_bayesopt_pipeline.elsewhere.images import images_there
from kfp_bayesopt_pipeline.elsewhere.order import Order
from kfp_bayesopt_pipeline.images import Images
from kfp_bayesopt_pipeline.places import AGAIN_ON, TARGETS, load_target, remote_jobs, submitting, waiting
from kfp_bayesopt_pipeline.places.protocol import Options, Target
from kfp_bayesopt_pipeline.places.settings import Settings, find_settings
from kfp_bayesopt_pipeline.preflight.submission import Checked, problems_of, refused

SECONDS_BETWEEN_POLLS = 10.0


class Service(NamedTuple):
    """A target with the settings that were found, and what is wrong with these."""

    target: Target
    settings: Settings
    problems: list[str]


def run(order: Order) -> str:
    """Submit a study, wait for its end where that is asked for, and return its folder.

    Raises:
        UserError: Something is wrong, the study cannot go on, or it has failed.
    """
    if order.root is not None and order.going_on.fresh:
        raise UserError(f"{hints.FRESH} and {hints.ROOT} exclude each other: give another {hints.ROOT} to start again")
    service = _service(order.on, "submit")
    options = Options(data=order.data)
    send = functools.partial(
        submitting.submit,
        str(order.folder / STUDY_FILE),
        None,
        service.target,
        options,
        settings=service.settings,
        problems=[],
        say=order.say,
    )
    sent = send(root=order.root, going_on=order.going_on, checked=_checked(order, service, options))
    if order.wait:
        waiting.follow_to_the_end(sent, order.view, SECONDS_BETWEEN_POLLS, AGAIN_ON[order.on], send)
    else:
        order.view.lines(sent.lines)
    return sent.folder.root


def stop(root: str, job: Job) -> str:
    """Stop a job, and return what a person can do next.

    Raises:
        UserError: It has already ended, or the service refuses.
    """
    return remote_jobs.cancel(_reachable(job.place, "cancel").target, id_of(root, job.job))


def find(name: str, on: str) -> str:
    """Return the newest study folder of a name below the pipeline root.

    Raises:
        NotFoundError: There is none.
        UserError: A setting is missing, or the store is not reached from here.
    """
    service = _reachable(on, "submit")
    home = service.settings.pipeline_root
    if (way_out := service.target.unreached(home)) is not None:
        raise UserError(f"{home} is not reached from here: {way_out}")
    found = newest_root(home, name)
    if found is None:
        raise NotFoundError(f"{home_of_studies(home)}/{name}: holds no study; look at the name and the pipeline root")
    return found


def _service(on: str, command: str) -> Service:
    known = dict.fromkeys(name for each in TARGETS.values() for name in each.described())
    settings, problems = find_settings(TARGETS[on], command, list(known))
    return Service(load_target(on, settings), settings, problems)


def _reachable(on: str, command: str) -> Service:
    found = _service(on, command)
    if found.problems:
        raise UserError("\n".join(found.problems))
    return found


def _checked(order: Order, service: Service, options: Options) -> Checked:
    """Return what is sent, once all of it is well.

    Raises:
        UserError: It is not; the message names all problems.
    """
    study, target = order.study, service.target
    home = order.root or service.settings.pipeline_root
    problems, images = list(service.problems), Images()
    function = study.objective.function
    way_out = target.unreached(home) if home else None
    if function is not None and way_out is not None:
        problems.append(
            f"{home} is not reached from here, and the file of the function {function.name} goes there; {way_out}"
        )
    elif home:
        try:
            images = images_there(order, service.settings.pipeline_root)
        except UserError as error:
            problems += error.message.splitlines()
    problems += problems_of(study, images or None, target, options, home, str(order.folder / STUDY_FILE))
    if problems:
        raise refused(problems)
    study = order.prepared(service.settings.pipeline_root)
    return Checked(study, study.to_text().encode(), images)
