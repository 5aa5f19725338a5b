#!/usr/bin/env bash
# Sets up a project for studies on Vertex:
#
#   bash docs/vertex-setup.sh PROJECT REGION [BUCKET] [OPTION…]
#
#   --kms-key KEY            objects, images and jobs are encrypted with this key of Cloud KMS (CMEK):
#                            projects/P/locations/REGION/keyRings/RING/cryptoKeys/NAME
#   --lifecycle              logs and reports of studies are deleted after 90 days (docs/lifecycle.json)
#   --budget AMOUNT          a mail at 50, 90 and 100 % of so much a month, in the currency of the account
#   --billing-account ID     the billing account of the project; --budget needs it
#   --perimeter NAME         the project goes into this service perimeter (VPC-SC)
#   --access-policy ID       the access policy of the organisation; --perimeter needs it
#
# A bucket, a repository for our images and one for those of studies, and three service accounts with least rights: one
# that the steps run as, one that builds our images, and one that builds those of studies. Whoever runs it, an owner of
# the project, can submit studies afterwards. What is there already stays: after it broke anywhere, run it again.
set -euo pipefail
usage="usage: bash docs/vertex-setup.sh PROJECT REGION [BUCKET] [--kms-key KEY] [--lifecycle] [--budget AMOUNT --billing-account ID] [--perimeter NAME --access-policy ID]"
fail() {
  echo "$*" >&2
  exit 2
}

names=() key='' lifecycle='' budget='' billing='' perimeter='' policy=''
while [ $# -gt 0 ]; do
  case $1 in
  --lifecycle) lifecycle=1 ;;
  --kms-key | --budget | --billing-account | --perimeter | --access-policy)
    [ $# -gt 1 ] || fail "$1 needs a value; $usage"
    case $1 in
    --kms-key) key=$2 ;;
    --budget) budget=$2 ;;
    --billing-account) billing=$2 ;;
    --perimeter) perimeter=$2 ;;
    --access-policy) policy=$2 ;;
    esac
    shift
    ;;
  -*) fail "unknown option $1; $usage" ;;
  *) names+=("$1") ;;
  esac
  shift
done
[ ${#names[@]} -ge 2 ] && [ ${#names[@]} -le 3 ] || fail "$usage"
[ -z "$budget" ] || [ -n "$billing" ] || fail "--budget needs --billing-account; \`gcloud billing accounts list\` shows it"
[ -z "$perimeter" ] || [ -n "$policy" ] || fail "--perimeter needs --access-policy"

project=${names[0]}
region=${names[1]}
bucket=gs://${names[2]:-$project-bayesopt}
steps=bayesopt-steps@$project.iam.gserviceaccount.com
builder=bayesopt-builder@$project.iam.gserviceaccount.com
studies=bayesopt-studies@$project.iam.gserviceaccount.com
person=user:$(gcloud config get account)
here=$(cd "$(dirname "$0")" && pwd)

# Whether something is there; what it prints otherwise is of no use.
there() { gcloud "$@" >/dev/null 2>&1; }

account() { # NAME WHAT-IT-IS-FOR
  there iam service-accounts describe "$1@$project.iam.gserviceaccount.com" --project "$project" ||
    gcloud iam service-accounts create "$1" --project "$project" --display-name "$2"
}

repository() { # NAME
  there artifacts repositories describe "$1" --project "$project" --location "$region" ||
    gcloud artifacts repositories create "$1" --project "$project" --location "$region" --repository-format docker \
      ${key:+--kms-key "$key"}
}

may_in_bucket() { # ACCOUNT ROLE
  gcloud storage buckets add-iam-policy-binding "$bucket" --member "serviceAccount:$1" --role "$2"
}

may_in_repository() { # REPOSITORY ACCOUNT ROLE
  gcloud artifacts repositories add-iam-policy-binding "$1" --project "$project" --location "$region" \
    --member "serviceAccount:$2" --role "$3"
}

may_in_project() { # ACCOUNT ROLE
  gcloud projects add-iam-policy-binding "$project" --member "serviceAccount:$1" --role "$2" --condition None
}

gcloud services enable --project "$project" \
  aiplatform.googleapis.com artifactregistry.googleapis.com cloudbuild.googleapis.com iam.googleapis.com storage.googleapis.com

# Who reads and writes with the key: Cloud Storage, Artifact Registry and Vertex, each by its own account in the project.
if [ -n "$key" ]; then
  number=$(gcloud projects describe "$project" --format 'value(projectNumber)')
  for agent in gs-project-accounts.iam.gserviceaccount.com gcp-sa-artifactregistry.iam.gserviceaccount.com \
    gcp-sa-aiplatform.iam.gserviceaccount.com gcp-sa-aiplatform-cc.iam.gserviceaccount.com; do
    gcloud kms keys add-iam-policy-binding "$key" --member "serviceAccount:service-$number@$agent" \
      --role roles/cloudkms.cryptoKeyEncrypterDecrypter
  done
fi

# In the region of the pipeline, with access by role alone.
there storage buckets describe "$bucket" ||
  gcloud storage buckets create "$bucket" --project "$project" --location "$region" \
    --uniform-bucket-level-access --public-access-prevention ${key:+--default-encryption-key "$key"}
[ -z "$lifecycle" ] || gcloud storage buckets update "$bucket" --lifecycle-file "$here/lifecycle.json"
repository bayesopt
repository bayesopt-studies

# The steps: read and write objects of this bucket, pull images of both repositories, tell Vertex what they did.
account bayesopt-steps "Steps of studies"
may_in_bucket "$steps" roles/storage.objectUser
may_in_repository bayesopt "$steps" roles/artifactregistry.reader
may_in_repository bayesopt-studies "$steps" roles/artifactregistry.reader
may_in_project "$steps" roles/aiplatform.user
# With a machine_type the steps submit custom jobs, which run as the same account.
gcloud iam service-accounts add-iam-policy-binding "$steps" --project "$project" --member "serviceAccount:$steps" \
  --role roles/iam.serviceAccountUser

# The builder: push images to our repository, read sources from and write digests to this bucket, write logs.
account bayesopt-builder "Builds images of studies"
may_in_bucket "$builder" roles/storage.objectUser
may_in_repository bayesopt "$builder" roles/artifactregistry.writer
may_in_project "$builder" roles/logging.logWriter

# What builds the images of studies runs code of whoever writes one: it can read our images and its sources, and write
# its own repository and logs; neither our images nor the records of any study.
account bayesopt-studies "Builds images with code of people"
may_in_bucket "$studies" roles/storage.objectViewer
may_in_repository bayesopt "$studies" roles/artifactregistry.reader
may_in_repository bayesopt-studies "$studies" roles/artifactregistry.writer
may_in_project "$studies" roles/logging.logWriter

# Whoever submits studies or builds: run jobs as these accounts, and nothing else as them.
for each in "$steps" "$builder" "$studies"; do
  gcloud iam service-accounts add-iam-policy-binding "$each" --project "$project" --member "$person" \
    --role roles/iam.serviceAccountUser
done

if [ -n "$budget" ]; then
  name="bayesopt $project"
  known=$(gcloud billing budgets list --billing-account "$billing" --filter "displayName='$name'" --format 'value(name)')
  [ -n "$known" ] || gcloud billing budgets create --billing-account "$billing" --display-name "$name" \
    --budget-amount "$budget" --filter-projects "projects/$project" \
    --threshold-rule percent=0.5 --threshold-rule percent=0.9 --threshold-rule percent=1.0
fi

if [ -n "$perimeter" ]; then
  number=$(gcloud projects describe "$project" --format 'value(projectNumber)')
  gcloud access-context-manager perimeters update "$perimeter" --policy "$policy" --add-resources "projects/$number"
fi

# Settings for pushing and submitting; whatever .env has already stays.
setting() { # NAME VALUE
  grep -qs "^$1=" .env || echo "$1=$2" >>.env
}
setting GOOGLE_CLOUD_PROJECT "$project"
setting GOOGLE_CLOUD_REGION "$region"
setting PIPELINE_ROOT "$bucket/runs"
setting SERVICE_ACCOUNT "$steps"
setting REGISTRY "$region-docker.pkg.dev/${project//://}/bayesopt"
[ -z "$key" ] || setting VERTEX_ENCRYPTION_KEY "$key"
echo "the settings are in .env; next: gcloud auth configure-docker $region-docker.pkg.dev, then bayesopt push and submit;"
echo "or, to build in the cloud: make build-cloud GOOGLE_CLOUD_PROJECT=$project GOOGLE_CLOUD_REGION=$region"
