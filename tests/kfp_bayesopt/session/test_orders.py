"""What `run`, `run-kfp` and `submit` write and say, in order: a new study, one that goes on, is refused, fails, stops.

Trials, KFP's engine and the cluster are stand-ins; commands, folders and the bucket are real. The lists are golden: a
change of one is a change of behaviour.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import Job, end, end_of, list_jobs
from kfp_bayesopt.folder.lock import locked
from kfp_bayesopt.folder.publish import publish
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Reason, Record
from kfp_bayesopt.proposing.batches import begin
from kfp_bayesopt.session import following
from kfp_bayesopt_pipeline.places import batches, kfp_local, kfp_service
from tests.builders import a_record, write_study
from tests.fake_storage import BUCKET
from tests.kfp_stand_in import KfpStandIn
from tests.proofs.faulty_storage import Door, Exchange, pass_on

pytestmark = pytest.mark.filterwarnings("ignore")  # of the client libraries, in their own code

X = {"x": {"type": "real", "low": 0.0, "high": 1.0}}
# In what differs from run to run.
ALIKE = [
    (r"branin-\d{8}-\d{6}-[0-9a-f]{4}", "JOB"),
    (r"[0-9a-f]{64}", "SHA256"),
    (r"branin/[0-9a-f]{12,16}/", "branin/FINGERPRINT/"),
    (r"\d{4}-\d\d-\d\dT[0-9:.+-]+", "TIME"),
    (r"\d\d:\d\d:\d\d", "TIME"),
    (r"[a-z0-9_-]+@[A-Za-z0-9.-]+(?= at TIME)", "ME"),
    (r"127\.0\.0\.1:\d+", "HOST"),
    (r"x=[0-9.]+", "x=X"),
    (r"  value [0-9.e-]+  best [0-9.e-]+", "  value V  best V"),
    (r"(best value|  x =|--x=) ?[0-9.e-]+", r"\1 V"),
    (r"process \d+ on .*?(?=[,;])", "process PID on HERE"),
]


class Story:
    """What happens, in order: files by their names below the study folder, lines of standard output and error."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.root: Path | None = None

    def told(self, tmp_path: Path, bucket: str = "") -> list[str]:
        """Return the events in words that are the same each time."""
        words = []
        for event in self.events:
            for own, name in ((str(tmp_path), "HERE"), (bucket, "BUCKET")):
                event = event.replace(own, name) if own else event
            for pattern, name in ALIKE:
                event = re.sub(pattern, name, event)
            words.append(event)
        return words


class Heard(io.StringIO):
    """A standard stream, each of whose lines is an event."""

    def __init__(self, story: Story, mark: str) -> None:
        super().__init__()
        self._story, self._mark, self._begun = story, mark, ""

    def write(self, text: str) -> int:
        """Make an event of each line that is whole."""
        *lines, self._begun = (self._begun + text).split("\n")
        self._story.events += [f"{self._mark} {line}".rstrip() for line in lines]
        return len(text)


_listening: list[Story] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _listening and event in ("os.link", "os.rename"):
        story, path = _listening[-1], Path(os.fsdecode(arguments[1]))
        is_new = event == "os.rename" or not path.exists()
        if is_new and story.root is not None and path.is_relative_to(story.root):
            story.events.append(path.relative_to(story.root).as_posix())


sys.addaudithook(_hear)  # it cannot be taken away, and hears nothing but in these tests


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    """Return the story of the commands of a test, which run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # KFP's client keeps settings there
    told = signal.getsignal(signal.SIGTERM)
    heard = Story()
    _listening.append(heard)
    yield heard
    _listening.remove(heard)
    signal.signal(signal.SIGTERM, told)


def call(story: Story, *words: str, root: Path | None = None) -> int:
    """Run a command in this process, and return its exit code; a mistake of the person is shown as ever."""
    story.events, story.root = [], root
    streams, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), Heard(story, ">"), Heard(story, "!")
    try:
        cli.main(list(words), prog_name="python -m pipeline")
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        sys.stdout, sys.stderr = streams
        story.root = None
    return 0


def record_of(folder: StudyFolder, trial: int, job: Job, **changes: Any) -> Record:
    """Return the record of a trial that was proposed, with a value that follows from its parameters."""
    suggestion = folder.read_suggestion(trial)
    value = (float(str(suggestion.parameters["x"])) - 0.3) ** 2
    asked = {"iteration": suggestion.iteration, "parameters": suggestion.parameters, "code": job.code, **changes}
    return a_record(folder.study, trial, None if "reason" in changes else value, **asked)


Happens = Callable[[int], dict[str, Any] | None]


@pytest.fixture
def evaluates(monkeypatch: pytest.MonkeyPatch) -> Callable[[Happens], None]:
    """Return a function that says what happens to each trial: changes of its record, or what it raises."""

    def put(happens: Happens) -> None:
        def run_trial(folder: StudyFolder, trial: int, _code: Path, _sessions: Any, job: Job, *_: Any) -> Record:
            record = record_of(folder, trial, job, **(happens(trial) or {}))
            folder.write_record(record)
            return record

        monkeypatch.setattr(batches, "run_trial", run_trial)

    put(lambda _: None)
    return put


def a_study_here(folder: Path, **changes: Any) -> str:
    given = {"space": X, "optimizer": {"engine": "random", "random_state": 1}, **changes}
    return str(write_study(folder, "def objective(x):\n    return x\n", **given))


def _raises(raised: BaseException) -> Callable[[int], None]:
    """Let the second trial raise something."""

    def happens(trial: int) -> None:
        if trial == 2:
            raise raised

    return happens


# --- run ---------------------------------------------------------------------------------------

BEGIN = "> branin: minimize mine:objective, 2 iterations of 2 trials, 1 at a time; results in HERE/out"
OPENED = ["study/SHA256.yaml", "jobs/JOB.json"]
RESULTS = ["trials.jsonl", "failures.json", "best.json", "summary.md"]
END = "jobs/JOB/ended.json"


def line(trial: int, result: str = "value V  best V") -> str:
    return f"> iteration {(trial + 1) // 2}/2  trial {trial}/4  x=X  {result}"


def proposed(*trials: int) -> list[str]:
    return [f"trials/{trial:06d}/suggestion.json" for trial in trials]


def evaluated(*trials: int) -> list[str]:
    return [event for trial in trials for event in (f"trials/{trial:06d}/record-1.json", line(trial))]


def apart(told: list[str]) -> tuple[list[str], list[str]]:
    """Return what was written, and what was said: the next trial may end before the line of the last one is printed."""
    return [each for each in told if not each.startswith(">")], [each for each in told if each.startswith(">")]


def run(story: Story, tmp_path: Path, *options: str, **changes: Any) -> int:
    study = a_study_here(tmp_path / "own", **changes)
    return call(story, "run", study, "--out", str(tmp_path / "out"), "--jobs", "1", *options, root=tmp_path / "out")


def ends_in(root: str) -> list[tuple[str, str | None, str] | None]:
    """Return how the jobs of a study have ended: state, reason and step."""
    ends = (end_of(root, job.job) for job in list_jobs(root))
    return [None if each is None else (each.state, each.reason, each.step) for each in ends]


@pytest.mark.usefixtures("evaluates")
def test_run_begins_a_study(story: Story, tmp_path: Path) -> None:
    assert run(story, tmp_path) == 0
    told = story.told(tmp_path)
    assert apart(told[: told.index("> best value V")]) == apart([
        *OPENED, BEGIN, *proposed(1, 2), *evaluated(1, 2), *proposed(3, 4), *evaluated(3, 4), *RESULTS, "report.html",
        END, ">",
    ])  # fmt: skip
    assert told[-1] == "> report HERE/out/report.html"
    assert ends_in(f"{tmp_path}/out") == [("succeeded", None, "report")]
    assert not (tmp_path / "out" / ".lock").exists()


@pytest.mark.usefixtures("evaluates")
def test_run_goes_on(story: Story, tmp_path: Path) -> None:
    assert run(story, tmp_path, iterations=1) == 0
    assert run(story, tmp_path) == 0
    told = story.told(tmp_path)
    assert apart(told[: told.index("> best value V")]) == apart([
        *OPENED, BEGIN, line(1), line(2), *proposed(3, 4), *evaluated(3, 4), *RESULTS, "report.html", END,
        "> 2 of these trials were in HERE/out already; --fresh (make: FRESH=1) starts over", ">",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("study", "holds another study, 'branin' ("),
        ("code", "source files of the study's folder have changed since 2 trials were evaluated"),
        ("ended", "has no job 'other'; its last ones are JOB"),
    ],
)
@pytest.mark.usefixtures("evaluates")
def test_run_is_refused_before_anything_is_written(story: Story, tmp_path: Path, change: str, why: str) -> None:
    assert run(story, tmp_path, iterations=1) == 0
    if change == "code":
        (tmp_path / "own" / "more.py").write_text("x = 1\n")
    options = ["--ended", "other"] if change == "ended" else []
    changes = {"space": {"x": {**X["x"], "high": 2.0}}} if change == "study" else {}
    assert run(story, tmp_path, *options, **changes) == 1
    (refused,) = story.told(tmp_path)
    assert refused.startswith(f"! Error: HERE/out: {why}")


@pytest.mark.usefixtures("evaluates")
def test_run_waits_for_nobody_who_holds_the_folder(story: Story, tmp_path: Path) -> None:
    with locked(str(tmp_path / "out")):
        assert run(story, tmp_path) == 1
    assert story.told(tmp_path) == [
        "! Error: HERE/out: another run is writing there; wait for it, or give another folder"
    ]


def test_run_whose_trials_fail_alike_reports_it(
    story: Story, tmp_path: Path, evaluates: Callable[[Happens], None]
) -> None:
    reason = Reason(kind="raised", message="ValueError: no")
    evaluates(lambda _: {"reason": reason})
    assert run(story, tmp_path) == 1
    *told, last = story.told(tmp_path)
    failed = "failed: ValueError: no  best none"
    assert told == [
        *OPENED, BEGIN, *proposed(1, 2), "trials/000001/record-1.json", line(1, failed), "trials/000002/record-1.json",
        line(2, failed), ">     as trial 1", *RESULTS, END, *RESULTS, "report.html",
        "> 2 trials failed:", ">   trials 1, 2: ValueError: no", "> report HERE/out/report.html",
    ]  # fmt: skip
    why = "trials 1 and 2, the first two to end, failed alike: ValueError: no; mend it and run the same command again"
    assert last.startswith(f"! Error: {why}")
    assert ends_in(f"{tmp_path}/out") == [("failed", last.removeprefix("! Error: "), "in-process")]


STOPPED = "! stopped after 1 trials; the same command goes on from here"


@pytest.mark.parametrize(
    ("raised", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)], ids=["interrupted", "told"]
)
def test_run_is_stopped(
    story: Story, tmp_path: Path, evaluates: Callable[[Happens], None], raised: BaseException, code: int
) -> None:
    evaluates(_raises(raised))
    assert run(story, tmp_path) == code
    assert story.told(tmp_path) == [*OPENED, BEGIN, *proposed(1, 2), *evaluated(1), *RESULTS, STOPPED, END]
    why = f"it was stopped ({type(raised).__name__})"
    assert ends_in(f"{tmp_path}/out") == [("failed", why, "submit")]


def test_a_run_that_was_stopped_is_no_verdict_on_its_study(
    story: Story, tmp_path: Path, evaluates: Callable[[Happens], None]
) -> None:
    evaluates(_raises(KeyboardInterrupt()))
    assert run(story, tmp_path) == 130
    assert call(story, "report", str(tmp_path / "own" / "study.yaml"), "--out", str(tmp_path / "out")) == 1
    assert story.told(tmp_path) == ["! Error: 1 of 4 trials have ended; run the same command again to finish"]


def test_run_that_has_a_fault_shows_it(story: Story, tmp_path: Path, evaluates: Callable[[Happens], None]) -> None:
    evaluates(_raises(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        run(story, tmp_path)
    assert story.told(tmp_path) == [*OPENED, BEGIN, *proposed(1, 2), *evaluated(1), *RESULTS, END]
    assert ends_in(f"{tmp_path}/out") == [("failed", "it was stopped (ZeroDivisionError)", "submit")]


# --- run-kfp -----------------------------------------------------------------------------------


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Happens], None]:
    """Return a function that says what happens in the containers of KFP's engine."""

    def put(happens: Happens) -> None:
        def containers(_compiled: Path, root: Path, job: str) -> None:
            folder = study_folder(str(root))
            known = next(each for each in list_jobs(str(root)) if each.job == job)
            begin(folder, folder.read(), known)
            for trial in (1, 2):
                folder.write_record(record_of(folder, trial, known, **(happens(trial) or {})))
            publish(folder, folder.read().ledger)
            end(str(root), job, "succeeded", None, "report")

        monkeypatch.setattr(kfp_local, "run", containers)

    monkeypatch.setattr(following, "SECONDS_BETWEEN_LOOKS", 600.0)  # the first look and the last
    put(lambda _: None)
    return put


def in_image(images: Path) -> dict[str, Any]:
    """Return the keys of a study that is evaluated in an image which has its code."""
    return {"steps": {"evaluate": {"image": json.loads(images.read_text())["evaluate"]}}}


def run_kfp(story: Story, tmp_path: Path, images: Path, *options: str, **changes: Any) -> int:
    study = a_study_here(tmp_path / "own", **{"iterations": 1, **in_image(images), **changes})
    where = ["--images", str(images), "--out", str(tmp_path / "out")]
    return call(story, "run-kfp", study, *where, *options, root=tmp_path / "out")


BEGIN_1 = "> branin: minimize mine:objective, 1 iterations of 2 trials, 2 at a time; results in HERE/out"
TRIALS_1 = [f"> iteration 1/1  trial {trial}/2  x=X  value V  best V" for trial in (1, 2)]
STOPPED_1 = [*OPENED, BEGIN_1, *proposed(1, 2), "trials/000001/record-1.json", TRIALS_1[0]]


@pytest.mark.usefixtures("engine")
def test_run_kfp_begins_a_study(story: Story, tmp_path: Path, images: Path) -> None:
    assert run_kfp(story, tmp_path, images) == 0
    told = story.told(tmp_path)
    records = ["trials/000001/record-1.json", "trials/000002/record-1.json"]
    assert told[: told.index("> best value V")] == [
        *OPENED, BEGIN_1, *proposed(1, 2), *records, *RESULTS, END, *TRIALS_1, ">",
    ]  # fmt: skip
    assert told[-1] == "> report HERE/out/report.html"
    assert ends_in(f"{tmp_path}/out") == [("succeeded", None, "report")]


@pytest.mark.usefixtures("engine")
def test_run_kfp_goes_on(story: Story, tmp_path: Path, images: Path) -> None:
    assert run_kfp(story, tmp_path, images) == 0
    assert run_kfp(story, tmp_path, images) == 0
    told = story.told(tmp_path)
    assert told[: told.index("> best value V")] == [
        "jobs/JOB.json", BEGIN_1, *TRIALS_1, *RESULTS, END,
        "> 2 of these trials were in HERE/out already; --fresh (make: FRESH=1) starts over", ">",
    ]  # fmt: skip


@pytest.mark.usefixtures("engine")
def test_run_kfp_is_refused_before_anything_is_written(story: Story, tmp_path: Path, images: Path) -> None:
    assert run_kfp(story, tmp_path, images) == 0
    assert run_kfp(story, tmp_path, images, space={"x": {**X["x"], "high": 2.0}}) == 1
    (refused,) = story.told(tmp_path)
    assert refused.startswith("! Error: HERE/out: holds another study, 'branin' (")


@pytest.mark.parametrize(
    ("raised", "code", "said", "reason"),
    [
        (KeyboardInterrupt(), 130, [STOPPED, END, "!"], "it was stopped (KeyboardInterrupt)"),
        (SystemExit(143), 143, [STOPPED, END], "it was stopped (SystemExit)"),
        (UserError("no step has said why"), 1, [END, "! Error: no step has said why"], "no step has said why"),
    ],
    ids=["interrupted", "told", "failed"],
)
def test_run_kfp_that_ends_before_its_steps_have_said_why(
    story: Story, tmp_path: Path, images: Path, engine: Callable[[Happens], None], raised: BaseException, code: int,
    said: list[str], reason: str,
) -> None:  # fmt: skip
    engine(_raises(raised))
    assert run_kfp(story, tmp_path, images) == code
    assert story.told(tmp_path) == [*STOPPED_1, *said]
    assert ends_in(f"{tmp_path}/out") == [("failed", reason, "submit")]


# --- submit ------------------------------------------------------------------------------------


@pytest.fixture
def cluster() -> Iterator[KfpStandIn]:
    stand_in = KfpStandIn()
    yield stand_in
    stand_in.stop()


def submit(
    story: Story, tmp_path: Path, images: Path, cluster: KfpStandIn, faulty: Door, *options: str, **changes: Any
) -> int:
    def hear(exchange: Exchange) -> None:
        if exchange.operation in ("create", "replace") and exchange.name and "/.bayesopt-prob" not in exchange.name:
            story.events.append(exchange.name)
        pass_on(exchange)

    faulty.close_after(1, hear, stays=True)
    study = a_study_here(tmp_path / "own", **in_image(images), **changes)
    where = ["--target", "kfp", "--host", cluster.host, "--pipeline-root", f"{BUCKET_URI}/own", "--every", "0.01"]
    try:
        return call(story, "submit", study, "--images", str(images), *where, *options)
    finally:
        faulty.open()


BUCKET_URI = f"gs://{BUCKET}"
PLAN = "! plan: how long a trial takes is not known; `make plan TRIAL_MINUTES=5` tells more"
ROOT = "own/studies/branin/FINGERPRINT/0001"
ASKED = "! 2 pods at once, without a request of CPU or memory (steps.evaluate.request)"
THERE = [ASKED, PLAN, *(f"{ROOT}/{name}" for name in OPENED)]
RUN = "00000000-0000-4000-8000-000000000001"
SUBMITTED = [
    f"{ROOT}/jobs/JOB/submitted.json", f"> job {RUN}", f"> http://HOST/#/runs/details/{RUN}",
    f"> study folder BUCKET/{ROOT}",
]  # fmt: skip


TASKS = (
    "init, iteration 1: evaluate, iteration 1: update, iteration 2: evaluate, iteration 2: update, report, "
    "report at the end"
)


def ends_there(cluster: KfpStandIn) -> list[tuple[str, str | None, str] | None]:
    return ends_in(str(cluster.runs[-1]["runtime_config"]["parameters"]["root"]))


def test_submit_begins_a_study_and_refuses_a_second_job(
    story: Story, tmp_path: Path, images: Path, cluster: KfpStandIn, faulty: Door
) -> None:
    assert submit(story, tmp_path, images, cluster, faulty) == 0
    assert story.told(tmp_path, BUCKET_URI) == [*THERE, *SUBMITTED]
    assert ends_there(cluster) == [None]  # it runs
    assert submit(story, tmp_path, images, cluster, faulty) == 1
    *before, refused = story.told(tmp_path, BUCKET_URI)
    assert before == [ASKED, PLAN]
    assert refused.startswith(f"! Error: BUCKET/{ROOT}: job JOB has not ended (kfp, submitted by ")


def test_submit_that_is_refused_there_ends_its_job(
    story: Story, tmp_path: Path, images: Path, cluster: KfpStandIn, faulty: Door
) -> None:
    cluster.refusal = 400
    assert submit(story, tmp_path, images, cluster, faulty) == 1
    assert story.told(tmp_path, BUCKET_URI) == [
        *THERE, f"{ROOT}/{END}", "! Error: http://HOST: refused: 400 Bad Request",
    ]  # fmt: skip


def test_submit_without_an_answer_leaves_its_job_open(
    story: Story, tmp_path: Path, images: Path, cluster: KfpStandIn, faulty: Door
) -> None:
    cluster.refusal = 503
    assert submit(story, tmp_path, images, cluster, faulty) == 1
    assert story.told(tmp_path, BUCKET_URI) == [
        *THERE,
        "! Error: http://HOST: no answer from the cluster (503 Service Unavailable); whether it has job JOB is not "
        "known: look there, and say ENDED=JOB if it has not",
    ]


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [(KeyboardInterrupt(), 130, ["!"]), (SystemExit(143), 143, [])],
    ids=["interrupted", "told"],
)
def test_submit_that_is_stopped_ends_its_job(
    story: Story, tmp_path: Path, images: Path, cluster: KfpStandIn, faulty: Door, monkeypatch: pytest.MonkeyPatch,
    raised: BaseException, code: int, said: list[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(kfp_service.Service, "submit", lambda *_: _raises(raised)(2))
    assert submit(story, tmp_path, images, cluster, faulty) == code
    assert story.told(tmp_path, BUCKET_URI) == [*THERE, f"{ROOT}/{END}", *said]


def test_submit_follows_a_job_and_leaves_its_end_to_its_steps(
    story: Story, tmp_path: Path, images: Path, cluster: KfpStandIn, faulty: Door
) -> None:
    cluster.states = ["RUNNING", "FAILED"]
    assert submit(story, tmp_path, images, cluster, faulty, "--wait") == 1
    *told, last = story.told(tmp_path, BUCKET_URI)
    assert told == [
        *THERE, *SUBMITTED,
        f"> branin: minimize mine:objective, 2 iterations of 2 trials, 2 at a time; results in BUCKET/{ROOT}",
        f"> TIME  {RUN}: RUNNING", f"> TIME  not run: {TASKS}", f"> TIME  {RUN}: FAILED",
    ]  # fmt: skip
    assert last.startswith(f"! Error: job {RUN}: FAILED: a pod has failed; KFP's API does not say why: ")
    assert ends_there(cluster) == [None]
