"""Sensitivity of the churn rate to the churn definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import narwhals as nw

from .churn_definition import ChurnDefinition
from .expressions import columns_of, distinct, divided, ratio
from .lifetimes import departures_under
from .snapshots import population_at
from .windows import Tables

SILENCES_DAYS = (90, 180, 360)
GRACES_DAYS = (0, 30)
RESIGN_GAPS_DAYS = (0, 30, 90)
GAP_MULTIPLES = (None, 2.0, 3.0)


def neighbours(definition: ChurnDefinition) -> tuple[ChurnDefinition, ...]:
    """The given definition first, then similar ones: the rows of a sensitivity table."""
    if definition.kind == "contract":
        similar = [
            replace(definition, grace_days=grace, resign_gap_days=gap)
            for grace in GRACES_DAYS
            for gap in RESIGN_GAPS_DAYS
        ]
    else:
        similar = [replace(definition, inactive_days=days) for days in SILENCES_DAYS]
        similar += [replace(definition, gap_multiple=multiple) for multiple in GAP_MULTIPLES]
    return tuple(dict.fromkeys([definition, *similar]))


def churn_counts(
    tables: Tables, definitions: Sequence[ChurnDefinition], *, start: int, end: int
) -> nw.LazyFrame:
    """Churn in `[start, end)` under each definition, counted.

    Counts of several groups of customers add up to those of all; `rates` makes rates of them.

    Returns
    -------
    LazyFrame
        One row per definition: definition (its number, from 0), kind, inactive_days, gap_multiple
        (0 for none), grace_days, resign_gap_days, customers_at_start, lost, and paid: cents that
        the lost customers paid in the period of the same length before `start`.

    Raises
    ------
    ValueError
        If the period is empty, or no table says who left.
    """
    if end <= start:
        raise ValueError(f"churn: the period must end after its start {start}, found end {end}")
    return nw.concat(
        [
            _churn_of(tables, definition, number, start, end)
            for number, definition in enumerate(definitions)
        ]
    )


def rates(counts: nw.LazyFrame) -> nw.LazyFrame:
    """Rates and money from `churn_counts`.

    Returns
    -------
    LazyFrame
        In the place of paid: churn_rate (null without customers) and money_lost (currency; 0
        without orders).
    """
    kept = [name for name in columns_of(counts) if name != "paid"]
    return counts.select(
        *kept,
        churn_rate=ratio(nw.col("lost"), nw.col("customers_at_start")),
        money_lost=divided(nw.col("paid"), 100),
    )


def _churn_of(
    tables: Tables, definition: ChurnDefinition, number: int, start: int, end: int
) -> nw.LazyFrame:
    departures = departures_under(tables, definition)
    if departures is None:
        raise ValueError(
            f"churn: kind '{definition.kind}' finds no departures in the tables "
            f"{', '.join(sorted(tables))}; add departures or orders to the source"
        )
    active = population_at(tables, (start,), definition).filter(nw.col("lost") == 0)
    in_period = (nw.col("lost_at") >= start) & (nw.col("lost_at") < end)
    left = distinct(departures.filter(in_period), "customer_id")
    left = left.with_columns(lost=nw.lit(1))
    counted = active.select("customer_id").join(left, on="customer_id", how="left")
    counted = counted.with_columns(nw.col("lost").fill_null(0), customers_at_start=nw.lit(1))
    if "orders" in tables:
        ordered_at = nw.col("ordered_at")
        before = tables["orders"].filter(ordered_at >= start - (end - start), ordered_at < start)
        paid = before.group_by("customer_id").agg(nw.col("amount").sum().alias("paid"))
        counted = counted.join(paid, on="customer_id", how="left")
        counted = counted.with_columns(paid=nw.col("paid").fill_null(0) * nw.col("lost"))
    else:
        counted = counted.with_columns(paid=nw.lit(0))
    sums = counted.select(
        nw.col("customers_at_start").sum(), nw.col("lost").sum(), nw.col("paid").sum()
    ).with_columns(nw.col("customers_at_start", "lost", "paid").cast(nw.Int64))
    fields: dict[str, int | float | str] = {
        "definition": number,
        "kind": definition.kind,
        "inactive_days": definition.inactive_days,
        "gap_multiple": float(definition.gap_multiple or 0.0),
        "grace_days": definition.grace_days,
        "resign_gap_days": definition.resign_gap_days,
    }
    return sums.select(
        **{name: nw.lit(value) for name, value in fields.items()},
        customers_at_start="customers_at_start",
        lost="lost",
        paid="paid",
    )
