"""What a report leaves out."""

from __future__ import annotations

import pytest

from kfp_bayesopt.report.privacy import Privacy
from tests.builders import a_record, a_study

RECORD = a_record(a_study(), worker="gpu-vm-17:4711", machine="gpu-vm-17")
PRIVACY = Privacy([RECORD], {"build-host"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("FileNotFoundError: '/srv/ann/data/train.csv'", "FileNotFoundError: '…/train.csv'"),
        ("cannot read gs://secret-bucket/runs/1/model.pt now", "cannot read …/model.pt now"),
        ("see https://wiki.example.com/errors", "see …/errors"),
        ("https://example.com", "…"),
        (r"C:\Users\ann\data.csv is missing", "…/data.csv is missing"),
        ("~/data/x.csv and ../other/y.csv", "…/x.csv and …/y.csv"),
        ("lost gpu-vm-17:4711", "lost …"),
        ("lost gpu-vm-17, then build-host", "lost …, then …"),
        ("connect to 10.0.0.7:5432 failed", "connect to … failed"),
        ("db-1.europe-west1-b.c.my-project.internal refused", "… refused"),
        ("ask ann@example.com", "ask …"),
    ],
)
def test_hosts_paths_and_addresses_are_left_out(text: str, shown: str) -> None:
    assert PRIVACY.text(text) == shown
    assert Privacy([RECORD], full=True).text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "ValueError: 3/4 of and/or 1.5 is nan", "x = -1e-05", "relu", "</script><b>", "torch.nn.Linear(3, 4)",
        "module 'a.b' has no attribute 'c'", "exit status 137", "12:30:59", "مرحبا 🚀",
    ],
)  # fmt: skip
def test_everything_else_stays(text: str) -> None:
    assert PRIVACY.text(text) == text


def test_a_short_name_of_a_machine_is_no_part_of_a_word() -> None:
    assert Privacy([a_record(a_study(), machine="lab")]).text("label of lab") == "label of …"


def test_choices_can_still_be_told_apart() -> None:
    assert PRIVACY.texts(["/a/x.csv", "/b/x.csv", "y"]) == ["…/x.csv", "…/x.csv (2)", "y"]
