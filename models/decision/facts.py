"""What rows tell of customers: which population they are of, and the facts that rules ask for."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .decision import Decision, decision_columns
from .evidence import rows_alike

MONTHS_OF_VALUE = 12  # a customer's value is that of a year, and so is the cost to serve
POPULATIONS = ("active", "lost", "experiment")  # the last: rows of an experiment without events


def facts_of(decision: Decision, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """What the rules ask for, by fact, (rows,) each; NaN or None where nothing tells it."""
    missing = sorted(set(decision_columns(decision)) - set(rows.columns))
    if missing:
        raise ValueError(f"decision: {len(missing)} columns are missing: {', '.join(missing[:8])}")
    unknown = np.full(len(rows), np.nan)

    def fact(name: str) -> np.ndarray:
        """The smallest of the columns that tell it, NaN where none does."""
        columns = [known_numbers(rows, column) for column in decision.facts.get(name, ())]
        return np.fmin.reduce(columns) if columns else unknown

    facts = {
        name: fact(name)
        for name in (
            "times_lost",
            "value",
            "growth",
            "tenure_days",
            "margin",
            "turnover",
            "lapse_days",
        )
    }
    contact = fact("days_since_last_contact")
    if "population" in rows.columns:
        # Without events the moment is that of the experiment, whose offers are not past.
        contact = np.where((rows["population"] == "experiment").to_numpy(), np.nan, contact)
    alike = unknown if decision.tested is None else rows_alike(decision.tested, rows)
    reason = decision.facts.get("reason")
    return facts | {
        "days_since_last_contact": contact,
        "cost_to_serve": MONTHS_OF_VALUE * fact("cost_to_serve_monthly"),
        "experiment_rows": np.asarray(alike, dtype=float),
        "reason": rows[reason[0]].astype("object").to_numpy() if reason else unknown,
    }


def is_lost(rows: pd.DataFrame) -> np.ndarray:
    """(rows,) bool: everybody but those of the population 'active'.

    Raises
    ------
    ValueError
        If a population is none of `POPULATIONS`: a typing error would make the active lost.
    """
    if "population" not in rows.columns:
        return np.ones(len(rows), dtype=bool)
    population = rows["population"]
    known = population.isin(POPULATIONS) | population.isna()
    if not known.all():
        raise ValueError(
            f"population: must be one of {', '.join(POPULATIONS)}, found "
            f"{population[~known].iloc[0]!r} (rows like this: {int((~known).sum()):,}); write it "
            "as in current.parquet"
        )
    return ~(population == "active").to_numpy(dtype=bool, na_value=False)


def is_of(population: str, rows: pd.DataFrame) -> np.ndarray:
    """(rows,) bool: those of a decision's population; all where the rows do not tell."""
    if "population" not in rows.columns:
        return np.ones(len(rows), dtype=bool)
    return is_lost(rows) == (population == "lost")


def known_numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    """A column as numbers, NaN where it is missing."""
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
