"""Writes cloudbuild.yaml, which builds the image of every step in the list."""

from __future__ import annotations

from kfp_bayesopt.steps import EVALUATE, STEPS, WORKER
from kfp_bayesopt_pipeline.building.dockerfile import of_python
from kfp_bayesopt_pipeline.building.python_images import official

HEADER = r"""# Written by `make generate` from the list of steps; change kfp_bayesopt_pipeline/cloudbuild.py instead.
# Tests and builds the images side by side, pushes them only if all has passed, and writes their digests.
#
# It needs the repository _REPOSITORY of Artifact Registry in _REGION, the bucket of _DIGESTS, and a service account
# that may write to both and to the logs; docs/vertex.md sets them up.
#
# From a machine, with the checkout as it is (make build-cloud does it and fetches the digests):
#   gcloud builds submit --config cloudbuild.yaml --project PROJECT --region REGION \
#     --service-account projects/PROJECT/serviceAccounts/bayesopt-builder@PROJECT.iam.gserviceaccount.com \
#     --gcs-source-staging-dir gs://BUCKET/source \
#     --substitutions _REGION=REGION,_REPOSITORY=bayesopt,_TAG=$(.venv-cloud/bin/bayesopt image-tag),_DIGESTS=gs://BUCKET/images
# From a trigger on each commit: the same substitutions, with _TAG=$SHORT_SHA.
#
# Where study folders are neither at gs:// nor on a volume, _STAGE=s3 adds what reaches them.
#
# The digests are in _DIGESTS/_TAG/images.json, the file that `make submit IMAGES=...` takes.
#
# With _PYTHONS="3.11 3.12" it makes the images too in which functions of notebooks with these Pythons run. Notebooks
# look for _DIGESTS/_TAG/python-3.11.json: _DIGESTS is PIPELINE_ROOT/images then, and _TAG as `image-tag` prints it.
substitutions:
  _REGION: us-central1
  _REPOSITORY: bayesopt
  _TAG: ${SHORT_SHA}
  _STAGE: image
  _PYTHONS: ""
  _DIGESTS: gs://${PROJECT_ID}-bayesopt/images
  _IMAGES: ${_REGION}-docker.pkg.dev/${PROJECT_ID}/${_REPOSITORY}
options:
  dynamicSubstitutions: true
  logging: CLOUD_LOGGING_ONLY
  machineType: E2_HIGHCPU_8
  env: [DOCKER_BUILDKIT=1]
timeout: 2400s

steps:
  - id: test
    name: python:3.13
    entrypoint: make
    args: [lint, unit]
    # Git reads files of another user only with leave.
    env: [GIT_CONFIG_COUNT=1, GIT_CONFIG_KEY_0=safe.directory, GIT_CONFIG_VALUE_0=/workspace]
    waitFor: ["-"]

  # The tag `cache` is the last image that was pushed; what has not changed since is not built again. It moves, so no
  # pipeline names it.
"""

BUILD = """\
  - id: {step}
    name: gcr.io/cloud-builders/docker
    args:
      - build
      - --tag=${{_IMAGES}}/{step}:${{_TAG}}
      - --tag=${{_IMAGES}}/{step}:cache
      - --cache-from=${{_IMAGES}}/{step}:cache
      - --build-arg=BUILDKIT_INLINE_CACHE=1
      - --build-arg=VERSION=${{_TAG}}
      - --target=${{_STAGE}}
      - --file=images/{step}/Dockerfile
      - images
    waitFor: ["-"]
"""

PYTHONS = r"""
  - id: pythons
    name: gcr.io/cloud-builders/docker
    entrypoint: bash
    args:
      - -euo
      - pipefail
      - -c
      - |
        for python in ${{_PYTHONS}}; do
          docker build --tag "${{_IMAGES}}/python-$$python:${{_TAG}}" - <<END
        {recipe}
        END
        done
    waitFor: [{worker}]

  - id: push-pythons
    name: gcr.io/cloud-builders/docker
    entrypoint: bash
    args:
      - -euo
      - pipefail
      - -c
      - |
        for python in ${{_PYTHONS}}; do
          docker push "${{_IMAGES}}/python-$$python:${{_TAG}}"
        done
    waitFor: [test, pythons, {steps}]
"""

PUSH = """\
  - id: push-{step}
    name: gcr.io/cloud-builders/docker
    args: [push, --all-tags, "${{_IMAGES}}/{step}"]
    waitFor: [test, {steps}]
"""

FOOTER = r"""
  - id: digests
    name: gcr.io/cloud-builders/docker
    entrypoint: bash
    args:
      - -euo
      - pipefail
      - -c
      - |
        digest() {{
          docker image inspect --format '{{{{join .RepoDigests "\n"}}}}' "$$1:${{_TAG}}" | grep --max-count=1 "^$$1@"
        }}
        mkdir -p digests
        separator='{{'
        for step in {steps}; do
          digest=$$(digest "${{_IMAGES}}/$$step")
          printf '%s"%s": "%s"' "$$separator" "$$step" "$$digest"
          separator=', '
        done >digests/images.json
        echo '}}' >>digests/images.json
        cat digests/images.json
        for python in ${{_PYTHONS}}; do
          digest=$$(digest "${{_IMAGES}}/python-$$python")
          separator='{{'
          for step in {steps}; do
            case $$step in
              {evaluate} | {worker}) image=$$digest ;;
              *) image=$$(digest "${{_IMAGES}}/$$step") ;;
            esac
            printf '%s"%s": "%s"' "$$separator" "$$step" "$$image"
            separator=', '
          done >"digests/python-$$python.json"
          echo '}}' >>"digests/python-$$python.json"
        done
    waitFor: [{pushes}, push-pythons]

artifacts:
  objects:
    location: ${{_DIGESTS}}/${{_TAG}}
    paths: [digests/*.json]
"""


def cloudbuild_file() -> str:
    """Return the Cloud Build file: test and build side by side, push when all have passed, write the digests."""
    builds = "".join(BUILD.format(step=step) for step in STEPS)
    pushes = "".join(PUSH.format(step=step, steps=", ".join(STEPS)) for step in STEPS)
    footer = FOOTER.format(
        steps=" ".join(STEPS),
        pushes=", ".join(f"push-{step}" for step in STEPS),
        evaluate=EVALUATE.name,
        worker=WORKER.name,
    )
    python = "$$python"
    recipe = of_python(official(python), python, f"${{_IMAGES}}/{WORKER.name}:${{_TAG}}")
    pythons = PYTHONS.format(
        recipe=recipe.rstrip().replace("\n", "\n        "), worker=WORKER.name, steps=", ".join(STEPS)
    )
    return f"{HEADER}{builds}\n{pushes}{pythons}{footer}"
