"""Writes the compose file that runs a study in containers, one for each trial, on a fake Cloud Storage."""

from __future__ import annotations

import json
from pathlib import Path

from bayesopt.study_file import load_study
from pipeline.chain import Chain

HEADER = """\
# Written by `make generate` from {study}; change pipeline/compose.py instead.
# Runs the whole chain in containers, one for each trial, through gs:// paths on a fake Cloud Storage:
#   docker compose -f docker-compose.test.yml up --build
# It ends by itself: when `result` has printed the best trial, or with status 1 when a step has failed.
# What is left then goes with `docker compose -f docker-compose.test.yml down`.
name: kfp-bayesopt-test

x-step: &step
  environment: {{STORAGE_EMULATOR_HOST: "http://gcs:9023"}}
x-init: &init {{<<: *step, image: "kfp-bayesopt/init:test"}}
x-evaluate: &evaluate {{<<: *step, image: "kfp-bayesopt/evaluate:test"}}
x-update: &update {{<<: *step, image: "kfp-bayesopt/update:test"}}
x-done: &done {{condition: service_completed_successfully}}

services:
  gcs:
    build: tests/e2e/gcs
    image: kfp-bayesopt/gcs:test
    init: false # `result` stops process 1, which must be the server itself
    healthcheck:
      test: [CMD, python, -c, "import urllib.request as r; r.urlopen('http://127.0.0.1:9023/storage/v1/b/bayesopt')"]
      interval: 1s
      retries: 60

  study: # uploads the study file
    <<: *evaluate
    build: {{context: images, dockerfile: evaluate/Dockerfile}}
    volumes: ["./{folder}:/studies:ro"]
    command: [python, -m, bayesopt.copy, /studies/{file}, {uri}]
    depends_on: {{gcs: {{condition: service_healthy}}}}

"""

FOOTER = """\
  result: # prints the best trial and stops the fake Cloud Storage
    <<: *evaluate
    pid: "service:gcs"
    command: [sh, -c, "python -m bayesopt.copy {best} - && kill -INT 1"]
    depends_on: {{update-{last}: *done}}
"""


def compose_file(study_path: Path) -> str:
    """Return the compose file of a study that lies in the repository."""
    study = load_study(str(study_path))
    chain = Chain(f"gs://bayesopt/{study.name}/study.yaml", f"gs://bayesopt/{study.name}")
    text = HEADER.format(study=study_path, folder=study_path.parent, file=study_path.name, uri=chain.study)
    text += _service("init", "init", chain.init(), ["study"])
    for iteration in range(1, study.iterations + 1):
        before = f"update-{iteration - 1}" if iteration > 1 else "init"
        trials = [f"evaluate-{iteration}-{index}" for index in range(study.parallel_trials)]
        for index, trial in enumerate(trials):
            text += _service(trial, "evaluate", chain.evaluate(iteration, index), [before])
        text += _service(f"update-{iteration}", "update", chain.update(iteration, len(trials)), trials)
    return text + FOOTER.format(best=chain.best(study.iterations), last=study.iterations)


def _service(name: str, step: str, arguments: list[str], after: list[str]) -> str:
    # Each image is built once; `study` builds that of `evaluate`.
    build = name in ("init", "update-1")
    depends = ", ".join(f"{other}: *done" for other in after)
    return (
        f"  {name}:\n"
        f"    <<: *{step}\n"
        + (f"    build: {{context: images, dockerfile: {step}/Dockerfile}}\n" if build else "")
        + f"    command: {json.dumps(['python', 'main.py', *arguments])}\n"
        f"    depends_on: {{{depends}}}\n\n"
    )
