"""What of the folder of a study goes into its image, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt_pipeline.building import context
from kfp_bayesopt_pipeline.building.build import has_code
from kfp_bayesopt_pipeline.building.context import read_context
from tests.builders import X, a_study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder whose name has a space and an umlaut, with a study and its code."""
    made = tmp_path / "meine Prüfung"
    made.mkdir()
    (made / "study.yaml").write_text("name: x\n")
    (made / "train.py").write_text("print(1)\n")
    return made


def refused(folder: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        read_context(folder)
    return [line.removeprefix(f"{folder}: ") for line in caught.value.message.splitlines()]


def test_what_is_not_of_the_study_stays_out(folder: Path) -> None:
    for name in (".env", ".git/config", ".venv/bin/python", "a/__pycache__/b.pyc", "out/x", "key.pem", "Dockerfile"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("-----BEGIN PRIVATE KEY-----")
    (folder / "data").mkdir()
    (folder / "data" / "a.csv").write_text("1\n")
    found = read_context(folder)
    assert found.files == ("data/a.csv", "study.yaml", "train.py")
    assert found.size == 2 + 8 + 9


def test_a_list_of_ones_own_replaces_ours(folder: Path) -> None:
    (folder / ".dockerignore").write_text("# mine\n*.py\n!train.py\nstudy.yaml\n")
    (folder / "other.py").touch()
    (folder / "out").mkdir()
    (folder / "out" / "model").touch()
    assert read_context(folder).files == (".dockerignore", "out/model", "train.py")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("service.json", json.dumps({"type": "service_account", "private_key": "x"})),
        ("notes.txt", "-----BEGIN RSA PRIVATE KEY-----\n"),
        ("settings.ini", "aws_secret_access_key = abc\n"),
        ("train2.py", "TOKEN = 'hf_" + "a" * 34 + "'\n"),
    ],
)
def test_what_looks_like_credentials_is_refused(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    assert refused(folder) == [
        f"{name} looks like credentials, and everybody who has the image would have them; leave it out with a line in "
        ".dockerignore, give it to trials with objective.env, or say FLAGS=--allow-secrets"
    ]
    assert name in read_context(folder, allow_secrets=True).files


def test_names_of_keys_are_refused_where_a_list_of_ones_own_lets_them_in(folder: Path) -> None:
    (folder / ".dockerignore").touch()
    for name in (".env", "id_rsa", "server.key", "id_rsa.pub", ".env.example"):
        (folder / name).touch()
    assert [line.split()[0] for line in refused(folder)] == [".env", "id_rsa", "server.key"]


def test_a_large_folder_is_refused_with_its_largest_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "MOST_BYTES", 1_000_000)
    (folder / "data.bin").write_bytes(bytes(2_000_000))
    assert refused(folder) == [
        "has 2 MB, more than 1: data.bin (2 MB), train.py (0 MB), study.yaml (0 MB); leave data out with a line in "
        ".dockerignore, and have the objective fetch it"
    ]


def test_what_no_image_can_have_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").touch()
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "nothing").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    assert refused(folder) == [
        "link is a link out of the folder, which an image cannot follow; copy the file, or leave it out",
        "nothing is a link to nothing; remove it, or leave it out in .dockerignore",
        "pipe is neither a file nor a folder; leave it out in .dockerignore",
    ]


def test_the_digest_is_that_of_contents_names_and_modes(folder: Path) -> None:
    digests = [read_context(folder).digest()]
    (folder / "train.py").chmod(0o755)
    digests.append(read_context(folder).digest())
    (folder / "train.py").write_text("print(2)\n")
    digests.append(read_context(folder).digest())
    (folder / "train.py").rename(folder / "other.py")
    digests.append(read_context(folder).digest())
    digests.append(read_context(folder).digest("FROM x"))
    assert len(set(digests)) == 5
    assert read_context(folder).digest() == digests[3]


def test_a_study_has_code_where_its_objective_is_beside_it_or_an_image_is_described(tmp_path: Path) -> None:
    function = a_study(objective={"python": "mine.train:f"}, space={"x": X})
    command = a_study(objective={"command": ["python", "train.py", "{x}"]}, space={"x": X})
    assert not has_code(function, tmp_path)
    assert not has_code(command, tmp_path)
    (tmp_path / "train.py").touch()
    assert has_code(command, tmp_path)
    assert not has_code(function, tmp_path)
    (tmp_path / "mine").mkdir()
    assert has_code(function, tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "requirements.txt").touch()
    assert has_code(function, tmp_path / "other")
