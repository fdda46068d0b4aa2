"""Frequency: how often a customer orders and uses the service, and the trend of both."""

from __future__ import annotations

import narwhals as nw

from ..expressions import divided, ratio
from ..windows import DAY, between, days_since, within
from .activity_kinds import feature_stem, of_kind
from .family import (
    Aggregate,
    Family,
    Feature,
    Inputs,
    count_all,
    count_if,
    earliest,
    elapsed_days,
    latest,
    sum_if,
    trend,
)


def frequency(inputs: Inputs) -> Family:
    """Orders and activities per window, their trends, and gaps between orders."""
    features: list[Feature] = []
    aggregates: dict[str, tuple[Aggregate, ...]] = {}
    if inputs.has("orders"):
        aggregates["orders"], new_features = _counts("orders", "orders", inputs)
        aggregates["orders"] += (
            earliest("first_ordered_at", "ordered_at"),
            latest("last_ordered_at", "ordered_at"),
        )
        features += [*new_features, *_gaps()]
    if inputs.has("activity"):
        aggregates["activity"], new_features = _counts("activity", "activities", inputs)
        features += new_features
        more, new_features = _finer_activity(inputs)
        aggregates["activity"] += more
        features += new_features
    return Family("frequency", tuple(features), aggregates)


def _counts(stem: str, word: str, inputs: Inputs) -> tuple[tuple[Aggregate, ...], list[Feature]]:
    """Counts per window, in total, and the trend of the trend window."""
    trend_days = inputs.trend_days
    sums = [count_if(f"{stem}_{days}d", within(days)) for days in inputs.windows_days]
    sums.append(count_all(f"{stem}_total"))
    sums.append(count_if(f"{stem}_before_{trend_days}d", between(trend_days, 2 * trend_days)))
    features = [
        Feature(f"{stem}_{days}d", "count", f"{word} in the last {days} days",
                nw.col(f"{stem}_{days}d"))
        for days in inputs.windows_days
    ]  # fmt: skip
    features += [
        Feature(f"{stem}_total", "count", f"{word} so far", nw.col(f"{stem}_total")),
        Feature(
            f"{stem}_trend_{trend_days}d", "ratio",
            f"change of {word} between the last {trend_days} days and the {trend_days} before, "
            "over their sum",
            trend(nw.col(f"{stem}_{trend_days}d"), nw.col(f"{stem}_before_{trend_days}d")),
        ),
    ]  # fmt: skip
    return tuple(sums), features


def _gaps() -> list[Feature]:
    span = elapsed_days(nw.col("first_ordered_at"), nw.col("last_ordered_at"))
    mean_gap = ratio(span, nw.col("orders_total") - 1)
    return [
        Feature(
            "mean_days_between_orders", "days", "mean days between orders so far", mean_gap
        ),
        Feature(
            "order_gap_ratio", "ratio",
            "days since the last order over the customer's own mean days between orders",
            ratio(days_since("last_ordered_at"), mean_gap),
        ),
    ]  # fmt: skip


def _finer_activity(inputs: Inputs) -> tuple[tuple[Aggregate, ...], list[Feature]]:
    days = inputs.trend_days
    sums, features = [], []
    for kind in inputs.kinds:
        name = f"activity_{feature_stem(kind)}_{days}d"
        sums.append(count_if(name, within(days) & of_kind(kind)))
        features.append(
            Feature(name, "count", f"activities '{kind}' in the last {days} days", nw.col(name))
        )
    if inputs.has("activity", "quantity"):
        more, quantity_features = _quantities(min(inputs.windows_days), days)
        sums += more
        features += quantity_features
    return tuple(sums), features


def _quantities(short: int, days: int) -> tuple[list[Aggregate], list[Feature]]:
    """Quantity of activity in windows, its trend, and its ratio to the customer's own mean."""
    sums = [
        sum_if(f"activity_quantity_{length}d", "quantity", within(length))
        for length in sorted({short, days})
    ]
    sums += [
        sum_if(f"activity_quantity_before_{short}d", "quantity", between(short, 2 * short)),
        sum_if("activity_quantity_total", "quantity"),
        earliest("first_happened_at", "happened_at"),
    ]
    recent = nw.col(f"activity_quantity_{short}d")
    features = [
        Feature(
            f"activity_quantity_{length}d", "number",
            f"quantity of activity in the last {length} days",
            divided(nw.col(f"activity_quantity_{length}d"), 1000),
        )
        for length in sorted({short, days})
    ]  # fmt: skip
    features += [
        Feature(
            f"activity_quantity_trend_{short}d", "ratio",
            f"change of the quantity of activity between the last {short} days and the {short} "
            "before, over their sum",
            trend(recent, nw.col(f"activity_quantity_before_{short}d")),
        ),
        Feature(
            f"activity_quantity_ratio_{short}d", "ratio",
            f"quantity of activity per day in the last {short} days over the customer's own "
            "daily mean since the first activity",
            ratio(
                recent * (nw.col("as_of") - nw.col("first_happened_at")),
                nw.col("activity_quantity_total") * (short * DAY),
            ),
        ),
    ]  # fmt: skip
    return sums, features
