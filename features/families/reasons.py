"""Reasons: the reason that a customer stated for the last departure."""

from __future__ import annotations

import narwhals as nw

from ..windows import KEYS, visible
from .family import Family, Feature, Inputs


def reasons(inputs: Inputs) -> Family:
    """The stated reason of the last departure; null if the customer never left or gave none."""
    if not inputs.has("departures", "reason"):
        return Family("reasons", ())

    def attach(joined: nw.LazyFrame, snapshots: nw.LazyFrame) -> nw.LazyFrame:
        departures = visible(inputs.tables["departures"], snapshots, time="departed_at")
        last = departures.with_columns(last_at=nw.col("departed_at").max().over(*KEYS))
        last = last.filter(nw.col("departed_at") == nw.col("last_at"))
        stated = last.group_by(*KEYS).agg(nw.col("reason").max().alias("stated_reason"))
        return joined.join(stated, on=list(KEYS), how="left")

    return Family(
        "reasons",
        (
            Feature(
                "departure_reason", "category", "stated reason of the last departure",
                nw.col("stated_reason"),
            ),
        ),
        attach=attach,
    )  # fmt: skip
