"""The decision file of a campaign, learned from today's customers: prices, cut points, columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..offers import Offer
from ..total_return import best_rate
from .allocation import limit_prices
from .decision import OBJECTIVES, Decision, Prices
from .draws import Draws, draw
from .eligibility import Rules
from .evidence import KindsTested
from .recommend import facts_of, is_lost, recommend, stakes, weigh
from .strategy import PriorityCuts, StrategyLimits, learn_priorities

FIRST_OF = {  # facts that the rules ask for, and the features that can tell them, the best first
    "times_lost": ("departures_so_far",),
    "reason": ("departure_reason",),
    "value": ("margin_360d", "spend_360d"),  # a year's value
    "cost_to_serve_monthly": ("cost_to_serve_monthly",),
    "tenure_days": ("days_in_lifetime",),
    "margin": ("margin_total", "spend_total"),
    "turnover": ("spend_total",),
    "lapse_days": ("days_since_last_order",),
}
CONTACTS = ("days_since_last_contact", "days_since_last_offer")
GROWTH = "spend_trend_"


@dataclass(frozen=True)
class Limits:
    """What a campaign may use: expected cost at most, and offers sent at most by name."""

    budget: float | None = None
    capacity: Mapping[str, float] | None = None


@dataclass(frozen=True)
class OfferEvidence:
    """What the experiment says: offers, the evidence per objective, and who was in it."""

    control: str
    offers: Mapping[str, Offer]
    by_objective: Mapping[str, Mapping[str, Any]]
    tested: KindsTested | None


NO_EXPERIMENT = OfferEvidence("none", {}, {}, None)


def fact_columns(columns: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Which columns of the features tell what the rules ask for; what none tells is left out."""
    there = list(columns)
    facts: dict[str, tuple[str, ...]] = {
        fact: tuple(name for name in names if name in there)[:1] for fact, names in FIRST_OF.items()
    }
    facts["days_since_last_contact"] = tuple(name for name in CONTACTS if name in there)
    facts["growth"] = tuple(name for name in there if name.startswith(GROWTH))[:1]
    return {fact: names for fact, names in sorted(facts.items()) if names}


def learn_decision(
    rows: pd.DataFrame,
    outputs: pd.DataFrame,
    *,
    experiment: OfferEvidence,
    objective: str,
    rules: Rules,
    limits: Limits,
    draws: Draws,
    new_days: float,
    high_risk: float,
) -> Decision:
    """The decision, with the prices that keep today's customers within the limits.

    Parameters
    ----------
    rows, outputs
        Today's customers, see `recommend.recommend`; objectors are not among them.
    experiment
        `NO_EXPERIMENT` where there was none.
    objective, rules, draws, new_days, high_risk
        See `recommend.Decision` and `strategy.StrategyLimits`.
    limits
        They hold for those who are left after the holdout, the offers to explore counted in.
        Prices give customers who are alike the same answer, so that a few offers of a limit may
        stay unused; a campaign that must use all of it calls `allocation.allocate` with the whole
        population.

    Raises
    ------
    ValueError
        If the objective or an offer is unknown, or the control is among the offers.
    """
    _check(experiment, objective, limits)
    facts = fact_columns(rows.columns)
    decision = Decision(
        control=experiment.control,
        offers=experiment.offers,
        objective=objective,
        by_objective=experiment.by_objective,
        rules=rules,
        facts=facts,
        tested=experiment.tested,
        draws=replace(draws, offers=_explored(experiment, limits)),
        strategy=StrategyLimits(new_days, high_risk, high_value=np.inf),
        priority={},
    )
    decision = replace(decision, prices=Prices(return_on_cost=_best_rate(decision, rows, outputs)))
    decision = replace(decision, prices=_prices(decision, rows, outputs, limits))
    customer_facts, lost = facts_of(decision, rows), is_lost(rows)
    values = customer_facts["value"][~lost & ~np.isnan(customer_facts["value"])]
    if len(values):
        strategy = replace(decision.strategy, high_value=float(np.median(values)))
        decision = replace(decision, strategy=strategy)
    return replace(decision, priority=_priority_cuts(decision, rows, outputs))


def _explored(experiment: OfferEvidence, limits: Limits) -> tuple[str, ...]:
    """Offers without a limit, which exploration may send."""
    return tuple(name for name in experiment.offers if name not in (limits.capacity or {}))


def _best_rate(decision: Decision, rows: pd.DataFrame, outputs: pd.DataFrame) -> float:
    """Rate of the objective "roi" among today's customers, whatever the objective."""
    by_return = replace(decision, objective="roi")
    if not by_return.personalize:
        return 0.0
    weighed = weigh(by_return, rows, outputs)
    gain = np.where(weighed.allowed, weighed.forecast.gain, -np.inf)
    return best_rate(gain[:, 1:], weighed.forecast.cost[:, 1:])


def _prices(
    decision: Decision, rows: pd.DataFrame, outputs: pd.DataFrame, limits: Limits
) -> Prices:
    if (limits.budget is None and not limits.capacity) or not decision.offers:
        return decision.prices
    weighed = weigh(decision, rows, outputs)
    gain, cost = stakes(decision, weighed.forecast, weighed.allowed)
    sent = np.ones(len(rows), dtype=bool)
    if "customer_id" in rows.columns:
        sent = draw(decision.draws, rows["customer_id"])[0] != True  # noqa: E712  objects
    most = [(limits.capacity or {}).get(name, np.inf) for name in decision.offers]
    money, option_prices = limit_prices(
        gain[sent], cost[sent], budget=limits.budget, capacity=[np.inf, *most]
    )
    prices = dict(zip(decision.offers, map(float, option_prices[1:]), strict=True))
    return replace(decision.prices, money=money, offers=prices)


def _priority_cuts(
    decision: Decision, rows: pd.DataFrame, outputs: pd.DataFrame
) -> dict[str, PriorityCuts]:
    """Among the active and among the others: margin, turnover and what lies ahead."""
    facts, lost = facts_of(decision, rows), is_lost(rows)
    gain = recommend(decision, rows, outputs)["expected_incremental_profit"].to_numpy()
    prospects = np.where(np.isnan(gain), facts["value"], gain)
    return {
        population: learn_priorities(
            facts["margin"][part], facts["turnover"][part], prospects[part]
        )
        for population, part in (("active", ~lost), ("lost", lost))
        if part.any()
    }


def _check(experiment: OfferEvidence, objective: str, limits: Limits) -> None:
    offers = experiment.offers
    if objective not in OBJECTIVES:
        raise ValueError(
            f"recommend: objective must be one of {', '.join(OBJECTIVES)}, found '{objective}'"
        )
    if experiment.control in offers:
        raise ValueError(
            f"recommend: the control '{experiment.control}' must not be among the offers"
        )
    unknown = [name for name in (limits.capacity or {}) if name not in offers]
    for decided in experiment.by_objective.values():
        best = decided["best_single"]
        unknown += [best] if best not in (experiment.control, *offers) else []
    if unknown:
        raise ValueError(
            f"recommend: '{unknown[0]}' is no offer of this source; it has {', '.join(offers)}"
        )
