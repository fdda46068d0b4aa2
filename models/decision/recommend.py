"""The decision on each customer, row by row: which offer, who comes first, who is held out.

The decision travels with the model as one file. The list, batch scoring, the registered model and
HTTP all call `recommend` with it, so that a customer gets the same answer from each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..offers import STAYS, expected_costs, with_control
from ..total_return import best_at
from .decision import Decision
from .draws import draw, offer_probabilities
from .eligibility import OPEN_RULES, excluded_by
from .facts import facts_of, is_lost, is_of, known_numbers
from .strategy import priorities, strategies

DECISION_COLUMNS = {  # whether it is text (str), a number (float) or true/false (bool)
    "recommended_offer": str,
    "expected_incremental_profit": float,
    "priority": str,
    "strategy": str,
    "holdout": bool,
    "assigned_offer": str,
    "propensity": float,
    "excluded_by": str,
}
OF_OFFERS = (  # what the decision on active customers says in the place of that on the lost
    "recommended_offer",
    "expected_incremental_profit",
    "holdout",
    "assigned_offer",
    "propensity",
    "excluded_by",
)
SMALLEST_GAIN = 1e-9  # of the single offer that is sent to all, whatever the customer's forecast


@dataclass(frozen=True)
class Forecast:
    """Per customer and option, the control first: (rows, options) each."""

    names: tuple[str, ...]
    probability: np.ndarray
    uplift: np.ndarray
    gain: np.ndarray
    cost: np.ndarray


@dataclass(frozen=True)
class Weighed:
    """How each customer's offer comes about.

    Attributes
    ----------
    forecast
        Of each option, NaN for customers who are no candidates.
    candidate
        (rows,) bool: customers of the decision's population with a forecast.
    excluded_by
        (rows,) name of the first hard rule that excludes, or empty.
    allowed
        (rows, options) bool: what the rules leave.
    chosen
        (rows,) column of the offer, 0 for none.
    """

    forecast: Forecast
    candidate: np.ndarray
    excluded_by: np.ndarray
    allowed: np.ndarray
    chosen: np.ndarray


def recommend(decision: Decision, rows: pd.DataFrame, outputs: pd.DataFrame) -> pd.DataFrame:
    """Decide on every customer.

    Parameters
    ----------
    decision
        The file that travels with the model.
    rows
        (n, ...) features, and as far as known customer_id and population ("active" or anything
        else for lost; without the column everybody counts as lost).
    outputs
        (n, ...) outputs of the models, same rows, NaN where they do not apply.

    Returns
    -------
    DataFrame
        `DECISION_COLUMNS`, same rows. `recommended_offer` is missing for active customers, unless
        an experiment says what keeps them; whoever is offered something then is to be protected.
        `holdout` is true for those who get nothing instead; `assigned_offer` is what to send: the
        recommended offer, the control if held out, or the offer that the customer explores. Both
        are missing where an offer is recommended to a customer without id. `strategy` is missing
        where nothing tells it, such as what the customer is worth. `propensity` is the
        probability of the assigned offer; `excluded_by` names the rule because of which no offer
        is recommended.

    Raises
    ------
    ValueError
        If a column is missing that the decision reads, or an output of the models.
    """
    decided = _recommend(decision, rows, outputs)
    kept = decision.retention
    if kept is None or "population" not in rows.columns or f"{STAYS}{kept.control}" not in outputs:
        return decided
    active = ~is_lost(rows)
    of_active = _recommend(kept, rows, outputs)
    for name in OF_OFFERS:
        decided[name] = of_active[name].where(active, decided[name])
    offered = of_active["recommended_offer"].notna() & (
        of_active["recommended_offer"] != kept.control
    )
    decided.loc[active & offered, "strategy"] = "protect"
    return decided


def _recommend(decision: Decision, rows: pd.DataFrame, outputs: pd.DataFrame) -> pd.DataFrame:
    """`recommend` for the population of one decision."""
    facts = facts_of(decision, rows)
    weighed = weigh(decision, rows, outputs)
    names, chosen, candidate = weighed.forecast.names, weighed.chosen, weighed.candidate
    labels = np.array([*names, ""], dtype=object)  # the last for -1, not known
    gain = expected_gain(weighed, outputs)
    offered = candidate & (chosen > 0)
    held, assigned = _assigned(decision, rows, weighed)
    chance = offer_probabilities(decision.draws, chosen, names)
    propensity = np.where(
        candidate & (assigned >= 0), chance[np.arange(len(rows)), assigned], np.nan
    )
    lost = is_lost(rows)
    facts["risk"] = known_numbers(outputs, "churn_probability")
    why = np.where(offered | ~candidate, "", _why(decision, weighed))
    priority = _priority(decision, facts, lost, gain)
    return pd.DataFrame(
        {
            "recommended_offer": _texts(np.where(candidate, labels[chosen], "")),
            "expected_incremental_profit": gain,
            "priority": _texts(priority),
            "strategy": _texts(
                strategies(
                    facts,
                    lost=lost,
                    worth_winning=_worth_winning(decision, weighed, priority),
                    judged=_judged(decision, weighed, facts),
                    limits=decision.strategy,
                )
            ),
            "holdout": pd.Series(held, dtype="object").infer_objects(),
            "assigned_offer": _texts(np.where(candidate, labels[assigned], "")),
            "propensity": propensity,
            "excluded_by": _texts(why),
        },
        index=pd.RangeIndex(len(rows)),
    ).set_index(rows.index)


def expected_gain(weighed: Weighed, outputs: pd.DataFrame) -> np.ndarray:
    """(rows,) `expected_incremental_profit` of the offer chosen; NaN where nothing tells it."""
    gains = _profit_gain(outputs, weighed.forecast.names)
    return np.where(weighed.candidate, gains[np.arange(len(gains)), weighed.chosen], np.nan)


def _worth_winning(decision: Decision, weighed: Weighed, priority: np.ndarray) -> np.ndarray:
    """(rows,) bool: an offer is allowed; where no experiment tells offers, a customer of A or B."""
    if decision.offers:
        return np.asarray(weighed.allowed[:, 1:].any(axis=1))
    return (weighed.excluded_by == "") & (priority != "C")


def _judged(decision: Decision, weighed: Weighed, facts: Mapping[str, np.ndarray]) -> np.ndarray:
    """(rows,) bool: something tells whether a customer is worth winning back."""
    if decision.offers:
        wait = np.isin(weighed.excluded_by, OPEN_RULES)
        return np.asarray(weighed.candidate & ~wait)
    worth = [facts[name] for name in ("margin", "turnover", "value")]
    return np.asarray((weighed.excluded_by != "") | ~np.isnan(worth).all(axis=0))


def _assigned(
    decision: Decision, rows: pd.DataFrame, weighed: Weighed
) -> tuple[np.ndarray, np.ndarray]:
    """Who is held out (object, None where unknown), and the option to send (-1 where unknown)."""
    drawn, explored = np.full(len(rows), None, dtype=object), np.full(len(rows), -1)
    if "customer_id" in rows.columns:
        drawn, explored = draw(decision.draws, rows["customer_id"])
    offered = weighed.candidate & (weighed.chosen > 0)
    held = np.where(offered, drawn, np.array(False, dtype=object))
    options = np.array([weighed.forecast.names.index(name) for name in decision.draws.offers])
    assigned = weighed.chosen.copy()
    exploring = offered & (explored >= 0)
    assigned[exploring] = options[explored[exploring]] if len(options) else 0
    assigned[held == True] = 0  # noqa: E712  object array
    assigned[pd.isna(held)] = -1
    return held, assigned


def sent_offers(decision: Decision, rows: pd.DataFrame, outputs: pd.DataFrame) -> np.ndarray:
    """(rows,) name of the offer of each customer, the control where there is none."""
    weighed = weigh(decision, rows, outputs)
    return np.array(weighed.forecast.names)[weighed.chosen]


def weigh(decision: Decision, rows: pd.DataFrame, outputs: pd.DataFrame) -> Weighed:
    """Rules first, then the objective at the prices of what is scarce; see `recommend`."""
    facts = facts_of(decision, rows)
    candidate = is_of(decision.population, rows)
    if decision.offers:
        chance = f"{decision.chances}{decision.control}"
        candidate = candidate & ~np.isnan(known_numbers(outputs, chance))
    forecast = _forecast(decision, outputs)
    excluded = excluded_by(decision.rules, facts)
    allowed = _allowed(decision, forecast, candidate & (excluded == ""))
    gain, cost = stakes(decision, forecast, allowed)
    option_prices = np.array(
        [0.0, *(decision.prices.offers.get(name, 0.0) for name in decision.offers)]
    )
    chosen = np.argmax(gain - decision.prices.money * cost - option_prices, axis=1)
    return Weighed(forecast, candidate, excluded, allowed, chosen)


def stakes(
    decision: Decision, forecast: Forecast, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gain (-inf where not allowed) and expected money of each option, 0 for no offer.

    Both (rows, options). The money of an offer counts in what exploration sends instead of it.
    """
    gain = np.where(allowed, forecast.gain, -np.inf)
    if decision.personalize and decision.objective == "roi":
        best = best_at(decision.prices.return_on_cost, gain[:, 1:], forecast.cost[:, 1:])
        gain[:, 1:][np.arange(gain.shape[1] - 1) != best[:, None]] = -np.inf
    if not decision.personalize:
        # the single offer goes to all; the customer's own forecast only says who comes first
        gain = np.where(allowed & (gain <= 0), SMALLEST_GAIN, gain)
    cost = np.where(allowed, forecast.cost, 0.0)
    if decision.draws.exploration:  # a customer who explores may be sent a dearer offer
        explored = [forecast.names.index(name) for name in decision.draws.offers]
        mean = forecast.cost[:, explored].mean(axis=1, keepdims=True)
        cost = np.where(allowed, cost + decision.draws.exploration * (mean - cost), 0.0)
    gain[:, 0], cost[:, 0] = 0.0, 0.0
    return gain, cost


def _forecast(decision: Decision, outputs: pd.DataFrame) -> Forecast:
    names = (decision.control, *decision.offers)
    if not decision.offers:
        nothing = np.zeros((len(outputs), 1))
        return Forecast(names, nothing, nothing, nothing, nothing)
    probability = _option_columns(outputs, decision.chances, names)
    effects = _option_columns(outputs, "uplift_", names[1:])
    uplift = np.column_stack([np.zeros(len(outputs)), effects])
    gain = uplift
    if decision.objective != "returns":
        profit = _option_columns(outputs, "expected_profit_", names)
        gain = profit - profit[:, :1]
    cost = expected_costs(with_control(decision.offers, decision.control), probability)
    return Forecast(names, probability, uplift, gain, cost)


def _allowed(decision: Decision, forecast: Forecast, open_rows: np.ndarray) -> np.ndarray:
    """(rows, options) bool: what the rules leave to each customer."""
    allowed = np.zeros(forecast.gain.shape, dtype=bool)
    if not decision.personalize:
        allowed |= np.array([name == decision.best_single for name in forecast.names])
    else:
        allowed |= True
        if decision.rules.do_not_disturb:
            allowed &= forecast.uplift >= 0
        smallest = 0.0 if decision.objective == "returns" else decision.rules.smallest_profit
        if smallest is not None:
            allowed &= forecast.gain > smallest
    allowed &= open_rows[:, None]
    allowed[:, 0] = True
    return allowed


def _why(decision: Decision, weighed: Weighed) -> np.ndarray:
    """(rows,) the rule because of which a customer is sent nothing."""
    if not decision.offers:
        return np.full(len(weighed.chosen), "no_experiment", dtype=object)
    worse_off = np.asarray((weighed.forecast.uplift[:, 1:] < 0).all(axis=1))
    why = np.full(len(worse_off), "smallest_profit", dtype=object)
    if decision.rules.do_not_disturb:
        why[worse_off] = "do_not_disturb"
    if not decision.personalize:
        why[:] = "no_offer_is_best"
    why[weighed.allowed[:, 1:].any(axis=1)] = "limits"
    excluded = np.asarray(weighed.excluded_by != "")
    why[excluded] = weighed.excluded_by[excluded]
    return why


def _priority(
    decision: Decision, facts: Mapping[str, np.ndarray], lost: np.ndarray, gain: np.ndarray
) -> np.ndarray:
    prospects = np.where(np.isnan(gain), facts["value"], gain)
    letters = np.full(len(lost), "C", dtype="<U1")
    for population, part in (("active", ~lost), ("lost", lost)):
        cuts = decision.priority.get(population)
        if cuts is not None and part.any():
            margin, turnover = facts["margin"][part], facts["turnover"][part]
            letters[part] = priorities(cuts, margin, turnover, prospects[part])
    return letters


def _profit_gain(outputs: pd.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    if any(f"expected_profit_{name}" not in outputs for name in names):
        return np.full((len(outputs), len(names)), np.nan)
    profit = _option_columns(outputs, "expected_profit_", names)
    return profit - profit[:, :1]


def _option_columns(outputs: pd.DataFrame, stem: str, names: tuple[str, ...]) -> np.ndarray:
    missing = [f"{stem}{name}" for name in names if f"{stem}{name}" not in outputs]
    if missing:
        raise ValueError(
            f"predictions: columns {', '.join(missing)} are missing; the model was fitted on "
            "other offers, or without the value that this objective needs"
        )
    return outputs[[stem + name for name in names]].to_numpy(dtype=np.float64)


def _texts(values: np.ndarray) -> pd.Series:
    texts = pd.Series(values, dtype="object")
    return texts.where(texts != "", None).astype("str")
