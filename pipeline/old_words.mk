# For one release more, commands of `bayesopt` that were words of make, which says what to type instead.
OLD_WORDS := new check plan compose worker status logs best verify report watch results cancel export import convert studies \
  jobs delete pull push-folder
FOLDER  := OUT ROOT CONFIG
LOOKING := $(SERVICE) OUT ROOT
TAKES_new         := INTO
TAKES_check       := IN DATA
TAKES_plan        := TARGET OUT ROOT CONFIG TRIAL_MINUTES PRICES
TAKES_compose     := IMAGES OUT
TAKES_worker      := OUT ROOT JOBS
TAKES_status      := $(LOOKING)
TAKES_logs        := TRIAL $(LOOKING)
TAKES_best        := TRIAL MODEL FORMAT INTO $(LOOKING)
TAKES_verify      := $(LOOKING)
TAKES_report      := FULL TO $(LOOKING)
TAKES_watch       := PORT OPEN $(LOOKING)
TAKES_results     := $(SERVICE)
TAKES_cancel      := $(SERVICE)
TAKES_export      := FORMAT TO $(LOOKING)
TAKES_import      := FROM OUT ROOT
TAKES_studies     := OUT CONFIG
TAKES_jobs        := $(FOLDER)
TAKES_delete      := $(FOLDER) ALL ENDED
TAKES_pull        := $(FOLDER)
TAKES_push-folder := $(FOLDER)

# What is called otherwise, is of something else than a study, or cannot do without a variable.
NAME_worker      := run
NAME_pull        := download
NAME_push-folder := upload
OF_new           = "$(NAME)"
OF_worker        = "$(STUDY)" --join
OF_results       = "$(JOB)"
OF_cancel        = "$(JOB)"
OF_convert       = "$(or $(FROM),$(STUDY))" $(if $(FROM),,--to "$(or $(FORMAT),katib)")
OF_studies       =
$(foreach each,status logs best verify report watch export,$(eval OF_$(each) = $$(if $$(JOB),$$(OPTION_JOB),"$$(STUDY)")))
USAGE_new        := NAME=my-study
USAGE_worker     := ROOT=gs://… STUDY=path
USAGE_results    := JOB=id TARGET=vertex|kfp
USAGE_cancel     := JOB=id TARGET=vertex|kfp

# .venv-cloud is for containers and services, buckets, Parquet and Optuna. What looks at a study without OUT or ROOT looks
# below PIPELINE_ROOT.
BELOW_ROOT  := studies pull push-folder $(if $(OUT)$(ROOT),,plan status logs best verify report watch export import jobs delete)
ROOT_IS_SET := $(or $(PIPELINE_ROOT),$(shell grep -s '^[^\#]*PIPELINE_ROOT=.' .env))
OTHER_FORMAT = $(filter parquet optuna %.parquet %.db %.sqlite3 sqlite:%,$(FORMAT) $(FROM))
IN_CLOUD     = $(or $(filter compose results cancel,$(1)),$(findstring ://,$(OUT)$(ROOT)$(FROM)),$(JOB)$(IN),$(OTHER_FORMAT),$\
  $(if $(filter $(BELOW_ROOT),$(1)),$(ROOT_IS_SET)))
$(foreach each,$(OLD_WORDS),$(eval $(each): $(if $(call IN_CLOUD,$(each)),.venv-cloud,.venv)/installed))

.PHONY: $(OLD_WORDS)
$(OLD_WORDS): export INSTEAD = make $@ is gone in the next release; type: $(CALL)
$(OLD_WORDS):
	@$(if $(USAGE_$@),$(if $($(call left,$(USAGE_$@))),,echo "usage: make $@ $(USAGE_$@)" >&2; exit 2))
	@$(LOOK_HERE)
	@echo "$$INSTEAD" >&2
	@$(CALL)
