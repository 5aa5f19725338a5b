"""A study of a script runs elsewhere: what is found by itself, what is sent, and what is said where something lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.folder.jobs import end_of, list_jobs
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.private import ENDPOINTS
from kfp_bayesopt.session.lines import Lines
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.session.view import View
from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.objects.s3 import minio
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.building.check import note_seconds
from kfp_bayesopt_pipeline.elsewhere.running import estimate_of, find_root, run_elsewhere, stop_elsewhere
from kfp_bayesopt_pipeline.images import document_of
from kfp_bayesopt_pipeline.places import TARGETS, load_target
from kfp_bayesopt_pipeline.places.protocol import Options
from kfp_bayesopt_pipeline.places.settings import find_settings
from kfp_bayesopt_pipeline.preflight.submission import check_submission
from tests.builders import BRANIN_SPACE
from tests.kfp_bayesopt_pipeline.elsewhere.conftest import PYTHON
from tests.kfp_stand_in import KfpStandIn
from tests.vertex_stand_in import OF_CLIENTS, VertexStandIn

pytestmark = [*OF_CLIENTS, pytest.mark.filterwarnings("ignore")]  # of the client libraries, in their own code


def sent(study: Study, on: str, **given: Any) -> str:
    """Send a study without waiting for it, and return its folder."""
    usual = {"root": None, "going_on": GoingOn(), "image": None, "data": "", "max_cost": None, "wait": False}
    return run_elsewhere(study, on, **{**usual, "view": View(), **given})


def images_sent(job: dict[str, Any]) -> set[str]:
    """Return the images that a job runs."""
    return {each["container"]["image"] for each in job["pipelineSpec"]["deploymentSpec"]["executors"].values()}


def test_a_function_goes_to_vertex_in_the_image_of_its_python(
    study: Study, vertex: VertexStandIn, images: dict[str, str], bucket: str
) -> None:
    said: list[str] = []
    root = sent(study, "vertex", view=Lines(said.append))
    ((job, taken),) = vertex.jobs.items()
    assert root == f"{bucket}/runs/studies/cell/{study.fingerprint}/0001"
    assert taken["runtimeConfig"]["parameterValues"] == {"root": root, "job": job}
    assert images["trials"] in images_sent(taken)
    assert images["evaluate"] not in images_sent(taken)
    assert said[-1] == f"study folder {root}"
    function = study.objective.function
    assert function is not None
    assert study_folder(root).function == study.carried
    (opened,) = list_jobs(root)
    assert opened.code == f"function:sha256:{function.code}"
    assert find_root("cell", "vertex") == root


def test_an_image_of_ones_own_runs_the_trials_alone(
    study: Study, vertex: VertexStandIn, images: dict[str, str]
) -> None:
    mine = images["trials"].replace("python@", "mine@")
    sent(study, "vertex", image=mine)
    (job,) = vertex.jobs.values()
    assert mine in images_sent(job)
    assert images["trials"] not in images_sent(job)
    assert images["report"] in images_sent(job)


@pytest.mark.usefixtures("images")
def test_an_image_that_moves_or_is_named_twice_is_refused(study: Study, vertex: VertexStandIn) -> None:
    with pytest.raises(UserError, match="image: expected an image with a digest or with a tag that never moves"):
        sent(study, "vertex", image="mine:latest")
    machines = study.steps.evaluate.model_copy(update={"image": "mine:1"})
    named = study.model_copy(update={"steps": study.steps.model_copy(update={"evaluate": machines})})
    with pytest.raises(UserError, match=r"image: the study names its own, mine:1 \(steps.evaluate.image\); leave one"):
        sent(named, "vertex", image="mine:2")
    assert not vertex.jobs


def test_a_command_runs_in_the_images_that_were_pushed_for_it(
    vertex: VertexStandIn, images: dict[str, str], here: Path
) -> None:
    study = Study(name="words", objective=["expr", "{x1}", "{x2}"], space=BRANIN_SPACE, trials=2, parallel_trials=2)
    with pytest.raises(UserError, match="file not found; it names the image of each step, and `bayesopt build`"):
        sent(study, "vertex")
    assert not vertex.jobs
    steps = {step: images[step] for step in STEPS}
    storage.replace(str(here / "out/images.json"), json.dumps(steps).encode())
    sent(study, "vertex")
    (first,) = vertex.jobs.values()
    assert images["evaluate"] in images_sent(first)
    sent(study, "vertex", image=images["trials"], going_on=GoingOn(same_code=True))
    (_, second) = vertex.jobs.values()
    assert images["trials"] in images_sent(second)
    assert images["evaluate"] not in images_sent(second)


def test_a_job_is_stopped_by_its_study_folder(study: Study, vertex: VertexStandIn, images: dict[str, str]) -> None:
    assert images
    vertex.outcome = "PIPELINE_STATE_RUNNING"
    root = sent(study, "vertex")
    ((job, taken),) = vertex.jobs.items()
    assert stop_elsewhere(root).startswith(f"{job}: asked to stop")
    assert taken["state"] == "PIPELINE_STATE_CANCELLED"
    (opened,) = list_jobs(root)
    ended = end_of(root, opened.job)
    assert ended is not None
    assert "stopped it" in (ended.reason or "")
    with pytest.raises(UserError, match="has already ended"):
        stop_elsewhere(root)


def test_without_an_image_of_this_python_the_command_is_said_and_nothing_is_sent(
    study: Study, vertex: VertexStandIn, bucket: str
) -> None:
    with pytest.raises(UserError) as refused:
        sent(study, "vertex")
    uri = document_of(f"{bucket}/runs", PYTHON)
    assert refused.value.message == (
        f"nothing was submitted:\n  no image of Python {PYTHON}: {uri} is not there; `bayesopt build --python {PYTHON} "
        "--push` builds the image, pushes it and writes that, once for everybody with this pipeline root"
    )
    assert not vertex.jobs
    assert not list(storage.entries(f"{bucket}/runs/"))


@pytest.mark.usefixtures("vertex")
def test_a_document_that_lacks_a_step_is_refused(study: Study, bucket: str) -> None:
    storage.replace(document_of(f"{bucket}/runs", PYTHON), json.dumps({"init": "x:1"}).encode())
    with pytest.raises(UserError, match=rf"python-{PYTHON}.json: no image of evaluate, update, worker, report; `"):
        sent(study, "vertex")


@pytest.mark.usefixtures("bucket")
def test_all_settings_that_lack_are_said_with_their_variables(study: Study) -> None:
    with pytest.raises(UserError) as refused:
        sent(study, "vertex")
    first, *lines = refused.value.message.splitlines()
    assert first == "nothing was submitted:"
    assert [line.split()[0] for line in lines if "is missing" in line] == ["pipeline_root", "project_id", "region"]
    assert "give PIPELINE_ROOT in the environment or .env" in refused.value.message


def test_settings_come_from_the_file_and_the_environment_goes_before(
    study: Study, vertex: VertexStandIn, images: dict[str, str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert images
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    monkeypatch.setenv("SERVICE_ACCOUNT", "mine@my-project.iam.gserviceaccount.com")
    said = {"project_id": "my-project", "service_account": "other@my-project.iam.gserviceaccount.com"}
    (here / "vertex_config.json").write_text(json.dumps(said))
    sent(study, "vertex")
    (job,) = vertex.jobs.values()
    assert job["serviceAccount"] == "mine@my-project.iam.gserviceaccount.com"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    stand_in = KfpStandIn()
    monkeypatch.setenv("KFP_HOST", stand_in.host)
    yield stand_in
    stand_in.stop()


def test_a_store_that_is_not_reached_from_here_is_one_message(
    study: Study, cluster: KfpStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    minio.forget()
    with pytest.raises(UserError) as refused:
        sent(study, "kfp")
    first, *problems = refused.value.message.splitlines()
    assert first == "nothing was submitted:"
    (problem,) = problems
    assert "is not reached from here, and the file of the function train goes there; run `kubectl port-for" in problem
    assert not cluster.runs


def test_a_function_goes_to_a_cluster_whose_store_is_reached(
    study: Study, cluster: KfpStandIn, images: dict[str, str], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_ROOT", f"{bucket}/runs")
    root = sent(study, "kfp")
    (run,) = cluster.runs
    assert run["runtime_config"]["parameters"]["root"] == root
    assert images["trials"] in json.dumps(run)
    assert study_folder(root).function == study.carried


@pytest.mark.parametrize("on", ["compose", "kfp.local"])
def test_without_docker_that_is_the_message(on: str, study: Study, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(here))
    with pytest.raises(UserError) as refused:
        sent(study, on)
    assert refused.value.message == "docker is not installed, and images are built with it"
    assert not list(here.iterdir())


def test_a_place_that_is_none_is_refused_with_the_nearest(study: Study) -> None:
    with pytest.raises(UserError, match=r"^on: no place 'vertx'; did you mean 'vertex'\?$"):
        sent(study, "vertx")
    with pytest.raises(UserError, match=r"^on: no place 'moon'; expected one of in-process, compose, kfp.local, vert"):
        sent(study, "moon")


@pytest.mark.usefixtures("vertex")
def test_a_study_of_a_name_is_found_or_said_not_to_be_there(study: Study, here: Path) -> None:
    for on in ("in-process", "kfp.local", "compose", "vertex"):
        with pytest.raises(NotFoundError, match="holds no study"):
            find_root("nobody", on)
    assert sent(study, "in-process") == "out/cell"
    assert find_root("cell", "in-process") == find_root("cell", "kfp.local") == "out/cell"
    assert (here / "out/cell/best.json").is_file()


# --- cost --------------------------------------------------------------------------------------


def on_machine(study: Study) -> Study:
    """Return the study on a machine that has a price."""
    machines = study.steps.evaluate.model_copy(update={"machine_type": "n1-standard-4"})
    return study.model_copy(update={"steps": study.steps.model_copy(update={"evaluate": machines})})


@pytest.mark.usefixtures("vertex")
def test_what_it_may_cost_goes_with_the_study_and_changes_no_fingerprint(study: Study, images: dict[str, str]) -> None:
    assert images
    root = sent(on_machine(study), "vertex", max_cost=20)
    found = study_folder(root).study
    assert found.stop.max_cost == 20
    assert found.fingerprint == study.fingerprint


def test_an_estimate_above_it_is_refused_before_anything_is_sent(
    study: Study, vertex: VertexStandIn, images: dict[str, str]
) -> None:
    assert images
    dear = on_machine(study)
    note_seconds(dear, 36_000)
    estimate = estimate_of(dear, "vertex")
    assert estimate is not None
    assert estimate.cost is not None
    assert 3 < estimate.cost < 30
    with pytest.raises(
        UserError, match=rf"^max_cost: the study may cost {estimate.cost:.2f} USD .*, more than 1; give"
    ):
        sent(dear, "vertex", max_cost=1)
    assert not vertex.jobs


def test_nothing_is_estimated_where_nothing_costs_and_no_number_where_nothing_is_known(study: Study) -> None:
    assert estimate_of(study, "compose") is None
    assert estimate_of(study, "kfp") is None
    unknown = estimate_of(study, "vertex")
    assert unknown is not None
    assert unknown.cost is None
    assert unknown.source.startswith("how long a trial takes is not known")


def test_a_saved_function_without_its_packages_is_not_submitted(study: Study, here: Path) -> None:
    """The command line has no notebook whose packages it could bring along."""
    study.save(here / "study.yaml")
    target = load_target("vertex", find_settings(TARGETS["vertex"], "submit", [])[0])
    with pytest.raises(UserError) as caught:
        check_submission(str(here / "study.yaml"), None, target, Options(), [], "")
    assert (
        f"  {here}/study.yaml: objective.function: train has no lock of its packages, which its trials install; in "
        f"Python, `tune('{here}/study.yaml', on='vertex')` sends it with them, or name an image that has them with "
        "steps.evaluate.image"
    ) in caught.value.message.splitlines()
