"""The pictures of the report: tables in, SVG text out, the same bytes for the same table."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

INK, GRID, OURS, OTHERS, PALE = "#22303c", "#e3e7ea", "#0b7285", "#90a4ae", "#c5dfe4"
SERIES = ("#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#495057")
SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "winback",
    "text.parse_math": False,  # a name with dollars in it is no formula
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def intervals(
    table: pd.DataFrame, *, label: str, value: str, lo: str, hi: str, unit: str, mark: str = ""
) -> str:
    """Estimates as dots with their intervals, one row each from the top, `mark` in our colour."""
    figure, axes = _axes(height=0.6 + 0.34 * len(table))
    places = np.arange(len(table))[::-1]
    for place, row in zip(places, table.to_dict("records"), strict=True):
        colour = OURS if row[label] == mark or not mark else OTHERS
        axes.plot([row[lo], row[hi]], [place, place], color=colour, linewidth=3, alpha=0.55)
        axes.plot(row[value], place, "o", color=colour, markersize=7)
    axes.set_yticks(places, [str(name).replace("_", " ") for name in table[label]])
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.set_xlabel(unit)
    if (table[lo] < 0).any() and (table[hi] > 0).any():
        axes.axvline(0, color=INK, linewidth=0.8)
    return _svg(figure)


def reliability(table: pd.DataFrame, *, by: str | None, unit: str) -> str:
    """Promised against observed shares; on the diagonal the model keeps its word."""
    figure, axes = _axes(height=3.4, width=4.6)
    most = float(np.nanmax([table["predicted"].max(), table["hi"].max()]))
    axes.plot([0, most], [0, most], color=INK, linewidth=0.8, linestyle=":")
    groups = [("", table)] if by is None else list(table.groupby(by, sort=False))
    for colour, (name, rows) in zip(SERIES, groups, strict=False):
        spread = [rows["observed"] - rows["lo"], rows["hi"] - rows["observed"]]
        axes.errorbar(
            rows["predicted"],
            rows["observed"],
            yerr=np.clip(spread, 0, None),
            color=colour,
            marker="o",
            markersize=4,
            linewidth=1.2,
            elinewidth=0.8,
            label=str(name),
        )
    axes.set_xlabel(f"predicted {unit}")
    axes.set_ylabel(f"observed {unit}")
    if by is not None:
        axes.legend(frameon=False, fontsize=9)
    return _svg(figure)


def curves(
    table: pd.DataFrame, *, x: str, y: str, by: str, x_unit: str, y_unit: str, band: bool = True
) -> str:
    """One line per group with its interval as a band where the columns lo and hi stand."""
    figure, axes = _axes(height=3.2)
    for colour, (name, rows) in zip(SERIES, table.groupby(by, sort=False), strict=False):
        axes.plot(rows[x], rows[y], color=colour, linewidth=2, label=str(name).replace("_", " "))
        if band:
            axes.fill_between(rows[x], rows["lo"], rows["hi"], color=colour, alpha=0.12, lw=0)
    axes.set_xlabel(x_unit)
    axes.set_ylabel(y_unit)
    axes.legend(frameon=False, fontsize=9)
    return _svg(figure)


def bars(names: Sequence[str], values: Sequence[float], *, unit: str) -> str:
    """Magnitudes as horizontal bars, the first on top."""
    figure, axes = _axes(height=0.6 + 0.28 * len(names))
    places = np.arange(len(names))[::-1]
    axes.barh(places, values, color=PALE, edgecolor=OURS, height=0.7)
    axes.set_yticks(places, [name.replace("_", " ") for name in names])
    axes.set_xlabel(unit)
    axes.grid(axis="y", visible=False)
    return _svg(figure)


def dots(table: pd.DataFrame, *, label: str, value: str, by: str, unit: str) -> str:
    """Magnitudes of several groups in one row per label, the row with the largest on top."""
    order = table.groupby(label)[value].max().sort_values(kind="stable").index
    figure, axes = _axes(height=0.9 + 0.28 * len(order))
    rows = {name: place for place, name in enumerate(order)}
    for colour, (name, mine) in zip(SERIES, table.groupby(by, sort=False), strict=False):
        places = [rows[one] for one in mine[label]]
        axes.plot(mine[value], places, "o", color=colour, markersize=6, label=str(name))
    axes.set_yticks(range(len(order)), [str(name).replace("_", " ") for name in order])
    axes.set_xlim(left=0)
    axes.set_xlabel(unit)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return _svg(figure)


def _axes(*, height: float, width: float = 7.0) -> tuple[Any, Any]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.add_subplot()


def _svg(figure: Any) -> str:
    from matplotlib import rc_context
    from matplotlib.text import Text

    for words in figure.findobj(Text):
        words.set_parse_math(False)
    page = io.StringIO()
    with rc_context(SETTINGS):
        figure.savefig(page, format="svg", metadata={"Date": None}, transparent=True)
    text = page.getvalue()
    return text[text.index("<svg") :]
