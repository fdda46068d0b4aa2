"""Lost customers who never got an offer, and whether they returned: returns without an offer."""

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
    """Customers without any offer, `lapse_days` after they were lost, and whether they returned.

    Kept are customers still lost at as_of, with as_of after the last offer to anybody. While offers
    are made, a customer who returns early is never chosen for one, so those without an offer return
    more often than all lost customers do. Snapshots whose return window is not over by `now` are
    left out.

    Parameters
    ----------
    last_offered_at
        Time of the last offer to anybody, in UTC seconds.
    lapse_days
        Days from the loss to as_of; take those usual in the experiment to compare with it.
    return_window_days
        Only returns within this many days after as_of count.

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
    never_offered = departures.join(offered, on="customer_id", how="anti")
    as_of, returned_at = nw.col("as_of"), nw.col("returned_at")
    snapshots = never_offered.with_columns(as_of=nw.col("lost_at") + lapse_days * DAY).filter(
        as_of > last_offered_at,
        returned_at.is_null() | (returned_at >= as_of),
        matured(days=return_window_days, now=now),
    )
    in_time = returned_at < as_of + return_window_days * DAY
    return snapshots.select(*KEYS, returned=nw.when(in_time).then(1).otherwise(0).cast(nw.Int8))
