"""Stores of S3 that do not keep what studies rely on: they are refused, or what they do costs no trial."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.proposing.init import init
from kfp_bayesopt.proposing.verify import verify
from kfp_bayesopt.store import probe as store_probe
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.objects.s3 import s3
from kfp_bayesopt.store.probe import probe, trust
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt.trial.working.worker import Worker
from tests.builders import study_text, write_study
from tests.proofs.faulty_storage import Door, Exchange, Fault, Reply, door, pass_on

KEY = re.compile(r"<Contents>.*?<Key>(.*?)</Key>.*?</Contents>", re.DOTALL)


@pytest.fixture
def opened(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Return a door before a bucket of S3."""
    with door(os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"), s3_bucket) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.address)
        s3.forget()
        yield found
        s3.forget()


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a long list have few objects, and a large object be small."""
    monkeypatch.setattr(store_probe, "MANY", 30)
    monkeypatch.setattr(store_probe, "LARGE", 10_001)


def every_creator_wins(exchange: Exchange) -> None:
    """Forget that an object is to be new, as SeaweedFS did for those that came at once."""
    exchange.let_it_replace()
    pass_on(exchange)


class StaleLists:
    """Answers a list with the one that was asked for before."""

    def __init__(self) -> None:
        self._before: dict[str, Reply] = {}

    def __call__(self, exchange: Exchange) -> None:
        """Answer a request."""
        answer = exchange.forward()
        exchange.reply(self._before.get(exchange.path, answer) if exchange.operation == "list" else answer)
        self._before[exchange.path] = answer


def by_folder(exchange: Exchange) -> None:
    """List as SeaweedFS 4.34 does: a folder is one name among others, also for what a list begins after."""
    if exchange.operation != "list" or "delimiter" in exchange.path:
        pass_on(exchange)
        return
    path, _, query = exchange.path.partition("?")
    asked = dict(urllib.parse.parse_qsl(query))
    begin = asked.pop("start-after", "").split("/")
    exchange.path = f"{path}?{urllib.parse.urlencode(asked)}"
    answer = exchange.forward()
    text = answer.body.decode()
    found = {each[1]: each[0] for each in KEY.finditer(text)}
    kept = [found[key] for key in sorted(found, key=lambda key: key.split("/")) if key.split("/") > begin]
    first = text.find("<Contents>") if found else len(text)
    last = text.rfind("</Contents>") + len("</Contents>") if found else len(text)
    exchange.reply(Reply(answer.status, answer.headers, (text[:first] + "".join(kept) + text[last:]).encode()))


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        (every_creator_wins, "8 of 8 that created one name at once were told that they had"),
        (StaleLists(), "list after write: a list lacked"),
    ],
)
def test_a_store_of_s3_that_loses_trials_is_refused(opened: Door, lie: Fault, what: str) -> None:
    opened.close_after(1, lie, stays=True)
    with pytest.raises(UserError) as caught:
        trust(f"{opened.bucket}/lying")
    assert what in caught.value.message
    storage.create(f"{opened.bucket}/study.yaml", study_text())
    init(f"{opened.bucket}/lying", f"{opened.bucket}/study.yaml", "job-1")
    opened.open()
    end = jobs.end_of(f"{opened.bucket}/lying", "job-1")
    assert end is not None
    assert end.state == "failed"
    assert what in (end.reason or "")
    written = [
        entry.uri.removeprefix(f"{opened.bucket}/lying/") for entry in storage.entries(f"{opened.bucket}/lying/")
    ]
    assert written == ["jobs/job-1/ended.json"]


def test_a_store_that_lists_by_folder_loses_no_name_after_any(opened: Door) -> None:
    """The prototype lost 4 of 14 there, without a word."""
    opened.close_after(1, by_folder, stays=True)
    assert probe(f"{opened.bucket}/by-folder").problem is None
    names = [
        f"{number:06d}/{name}" for number in range(1, 13) for name in ("claim-1.json", "output-1.json", "output-1/a")
    ]
    for name in names:
        storage.create(f"{opened.bucket}/trials/{name}", b"")
    raw = obstore.list(s3._store("bucket"), "trials/", offset="trials/000002/output-1.json")
    assert "trials/000002/output-1/a" not in [each["path"] for page in raw for each in page]
    prefix = f"{opened.bucket}/trials/"
    for after in (*names, *(f"{number:06d}/~" for number in range(13))):
        found = [entry.uri.removeprefix(prefix) for entry in storage.entries(prefix, prefix + after)]
        assert found == [name for name in names if name > after]


def test_a_study_on_a_store_that_lists_by_folder_has_every_trial(opened: Door, tmp_path: Path) -> None:
    opened.close_after(1, by_folder, stays=True)
    study = write_study(
        tmp_path,
        "def objective(x): return x",
        schedule="asynchronous",
        iterations=None,
        trials=12,
        space={"x": {"type": "real", "low": 0.0, "high": 9.0}},
        optimizer={"engine": "random"},
    )
    folder = StudyFolder(f"{opened.bucket}/by-folder", Study.from_file(str(study)))
    for place in (1, 2):  # the second one has nothing left to do, and reads all
        with Sessions() as sessions:
            Worker(folder, jobs.ensure_job(folder, "job-1", "study.yaml"), place, tmp_path, sessions).run()
    found = folder.read()
    assert sorted(found.records) == list(range(1, 13))
    assert {record.attempt for record in found.ledger} == {1}
    suggestions = folder.read_suggestions(folder.suggested())
    verdicts = [each.verdict for each in verify(folder.study, found.ledger, suggestions, retried=False)]
    assert verdicts == ["same"] * 12
