"""The decision file of a campaign, learned from today's customers: prices, cut points, columns.

Today's customers come in parts and are gone through more than once, so that only the few numbers of
each that prices and cut points ask for are in memory at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..offers import Offer
from ..total_return import best_rate
from .decision import OBJECTIVES, Decision, Prices
from .draws import Draws, draw
from .eligibility import Rules
from .evidence import KindsTested
from .facts import facts_of, is_lost
from .limit_prices import limit_prices
from .recommend import expected_gain, stakes, weigh
from .strategy import StrategyLimits, learn_priorities

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
Part = tuple[pd.DataFrame, pd.DataFrame]  # rows and outputs, see `recommend.recommend`


@dataclass(frozen=True)
class Limits:
    """What a campaign may use: expected cost at most, and offers sent at most by name."""

    budget: float | None = None
    capacity: Mapping[str, float] | None = None


@dataclass(frozen=True)
class OfferEvidence:
    """What an experiment says: offers, the evidence per objective, and who was in it."""

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
    customers: Iterable[Part],
    *,
    experiment: OfferEvidence,
    objective: str,
    rules: Rules,
    limits: Limits,
    draws: Draws,
    new_days: float,
    high_risk: float,
    retention: OfferEvidence | None = None,
) -> Decision:
    """The decision, with the prices that keep today's customers within the limits.

    Parameters
    ----------
    customers
        Today's customers in one or more parts of at least one row, the same ones whenever it is
        iterated over; objectors are not among them. The decision does not depend on where a part
        ends.
    experiment
        `NO_EXPERIMENT` where there was none.
    objective, rules, draws, new_days, high_risk
        See `recommend.Decision` and `strategy.StrategyLimits`.
    limits
        They hold for those who are left after the holdout, the offers to explore counted in.
        Prices give customers who are alike the same answer, so that a few offers of a limit may
        stay unused.
    retention
        What the experiment among active customers says, if there was one. Of the rules only those
        on contacts, profit and harm hold for them. The limits hold for both populations together.

    Raises
    ------
    ValueError
        If the objective or an offer is unknown, the control is among the offers, or nobody says
        who is active where there is an experiment on them.
    """
    evidence = [experiment, *([retention] if retention else [])]
    _check(evidence, objective, limits)
    rows, _ = next(iter(customers))
    if retention is not None and "population" not in rows.columns:
        raise ValueError("recommend: column 'population' is missing; it tells whom to keep")
    decision = Decision(
        control=experiment.control,
        offers=experiment.offers,
        objective=objective,
        by_objective=experiment.by_objective,
        rules=rules,
        facts=fact_columns(rows.columns),
        tested=experiment.tested,
        draws=replace(draws, offers=_explored(experiment, limits)),
        strategy=StrategyLimits(new_days, high_risk, high_value=None),
        priority={},
    )
    decisions = [decision]
    if retention is not None:
        decisions.append(
            replace(
                decision,
                control=retention.control,
                offers=retention.offers,
                by_objective=retention.by_objective,
                rules=replace(
                    rules, lost_limit=None, hopeless_reasons=None, least_experiment_rows=None
                ),
                tested=None,
                draws=replace(draws, offers=_explored(retention, limits)),
                population="active",
            )
        )
    decisions = [_worth_sending(one, customers, limits) for one in decisions]
    decisions = [
        replace(one, prices=Prices(return_on_cost=_best_rate(one, customers))) for one in decisions
    ]
    decision, *of_active = _priced(decisions, customers, limits)
    decision = _with_cuts(decision, customers)
    return replace(decision, retention=of_active[0]) if of_active else decision


def _explored(experiment: OfferEvidence, limits: Limits) -> tuple[str, ...]:
    """Offers without a limit, which exploration may send."""
    return tuple(name for name in experiment.offers if name not in (limits.capacity or {}))


def _worth_sending(decision: Decision, customers: Iterable[Part], limits: Limits) -> Decision:
    """The decision whose one offer for all may be sent and does not lose among customers.

    The best offer for all whose capacity is 0 gives way to the one by which they gain most. Where
    that loses, nobody gets one.
    """
    if not decision.offers or decision.personalize or decision.best_single == decision.control:
        return decision
    closed = {name for name, most in (limits.capacity or {}).items() if most == 0}
    names = {decision.best_single} - closed or {*decision.offers} - closed
    gains = {name: _gain_of(_to_all(decision, name), customers) for name in sorted(names)}
    best = max(gains, key=lambda name: gains[name], default=decision.control)
    return _to_all(decision, decision.control if gains.get(best, 0.0) < 0 else best)


def _to_all(decision: Decision, name: str) -> Decision:
    """The decision with that offer as the one for all."""
    found = {**decision.by_objective[decision.objective], "best_single": name}
    return replace(decision, by_objective={**decision.by_objective, decision.objective: found})


def _gain_of(decision: Decision, customers: Iterable[Part]) -> float:
    """What customers are expected to gain by the one offer for all."""

    def gained(rows: pd.DataFrame, outputs: pd.DataFrame) -> tuple[np.ndarray]:
        weighed = weigh(decision, rows, outputs)
        return (weighed.forecast.gain[:, 1:][weighed.allowed[:, 1:]],)

    (gain,) = _gathered(gained, customers)
    return float(gain.sum())


def _best_rate(decision: Decision, customers: Iterable[Part]) -> float:
    """Rate of the objective "roi" among today's customers, whatever the objective."""
    by_return = replace(decision, objective="roi")
    if not by_return.personalize:
        return 0.0

    def worth(rows: pd.DataFrame, outputs: pd.DataFrame) -> tuple[np.ndarray, ...]:
        weighed = weigh(by_return, rows, outputs)
        gain = np.where(weighed.allowed, weighed.forecast.gain, -np.inf)[:, 1:]
        some = (gain > 0).any(axis=1)
        return gain[some], weighed.forecast.cost[some, 1:]

    return best_rate(*_gathered(worth, customers))


def _priced(decisions: list[Decision], customers: Iterable[Part], limits: Limits) -> list[Decision]:
    """The decisions with the prices of what is scarce, of which all of them take."""
    names = [name for decision in decisions for name in decision.offers]
    if (limits.budget is None and not limits.capacity) or not names:
        return decisions

    def at_stake(rows: pd.DataFrame, outputs: pd.DataFrame) -> tuple[np.ndarray, ...]:
        parts = [_at_stake(decision, rows, outputs) for decision in decisions]
        gains, costs, first = [], [], 1
        for gain, cost in parts:  # each population has columns of its own among all offers
            mine = [0, *range(first, first + gain.shape[1] - 1)]
            gains.append(np.full((len(gain), 1 + len(names)), -np.inf))
            costs.append(np.zeros((len(gain), 1 + len(names))))
            gains[-1][:, mine], costs[-1][:, mine] = gain, cost
            first += gain.shape[1] - 1
        return np.concatenate(gains), np.concatenate(costs)

    most = [(limits.capacity or {}).get(name, np.inf) for name in names]
    money, option_prices = limit_prices(
        *_gathered(at_stake, customers), budget=limits.budget, capacity=[np.inf, *most]
    )
    price = dict(zip(names, map(float, option_prices[1:]), strict=True))
    return [
        replace(
            decision,
            prices=replace(
                decision.prices,
                money=money,
                offers={name: price[name] for name in decision.offers},
            ),
        )
        for decision in decisions
    ]


def _at_stake(
    decision: Decision, rows: pd.DataFrame, outputs: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Gain and money of the options of those who may be sent one."""
    if not decision.offers:
        return np.zeros((0, 1)), np.zeros((0, 1))
    weighed = weigh(decision, rows, outputs)
    gain, cost = stakes(decision, weighed.forecast, weighed.allowed)
    sent = weighed.allowed[:, 1:].any(axis=1)
    if "customer_id" in rows.columns:
        sent &= draw(decision.draws, rows["customer_id"])[0] != True  # noqa: E712  objects
    return gain[sent], cost[sent]


def _with_cuts(decision: Decision, customers: Iterable[Part]) -> Decision:
    """What is a high value among the active, and who comes first among them and the others."""

    def known(rows: pd.DataFrame, outputs: pd.DataFrame) -> tuple[np.ndarray, ...]:
        facts = facts_of(decision, rows)
        gain = expected_gain(weigh(decision, rows, outputs), outputs)
        prospects = np.where(np.isnan(gain), facts["value"], gain)
        return is_lost(rows), facts["margin"], facts["turnover"], prospects

    lost, *columns = _gathered(known, customers)
    values = columns[-1][~lost]  # of this decision the active are no candidates
    values = values[~np.isnan(values)]
    if len(values):
        strategy = replace(decision.strategy, high_value=float(np.median(values)))
        decision = replace(decision, strategy=strategy)
    cuts = {
        population: learn_priorities(*(column[part] for column in columns))
        for population, part in (("active", ~lost), ("lost", lost))
        if part.any()
    }
    return replace(decision, priority=cuts)


def _gathered(
    work: Callable[[pd.DataFrame, pd.DataFrame], tuple[np.ndarray, ...]],
    customers: Iterable[Part],
) -> tuple[np.ndarray, ...]:
    """Arrays of all customers from those of each part."""
    arrays = zip(*(work(rows, outputs) for rows, outputs in customers), strict=True)
    return tuple(np.concatenate(parts) for parts in arrays)


def _check(evidence: Iterable[OfferEvidence], objective: str, limits: Limits) -> None:
    offers = [name for one in evidence for name in one.offers]
    if objective not in OBJECTIVES:
        raise ValueError(
            f"recommend: objective must be one of {', '.join(OBJECTIVES)}, found '{objective}'"
        )
    unknown = [name for name in (limits.capacity or {}) if name not in offers]
    for experiment in evidence:
        if experiment.control in offers:
            raise ValueError(
                f"recommend: the control '{experiment.control}' must not be among the offers"
            )
        for decided in experiment.by_objective.values():
            best = decided["best_single"]
            unknown += [best] if best not in (experiment.control, *experiment.offers) else []
    if unknown:
        raise ValueError(
            f"recommend: '{unknown[0]}' is no offer of this source; it has {', '.join(offers)}"
        )
