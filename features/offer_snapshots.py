"""Snapshots of customers when they were sent an offer, and what came of it: for lost and active."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import narwhals as nw

from .churn_definition import ChurnDefinition
from .expressions import columns_of, distinct, divided, missing
from .lifetimes import departures_under
from .snapshots import first_seen, present
from .windows import DAY, KEYS, Tables, matured, outcomes


def offer_snapshots(
    tables: Tables,
    *,
    now: int,
    definition: ChurnDefinition,
    return_window_days: int,
    value_horizon_days: int,
    costs: Mapping[str, int] | None = None,
    keep: Callable[[nw.LazyFrame], nw.LazyFrame] | None = None,
) -> nw.LazyFrame:
    """Offers with as_of = offered_at, and their outcomes: return, value, cost, second lifetime.

    A customer returned if offers.returned says so; else if offers.returned_at or a new order lies
    in `[as_of, as_of + return_window_days)`. Only offers whose outcome is known by `now` are kept.

    Parameters
    ----------
    costs
        Cost on acceptance per offer, in cents, used where offers.offer_cost is absent.
    keep
        Computes a frame once and returns it, such as `CustomerRanges.keep`; without it some
        engines look for the answers again for everything that came of them.

    Returns
    -------
    LazyFrame
        customer_id, as_of, offer, arm; campaign, propensity, chosen (by a campaign) and
        every_offer_open (0 or 1), null if unknown; returned (0 or 1), returned_at (null without a
        return, or if its time is unknown), value (currency: offers.value where given, else margin,
        or amount where no margin is known, of orders from the return, or from as_of if its time is
        unknown, to as_of + value_horizon_days; 0 without a return; null while that horizon is not
        over, where there are orders), cost (currency, actually paid; null if unknown), second_days
        (length of the lifetime after the return, up to `now`; null if unknown), second_ended (1 if
        that lifetime ended by `now`).
    """
    offers = _plain_offers(tables["offers"])
    sent = distinct(offers, *KEYS)
    answered = _returns(tables, offers, sent, return_window_days)
    # Of a campaign only those who came back have answered before its window is over.
    stated = ~nw.col("stated_returned").is_null() & nw.col("chosen").is_null()
    certain = matured(days=return_window_days, now=now) | stated
    known = answered.filter(certain)
    return _valued(tables, known, definition, now, value_horizon_days, costs, keep)


def retention_snapshots(
    tables: Tables,
    *,
    now: int,
    definition: ChurnDefinition,
    value_horizon_days: int,
    costs: Mapping[str, int] | None = None,
    keep: Callable[[nw.LazyFrame], nw.LazyFrame] | None = None,
) -> nw.LazyFrame:
    """Offers to customers who were active then, with as_of = offered_at, and who stayed.

    A customer stayed who was at no time lost in `[as_of, as_of + horizon_days)`. Whoever leaves
    within the lead time has left too, and whoever had left unnoticed: an experiment counts
    everybody who was drawn. What the source itself says of a return is not used. Only offers whose
    outcome is certain by `now` are kept, and only customers who, as known at as_of, were active:
    both are settled before anything comes of the offer.

    Parameters
    ----------
    tables
        With the offers of the retention experiment alone.
    costs, keep
        See `offer_snapshots`.

    Returns
    -------
    LazyFrame
        The columns of `offer_snapshots`: returned is 1 for whoever stayed, and returned_at is then
        the end of the horizon, so that value and second_days count what comes after it.

    Raises
    ------
    ValueError
        If no table says who left.
    """
    departures = departures_under(tables, definition)
    if departures is None:
        raise ValueError(
            "retention: no table says who left; add departures or orders to the source, or leave "
            "retention out"
        )
    offers = _plain_offers(tables["offers"])
    everyone = first_seen(tables, definition)
    sent = distinct(offers, *KEYS).join(everyone, on="customer_id", how="inner")
    over = definition.maturity_days - definition.lead_days
    active = present(tables, sent, definition).filter(
        nw.col("lost") == 0, matured(days=over, now=now)
    )
    left = _away_within(departures, active, definition.horizon_days)
    stays = nw.col("lost_at").is_null()
    answered = (
        offers.join(active.select(*KEYS), on=list(KEYS), how="inner")
        .join(left, on=list(KEYS), how="left")
        .with_columns(
            returned=nw.when(stays).then(1).otherwise(0).cast(nw.Int8),
            returned_at=nw.when(stays).then(nw.col("as_of") + definition.horizon_days * DAY),
        )
    )
    return _valued(tables, answered, definition, now, value_horizon_days, costs, keep)


def _away_within(departures: nw.LazyFrame, snapshots: nw.LazyFrame, days: int) -> nw.LazyFrame:
    """Snapshots of customers who are lost at some time within so many days, with a lost_at."""
    joined = departures.join(snapshots.select(*KEYS), on="customer_id", how="inner")
    back_before = nw.col("returned_at") <= nw.col("as_of")
    away = joined.filter(
        nw.col("lost_at") < nw.col("as_of") + days * DAY,
        nw.col("returned_at").is_null() | ~back_before,
    )
    return away.group_by(*KEYS).agg(nw.col("lost_at").min())


def _valued(
    tables: Tables,
    answered: nw.LazyFrame,
    definition: ChurnDefinition,
    now: int,
    value_horizon_days: int,
    costs: Mapping[str, int] | None,
    keep: Callable[[nw.LazyFrame], nw.LazyFrame] | None,
) -> nw.LazyFrame:
    """Offers with an outcome, and what came of it: the columns of `offer_snapshots`."""
    answered = answered if keep is None else keep(answered)
    valued = _with_value(tables, answered, value_horizon_days, now)
    return _with_second_lifetime(tables, valued, definition, now).select(
        *KEYS,
        "offer",
        "arm",
        "campaign",
        "propensity",
        "chosen",
        "every_offer_open",
        "returned",
        "returned_at",
        "value",
        _cost(costs).alias("cost"),
        "second_days",
        "second_ended",
    )


def _plain_offers(offers: nw.LazyFrame) -> nw.LazyFrame:
    """Offers with every optional column, null where the source does not have it."""
    columns = columns_of(offers)
    optional: dict[str, tuple[str, Any]] = {
        "propensity": ("propensity", nw.Float64),
        "returned": ("stated_returned", nw.Int8),
        "returned_at": ("stated_returned_at", nw.Int64),
        "offer_cost": ("stated_cost", nw.Int64),
        "value": ("stated_value", nw.Int64),
        "campaign": ("campaign", nw.String),
        "chosen": ("chosen", nw.String),
        "every_offer_open": ("every_offer_open", nw.Int8),
    }
    plain = {
        name: (nw.col(source) if source in columns else missing("offered_at")).cast(dtype)
        for source, (name, dtype) in optional.items()
    }
    arm = nw.col("arm") if "arm" in columns else nw.col("offer")
    plain["arm"] = nw.coalesce(arm, nw.col("offer"))
    return offers.select("customer_id", "offer", as_of=nw.col("offered_at"), **plain)


def _returns(
    tables: Tables, offers: nw.LazyFrame, sent: nw.LazyFrame, window_days: int
) -> nw.LazyFrame:
    """Offers with returned (0 or 1) and returned_at (null without a return or if unknown)."""
    end = nw.col("as_of") + window_days * DAY
    stated = nw.col("stated_returned_at")
    in_window = (stated >= nw.col("as_of")) & (stated < end)
    return_at: nw.Expr = nw.when(in_window).then(stated)
    if "orders" in tables:
        orders = tables["orders"].select("customer_id", "ordered_at")
        first = (
            outcomes(orders, sent, time="ordered_at", days=window_days)
            .group_by(*KEYS)
            .agg(nw.col("ordered_at").min().alias("first_ordered_at"))
        )
        offers = offers.join(first, on=list(KEYS), how="left")
        return_at = nw.min_horizontal(return_at, nw.col("first_ordered_at"))
    offers = offers.with_columns(return_at=return_at)
    observed = nw.when(nw.col("return_at").is_null()).then(0).otherwise(1).cast(nw.Int8)
    offers = offers.with_columns(returned=nw.coalesce(nw.col("stated_returned"), observed))
    known_return = nw.when(nw.col("returned") == 1).then(nw.col("return_at"))
    return offers.with_columns(returned_at=known_return)


def _returned(offers: nw.LazyFrame) -> nw.LazyFrame:
    """Distinct (customer_id, as_of, returned_at) of the returns with a known time."""
    return distinct(offers.filter(~nw.col("returned_at").is_null()), *KEYS, "returned_at")


def _with_value(tables: Tables, offers: nw.LazyFrame, horizon_days: int, now: int) -> nw.LazyFrame:
    """Offers with the value of the return, in currency."""
    stated = divided(nw.col("stated_value"), 100)
    nothing = nw.col("returned") == 0  # whatever is stated of them
    if "orders" in tables:
        nothing = nothing & ~stated.is_null()
    if "value" in columns_of(tables["offers"]):
        stated = nw.when(nothing).then(0.0).otherwise(stated)
    if "orders" not in tables:
        return offers.with_columns(value=stated)
    orders = tables["orders"]
    earned = nw.col("amount")
    if "margin" in columns_of(orders):
        earned = nw.coalesce(nw.col("margin"), nw.col("amount"))
    orders = orders.select("customer_id", "ordered_at", earned=earned.cast(nw.Int64))
    # Between the offer and a return of which the time is not known there are no orders.
    since = nw.coalesce(nw.col("returned_at"), nw.col("as_of"))
    returns = _returned(offers.filter(nw.col("returned") == 1).with_columns(returned_at=since))
    later = outcomes(orders, returns, time="ordered_at", days=horizon_days)
    counted = later.join(returns, on=list(KEYS), how="inner").filter(
        nw.col("ordered_at") >= nw.col("returned_at")
    )
    total = counted.group_by(*KEYS).agg(nw.col("earned").sum().alias("earned"))
    earned_money = divided(nw.col("earned").fill_null(0).cast(nw.Int64), 100)
    horizon_over = matured(days=horizon_days, now=now)
    return offers.join(total, on=list(KEYS), how="left").with_columns(
        value=nw.coalesce(stated, nw.when(horizon_over).then(earned_money))
    )


def _with_second_lifetime(
    tables: Tables, offers: nw.LazyFrame, definition: ChurnDefinition, now: int
) -> nw.LazyFrame:
    """Offers with the length of the lifetime after the return, and whether it ended."""
    departures = departures_under(tables, definition)
    end = missing("as_of")
    if departures is not None:
        returns = _returned(offers)
        ended = (
            returns.join(departures.select("customer_id", "lost_at"), on="customer_id", how="inner")
            .filter(nw.col("lost_at") >= nw.col("returned_at"), nw.col("lost_at") < now)
            .group_by(*KEYS)
            .agg(nw.col("lost_at").min().alias("second_ended_at"))
        )
        offers = offers.join(ended, on=list(KEYS), how="left")
        end = nw.col("second_ended_at")
    until = nw.coalesce(end, nw.lit(now, dtype=nw.Int64))
    length = divided(until - nw.col("returned_at"), DAY)
    is_over = nw.when(end.is_null()).then(0).otherwise(1)
    ended_or_null = nw.col("returned_at") * 0 + is_over  # null without a return
    return offers.with_columns(second_days=length, second_ended=ended_or_null.cast(nw.Int8))


def _cost(costs: Mapping[str, int] | None) -> nw.Expr:
    """Currency paid for an offer: as the source states it, else from `costs`."""
    paid = nw.col("stated_cost")
    for offer, cents in sorted((costs or {}).items()):
        accepted = nw.when(nw.col("returned") == 1).then(nw.lit(cents, dtype=nw.Int64)).otherwise(0)
        paid = nw.coalesce(paid, nw.when(nw.col("offer") == offer).then(accepted))
    return divided(paid, 100)
