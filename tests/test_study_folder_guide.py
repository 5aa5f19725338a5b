"""What docs/study-folder.md says of a study folder is so, and its examples are good."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from images.init.main import main as init
from images.report.main import main as report
from images.update.main import main as update
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.documents import FORMAT, Document, OfStudy, parse_document, read_document
from kfp_bayesopt.folder.jobs import Ended, Job, Submitted, Waiting, WorkerStart
from kfp_bayesopt.folder.known import Known
from kfp_bayesopt.folder.results import Best, Failures, ledger_lines
from kfp_bayesopt.folder.study_folder import Retry, StudyFolder, study_uri
from kfp_bayesopt.folder.trials import (
    Claim,
    Curve,
    Heartbeat,
    Manifest,
    Record,
    Rung,
    Said,
    Seen,
    Suggestion,
    digest_of,
)
from kfp_bayesopt.session.copying import ALIVE, CACHE, DERIVED, ONCE
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.process.examples.objectives.branin import branin
from tests import ROOT

PAGE = (ROOT / "docs" / "study-folder.md").read_text()
EXAMPLES = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
LISTED = (
    Suggestion,
    Claim,
    Heartbeat,
    Record,
    Manifest,
    Curve,
    Said,
    Rung,
    Known,
    Retry,
    Job,
    Submitted,
    WorkerStart,
    Waiting,
    Ended,
    Best,
    Failures,
)
DOCUMENTS = {each.__name__: each for each in LISTED}
SECTIONS = dict(re.findall(r"^### (\w+): (.*?)(?=^##)", PAGE, re.DOTALL | re.MULTILINE))
# What the page calls a value, and what its schema does.
TYPES = {"text": "string", "time": "string", "list": "array", "mapping": "object", "true or false": "boolean"}


def _rows(text: str) -> list[list[str]]:
    """Return the cells of the tables of a text, without those of their heads."""
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for table in tables for line in table.splitlines()[2:]]


OBJECTS = {row[0].strip("`"): row for row in _rows(PAGE.partition("## The objects\n")[2].partition("\n## ")[0])}


def _pattern(name: str) -> str:
    """Return the pattern of the names that the page means."""
    for placeholder, pattern in {
        "NNNNNNNN": "[0-9]" * 8,
        "NNNNNN": "[0-9]" * 6,
        "SHA256": "*",
        "JOB": "*",
        "TOKEN": "*",
        "TURN": "*",
        "STEP": "*",
    }.items():
        name = name.replace(placeholder, pattern)
    return name.replace("-A.", "-[0-9].")


def _examples(name: str) -> dict[str, bytes]:
    """Return the examples of a section by the names of their files."""
    found = re.findall(r"^```json (\S+)$", SECTIONS[name], re.MULTILINE)
    return {file: EXAMPLES[file].encode() for file in found}


def _study() -> Study:
    return Study.from_text(next(text for name, text in EXAMPLES.items() if name.startswith("study/")).encode())


def _write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(EXAMPLES[name])


def test_every_object_is_copied_or_deleted_with_its_study() -> None:
    """What `bayesopt download` and `bayesopt delete` take for a part of a study is what the page lists."""
    known = [re.compile(each) for each in (*ONCE, *CACHE, *DERIVED, *ALIVE)]
    for name in OBJECTS:
        example = name.replace("SHA256", "0" * 64).replace("NNNNNNNN", "00001000").replace("NNNNNN", "000001")
        example = example.replace("-A", "-1").replace("JOB", "job-1").replace("TOKEN", "5b1e09aa").replace("…", "model")
        example = example.replace("TURN", "1")
        example = example.replace("STEP", "3").replace("*.state", f"000002-{'0' * 16}.state")
        assert sum(bool(each.fullmatch(example)) for each in known) == 1, example


# --- documents ---------------------------------------------------------------------------------


def test_every_document_of_a_study_folder_is_described() -> None:
    known: set[type[Document]] = {*Document.__subclasses__(), *OfStudy.__subclasses__()} - {OfStudy}
    today = {document for document in known if document.model_fields["format"].default == FORMAT}
    assert today == set(DOCUMENTS.values())
    assert [name for name in SECTIONS if name != "Study"] == list(DOCUMENTS)


def _keys(schema: dict[str, Any], definitions: dict[str, Any], before: str = "") -> list[tuple[str, str, str]]:
    """Return name, type and whether it is required of each key of a schema, those of its parts too."""
    found = []
    for name, described in schema["properties"].items():
        value = next((each for each in described.get("anyOf", []) if each.get("type") != "null"), described)
        part = value.get("items", value).get("$ref", "").rpartition("/")[2]
        kind = value.get("type", "object") if "const" not in value else str(value["const"])
        found.append((f"{before}{name}", kind, "yes" if name in schema.get("required", []) else "no"))
        if part:
            found += _keys(definitions[part], definitions, f"{before}{name}.")
    return found


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_table_names_the_keys_of_its_document_in_their_order(name: str) -> None:
    schema = DOCUMENTS[name].model_json_schema()
    rows = _rows(SECTIONS[name])
    described = [(key.strip("`"), TYPES.get(kind, kind), required) for key, kind, required, _ in rows]
    assert described == _keys(schema, schema.get("$defs", {}))
    assert all(meaning for *_, meaning in rows)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_example_of_a_document_can_be_read(name: str) -> None:
    assert _examples(name)
    for file, content in _examples(name).items():
        assert fnmatch(file, _pattern(SECTIONS[name].split("`")[1]))
        parse_document(DOCUMENTS[name], content, file, _study())


def test_a_key_that_is_required_is_missed_and_another_one_is_not_known() -> None:
    content = _examples("Claim")["trials/000002/claim-1.json"]
    with pytest.raises(UserError, match="worker: required key is missing"):
        parse_document(Claim, content.replace(b'"worker":"vm:4712",', b""), "claim-1.json")
    with pytest.raises(UserError, match="machine: unknown key"):
        parse_document(Claim, content.replace(b'"worker"', b'"machine":"vm","worker"'), "claim-1.json")


# --- folder ------------------------------------------------------------------------------------


def test_the_examples_lie_where_our_programs_look_for_them() -> None:
    folder = StudyFolder("ROOT", _study())
    first, second = "branin-20261125-101500-3f9a", "branin-20261126-090000-77b1"
    study_file = parse_document(Job, _examples("Job")[f"jobs/{first}.json"], "").study_file
    expected = {
        study_uri("ROOT", EXAMPLES[study_file].encode()),
        folder.suggestion_uri(4),
        folder.claim_uri(2, 1),
        folder.heartbeat_uri(2, 1),
        folder.record_uri(1, 1),
        folder.record_uri(2, 1),
        folder.manifest_uri(1, 1),
        folder.curve_uri(1, 1),
        folder.said_uri(1, 1),
        folder.rung_uri(1, 2),
        folder.known_uri(4),
        jobs.job_uri("ROOT", first),
        jobs.ended_uri("ROOT", first),
        jobs.worker_uri("ROOT", first, "5b1e09aa"),
        jobs.submitted_uri("ROOT", second),
        jobs.waits_uri("ROOT", second, 1),
        f"ROOT/retries/{second}.json",
        *("ROOT/best.json", "ROOT/failures.json"),
    }
    assert {f"ROOT/{name}" for name in EXAMPLES} - expected == {"ROOT/join.sh", "ROOT/lifecycle.json"}
    assert expected <= {f"ROOT/{name}" for name in EXAMPLES}
    names = {folder.log_uri(1, 1), folder.fold_uri(1000), *expected, "ROOT/trials.jsonl"}
    for name in names:
        assert any(fnmatch(name, f"ROOT/{_pattern(each)}") for each in OBJECTS), name


def _lay_out(root: Path) -> StudyFolder:
    """Write the examples of trials into a folder, and what the page leaves out: the other suggestions."""
    study = _study()
    folder = StudyFolder(str(root), study)
    _write(root, *_examples("Record"), *_examples("Suggestion"))
    records = [folder.read_record(trial, 1) for trial in (1, 2)]
    last = folder.read_suggestion(4)
    first = Seen(highest=0, ledger=digest_of([]))
    others = [
        last.model_copy(update={"trial": each.trial, "iteration": 1, "parameters": each.parameters, "seen": first})
        for each in records
    ]
    others.append(last.model_copy(update={"trial": 3, "seen": last.seen.model_copy(update={"unknown": []})}))
    folder.write_suggestions(others)
    return folder


def test_the_examples_make_a_folder_that_goes_on(tmp_path: Path) -> None:
    folder = _lay_out(tmp_path)
    trials = folder.read()
    assert ([record.state for record in trials.ledger], list(trials.pending)) == (["completed", "failed"], [3, 4])
    _write(tmp_path, *_examples("Retry"), *_examples("Best"), *_examples("Failures"))
    assert folder.read().ledger == trials.ledger
    assert read_document(Best, f"{tmp_path}/best.json") == Best.of(folder.study, trials.ledger)
    assert read_document(Failures, f"{tmp_path}/failures.json") == Failures.of(folder.study, trials.ledger)


def test_a_record_that_was_edited_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = _lay_out(tmp_path)
    record = Path(folder.record_uri(1, 1))
    record.write_text(record.read_text().replace("17.1", "16.1"))
    folder.read()
    assert "trial 4 was proposed from other records than those that are here" in caplog.text


def test_what_a_suggestion_has_seen_can_be_computed_from_the_page_alone() -> None:
    section = PAGE.partition("### What a suggestion has seen\n")[2]
    keys = re.findall(r"`(\w+)`", section.partition("no spaces:")[2].partition(". The lines")[0])
    keys.remove("null")
    lines = []
    for content in _examples("Record").values():
        record = {"iteration": None, "values": {}, **json.loads(content)}
        lines.append(json.dumps({key: record[key] for key in keys}, separators=(",", ":")))
    found = parse_document(Suggestion, _examples("Suggestion")["trials/000004/suggestion.json"], "")
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == found.seen.ledger


def test_the_lifecycle_rule_touches_logs_and_pages_alone() -> None:
    (rule,) = json.loads(EXAMPLES["lifecycle.json"])["rule"]
    assert rule["action"] == {"type": "Delete"}
    suffixes = tuple(rule["condition"]["matchesSuffix"])
    assert [name for name in OBJECTS if name.endswith(suffixes)] == [
        "trials/NNNNNN/log-A.txt",
        "report.html",
    ]


# --- the program in shell ----------------------------------------------------------------------


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(next(text for name, text in EXAMPLES.items() if name.startswith("study/")))
    return path


def _start(folder: Path, program: str = EXAMPLES["join.sh"]) -> subprocess.Popen[str]:
    path = folder.parent / "join.sh"
    path.write_text(program)
    return subprocess.Popen(
        ["sh", str(path), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )


def _join(folder: Path, program: str = EXAMPLES["join.sh"]) -> None:
    started = _start(folder, program)
    assert (*started.communicate(timeout=60), started.returncode) == ("", "", 0)


def _step(step: Any, folder: Path, study_file: Path, *more: str) -> None:
    step.main(["--root", str(folder), "--study", str(study_file), *more], standalone_mode=False)


def test_a_study_whose_trials_are_evaluated_in_shell_comes_to_its_end(study_file: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    _step(init, root, study_file)
    for after in ("2", "4"):
        _join(root)
        _step(update, root, study_file, "--after", after)
    _step(report, root, study_file)
    folder = StudyFolder(str(root), _study())
    trials = folder.read()
    assert list(trials.records) == [1, 2, 3, 4]
    assert trials.pending == {}
    for record in trials.ledger:
        assert record.value == pytest.approx(branin(**record.parameters), rel=1e-12)  # type: ignore[arg-type]
        claim = read_document(Claim, folder.claim_uri(record.trial, 1), folder.study)
        assert (claim.trial, claim.attempt, len(claim.token)) == (record.trial, 1, 16)
    best = read_document(Best, str(root / "best.json"))
    assert best.value == min(record.value for record in trials.ledger if record.value is not None)

    # What is there is in the table of objects, and what the page calls derived is made again.
    files = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    assert [name for name in files if not any(fnmatch(name, _pattern(each)) for each in OBJECTS)] == []
    derived = [name for name, row in OBJECTS.items() if row[2] == "replaced" and "worker" not in row[1]]
    content = {name: (root / name).read_bytes() for name in derived}
    assert content["trials.jsonl"] == ledger_lines(trials.ledger)
    for name in derived:
        (root / name).unlink()
    _step(report, root, study_file)
    assert {name: (root / name).read_bytes() for name in derived} == content


def test_programs_in_shell_that_run_at_the_same_time_evaluate_each_trial_once(tmp_path: Path) -> None:
    content = EXAMPLES[next(name for name in EXAMPLES if name.startswith("study/"))]
    path = tmp_path / "study.yaml"
    path.write_text(content.replace("parallel_trials: 2", "parallel_trials: 20"))
    root, log = tmp_path / "out", tmp_path / "evaluated"
    _step(init, root, path)
    # None looks whether a trial is taken before it claims it, so that they meet at each of them.
    blind = re.sub(r"\n    if ls .*\^\(claim.*", "", EXAMPLES["join.sh"])
    blind = blind.replace("branin() {", f"branin() {{ echo evaluated >>{log}")
    started = [_start(root, blind) for _ in range(4)]
    for each in started:
        each.communicate(timeout=60)
    assert [each.returncode for each in started] == [0, 0, 0, 0]
    assert list(StudyFolder(str(root), _study()).read().records) == list(range(1, 21))
    assert len(log.read_text().splitlines()) == 20
    left = {path.name for path in (root / "trials").rglob("*") if path.is_file()}
    assert left == {"suggestion.json", "claim-1.json", "record-1.json"}


def test_a_program_in_shell_leaves_alone_what_somebody_has_taken(study_file: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    _step(init, root, study_file)
    claim = root / "trials" / "000001" / "claim-1.json"
    claim.write_text("somebody's")
    _join(root)
    assert claim.read_text() == "somebody's"
    assert list(StudyFolder(str(root), _study()).read().records) == [2]


def test_a_program_in_shell_gives_way_to_an_attempt_that_was_faster(study_file: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    _step(init, root, study_file)
    _join(root, EXAMPLES["join.sh"].replace("if value=", 'touch "$trial/record-2.json"\n    if value='))
    assert not (root / "trials" / "000001" / "record-1.json").exists()


def test_an_objective_in_shell_that_ends_with_another_status_is_a_failed_trial(
    study_file: Path, tmp_path: Path
) -> None:
    root = tmp_path / "out"
    _step(init, root, study_file)
    _join(root, EXAMPLES["join.sh"].replace("awk '{", "awk 'BEGIN { exit 3 } {"))
    record = StudyFolder(str(root), _study()).read().records[1]
    assert record.reason is not None
    assert (record.state, record.reason.kind, record.reason.exit) == ("failed", "exit", 3)
