"""The runtime goes into any image: without Python, with an old C library, with variables that would break ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.steps import EVALUATE
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.evaluation import run_objective
from kfp_bayesopt.trial.process.output import Output
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt.version import __version__
from kfp_bayesopt_pipeline.preflight.runtimes import PROCESSOR, check_runtime
from tests.builders import a_suggestion, write_folder, write_study
from tests.chain import Chain
from tests.e2e.conftest import REGISTRY, run
from tests.proofs.conftest import WHOLE

pytestmark = pytest.mark.long

SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}
COMMAND = {"command": ["sh", "-c", "echo seen $LD_LIBRARY_PATH; echo acc={x}"], "value": "acc"}
NAMES = iter(range(1000))


@pytest.fixture
def evaluated(images: Path, tmp_path: Path) -> Iterator[Any]:
    """Return a function that builds an image and evaluates a trial with x = 2.5 in it."""
    evaluate = json.loads(images.read_text())[EVALUATE.name]
    built: list[str] = []

    def build_and_evaluate(dockerfile: str, objective: dict[str, Any], **files: Path) -> tuple[dict[str, Any], str]:
        context = tmp_path / "context"
        context.mkdir(exist_ok=True)
        for name, path in files.items():
            shutil.copy(path, context / name)
        text = dockerfile.replace("RUNTIME", f"COPY --from={evaluate} /opt/bayesopt /opt/bayesopt")
        (context / "Dockerfile").write_text(text.replace("EVALUATE", evaluate))
        tag = f"{REGISTRY}/runtime-{next(NAMES)}:test"
        made = run("docker", "build", "--quiet", "--tag", tag, str(context))
        assert made.returncode == 0, made.stderr
        built.append(tag)
        folder = tmp_path / "data"
        study = Study.from_file(str(write_study(folder, space=SPACE, objective=objective)))
        write_folder(folder, study, [a_suggestion(study, 1, {"x": 2.5})])
        ended = run(
            *("docker", "run", "--rm", "--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{folder}:/data"),
            *("--entrypoint", EVALUATE.program, tag, *Chain(f"/data/study/{_digest(folder)}", "/data").evaluate(1)),
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        record: dict[str, Any] = json.loads((folder / "trials" / "000001" / "record-1.json").read_text())
        return record, ended.stdout

    yield build_and_evaluate
    run("docker", "rmi", "--force", *built)


def _digest(folder: Path) -> str:
    """Put the study where an image finds it: in the study folder, so that its objective runs in the working folder."""
    from kfp_bayesopt.folder.study_folder import study_uri

    content = (folder / "study.yaml").read_bytes()
    path = Path(study_uri(str(folder), content))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path.name


def _root(release: str, folder: Path) -> None:
    """Make the root of a Debian from the mirror of this machine."""
    assert shutil.which("debootstrap"), "debootstrap is missing; apt install debootstrap"
    made = run("debootstrap", "--variant=minbase", release, str(folder / "root"))
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]


def static_busybox(folder: Path) -> Path:
    """Return a shell that needs no library: that of this machine, else of Debian's package, which is not installed."""
    own = shutil.which("busybox")
    if own and "not a dynamic executable" in (linked := run("ldd", own)).stdout + linked.stderr:
        return Path(own)
    shell = f"cd '{folder}' && apt-get download busybox-static && dpkg-deb --extract busybox-static_*.deb ."
    got = run("sh", "-c", shell)
    assert got.returncode == 0, f"busybox-static is needed, and could not be fetched: {got.stderr[-500:]}"
    return folder / "bin" / "busybox"


def test_it_runs_without_python_and_without_a_library(evaluated: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    busybox = static_busybox(tmp_path_factory.mktemp("busybox"))
    dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\nWORKDIR /app\nRUNTIME\n"
    record, _ = evaluated(dockerfile, COMMAND, busybox=busybox)
    assert record["values"] == {"value": 2.5, "acc": 2.5}


def test_what_an_image_sets_for_its_own_programs_breaks_none_of_ours_and_reaches_the_objective(evaluated: Any) -> None:
    dockerfile = (
        "FROM python:3.13-slim-trixie\nWORKDIR /app\nRUNTIME\n"
        "RUN mkdir /bad && for name in json click pydantic encodings; do echo 'raise Error' >/bad/$name.py; done\n"
        "ENV LD_PRELOAD=/nowhere.so LD_LIBRARY_PATH=/bad PYTHONHOME=/bad PYTHONPATH=/bad SSL_CERT_FILE=/bad/none.pem\n"
    )
    record, printed = evaluated(dockerfile, COMMAND)
    assert record["values"] == {"value": 2.5, "acc": 2.5}
    assert "seen /bad\n" in printed


def test_any_version_of_anything_can_be_installed_and_any_name_used_on_top_of_ours(evaluated: Any) -> None:
    dockerfile = (
        "FROM EVALUATE\nUSER root\n"
        "RUN pip install --quiet --root-user-action=ignore requests==2.31.0 protobuf==4.25.8 'pydantic<2' click==8.0.4 "
        "'numpy<2.3' && pip check\n"
        "RUN mkdir images objectives kfp_bayesopt && touch images/__init__.py kfp_bayesopt/__init__.py \\\n"
        " && echo 'raise RuntimeError' | tee evaluation.py click.py json.py trial.py >/dev/null \\\n"
        " && echo 'from kfp_bayesopt.mine import f' >main.py \\\n"
        " && printf 'import requests, pydantic, numpy\\ndef f(x):\\n"
        '  assert (requests.__version__, pydantic.VERSION[0]) == ("2.31.0", "1"); return numpy.float64(x)\\n\' '
        ">kfp_bayesopt/mine.py && rm click.py json.py\nUSER 1000:1000\n"
    )
    record, _ = evaluated(dockerfile, {"python": "main:f"})
    assert record["values"] == {"value": 2.5}


FORMS = {
    "echo 2.5": None,
    "echo loss=9 acc=2.5": "acc",
    "echo 'acc: 2.5, loss: 9'": "acc",
    """echo '{{"acc": 2.5}}'""": "acc",
    "echo acc=2.5; echo acc=1": {"source": "printed", "name": "acc", "take": "first"},
    "echo acc=2.5; echo acc=3 >&2": {"source": "printed", "name": "acc", "take": "best"},
    "echo the end is 2.5": {"source": "pattern", "pattern": "the end is (.+)"},
    """echo '{{"a": {{"b": 2.5}}}}' >m.json""": {"source": "file", "path": "m.json", "name": "a.b"},
    """echo '{{"acc": 2.5}}' >$BAYESOPT_TRIAL_FOLDER/m.jsonl""": {"source": "file", "path": "m.jsonl", "name": "acc"},
    "printf 'step,acc\\n1,2.5\\n' >$BAYESOPT_TRIAL_FOLDER/m.csv": {"source": "file", "path": "m.csv", "name": "acc"},
    """mkdir -p $(dirname $CLOUD_ML_HP_METRIC_FILE); echo '{{"acc": "2.5"}}' >$CLOUD_ML_HP_METRIC_FILE""": {
        "source": "hypertune",
        "name": "acc",
    },
}


def test_twelve_forms_of_a_value_are_read_in_a_container_as_in_process(images: Path, tmp_path: Path) -> None:
    """All in one container, each by the program that `docker run` starts."""
    evaluate = json.loads(images.read_text())[EVALUATE.name]
    (tmp_path / "mine.py").write_text("def f(x): return {'acc': x, 'loss': 9}\n")
    objectives: list[dict[str, Any]] = [
        {"command": ["sh", "-c", code, "{x}"], **({"value": value} if value else {})} for code, value in FORMS.items()
    ]
    objectives.append({"python": "mine:f", "value": "acc"})
    assert len(objectives) == 12
    commands = ["cd /data"]
    for number, objective in enumerate(objectives):
        folder = tmp_path / str(number)
        study = Study.from_file(str(write_study(folder, space=SPACE, objective=objective)))
        write_folder(folder, study, [a_suggestion(study, 1, {"x": 2.5})])
        arguments = Chain(f"{number}/study/{_digest(folder)}", str(number)).evaluate(1)
        commands.append(f"{EVALUATE.program} {' '.join(arguments)} >/dev/null")
        with Sessions() as sessions:
            here = run_objective(study, a_suggestion(study, 1, {"x": 2.5}), 1, tmp_path, sessions, Output())
        assert here.value == 2.5, (objective, here.reason)
    mine = ("--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{tmp_path}:/data", "--workdir", "/data")
    ended = run("docker", "run", "--rm", *mine, evaluate, "sh", "-euc", "\n".join(commands))
    assert ended.returncode == 0, ended.stderr
    for number in range(12):
        record = json.loads((tmp_path / str(number) / "trials" / "000001" / "record-1.json").read_text())
        assert record["values"]["value"] == 2.5


def test_an_image_that_cannot_run_a_step_is_told_apart(images: Path, tmp_path: Path) -> None:
    ours = json.loads(images.read_text())
    (tmp_path / "file").touch()

    def problems(dockerfile: str, *options: str) -> list[str]:
        (tmp_path / "Dockerfile").write_text(dockerfile)
        tag = f"{REGISTRY}/checked:test"
        made = run("docker", "build", "--quiet", *options, "--tag", tag, str(tmp_path))
        assert made.returncode == 0, made.stderr
        try:
            return [problem.removeprefix(f"{tag}: ") for problem in check_runtime(tag, EVALUATE.name, PROCESSOR)]
        finally:
            run("docker", "rmi", "--force", tag)

    copy = "COPY --from=REGISTRY/evaluate:TAG /opt/bayesopt /opt/bayesopt"
    from_evaluate = f"FROM scratch\nCOPY --from={ours['evaluate']} /opt/bayesopt/runtime.json /opt/bayesopt/\n"
    assert check_runtime(ours["evaluate"], EVALUATE.name) == []
    assert problems(from_evaluate + "COPY file /bin/sh\n") == []
    assert problems(from_evaluate) == ["has no /bin/sh, which starts the runtime; that of busybox will do"]
    assert problems(f"FROM {ours['init']}\n") == [
        f"its runtime is that of init, not of evaluate; change its Dockerfile: {copy}"
    ]
    assert problems(f"FROM {ours['evaluate']}\nLABEL kfp-bayesopt.runtime=0.0.9\n") == [
        f"its runtime is of version 0.0.9, older than {__version__}; build it again"
    ]
    nothing = f"has no /opt/bayesopt, which runs the trials; add to its Dockerfile: {copy} (docs/images.md)"
    assert problems("FROM scratch\nCOPY file /\n") == [nothing]
    assert problems("FROM scratch\nCOPY file /\n", "--platform", "linux/arm64") == [
        "is for arm64, but amd64 is needed; build it with --platform linux/amd64",
        nothing,
    ]
    assert check_runtime("nobody/has-this:1", EVALUATE.name) == [], "Docker here does not know it"


@pytest.mark.skipif(not WHOLE, reason="`make proofs` makes the roots: half a minute each")
@pytest.mark.parametrize("release", ["bookworm", "bullseye"])
def test_it_runs_on_an_older_debian(evaluated: Any, tmp_path: Path, release: str) -> None:
    """Debian 12, and 11 as long as the mirror has it."""
    _root(release, tmp_path)
    tag = f"{REGISTRY}/{release}:test"
    root = tmp_path / "root"
    packed = subprocess.run(f"tar -C {root} -c . | docker import - {tag}", shell=True, capture_output=True, text=True)
    assert packed.returncode == 0, packed.stderr
    try:
        record, _ = evaluated(f"FROM {tag}\nWORKDIR /app\nRUNTIME\n", COMMAND)
    finally:
        run("docker", "rmi", "--force", tag)
    assert record["values"] == {"value": 2.5, "acc": 2.5}
