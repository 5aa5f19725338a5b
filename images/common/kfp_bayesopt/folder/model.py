"""The files that a trial wrote to BAYESOPT_OUTPUT, its model: checked against the kept list, and fetched."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kfp_bayesopt import hints
from kfp_bayesopt.errors import NotFoundError, UserError, named, shown_name
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import KeptFile, Manifest, Record
from kfp_bayesopt.space.goals import counts, losses
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.names import can_be_object, problem_with_name
from kfp_bayesopt.store.tree import Tree, first_of

MOST_ASKED = 100
"""The most other trials that are searched for a complete model."""
_NOT_THERE = "is not there: it wrote no files to BAYESOPT_OUTPUT"


@dataclass
class Model:
    """The state of a model.

    Attributes:
        objects: Its files, by name.
        folders: Empty folders.
        problem: The reason it is incomplete; None if it is complete, or has no list to compare it with.
        foreign: Files in its folder that do not belong to it.
        left_out: Entries that the trial wrote and that are not files of its folder, and the reasons.
        is_checked: Whether it was compared with a list.
    """

    objects: dict[str, storage.Entry] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    problem: str | None = None
    foreign: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    is_checked: bool = True

    @property
    def tree(self) -> Tree:
        """Its files and empty folders."""
        return Tree({name: (entry.uri, entry.md5) for name, entry in self.objects.items()}, self.folders)


def model_of(folder: StudyFolder, record: Record) -> Model:
    """Check the model of a trial against the list kept beside it, without fetching it.

    Raises:
        UserError: The list is damaged, or storage refuses to read.
    """
    if record.output_missing:
        return Model(problem=f"is missing: {record.output_missing}")
    uri = folder.output_uri(record.trial, record.evaluated)
    there = {entry.uri.removeprefix(f"{uri}/"): entry for entry in storage.entries(f"{uri}/", links=False)}
    manifest = folder.read_manifest(record.trial, record.evaluated)
    if manifest is not None:
        return _compared(uri, there, manifest)
    # Written by an older version.
    foreign = [name for name in there if problem_with_name(name)]
    objects = {name: entry for name, entry in there.items() if name not in foreign}
    return Model(objects, problem=None if objects else _NOT_THERE, foreign=foreign, is_checked=False)


def _compared(uri: str, there: dict[str, storage.Entry], manifest: Manifest) -> Model:
    """Return the state of a model, by the storage's description of its files and their list."""
    model = Model(folders=manifest.folders, left_out=manifest.left_out)
    wrong = []
    for file in manifest.files:
        entry = there.pop(file.kept_as, None) or unlisted(uri, file)
        if entry is None:
            wrong.append(f"{shown_name(file.name)} is missing")
        elif entry.size != file.size:
            wrong.append(f"{shown_name(file.name)} has {entry.size:,} bytes, not {file.size:,}")
        elif entry.md5 not in (None, file.md5):
            wrong.append(f"{shown_name(file.name)} was changed")
        else:  # what the storage does not know is compared when it is fetched
            model.objects[file.name] = dataclasses.replace(entry, md5=file.md5)
    if wrong:
        model.problem = f"is not whole: of its {len(manifest.files)} files {first_of(wrong)}"
    elif not manifest.files:
        model.problem = _NOT_THERE
    model.foreign = list(there)
    return model


def unlisted(uri: str, file: KeptFile) -> storage.Entry | None:
    """Look for a file that lists of a folder leave out: part of its name begins with a dot, or it is a link."""
    path = f"{uri}/{file.kept_as}"
    if problem_with_name(file.kept_as) or not (storage.is_local(uri) or can_be_object(path)):
        return None
    try:
        return storage.stat(path)
    except NotFoundError:
        return None


def fetch_model(folder: StudyFolder, trial: int, target: Path) -> Iterator[str]:
    """Copy the model of a trial into a new folder, whole or not at all, and yield remarks for the person.

    Raises:
        UserError: It is incomplete; the message names the next best trial with a complete one.
    """
    records = folder.read().records
    record = records[trial]
    if target.exists() or target.is_symlink():
        raise UserError(f"{target}: is there already; move it away, or give another folder: {hints.INTO}")
    model = model_of(folder, record)
    if problem := model.problem or model.tree.copy_to(str(target)):
        raise UserError(f"trial {trial}: its model {problem}; {_way_out(folder, record, records.values())}")
    files = "1 file" if len(model.objects) == 1 else f"{len(model.objects)} files"
    yield f"{files} of trial {trial} in {target}"
    if not model.is_checked:
        yield "not checked: there is no list of what the trial wrote, which older versions do not keep"
    if model.left_out:
        yield f"the trial also wrote what is not kept: {first_of(model.left_out)}"
    if model.foreign:
        yield f"left out, because the trial did not write it: {named(model.foreign)}"


def _way_out(folder: StudyFolder, record: Record, records: Iterable[Record]) -> str:
    """Return the next best trial with a complete model, as a way out."""
    others = sorted(
        (each for each in records if each.trial != record.trial and counts(folder.study, each)),
        key=lambda each: (losses(folder.study, each) or (), each.trial),
    )
    for other in others[:MOST_ASKED]:
        model = model_of(folder, other)
        if model.problem is None and not _differs(model):
            said = other.outcome + ("" if model.is_checked else ", not checked")
            return f"the next best trial with a whole one is {other.trial} ({said}): {hints.TRIAL(trial=other.trial)}"
    return "no other trial has a whole one; have the objective save its model to BAYESOPT_OUTPUT, and run it again"


def _differs(model: Model) -> bool:
    """Tell whether a file of this machine differs from the list, which only reading it tells."""
    return any(
        entry.md5 not in (None, storage.digest(entry.uri).md5)
        for entry in model.objects.values()
        if storage.is_local(entry.uri)
    )
