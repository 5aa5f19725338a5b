"""Images for study folders at a store beside Google's, and whole studies in them, at a store of a private authority."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.folder.study_folder import study_uri
from kfp_bayesopt.private import CA_BUNDLE, PREFIX
from kfp_bayesopt.runtime import RUNTIME
from kfp_bayesopt.steps import EVALUATE, INIT, REPORT, STEPS, UPDATE, WORKER, Step
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.objects.s3 import s3
from kfp_bayesopt_pipeline.images import Images, load_images
from kfp_bayesopt_pipeline.preflight.registry import labels_of
from kfp_bayesopt_pipeline.preflight.runtimes import check_runtimes
from tests.builders import a_study, study_text
from tests.certificates import Authority, an_authority
from tests.chain import Chain
from tests.e2e.conftest import REGISTRY, make, run
from tests.e2e.test_images import LARGEST
from tests.e2e.test_runtime import static_busybox
from tests.fake_s3 import fake_s3

pytestmark = pytest.mark.long

ROOT = "s3://bucket/mine"
MB_MORE = 15
SEEN = "env | grep -c ^BAYESOPT_STORE_; env | grep -c ^BAYESOPT_CA_BUNDLE; echo acc={x}"
ASKED: dict[str, Any] = {
    "space": {"x": {"type": "real", "low": 0.0, "high": 9.0}},
    "objective": {"command": ["sh", "-c", SEEN], "value": "acc"},
    "optimizer": {"engine": "random"},
    "iterations": 1,
    "parallel_trials": 2,
}


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """Return the images of the steps as `make build` makes them where PIPELINE_ROOT is at S3."""
    path = tmp_path_factory.mktemp("others") / "images.json"
    built = make("build", f"REGISTRY={REGISTRY}", "TAG=others", f"IMAGES={path}", "PIPELINE_ROOT=s3://bucket/runs")
    assert built.returncode == 0, built.stderr
    yield load_images(path)
    run("docker", "rmi", "--force", *(f"{REGISTRY}/{step}:others" for step in STEPS))


@pytest.fixture(scope="module")
def from_nothing(others: Images, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return images that have a shell and our runtime alone, and no certificate: that of workers, and that for gs://."""
    context = tmp_path_factory.mktemp("context")
    busybox = static_busybox(context)
    busybox.rename(context / "busybox")
    made = {}
    for name, source in {"other": others[WORKER.name], "google": json.loads(images.read_text())[WORKER.name]}.items():
        made[name] = f"{REGISTRY}/from-nothing-{name}:test"
        copied = "".join(f"COPY busybox /bin/{each}\n" for each in ("sh", "env", "grep"))
        runtime = f"COPY --from={source} {RUNTIME} {RUNTIME}\n"
        (context / "Dockerfile").write_text(f"FROM scratch\n{copied}WORKDIR /app\n{runtime}")
        ended = run("docker", "build", "--quiet", "--tag", made[name], str(context))
        assert ended.returncode == 0, ended.stderr
    yield made
    run("docker", "rmi", "--force", *made.values())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    folder.chmod(0o755)
    return an_authority(folder)


@pytest.fixture
def settings(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Run a store of that authority; set what reaches it here, and return it."""
    with fake_s3(authority=authority) as address:
        found = {f"{PREFIX}ENDPOINT": address, f"{PREFIX}ACCESS_KEY": "key", f"{PREFIX}SECRET_KEY": "secret"}
        found[CA_BUNDLE] = str(authority.bundle)
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        s3.forget()
        yield found
    s3.forget()


def started(image: str, step: Step, arguments: list[str], settings: dict[str, str]) -> tuple[int, str]:
    """Run a step in a container that reaches this machine; return how it ended, and what it said of that."""
    given = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
    mounted = ["--volume", f"{settings[CA_BUNDLE]}:{settings[CA_BUNDLE]}:ro"] if CA_BUNDLE in settings else []
    ended = run(
        *("docker", "run", "--rm", "--network", "host", "--user", f"{os.getuid()}:{os.getgid()}", *given, *mounted),
        *("--entrypoint", step.program, image, *arguments),
    )
    return ended.returncode, ended.stderr


def begun(**asked: Any) -> Chain:
    """Put a study into its folder, and return its steps."""
    content = study_text(**{**ASKED, **asked})
    study = study_uri(ROOT, content)
    storage.create(study, content)
    return Chain(study, ROOT)


def check_ended(chain: Chain) -> None:
    ledger = storage.read(f"{chain.root}/trials.jsonl", 1_000_000).decode().splitlines()
    assert [json.loads(line)["state"] for line in ledger] == ["completed"] * 2
    for trial in (1, 2):
        log = storage.read(f"{chain.root}/trials/{trial:06}/log-1.txt", 10_000).decode()
        assert log.startswith("0\n0\nacc="), "no objective sees what reaches the store"


@pytest.mark.parametrize("step", STEPS)
def test_an_image_for_other_stores_is_that_for_google_with_one_layer_more(
    images: Path, others: Images, step: str
) -> None:
    google, other = (
        json.loads(run("docker", "image", "inspect", image).stdout)[0]
        for image in (json.loads(images.read_text())[step], others[step])
    )
    assert other["RootFS"]["Layers"][:-1] == google["RootFS"]["Layers"]
    assert 0 < other["Size"] - google["Size"] < MB_MORE * 1e6
    shown = run("docker", "run", "--rm", others[step], "du", "-sb", RUNTIME)
    assert int(shown.stdout.split()[0]) / 1e6 <= LARGEST[STEPS[step].lock]
    more = {"kfp-bayesopt.stores": "s3"}
    assert labels_of(json.loads(images.read_text())[step]) == google["Config"]["Labels"], "as its registry tells"
    assert other["Config"] == google["Config"] | {"Labels": google["Config"]["Labels"] | more}


def test_an_image_that_cannot_reach_a_root_is_told_from_one_that_can(
    images: Path, others: Images, from_nothing: dict[str, str]
) -> None:
    google = load_images(images)
    workers: dict[str, Any] = {"schedule": "asynchronous", "optimizer": {"engine": "gp"}}
    study = a_study(**workers, steps={"evaluate": {"image": from_nothing["other"]}})
    assert check_runtimes(study, others, root=ROOT) == check_runtimes(study, google, root="gs://bucket/runs") == []
    (said,) = check_runtimes(study, google, root=ROOT)
    assert said.startswith(f"{google[INIT.name]}, {google[REPORT.name]}: cannot reach s3:// folders; `")
    study = a_study(**workers, steps={"evaluate": {"image": from_nothing["google"]}})
    (said,) = check_runtimes(study, others, root=ROOT)
    assert said.startswith(f"{from_nothing['google']}: cannot reach s3:// folders; `")


def test_a_study_runs_in_batches_at_a_store_of_a_private_authority(others: Images, settings: dict[str, str]) -> None:
    chain = begun()
    for step, arguments in (
        (INIT, chain.init()),
        (EVALUATE, chain.evaluate(1)),
        (EVALUATE, chain.evaluate(2)),
        (UPDATE, chain.update(range(1, 3))),
        (REPORT, chain.report()),
    ):
        status, said = started(others[step.name], step, arguments, settings)
        assert status == 0, said
    check_ended(chain)


def test_a_worker_in_an_image_from_nothing_reaches_it_too_and_says_what_is_missing(
    others: Images, from_nothing: dict[str, str], settings: dict[str, str]
) -> None:
    chain = begun(schedule="asynchronous", optimizer={"engine": "gp"})
    untrusting = {name: value for name, value in settings.items() if name != CA_BUNDLE}
    status, said = started(from_nothing["other"], WORKER, chain.worker(1), untrusting)
    assert (status, said.count("\n")) == (1, 1)
    assert said.endswith(
        ": its certificate is of an authority that is not trusted here; set BAYESOPT_CA_BUNDLE to a file with the "
        "certificate of that authority (PEM)\n"
    )
    assert started(from_nothing["google"], WORKER, chain.worker(1), settings) == (
        1,
        "Error: s3://… needs a package that this image lacks: `bayesopt build --pipeline-root s3://BUCKET/PREFIX` "
        "makes images with it\n",
    )
    for image, step, arguments in (
        (others[INIT.name], INIT, chain.init()),
        (from_nothing["other"], WORKER, chain.worker(1)),
        (others[REPORT.name], REPORT, chain.report()),
    ):
        status, said = started(image, step, arguments, settings)
        assert status == 0, said
    check_ended(chain)
