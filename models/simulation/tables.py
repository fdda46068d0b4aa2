"""Simulated lifetimes as the tables of the data contract, in their names, types and units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .events import Wave, bill_amounts, bill_moments
from .people import PLANS, People
from .world import MONTH, World

REGIONS = ("north", "east", "south", "west", "centre")
PAYMENTS = ("card", "debit", "invoice")
CHANNELS = ("email", "letter", "call")
TOPICS = ("outage", "billing", "picture", "visit")


def seconds(values: np.ndarray) -> np.ndarray:
    """Seconds since 1970 as datetime64[us]; -1 is missing."""
    whole = np.asarray(values, dtype=np.int64)
    moments = whole.astype("datetime64[s]").astype("datetime64[us]")
    moments[whole < 0] = np.datetime64("NaT")
    return moments


def text(codes: np.ndarray, levels: Sequence[str | None]) -> pd.Series:
    """A text column from codes into levels; None is missing."""
    return pd.Series(pd.array(list(levels), dtype="str").take(codes))


def tables(
    people: People,
    waves: Sequence[Wave],
    ids: np.ndarray,
    *,
    world: World,
    rng: np.random.Generator,
) -> dict[str, pd.DataFrame]:
    """Customers, attributes, orders, activity, complaints, referrals and contacts.

    Parameters
    ----------
    people, waves
        Traits, and all lifetimes with their events.
    ids
        (customers,) customer_id of each row of `people`.
    world
        Gives the end of the data.
    rng
        Draws what nothing else depends on: regions, channels, topics, moments within a month.
    """
    owners = [ids[wave.lives.customer] for wave in waves]
    by_id = np.argsort(ids)
    people_by_id, ids = people.take(by_id), ids[by_id]
    customers = {"customer_id": ids, "signed_up_at": seconds(people_by_id.signed_up_at)}
    return {
        "customers": pd.DataFrame(customers),
        "attributes": _attributes(people_by_id, ids, rng=rng),
        "orders": _orders(people, waves, owners, world=world),
        "activity": _activity(waves, owners, world=world, rng=rng),
        "complaints": _complaints(waves, owners, world=world, rng=rng),
        "referrals": _referrals(waves, owners, people_by_id, ids, rng=rng),
        "contacts": _contacts(waves, owners, world=world, rng=rng),
    }


def _attributes(people: People, ids: np.ndarray, *, rng: np.random.Generator) -> pd.DataFrame:
    n = len(ids)
    return pd.DataFrame(
        {
            "customer_id": ids,
            "known_at": seconds(people.signed_up_at),
            "plan": text(people.plan, PLANS),
            "region": text(rng.integers(0, len(REGIONS), n), REGIONS),
            "payment": text(rng.integers(0, len(PAYMENTS), n), PAYMENTS),
            "age": np.clip(np.round(46 + 15 * rng.standard_normal(n)), 18, 95).astype(np.int64),
            "household": 1 + rng.binomial(4, 0.3, n),
        }
    )


def _orders(
    people: People, waves: Sequence[Wave], owners: Sequence[np.ndarray], *, world: World
) -> pd.DataFrame:
    customer = np.concatenate(
        [owner[wave.lived.month_life] for wave, owner in zip(waves, owners, strict=True)]
    )
    moment = np.concatenate([bill_moments(wave) for wave in waves])
    money = [bill_amounts(people, wave) for wave in waves]
    order = _by_customer_and_time(customer, moment)
    frame = {
        # Ids of shards of one population must not collide: they start at the shard's customers.
        "order_id": world.first_customer_id * 1_000 + np.arange(len(order)),
        "customer_id": customer[order],
        "ordered_at": seconds(moment[order]),
    }
    for position, name in enumerate(("amount", "margin", "discount")):
        frame[name] = np.concatenate([parts[position] for parts in money])[order]
    return pd.DataFrame(frame, copy=False)


def _activity(
    waves: Sequence[Wave],
    owners: Sequence[np.ndarray],
    *,
    world: World,
    rng: np.random.Generator,
) -> pd.DataFrame:
    customer, moment, kind, quantity = [], [], [], []
    for wave, owner in zip(waves, owners, strict=True):
        start = bill_moments(wave)
        of = owner[wave.lived.month_life]
        for code, amount in enumerate((wave.use, wave.premium)):
            rows = np.flatnonzero(amount > 0)
            moments = start[rows] + (MONTH * (0.02 + 0.26 * rng.random(len(rows)))).astype(np.int64)
            before_end = moments < world.as_of
            rows = rows[before_end]
            customer.append(of[rows])
            moment.append(moments[before_end])
            kind.append(np.full(len(rows), code, dtype=np.int8))
            quantity.append(amount[rows].astype(np.float64))
    all_customers, all_moments = np.concatenate(customer), np.concatenate(moment)
    all_kinds = np.concatenate(kind)
    order = _by_customer_and_time(all_customers, all_moments, all_kinds)
    return pd.DataFrame(
        {
            "customer_id": all_customers[order],
            "happened_at": seconds(all_moments[order]),
            "kind": text(all_kinds[order], ("use", "premium")),
            "quantity": np.round(np.concatenate(quantity)[order], 1),
        },
        copy=False,
    )


def _by_customer_and_time(
    customer: np.ndarray, moment: np.ndarray, kind: np.ndarray | int = 0
) -> np.ndarray:
    """Order by customer, second and kind (0 or 1): one whole number each, much faster to sort."""
    return np.argsort((customer << 32) | (moment << 1) | kind)


def _complaints(
    waves: Sequence[Wave],
    owners: Sequence[np.ndarray],
    *,
    world: World,
    rng: np.random.Generator,
) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "customer_id": np.concatenate(
                [owner[wave.complaint_life] for wave, owner in zip(waves, owners, strict=True)]
            ),
            "opened_at": seconds(np.concatenate([wave.opened_at for wave in waves])),
            "resolved_at": seconds(np.concatenate([wave.resolved_at for wave in waves])),
            "severity": np.concatenate([wave.severity for wave in waves]),
            "cause": text(
                np.concatenate([wave.human for wave in waves]).astype(int), ("system", "human")
            ),
        }
    )
    frame["topic"] = text(rng.integers(0, len(TOPICS), len(frame)), TOPICS)
    frame = frame.sort_values(["opened_at", "customer_id"], ignore_index=True)
    frame.insert(0, "complaint_id", world.first_customer_id * 1_000 + np.arange(len(frame)))
    return frame


def _referrals(
    waves: Sequence[Wave],
    owners: Sequence[np.ndarray],
    people: People,
    ids: np.ndarray,
    *,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Two in five referrals bring the next customer who signs up, the others nobody."""
    referrer = np.concatenate(
        [owner[wave.referral_life] for wave, owner in zip(waves, owners, strict=True)]
    )
    moment = np.concatenate([wave.referred_at for wave in waves])
    order = np.lexsort((referrer, moment))
    referrer, moment = referrer[order], moment[order]
    converts = np.flatnonzero(rng.random(len(moment)) < 0.4)
    by_time = np.argsort(people.signed_up_at, kind="stable")
    rank = np.arange(len(converts))
    following = np.searchsorted(people.signed_up_at[by_time], moment[converts], side="right")
    following = np.maximum.accumulate(following - rank) + rank
    signs_up = following < len(ids)
    converts, newcomer = converts[signs_up], by_time[following[signs_up]]
    referred = int(ids.max(initial=0)) + 1 + np.arange(len(moment))
    converted = np.full(len(moment), -1)
    referred[converts] = ids[newcomer]
    converted[converts] = people.signed_up_at[newcomer]
    return pd.DataFrame(
        {
            "referrer_id": referrer,
            "referred_id": referred,
            "referred_at": seconds(moment),
            "converted_at": seconds(converted),
        }
    )


def _contacts(
    waves: Sequence[Wave],
    owners: Sequence[np.ndarray],
    *,
    world: World,
    rng: np.random.Generator,
) -> pd.DataFrame:
    customer, moment = [], []
    for wave, owner in zip(waves, owners, strict=True):
        sent = np.flatnonzero(wave.lived.contacted)
        moments = bill_moments(wave)[sent]
        moments += (MONTH * (0.01 + 0.27 * rng.random(len(sent)))).astype(np.int64)
        before_end = moments < world.as_of
        customer.append(owner[wave.lived.month_life[sent[before_end]]])
        moment.append(moments[before_end])
    customers, moments = np.concatenate(customer), np.concatenate(moment)
    order = _by_customer_and_time(customers, moments)
    frame = pd.DataFrame({"customer_id": customers[order], "contacted_at": seconds(moments[order])})
    frame["channel"] = text(rng.choice(3, len(frame), p=[0.7, 0.2, 0.1]), CHANNELS)
    frame["campaign"] = text(np.zeros(len(frame), dtype=int), ("newsletter",))
    return frame
