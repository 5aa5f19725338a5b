"""Writes the compose file that runs a study in containers, one for each trial, on a fake Cloud Storage."""

from __future__ import annotations

import json
from pathlib import Path

from bayesopt.budget import batches
from bayesopt.folder import study_uri
from bayesopt.steps import BIN, EVALUATE, INIT, REPORT, STEPS, UPDATE, Step
from bayesopt.study_file import load_study
from pipeline.chain import Chain

HEADER = """\
# Written by `make generate` from {study}; change pipeline/compose.py instead.
# Runs the whole chain in containers, one for each trial, through gs:// paths on a fake Cloud Storage:
#   docker compose -f docker-compose.test.yml up --build
# It ends by itself: when `result` has printed the best trial, or with status 1 when a step has failed.
# What is left then goes with `docker compose -f docker-compose.test.yml down`.
name: kfp-bayesopt-test

# As little as a cluster may allow: any user, nothing written outside the storage, not even to /tmp.
x-confined: &confined
  user: "12345"
  read_only: true
  cap_drop: [ALL]
  security_opt: [no-new-privileges]
x-step: &step
  <<: *confined
  environment: {{STORAGE_EMULATOR_HOST: "http://gcs:9023"}}
{anchors}x-done: &done {{condition: service_completed_successfully}}

services:
  gcs:
    <<: *confined
    build: tests/e2e/gcs
    image: kfp-bayesopt/gcs:test
    volumes: [/srv/data]
    init: false # `result` stops process 1, which must be the server itself
    healthcheck:
      test: [CMD, python, -c, "import urllib.request as r; r.urlopen('http://127.0.0.1:9023/storage/v1/b/bayesopt')"]
      interval: 1s
      retries: 60

  study: # uploads the study file
    <<: *{trial}
    build: {{context: images, dockerfile: {trial}/Dockerfile}}
    volumes: ["./{folder}:/studies:ro"]
    command: [{copy}, /studies/{file}, {uri}]
    depends_on: {{gcs: {{condition: service_healthy}}}}

"""

FOOTER = """\
  result: # prints the best trial and stops the fake Cloud Storage
    <<: *{trial}
    pid: "service:gcs"
    command: [sh, -c, "{copy} {best} - && kill -INT 1"]
    depends_on: {{{last}: *done}}
"""
COPY = f"{BIN}/copy"


def compose_file(study_path: Path) -> str:
    """Return the compose file of a study that lies in the repository."""
    study = load_study(str(study_path))
    root = f"gs://bayesopt/{study.name}"
    chain = Chain(study_uri(root, study_path.read_bytes()), root, "compose")
    anchors = "".join(f'x-{step}: &{step} {{<<: *step, image: "kfp-bayesopt/{step}:test"}}\n' for step in STEPS)
    text = HEADER.format(
        study=study_path, folder=study_path.parent, file=study_path.name, uri=chain.study,
        anchors=anchors, trial=EVALUATE.name, copy=COPY,
    )  # fmt: skip
    built = {EVALUATE.name}  # each image is built once, the first by `study`
    after = ["study"]

    def service(name: str, step: Step, arguments: list[str]) -> str:
        build = (
            f"    build: {{context: images, dockerfile: {step.name}/Dockerfile}}\n" if step.name not in built else ""
        )
        built.add(step.name)
        depends = ", ".join(f"{other}: *done" for other in after)
        return (
            f"  {name}:\n"
            f"    <<: *{step.name}\n"
            f"{build}"
            f"    command: {json.dumps([step.program, *arguments])}\n"
            f"    depends_on: {{{depends}}}\n\n"
        )

    text += service(INIT.name, INIT, chain.init())
    after = [INIT.name]
    for iteration, batch in enumerate(batches(study), 1):
        trials = [f"{EVALUATE.name}-{trial}" for trial in batch]
        for name, trial in zip(trials, batch, strict=True):
            text += service(name, EVALUATE, chain.evaluate(trial))
        after = trials
        update = f"{UPDATE.name}-{iteration}"
        text += service(update, UPDATE, chain.update(batch))
        after = [update]
    text += service(REPORT.name, REPORT, chain.report())
    return text + FOOTER.format(best=f"{root}/best.json", last=REPORT.name, trial=EVALUATE.name, copy=COPY)
