"""The same study in every store: equal ledgers and suggestions, and no more requests than in Cloud Storage."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from images.worker.main import main as worker_main
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.study_folder import StudyFolder, study_uri
from kfp_bayesopt.proposing.verify import verify
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from tests.ledgers import contents, meaning
from tests.proofs.faulty_storage import Door
from tests.proofs.test_faults import STUDY, calls_of, invoke
from tests.proofs.test_workers import a_study, arguments, check

# The client leaves the connections of failed downloads to the garbage collector.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

FEWEST: dict[str, int] = {"init": 10, "evaluate": 6, "update": 16, "report": 17}
"""The requests of each step to Cloud Storage, once a store was tried; other stores make no more."""


def run(root: str, door: Door | None = None) -> tuple[dict[str, object], dict[str, list[Counter[str]]]]:
    """Run the steps of a study by hand; return what its folder says, and what each call of a step asked for."""
    storage.create(study_uri(root, STUDY), STUDY)
    asked: dict[str, list[Counter[str]]] = {}
    for step, options in calls_of(root):
        if step == "init" and door is not None:
            invoke((step, options))  # which tries the store
        if door is not None:
            door.open()
        result = invoke((step, options))
        assert result.exit_code == 0, result.output
        if door is not None:
            asked.setdefault(step, []).append(Counter(door.operations))
    folder = StudyFolder(root, Study.from_text(STUDY))
    suggestions = folder.read_suggestions(folder.suggested())
    verdicts = [each.verdict for each in verify(folder.study, folder.read().ledger, suggestions, retried=False)]
    assert verdicts == ["same"] * 4
    return meaning(contents(root)), asked


def test_a_study_in_batches_is_the_same_in_every_store(faulty_store: Door, tmp_path: Path) -> None:
    here, _ = run(str(tmp_path / "out"))
    there, asked = run(f"{faulty_store.bucket}/same", faulty_store)
    assert there == here
    most = {step: max(each.total() for each in counts) for step, counts in asked.items()}
    assert {step: count for step, count in most.items() if count > FEWEST[step]} == {}


def test_a_worker_asks_every_store_as_little(faulty_store: Door, tmp_path: Path) -> None:
    """Eight trials of one worker, from its start to its end: what a trial costs, and a start."""
    asked = []
    for trials in (2, 10):
        study = a_study(tmp_path / str(trials), trials, 1)
        root = f"{faulty_store.bucket}/worker-{trials}"
        jobs.ensure_job(StudyFolder(root, Study.from_file(study)), "job", str(study))
        faulty_store.open()
        assert CliRunner().invoke(worker_main, arguments(study, root, 1), prog_name="main.py").exit_code == 0
        asked.append(Counter(faulty_store.operations))
        check(study, root, trials)
    each = {name: (asked[1][name] - asked[0][name]) / 8 for name in asked[1]}
    assert {name: count for name, count in each.items() if count} == {"list": 4, "create": 4}
