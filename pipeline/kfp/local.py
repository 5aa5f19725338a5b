"""Runs a compiled pipeline on this machine: KFP's own engine, the real images, a container for each trial."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any

from kfp import components, local

from bayesopt import storage
from bayesopt.errors import UserError
from bayesopt.steps import UPDATE
from pipeline.kfp.graph import RESULTS
from pipeline.targets.uploads import upload_study


def run(compiled: Path, study: Path, out: Path, cache: bool = True, **docker_options: Any) -> dict[str, Any]:
    """Run a compiled pipeline and return its outputs; the best trial and the ledger are copied into `out`.

    Args:
        compiled: The pipeline as YAML; it is run as it is.
        study: The study file that it was compiled for.
        out: Folder of the results, and of all that the steps write.
        cache: Take the outputs of steps that ran before with the same inputs.
        docker_options: Options of `docker run` for the containers, as docker-py names them.

    Raises:
        UserError: A step has failed; its log stands above.
    """
    root = out.resolve() / "kfp"
    root.mkdir(parents=True, exist_ok=True)
    # The pipeline root is mounted with its owner on this machine, as whom the containers must write.
    runner = local.DockerRunner(user=f"{os.getuid()}:{os.getgid()}", **docker_options)
    local.init(runner=runner, pipeline_root=str(root), enable_caching=cache)
    logging.getLogger().setLevel(logging.INFO)
    pipeline = components.load_component_from_file(str(compiled))
    with warnings.catch_warnings():
        # It warns for each task that machines and names have no effect here.
        warnings.filterwarnings("ignore", message=".*have no effect in the current local runner.*")
        try:
            outputs = dict(pipeline(study_uri=upload_study(study, str(root))).outputs)
        except RuntimeError as error:
            raise UserError(f"{compiled}: {error}; the log of the step stands above") from None
    for output in RESULTS:
        storage.write(str(out / UPDATE.results[RESULTS[output]]), storage.read(outputs[output].uri))
    return outputs
