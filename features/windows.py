"""Time windows: which events were known at a moment, and which happened after it.

No other module compares event times with as_of. Intervals are half-open, `[start, end)`. A
snapshot is a row (customer_id, as_of). An event is known at as_of if `time < as_of` and it was
recorded by then (`recorded_at < as_of`, or recorded_at is missing). A window of d days is
`[as_of - d, as_of)`; an outcome window of d days is `[as_of, as_of + d)`.

All times are int64 UTC seconds, so that every engine compares the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import narwhals as nw

from .expressions import columns_of, divided

Tables: TypeAlias = Mapping[str, nw.LazyFrame]

DAY = 86_400
ALWAYS_KNOWN = -(10**15)  # a time before all others, for facts without a date
KEYS = ("customer_id", "as_of")


def visible(
    events: nw.LazyFrame, snapshots: nw.LazyFrame, *, time: str, by: str = "customer_id"
) -> nw.LazyFrame:
    """Events known at each snapshot, one row per (snapshot, event).

    Parameters
    ----------
    events
        One row per event, with the customer in column `by`.
    snapshots
        Distinct (customer_id, as_of).
    time
        Column with the time of the event; rows without a time are left out.

    Returns
    -------
    LazyFrame
        customer_id, as_of, the columns of the event, and seconds_ago = as_of - time (> 0).
    """
    is_known = nw.col("seconds_ago") > 0
    if "recorded_at" in columns_of(events):
        is_known = is_known & (nw.col("recorded_at").is_null() | happened("recorded_at"))
    if by != "customer_id":
        events = events.rename({by: "customer_id"})
    joined = events.join(snapshots.select(*KEYS), on="customer_id", how="inner")
    return joined.with_columns(seconds_ago=nw.col("as_of") - nw.col(time)).filter(is_known)


def outcomes(
    events: nw.LazyFrame, snapshots: nw.LazyFrame, *, time: str, days: int
) -> nw.LazyFrame:
    """Events in `[as_of, as_of + days)`: for labels, never for features.

    When an event was recorded does not matter here.

    Returns
    -------
    LazyFrame
        One row per (snapshot, event): customer_id, as_of and the columns of the event.
    """
    start = nw.col("as_of")
    joined = events.join(snapshots.select(*KEYS), on="customer_id", how="inner")
    return joined.filter(nw.col(time) >= start, nw.col(time) < start + days * DAY)


def matured(*, days: int, now: int) -> nw.Expr:
    """Whether the `days` after as_of are over by `now`."""
    return nw.col("as_of") + days * DAY <= now


def happened(column: str) -> nw.Expr:
    """Whether the time in a column, such as the resolution of a complaint, is before as_of."""
    return nw.col(column) < nw.col("as_of")


def within(days: int) -> nw.Expr:
    """Whether a visible event lies in `[as_of - days, as_of)`."""
    return nw.col("seconds_ago") <= days * DAY


def between(newest_days: int, oldest_days: int) -> nw.Expr:
    """Whether a visible event lies in `[as_of - oldest_days, as_of - newest_days)`."""
    ago = nw.col("seconds_ago")
    return (ago > newest_days * DAY) & (ago <= oldest_days * DAY)


def days_since(column: str) -> nw.Expr:
    """Days from the time in a column to as_of, with fractions; negative for a time after as_of."""
    return divided(nw.col("as_of") - nw.col(column), DAY)
