"""Uplift model: the effect of each offer per customer, from a randomized experiment.

`OfferUplift` fits several learners of the effect of every offer, weighs them by how well they
explain out-of-fold rows, shrinks the result towards each offer's average as far as those rows ask,
and offers by customer wherever that gains on them over the best single offer for all. Whether the
gain is evident is reported separately. The learners are weighed twice: from the base learner on,
which has been shrunk already, and from the stumps on, which find in fewer rows what one threshold
decides, and something in nothing, too; these choose where a gain is evident, but not with the
others. Effects are told as they were learned, whether or not a choice by them gains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from ..experiment.randomization import check_logged
from ..formula.formula import encode, evaluate, learn_columns
from ..groups import drawn_units
from ..offers import check_doses
from .as_formula import uplift_formula
from .choice import choose, mean_scores
from .cross_fitting import (
    aipw_scores,
    canonical_order,
    out_of_fold,
    shares_of_means,
    stratified_folds,
)
from .doses import families_of
from .effect_intervals import effect_bands, interval
from .input_rows import (
    as_frame,
    check_counts,
    check_groups,
    check_rows,
    check_weight,
    choose_control,
)
from .learners import Experiment, fit_models
from .residuals import design_effect, residuals_of
from .stacking import fit_stack, slope_of

_REPEATED_ROWS = 16_000  # cross-fitting is repeated while it holds out no more rows than these
_MOST_REPEATS = 2
_BOLD = "steps"  # weights start from it where only those make a gain evident


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
        Number of folds of the cross-fitting, at least 2. Up to 16,000 rows are dealt out once more,
        up to 8,000 twice, into twice as many folds, for the weights of the learners that were
        chosen.
    seed
        Decides the folds and the boosters.
    threads
        Threads of prediction; fitting uses one.
    doses
        Dose by offer, by name of a family of offers that are doses of one thing (see `doses`). On
        average no dose is taken to do worse than a smaller one. Offers that were not sent are left
        out.

    Attributes
    ----------
    control_ : str
    offers_ : tuple of str, without the control
    formula_ : Formula with outputs `uplift_<offer>` and `mean_<offer>`
    average_effects_ : DataFrame, index offer, columns effect, se (AIPW); effects of offers with few
        rows are shrunk towards what the offers share, those of doses rise with the dose, se is that
        of the rows alone
    weights_ : DataFrame, index learner, columns shared, own
    calibration_ : DataFrame, index offer, columns slope, se, of scores on out-of-fold effects
    bands_ : DataFrame, groups of like out-of-fold effects with their observed average effect
    personalizes_ : bool, whether a choice by customer gains on out-of-fold rows
    evident_ : bool, whether the mean gain of both weightings lies beyond the noise of out-of-fold
        rows (5%, one-sided)
    best_single_ : str, the best offer for all (may be the control)
    gain_, gain_se_ : float, gain of the personal choice over it on out-of-fold rows, and how far
        that may lie from the gain on new customers (standard error, Nadeau & Bengio 2003)
    held_out_ : DataFrame of out-of-fold effects in the row order of X
    scores_ : ndarray (rows, 1 + offers) of AIPW scores, control first, in the row order of X
    means_ : ndarray (rows, 1 + offers) of out-of-fold outcome means, in the row order of X
    propensity_ : ndarray (rows,) of the probabilities of the offers that were sent

    Notes
    -----
    Learners: Kunzel et al. (2019); stacking by R-loss: Nie & Wager (2021). Fitting is independent
    of the row order. There is no isotonic step after the slopes: fitted on scores of held-out rows
    it follows their noise, and makes effects less accurate on new rows (`benchmarks/effects.py`).
    Amounts that are often zero are chosen by, and averaged, with the amount of each order replaced
    by its expectation; errors, slopes, groups and the gain are those of the outcome as it is.
    """

    def __init__(
        self,
        *,
        control: str | None = None,
        learners: Sequence[str] | None = None,
        folds: int = 5,
        seed: int = 0,
        threads: int = 1,
        doses: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        self.control = control
        self.learners = learners
        self.folds = folds
        self.seed = seed
        self.threads = threads
        self.doses = doses

    def fit(
        self,
        X: pd.DataFrame | np.ndarray,
        y: Any,
        *,
        offer: Any,
        propensity: Any = None,
        groups: Any = None,
        sample_weight: Any = None,
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
        groups
            (rows,) labels of rows that share their fate, such as a household, or a customer in
            several campaigns. They stay in one fold and count together in every error.
        sample_weight
            (rows,) how many customers each row stands for.

        Raises
        ------
        ValueError
            If lengths differ, values are missing or infinite, columns have no names of their own,
            an offer has under 50 rows, a propensity is not in (0, 1], a group is missing, there are
            under 20 groups or 2 folds, a weight is not positive or doses are no families (see
            `offers.check_doses`).
        """
        if self.folds < 2:
            raise ValueError(f"folds: must be at least 2, found {self.folds}")
        frame = as_frame(X)
        outcome, names, sent = check_rows(frame, y, offer, propensity)
        self.control_ = choose_control(names, self.control)
        arms = (self.control_, *sorted(set(names) - {self.control_}))
        self.offers_ = arms[1:]
        arm = pd.Index(arms).get_indexer(pd.Index(names))
        check_counts(arm, arms)
        doses = self.doses or {}
        check_doses(doses, {name for members in doses.values() for name in members} - {arms[0]})
        group = check_groups(groups, len(frame))
        if propensity is not None:
            units = drawn_units(names, group)
            check_logged(names[units], sent[units], arms)
        columns = learn_columns(frame)
        matrix = encode(columns, frame)
        weight = check_weight(sample_weight, len(frame))
        key = [matrix, outcome, arm, sent, *([] if group is None else [group])]
        key += [] if sample_weight is None else [weight]
        order = canonical_order(np.column_stack(key), self.seed)
        if group is not None:
            weight = weight / design_effect(arm[order], outcome[order], group[order], len(arms))
        with threadpool_limits(1):  # sums differ in their last bits from one count to another
            experiment = Experiment(
                columns=columns,
                matrix=matrix[order],
                outcome=outcome[order],
                arm=arm[order],
                propensity=sent[order],
                offers=len(arms),
                weight=weight[order],
                groups=None if group is None else group[order],
                seed=self.seed,
                families=families_of(doses, arms),
            )
            self._learn(experiment, np.argsort(order), frame.index)
        self.propensity_ = sent
        self.feature_names_in_ = np.array([column.name for column in columns], dtype=object)
        self.n_features_in_ = len(columns)
        return self

    def predict(self, X: pd.DataFrame | np.ndarray) -> pd.DataFrame:
        """Effect of each offer against the control, one column per offer, index of X."""
        check_is_fitted(self)
        effects = evaluate(self.formula_, as_frame(X), threads=self.threads)
        effects = effects[[f"uplift_{name}" for name in self.offers_]]
        return effects.set_axis(list(self.offers_), axis=1)

    def predict_interval(
        self, X: pd.DataFrame | np.ndarray, *, coverage: float = 0.9
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Lower and upper ends of the average effect among customers with such a prediction.

        One column per offer; see `effect_intervals` for what it covers and what not.
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
        learners = _allowed(self.learners, experiment)
        repeats = min(_REPEATED_ROWS // len(back), _MOST_REPEATS)
        rng = np.random.default_rng(self.seed)
        folds = [
            stratified_folds(
                experiment.arm, experiment.outcome, number, rng, groups=experiment.groups
            )
            for number in [self.folds, *[2 * self.folds] * repeats]
        ]
        held = out_of_fold(experiment, folds[0], learners)
        shares = shares_of_means(held.means, experiment, held.outcome)
        nuisance = np.sum([share * held.means[name] for name, share in shares.items()], axis=0)
        residuals, plain = (
            residuals_of(
                held.outcome,
                experiment.arm,
                experiment.propensity,
                nuisance,
                binary=experiment.binary,
                weight=experiment.weight,
                groups=experiment.groups,
                plain=plain,
            )
            for plain in (False, True)
        )
        first = experiment.base if experiment.base in learners else learners[0]
        starts = list(dict.fromkeys([first, _BOLD] if _BOLD in learners else [first]))
        effects = [held.effects]
        stack = fit_stack(effects, residuals, plain=plain, first=first)
        used = list(dict.fromkeys([*starts, *stack.used()]))  # the others are left out from here on
        if repeats:
            effects = [out_of_fold(experiment, fold, used).effects for fold in folds[1:]]
        kept = [{name: repeat[name] for name in used} for repeat in effects]
        scores = aipw_scores(experiment, experiment.outcome, nuisance)
        choice = choose(
            [fit_stack(kept, residuals, plain=plain, first=start) for start in starts],
            kept,
            experiment,
            scores=scores,
            tempered=aipw_scores(experiment, held.outcome, nuisance),
        )
        stack, mean, single, averages = choice.stack, choice.effects, choice.single, choice.averages
        self.best_single_ = (self.control_, *self.offers_)[single]
        # Each row is held out once and learned from otherwise, so the error is larger than theirs.
        self.gain_ = choice.gain
        self.gain_se_ = choice.gain_se * (1.0 + self.folds / (self.folds - 1.0)) ** 0.5
        self.personalizes_, self.evident_ = choice.personalizes, choice.evident
        offers = list(self.offers_)
        self._record(experiment, scores, pd.DataFrame(mean, columns=offers), averages)
        self.held_out_ = pd.DataFrame(mean[back], columns=offers, index=index)
        self.scores_ = scores[back]
        self.means_ = nuisance[back]
        weights = pd.DataFrame({"shared": stack.shared, "own": stack.own})
        self.weights_ = weights.reindex(list(learners), fill_value=0.0)
        rows = np.arange(len(back))
        final = fit_models(experiment, rows, learners=[*stack.used(), *shares])
        self.formula_ = uplift_formula(
            experiment,
            final,
            arms=(self.control_, *offers),
            stack=stack,
            averages=averages,
            shares=shares,
        )

    def _record(
        self,
        experiment: Experiment,
        scores: np.ndarray,
        held_out: pd.DataFrame,
        averages: np.ndarray,
    ) -> None:
        """Averages, calibration and bands of the effects."""
        offers = pd.Index(self.offers_, name="offer")
        contrast = scores[:, 1:] - scores[:, :1]
        errors = mean_scores(experiment, contrast)[1]
        self.average_effects_ = pd.DataFrame({"effect": averages, "se": errors}, index=offers)
        weight, groups = experiment.weight, experiment.groups
        slopes = [
            slope_of(
                contrast[:, position], held_out[offer].to_numpy(), weight=weight, groups=groups
            )
            for position, offer in enumerate(offers)
        ]
        self.calibration_ = pd.DataFrame(slopes, columns=["slope", "se"], index=offers)
        self.bands_ = effect_bands(held_out, contrast, weight=weight, groups=groups)


def _allowed(learners: Sequence[str] | None, experiment: Experiment) -> tuple[str, ...]:
    available = experiment.learners
    if learners is None:
        return available
    unknown = sorted(set(learners) - set(available))
    if unknown or not learners:
        raise ValueError(
            f"learners: expected some of {', '.join(available)} for this outcome, "
            f"found {', '.join(unknown) or 'none'}"
        )
    return tuple(name for name in available if name in learners)
