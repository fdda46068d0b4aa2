"""Contacts: messages and win-back offers sent to a customer so far."""

from __future__ import annotations

import narwhals as nw

from ..windows import days_since, happened, within
from .family import Aggregate, Family, Feature, Inputs, count_all, count_if, latest


def contacts(inputs: Inputs) -> Family:
    """Contacts in the trend window and in total, days since the last; past win-back offers."""
    features: list[Feature] = []
    aggregates: dict[str, tuple[Aggregate, ...]] = {}
    if inputs.has("contacts"):
        days = inputs.trend_days
        name = f"contacts_{days}d"
        aggregates["contacts"] = (
            count_if(name, within(days)),
            count_all("contacts_total"),
            latest("last_contacted_at", "contacted_at"),
        )
        features += [
            Feature(name, "count", f"messages sent in the last {days} days", nw.col(name)),
            Feature("contacts_total", "count", "messages sent so far", nw.col("contacts_total")),
            Feature(
                "days_since_last_contact", "days", "days since the last message",
                days_since("last_contacted_at"),
            ),
        ]  # fmt: skip
    if inputs.has("offers"):
        sums = [
            count_all("past_offers"),
            latest("last_offered_at", "offered_at"),
        ]
        features += [
            Feature("past_offers", "count", "win-back offers sent so far", nw.col("past_offers")),
            Feature(
                "days_since_last_offer", "days", "days since the last win-back offer",
                days_since("last_offered_at"),
            ),
        ]  # fmt: skip
        if inputs.has("offers", "returned_at"):
            sums.append(count_if("past_offers_accepted", happened("returned_at")))
            features.append(
                Feature(
                    "past_offers_accepted", "count", "win-back offers accepted so far",
                    nw.col("past_offers_accepted"),
                )
            )  # fmt: skip
        aggregates["offers"] = tuple(sums)
    return Family("contacts", tuple(features), aggregates)
