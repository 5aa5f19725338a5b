"""Runs of an experiment as aiplatform's own client reads them: what was written, once, whatever happened before."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from kfp_bayesopt.errors import UnavailableError, UserError
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Reason, Steps
from kfp_bayesopt.vertex import EXPERIMENT
from kfp_bayesopt.vertex import api as vertex_api
from kfp_bayesopt.vertex.api import Api
from kfp_bayesopt.vertex.experiments import run_name, write_runs
from tests.builders import MIXED, RICH, a_record, a_study
from tests.vertex_stand_in import OF_CLIENTS, VertexStandIn

pytestmark = OF_CLIENTS

STUDY = a_study(iterations=3)
FOLDER = StudyFolder("gs://bucket/runs/studies/branin/f51e5293970f263b/0001", STUDY)
LEDGER = [
    a_record(STUDY, 1, 17.25, parameters={"x1": 6.0, "x2": 0.1}),
    a_record(STUDY, 2, None, reason=Reason(kind="raised", message="ValueError: no")),
    a_record(STUDY, 3, 0.5, values={"value": 0.5, "latency": 12}),
    a_record(STUDY, 4, 9.0, state="stopped", steps=Steps(first=1, last=3, count=3, value=9.0)),
]


class Frame:
    """As much of a frame of pandas as aiplatform's client makes of its rows."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.columns = list(dict.fromkeys(name for row in rows for name in row))

    def reindex(self, columns: list[str], axis: int) -> Frame:
        """Return the same rows with other columns."""
        assert axis == 1
        return Frame([{name: row[name] for name in columns if name in row} for row in self.rows])


@pytest.fixture
def _pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = ModuleType("pandas")
    pandas.DataFrame = Frame  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)


@pytest.mark.usefixtures("_pandas")
def test_the_client_reads_a_row_for_each_trial(api: Api) -> None:
    from google.cloud import aiplatform

    said = write_runs(api, "tuning", FOLDER, LEDGER)
    assert said == "experiment tuning: a run for each of 4 trials (4 new, 0 changed, 0 as they were)"
    rows = aiplatform.get_experiment_df("tuning").rows
    digest = run_name(FOLDER, LEDGER[0]).split("-")[1]
    common = {"experiment_name": "tuning", "run_type": "system.ExperimentRun"}
    both = {"param.x1": 1, "param.x2": 2}
    assert rows == [
        {**common, "run_name": f"branin-{digest}-0001", "state": "COMPLETE", "param.x1": 6, "param.x2": 0.1,
         "metric.value": 17.25},
        {**common, "run_name": f"branin-{digest}-0002", "state": "FAILED", **both},
        {**common, "run_name": f"branin-{digest}-0003", "state": "COMPLETE", **both, "metric.value": 0.5,
         "metric.latency": 12},
        {**common, "run_name": f"branin-{digest}-0004", "state": "CANCELLED", **both, "metric.value": 9},
    ]  # fmt: skip


def test_the_client_reads_parameters_metrics_and_state_of_a_run(vertex: VertexStandIn, api: Api) -> None:
    from google.cloud import aiplatform

    write_runs(api, "tuning", FOLDER, LEDGER)
    run = aiplatform.ExperimentRun(run_name(FOLDER, LEDGER[2]), experiment="tuning")
    assert (run.get_params(), run.get_metrics()) == (LEDGER[2].parameters, LEDGER[2].values)
    assert run.state == aiplatform.gapic.Execution.State.COMPLETE
    context = vertex.contexts.known[run.resource_id]
    assert context["labels"] == {"study": "branin", "fingerprint": STUDY.fingerprint}
    assert context["description"] == f"Trial 3 of study branin: 0.5. Study folder {FOLDER.root}"
    failed = vertex.contexts.known[f"tuning-{run_name(FOLDER, LEDGER[1])}"]
    assert "Trial 2 of study branin: ValueError: no." in failed["description"]


def test_the_client_writes_the_same_resources(vertex: VertexStandIn, api: Api) -> None:
    """What it makes of the same trial differs in what we say beside it, the labels and the description."""
    from google.cloud import aiplatform

    write_runs(api, "ours", FOLDER, LEDGER[:1])
    aiplatform.Experiment.create("theirs")
    name = run_name(FOLDER, LEDGER[0])
    with aiplatform.ExperimentRun.create(name, experiment="theirs") as run:
        run.log_params(LEDGER[0].parameters)
        run.log_metrics(LEDGER[0].values)
    known = vertex.contexts.known

    def compared(name: str) -> dict[str, Any]:
        return {key: known[name][key] for key in ("displayName", "schemaTitle", "schemaVersion", "metadata")}

    assert compared(f"ours-{name}") == compared(f"theirs-{name}")
    assert compared("ours") == {**compared("theirs"), "displayName": "ours"}
    assert vertex.contexts.children("ours") == [f"ours-{name}"]
    assert vertex.contexts.children("theirs") == [f"theirs-{name}"]


@pytest.mark.parametrize("space", [MIXED, RICH])
def test_every_kind_of_parameter_is_one_that_the_client_takes(space: dict[str, Any], api: Api) -> None:
    from google.cloud import aiplatform

    study = a_study(space=space, optimizer={"engine": "gp"})
    folder = StudyFolder(FOLDER.root, study)
    chosen = {
        name: each.get("value", [*each.get("choices", []), *each.get("values", []), each.get("high")][0])
        for name, each in space.items()
    }
    record = a_record(study, parameters=chosen)
    write_runs(api, "tuning", folder, [record])
    name = run_name(folder, record)
    found = aiplatform.ExperimentRun(name, experiment="tuning").get_params()
    assert found == {name: "[64, 32]" if value == [64, 32] else value for name, value in chosen.items()}
    aiplatform.ExperimentRun.create("of-theirs", experiment="tuning").log_params(found)


def test_an_integer_that_a_float_cannot_hold_stays_exact(api: Api) -> None:
    from google.cloud import aiplatform

    study = a_study(space={"seed": {"type": "categorical", "choices": [2**53 + 1, None]}}, optimizer={"engine": "gp"})
    folder = StudyFolder(FOLDER.root, study)
    ledger = [a_record(study, number, parameters={"seed": seed}) for number, seed in ((1, 2**53 + 1), (2, None))]
    write_runs(api, "tuning", folder, ledger)
    found = [aiplatform.ExperimentRun(run_name(folder, each), experiment="tuning").get_params() for each in ledger]
    assert found == [{"seed": "9007199254740993"}, {"seed": "null"}]


def test_a_study_that_goes_on_adds_what_is_new_and_changes_what_was_tried_again(
    vertex: VertexStandIn, api: Api
) -> None:
    from google.cloud import aiplatform

    write_runs(api, "tuning", FOLDER, LEDGER[:3])
    mended = a_record(STUDY, 2, 4.5, attempt=2)
    said = write_runs(api, "tuning", FOLDER, [LEDGER[0], mended, *LEDGER[2:]])
    assert said == "experiment tuning: a run for each of 4 trials (1 new, 1 changed, 2 as they were)"
    assert len(vertex.contexts.children("tuning")) == 4
    run = aiplatform.ExperimentRun(run_name(FOLDER, mended), experiment="tuning")
    assert (run.get_metrics(), run.state.name) == ({"value": 4.5}, "COMPLETE")


def test_what_others_have_added_to_a_run_stays(api: Api) -> None:
    from google.cloud import aiplatform

    write_runs(api, "tuning", FOLDER, LEDGER)
    name = run_name(FOLDER, LEDGER[1])
    aiplatform.ExperimentRun(name, experiment="tuning").log_metrics({"checked": 1})
    assert "0 changed" in write_runs(api, "tuning", FOLDER, LEDGER)
    assert "1 changed" in write_runs(api, "tuning", FOLDER, [a_record(STUDY, 2, 4.5, attempt=2)])
    assert aiplatform.ExperimentRun(name, experiment="tuning").get_metrics() == {"checked": 1, "value": 4.5}


def test_two_folders_of_a_study_have_runs_of_their_own(vertex: VertexStandIn, api: Api) -> None:
    write_runs(api, "tuning", FOLDER, LEDGER)
    write_runs(api, "tuning", StudyFolder(f"{FOLDER.root[:-1]}2", STUDY), LEDGER)
    write_runs(api, "other", FOLDER, LEDGER)
    assert len(set(vertex.contexts.children("tuning"))) == 8
    assert len(vertex.contexts.children("other")) == 4


def test_a_run_that_was_made_and_not_added_is_added(vertex: VertexStandIn, api: Api) -> None:
    """As when the step dies between the two."""
    vertex.contexts.closed = True
    with pytest.raises(UserError, match=r"permission denied \(403: no right\); grant roles/aiplatform.user"):
        write_runs(api, "tuning", FOLDER, LEDGER)
    assert vertex.contexts.children("tuning") == []
    vertex.contexts.closed = False
    write_runs(api, "tuning", FOLDER, [a_record(STUDY, 1, 3.0)])
    (child,) = vertex.contexts.children("tuning")
    assert vertex.contexts.known[child]["metadata"]["_metrics"] == {"value": 3.0}


def test_it_takes_a_request_for_each_trial_and_few_more(vertex: VertexStandIn, api: Api) -> None:
    ledger = [a_record(STUDY, number, float(number)) for number in range(1, 251)]
    write_runs(api, "tuning", FOLDER, ledger)
    assert len(vertex.requests) == 250 + 3 + 3  # get, create, list; and one for each hundred
    vertex.requests.clear()
    write_runs(api, "tuning", FOLDER, ledger)
    assert len(vertex.requests) == 2


def test_all_runs_of_a_large_experiment_are_known(api: Api) -> None:
    """A list comes in pages, and what is on the second one is no new run."""
    ledger = [a_record(STUDY, number, float(number)) for number in range(1, 31)]
    with pytest.MonkeyPatch.context() as small:
        small.setattr("kfp_bayesopt.vertex.experiments.PAGE", 7)
        write_runs(api, "tuning", FOLDER, ledger)
        assert "30 as they were" in write_runs(api, "tuning", FOLDER, ledger)


@pytest.mark.usefixtures("_impatient")
def test_a_service_that_hiccups_is_asked_again(vertex: VertexStandIn, api: Api) -> None:
    vertex.hiccups = 2
    write_runs(api, "tuning", FOLDER, LEDGER)
    assert len(vertex.contexts.children("tuning")) == 4


def test_another_kind_of_context_is_no_experiment(api: Api) -> None:
    write_runs(api, "tuning", FOLDER, LEDGER)
    taken = f"tuning-{run_name(FOLDER, LEDGER[0])}"
    with pytest.raises(UserError, match=r"is there, but is no experiment \(system.ExperimentRun\); give another name"):
        write_runs(api, taken, FOLDER, LEDGER)


def test_a_region_without_a_metadata_store_says_what_makes_one(vertex: VertexStandIn, api: Api) -> None:
    vertex.contexts.is_made = False
    with pytest.raises(UserError, match="has no metadata store yet, which the first pipeline job there makes"):
        write_runs(api, "tuning", FOLDER, LEDGER)


@pytest.mark.parametrize("name", ["abc", "Tuning", "a_b_c", "x" * 65, "-tuning", "tuning\n"])
def test_a_name_that_no_experiment_has_is_refused(name: str, vertex: VertexStandIn, api: Api) -> None:
    with pytest.raises(UserError, match="experiment: expected 4 to 64 lower case letters, digits and hyphens, but got"):
        write_runs(api, name, FOLDER, LEDGER)
    assert vertex.requests == []


def test_the_longest_names_make_a_run_that_the_client_takes() -> None:
    from google.cloud.aiplatform.metadata import constants

    longest = a_study(name="a" * 63)
    run = run_name(StudyFolder(FOLDER.root, longest), a_record(longest, 10**9))
    most = int(EXPERIMENT.rpartition(",")[2].rstrip("}")) + 1
    assert most + 1 + len(run) <= constants._EXPERIMENT_RUN_MAX_LENGTH


def test_outside_of_vertex_the_environment_says_project_and_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*vertex_api.PROJECTS, *vertex_api.REGIONS):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError) as caught:
        Api.of("pipeline-x7k2p", "experiment")
    assert caught.value.message == (
        "experiment is a service of Vertex AI, but this is no job of Vertex; set GOOGLE_CLOUD_PROJECT and "
        "GOOGLE_CLOUD_REGION, or leave it out"
    )
    monkeypatch.setenv("CLOUD_ML_PROJECT_ID", "42")
    monkeypatch.setenv("CLOUD_ML_REGION", "europe-west4")
    assert Api.of("", "experiment").parent == "projects/42/locations/europe-west4"
    job = "projects/1/locations/us-east1/pipelineJobs/job"
    found = Api.of(job, "experiment")
    assert (found.parent, found.pipeline_job) == ("projects/1/locations/us-east1", job)


@pytest.mark.usefixtures("_impatient")
def test_a_service_that_never_answers_is_given_up(vertex: VertexStandIn, api: Api) -> None:
    vertex.refusal = (503, "UNAVAILABLE", "not now")
    with pytest.raises(UnavailableError, match=r"no answer from Vertex AI since .* \(503: not now\)"):
        write_runs(api, "tuning", FOLDER, LEDGER)
