"""What an objective is given as its data is known by the digest of its content, wherever it lies."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.data import MOST_BYTES, Data, read_data
from kfp_bayesopt.store import storage

FILES = {"train/a.csv": b"1,2\n", "train/b.csv": b"3,4\n", "labels.json": b"[]"}


def _digest(given: str, uri: str = "", folder: Path | None = None) -> str:
    found = read_data(given, uri, folder)
    assert found is not None
    return found.digest


def _fill(folder: str, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        storage.create(f"{folder}/{name}", content)
    return folder


def _refusal(given: str, uri: str = "", folder: Path | None = None) -> str:
    with pytest.raises(UserError) as raised:
        read_data(given, uri, folder)
    return raised.value.message


def test_without_a_text_there_is_no_data() -> None:
    assert read_data("") is None


@pytest.mark.parametrize(
    "text",
    [
        "seven",
        "stanfordnlp/imdb",
        "bq://project.dataset.table",
        "https://storage.googleapis.com/public/a.csv",
        '{"a": [1]}',
        "a\n/b",
        "ü",
    ],
)
def test_a_text_is_its_own_content(text: str, tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        found = read_data(text, folder=folder)
        assert found == Data(given=text, digest=hashlib.sha256(text.encode()).hexdigest())


@pytest.mark.parametrize("store", ["bucket", "s3_bucket"])
def test_a_folder_is_known_by_the_content_of_its_files_wherever_it_is(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue(store)
    here = _fill(str(tmp_path / "data"), FILES)
    there = _fill(f"{place}/data", FILES)
    assert len({_digest(here), _digest(there), _digest(f"{there}/")}) == 1
    assert _digest(_fill(f"{place}/copy", FILES)) == _digest(there), "its name is not in it"


@pytest.mark.long
def test_azure_says_of_an_object_when_it_was_written_and_not_what_it_holds(az_bucket: str) -> None:
    there = _fill(f"{az_bucket}/data", FILES)
    assert _digest(there) == _digest(there)
    assert _digest(_fill(f"{az_bucket}/copy", FILES)) != _digest(there)


@pytest.mark.parametrize(
    "changed",
    [
        FILES | {"labels.json": b"{}"},
        FILES | {"more": b""},
        {"train/a.csv": FILES["train/a.csv"], "labels.json": FILES["labels.json"]},
        {"train/a.csv": FILES["train/b.csv"], "train/b.csv": FILES["train/a.csv"], "labels.json": FILES["labels.json"]},
        {f"x/{name}": content for name, content in FILES.items()},
    ],
)
def test_other_content_or_other_names_are_other_data(changed: dict[str, bytes], tmp_path: Path, bucket: str) -> None:
    for above in (str(tmp_path), bucket):
        before = _digest(_fill(f"{above}/data", FILES))
        assert _digest(_fill(f"{above}/changed", changed)) != before


def test_a_single_file_is_known_by_its_content_alone(tmp_path: Path, bucket: str) -> None:
    storage.create(f"{bucket}/a/train.csv", b"1")
    storage.create(f"{bucket}/a/train.csv.old", b"2")
    Path(tmp_path, "other.csv").write_bytes(b"1")
    assert _digest(f"{bucket}/a/train.csv") == _digest(str(tmp_path / "other.csv"))


def test_a_path_that_a_person_names_starts_from_their_folder_and_becomes_absolute(tmp_path: Path) -> None:
    _fill(str(tmp_path / "data"), FILES)
    found = read_data("data", folder=tmp_path)
    assert found is not None
    assert (found.given, found.uri) == (str(tmp_path / "data"), None)
    assert read_data("./data", folder=tmp_path) == found
    text = read_data("data")
    assert text is not None
    assert text.given == "data", "an earlier step gives a text, whatever is in the container of the next one"


def test_an_artifact_has_a_path_in_the_container_and_the_content_of_its_uri(tmp_path: Path, bucket: str) -> None:
    uri = _fill(f"{bucket}/artifact", FILES)
    found = read_data("/minio/artifact", uri)
    assert found == Data(given="/minio/artifact", uri=uri, digest=_digest(uri))
    here = _fill(str(tmp_path / "artifact"), FILES)
    assert read_data(here, here) == Data(given=here, uri=here, digest=found.digest)


def test_an_artifact_in_a_store_that_may_not_be_listed_is_read_where_its_files_are(tmp_path: Path) -> None:
    here = _fill(str(tmp_path / "artifact"), FILES)
    found = read_data(here, "minio://mlpipeline/artifact")
    assert found == Data(given=here, uri="minio://mlpipeline/artifact", digest=_digest(here))
    assert "minio:// paths are in the store of a cluster" in _refusal("/minio/artifact", "minio://mlpipeline/artifact")


def test_what_is_not_there_is_refused_and_so_is_what_no_variable_holds(tmp_path: Path, bucket: str) -> None:
    said = "nothing is there; check its name, and the step before that writes it"
    assert _refusal(f"{bucket}/nothing") == f"data: '{bucket}/nothing': {said}"
    assert said in _refusal(str(tmp_path / "nothing"))
    assert said in _refusal("./nothing", folder=tmp_path)
    (tmp_path / "empty").mkdir()
    assert said in _refusal("empty", folder=tmp_path)
    assert said in _refusal("/minio/artifact", f"{bucket}/nothing")
    assert "the bucket" in _refusal("gs://no-such-bucket/x")
    assert "did you mean gs://bucket/x?" in _refusal("gcs://bucket/x")
    assert f"at most {MOST_BYTES:,} bytes" in _refusal("x" * (MOST_BYTES + 1))
    assert "no NUL" in _refusal("a\0b")
