"""Notebooks read a finished run from top to bottom, define nothing, and are kept without output."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
import render

NAMES = [
    "01_experiment",
    "02_who_returns_and_effects",
    "03_offers_budget_campaign",
    "04_your_own_data",
    "05_one_customer",
    "06_truth",
]
MOST_CELLS = 12


def test_there_are_six():
    assert [path.stem for path in render.NOTEBOOKS] == NAMES


@pytest.mark.filterwarnings("ignore")  # those of the kernel, not ours
@pytest.mark.parametrize("path", render.NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_on_a_finished_run_and_becomes_a_page(path, finished, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    book = render.executed(path, finished)
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 1
    assert not [output for output in outputs if "Warning" in output.get("text", "")]
    page = render.page(book, path.stem)
    assert page.count("<img") == sum("image/png" in output.get("data", {}) for output in outputs)
    assert page.count('<pre class="code">') == sum(cell.cell_type == "code" for cell in book.cells)
    assert "<h1>" in page


@pytest.mark.parametrize("path", render.NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_short_defines_nothing_and_carries_no_output(path):
    cells = nbformat.read(path, as_version=4).cells
    assert len(cells) <= MOST_CELLS
    for cell in cells:
        assert not cell.get("outputs")
        if cell.cell_type == "code":
            assert not any(
                line.startswith(("def ", "class ", "!", "%")) for line in cell.source.splitlines()
            )


def test_without_a_finished_run_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["render.py", "pages"])
    with pytest.raises(SystemExit, match="2"):
        render.main()
    assert "no finished run in this folder; make run first" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
