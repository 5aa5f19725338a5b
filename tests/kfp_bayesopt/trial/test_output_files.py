"""What a trial writes to BAYESOPT_OUTPUT: all of it is kept before its record is there, or the record says why not."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import NoRoomError, UnavailableError, UserError
from kfp_bayesopt.folder.model import fetch_model, model_of
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Manifest, Record
from kfp_bayesopt.store import local, storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.attempt import run_trial
from kfp_bayesopt.trial.process.sessions import Sessions
from tests.builders import a_suggestion, write_folder, write_study
from tests.proofs.faulty_storage import Door, forbidden

SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}
WRITES = """
import os, pathlib, socket
def objective(x):
    out = pathlib.Path(os.environ["BAYESOPT_OUTPUT"])
    {}
    return x
"""


@pytest.fixture(params=["here", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a study folder on a disk and one in a bucket."""
    return str(tmp_path / "out") if request.param == "here" else f"{request.getfixturevalue('bucket')}/s"


def a_folder(root: str, tmp_path: Path, *lines: str, **changes: Any) -> StudyFolder:
    """Return a folder with the suggestion of trial 1 of a study whose objective runs these lines."""
    study = Study.from_file(str(write_study(tmp_path, WRITES.format("\n    ".join(lines)), space=SPACE, **changes)))
    return write_folder(root, study, [a_suggestion(study, 1, {"x": 2.5})])


def evaluated(folder: StudyFolder, tmp_path: Path) -> Record:
    with Sessions() as sessions:
        record = run_trial(folder, 1, tmp_path, sessions)
    assert record is not None
    assert folder.read().ledger == [record]
    return record


def manifest_of(folder: StudyFolder) -> Manifest:
    found = folder.read_manifest(1, 1)
    assert found is not None
    return found


def fetched(folder: StudyFolder, tmp_path: Path) -> tuple[dict[str, bytes], list[str]]:
    """Fetch the model of trial 1, and return its files with what was said."""
    target = tmp_path / "fetched"
    said = list(fetch_model(folder, 1, target))
    files = {path.relative_to(target).as_posix(): path for path in target.rglob("*") if path.is_file()}
    assert not any(path.is_symlink() for path in target.rglob("*"))
    return {name: path.read_bytes() for name, path in files.items()}, said


NAMES = ["m", "a/b/c", "leer zeichen", "ümläut ☃", "x#y", "q?z", "100%", "new\nline", ".hidden", ".git/x", "n" * 200]


def test_a_model_comes_back_as_it_was_written_whatever_its_names_are(root: str, tmp_path: Path) -> None:
    lines = [
        f"for name in {NAMES!r}:",
        "    (out / name).parent.mkdir(parents=True, exist_ok=True)",
        "    (out / name).write_text(name)",
        "(out / 'empty').touch()",
        "(out / 'nothing in it' / 'nor here').mkdir(parents=True)",
    ]
    folder = a_folder(root, tmp_path, *lines)
    record = evaluated(folder, tmp_path)
    assert (record.value, record.output_missing) == (2.5, None)
    files, said = fetched(folder, tmp_path)
    assert files == {name: name.encode() for name in NAMES} | {"empty": b""}
    assert (tmp_path / "fetched" / "nothing in it" / "nor here").is_dir()
    assert said == [f"{len(NAMES) + 1} files of trial 1 in {tmp_path}/fetched"]
    listed = {file.name: (file.size, file.md5) for file in manifest_of(folder).files}
    assert listed == {name: (len(each), hashlib.md5(each).hexdigest()) for name, each in files.items()}


def test_a_link_counts_as_what_it_leads_to_and_nothing_outside_of_the_folder_is_kept(
    root: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret").write_text("not yours")
    lines = [
        "(out / 'epoch-3').mkdir()",
        "(out / 'epoch-3' / 'w').write_text('weights')",
        "(out / 'last').symlink_to('epoch-3/w')",
        "(out / 'best').symlink_to('epoch-3')",
        "(out / 'epoch-3' / 'up').symlink_to('..')",
        f"(out / 'all').symlink_to({str(tmp_path / 'data')!r})",
        f"(out / 'one').symlink_to({str(tmp_path / 'data' / 'secret')!r})",
        "(out / 'nowhere').symlink_to('gone')",
        "(out / 'loop').symlink_to('loop')",
        "os.mkfifo(out / 'pipe')",
        "os.chdir(out); socket.socket(socket.AF_UNIX).bind('socket')",
    ]
    folder = a_folder(root, tmp_path, *lines)
    with caplog.at_level(logging.WARNING):
        record = evaluated(folder, tmp_path)
    assert record.output_missing is None
    files, said = fetched(folder, tmp_path)
    assert files == {"epoch-3/w": b"weights", "last": b"weights", "best/w": b"weights"}
    assert manifest_of(folder).left_out == [
        "all: a link to outside of the folder",
        "best/up: a link to a folder that it is in",
        "epoch-3/up: a link to a folder that it is in",
        "loop: a link to nothing",
        "nowhere: a link to nothing",
        "one: a link to outside of the folder",
        "pipe: a device, a pipe or a socket",
        "socket: a device, a pipe or a socket",
    ]
    assert said[1:] == ["the trial also wrote what is not kept: all: a link to outside of the folder, and 7 more"]
    assert "trial 1: left out of BAYESOPT_OUTPUT: all: a link to outside of the folder, and 7 more" in caplog.messages


def test_a_study_with_a_link_to_everywhere_goes_on(tmp_path: Path) -> None:
    folder = a_folder(str(tmp_path / "out"), tmp_path, "(out / 'w').touch()", "(out / 'all').symlink_to('/')")
    evaluated(folder, tmp_path)
    assert folder.read().records.keys() == {1}
    assert [entry.uri for entry in storage.entries(f"{folder.output_uri(1, 1)}/", links=False)] == [
        f"{folder.output_uri(1, 1)}/w"
    ]


@pytest.mark.parametrize("name", ["back\\slash", "no unicode \udcff"])
def test_a_file_that_cannot_be_kept_is_named_in_the_record_and_the_others_are_there(
    root: str, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = a_folder(root, tmp_path, f"(out / {name!r}).touch()", "(out / 'w').write_text('w')")
    with caplog.at_level(logging.WARNING):
        record = evaluated(folder, tmp_path)
    assert (record.state, record.value) == ("completed", 2.5)
    said = {
        "back\\slash": "back\\slash: a name of a file below a folder has no empty part, no '.' and '..', no backslash "
        "and no NUL",
        "no unicode \udcff": "'no unicode \\udcff': its name is no Unicode",
    }[name]
    assert record.output_missing == said
    assert caplog.messages == [f"trial 1: the files that it wrote to BAYESOPT_OUTPUT are not kept: {said}"]
    assert storage.read(f"{folder.output_uri(1, 1)}/w", 10) == b"w"
    assert folder.read_manifest(1, 1) is None
    with pytest.raises(UserError) as raised:
        list(fetch_model(folder, 1, tmp_path / "fetched"))
    assert raised.value.message == (
        f"trial 1: its model is missing: {said}; no other trial has a whole one; have the objective save its model to "
        "BAYESOPT_OUTPUT, and run it again"
    )


def test_a_trial_that_writes_nothing_has_no_list(root: str, tmp_path: Path) -> None:
    folder = a_folder(root, tmp_path, "pass")
    assert evaluated(folder, tmp_path).output_missing is None
    assert folder.read_manifest(1, 1) is None
    assert list(tmp_path.rglob("output-1*")) == []


def test_what_a_failed_trial_wrote_is_kept_too(root: str, tmp_path: Path) -> None:
    folder = a_folder(root, tmp_path, "(out / 'w').write_text('half')", "raise ValueError('no')")
    assert evaluated(folder, tmp_path).state == "failed"
    assert [file.name for file in manifest_of(folder).files] == ["w"]


def test_the_record_comes_when_all_that_it_promises_is_there(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["for n in range(30):", "    (out / f'part-{n}').write_text(str(n))"]
    folder = a_folder(root, tmp_path, *lines)
    write = StudyFolder.write_record
    seen = []

    def look_first(self: StudyFolder, record: Record, *more: Any) -> None:
        model = model_of(folder, record)
        seen.append((model.problem, len(model.objects)))
        write(self, record, *more)

    monkeypatch.setattr(StudyFolder, "write_record", look_first)
    evaluated(folder, tmp_path)
    assert seen == [(None, 30)]


def test_a_failed_upload_costs_the_model_and_not_the_value(
    faulty: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_folder("gs://bucket/s", tmp_path, "(out / 'w').write_text('w')")
    copy = storage.copy

    def refuse(source: str, target: str, *more: Any) -> storage.Entry:
        faulty.close_after(1, forbidden)
        try:
            return copy(source, target, *more)
        finally:
            faulty.open()

    monkeypatch.setattr(storage, "copy", refuse)
    with caplog.at_level(logging.WARNING):
        record = evaluated(folder, tmp_path)
    assert (record.state, record.value) == ("completed", 2.5)
    assert record.output_missing is not None
    assert record.output_missing.startswith("w: gs://bucket/s/trials/000001/output-1/w: permission denied (")
    assert caplog.messages == [
        f"trial 1: the files that it wrote to BAYESOPT_OUTPUT are not kept: {record.output_missing}"
    ]


def test_an_outage_in_an_upload_ends_it_and_the_record_says_so(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_folder(f"{bucket}/s", tmp_path, "for n in range(50): (out / str(n)).touch()")
    asked = []

    def away(_: str, target: str, __: object) -> storage.Entry:
        asked.append(target)
        raise UnavailableError("no answer from Cloud Storage")

    monkeypatch.setattr(storage, "copy", away)
    assert evaluated(folder, tmp_path).output_missing == "no answer from Cloud Storage"
    assert len(asked) < 50, "each of them would wait for 15 minutes"


def test_a_fault_that_is_nobodys_mistake_costs_no_value(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_folder(root, tmp_path, "(out / 'w').touch()")

    def broken(*_: object) -> storage.Entry:
        raise RuntimeError

    monkeypatch.setattr(storage, "copy", broken)
    monkeypatch.setattr(storage, "digest", broken)
    assert evaluated(folder, tmp_path).output_missing == "RuntimeError"


def test_a_machine_that_is_taken_away_while_files_are_sent_keeps_the_value(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfp_bayesopt.trial.output_files.SECONDS_TO_SEND", 0.0)
    folder = a_folder(f"{bucket}/s", tmp_path, "for n in range(30): (out / str(n)).touch()")
    copy, sent = storage.copy, []
    with Sessions() as sessions:

        def told_to_stop(source: str, target: str, *more: Any) -> storage.Entry:
            sessions.stop()
            sent.append(target)
            return copy(source, target, *more)

        monkeypatch.setattr(storage, "copy", told_to_stop)
        record = run_trial(folder, 1, tmp_path, sessions)
    assert record is not None
    assert (record.state, record.value) == ("completed", 2.5)
    assert record.output_missing == "its process was told to stop before all files were kept"
    assert len(sent) < 30


def test_a_large_model_here_does_not_hold_up_a_process_that_is_told_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfp_bayesopt.trial.output_files.SECONDS_TO_SEND", 0.0)
    folder = a_folder(str(tmp_path / "out"), tmp_path, "(out / 'w').write_bytes(bytes(60 << 20))")
    read_range, starts = local.read_range, []
    with Sessions() as sessions:

        def told_to_stop(uri: str, start: int, count: int) -> bytes:
            sessions.stop()
            starts.append(start)
            return read_range(uri, start, count)

        monkeypatch.setattr(local, "read_range", told_to_stop)
        record = run_trial(folder, 1, tmp_path, sessions)
    assert record is not None
    assert (record.state, record.value) == ("completed", 2.5)
    assert record.output_missing == "its process was told to stop before all files were kept"
    assert starts == [0]


def test_the_list_of_files_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_folder(str(tmp_path / "out"), tmp_path, "(out / 'w').touch()")
    create, full = storage.create, iter([True, False])

    def without_room(uri: str, content: bytes) -> None:
        if uri == folder.manifest_uri(1, 1) and next(full):
            raise NoRoomError(f"{uri}: no room")
        create(uri, content)

    monkeypatch.setattr(storage, "create", without_room)
    assert evaluated(folder, tmp_path).output_missing is None
    assert [file.name for file in manifest_of(folder).files] == ["w"]


def test_a_file_that_changes_while_it_is_sent_is_sent_again_or_named(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "w"
    source.write_bytes(bytes(9 << 20))
    read_range, times = local.read_range, [0]

    def write_meanwhile(uri: str, start: int, count: int) -> bytes:
        part = read_range(uri, start, count)
        if uri == str(source) and times[0] > 0:
            times[0] -= 1
            os.utime(source, ns=(0, times[0]))
        return part

    monkeypatch.setattr(local, "read_range", write_meanwhile)
    times[0] = 1
    assert storage.copy(str(source), f"{bucket}/once").md5 == hashlib.md5(source.read_bytes()).hexdigest()
    times[0] = 1000
    with pytest.raises(UserError) as raised:
        storage.copy(str(source), f"{bucket}/always")
    assert raised.value.message == f"{source}: changes while it is read; end what writes to it, then copy it again"
    assert [entry.uri for entry in storage.entries(f"{bucket}/")] == [f"{bucket}/once"]


def test_files_of_an_attempt_that_was_killed_are_not_mixed_into_the_model(root: str, tmp_path: Path) -> None:
    folder = a_folder(root, tmp_path, "(out / 'w').write_text('2')")
    storage.create(f"{folder.output_uri(1, 1)}/old", b"of attempt 1")
    storage.create(folder.claim_uri(1, 1), b"{}")
    with Sessions() as sessions:
        record = run_trial(folder, 1, tmp_path, sessions)
    assert record is not None
    assert record.attempt == 2
    files, _ = fetched(folder, tmp_path)
    assert files == {"w": b"2"}


@pytest.mark.parametrize("place", ["here", "bucket"])
def test_a_large_model_is_never_held_in_memory(place: str, bucket: str, tmp_path: Path) -> None:
    target = f"{bucket}/large" if place == "bucket" else str(tmp_path / "copy")
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate(96 << 20)
    # In a process of its own, whose most memory is that of the copy.
    code = (
        "import resource, sys; from kfp_bayesopt.store import storage; storage.store_of('gs://b/o')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "storage.copy(sys.argv[1], sys.argv[2])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(source), target], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60_000, "kB more than before"
    assert storage.stat(target).size == 96 << 20


def test_ten_thousand_small_files_are_kept(tmp_path: Path) -> None:
    lines = ["for n in range(10_000): (out / f'{n:05d}').write_text(str(n))"]
    folder = a_folder(str(tmp_path / "out"), tmp_path, *lines)
    assert evaluated(folder, tmp_path).output_missing is None
    assert len(manifest_of(folder).files) == 10_000
    assert storage.stat(folder.record_uri(1, 1)).size < 2000, "records are read by everybody, again and again"


# --- older versions ------------------------------------------------------------------------------

OLDER = Path(__file__).parents[2] / "data" / "keys-of-records.json"
"""The keys that a record had before trials kept a list of their files."""


def test_an_older_version_reads_the_records_of_trials_that_have_kept_their_files(root: str, tmp_path: Path) -> None:
    folder = a_folder(root, tmp_path, "(out / 'w').touch()")
    record = evaluated(folder, tmp_path)
    assert json.loads(record.to_line()).keys() <= set(json.loads(OLDER.read_text()))


def test_an_older_version_refuses_the_record_of_a_trial_whose_files_are_missing(root: str, tmp_path: Path) -> None:
    folder = a_folder(root, tmp_path, r"(out / 'back\\slash').touch()")
    record = evaluated(folder, tmp_path)
    # It refuses any key that it does not know, by its name.
    assert json.loads(record.to_line()).keys() - set(json.loads(OLDER.read_text())) == {"output_missing"}
