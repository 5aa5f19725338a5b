"""The ways out that messages name: an option, a variable or a command, in the words of each door.

A person comes in by make, by the command line or from Python, and reads `FRESH=1`, `--fresh` or `fresh=True`. A message
names the hint, `f"start again with {hints.FRESH}"`, and has the words of the door from then on, also in a file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

Door = Literal["make", "command", "python"]
DOORS: tuple[Door, ...] = get_args(Door)
PIPELINE = "pipeline"
"""A door without words of its own but for what the inputs of a component say; else it has those of commands."""

VARIABLE = "BAYESOPT_DOOR"
"""Of the environment: the door that a person came in by, so that the processes that work for them know it too."""


def door() -> Door:
    """Return the door that a person came in by: Python, unless make or the command line has said otherwise."""
    return next((door for door in DOORS if door == os.environ.get(VARIABLE)), "python")


def comes_by_pipeline() -> None:
    """Say that a person came in by the inputs of a component."""
    os.environ[VARIABLE] = PIPELINE


def comes_by(door: Door) -> None:
    """Say which door a person came in by, unless that is known."""
    if os.environ.get(VARIABLE) not in DOORS:
        os.environ[VARIABLE] = door


@dataclass(frozen=True)
class Hint:
    """A way out, in the words of each door; called with what stands in braces, those words are filled in.

    Attributes:
        make: A variable or a target of the Makefile.
        command: An option of the command line, or a whole command.
        python: An argument of a function, or a whole command where there is none.
        pipeline: An input of a component, where there is one for it.
    """

    make: str
    command: str
    python: str
    pipeline: str | None = None

    def __str__(self) -> str:
        if os.environ.get(VARIABLE) == PIPELINE:
            return self.pipeline or self.command
        words: str = getattr(self, door())
        return words

    def __call__(self, **values: object) -> Hint:
        """Return it with values in the place of what stands in braces."""
        filled = {name: words and words.format(**values) for name, words in vars(self).items()}
        return Hint(**filled)

    def within(self, before: str, after: str) -> Hint:
        """Return a part of a message that is written down before it is known who reads it."""
        return Hint(*(f"{before}{getattr(self, each)}{after}" for each in DOORS))


def _command(make: str, command: str) -> Hint:
    """Return a command, which a person who works in Python has at hand too."""
    return Hint(f"make {make}", f"bayesopt {command}", f"bayesopt {command}")


# How a study goes on.
FRESH = Hint("FRESH=1", "--fresh", "fresh=True", "going_on: fresh")
KEEP = Hint("KEEP=1", "--keep", "keep=True")
SAME_CODE = Hint("CODE=same", "--same-code", "same_code=True", "going_on: same-code")
RETRY_FAILED = Hint("RETRY_FAILED=1", "--retry-failed", "retry_failed=True", "going_on: retry-failed")
ENDED = Hint("ENDED={job}", "--ended {job}", "ended={job!r}", "going_on: ended={job}")
JOIN = Hint("JOIN=1", "--join", "join=True")
STARTS_OVER = Hint("--fresh (make: FRESH=1)", "--fresh", "fresh=True")
JOBS = Hint("JOBS={jobs}", "--jobs {jobs}", "jobs={jobs}")

# Where things are, and which.
DATA = Hint("DATA=", "--data", "data=", "its input data")
ROOT = Hint("ROOT", "--root", "root")
ANOTHER_FOLDER = Hint("another folder", "another folder", "another name=")
FOLDER = Hint("--out or --root", "--out or --root", "root")
TO = Hint("TO=file", "--to file", 'to="file"')
PAGE_TO = Hint("TO=FILE (--to FILE)", "--to FILE", 'to="FILE"')
URI = Hint("FLAGS='--uri ADDRESS'", "--uri ADDRESS", "--uri ADDRESS")
INTO = Hint("INTO=folder", "--into folder", 'into="folder"')
ONE_TRIAL = Hint("TRIAL=", "--trial", "trial=")
TRIAL = Hint("TRIAL={trial}", "--trial {trial}", "trial={trial}")
TRIAL_MINUTES = Hint("TRIAL_MINUTES", "--trial-minutes", "trial_minutes")
GIVE_TRIAL_MINUTES = Hint("TRIAL_MINUTES=", "--trial-minutes", "trial_minutes=")
LABEL = Hint("--label", "--label", "labels")
SETTING = Hint("{variable}=, or set it", "{option}, or set {variable}", "{variable}")
RUN_NAME = Hint("--run-name", "--run-name", "run_name")

# Images.
IN_IMAGE = Hint("IN=image", "--in image", "--in image")
IMAGE_BUILD = Hint(*['image="build"'] * 3)  # of `tune` alone
ALLOW_SECRETS = Hint("FLAGS=--allow-secrets", "--allow-secrets", "allow_secrets=True")
PIP_CONF = Hint("PIP_CONF=", "--pip-conf", "pip_conf=")
REGISTRY = Hint("REGISTRY=HOST/PROJECT/REPOSITORY", *["--registry HOST/PROJECT/REPOSITORY"] * 2)
BUILD = _command("build", "build")
PUSH = _command("push", "push")
PUSH_TO = _command("push REGISTRY=HOST/PROJECT/REPOSITORY", "push --registry HOST/PROJECT/REPOSITORY")
BUILD_FOR = _command("build PIPELINE_ROOT={root}", "build --pipeline-root {root}")
PUSH_FOR = _command("push STUDY={study} PIPELINE_ROOT={root}", "push {study} --pipeline-root {root}")
PYTHON = Hint("--python", "--python", "--python")
PYTHON_IMAGE = Hint("PYTHON_IMAGE", "--python-image", "--python-image")
ONLY = Hint("--only", "--only", "--only")
BUILD_PYTHON = _command('build FLAGS="--python {python}"', "build --python {python}")
PUSH_PYTHON = _command('build FLAGS="--python {python} --push"', "build --python {python} --push")
BUILD_STUDY = _command("build STUDY={folder}", "build {folder}")
PUSH_STUDY = _command("push STUDY={folder}", "push {folder}")
PUSH_STUDY_TO = _command(
    "push STUDY={folder} REGISTRY=HOST/PROJECT/REPOSITORY", "push {folder} --registry HOST/PROJECT/REPOSITORY"
)

# Commands about a study.
NEW = _command("new NAME=my-study", "new my-study")
CHECK = _command("check", "check")
CHECK_STUDY = _command("check STUDY={folder}", "check {folder}")
RUN_STUDY = _command("run STUDY={folder}", "run {folder}")
PLAN = _command("plan", "plan")
PLAN_WITH_MINUTES = _command("plan TRIAL_MINUTES=5", "plan --trial-minutes 5")
JOBS_OF = _command("jobs STUDY={study}", "jobs {study}")
SUBMIT = _command("submit", "submit")
REPORT = _command("report", "report")
EXPORT = _command("export TO={name}", "export --to {name}")
IMPORT = _command("import FROM=table.csv", "import --from table.csv")
VERIFY = _command("verify", "verify")
LOGS = _command("logs", "logs")
BEST_AS_FLAGS = _command("best TRIAL={trial} FORMAT=flags", "best --trial {trial} --format flags")

# Commands about a job.
STATUS = _command("status TARGET={target} JOB={job}", "status {job} --target {target}")
CANCEL = _command("cancel TARGET={target} JOB={job}", "cancel {job} --target {target}")
RESULTS = _command("results TARGET={target} JOB={job}", "results {job} --target {target}")

# Packages that only some uses need. In the checkout an environment has all of them.
INSTALL = Hint(
    "`make .venv-cloud/installed` sets them up for .venv-cloud/bin/bayesopt",
    *['pip install "kfp-bayesopt[{extra}]"'] * 2,
)
