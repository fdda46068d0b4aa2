"""Snapshots: customers at a moment with their outcomes, for churn, for offers and for today."""

from __future__ import annotations

from collections.abc import Sequence

import narwhals as nw

from .churn_definition import ChurnDefinition
from .expressions import columns_of
from .lifetimes import departures_under, purchases, status_at
from .windows import ALWAYS_KNOWN, DAY, KEYS, Tables, happened, matured, outcomes


def snapshot_dates(
    *, now: int, count: int, every_days: int, definition: ChurnDefinition
) -> tuple[int, ...]:
    """The `count` latest snapshot dates, `every_days` apart, whose labels are certain by `now`.

    Returns
    -------
    tuple of int
        UTC seconds, ascending.

    Raises
    ------
    ValueError
        If `count` or `every_days` is below 1.
    """
    if count < 1 or every_days < 1:
        raise ValueError(
            f"featurize: snapshot count and days between them must be at least 1, found {count} "
            f"and {every_days}; correct them in params.yaml"
        )
    last = now - definition.maturity_days * DAY
    return tuple(last - step * every_days * DAY for step in reversed(range(count)))


def population_at(
    tables: Tables, dates: Sequence[int], definition: ChurnDefinition
) -> nw.LazyFrame:
    """Customers of each date as known then: customer_id, as_of, lost (0 or 1).

    A customer counts from signed_up_at on, else from the first purchase on, else (without orders
    and activity) always. Under "inactivity" only those who have bought count.
    """
    everyone = first_seen(tables, definition)
    one_row = tables["customers"].select(nw.len().alias("customers"))
    moments = nw.concat([one_row.select(as_of=nw.lit(d, dtype=nw.Int64)) for d in dates])
    return present(tables, everyone.join(moments, how="cross"), definition)


def present(tables: Tables, snapshots: nw.LazyFrame, definition: ChurnDefinition) -> nw.LazyFrame:
    """Which snapshots are of customers by then, and who of them is lost, as known at each.

    Parameters
    ----------
    snapshots
        customer_id, as_of and first_seen_at, see `first_seen`.

    Returns
    -------
    LazyFrame
        customer_id, as_of, lost (0 or 1).
    """
    there = snapshots.filter(happened("first_seen_at")).select(*KEYS)
    status = status_at(tables, there, definition)
    if status is None:
        return there.with_columns(lost=nw.lit(0, dtype=nw.Int8))
    joined = there.join(status, on=list(KEYS), how="left")
    is_lost = ~nw.col("departed_at").is_null() & nw.col("returned_at").is_null()
    return joined.select(*KEYS, lost=nw.when(is_lost).then(1).otherwise(0).cast(nw.Int8))


def churn_snapshots(
    tables: Tables, *, dates: Sequence[int], definition: ChurnDefinition, now: int
) -> nw.LazyFrame:
    """Customers active at each date, and whether they were lost in the label's window.

    Under "label" the label is what the table says, once per customer; who has none is left out.
    Customers lost within the lead time are left out, since no campaign reaches them in time. Dates
    whose label is not certain by `now` give no rows.

    Returns
    -------
    LazyFrame
        customer_id, as_of, churned (0 or 1).

    Raises
    ------
    ValueError
        If no table says who left.
    """
    if definition.column is not None:
        known = _labels(tables, definition.column).filter(~nw.col("churned").is_null())
        return known.select("customer_id", as_of=nw.lit(now, dtype=nw.Int64), churned="churned")
    departures = departures_under(tables, definition)
    if departures is None:
        needed = "departures" if definition.kind == "contract" else "orders or activity"
        raise ValueError(
            f"churn: kind '{definition.kind}' needs the table {needed}, found none; "
            "add it to the source or leave churn out"
        )
    active = population_at(tables, dates, definition).filter(
        nw.col("lost") == 0, matured(days=definition.maturity_days, now=now)
    )
    first_lost = (
        outcomes(
            departures.select("customer_id", "lost_at"),
            active,
            time="lost_at",
            days=definition.lead_days + definition.horizon_days,
        )
        .group_by(*KEYS)
        .agg(nw.col("lost_at").min())
    )
    labelled = active.select(*KEYS).join(first_lost, on=list(KEYS), how="left")
    stays, lost_at = nw.col("lost_at").is_null(), nw.col("lost_at")
    reachable = labelled.filter(stays | (lost_at >= nw.col("as_of") + definition.lead_days * DAY))
    return reachable.select(*KEYS, churned=nw.when(stays).then(0).otherwise(1).cast(nw.Int8))


def current_snapshot(tables: Tables, *, now: int, definition: ChurnDefinition) -> nw.LazyFrame:
    """Every customer as of `now`: customer_id, as_of, population.

    population is 'active' or 'lost'. Without orders, activity and departures nobody knows which,
    and it is 'experiment'. Under "label" whoever the table calls gone is lost.
    """
    if definition.column is not None:
        gone = nw.when(nw.col("churned") == 1).then(nw.lit("lost")).otherwise(nw.lit("active"))
        customers = tables["customers"].select("customer_id")
        everyone = customers.join(_labels(tables, definition.column), on="customer_id", how="left")
        return everyone.select("customer_id", as_of=nw.lit(now, dtype=nw.Int64), population=gone)
    if not {"orders", "activity", "departures"} & set(tables):
        return (
            tables["customers"]
            .select("customer_id")
            .with_columns(as_of=nw.lit(now, dtype=nw.Int64), population=nw.lit("experiment"))
        )
    status = population_at(tables, (now,), definition)
    name = nw.when(nw.col("lost") == 1).then(nw.lit("lost")).otherwise(nw.lit("active"))
    return status.select(*KEYS, population=name)


def with_groups(tables: Tables, snapshots: nw.LazyFrame) -> nw.LazyFrame:
    """Snapshots with group_id (text) beside the customer, where the source has it."""
    customers = tables["customers"]
    if "group_id" not in columns_of(customers):
        return snapshots
    groups = customers.select("customer_id", group_id=nw.col("group_id").cast(nw.String))
    names = columns_of(snapshots)
    joined = snapshots.join(groups, on="customer_id", how="left")
    return joined.select(*names, "group_id")


def _labels(tables: Tables, column: str) -> nw.LazyFrame:
    """customer_id and churned (0, 1 or null), from a column of the attributes."""
    return tables["attributes"].select("customer_id", churned=nw.col(column).cast(nw.Int8))


def first_seen(tables: Tables, definition: ChurnDefinition) -> nw.LazyFrame:
    """Each customer once, with first_seen_at: from when on a customer; null if unknown."""
    customers = tables["customers"]
    bought = purchases(tables)
    signs_up = definition.kind == "contract" and "signed_up_at" in columns_of(customers)
    if bought is None:
        always = nw.lit(ALWAYS_KNOWN, dtype=nw.Int64)
        if signs_up:
            always = nw.col("signed_up_at").fill_null(ALWAYS_KNOWN)
        return customers.select("customer_id", first_seen_at=always)
    first = bought
    if "recorded_at" in columns_of(bought):
        known_at = nw.max_horizontal("bought_at", "recorded_at")
        first = bought.with_columns(bought_at=known_at)
    first = first.group_by("customer_id").agg(nw.col("bought_at").min().alias("first_bought_at"))
    if definition.kind == "inactivity":
        joined = customers.join(first, on="customer_id", how="inner")
    else:
        joined = customers.join(first, on="customer_id", how="left")
    seen = nw.col("first_bought_at")
    if signs_up:
        seen = nw.coalesce(nw.col("signed_up_at"), seen)
    return joined.select("customer_id", first_seen_at=seen)
