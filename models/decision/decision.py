"""The decision file that travels with the model: offers, objective, rules, prices, cut points."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from ..offers import RETURNS, STAYS, Offer
from .draws import Draws
from .eligibility import Rules
from .evidence import KindsTested
from .strategy import PriorityCuts, StrategyLimits

DECISION_FILE = "decision.json"
OBJECTIVES = ("profit", "roi", "returns")


@dataclass(frozen=True)
class Prices:
    """What a unit of a limited resource must earn: of money, and of the capacity of each offer.

    `return_on_cost` is the rate at which the objective "roi" weighs cost (see `total_return`).
    """

    money: float = 0.0
    offers: Mapping[str, float] = field(default_factory=dict)
    return_on_cost: float = 0.0


@dataclass(frozen=True)
class Decision:
    """Everything beside the forecasts that decides what a customer is sent.

    Attributes
    ----------
    control, offers
        The name of no offer; the costs of every other. No offers: there was no experiment.
    objective
        "profit": largest expected profit. "roi": the largest return on all the money spent, when
        everybody with a profitable offer gets one. "returns": most customers back.
    by_objective
        What out-of-fold rows say per objective: `personalize` and `best_single`, with evidence
        (see `evaluation.policies.decide`).
        Without `personalize` everybody whom the hard rules leave gets `best_single`.
    rules
        Thresholds of the rules that exclude.
    facts
        Columns of the features that tell what the rules ask for, by fact.
    tested
        Customers of the experiment by kind; None without an experiment.
    draws, strategy, priority
        Who is held out or explores; thresholds; cut points of "active" and of "lost" customers.
    prices
        Those at which the list kept to the budget and the capacities (see `limit_prices`).
    population
        Whom it is on: customers who are "lost", or who are "active" and may be kept.
    retention
        The decision on active customers, where an experiment says what keeps them.
    """

    control: str
    offers: Mapping[str, Offer]
    objective: str
    by_objective: Mapping[str, Mapping[str, Any]]
    rules: Rules
    facts: Mapping[str, tuple[str, ...]]
    tested: KindsTested | None
    draws: Draws
    strategy: StrategyLimits
    priority: Mapping[str, PriorityCuts]
    prices: Prices = Prices()
    population: Literal["lost", "active"] = "lost"
    retention: Decision | None = None

    @property
    def personalize(self) -> bool:
        """Whether personal offers beat the best single one."""
        return bool(self.by_objective.get(self.objective, {}).get("personalize", False))

    @property
    def chances(self) -> str:
        """What the probabilities per offer begin with: `offers.RETURNS` or `offers.STAYS`."""
        return STAYS if self.population == "active" else RETURNS

    @property
    def best_single(self) -> str:
        """The offer that is best for all; may be the control."""
        return str(self.by_objective.get(self.objective, {}).get("best_single", self.control))

    @property
    def limited(self) -> bool:
        """Whether a budget or a capacity keeps offers from customers who would get them."""
        return bool(self.prices.money or any(self.prices.offers.values()))

    def unlimited(self) -> Decision:
        """The decision where nothing is scarce: limits are those of a day, and of its customers."""
        return replace(self, prices=Prices(return_on_cost=self.prices.return_on_cost))


def decision_to_json(decision: Decision) -> bytes:
    """The file that travels with the model, offers in their order, which settles ties."""
    return (json.dumps(_written(decision), indent=1, allow_nan=False) + "\n").encode()


def _written(decision: Decision) -> dict[str, Any]:
    """As JSON holds it; of active customers nothing stands there where nothing is known."""
    body = asdict(decision)
    del body["retention"]
    if decision.population == "lost":
        del body["population"]
    return body | ({"retention": _written(decision.retention)} if decision.retention else {})


def decision_from_json(body: bytes) -> Decision:
    """The decision of a file.

    Raises
    ------
    ValueError
        If a key is missing or unknown.
    """
    try:
        return _decision_of(json.loads(body))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{DECISION_FILE}: {error} does not fit this version; run winback recommend again"
        ) from error


def _decision_of(read: dict[str, Any]) -> Decision:
    rules, tested, draws = read["rules"], read["tested"], read["draws"]
    reasons = rules["hopeless_reasons"]
    rules |= {"hopeless_reasons": None if reasons is None else tuple(reasons)}
    return Decision(
        **read
        | {
            "offers": {name: Offer(**costs) for name, costs in read["offers"].items()},
            "rules": Rules(**rules),
            "facts": {name: tuple(columns) for name, columns in read["facts"].items()},
            "tested": tested and KindsTested(**tested | {"edges": tuple(tested["edges"])}),
            "draws": Draws(**draws | {"offers": tuple(draws["offers"])}),
            "strategy": StrategyLimits(**read["strategy"]),
            "priority": {name: _cuts_of(cuts) for name, cuts in read["priority"].items()},
            "prices": Prices(**read["prices"]),
            "retention": _decision_of(read["retention"]) if read.get("retention") else None,
        }
    )


def _cuts_of(read: dict[str, Any]) -> PriorityCuts:
    ranked = {name: tuple(read[name]) for name in ("margin", "turnover", "prospects")}
    return PriorityCuts(**read | ranked)


def decision_columns(decision: Decision) -> dict[str, bool]:
    """Columns of the features that the decision reads: name -> whether it is a number."""
    columns = {name: True for names in decision.facts.values() for name in names}
    if decision.tested and decision.tested.lapse:
        columns[decision.tested.lapse] = True
    texts = [*decision.facts.get("reason", ()), decision.tested.reason if decision.tested else ""]
    return columns | {name: False for name in texts if name}
