"""Leavers whom nobody ever made an offer: what happened to them tells who comes back alone."""

from __future__ import annotations

import narwhals as nw

from .churn_definition import ChurnDefinition
from .lifetimes import departures_under
from .windows import DAY, KEYS, Tables, matured


def leaver_snapshots(
    tables: Tables,
    *,
    now: int,
    definition: ChurnDefinition,
    last_offered_at: int,
    lapse_days: int,
    return_window_days: int,
) -> nw.LazyFrame:
    """Customers in no experiment, some days after they were lost, with whether they came back.

    Only customers still lost at as_of, and only moments after the last offer of all: while offers
    are made, who comes back early is never chosen for one, so that those who were not chosen tell
    more of returns than there are. Only answers known by `now` are kept.

    Parameters
    ----------
    last_offered_at
        The moment of the last offer of all, made to whomever.
    lapse_days
        Days from the loss to as_of; the usual ones of the experiment make the two comparable.
    return_window_days
        A return counts when it happens within so many days of as_of.

    Returns
    -------
    LazyFrame
        customer_id, as_of, returned (0 or 1).

    Raises
    ------
    ValueError
        If no table tells of departures or of offers.
    """
    departures = departures_under(tables, definition)
    if departures is None or "offers" not in tables:
        raise ValueError(
            "leavers: tables of departures and offers are needed, found "
            f"{', '.join(sorted(tables)) or 'none'}; add them to the source"
        )
    offered = tables["offers"].select("customer_id").unique()
    alone = departures.join(offered, on="customer_id", how="anti")
    as_of, back = nw.col("as_of"), nw.col("returned_at")
    asked = alone.with_columns(as_of=nw.col("lost_at") + lapse_days * DAY).filter(
        as_of > last_offered_at,
        back.is_null() | (back >= as_of),
        matured(days=return_window_days, now=now),
    )
    in_time = back < as_of + return_window_days * DAY
    return asked.select(*KEYS, returned=nw.when(in_time).then(1).otherwise(0).cast(nw.Int8))
