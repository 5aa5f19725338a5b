"""Runs a study of a notebook or a script in processes of this machine, as `bayesopt run` does."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from kfp_bayesopt import session, workspace
from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.folder.jobs import Job, end_of
from kfp_bayesopt.folder.roots import is_study_folder, local_root
from kfp_bayesopt_pipeline.elsewhere.order import Order
from kfp_bayesopt_pipeline.places import in_process


def run(order: Order) -> str:
    """Run a study to its end, and return its folder."""
    root = order.root or local_root(order.study)
    options = in_process.Options(**asdict(order.going_on), data=order.data)
    content = order.study.to_text().encode()
    in_process.run_study(order.study, content, order.folder, root, None, options, order.view)
    return root


def stop(root: str, job: Job) -> str:
    """Stop a job that runs in processes of this machine; containers here are stopped by who started them alone.

    Raises:
        UserError: It has ended, runs in containers, or does not leave the folder.
    """
    if end_of(root, job.job) is not None:
        raise UserError(f"{root}: job {job.job} has already ended")
    if job.place == in_process.PLACE.name:
        session.stop_here(root, job.job)
        return f"job {job.job} was stopped"
    where = f"process {job.process} on {job.by.rpartition('@')[2]}" if job.process else "a program that waits for it"
    raise UserError(f"{root}: job {job.job} is run by {where}; interrupt it there (Ctrl-C)")


def find(name: str, _on: str) -> str:
    """Return the study folder of a name on this machine.

    Raises:
        NotFoundError: There is none.
    """
    return found(workspace.out(name))


def found(folder: Path) -> str:
    """Return a study folder of this machine.

    Raises:
        NotFoundError: It is none.
    """
    root = str(folder)
    if not is_study_folder(root):
        raise NotFoundError(f"{root}: holds no study; give the folder of the study, or `on` where it ran elsewhere")
    return root
