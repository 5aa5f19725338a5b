"""Makes the pictures of the documents from the program itself: `make pictures`."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console

import kfp_bayesopt_pipeline  # noqa: F401 - it makes the packages of the steps importable
from kfp_bayesopt.cli.views import Screen
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.lines import Lines
from kfp_bayesopt.session.progress import Progress
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places import in_process as local
from tests import ROOT
from tests.browser import a_browser

STUDY = ROOT / "studies" / "digits" / "study.yaml"
PICTURES = ROOT / "docs" / "pictures"
SHOWN = 11
RUNNING = 2


def main() -> None:
    """Run the study and take its pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "digits"
        local.run(str(STUDY), str(root), 2, local.Options(), Lines(click.echo))
        with a_browser() as browser:
            for scheme in ("light", "dark"):
                page = browser.new_page(
                    viewport={"width": 1200, "height": 1180},
                    color_scheme="dark" if scheme == "dark" else "light",
                )
                page.goto((root / "report.html").as_uri())
                page.wait_for_selector("main[data-drawn]")
                page.screenshot(path=PICTURES / f"report-{scheme}.png")
            page = browser.new_page(device_scale_factor=1)
            page.set_content(f"<style>body {{ margin: 0 }}</style>{terminal(str(root))}")
            page.locator("svg").screenshot(path=PICTURES / "terminal.png")


def terminal(root: str, width: int = 80) -> str:
    """Return a terminal as SVG in which a study runs: its trials again, up to some of them."""
    study = Study.from_file(str(STUDY))
    trials = StudyFolder(root, study).read()
    console = Console(record=True, width=width, force_terminal=True, file=io.StringIO(), color_system="truecolor")
    view = Screen(console, moves=False)
    progress = Progress(study, "out/digits", RUNNING, view)
    for record in trials.ledger[:SHOWN]:
        progress.show(record, kept=False)
    for record in trials.ledger[SHOWN : SHOWN + RUNNING]:
        progress.begin(record.trial, record.parameters)
    time.sleep(2.5)
    console.print(view.below())
    return console.export_svg(title="make run STUDY=studies/digits")


if __name__ == "__main__":
    main()
