"""The win-back model: return, uplift, value and expected profit per offer, as one formula.

P(return | customer, offer) is the calibrated probability without an offer plus the uplift of the
offer; value given return comes from `value`; money is p_offer x (value_offer - cost on acceptance)
- contact cost. Uplifts enter as fitted, even where personal offers are not expected to raise
returns: profit also depends on value and cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits

from ..formula.calibration import platt_map
from ..formula.formula import Expression, Formula, encode
from ..formula.sharing import share_parts
from ..offers import NO_OFFER, RETURNS, Offer
from ..uplift.cross_fitting import canonical_order, stratified_folds
from ..uplift.input_rows import check_groups
from ..uplift.uplift import OfferUplift
from .value import LEAST_RETURNERS, Lifetimes, ValueModel, fit_value

_GRID = np.concatenate(
    [[0.0, 0.0005, 0.002, 0.005, 0.01, 0.02], np.linspace(0.04, 0.96, 24), [1.0]]
)
_INSIDE = 1e-6, 1 - 1e-6  # probabilities whose log odds are finite
_PRIOR = 10.0  # precision of slope and intercept of the calibration


@dataclass(frozen=True)
class WinbackModel:
    """A fitted win-back model.

    Attributes
    ----------
    formula
        Outputs: return_probability_<offer> (or stay_probability_; all with the control),
        uplift_<offer> (not the
        control) and, where values are known, value_<offer>, expected_profit_<offer> (all) and,
        where second lifetimes are, months_<offer> (expected within the horizon, given a return).
    held_out
        The same columns out of fold, in the row order of the training frame.
    summary
        Average effects, learner weights, slopes and the decision to personalize, as plain data.
    uplift
        The fitted uplift model of return.
    """

    formula: Formula
    held_out: pd.DataFrame
    summary: dict[str, Any]
    uplift: OfferUplift


def fit_winback(
    X: pd.DataFrame,
    *,
    offer: Any,
    propensity: Any,
    returned: Any,
    offers: Mapping[str, Offer],
    control: str,
    value: Any = None,
    second_days: Any = None,
    second_ended: Any = None,
    groups: Any = None,
    horizon_days: float | None = None,
    chances: str = RETURNS,
    doses: Mapping[str, Mapping[str, float]] | None = None,
    folds: int = 5,
    seed: int = 0,
    threads: int = 1,
) -> WinbackModel:
    """Fit return, uplift, value and expected profit on the rows of an experiment.

    Parameters
    ----------
    X : (rows, columns) features only.
    offer, propensity, returned : (rows,), see `OfferUplift.fit`; returned is 0/1.
    offers : costs by name of offer; the control costs nothing unless it is named.
    control : name of the control.
    value : (rows,) margin after a return, gross of the offer's cost; None or NaN where unknown.
    second_days, second_ended : (rows,) observed days of the second lifetime and whether it ended
        (0/1), NaN where unknown; used with `horizon_days`, up to which value counts.
    groups : (rows,) labels of rows that share their fate, see `OfferUplift.fit`.
    chances : what the outputs of the probabilities begin with, `offers.RETURNS` or `offers.STAYS`.
    doses : offers that are doses of one thing, see `OfferUplift`; they count for returns, not for
        the value of one.

    Raises
    ------
    ValueError
        If returned is not 0/1, or an offer that was sent has no costs.
    """
    outcome = np.asarray(returned, dtype=np.float64)
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise ValueError("returned: every value must be 0 or 1; drop rows that have not matured")
    names = np.asarray(offer).astype(str)
    unknown = sorted(set(names.tolist()) - set(offers) - {control})
    if unknown:
        raise ValueError(
            f"offers: no costs for {unknown}; name the cost on acceptance and of contact of each"
        )
    uplift = OfferUplift(control=control, folds=folds, seed=seed, threads=threads, doses=doses)
    uplift.fit(X, outcome, offer=names, propensity=propensity, groups=groups)
    arms = (uplift.control_, *uplift.offers_)
    xs, ys = _calibration_map(uplift, outcome, names)
    expressions = {**uplift.formula_.expressions, **_chances(arms, chances, xs, ys)}
    outputs = [*(f"{chances}{arm}" for arm in arms), *(f"uplift_{arm}" for arm in arms[1:])]
    held_out = _held_out_return(uplift, xs, ys, chances)
    lifetimes = None
    if second_days is not None and second_ended is not None and horizon_days:
        days = np.asarray(second_days, dtype=np.float64)
        ended = np.asarray(second_ended, dtype=np.float64)
        lifetimes = Lifetimes(days, ended, float(horizon_days))
    valued = _fit_values(X, uplift, names, outcome, value, lifetimes, groups)
    if valued is not None:
        costs = [offers.get(arm, NO_OFFER) for arm in arms]
        of_value = _values_and_profits(arms, chances, valued, costs)
        expressions, outputs = {**expressions, **of_value}, [*outputs, *of_value]
        for position, arm in enumerate(arms):
            held_out[f"value_{arm}"] = valued.held_out[:, position]
            held_out[f"months_{arm}"] = valued.months_held_out[:, position]
        for costs_of_arm, arm in zip(costs, arms, strict=True):
            chance, worth = held_out[f"{chances}{arm}"], held_out[f"value_{arm}"]
            held_out[f"expected_profit_{arm}"] = costs_of_arm.expected_profit(chance, worth)
    formula = replace(uplift.formula_, expressions=expressions, outputs=tuple(outputs))
    return WinbackModel(
        formula=share_parts(formula),
        held_out=held_out[outputs],
        summary=_summary(uplift, names, valued),
        uplift=uplift,
    )


def _chances(
    arms: Sequence[str], chances: str, xs: list[float], ys: list[float]
) -> dict[str, Expression]:
    """Calibrated probability with each offer and without, and the effects between them."""
    base = f"{chances}{arms[0]}"
    found: dict[str, Expression] = {base: ["interp", xs, ys, ["ref", f"mean_{arms[0]}"]]}
    for arm in arms[1:]:
        raw: Expression = ["sum", [1.0, ["ref", base]], [1.0, ["ref", f"uplift_{arm}"]]]
        found[f"{chances}{arm}"] = ["clip", 0.0, 1.0, raw]
    return found


def _values_and_profits(
    arms: Sequence[str], chances: str, valued: ValueModel, costs: Sequence[Offer]
) -> dict[str, Expression]:
    """Value of a return, its length where known, and expected profit, by offer."""
    found = {
        **{f"value_{arm}": told for arm, told in zip(arms, valued.expressions, strict=True)},
        **{f"months_{arm}": told for arm, told in zip(arms, valued.months, strict=False)},
    }
    for arm, offer in zip(arms, costs, strict=True):
        accepted: Expression = [-offer.cost_on_acceptance, ["const", 1.0]]
        margin: Expression = ["sum", [1.0, ["ref", f"value_{arm}"]], accepted]
        earned: Expression = ["product", ["ref", f"{chances}{arm}"], margin]
        contact: Expression = [-offer.contact_cost, ["const", 1.0]]
        found[f"expected_profit_{arm}"] = ["sum", [1.0, earned], contact]
    return found


def _calibration_map(
    uplift: OfferUplift, outcome: np.ndarray, names: np.ndarray
) -> tuple[list[float], list[float]]:
    """Piecewise linear map of the out-of-fold mean without an offer to a calibrated one.

    A line in log odds fitted on the control's rows (Platt), kept near the identity by a prior.
    """
    rows = names == uplift.control_
    log_odds = logit(np.clip(uplift.means_[rows, 0], *_INSIDE))
    weight = 1.0 / uplift.propensity_[rows]
    slope, intercept = platt_map(log_odds, outcome[rows], weight, prior=_PRIOR)
    mapped = expit(slope * logit(np.clip(_GRID, *_INSIDE)) + intercept)
    return _GRID.tolist(), mapped.tolist()


def _held_out_return(
    uplift: OfferUplift, xs: list[float], ys: list[float], chances: str
) -> pd.DataFrame:
    chance = np.interp(uplift.means_[:, 0], xs, ys)
    outputs = {f"{chances}{uplift.control_}": chance}
    for arm in uplift.offers_:
        effect = uplift.held_out_[arm].to_numpy()
        outputs[f"{chances}{arm}"] = np.clip(chance + effect, 0.0, 1.0)
        outputs[f"uplift_{arm}"] = effect
    return pd.DataFrame(outputs, index=uplift.held_out_.index)


def _fit_values(
    X: pd.DataFrame,
    uplift: OfferUplift,
    names: np.ndarray,
    outcome: np.ndarray,
    value: Any,
    lifetimes: Lifetimes | None,
    groups: Any,
) -> ValueModel | None:
    if value is None:
        return None
    worth = np.asarray(value, dtype=np.float64)
    has_value = (outcome > 0) & np.isfinite(worth)
    if has_value.sum() < LEAST_RETURNERS:
        return None
    arms = (uplift.control_, *uplift.offers_)
    arm = pd.Index(arms).get_indexer(pd.Index(names))
    matrix = encode(uplift.formula_.columns, X)
    filled = np.where(has_value, worth, np.nan)
    known_of_row = [matrix, outcome, arm, filled]
    if lifetimes is not None:
        known_of_row += [lifetimes.days, lifetimes.ended]
    group = check_groups(groups, len(matrix))
    known_of_row += [] if group is None else [group]
    order = canonical_order(np.column_stack(known_of_row), uplift.seed)
    if lifetimes is not None:
        lifetimes = Lifetimes(lifetimes.days[order], lifetimes.ended[order], lifetimes.horizon_days)
    with threadpool_limits(1):
        valued = fit_value(
            uplift.formula_.columns,
            matrix[order],
            arm=arm[order],
            offers=len(arms),
            returned=outcome[order],
            value=filled[order],
            fold=stratified_folds(
                arm[order],
                outcome[order],
                uplift.folds,
                np.random.default_rng(uplift.seed),
                groups=None if group is None else group[order],
            ),
            lifetimes=lifetimes,
        )
    return replace(
        valued,
        held_out=valued.held_out[np.argsort(order)],
        months_held_out=valued.months_held_out[np.argsort(order)],
    )


def _summary(uplift: OfferUplift, names: np.ndarray, valued: ValueModel | None) -> dict[str, Any]:
    arms, counts = np.unique(names, return_counts=True)
    summary: dict[str, Any] = {
        "rows": dict(zip(arms.tolist(), counts.tolist(), strict=True)),
        "average_effects": uplift.average_effects_.to_dict("index"),
        "weights": uplift.weights_.to_dict("index"),
        "calibration": uplift.calibration_.to_dict("index"),
    }
    if valued is not None:
        summary["value"] = {"way": valued.way, "slope": valued.slope}
    return summary
