"""Tenure: days as a customer, lifetimes so far, and days since the last departure."""

from __future__ import annotations

import narwhals as nw

from ..lifetimes import status_at
from ..windows import KEYS, days_since, happened
from .family import Aggregate, Family, Feature, Inputs, earliest, elapsed_days, flag


def tenure(inputs: Inputs) -> Family:
    """Days since signing up, length of the current or last lifetime, departures so far."""
    has_signup = inputs.has("customers", "signed_up_at")
    begins: list[nw.Expr] = []
    if has_signup:
        begins.append(nw.when(happened("signed_up_at")).then(nw.col("signed_up_at")))
    if inputs.has("orders"):
        begins.append(nw.col("first_ordered_at"))
    if not begins:
        return Family("tenure", ())
    began_at = nw.coalesce(*begins)
    aggregates: dict[str, tuple[Aggregate, ...]] = {}
    if inputs.has("orders"):
        aggregates["orders"] = (earliest("first_ordered_at", "ordered_at"),)
    features = [
        Feature(
            "days_since_signup", "days", "days since signing up, else since the first order",
            elapsed_days(began_at, nw.col("as_of")),
        )
    ]  # fmt: skip
    if _tells_departures(inputs):
        features += _lifetimes(began_at)

    def attach(joined: nw.LazyFrame, snapshots: nw.LazyFrame) -> nw.LazyFrame:
        if has_signup:
            signed = inputs.tables["customers"].select("customer_id", "signed_up_at")
            joined = joined.join(signed, on="customer_id", how="left")
        status = status_at(inputs.tables, snapshots, inputs.definition)
        if status is not None:
            joined = joined.join(status, on=list(KEYS), how="left")
        return joined

    return Family("tenure", tuple(features), aggregates, attach)


def _tells_departures(inputs: Inputs) -> bool:
    if inputs.definition.kind == "contract":
        return inputs.has("departures")
    return inputs.has("orders") or inputs.has("activity")


def _lifetimes(began_at: nw.Expr) -> list[Feature]:
    left_at, back_at = nw.col("departed_at"), nw.col("returned_at")
    has_left, is_back = ~left_at.is_null(), ~back_at.is_null()
    departures = nw.col("departures_so_far").fill_null(0)
    ended_began_at = nw.coalesce(nw.col("earlier_returned_at"), began_at)
    start = nw.when(has_left & is_back).then(back_at).otherwise(ended_began_at)
    end = nw.when(has_left & ~is_back).then(left_at).otherwise(nw.col("as_of"))
    return [
        Feature(
            "days_in_lifetime", "days",
            "length of the current lifetime, or of the last one if the customer is lost",
            elapsed_days(start, end),
        ),
        Feature(
            "lifetimes_so_far", "count", "lifetimes begun so far",
            departures + flag(~has_left | is_back).cast(nw.Int64),
        ),
        Feature("departures_so_far", "count", "times the customer has left", departures),
        Feature("is_lost", "flag", "1 if the customer is lost", flag(has_left & ~is_back)),
        Feature("is_lost_twice", "flag", "1 if the customer has left twice or more",
                flag(departures >= 2)),
        Feature(
            "days_since_departure", "days", "days since the customer last left",
            days_since("departed_at"),
        ),
        Feature(
            "days_away_before_return", "days", "days between the last departure and the return",
            elapsed_days(left_at, back_at),
        ),
    ]  # fmt: skip
