"""Pictures of a run for MLflow, drawn from the tables behind its plots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ..tables.safe_csv import read_table

INCHES = (6.4, 4.8)


def pictures(plots: Path) -> Iterator[tuple[str, Any]]:
    """Name and matplotlib figure of each picture whose table is there.

    Forecasts stand against what happened, by offer, with the diagonal on which they keep their
    word; budget curves by policy; the value of each policy by objective, with intervals.
    """
    for name, what in (("churn", "churn"), ("return", "share returned"), ("value", "value")):
        file = plots / f"{name}_reliability.csv"
        if file.exists():
            yield file.stem, _reliability(read_table(file), what)
    if (plots / "budget_curve.csv").exists():
        yield "budget_curve", _budget(read_table(plots / "budget_curve.csv"))
    if (plots / "policies.csv").exists():
        for objective, rows in read_table(plots / "policies.csv").groupby("objective", sort=False):
            yield f"policies_{objective}", _policies(rows, str(objective))


def _axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # not pyplot, which keeps a state

    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def _reliability(table: pd.DataFrame, what: str) -> Any:
    figure, axes = _axes("Predicted against observed", f"predicted {what}", f"observed {what}")
    most = float(table[["predicted", "observed"]].max().max())
    axes.plot([0, most], [0, most], color="grey", linestyle=":")
    by = table["offer"] if "offer" in table else pd.Series("all", index=table.index)
    for name, rows in table.groupby(by, sort=False):
        axes.plot(rows["predicted"], rows["observed"], marker="o", label=str(name))
    if by.nunique() > 1:
        axes.legend()
    return figure


def _budget(table: pd.DataFrame) -> Any:
    figure, axes = _axes("What a budget buys", "spend per customer", "gain per customer")
    for name, rows in table.groupby("policy", sort=False):
        axes.plot(rows["budget"], rows["gain"], label=str(name))
    axes.legend()
    return figure


def _policies(rows: pd.DataFrame, objective: str) -> Any:
    figure, axes = _axes(f"Policies, objective {objective}", "value per customer", "")
    value = rows["value_per_customer"]
    reach = [value - rows["lo"], rows["hi"] - value]
    axes.errorbar(value, rows["policy"].astype(str), xerr=reach, fmt="o")
    return figure
