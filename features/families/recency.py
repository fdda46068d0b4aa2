"""Recency: how long ago a customer last ordered or used the service."""

from __future__ import annotations

from ..windows import days_since
from .activity_kinds import feature_stem, of_kind
from .family import Aggregate, Family, Feature, Inputs, latest


def recency(inputs: Inputs) -> Family:
    """Days since the last order, since the last activity, and since the last of each kind."""
    features: list[Feature] = []
    aggregates: dict[str, tuple[Aggregate, ...]] = {}
    if inputs.has("orders"):
        aggregates["orders"] = (latest("last_ordered_at", "ordered_at"),)
        features.append(
            Feature(
                "days_since_last_order", "days", "days since the last order",
                days_since("last_ordered_at"),
            )
        )  # fmt: skip
    if inputs.has("activity"):
        last = [latest("last_active_at", "happened_at")]
        features.append(
            Feature(
                "days_since_last_activity", "days", "days since the last activity of any kind",
                days_since("last_active_at"),
            )
        )  # fmt: skip
        for kind in inputs.kinds:
            stem = feature_stem(kind)
            last.append(latest(f"last_{stem}_at", "happened_at", of_kind(kind)))
            features.append(
                Feature(
                    f"days_since_last_{stem}", "days", f"days since the last activity '{kind}'",
                    days_since(f"last_{stem}_at"),
                )
            )  # fmt: skip
        aggregates["activity"] = tuple(last)
    return Family("recency", tuple(features), aggregates)
