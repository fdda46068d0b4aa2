"""What each offer changes, customer by customer, from a randomized experiment.

`OfferUplift` fits several learners of the effect of every offer, weighs them by out-of-fold
doubly robust loss, shrinks the result towards each offer's average as far as those rows ask, and
says whether choosing by customer beats the best single offer for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from .formula import Expression, Formula, encode, evaluate, learn_columns
from .learners import (
    EFFECT_LEARNERS,
    OUTCOME_LEARNERS,
    EffectModels,
    Experiment,
    OutcomeModels,
    aipw_scores,
    choose_s_trees,
    fit_effect_models,
    fit_outcome_models,
    outcome_learners,
)
from .stacking import Stack, combine, fit_stack, policy_gain, slope_of

CONTROL_NAMES = ("none", "no offer", "no_offer", "control", "no e-mail", "no email", "nothing", "0")


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
    personalizes_ : bool, whether a choice by customer gains on out-of-fold rows; how surely
        is told by `gain_` and `gain_se_`
    best_single_ : str, the best offer for all (may be the control)
    gain_, gain_se_ : float, gain of the personal choice over it and population standard error
    held_out_ : DataFrame of out-of-fold effects in the row order of X
    scores_ : ndarray (rows, 1 + offers) of AIPW scores, control first, in the row order of X
    means_ : ndarray (rows, 1 + offers) of out-of-fold outcome means, in the row order of X
    propensity_ : ndarray (rows,) of the probabilities of the offers that were sent

    Notes
    -----
    Learners: Kunzel et al. (2019), Kennedy (2023); stacking by doubly robust loss: Nie & Wager
    (2021). Fitting is independent of the row order.
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
        outcome, names, sent = _check_rows(frame, y, offer, propensity)
        self.control_ = choose_control(names, self.control)
        arms = (self.control_, *sorted(set(names) - {self.control_}))
        self.offers_ = arms[1:]
        arm = pd.Index(arms).get_indexer(pd.Index(names))
        _check_counts(arm, arms)
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
            self._learn(experiment)
        back = np.argsort(order)
        self.held_out_ = pd.DataFrame(
            self.held_out_[back], columns=list(self.offers_), index=frame.index
        )
        self.scores_ = self.scores_[back]
        self.means_ = self.means_[back]
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

    def recommend(self, X: pd.DataFrame | np.ndarray) -> np.ndarray:
        """The offer with the greatest effect; the best single one for all unless personalized."""
        effects = self.predict(X)
        if not self.personalizes_:
            return np.full(len(effects), self.best_single_, dtype=object)
        arms = np.array([self.control_, *self.offers_], dtype=object)
        values = np.column_stack([np.zeros(len(effects)), effects.to_numpy()])
        return arms[values.argmax(axis=1)]

    def _learn(self, experiment: Experiment) -> None:
        rows = np.arange(len(experiment.outcome))
        fold = stratified_folds(experiment.arm, experiment.outcome, self.folds)
        splits = [(rows[fold != one], rows[fold == one]) for one in range(self.folds)]
        allowed = _allowed(self.learners, experiment)
        s_trees = choose_s_trees(experiment, *splits[0])
        means = _held_out_means(experiment, splits, s_trees)
        base = "two_part" if "two_part" in means else "additive"
        blend = _blend(means, experiment, base)
        nuisance = blend * means["s"] + (1 - blend) * means[base]
        scores = aipw_scores(experiment.outcome, experiment.arm, experiment.propensity, nuisance)
        effects = {name: mean[:, 1:] - mean[:, :1] for name, mean in means.items()}
        effects |= _held_out_effects(experiment, splits, nuisance, scores)
        contrast = scores[:, 1:] - scores[:, :1]
        effects = {name: effects[name] for name in effects if name in allowed}
        first = base if base in effects else next(iter(effects))
        stack = fit_stack(effects, contrast, first=first)
        averages = contrast.mean(axis=0)
        self.stack_ = stack
        self.held_out_ = combine(stack, effects, averages)
        self.scores_ = scores
        self.means_ = nuisance
        self._decide(contrast)
        shares = {"s": blend, base: 1.0 - blend}
        self._final(experiment, stack, nuisance, scores, averages, shares, s_trees)

    def _decide(self, contrast: np.ndarray) -> None:
        """Averages, calibration and whether the personal choice is backed by held-out rows."""
        count = len(contrast)
        self.average_effects_ = pd.DataFrame(
            {"effect": contrast.mean(axis=0), "se": contrast.std(axis=0) / np.sqrt(count)},
            index=pd.Index(self.offers_, name="offer"),
        )
        slopes = [
            slope_of(contrast[:, place], self.held_out_[:, place])
            for place in range(len(self.offers_))
        ]
        self.calibration_ = pd.DataFrame(
            slopes, columns=["slope", "se"], index=pd.Index(self.offers_, name="offer")
        )
        self.weights_ = pd.DataFrame({"shared": self.stack_.shared, "own": self.stack_.own})
        values = np.column_stack([np.zeros(count), self.held_out_])
        scores = np.column_stack([np.zeros(count), contrast])
        single = int(np.argmax(scores.mean(axis=0)))
        self.best_single_ = (self.control_, *self.offers_)[single]
        self.gain_, self.gain_se_ = policy_gain(scores, values.argmax(axis=1), single)
        self.personalizes_ = self.gain_ > 0

    def _final(
        self,
        experiment: Experiment,
        stack: Stack,
        nuisance: np.ndarray,
        scores: np.ndarray,
        averages: np.ndarray,
        shares: dict[str, float],
        s_trees: int,
    ) -> None:
        """Fit the learners that carry weight on all rows and write them down as a formula."""
        rows = np.arange(len(experiment.outcome))
        used = stack.used()
        means = {name for name, share in shares.items() if share > 0}
        wanted = [name for name in OUTCOME_LEARNERS if name in {*used, *means}]
        outcome_models = fit_outcome_models(experiment, rows, learners=wanted, s_trees=s_trees)
        effect_models = fit_effect_models(
            experiment,
            rows,
            learners=used,
            means=nuisance,
            scores=scores,
        )
        writer = _FormulaWriter(experiment, (self.control_, *self.offers_))
        for name in wanted:
            writer.add_outcome_learner(name, outcome_models)
        for name in EFFECT_LEARNERS:
            if name in used:
                writer.add_effect_learner(name, effect_models)
        self.formula_ = writer.finish(stack, averages, shares)


class _FormulaWriter:
    """Collects learners as named expressions and combines them into one formula."""

    def __init__(self, experiment: Experiment, arms: Sequence[str]) -> None:
        self.experiment = experiment
        self.arms = arms
        self.rows = np.arange(len(experiment.outcome))
        self.boosters: dict[str, str] = {}
        self.expressions: dict[str, Expression] = {}
        self.centres: dict[str, np.ndarray] = {}

    def add_outcome_learner(self, name: str, models: OutcomeModels) -> None:
        """Write the means as `<learner>_<offer>` and the effects as `effect_<learner>_<offer>`."""
        parts = models.expressions(self.experiment, name, self.boosters)
        for arm, part in zip(self.arms, parts, strict=True):
            self.expressions[f"{name}_{arm}"] = part
        for arm in self.arms[1:]:
            plus, minus = ["ref", f"{name}_{arm}"], ["ref", f"{name}_{self.arms[0]}"]
            self.expressions[f"effect_{name}_{arm}"] = ["sum", [1.0, plus], [-1.0, minus]]
        means = models.means(self.experiment, name, self.rows)
        self.centres[name] = (means[:, 1:] - means[:, :1]).mean(axis=0)

    def add_effect_learner(self, name: str, models: EffectModels) -> None:
        """Write the effects as `effect_<learner>_<offer>`."""
        parts = models.expressions(self.experiment, name, self.boosters)
        for arm, part in zip(self.arms[1:], parts, strict=True):
            self.expressions[f"effect_{name}_{arm}"] = part
        self.centres[name] = models.effects(self.experiment, name, self.rows).mean(axis=0)

    def finish(self, stack: Stack, averages: np.ndarray, base: dict[str, float]) -> Formula:
        """The formula with outputs `uplift_<offer>` and `mean_<offer>`."""
        offers = self.arms[1:]
        for place, offer in enumerate(offers):
            constant = float(averages[place])
            terms: list[Any] = []
            for name in stack.used():
                weights = stack.learner_weights(name)[place]
                constant -= float(weights @ self.centres[name])
                for weight, other in zip(weights.tolist(), offers, strict=True):
                    if weight:
                        terms.append([weight, ["ref", f"effect_{name}_{other}"]])
            self.expressions[f"uplift_{offer}"] = ["sum", [1.0, ["const", constant]], *terms]
        control = self.arms[0]
        mean: Expression = [
            "sum",
            *([weight, ["ref", f"{name}_{control}"]] for name, weight in base.items() if weight),
        ]
        self.expressions[f"mean_{control}"] = mean
        for offer in offers:
            plain: Expression = [
                "sum",
                [1.0, ["ref", f"mean_{control}"]],
                [1.0, ["ref", f"uplift_{offer}"]],
            ]
            binary = self.experiment.binary
            self.expressions[f"mean_{offer}"] = ["clip", 0.0, 1.0, plain] if binary else plain
        outputs = [f"uplift_{offer}" for offer in offers] + [f"mean_{arm}" for arm in self.arms]
        return Formula(
            columns=self.experiment.columns,
            expressions=self.expressions,
            outputs=tuple(outputs),
            boosters=self.boosters,
        )


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


def _held_out_means(
    experiment: Experiment, splits: Sequence[tuple[np.ndarray, np.ndarray]], s_trees: int
) -> dict[str, np.ndarray]:
    learners = outcome_learners(experiment)
    shape = (len(experiment.outcome), experiment.offers)
    means = {name: np.empty(shape) for name in learners}
    for train, test in splits:
        models = fit_outcome_models(experiment, train, learners=learners, s_trees=s_trees)
        for name in learners:
            means[name][test] = models.means(experiment, name, test)
    return means


def _held_out_effects(
    experiment: Experiment,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    means: np.ndarray,
    scores: np.ndarray,
) -> dict[str, np.ndarray]:
    effects = {name: np.empty((len(means), experiment.offers - 1)) for name in EFFECT_LEARNERS}
    for train, test in splits:
        models = fit_effect_models(
            experiment, train, learners=EFFECT_LEARNERS, means=means, scores=scores
        )
        for name in EFFECT_LEARNERS:
            effects[name][test] = models.effects(experiment, name, test)
    return effects


def _blend(means: dict[str, np.ndarray], experiment: Experiment, base: str) -> float:
    """Share of the S-learner in the outcome means, by weighted squared error of held-out rows."""
    rows, weight = np.arange(len(experiment.outcome)), 1.0 / experiment.propensity
    boosted = means["s"][rows, experiment.arm]
    plain = means[base][rows, experiment.arm]
    shares = np.linspace(0.0, 1.0, 5)
    losses = [
        float(np.sum(weight * (experiment.outcome - share * boosted - (1 - share) * plain) ** 2))
        for share in shares
    ]
    return float(shares[int(np.argmin(losses))])


def as_frame(X: pd.DataFrame | np.ndarray) -> pd.DataFrame:
    """X as a frame; the columns of an array are called x0, x1, ...

    Raises
    ------
    ValueError
        If X is neither a frame nor a two-dimensional array.
    """
    if isinstance(X, pd.DataFrame):
        return X
    array = np.asarray(X)
    if array.ndim != 2:
        raise ValueError(
            f"features: X must be a frame or a two-dimensional array, found {array.ndim} "
            "dimensions; reshape it to (rows, columns)"
        )
    return pd.DataFrame(array, columns=[f"x{place}" for place in range(array.shape[1])])


def choose_control(names: np.ndarray, control: str | None) -> str:
    """The control among the names of offers.

    Raises
    ------
    ValueError
        If the asked control does not occur, or fewer than two offers do.
    """
    found = sorted(set(names.tolist()))
    if len(found) < 2:
        raise ValueError(f"offer: expected at least 2 offers, found {found}; add a control group")
    if control is not None:
        if control not in found:
            raise ValueError(f"offer: the control '{control}' does not occur, found {found}")
        return control
    plain = {name.strip().lower(): name for name in reversed(found)}
    return next((plain[name] for name in CONTROL_NAMES if name in plain), found[0])


def _check_rows(
    frame: pd.DataFrame, y: Any, offer: Any, propensity: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcome, offer names and the probability of the offer sent, checked."""
    outcome = np.asarray(y, dtype=np.float64)
    names = np.asarray(offer).astype(str).astype(object)
    for what, values in (("y", outcome), ("offer", names)):
        if values.shape != (len(frame),):
            raise ValueError(
                f"{what}: expected shape ({len(frame)},) like the rows of X, found {values.shape}"
            )
    if not np.isfinite(outcome).all():
        raise ValueError(
            f"y: {int((~np.isfinite(outcome)).sum())} values are missing or infinite; "
            "fit on rows whose outcome is known"
        )
    return outcome, names, sent_propensity(names, propensity, frame.index)


def sent_propensity(names: np.ndarray, propensity: Any, index: pd.Index) -> np.ndarray:
    """Probability of the offer that was sent, (rows,); frequencies where none is given.

    Raises
    ------
    ValueError
        If the shape is wrong, an offer has no column, or a value is not in (0, 1].
    """
    if propensity is None:
        _, place, counts = np.unique(names, return_inverse=True, return_counts=True)
        return np.asarray((counts / len(names))[place], dtype=np.float64)
    if isinstance(propensity, pd.DataFrame):
        absent = sorted(set(names.tolist()) - set(map(str, propensity.columns)))
        if absent:
            raise ValueError(f"propensity: no column for the offers {absent}")
        wide = propensity.rename(columns=str)
        place = wide.columns.get_indexer(pd.Index(names))
        sent = wide.to_numpy(dtype=np.float64)[np.arange(len(names)), place]
    else:
        sent = np.asarray(propensity, dtype=np.float64)
    if sent.shape != (len(index),):
        raise ValueError(
            f"propensity: expected shape ({len(index)},), the probability of the offer that was "
            f"sent, or a frame with a column per offer; found {sent.shape}"
        )
    if not ((sent > 0) & (sent <= 1)).all():
        raise ValueError("propensity: every value must be in (0, 1]; drop rows that are outside")
    return sent


def _check_counts(arm: np.ndarray, arms: Sequence[str]) -> None:
    counts = np.bincount(arm, minlength=len(arms))
    few = [f"'{name}' ({count})" for name, count in zip(arms, counts, strict=True) if count < 50]
    if few:
        raise ValueError(
            f"offer: at least 50 rows per offer are needed, found {', '.join(few)}; "
            "leave such offers out"
        )


def canonical_order(values: np.ndarray, seed: int) -> np.ndarray:
    """Order of rows by a hash of their values alone, so that a shuffled table fits the same."""
    bits = np.ascontiguousarray(values + 0.0).view(np.uint64)
    key = np.full(len(bits), np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15), dtype=np.uint64)
    for place in range(bits.shape[1]):
        key ^= bits[:, place]
        key *= np.uint64(0xFF51AFD7ED558CCD)
        key ^= key >> np.uint64(32)
    return np.argsort(key, kind="stable")


def stratified_folds(arm: np.ndarray, outcome: np.ndarray, folds: int) -> np.ndarray:
    """Fold of each row: every offer and outcome class is dealt out evenly, in row order."""
    fold = np.empty(len(arm), dtype=np.int64)
    dealt = 0
    happened = outcome > 0
    for code in np.unique(arm):
        for state in (False, True):
            rows = np.flatnonzero((arm == code) & (happened == state))
            fold[rows] = (np.arange(len(rows)) + dealt) % folds
            dealt += len(rows)
    return fold
