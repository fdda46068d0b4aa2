"""Chapter of the report on drift: the distance of today's customers from the training sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from ...models.evaluation.drift import ALARM, WARN, drift
from ..storage.stage_outputs import read_dictionary
from ..tables.even_rows import even_rows
from . import charts
from .html import Block, picture, table, text

ROWS = 20_000  # of each side, evenly spaced: enough to see a distance of 0.01
SHOWN = 10
LIGHTS = {"alarm": "\U0001f534 alarm", "warn": "\U0001f7e1 look", "ok": "\U0001f7e2 alike"}
COLUMNS = {
    "level": "light",
    "feature": "feature",
    "distance": "distance",
    "shift": "shift",
    "missing_reference": "missing before",
    "missing_current": "missing today",
}
LEARNED_FROM = {"active": ("churn", "leaving"), "lost": ("winback", "coming back")}


def distances(features: Path) -> dict[str, pd.DataFrame]:
    """Distance of every feature of today's customers from the training set, by population.

    Returns
    -------
    dict
        `models.evaluation.drift.drift` of the active against churn.parquet and of the lost against
        winback.parquet; what has no training set or nobody today is left out.
    """
    current = features / "current.parquet"
    names = [entry["name"] for entry in read_dictionary(features)]
    tables = {}
    for population, (part, _) in LEARNED_FROM.items():
        path = features / f"{part}.parquet"
        if not path.exists() or not pq.read_metadata(path).num_rows:
            continue
        before = even_rows(path, most=ROWS, columns=names)
        today = even_rows(current, most=ROWS, columns=names, population=population)
        if len(today):
            tables[population] = drift(before, today)
    return tables


def alarms(tables: dict[str, pd.DataFrame]) -> dict[str, int]:
    """How many features of each population lie beyond the limit."""
    return {name: int((rows["level"] == "alarm").sum()) for name, rows in tables.items()}


def drifted(tables: dict[str, pd.DataFrame]) -> Iterator[Block]:
    """The features farthest away, for each population that has a training set."""
    if not tables:
        return
    yield text(
        "A model answers for customers like those it learned from. The distance is the population "
        f"stability index, an effect size: from {WARN:g} on look at the feature, from "
        f"{ALARM:g} on do not trust the answer before you know why. The shift is in "
        "standard deviations of the training set. Features that count from the beginning of the "
        f"data grow older with it. Where a side has more than {ROWS:,} rows, so many of them, "
        "evenly spaced, are compared."
    )
    for population, rows in tables.items():
        counts = rows["level"].value_counts()
        counted = ", ".join(
            f"{counts.get(level, 0)} {word}"
            for level, word in (("alarm", "in alarm"), ("warn", "to look at"), ("ok", "alike"))
        )
        yield picture(
            charts.lights(rows.head(SHOWN)),
            f"The {population}, against the training set of {LEARNED_FROM[population][1]}: "
            f"{counted}",
        )
        shown = rows.head(SHOWN).assign(level=rows["level"].map(LIGHTS))
        yield table(
            shown[["level", *(name for name in COLUMNS if name != "level")]].rename(
                columns=COLUMNS
            ),
            title=f"The {population} in figures",
            folded=True,
            formats={
                "distance": ".2f",
                "shift": ".2f",
                "missing before": ".0%",
                "missing today": ".0%",
            },
        )
