"""What a person gives to `tune`, checked as far as it is known when their pipeline is compiled.

What is not is a channel of KFP: a parameter of the pipeline, or the output of a task.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from kfp_bayesopt import extras, workspace
from kfp_bayesopt.errors import UserError, listed, shown
from kfp_bayesopt.folder.data import check_data
from kfp_bayesopt.session import tuned
from kfp_bayesopt.session.code import check_image
from kfp_bayesopt.session.sent import problem_of_length, text_to_send
from kfp_bayesopt.steps import WORKER
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.budget import workers as count_of
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.study.study_file import read_study
from kfp_bayesopt.vertex import EXPERIMENT, EXPERIMENT_WORDS, MODEL, MODEL_WORDS
from kfp_bayesopt_pipeline.images import images_of_steps, load_images, trial_image
from kfp_bayesopt_pipeline.preflight.runtimes import check_runtime
from kfp_bayesopt_pipeline.tuning.own import images_for

MOST_WORKERS = 1000
_NUMBER = re.compile("[1-9][0-9]{0,5}")
NOT_HERE = (
    "the machines of a pipeline see no files of this one; give the URI of a copy in a bucket, or the output of a task"
)


@dataclass(frozen=True)
class Known:
    """A study that is known when the pipeline is compiled, with its file, or where that would be."""

    study: Study
    content: bytes
    file: str


def study_of(given: Any) -> Any:
    """Return what is known of a study, or what the component is given for one that comes at run time.

    Raises:
        UserError: It is no study, or has mistakes.
    """
    if isinstance(given, Study):
        return _known(given, given.to_text().encode(), str(Path(given.folder or "") / workspace.STUDY_FILE))
    if not isinstance(given, str | PathLike):
        check_parameter("study", given)
        if not is_channel(given):
            raise UserError(
                f"tune: study: expected a study, its file, its text, or the output of a task, but got {shown(given)}"
            )
        return given
    text = str(given)
    if not text.strip():
        raise UserError("tune: study: is empty; give a study file, its text, or the output of a task")
    if isinstance(given, str) and ("\n" in text or text.lstrip().startswith("{")):
        return _known(tuned.study_of(text.encode(), tuned.SOURCE), text.encode(), workspace.STUDY_FILE)
    path = storage.given(text)
    if not storage.is_local(path):
        return path  # the pipeline reads it, with the rights of its own
    file = str(Path(path) / workspace.STUDY_FILE) if Path(path).is_dir() else path
    content = read_study(file)
    return _known(tuned.study_of(content, file), content, file)


def _known(study: Study, content: bytes, file: str) -> Known:
    """Return a study that is known.

    Raises:
        UserError: It cannot be tuned in a pipeline.
    """
    if problems := [*tuned.problems_of(study, study.steps.evaluate.image, made_for=study.fingerprint)]:
        raise UserError(listed(file, problems))
    return Known(study, content, file)


def text_of(known: Known) -> str:
    """Return the text of a study that is known, as a run takes it.

    Raises:
        UserError: It is too long for that.
    """
    if problems := problem_of_length(known.content):
        raise UserError(f"{known.file}: {problems[0]}; copy it to a bucket, and give its URI")
    return text_to_send(known.content)


def data_of(known: Known | Any, data: Any) -> Any:
    """Return the data as the component takes them.

    Raises:
        UserError: They are not of this pipeline, or the study wants some and there are none.
    """
    if is_channel(data) and getattr(data, "is_artifact_list", False):
        raise UserError("tune: data: expected one artifact, but got a list of them; let one step write all into one")
    check_parameter("data", data, artifacts=True)
    if not isinstance(data, str) and not is_channel(data):
        if isinstance(data, PathLike):
            raise UserError(f"tune: data: {data}: {NOT_HERE}")
        raise UserError(f"tune: data: expected a text or the output of a task, but got {shown(data)}; give JSON")
    if isinstance(data, str) and _is_file(data):
        raise UserError(f"tune: data: {data}: {NOT_HERE}")
    if isinstance(known, Known) and not is_channel(data) and not data:
        check_data(known.study, None)
    return data


def _is_file(text: str) -> bool:
    """Tell whether a text is the name of a file here, of which nobody elsewhere knows."""
    try:
        return not Path(text).is_absolute() and Path(text).is_file()
    except (OSError, ValueError):  # a text that no path can be
        return False


def root_of(root: Any) -> Any:
    """Return the root as the component takes it.

    Raises:
        UserError: It is a path that means something else elsewhere.
    """
    if root is None or is_channel(root):
        return root
    if not isinstance(root, str):
        raise UserError(f"tune: root: expected a text such as gs://BUCKET/PREFIX, but got {shown(root)}")
    path = storage.given(root)
    if storage.is_local(path) and not Path(path).is_absolute():
        raise UserError(f"tune: root: {path}: is a path of this machine; give gs://BUCKET/PREFIX or another bucket")
    return path


def workers_of(known: Known | Any, workers: Any) -> Any:
    """Return the workers as the component takes them: a number for each, as text, because a loop of KFP gives texts.

    Raises:
        UserError: They are no numbers, or two are equal.
    """
    if workers is None:
        return _texts(count_of(known.study)) if isinstance(known, Known) else None
    check_parameter("workers", workers)
    if is_channel(workers):
        return workers
    if isinstance(workers, int) and not isinstance(workers, bool) and 1 <= workers <= MOST_WORKERS:
        return _texts(workers)
    texts = [str(each) for each in workers] if isinstance(workers, Sequence) and not isinstance(workers, str) else []
    if not 1 <= len(set(texts)) == len(texts) <= MOST_WORKERS or not all(map(_NUMBER.fullmatch, texts)):
        raise UserError(
            f"tune: workers: expected how many, 1 to {MOST_WORKERS}, or a number for each, all different, but got "
            f"{shown(workers)}"
        )
    return texts


def _texts(count: int) -> list[str]:
    """Return the numbers of workers, as texts."""
    return [str(number + 1) for number in range(count)]


def image_of(known: Known | Any, image: Any) -> Any:
    """Return the image of the workers.

    Raises:
        UserError: There is none, it is not fixed, or it cannot run them.
    """
    check_parameter("image", image)
    if is_channel(image):
        return image
    if isinstance(known, Known):
        found = trial_image(known.study, images_for(known.study, known.file, image))
    else:
        found = check_image(image, "image") if image is not None else load_images(images_of_steps())[WORKER.name]
    if problems := check_runtime(found, WORKER.name):
        raise UserError("\n".join(problems))
    return found


def check_parameter(name: str, given: Any, artifacts: bool = False) -> None:
    """Refuse a task, which may have several outputs, and an artifact where a parameter is needed.

    Raises:
        UserError: It is one.
    """
    with extras.needed_by("tune", "kfp"):
        from kfp.dsl import PipelineTask

    if isinstance(given, PipelineTask):
        outputs = ", ".join(given.outputs) or "none"
        raise UserError(f"tune: {name}: is the task {given.name}; give one of its outputs ({outputs}): task.outputs[…]")
    if not artifacts and is_artifact(given):
        raise UserError(
            f"tune: {name}: is the artifact {given.name} of {given.task_name}; make it a parameter of that task, such "
            "as -> str, or give its URI as one"
        )


SHARED = {"experiment": (EXPERIMENT, EXPERIMENT_WORDS), "register": (MODEL, MODEL_WORDS)}


def check_shared(name: str, given: Any) -> None:
    """Refuse what Vertex would refuse when the study has ended.

    Raises:
        UserError: It is no name for that.
    """
    check_parameter(name, given)
    rule, words = SHARED[name]
    if not is_channel(given) and given != "" and not (isinstance(given, str) and re.fullmatch(rule, given)):
        raise UserError(f"tune: {name}: expected {words}, but got {shown(given)}")


def is_channel(given: Any) -> bool:
    """Tell whether something is known when the pipeline runs: one of its parameters, or the output of a task."""
    with extras.needed_by("tune", "kfp"):
        from kfp.dsl.pipeline_channel import PipelineChannel

    return isinstance(given, PipelineChannel)


def is_artifact(given: Any) -> bool:
    """Tell whether something is an artifact that a task gives."""
    with extras.needed_by("tune", "kfp"):
        from kfp.dsl.pipeline_channel import PipelineArtifactChannel

    return isinstance(given, PipelineArtifactChannel)
