"""The page about notebooks: its cells run as they stand, from the install on, and print what it shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pip
import pytest
from nbclient.exceptions import CellExecutionError

from tests import ROOT
from tests.installed import Installed, an_environment
from tests.notebooks.kernel import printed, run_cells
from tests.test_repository import tracked

PAGE = (ROOT / "docs" / "notebooks.md").read_text()
BLOCKS = re.findall(r"^```(\w+) (\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return the environment of somebody with a kernel, scikit-learn, pandas and pip, and nothing of ours."""
    made = an_environment(tmp_path_factory.mktemp("person"), lock=ROOT / "tests" / "requirements.txt")
    (made.packages / "pip").symlink_to(Path(pip.__file__).parent)
    return made


def cells_of(notebook: str) -> tuple[list[str], list[str]]:
    """Return the cells of a notebook of the page, and what each prints."""
    cells: list[str] = []
    outputs: list[str] = []
    for language, name, text in BLOCKS:
        if name != notebook:
            continue
        if language == "python":
            cells.append(text)
            outputs.append("")
        else:
            outputs[-1] = text
    return cells, outputs


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_cells_of_the_page_run_as_they_stand_and_print_what_it_shows(
    wheel: Path, person: Installed, tmp_path: Path
) -> None:
    assert list(dict.fromkeys(name for _, name, _ in BLOCKS)) == ["first", "elsewhere", "other"]
    shutil.copy(wheel, tmp_path)
    for notebook in ("first", "other"):
        cells, outputs = cells_of(notebook)
        assert [printed(each) for each in run_cells(cells, tmp_path, person, **OFFLINE)] == outputs
    # Elsewhere needs a project, and says so before anything is sent.
    first, _ = cells_of("first")
    elsewhere, _ = cells_of("elsewhere")
    with pytest.raises(CellExecutionError, match=r"nothing was submitted:\s+pipeline_root is missing; give "):
        run_cells(
            [*first[1:2], "from kfp_bayesopt import Real, tune", first[2].splitlines()[2], *elsewhere], tmp_path, person
        )


def test_the_readme_has_the_first_three_cells_of_the_page() -> None:
    blocks = re.findall(r"^```python first\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert blocks == cells_of("first")[0][:3]


def test_every_message_of_the_page_is_one_of_the_program() -> None:
    messages = re.findall(r"^\| `([^`]+)` \|", PAGE.partition("## What to do when")[2], re.MULTILINE)
    assert len(messages) == 10
    files = [ROOT / name for name in tracked() if name.startswith(("images/", "pipeline/")) and name.endswith(".py")]
    # A message may be written in two strings, one line after another.
    sources = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in files))
    assert [message for message in messages if message not in sources] == []
