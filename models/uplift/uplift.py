"""What each offer changes, customer by customer, from a randomized experiment.

`OfferUplift` fits several learners of the effect of every offer, weighs them by how well they
explain out-of-fold rows, shrinks the result towards each offer's average as far as those rows ask,
and says whether choosing by customer beats the best single offer for all. Where it does not, no
other offer is let to look better than the best single one (see `leads`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from ..formula.formula import encode, evaluate, learn_columns
from .as_formula import UpliftFormula
from .best_offer_ahead import keep_ahead, learn_leads
from .cross_fitting import (
    aipw_scores,
    blend_of_means,
    canonical_order,
    held_out_effects,
    held_out_means,
    stratified_folds,
)
from .effect_intervals import effect_bands, interval
from .input_rows import as_frame, check_counts, check_rows, choose_control
from .learners import (
    EFFECT_LEARNERS,
    OUTCOME_LEARNERS,
    Experiment,
    choose_s_trees,
    fit_effect_models,
    fit_outcome_models,
    outcome_learners,
)
from .residuals import residuals_of
from .stacking import Stack, combine, fit_stack, policy_gain, slope_of

_BACKED = 1.0  # standard errors of gain: the weights of the learners have seen the same rows


class OfferUplift(BaseEstimator):
    """Effects of K offers on an outcome, against the control, per customer.

    Parameters
    ----------
    control
        Name of the control; None takes the first of `CONTROL_NAMES` that occurs, else the first
        offer in sorted order.
    learners
        Names of the learners that may enter the ensemble (see `learners`); None means all.
    folds
        Number of cross-fitting folds.
    seed
        Decides the folds and the boosters.
    threads
        Threads of prediction; fitting uses one.

    Attributes
    ----------
    control_ : str
    offers_ : tuple of str, without the control
    formula_ : Formula with outputs `uplift_<offer>` and `mean_<offer>`
    average_effects_ : DataFrame, index offer, columns effect, se (AIPW)
    weights_ : DataFrame, index learner, columns shared, own
    calibration_ : DataFrame, index offer, columns slope, se, of scores on out-of-fold effects
    bands_ : DataFrame, groups of like out-of-fold effects with their observed average effect
    personalizes_ : bool, whether a choice by customer gains on out-of-fold rows by more than a
        standard error; how surely is told by `gain_` and `gain_se_`
    best_single_ : str, the best offer for all (may be the control)
    gain_, gain_se_ : float, gain of the personal choice over it and population standard error
    held_out_ : DataFrame of out-of-fold effects in the row order of X
    scores_ : ndarray (rows, 1 + offers) of AIPW scores, control first, in the row order of X
    means_ : ndarray (rows, 1 + offers) of out-of-fold outcome means, in the row order of X
    propensity_ : ndarray (rows,) of the probabilities of the offers that were sent

    Notes
    -----
    Learners: Kunzel et al. (2019), Kennedy (2023); stacking by R-loss: Nie & Wager (2021). Fitting
    is independent of the row order. There is no isotonic step after the slopes: fitted on scores of
    held-out rows it follows their noise, and makes effects less accurate on new rows
    (`benchmarks/effects.py`).
    """

    def __init__(
        self,
        *,
        control: str | None = None,
        learners: Sequence[str] | None = None,
        folds: int = 5,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        self.control = control
        self.learners = learners
        self.folds = folds
        self.seed = seed
        self.threads = threads

    def fit(
        self,
        X: pd.DataFrame | np.ndarray,
        y: Any,
        *,
        offer: Any,
        propensity: Any = None,
    ) -> OfferUplift:
        """Fit on the rows of an experiment.

        Parameters
        ----------
        X : (rows, columns) frame or numeric array; missing values and text categories allowed.
        y : (rows,), 0/1 or continuous.
        offer : (rows,), the name of the offer sent.
        propensity
            (rows,) probability of the offer that was sent, or a frame with one column per offer;
            None takes the frequencies of the offers.

        Raises
        ------
        ValueError
            If lengths differ, values are missing or infinite, an offer has under 50 rows, or a
            propensity is not in (0, 1].
        """
        frame = as_frame(X)
        outcome, names, sent = check_rows(frame, y, offer, propensity)
        self.control_ = choose_control(names, self.control)
        arms = (self.control_, *sorted(set(names) - {self.control_}))
        self.offers_ = arms[1:]
        arm = pd.Index(arms).get_indexer(pd.Index(names))
        check_counts(arm, arms)
        columns = learn_columns(frame)
        matrix = encode(columns, frame)
        order = canonical_order(np.column_stack([matrix, outcome, arm, sent]), self.seed)
        experiment = Experiment(
            columns=columns,
            matrix=matrix[order],
            outcome=outcome[order],
            arm=arm[order],
            propensity=sent[order],
            offers=len(arms),
            binary=bool(np.isin(outcome, (0.0, 1.0)).all()),
            seed=self.seed,
        )
        with threadpool_limits(1):  # sums differ in their last bits from one count to another
            self._learn(experiment, np.argsort(order), frame.index)
        self.propensity_ = sent
        self.feature_names_in_ = np.array([column.name for column in columns], dtype=object)
        self.n_features_in_ = len(columns)
        return self

    def predict(self, X: pd.DataFrame | np.ndarray) -> pd.DataFrame:
        """Effect of each offer against the control, one column per offer, index of X."""
        check_is_fitted(self)
        found = evaluate(self.formula_, as_frame(X), threads=self.threads)
        found = found[[f"uplift_{name}" for name in self.offers_]]
        return found.set_axis(list(self.offers_), axis=1)

    def predict_means(self, X: pd.DataFrame | np.ndarray) -> pd.DataFrame:
        """Expected outcome under the control and every offer, one column each, index of X."""
        check_is_fitted(self)
        arms = [self.control_, *self.offers_]
        found = evaluate(self.formula_, as_frame(X), threads=self.threads)
        return found[[f"mean_{name}" for name in arms]].set_axis(arms, axis=1)

    def predict_interval(
        self, X: pd.DataFrame | np.ndarray, *, coverage: float = 0.9
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Lower and upper ends of the average effect among customers with such a prediction.

        One column per offer; see `bands` for what the interval covers and what it does not.
        """
        ends = interval(self.bands_, self.predict(X), coverage=coverage)
        return ends["lo"], ends["hi"]

    def recommend(self, X: pd.DataFrame | np.ndarray) -> np.ndarray:
        """The offer with the greatest effect; the best single one for all unless personalized."""
        effects = self.predict(X)
        if not self.personalizes_:
            return np.full(len(effects), self.best_single_, dtype=object)
        arms = np.array([self.control_, *self.offers_], dtype=object)
        values = np.column_stack([np.zeros(len(effects)), effects.to_numpy()])
        return arms[values.argmax(axis=1)]

    def _learn(self, experiment: Experiment, back: np.ndarray, index: pd.Index) -> None:
        rows = np.arange(len(experiment.outcome))
        fold = stratified_folds(
            experiment.arm, experiment.outcome, self.folds, np.random.default_rng(self.seed)
        )
        splits = [(rows[fold != one], rows[fold == one]) for one in range(self.folds)]
        allowed = _allowed(self.learners, experiment)
        s_trees = choose_s_trees(experiment, *splits[0])
        means, fitted = held_out_means(experiment, splits, s_trees)
        base = "two_part" if "two_part" in means else "additive"
        blend = blend_of_means(means, experiment, base)
        shares = {"s": blend, base: 1.0 - blend}
        nuisance = blend * means["s"] + (1 - blend) * means[base]
        scores = aipw_scores(experiment, rows, nuisance)
        residuals = residuals_of(
            experiment.outcome,
            experiment.arm,
            experiment.propensity,
            nuisance,
            binary=experiment.binary,
        )
        effects = {name: mean[:, 1:] - mean[:, :1] for name, mean in means.items()}
        found, trees = held_out_effects(
            experiment,
            splits,
            fitted,
            shares,
            residuals,
            beside=effects[base] if self.learners is None else None,
        )
        effects = {name: one for name, one in {**effects, **found}.items() if name in allowed}
        contrast = scores[:, 1:] - scores[:, :1]
        first = base if base in effects else next(iter(effects))
        stack = fit_stack(effects, residuals, first=first)
        averages = contrast.mean(axis=0)
        held_out = combine(stack, effects, averages)
        single = self._decide(contrast, held_out)
        leads = {} if self.personalizes_ else learn_leads(held_out, single)
        held_out = keep_ahead(held_out, single, leads) if leads else held_out
        self._record(contrast, pd.DataFrame(held_out, columns=list(self.offers_)))
        self.held_out_ = pd.DataFrame(held_out[back], columns=list(self.offers_), index=index)
        self.scores_ = scores[back]
        self.means_ = nuisance[back]
        self.weights_ = pd.DataFrame({"shared": stack.shared, "own": stack.own})
        writer = self._final(experiment, stack, nuisance, scores, shares, (s_trees, trees))
        self.formula_ = writer.finish(stack, averages, shares, single=single, leads=leads)

    def _decide(self, contrast: np.ndarray, held_out: np.ndarray) -> int:
        """Whether the personal choice is backed by held-out rows; code of the best offer."""
        values = np.column_stack([np.zeros(len(contrast)), held_out])
        scores = np.column_stack([np.zeros(len(contrast)), contrast])
        single = int(np.argmax(scores.mean(axis=0)))
        self.best_single_ = (self.control_, *self.offers_)[single]
        self.gain_, self.gain_se_ = policy_gain(scores, values.argmax(axis=1), single)
        self.personalizes_ = self.gain_ > _BACKED * self.gain_se_
        return single

    def _record(self, contrast: np.ndarray, held_out: pd.DataFrame) -> None:
        """Averages, calibration and bands of the effects."""
        offers = pd.Index(self.offers_, name="offer")
        errors = contrast.std(axis=0) / np.sqrt(len(contrast))
        self.average_effects_ = pd.DataFrame(
            {"effect": contrast.mean(axis=0), "se": errors}, index=offers
        )
        slopes = [
            slope_of(contrast[:, place], held_out[offer].to_numpy())
            for place, offer in enumerate(offers)
        ]
        self.calibration_ = pd.DataFrame(slopes, columns=["slope", "se"], index=offers)
        self.bands_ = effect_bands(held_out, contrast)

    def _final(
        self,
        experiment: Experiment,
        stack: Stack,
        nuisance: np.ndarray,
        scores: np.ndarray,
        shares: dict[str, float],
        trees: tuple[int, int],
    ) -> UpliftFormula:
        """Fit the learners that carry weight on all rows and write them down."""
        rows = np.arange(len(experiment.outcome))
        used = stack.used()
        means = {name for name, share in shares.items() if share > 0}
        wanted = [name for name in OUTCOME_LEARNERS if name in {*used, *means}]
        outcome_models = fit_outcome_models(experiment, rows, learners=wanted, s_trees=trees[0])
        effect_models = fit_effect_models(
            experiment,
            rows,
            learners=used,
            means=nuisance,
            scores=scores,
            trees=trees[1],
        )
        writer = UpliftFormula(experiment, (self.control_, *self.offers_))
        for name in wanted:
            writer.add_outcome_learner(name, outcome_models)
        for name in EFFECT_LEARNERS:
            if name in used:
                writer.add_effect_learner(name, effect_models)
        return writer


def _allowed(learners: Sequence[str] | None, experiment: Experiment) -> tuple[str, ...]:
    known = (*outcome_learners(experiment), *EFFECT_LEARNERS)
    if learners is None:
        return known
    unknown = sorted(set(learners) - set(known))
    if unknown or not learners:
        raise ValueError(
            f"learners: expected some of {', '.join(known)} for this outcome, "
            f"found {', '.join(unknown) or 'none'}"
        )
    return tuple(learners)
