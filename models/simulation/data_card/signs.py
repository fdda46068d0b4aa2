"""Rows of the data card that state a sign or an order, measured on the truth where it is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..world import MONTH, OFFER_COST, OFFERS
from .finding import Finding, by_level, chance, falls, given_return, over_offers, said, widened
from .study import Study

REAL_OFFERS = OFFERS[1:]
EARLY_MONTHS = 20


def durations(study: Study) -> Finding:
    """Second lifetimes are longer on average: some are cured, the rest leave sooner than before."""
    accepted = study.returns[study.returns["arm"] != "none"]
    ratio = float(accepted["months"].mean() / study.first["months"].mean())
    within = (accepted["months"] <= EARLY_MONTHS) & accepted["ended"]
    cured, rest = within[accepted["cured"]].mean(), within[~accepted["cured"]].mean()
    first = _first_lifetimes_ended(study)
    slack = 0.05 * (widened(1.0, len(study.people)) - 1.0)
    return Finding(
        "S",
        "second lifetimes longer (both to the end of the data), as a mixture: share ended within "
        f"{EARLY_MONTHS} months, cured < first lifetimes < not cured",
        "ratio 1.15 to 1.25",
        f"{slack:.3f}",
        f"ratio {ratio:.3f}; cured {cured:.3f}, first {first:.3f}, not cured {rest:.3f}",
        1.15 - slack <= ratio <= 1.25 + slack and cured < first < rest,
    )


def _first_lifetimes_ended(study: Study) -> float:
    """Share of first lifetimes begun within the window that ended early."""
    customers = study.tables["customers"].set_index("customer_id")["signed_up_at"]
    begins = customers[customers.between(*study.window, inclusive="left")]
    ends = study.tables["departures"].groupby("customer_id")["departed_at"].min()
    lasted = (ends.reindex(begins.index) - begins).dt.total_seconds() / MONTH
    return float((lasted <= EARLY_MONTHS).mean())


def _regression(people: pd.DataFrame) -> dict[str, float]:
    """Least squares of the true probability, mean over the arms, on what preceded the offer."""
    columns = {
        "referrals": np.minimum(people["referrals"], 3),
        "resolved": people["resolved"],
        "unresolved": people["unresolved"],
        "human": people["human"],
        "severity": people["severity"],
        "tenure": np.log(people["months"]),
        "spend": np.log(people["spend"]),
        "lapse": np.log1p(people["lapse_days"] / 120),
        "twice": people["departures_before"] >= 2,
    }
    levels = sorted(people["true_reason"].unique())
    columns |= {level: people["true_reason"] == level for level in levels[1:]}
    matrix = np.column_stack([np.ones(len(people)), *columns.values()]).astype(float)
    coefficients = np.linalg.lstsq(matrix, people["expected"].to_numpy(), rcond=None)[0]
    return dict(zip(columns, coefficients[1:].tolist(), strict=True))


def drivers(study: Study) -> Finding:
    """Referrals and complaints, other things equal."""
    effects = _regression(study.people.assign(human=0.0, severity=0.0))
    kept = {name: effects[name] for name in ("referrals", "unresolved", "resolved")}
    return Finding(
        "S",
        "return: referrals +, complaints -, resolved less bad, never better than no complaint",
        "referrals > 0 > resolved > unresolved",
        "sign of the coefficient",
        said(kept),
        kept["referrals"] > 0 > kept["resolved"] > kept["unresolved"],
    )


def complained(study: Study) -> Finding:
    """Customers who never complained, whose complaints were settled, or not."""
    people = study.people
    group = np.where(
        people["unresolved"] > 0, "unresolved", np.where(people["resolved"] > 0, "resolved", "none")
    )
    means = people["expected"].groupby(group).mean().reindex(["none", "resolved", "unresolved"])
    return Finding(
        "S",
        "return: never complained >= complaint resolved > unresolved",
        "falling",
        "order",
        said(by_level(means)),
        falls(means.tolist()),
    )


def reasons(study: Study) -> Finding:
    """Return by the true reason for leaving."""
    people = study.people
    means = people["expected"].groupby(people["true_reason"]).mean()
    gap, futile = means["price"] - means["service"], means["both"] / means["price"]
    slack = 0.01 * (widened(1.0, len(people)) - 1.0)
    share = float((people["true_reason"] == "both").mean())
    return Finding(
        "S",
        "return by true reason: price above service, both at most a third of price and nearly "
        "left out",
        "gap 0.08 to 0.12; ratio at most 0.33",
        f"{slack:.3f}",
        f"gap {gap:.3f}; ratio {futile:.3f}; share of both in the experiment {share:.3f}",
        0.08 - slack <= gap <= 0.12 + slack and futile <= 1 / 3 and share < 0.05,
    )


def second_months(study: Study) -> Finding:
    """Length of the second lifetime by offer and by reason."""
    people = study.people
    months = {
        offer: given_return(people, "months", offer) for offer in ("upgrade", "discount", "bundle")
    }
    reason = {
        name: over_offers(people[people["true_reason"] == name], "months")
        for name in ("price", "service")
    }
    return Finding(
        "S",
        "expected months within the horizon: upgrade > discount > bundle; price > service",
        "falling",
        "order in the truth",
        said(months | reason, 2),
        falls(list(months.values())) and falls(list(reason.values())),
    )


def monthly_profit(study: Study) -> Finding:
    """Profit per month of the second lifetime by reason and by offer."""
    people = study.people
    reason = {
        str(name): over_offers(group, "value") / over_offers(group, "months")
        for name, group in people.groupby("true_reason")
        if name in ("price", "service")
    }
    net = {
        offer: (given_return(people, "value", offer) - OFFER_COST[offer])
        / given_return(people, "months", offer)
        for offer in REAL_OFFERS
    }
    return Finding(
        "S",
        "profit per month of the second lifetime: service > price; bundle lowest net of its cost",
        "service > price; bundle lowest",
        "order in the truth",
        said(reason | net, 2),
        reason["service"] > reason["price"] and min(net, key=net.__getitem__) == "bundle",
    )


def lapse_and_faults(study: Study) -> Finding:
    """Time since leaving; whose fault it was and how grave."""
    people = study.people
    windows = pd.cut(people["lapse_days"], [0, 90, 180, 360, np.inf], labels=False)
    means = people["expected"].groupby(windows).mean().tolist()
    effects = _regression(people)
    return Finding(
        "S",
        "return falls over lapses of 90, 180, 360 days; faults of people and grave ones are worse",
        "falling; human < 0, severity < 0",
        "order and sign in the truth",
        f"{', '.join(f'{mean:.3f}' for mean in means)}; human {effects['human']:.3f}, "
        f"severity {effects['severity']:.3f}",
        falls(means) and effects["human"] < 0 and effects["severity"] < 0,
    )


def lost_twice(study: Study) -> Finding:
    """Customers who had come back once before and left again."""
    people = study.people
    twice = people["departures_before"] >= 2
    ratio = people.loc[twice, "expected"].mean() / people.loc[~twice, "expected"].mean()
    third = over_offers(people[twice], "months")
    second = over_offers(people[~twice], "months")
    return Finding(
        "S",
        "lost twice: return x 0.4, and the next lifetime is shorter",
        "ratio 0.4; third < second",
        f"ratio {widened(0.06, len(people)):.3f}; order",
        f"ratio {ratio:.3f} (share {twice.mean():.3f}); months {third:.2f} against {second:.2f}",
        abs(ratio - 0.4) <= widened(0.06, len(people)) and third < second,
    )


def gone(study: Study) -> Finding:
    """Customers whom no offer brings back."""
    rows = study.people[study.people["true_reason"].isin(["moved", "need_gone"])]
    chances = np.column_stack([chance(rows, offer) for offer in OFFERS])
    spread = float(np.ptp(chances, axis=1).max(initial=0.0))
    return Finding(
        "S",
        "moved or need gone: return at most .03 under every offer, no uplift",
        "at most 0.03; 0",
        "exact",
        f"{chances.max(initial=0.0):.3f}; {spread:.3f} ({len(rows)} customers)",
        chances.max(initial=0.0) <= 0.03 and spread == 0.0,
    )


def contacts(study: Study) -> Finding:
    """Messages in the second lifetime."""
    churn = study.again["ended"].groupby(study.again["contacted"]).mean()
    return Finding(
        "S",
        "second lifetime: churn in months with a message below that in months without",
        "contacted < not contacted",
        "order",
        f"{churn[True]:.4f} against {churn[False]:.4f}",
        bool(churn[True] < churn[False]),
    )


def first_relation(study: Study) -> Finding:
    """A long and rich first lifetime."""
    effects = _regression(study.people)
    kept = {name: effects[name] for name in ("tenure", "spend")}
    return Finding(
        "D",
        "return: tenure + and spend + of the first lifetime",
        "both > 0",
        "sign of the coefficient",
        said(kept),
        min(kept.values()) > 0,
    )
