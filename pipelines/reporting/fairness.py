"""Chapter of the report on whom the offers reach, by groups of protected columns."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ...models.evaluation.fairness import FEWEST_CUSTOMERS, LEAST_RATIO
from ..tables.safe_csv import read_table
from . import words
from .html import Block, table, text
from .summary import Inputs

SHOWN = {
    "column": "column",
    "group": "group",
    "candidates": "may get an offer",
    "offer_rate": "get an offer",
    "lo": "low",
    "hi": "high",
    "ratio": "ratio to the highest",
    "uplift": "mean effect of their offer",
    "gain": "expected gain per customer",
    "active": "active customers",
    "churn_risk": "mean risk to leave",
}
FORMATS = {
    "may get an offer": ",.0f",
    "get an offer": ".1%",
    "low": ".1%",
    "high": ".1%",
    "ratio to the highest": ".2f",
    "mean effect of their offer": ".1%",
    "expected gain per customer": ",.2f",
    "active customers": ",.0f",
    "mean risk to leave": ".1%",
}


def fairness(inputs: Inputs) -> Iterator[Block]:
    """One table of every group; nothing where the source declares no protected column."""
    rows = _read(inputs)
    if rows.empty:
        return
    yield text(
        "No model has seen these columns; others may still tell about them. Groups of fewer than "
        f"{FEWEST_CUSTOMERS} customers are named and not judged. A ratio below {LEAST_RATIO:g} to "
        "the group that gets offers most often (the four-fifths rule of the US Uniform "
        "Guidelines of 1978) is a sign to look closer, not a finding of law."
    )
    alerts = int(rows["alert"].sum())
    yield table(
        rows[list(SHOWN)].rename(columns=SHOWN),
        title=f"Offers and risks by protected group, {alerts or 'none'} below four fifths",
        formats=FORMATS,
        folded=True,
    )


def unequal(inputs: Inputs) -> Iterator[str]:
    """One sentence on the group that offers reach least, if any is below four fifths."""
    rows = _read(inputs)
    low = rows[rows["alert"]].sort_values("ratio", kind="stable") if len(rows) else rows
    if low.empty:
        return
    worst = low.iloc[0]
    same = rows[rows["column"] == worst["column"]]
    best = same.loc[same["offer_rate"].idxmax()]
    more = f"; {len(low) - 1} more below four fifths" if len(low) > 1 else ""
    yield (
        f"Offers reach groups of {words.plain(worst['column'])} unequally: {worst['group']} "
        f"{worst['offer_rate']:.1%} ({worst['lo']:.1%} to {worst['hi']:.1%}), {best['group']} "
        f"{best['offer_rate']:.1%} ({best['lo']:.1%} to {best['hi']:.1%}), a ratio of "
        f"{worst['ratio']:.2f}{more}: see the chapter on fairness."
    )


def _read(inputs: Inputs) -> pd.DataFrame:
    file = inputs.plots / "fairness.csv"
    return read_table(file) if file.exists() else pd.DataFrame()
