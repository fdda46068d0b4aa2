"""Numbered lifetimes: when a customer left and came back, as known now or at any past moment.

Lifetime n ends with departure n; the first order after a departure begins the next one. Under
"contract" the table `departures` says who left; under "inactivity" a departure is the moment at
which a silence became too long, found from purchases (orders, or activity where there are none).
"""

from __future__ import annotations

from collections.abc import Sequence

import narwhals as nw

from .churn_definition import ChurnDefinition
from .expressions import columns_of, missing
from .windows import DAY, KEYS, Tables, happened, visible


def departures_under(tables: Tables, definition: ChurnDefinition) -> nw.LazyFrame | None:
    """Every departure that counts, with all that is known now: for labels, never for features.

    Returns
    -------
    LazyFrame or None
        customer_id, departed_at, lost_at (departed_at plus grace: when it counts), returned_at
        (first order afterwards, or null). None if no table tells of departures.
    """
    if definition.kind == "inactivity":
        bought = purchases(tables)
        return None if bought is None else _silences(bought, definition, ("customer_id",))
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
    """Departures and returns as each snapshot could know them; only snapshots with a departure.

    Returns
    -------
    LazyFrame or None
        customer_id, as_of, departures_so_far, departed_at (the last one), returned_at (after the
        last one, or null: she is lost), earlier_returned_at (the return that began the lifetime
        which the last departure ended, or null: it was the first lifetime).
    """
    known = _known_departures(tables, snapshots, definition)
    if known is None:
        return None
    known = known.with_columns(last_at=nw.col("departed_at").max().over(*KEYS))
    is_last = nw.col("departed_at") == nw.col("last_at")
    began = nw.col("returned_at") <= nw.col("last_at")
    marked = known.with_columns(
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
    """What keeps a customer from counting as inactive: customer_id, bought_at, recorded_at?."""
    for table, time in (("orders", "ordered_at"), ("activity", "happened_at")):
        if table in tables:
            frame = tables[table]
            recorded = ["recorded_at"] if "recorded_at" in columns_of(frame) else []
            return frame.select("customer_id", *recorded, bought_at=nw.col(time))
    return None


def _known_departures(
    tables: Tables, snapshots: nw.LazyFrame, definition: ChurnDefinition
) -> nw.LazyFrame | None:
    """(customer_id, as_of, departed_at, returned_at) with returns as known at as_of."""
    wanted = (*KEYS, "departed_at", "returned_at")
    if definition.kind == "inactivity":
        bought = purchases(tables)
        if bought is None:
            return None
        if "recorded_at" in columns_of(bought):
            seen = visible(bought, snapshots, time="bought_at")
            found = _silences(seen, definition, KEYS).filter(happened("departed_at"))
            return found.select(*wanted)
        found = visible(
            _silences(bought, definition, ("customer_id",)), snapshots, time="departed_at"
        )
        back = nw.when(happened("returned_at")).then(nw.col("returned_at"))
        return found.with_columns(returned_at=back).select(*wanted)
    if "departures" not in tables:
        return None
    ends = _contract_ends(tables, definition)
    known = visible(ends, snapshots, time="lost_at")
    after = _orders_after(tables, ends)
    if after is None:
        return known.with_columns(returned_at=missing("departed_at")).select(*wanted)
    key = ["customer_id", "departed_at"]
    if "recorded_at" in columns_of(after):
        key += ["as_of"]
        seen = visible(after, snapshots, time="ordered_at")
        after = seen.group_by(*key).agg(nw.col("ordered_at").min())
    back = nw.when(happened("ordered_at")).then(nw.col("ordered_at"))
    known = known.join(after, on=key, how="left").with_columns(returned_at=back)
    return _drop_undone(known, definition).select(*wanted)


def _contract_ends(tables: Tables, definition: ChurnDefinition) -> nw.LazyFrame:
    frame = tables["departures"]
    recorded = ["recorded_at"] if "recorded_at" in columns_of(frame) else []
    return frame.select("customer_id", "departed_at", *recorded).with_columns(
        lost_at=nw.col("departed_at") + definition.grace_days * DAY
    )


def _orders_after(tables: Tables, ends: nw.LazyFrame) -> nw.LazyFrame | None:
    """Orders after each departure that may be the first one known at some moment."""
    if "orders" not in tables:
        return None
    orders = tables["orders"]
    recorded = ["recorded_at"] if "recorded_at" in columns_of(orders) else []
    orders = orders.select("customer_id", "ordered_at", *recorded)
    joined = orders.join(ends.select("customer_id", "departed_at"), on="customer_id", how="inner")
    after = joined.filter(nw.col("ordered_at") > nw.col("departed_at"))
    if recorded:
        return after
    # The first one tells all: a later order is never the first visible one.
    return after.group_by("customer_id", "departed_at").agg(nw.col("ordered_at").min())


def _drop_undone(frame: nw.LazyFrame, definition: ChurnDefinition) -> nw.LazyFrame:
    limit = nw.col("departed_at") + definition.undo_days * DAY
    return frame.filter(nw.col("returned_at").is_null() | (nw.col("returned_at") >= limit))


def _silences(
    bought: nw.LazyFrame, definition: ChurnDefinition, keys: Sequence[str]
) -> nw.LazyFrame:
    """Silences that became too long, per group of `keys`; a departure may lie in the future."""
    order = {"order_by": "bought_at"}
    # A sum of ones: narwhals 2.29 counts pandas rows in their stored order, whatever order_by is.
    chain = bought.select(*keys, "bought_at", one=nw.lit(1)).with_columns(
        before=nw.col("one").cum_sum().over(*keys, **order) - 1,
        first_at=nw.col("bought_at").min().over(*keys),
        returned_at=nw.col("bought_at").shift(-1).over(*keys, **order),
    )
    silence = nw.lit(definition.inactive_days * DAY, dtype=nw.Int64)
    if definition.gap_multiple is not None:
        span = (nw.col("bought_at") - nw.col("first_at")).cast(nw.Float64)
        mean_gap = span / nw.col("before").cast(nw.Float64)
        own = (nw.when(nw.col("before") > 0).then(mean_gap)).fill_null(0.0)
        silence = nw.max_horizontal(silence, (own * definition.gap_multiple).floor().cast(nw.Int64))
    left = chain.with_columns(departed_at=nw.col("bought_at") + silence)
    is_over = nw.col("returned_at").is_null() | (nw.col("returned_at") >= nw.col("departed_at"))
    return left.filter(is_over).select(
        *keys, "departed_at", "returned_at", lost_at=nw.col("departed_at")
    )
