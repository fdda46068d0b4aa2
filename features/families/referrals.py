"""Referrals: made by a customer, and whether the customer was referred."""

from __future__ import annotations

import narwhals as nw

from ..expressions import ratio
from ..windows import days_since, happened
from .family import Family, Feature, Inputs, count_all, count_if, flag, latest


def referrals(inputs: Inputs) -> Family:
    """Referrals made and converted, days since the last, and whether the customer was referred."""
    if not inputs.has("referrals"):
        return Family("referrals", ())
    made = [
        count_all("referrals_made"),
        latest("last_referred_at", "referred_at"),
    ]
    features = [
        Feature("referrals_made", "count", "referrals made so far", nw.col("referrals_made")),
        Feature(
            "days_since_last_referral", "days", "days since the last referral made",
            days_since("last_referred_at"),
        ),
        Feature(
            "was_referred", "flag", "1 if another customer brought this one",
            flag(nw.col("times_referred") > 0),
        ),
    ]  # fmt: skip
    if inputs.has("referrals", "converted_at"):
        made.append(count_if("referrals_converted", happened("converted_at")))
        converted = nw.col("referrals_converted")
        features += [
            Feature(
                "referrals_converted", "count", "referrals that became customers so far", converted
            ),
            Feature(
                "referrals_converted_share", "share",
                "share of the referrals made that became customers so far",
                ratio(converted, nw.col("referrals_made")),
            ),
        ]  # fmt: skip
    received = (count_all("times_referred"),)
    return Family(
        "referrals",
        tuple(features),
        {"referrals_made": tuple(made), "referrals_received": received},
    )
