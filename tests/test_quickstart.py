"""docs/quickstart.md and docs/in-your-repository.md to the letter, by the wheel, in somebody else's repository."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests import ROOT
from tests.person import Person, a_person

pytestmark = pytest.mark.long

PAGE = (ROOT / "docs" / "quickstart.md").read_text()
REPOSITORY = (ROOT / "docs" / "in-your-repository.md").read_text()
WORKFLOW = ".github/workflows/studies.yml"


def commands(title: str) -> list[str]:
    """The commands of a section of the quickstart."""
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return re.findall(r"^\$ (.*)$", section, re.MULTILINE)


def test_the_requirements_of_the_page_are_what_the_lock_has() -> None:
    lock = (ROOT / "benchmarks" / "requirements.txt").read_text()
    (required,) = re.findall(r"^```text iris/requirements.txt\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert [line for line in required.splitlines() if f"\n{line} " not in lock] == []


def test_a_machine_with_python_has_the_report_open_after_five_commands(wheel: Path, tmp_path: Path) -> None:
    assert "Five commands from a machine with Python to an open report, and three more" in PAGE
    person = a_person(PAGE, wheel, tmp_path)
    lines = commands("On your machine")
    assert len(lines) == 5
    ended = person.types(*lines[:-1], "command -v bayesopt python")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split()[-2:] == [
        f"{person.home}/.local/bin/bayesopt",
        f"{person.repository}/iris/.venv/bin/python",
    ]
    assert "\nbest value 0.9" in ended.stdout
    assert "\nreport out/iris/report.html\n" in ended.stdout
    assert {path.name for path in person.repository.iterdir()} == {".git", "iris", wheel.name, "out"}
    with person.serves(lines[1], lines[-1]) as served:
        try:
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with browser.open(person.opened()) as answer:
                page = answer.read().decode()
        finally:
            served.terminate()
    assert "<title>iris" in page


def steps() -> list[str]:
    """The lines that the checks of a pull request run."""
    (text,) = re.findall(rf"^```yaml {WORKFLOW}\n(.*?)^```$", REPOSITORY, re.DOTALL | re.MULTILINE)
    return [step["run"] for step in YAML(typ="safe").load(text)["jobs"]["iris"]["steps"] if "run" in step]


@pytest.fixture
def person(wheel: Path, tmp_path: Path) -> Person:
    """Return somebody with both pages' files; on a runner the environment of the script is that of all steps."""
    both = re.sub(r"\S*kfp_bayesopt-\S+?\.whl", "", PAGE) + REPOSITORY
    made = a_person(both, wheel, tmp_path)
    made.variables["PATH"] = (
        f"{made.home}/.local/bin:{tmp_path}/programs:{made.repository}/iris/.venv/bin:/usr/bin:/bin"
    )
    return made


def test_the_checks_of_a_pull_request_run_as_they_are_written(person: Person) -> None:
    lines = steps()
    assert [line.split()[:2] for line in lines] == [
        ["pip", "install"], ["pipx", "install"], ["bayesopt", "check"], ["bayesopt", "plan"],
    ]  # fmt: skip
    ended = person.types(*lines)
    assert ended.returncode == 0, ended.stderr
    assert "6 trials, 2 at once" in ended.stdout
    ignored = person.types("mkdir -p out && touch out/x .env && git status --porcelain --untracked-files=all").stdout
    assert [line for line in ignored.splitlines() if "out/" in line or ".env" in line or ".venv" in line] == []


def test_a_pull_request_that_breaks_the_study_is_red(person: Person) -> None:
    script = person.repository / "iris" / "train.py"
    script.write_text(script.read_text().replace("accuracy=", "score="))
    ended = person.types(*steps())
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "accuracy" in ended.stderr
