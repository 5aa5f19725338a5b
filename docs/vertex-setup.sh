#!/usr/bin/env bash
# Sets up a project for studies on Vertex: bash docs/vertex-setup.sh PROJECT REGION [BUCKET]
#
# A bucket, a repository for our images and one for those of studies, and three service accounts with least rights: one
# that the steps run as, one that builds our images, and one that builds those of studies. Whoever runs it, an owner of the project, can submit studies afterwards.
set -euo pipefail
project=${1:?usage: bash docs/vertex-setup.sh PROJECT REGION [BUCKET]}
region=${2:?usage: bash docs/vertex-setup.sh PROJECT REGION [BUCKET]}
bucket=gs://${3:-$project-bayesopt}
repository=bayesopt
steps=bayesopt-steps@$project.iam.gserviceaccount.com
builder=bayesopt-builder@$project.iam.gserviceaccount.com
studies=bayesopt-studies@$project.iam.gserviceaccount.com
person=user:$(gcloud config get account)

gcloud services enable --project "$project" \
  aiplatform.googleapis.com artifactregistry.googleapis.com cloudbuild.googleapis.com iam.googleapis.com storage.googleapis.com

# In the region of the pipeline, with access by role alone.
gcloud storage buckets create "$bucket" --project "$project" --location "$region" \
  --uniform-bucket-level-access --public-access-prevention
gcloud artifacts repositories create "$repository" --project "$project" --location "$region" --repository-format docker
gcloud artifacts repositories create bayesopt-studies --project "$project" --location "$region" --repository-format docker

# The steps: read and write objects of this bucket, pull images of this repository, tell Vertex what they did.
gcloud iam service-accounts create bayesopt-steps --project "$project" --display-name "Steps of studies"
gcloud storage buckets add-iam-policy-binding "$bucket" --member "serviceAccount:$steps" --role roles/storage.objectUser
gcloud artifacts repositories add-iam-policy-binding "$repository" --project "$project" --location "$region" \
  --member "serviceAccount:$steps" --role roles/artifactregistry.reader
gcloud artifacts repositories add-iam-policy-binding bayesopt-studies --project "$project" --location "$region" \
  --member "serviceAccount:$steps" --role roles/artifactregistry.reader
gcloud projects add-iam-policy-binding "$project" --member "serviceAccount:$steps" --role roles/aiplatform.user --condition None

# The builder: push images to this repository, read sources from and write digests to this bucket, write logs.
gcloud iam service-accounts create bayesopt-builder --project "$project" --display-name "Builds images of studies"
gcloud storage buckets add-iam-policy-binding "$bucket" --member "serviceAccount:$builder" --role roles/storage.objectUser
gcloud artifacts repositories add-iam-policy-binding "$repository" --project "$project" --location "$region" \
  --member "serviceAccount:$builder" --role roles/artifactregistry.writer
gcloud projects add-iam-policy-binding "$project" --member "serviceAccount:$builder" --role roles/logging.logWriter --condition None

# What builds the images of studies runs code of whoever writes one: it can read our images and its sources, and write its
# own repository and logs; neither our images nor the records of any study.
gcloud iam service-accounts create bayesopt-studies --project "$project" --display-name "Builds images with code of people"
gcloud storage buckets add-iam-policy-binding "$bucket" --member "serviceAccount:$studies" --role roles/storage.objectViewer
gcloud artifacts repositories add-iam-policy-binding "$repository" --project "$project" --location "$region" \
  --member "serviceAccount:$studies" --role roles/artifactregistry.reader
gcloud artifacts repositories add-iam-policy-binding bayesopt-studies --project "$project" --location "$region" \
  --member "serviceAccount:$studies" --role roles/artifactregistry.writer
gcloud projects add-iam-policy-binding "$project" --member "serviceAccount:$studies" --role roles/logging.logWriter --condition None

# Whoever submits studies or builds: run jobs as these accounts, and nothing else as them.
gcloud iam service-accounts add-iam-policy-binding "$steps" --project "$project" --member "$person" --role roles/iam.serviceAccountUser
gcloud iam service-accounts add-iam-policy-binding "$builder" --project "$project" --member "$person" --role roles/iam.serviceAccountUser
gcloud iam service-accounts add-iam-policy-binding "$studies" --project "$project" --member "$person" --role roles/iam.serviceAccountUser

# Settings for `make submit`; whatever .env has already stays.
cat >>.env <<SETTINGS
GOOGLE_CLOUD_PROJECT=$project
GOOGLE_CLOUD_REGION=$region
PIPELINE_ROOT=$bucket/runs
SERVICE_ACCOUNT=$steps
SETTINGS
echo "the settings are in .env; next: make build-cloud GOOGLE_CLOUD_PROJECT=$project GOOGLE_CLOUD_REGION=$region"
