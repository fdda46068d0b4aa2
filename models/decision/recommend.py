"""The decision: which customer gets which offer, what that is worth, and why, in words.

Forecasts go in, one row per customer comes out: hard rules first, then the objective under a
budget and capacities, then a random holdout with its probabilities written down, so that the next
readout of the campaign is as honest as the experiment was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from ..offers import Offer, expected_costs, with_control
from .allocation import allocate
from .eligibility import (
    contacted_recently,
    do_not_disturb,
    gone_for_good,
    lost_too_often,
    not_worth_it,
    too_little_evidence,
)
from .holdout import hold_out
from .reasons import Forecast, sentences
from .strategy import LAPSE_DAYS, LAPSE_DISCOUNT_PERCENT, lapse_discount, priorities, strategies

OBJECTIVES = ("profit", "roi", "returns")
MONTHS_OF_VALUE = 12  # a customer's value is that of a year, and so is the cost to serve
HOPELESS_REASONS = ("both", "moved", "need_gone", "involuntary")
DECISION_COLUMNS = (
    "recommended_offer",
    "expected_incremental_profit",
    "priority",
    "strategy",
    "holdout",
    "propensity",
    "reasons",
)


def recommend(
    predictions: pd.DataFrame,
    facts: pd.DataFrame,
    *,
    offers: Mapping[str, Offer],
    control: str,
    objective: str = "profit",
    personalize: bool,
    best_single: str,
    budget: float | None = None,
    capacity: Mapping[str, float] | None = None,
    holdout_share: float = 0.1,
    cooldown_days: float = 30,
    lost_limit: float = 2,
    smallest_profit: float = 0.0,
    hopeless_reasons: Collection[str] = HOPELESS_REASONS,
    least_experiment_rows: float = 100,
    new_days: float = 90,
    high_risk: float = 0.10,
    high_value: float | None = None,
    least_growth: float = 0.05,
    lapse_days: Sequence[float] = LAPSE_DAYS,
    lapse_discount_percent: Sequence[float] = LAPSE_DISCOUNT_PERCENT,
    seed: int,
) -> pd.DataFrame:
    """Decide for every customer.

    Parameters
    ----------
    predictions
        One row per customer: customer_id, as_of and the models' outputs as far as they apply
        (churn_probability; return_probability_<offer>, uplift_<offer>, expected_profit_<offer>),
        NaN elsewhere.
    facts
        One row per customer: customer_id, population ("active", "lost", "experiment"), and as
        far as known: suppressed (bool), times_lost, days_since_last_contact, reason, value (of a
        year), cost_to_serve_monthly, growth, tenure_days, margin, turnover, lapse_days (since the
        last purchase), experiment_rows (customers of her kind in the experiment).
    offers
        Terms of each offer but the control; empty without an experiment.
    control
        Name of "no offer".
    objective
        "profit": largest expected profit. "roi": each customer's offer of the best return on its
        expected cost, if it is profitable. "returns": most customers back.
    personalize, best_single
        Whether held-out rows say that personal offers beat the best single one; if not, everybody
        whom the hard rules leave gets `best_single`, whatever her own forecast.
    budget, capacity
        Expected cost at most, on average over the draw of the holdout; offers sent at most.
    holdout_share
        Of those chosen for an offer, by offer, left without one at random.
    cooldown_days, lost_limit, smallest_profit, hopeless_reasons, least_experiment_rows
        See `eligibility`.
    new_days, high_risk, high_value, least_growth
        See `strategy.strategies`.
    lapse_days, lapse_discount_percent
        See `strategy.lapse_discount`: named to the lost where no experiment says what to offer.
    seed
        Of the holdout; the same customers whatever the order of rows.

    Returns
    -------
    DataFrame
        Sorted by customer_id, the suppressed left out: the columns of `predictions` and
        `DECISION_COLUMNS`. `recommended_offer` is missing for active customers; `holdout` is
        true for those who get nothing instead; `propensity` is the probability of what was
        assigned (the control, if held out).

    Raises
    ------
    ValueError
        If a customer stands twice or has no facts, an output or an offer is missing, or an
        argument is out of range.

    Notes
    -----
    An offer is paid on acceptance, so its expected cost is P(return | offer) x cost + contact.
    """
    _check_arguments(objective, offers, control, best_single, capacity, holdout_share)
    rows = _joined(predictions, facts)
    names = (control, *offers)
    outputs = rows[[name for name in predictions.columns if name not in DECISION_COLUMNS]]
    asked = _asked(rows, control, offers)
    forecast = _forecast(rows, names, offers, objective)
    barred = _barred(
        rows,
        lost_limit=lost_limit,
        cooldown_days=cooldown_days,
        hopeless_reasons=hopeless_reasons,
        least_experiment_rows=least_experiment_rows,
    )
    open_rows = asked & (barred == "")
    allowed = _allowed(forecast, open_rows, objective, personalize, best_single, smallest_profit)
    chosen = _choose(
        forecast,
        allowed,
        personalize=personalize,
        budget=budget,
        capacity=capacity,
        holdout_share=holdout_share,
    )
    held, propensity = hold_out(rows[["customer_id", "as_of"]], chosen, holdout_share, seed)
    place = np.arange(len(rows))
    profit = _profit_gain(rows, names)[place, chosen]
    decided = outputs.assign(
        recommended_offer=pd.Series(
            np.where(asked, np.asarray(names, dtype=object)[chosen], None),
            index=rows.index,
            dtype="str",
        ),
        expected_incremental_profit=np.where(asked, profit, np.nan),
        priority=_priority(rows, np.where(asked, profit, np.nan)),
        strategy=strategies(
            rows.assign(
                risk=_fact(rows, "churn_probability"),
                cost_to_serve=MONTHS_OF_VALUE * _fact(rows, "cost_to_serve_monthly"),
            ),
            worth_winning=allowed[:, 1:].any(axis=1),
            new_days=new_days,
            high_risk=high_risk,
            high_value=high_value,
            least_growth=least_growth,
        ),
        holdout=held,
        propensity=np.where(asked, propensity, np.nan),
    )
    decided["reasons"] = sentences(
        forecast,
        allowed,
        chosen,
        asked,
        barred,
        risk=_fact(rows, "churn_probability"),
        percent=lapse_discount(
            _fact(rows, "lapse_days"), days=lapse_days, percent=lapse_discount_percent
        ),
        objective=objective,
        personalize=personalize,
    )
    return decided


def _check_arguments(
    objective: str,
    offers: Mapping[str, Offer],
    control: str,
    best_single: str,
    capacity: Mapping[str, float] | None,
    holdout_share: float,
) -> None:
    if objective not in OBJECTIVES:
        raise ValueError(
            f"recommend: objective must be one of {', '.join(OBJECTIVES)}, found '{objective}'"
        )
    if control in offers:
        raise ValueError(f"recommend: the control '{control}' must not be among the offers")
    unknown = [name for name in (capacity or {}) if name not in offers]
    unknown += [best_single] if offers and best_single not in (control, *offers) else []
    if unknown:
        raise ValueError(
            f"recommend: '{unknown[0]}' is no offer of this source; it has {', '.join(offers)}"
        )
    if not 0 <= holdout_share < 1:
        raise ValueError(f"recommend: holdout_share must lie in [0, 1), found {holdout_share}")


def _joined(predictions: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    for name, frame in (("predictions", predictions), ("facts", facts)):
        if frame["customer_id"].duplicated().any():
            raise ValueError(f"{name}: a customer stands twice; keep the latest row of each")
    if "population" not in facts.columns:
        raise ValueError("facts: column 'population' is missing; it tells active from lost")
    new = ["customer_id", *(name for name in facts.columns if name not in predictions.columns)]
    new += [name for name in ("population",) if name not in new]
    left = predictions.drop(columns=[name for name in new[1:] if name in predictions.columns])
    rows = left.merge(facts[new], on="customer_id", how="left", validate="one_to_one")
    if rows["population"].isna().any():
        raise ValueError(
            f"facts: {int(rows['population'].isna().sum())} customers of the predictions are "
            "missing; pass one row for each"
        )
    if "suppressed" in rows:
        if rows["suppressed"].isna().any():
            raise ValueError(
                "facts: 'suppressed' must be true or false for everybody, found blanks"
            )
        rows = rows[~rows["suppressed"].astype(bool)]
    return rows.sort_values("customer_id", kind="stable", ignore_index=True)


def _fact(rows: pd.DataFrame, name: str) -> np.ndarray:
    if name not in rows:
        return np.full(len(rows), np.nan)
    return rows[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _outputs(rows: pd.DataFrame, stem: str, names: tuple[str, ...]) -> np.ndarray:
    missing = [f"{stem}{name}" for name in names if f"{stem}{name}" not in rows]
    if missing:
        raise ValueError(
            f"predictions: columns {', '.join(missing)} are missing; the model was fitted on "
            "other offers, or without the value that this objective needs"
        )
    return rows[[stem + name for name in names]].to_numpy(dtype=np.float64)


def _profit_gain(rows: pd.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    if any(f"expected_profit_{name}" not in rows for name in names):
        return np.full((len(rows), len(names)), np.nan)
    profit = _outputs(rows, "expected_profit_", names)
    return profit - profit[:, :1]


def _forecast(
    rows: pd.DataFrame,
    names: tuple[str, ...],
    offers: Mapping[str, Offer],
    objective: str,
) -> Forecast:
    if not offers:
        nothing = np.zeros((len(rows), 1))
        return Forecast(names, nothing, nothing, nothing, nothing)
    probability = _outputs(rows, "return_probability_", names)
    uplift = np.column_stack([np.zeros(len(rows)), _outputs(rows, "uplift_", tuple(names[1:]))])
    if objective == "returns":
        gain = uplift
    else:
        profit = _outputs(rows, "expected_profit_", names)
        gain = profit - profit[:, :1]
    cost = expected_costs(with_control(offers, names[0]), probability)
    return Forecast(names, probability, uplift, gain, cost)


def _asked(rows: pd.DataFrame, control: str, offers: Mapping[str, Offer]) -> np.ndarray:
    """(rows,) bool: lost customers, and where there are offers only those with a forecast."""
    lost = (rows["population"] != "active").to_numpy()
    if not offers:
        return np.asarray(lost)
    return np.asarray(lost & ~np.isnan(_fact(rows, f"return_probability_{control}")))


def _barred(
    rows: pd.DataFrame,
    *,
    lost_limit: float,
    cooldown_days: float,
    hopeless_reasons: Collection[str],
    least_experiment_rows: float,
) -> np.ndarray:
    """Words of the first hard rule that excludes each customer (rows,), empty if none does."""
    unknown = pd.Series(index=rows.index, dtype="object")
    rules = {
        f"lost {lost_limit:g} times or more: not won back again": lost_too_often(
            _fact(rows, "times_lost"), limit=lost_limit
        ),
        f"contacted less than {cooldown_days:g} days ago: wait": contacted_recently(
            _fact(rows, "days_since_last_contact"), cooldown_days=cooldown_days
        ),
        "left for a reason that no offer mends": gone_for_good(
            rows.get("reason", unknown), reasons=hopeless_reasons
        ),
        "too few customers like this one in the experiment": too_little_evidence(
            _fact(rows, "experiment_rows"), least_rows=least_experiment_rows
        ),
    }
    return np.select(list(rules.values()), list(rules), default="").astype(object)


def _allowed(
    forecast: Forecast,
    open_rows: np.ndarray,
    objective: str,
    personalize: bool,
    best_single: str,
    smallest_profit: float,
) -> np.ndarray:
    """(rows, options) bool: what the rules leave to each customer."""
    allowed = np.zeros(forecast.gain.shape, dtype=bool)
    allowed[:, 0] = True
    if not personalize:
        single = np.array([name == best_single for name in forecast.names])
        return allowed | (open_rows[:, None] & single)
    useful = ~do_not_disturb(forecast.uplift)
    if objective == "returns":
        useful &= forecast.uplift > 0
    else:
        useful &= ~not_worth_it(forecast.gain, smallest_profit=smallest_profit)
    allowed[:, 1:] = (useful & open_rows[:, None])[:, 1:]
    if objective == "roi":
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(allowed, forecast.gain / forecast.cost, -np.inf)
        ratio[:, 0] = -np.inf
        best = np.argmax(ratio, axis=1)
        allowed[:, 1:] &= np.arange(1, ratio.shape[1]) == best[:, None]
    return allowed


def _choose(
    forecast: Forecast,
    allowed: np.ndarray,
    *,
    personalize: bool,
    budget: float | None,
    capacity: Mapping[str, float] | None,
    holdout_share: float,
) -> np.ndarray:
    """(rows,) option of each customer; limits hold for those left after the holdout."""
    gain = np.where(allowed, forecast.gain, -np.inf)
    gain[:, 0] = 0.0
    if not personalize:
        # the single offer goes to all; her own forecast only says who comes first
        gain = np.where(allowed & (gain <= 0), np.array([0.0] + [1e-9] * (gain.shape[1] - 1)), gain)
    cost = np.where(allowed, forecast.cost, 0.0)
    cost[:, 0] = 0.0
    sent = 1 - holdout_share
    room = None
    if capacity:
        most = [capacity.get(name, np.inf) for name in forecast.names[1:]]
        room = np.floor(np.r_[np.inf, np.asarray(most, dtype=float) / sent + 1e-9])
    return allocate(gain, cost, budget=None if budget is None else budget / sent, capacity=room)


def _priority(rows: pd.DataFrame, gain: np.ndarray) -> np.ndarray:
    """A, B, C among the active and among the others: margin, turnover and what lies ahead."""
    active = (rows["population"] == "active").to_numpy()
    value = _fact(rows, "value")
    prospects = np.where(np.isnan(gain), value, gain)
    letters = np.full(len(rows), "C", dtype="<U1")
    for part in (active, ~active):
        if part.any():
            letters[part] = priorities(
                _fact(rows, "margin")[part], _fact(rows, "turnover")[part], prospects[part]
            )
    return letters
