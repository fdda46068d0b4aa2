"""Notebooks read a finished run from top to bottom, define nothing, and are kept without output."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore")  # those of the kernel, not ours
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_runs_on_a_finished_run(path, finished, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    book = nbformat.read(path, as_version=4)
    NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(finished)}}
    ).execute()
    tables = [cell for cell in book.cells if cell.cell_type == "code" and cell.outputs]
    assert len(tables) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_defines_nothing_and_carries_no_output(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        if cell.cell_type == "code":
            assert not any(
                line.startswith(("def ", "class ", "!", "%")) for line in cell.source.splitlines()
            )


def test_there_is_one():
    assert NOTEBOOKS
