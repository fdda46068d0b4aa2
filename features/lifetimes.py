"""Lifetimes: when customers left and returned, as known now or as known at a past moment.

Lifetime n ends with departure n; the first order after a departure begins the next lifetime. Under
"contract" the table `departures` says who left. Under "inactivity" customers depart when they have
bought nothing for too long; purchases are orders, or activity where there are no orders.
"""

from __future__ import annotations

from collections.abc import Sequence

import narwhals as nw

from .churn_definition import ChurnDefinition
from .expressions import columns_of, missing
from .windows import DAY, KEYS, Tables, happened, visible


def departures_under(tables: Tables, definition: ChurnDefinition) -> nw.LazyFrame | None:
    """Every departure and return known now: for labels, never for features.

    Returns
    -------
    LazyFrame or None
        customer_id, departed_at, lost_at (departed_at plus grace_days), returned_at (first order
        afterwards, or null). None if no table says who left.
    """
    if definition.kind == "inactivity":
        bought = purchases(tables)
        return None if bought is None else _inactivity_ends(bought, definition, ("customer_id",))
    if "departures" not in tables:
        return None
    ends = _contract_ends(tables, definition)
    key = ("customer_id", "departed_at")
    after = _orders_after(tables, ends)
    if after is None:
        return ends.select(*key, "lost_at", returned_at=missing("departed_at"))
    first = after.group_by(*key).agg(nw.col("ordered_at").min().alias("returned_at"))
    return _drop_undone(ends.join(first, on=list(key), how="left"), definition).select(
        *key, "lost_at", "returned_at"
    )


def status_at(
    tables: Tables, snapshots: nw.LazyFrame, definition: ChurnDefinition
) -> nw.LazyFrame | None:
    """Departures and returns as known at each snapshot; only snapshots with a departure.

    Returns
    -------
    LazyFrame or None
        customer_id, as_of, departures_so_far, departed_at (the last one), returned_at (after the
        last one, or null if the customer is lost), earlier_returned_at (the return that began the
        lifetime which the last departure ended, or null if that was the first lifetime).
    """
    departures = _known_departures(tables, snapshots, definition)
    if departures is None:
        return None
    departures = departures.with_columns(last_at=nw.col("departed_at").max().over(*KEYS))
    is_last = nw.col("departed_at") == nw.col("last_at")
    began = nw.col("returned_at") <= nw.col("last_at")
    marked = departures.with_columns(
        departures_so_far=nw.lit(1),
        after_last=nw.when(is_last).then(nw.col("returned_at")),
        before_last=nw.when(began).then(nw.col("returned_at")),
    )
    status = marked.group_by(*KEYS).agg(
        nw.col("departures_so_far").sum(),
        nw.col("last_at").max().alias("departed_at"),
        nw.col("after_last").max().alias("returned_at"),
        nw.col("before_last").max().alias("earlier_returned_at"),
    )
    return status.with_columns(nw.col("departures_so_far").cast(nw.Int64))


def purchases(tables: Tables) -> nw.LazyFrame | None:
    """Orders, else activity, else None: customer_id, bought_at, and recorded_at if there is one."""
    for table, time in (("orders", "ordered_at"), ("activity", "happened_at")):
        if table in tables:
            frame = tables[table]
            recorded = ["recorded_at"] if "recorded_at" in columns_of(frame) else []
            return frame.select("customer_id", *recorded, bought_at=nw.col(time))
    return None


def _known_departures(
    tables: Tables, snapshots: nw.LazyFrame, definition: ChurnDefinition
) -> nw.LazyFrame | None:
    """customer_id, as_of, departed_at, returned_at: departures and returns known at as_of."""
    wanted = (*KEYS, "departed_at", "returned_at")
    if definition.kind == "inactivity":
        bought = purchases(tables)
        if bought is None:
            return None
        if "recorded_at" in columns_of(bought):
            seen = visible(bought, snapshots, time="bought_at")
            departures = _inactivity_ends(seen, definition, KEYS)
            return departures.filter(happened("departed_at")).select(*wanted)
        departures = _inactivity_ends(bought, definition, ("customer_id",))
        visible_departures = visible(departures, snapshots, time="departed_at")
        known_return = nw.when(happened("returned_at")).then(nw.col("returned_at"))
        return visible_departures.with_columns(returned_at=known_return).select(*wanted)
    if "departures" not in tables:
        return None
    ends = _contract_ends(tables, definition)
    visible_departures = visible(ends, snapshots, time="lost_at")
    after = _orders_after(tables, ends)
    if after is None:
        return visible_departures.with_columns(returned_at=missing("departed_at")).select(*wanted)
    key = ["customer_id", "departed_at"]
    if "recorded_at" in columns_of(after):
        key += ["as_of"]
        seen = visible(after, snapshots, time="ordered_at")
        after = seen.group_by(*key).agg(nw.col("ordered_at").min())
    known_return = nw.when(happened("ordered_at")).then(nw.col("ordered_at"))
    visible_departures = visible_departures.join(after, on=key, how="left").with_columns(
        returned_at=known_return
    )
    return _drop_undone(visible_departures, definition).select(*wanted)


def _contract_ends(tables: Tables, definition: ChurnDefinition) -> nw.LazyFrame:
    """Ends of contracts: customer_id, departed_at, lost_at, and recorded_at where there is one."""
    frame = tables["departures"]
    recorded = ["recorded_at"] if "recorded_at" in columns_of(frame) else []
    return frame.select("customer_id", "departed_at", *recorded).with_columns(
        lost_at=nw.col("departed_at") + definition.grace_days * DAY
    )


def _orders_after(tables: Tables, ends: nw.LazyFrame) -> nw.LazyFrame | None:
    """Orders after each departure of which one may be the first known at a snapshot."""
    if "orders" not in tables:
        return None
    orders = tables["orders"]
    recorded = ["recorded_at"] if "recorded_at" in columns_of(orders) else []
    orders = orders.select("customer_id", "ordered_at", *recorded)
    joined = orders.join(ends.select("customer_id", "departed_at"), on="customer_id", how="inner")
    after = joined.filter(nw.col("ordered_at") > nw.col("departed_at"))
    if recorded:
        return after
    # Without recorded_at the first order is known first, so later orders are not needed.
    return after.group_by("customer_id", "departed_at").agg(nw.col("ordered_at").min())


def _drop_undone(frame: nw.LazyFrame, definition: ChurnDefinition) -> nw.LazyFrame:
    """Departures without those after which the customer ordered within undo_days."""
    limit = nw.col("departed_at") + definition.undo_days * DAY
    return frame.filter(nw.col("returned_at").is_null() | (nw.col("returned_at") >= limit))


def _inactivity_ends(
    bought: nw.LazyFrame, definition: ChurnDefinition, keys: Sequence[str]
) -> nw.LazyFrame:
    """Departures by inactivity, per group of `keys`; departed_at may lie in the future."""
    order = {"order_by": "bought_at"}
    # A sum of ones, since narwhals 2.29 counts pandas rows in stored order and ignores order_by.
    ordered = bought.select(*keys, "bought_at", one=nw.lit(1)).with_columns(
        earlier=nw.col("one").cum_sum().over(*keys, **order) - 1,
        first_at=nw.col("bought_at").min().over(*keys),
        returned_at=nw.col("bought_at").shift(-1).over(*keys, **order),
    )
    silence = nw.lit(definition.inactive_days * DAY, dtype=nw.Int64)
    if definition.gap_multiple is not None:
        span = (nw.col("bought_at") - nw.col("first_at")).cast(nw.Float64)
        mean_gap = span / nw.col("earlier").cast(nw.Float64)
        own_gap = (nw.when(nw.col("earlier") > 0).then(mean_gap)).fill_null(0.0)
        own_silence = (own_gap * definition.gap_multiple).floor().cast(nw.Int64)
        silence = nw.max_horizontal(silence, own_silence)
    departures = ordered.with_columns(departed_at=nw.col("bought_at") + silence)
    is_over = nw.col("returned_at").is_null() | (nw.col("returned_at") >= nw.col("departed_at"))
    return departures.filter(is_over).select(
        *keys, "departed_at", "returned_at", lost_at=nw.col("departed_at")
    )
