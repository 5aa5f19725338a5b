"""Runs notebooks without a browser, in the environment of a person who has installed the wheel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.installed import Installed

SECONDS = 300
"""How long a cell may take."""


def run_cells(cells: Sequence[str], folder: Path, installed: Installed, **variables: str) -> list[list[Any]]:
    """Run cells in a kernel of their own, which runs in a folder with variables, and return their outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: One raises.
    """
    made: Any = nbformat.v4  # its functions have no types
    notebook = made.new_notebook(cells=[made.new_code_cell(cell) for cell in cells])
    run_notebook(notebook, folder, installed, **variables)
    return [cell.outputs for cell in notebook.cells]


def run_notebook(notebook: Any, folder: Path, installed: Installed, **variables: str) -> None:
    """Run a notebook from its first to its last cell, and put the outputs into it."""
    manager = AsyncKernelManager(transport="ipc", ip=str(folder / ".kernel"))
    python = str(installed.folder / "bin" / "python")
    manager._kernel_spec = KernelSpec(argv=[python, "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    client = NotebookClient(notebook, km=manager, timeout=SECONDS, resources={"metadata": {"path": str(folder)}})
    client.execute(cleanup_kc=True, env=installed.environment | variables)


def shown(outputs: Sequence[Any]) -> str:
    """Return what is below a cell as text: what it printed, and what it displays."""
    return "".join(each.get("text") or each.get("data", {}).get("text/plain", "") for each in outputs)


def printed(outputs: Sequence[Any]) -> str:
    """Return what a cell printed on standard output."""
    return "".join(each["text"] for each in outputs if each.get("name") == "stdout")


def ledger(root: Path) -> list[dict[str, Any]]:
    """What the trials of a study are, in the order of their numbers."""
    return [
        {
            "trial": record["trial"],
            "attempt": record["attempt"],
            "parameters": record["parameters"],
            "state": record["state"],
            "values": record["values"],
            "reason": record.get("reason", {}).get("message"),
        }
        for record in map(json.loads, (root / "trials.jsonl").read_text().splitlines())
    ]
