"""Snapshots: customers at a moment with their outcomes, for churn, for offers and for today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw

from .churn_definition import ChurnDefinition
from .expressions import columns_of, distinct, divided, missing
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
    everyone = _everyone(tables, definition)
    one_row = tables["customers"].select(nw.len().alias("customers"))
    moments = nw.concat([one_row.select(as_of=nw.lit(d, dtype=nw.Int64)) for d in dates])
    return _present(tables, everyone.join(moments, how="cross"), definition)


def _present(tables: Tables, snapshots: nw.LazyFrame, definition: ChurnDefinition) -> nw.LazyFrame:
    """Those of the snapshots, with first_seen_at, that are of customers by then, with lost."""
    present = snapshots.filter(happened("first_seen_at")).select(*KEYS)
    status = status_at(tables, present, definition)
    if status is None:
        return present.with_columns(lost=nw.lit(0, dtype=nw.Int8))
    joined = present.join(status, on=list(KEYS), how="left")
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
            after_days=0,
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


def offer_snapshots(
    tables: Tables,
    *,
    now: int,
    definition: ChurnDefinition,
    return_window_days: int,
    value_horizon_days: int,
    costs: Mapping[str, int] | None = None,
) -> nw.LazyFrame:
    """Offers with as_of = offered_at, and their outcomes: return, value, cost, second lifetime.

    A customer returned if offers.returned says so; else if offers.returned_at or a new order lies
    in `[as_of, as_of + return_window_days)`. Only offers whose outcome is known by `now` are kept.

    Parameters
    ----------
    costs
        Cost on acceptance per offer, in cents, used where offers.offer_cost is absent.

    Returns
    -------
    LazyFrame
        customer_id, as_of, offer, arm; campaign, propensity, chosen (by a campaign) and
        every_offer_open (0 or 1), null if unknown; returned (0 or 1), returned_at (null without a
        return, or if its time is unknown), value (currency: offers.value where given, else margin,
        or amount where no margin is known, of orders from the return to as_of +
        value_horizon_days; 0 without a return; null while that horizon is not over, where there
        are orders), cost (currency, actually paid; null if unknown), second_days (length of the
        lifetime after the return, up to `now`; null if unknown), second_ended (1 if that lifetime
        ended by `now`).
    """
    offers = _plain_offers(tables["offers"])
    sent = distinct(offers, *KEYS)
    answered = _returns(tables, offers, sent, return_window_days)
    certain = matured(days=return_window_days, now=now) | ~nw.col("stated_returned").is_null()
    return _valued(tables, answered.filter(certain), definition, now, value_horizon_days, costs)


def retention_snapshots(
    tables: Tables,
    *,
    now: int,
    definition: ChurnDefinition,
    value_horizon_days: int,
    costs: Mapping[str, int] | None = None,
) -> nw.LazyFrame:
    """Offers to customers who were active then, with as_of = offered_at, and who stayed.

    A customer stayed who was at no time lost in `[as_of, as_of + horizon_days)`. Whoever leaves
    within the lead time has left too, and whoever had left unnoticed: an experiment counts
    everybody who was drawn. What the source itself
    says of a return is not used. Only offers whose outcome is certain by `now` are kept, and only
    customers who, as known at as_of, were active: both are settled before anything comes of the
    offer.

    Parameters
    ----------
    tables
        With the offers of the retention experiment alone.
    costs
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
    everyone = _everyone(tables, definition)
    sent = distinct(offers, *KEYS).join(everyone, on="customer_id", how="inner")
    over = definition.maturity_days - definition.lead_days
    active = _present(tables, sent, definition).filter(
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
    return _valued(tables, answered, definition, now, value_horizon_days, costs)


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
) -> nw.LazyFrame:
    """Offers with an outcome, and what came of it: the columns of `offer_snapshots`."""
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


def _everyone(tables: Tables, definition: ChurnDefinition) -> nw.LazyFrame:
    """Each customer once, with first_seen_at; null if unknown."""
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
            outcomes(orders, sent, time="ordered_at", after_days=0, days=window_days)
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
    if "orders" not in tables:
        if "value" in columns_of(tables["offers"]):
            stated = nw.when(nw.col("returned") == 0).then(0.0).otherwise(stated)
        return offers.with_columns(value=stated)
    orders = tables["orders"]
    earned = nw.col("amount")
    if "margin" in columns_of(orders):
        earned = nw.coalesce(nw.col("margin"), nw.col("amount"))
    orders = orders.select("customer_id", "ordered_at", earned=earned.cast(nw.Int64))
    returns = _returned(offers)
    later = outcomes(orders, returns, time="ordered_at", after_days=0, days=horizon_days)
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
