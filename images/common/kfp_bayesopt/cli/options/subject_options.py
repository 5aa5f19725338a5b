"""What a command looks at: STUDY, or --job, with the study folder that it means."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.meant import Meant, is_meant, meant, taken_for_a_job
from kfp_bayesopt.cli.options.path_options import with_root
from kfp_bayesopt.cli.options.study_options import study_of
from kfp_bayesopt.cli.options.target_options import Choice, with_target
from kfp_bayesopt.errors import UserError

if TYPE_CHECKING:  # `--help` waits for nothing
    from kfp_bayesopt.folder.study_folder import StudyFolder
    from kfp_bayesopt.study.study import Study


@dataclass(frozen=True)
class Subject:
    """A study, or a job on a target, with the options that say where it is.

    Attributes:
        study: The study; None for a job.
        job: The job; None for a study.
        root: The study folder that the person names.
        chosen: The target, with its settings.
    """

    study: Meant | None
    job: str | None
    root: str | None
    chosen: Choice

    def where(self) -> str:
        """The study folder, which exists.

        Raises:
            UserError: It does not, or the study has mistakes.
        """
        from kfp_bayesopt.folder.roots import chosen_folder
        from kfp_bayesopt.session.copying import there

        if self.job is not None:
            target = self.chosen.load()
            root = target.inputs(target.find(self.job)).root
            if (way_out := target.unreached(root)) is not None:
                raise UserError(f"{root} is not reached from here: {way_out}")
            return root
        if self.named is not None:
            return there(chosen_folder(self.named[0], self.root, self.chosen.pipeline_root))
        assert self.study is not None
        assert self.study.folder is not None
        return there(self.study.folder)

    def folder(self) -> StudyFolder:
        """The study folder, with the study of the file that is named, else with its own newest one.

        Raises:
            UserError: It does not exist, holds no study, or the study has mistakes.
        """
        from kfp_bayesopt.folder.roots import study_folder
        from kfp_bayesopt.folder.study_folder import StudyFolder

        where = self.where()
        return study_folder(where) if self.named is None else StudyFolder(where, self.named[0])

    def checked_folder(self) -> StudyFolder:
        """The study folder, which holds no other study than that of the file that is named.

        Raises:
            UserError: It holds another study, or as of `folder`.
        """
        from kfp_bayesopt.session.opening import check_study

        folder = self.folder()
        if self.content is not None:
            check_study(folder, self.content)
        return folder

    @property
    def content(self) -> bytes | None:
        """The content of the study file that is named; None where there is none."""
        return None if self.named is None else self.named[1]

    @functools.cached_property
    def named(self) -> tuple[Study, bytes] | None:
        """The study of the file that is named, and the content of that file; None where there is none."""
        return study_of(self.study.file) if self.study is not None and self.study.file is not None else None


def with_subject(words_are_jobs: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command STUDY, --job, --root and the settings of targets; it gets them as `subject`.

    Args:
        words_are_jobs: Whether a word that can be no study is taken for a job; then `--study` names a study, too.
    """

    def give(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(
            study: str | None,
            job: str | None,
            root: str | None,
            chosen: Choice,
            named: str | None = None,
            **options: Any,
        ) -> None:
            if named is not None and study is not None:
                raise click.UsageError("give either a study or a job")
            saying: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
            if words_are_jobs and study is not None and job is None and not is_meant(study):
                saying = taken_for_a_job(study, could_be_study=True, is_set_up=not chosen.problems)
                study, job = None, study
            with saying:
                command(subject=_subject(named or study, job, root, chosen), **options)

        decorated: Callable[..., None] = with_root()(with_target(wrapped))
        if words_are_jobs:
            decorated = click.option("--study", "named", hidden=True)(decorated)
        with_job = click.option("--job", metavar="JOB", help="A job on the target, instead of a study.")
        argument: Callable[[Callable[..., None]], Callable[..., None]] = click.argument(
            "study", required=False, shell_complete=path_options.files
        )
        return argument(with_job(decorated))

    return give


def _subject(study: str | None, job: str | None, root: str | None, chosen: Choice) -> Subject:
    if job is not None:
        if study is not None:
            raise click.UsageError("give either a study or --job")
        return Subject(None, job, root, chosen)
    if study is None and root is not None:
        return Subject(Meant(folder=root), None, None, chosen)
    found = meant(study, folders=root is None)
    if found.folder is not None and root is not None:
        raise click.UsageError(f"{found.folder} is a study folder; give either that or --root")
    return Subject(found, None, root, chosen)
