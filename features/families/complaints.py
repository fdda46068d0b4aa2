"""Complaints: how many, how severe, whose fault, and whether they were resolved."""

from __future__ import annotations

import narwhals as nw

from ..contract.contract import CAUSES
from ..expressions import divided, ratio
from ..windows import DAY, days_since, happened, within
from .family import Aggregate, Family, Feature, Inputs, count_all, count_if, latest


def complaints(inputs: Inputs) -> Family:
    """Counts per window, by cause and severity; open now, share resolved, days to resolve."""
    if not inputs.has("complaints"):
        return Family("complaints", ())
    sums = [count_if(f"complaints_{days}d", within(days)) for days in inputs.windows_days]
    sums += [
        count_all("complaints_total"),
        latest("last_complained_at", "opened_at"),
    ]
    features = [
        Feature(f"complaints_{days}d", "count", f"complaints in the last {days} days",
                nw.col(f"complaints_{days}d"))
        for days in inputs.windows_days
    ]  # fmt: skip
    features += [
        Feature("complaints_total", "count", "complaints so far", nw.col("complaints_total")),
        Feature(
            "days_since_last_complaint", "days", "days since the last complaint",
            days_since("last_complained_at"),
        ),
    ]  # fmt: skip
    for more_sums, more in (_resolution(inputs), _severity(inputs), _causes(inputs)):
        sums += more_sums
        features += more
    return Family("complaints", tuple(features), {"complaints": tuple(sums)})


def _resolution(inputs: Inputs) -> tuple[list[Aggregate], list[Feature]]:
    if not inputs.has("complaints", "resolved_at"):
        return [], []
    took = nw.when(happened("resolved_at")).then(nw.col("resolved_at") - nw.col("opened_at"))
    sums = [
        count_if("complaints_resolved", happened("resolved_at")),
        Aggregate("seconds_to_resolve", "sum", took.cast(nw.Float64).fill_null(0.0)),
    ]
    resolved = nw.col("complaints_resolved")
    return sums, [
        Feature(
            "complaints_open", "count", "complaints not resolved yet",
            nw.col("complaints_total") - resolved,
        ),
        Feature(
            "complaints_resolved_share", "share", "share of complaints resolved so far",
            ratio(resolved, nw.col("complaints_total")),
        ),
        Feature(
            "mean_days_to_resolve", "days", "mean days from complaint to resolution",
            ratio(divided(nw.col("seconds_to_resolve"), DAY), resolved),
        ),
    ]  # fmt: skip


def _severity(inputs: Inputs) -> tuple[list[Aggregate], list[Feature]]:
    if not inputs.has("complaints", "severity"):
        return [], []
    sums = [
        count_if("complaints_severe", nw.col("severity") >= 3),
        Aggregate("complaint_worst_severity", "max", nw.col("severity").cast(nw.Int64)),
    ]
    return sums, [
        Feature(
            "complaints_severe", "count", "complaints of severity 3 so far",
            nw.col("complaints_severe"),
        ),
        Feature(
            "complaint_worst_severity", "number", "severity (1-3) of the worst complaint so far",
            nw.col("complaint_worst_severity").cast(nw.Float64),
        ),
    ]  # fmt: skip


def _causes(inputs: Inputs) -> tuple[list[Aggregate], list[Feature]]:
    if not inputs.has("complaints", "cause"):
        return [], []
    names = {cause: f"complaints_by_{cause}" for cause in CAUSES}
    sums = [count_if(name, nw.col("cause") == cause) for cause, name in names.items()]
    return sums, [
        Feature(name, "count", f"complaints so far caused by a {cause} fault", nw.col(name))
        for cause, name in names.items()
    ]
