"""A simulated experiment laid out for the data card, with the truth beside it.

One frame per question of the data card: the customers of the experiment with what happened before
the offer, the lifetimes that their returns began, and the months of those lifetimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..simulate import Simulation
from ..world import ARMS, OFFERS, World


@dataclass(frozen=True)
class Study:
    """The experiment laid out.

    Attributes
    ----------
    world, tables, truth
        Those of the simulation.
    people
        One row per customer of the experiment: the columns of `offers` and of the truth, `stated`
        (reason, missing where none), `departed_at`, `lapse_days`, `departures_before`, `tailored`
        (true probability under the tailored policy), `expected` (mean over the arms),
        `referrals`, `resolved`, `unresolved` (complaints at the moment of the offer), `human`,
        `severity` (sums over complaints of faults of people and of severity above 1), `months`,
        `spend` (bills before the offer and their mean).
    returns
        One row per return, about the lifetime that it began: `customer_id`, `arm`, `offer`,
        `value` (margin within the horizon), `margin` and `months` to its end or that of the data,
        `ended`, `cured`.
    again
        One row per month of a lifetime begun by a return: `contacted`, `ended` (in this month).
    first
        One row per customer who left within the window: `margin` and `months` of the first
        lifetime.
    """

    world: World
    tables: Mapping[str, pd.DataFrame]
    truth: pd.DataFrame
    people: pd.DataFrame
    returns: pd.DataFrame
    again: pd.DataFrame
    first: pd.DataFrame

    @property
    def window(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Start and end of the study window."""
        ends = (self.world.window_starts_at, self.world.window_ends_at)
        return pd.Timestamp(ends[0], unit="s"), pd.Timestamp(ends[1], unit="s")


def lay_out(simulation: Simulation) -> Study:
    """The study of a simulation."""
    tables, world = simulation.tables, simulation.world
    departures = tables["departures"].sort_values("departed_at")
    people = _people(simulation, departures)
    ends, orders = _ends(people, departures), tables["orders"]
    first = departures.drop_duplicates("customer_id")
    first = first[first["departed_at"] < pd.Timestamp(world.window_ends_at, unit="s")]
    return Study(
        world=world,
        tables=tables,
        truth=simulation.truth,
        people=people,
        returns=_returns(people, orders, ends, world.value_horizon_days),
        again=_months_again(people, orders, ends, departures, tables["contacts"]),
        first=_sums(orders, first.set_index("customer_id")["departed_at"], before=True),
    )


def _sums(orders: pd.DataFrame, moment: pd.Series, *, before: bool) -> pd.DataFrame:
    """Margin, money paid and number of bills of customers before (or since) a moment of each."""
    at = _of(moment, orders["customer_id"])
    wanted = (orders["ordered_at"] < at) if before else (orders["ordered_at"] >= at)
    groups = orders[wanted].groupby("customer_id")
    sums = groups[["margin", "amount"]].sum().assign(months=groups.size())
    return sums.reindex(moment.index).fillna(0.0)


def _of(values: pd.Series, customers: pd.Series) -> np.ndarray:
    """The value of each row's customer; missing for others."""
    position = values.index.get_indexer(pd.Index(customers))
    return pd.array(values).take(position, allow_fill=True)


def _people(simulation: Simulation, departures: pd.DataFrame) -> pd.DataFrame:
    tables, truth = simulation.tables, simulation.truth
    offers = tables["offers"].sort_values("offered_at")
    offers = offers[offers["arm"].isin(ARMS)]  # not those to active customers
    people = pd.merge_asof(
        offers,
        departures.rename(columns={"reason": "stated"}),
        left_on="offered_at",
        right_on="departed_at",
        by="customer_id",
    ).set_index("customer_id")
    experiment = truth[truth["population"] == "experiment"].set_index("customer_id")
    experiment = experiment.drop(columns=["as_of", "population", "complaints"])
    people = people.join(experiment)
    moment = people["offered_at"]
    people["lapse_days"] = (moment - people["departed_at"]).dt.total_seconds() / 86_400
    past = departures["departed_at"] < _of(moment, departures["customer_id"])
    people["departures_before"] = _count(departures[past], people)
    discount = people["stated"].map({"price": 1.0, "service": 0.0}).fillna(0.5)
    chances = {offer: people[f"return_probability_{offer}"] for offer in OFFERS}
    tailored = discount * chances["discount"] + (1 - discount) * chances["upgrade"]
    people = people.assign(tailored=tailored, expected=(sum(chances.values()) + tailored) / 5)
    referrals = tables["referrals"].rename(columns={"referrer_id": "customer_id"})
    past = referrals["referred_at"] < _of(moment, referrals["customer_id"])
    people["referrals"] = _count(referrals[past], people)
    complaints = tables["complaints"]
    at = _of(moment, complaints["customer_id"])
    filed = complaints[complaints["opened_at"] < at]
    settled = filed["resolved_at"] < at[complaints["opened_at"] < at]
    people["resolved"] = _count(filed[settled], people)
    people["unresolved"] = _count(filed[~settled], people)
    people["human"] = _count(filed[filed["cause"] == "human"], people)
    extra = (filed["severity"] - 1).groupby(filed["customer_id"]).sum()
    people["severity"] = extra.reindex(people.index).fillna(0.0)
    bills = _sums(tables["orders"], moment, before=True)
    return people.assign(months=bills["months"], spend=bills["amount"] / bills["months"])


def _count(rows: pd.DataFrame, people: pd.DataFrame) -> pd.Series:
    return rows.groupby("customer_id").size().reindex(people.index).fillna(0).astype(float)


def _returns(
    people: pd.DataFrame, orders: pd.DataFrame, ends: pd.Series, horizon_days: int
) -> pd.DataFrame:
    back = people[people["returned_at"].notna()]
    orders = orders[_within(orders["ordered_at"], orders["customer_id"], back, ends)]
    whole = _sums(orders, back["returned_at"], before=False)
    until = back["offered_at"] + pd.Timedelta(days=horizon_days)
    within = orders[orders["ordered_at"] < _of(until, orders["customer_id"])]
    value = _sums(within, back["returned_at"], before=False)["margin"]
    return pd.DataFrame(
        {
            "arm": back["arm"],
            "offer": back["offer"],
            "value": value,
            "margin": whole["margin"],
            "months": whole["months"],
            "ended": ends.reindex(back.index).notna(),
            "cured": back["cured"].astype(bool),
        }
    )


def _ends(people: pd.DataFrame, departures: pd.DataFrame) -> pd.Series:
    """When the lifetime ended that each return of the experiment began, by customer."""
    since = _of(people["returned_at"], departures["customer_id"])
    return departures[departures["departed_at"] > since].groupby("customer_id")["departed_at"].min()


def _within(
    moment: pd.Series, customer: pd.Series, people: pd.DataFrame, ends: pd.Series
) -> np.ndarray:
    """Whether a moment lies in the lifetime that a return of the experiment began."""
    end = pd.Series(_of(ends, customer), index=moment.index)
    since = pd.Series(_of(people["returned_at"], customer), index=moment.index)
    return ((moment >= since) & ~(moment >= end)).to_numpy()


def _months_again(
    people: pd.DataFrame,
    orders: pd.DataFrame,
    ends: pd.Series,
    departures: pd.DataFrame,
    contacts: pd.DataFrame,
) -> pd.DataFrame:
    bills = orders[_within(orders["ordered_at"], orders["customer_id"], people, ends)]
    bills = bills[["customer_id", "ordered_at"]].sort_values("ordered_at")
    month = pd.Timedelta(days=30.4)
    sent = contacts[["customer_id", "contacted_at"]].sort_values("contacted_at")
    left = departures[["customer_id", "departed_at"]]
    for events, moment in ((sent, "contacted_at"), (left, "departed_at")):
        bills = pd.merge_asof(
            bills,
            events,
            left_on="ordered_at",
            right_on=moment,
            by="customer_id",
            direction="forward",
            tolerance=month,
        )
    return pd.DataFrame(
        {"contacted": bills["contacted_at"].notna(), "ended": bills["departed_at"].notna()}
    )
