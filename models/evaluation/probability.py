"""Metrics of predicted probabilities: ranking, calibration, and profit of acting on them.

Rows are sorted once and everything is a cumulative sum over them, so that a bootstrap of hundreds
of draws costs seconds; the tests hold the classic measures equal to scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import beta as beta_distribution
from sklearn.isotonic import isotonic_regression

from ..intervals import percentile_interval

METRICS = ("auc", "pr_auc", "log_loss", "brier", "ece", "lift_10", "emp")
ECE_BINS = 15
LIFT_SHARE = 0.10
SMALLEST_PROBABILITY = 1e-15


@dataclass(frozen=True)
class RetentionProfit:
    """What a retention campaign earns per customer contacted, in money.

    A leaver who is offered `incentive_cost` stays with a chance that is Beta(alpha, beta) and then
    brings `value` less the incentive; everybody contacted costs `contact_cost`; a customer who
    would have stayed takes the incentive for nothing.
    """

    value: float = 200.0
    incentive_cost: float = 10.0
    contact_cost: float = 1.0
    alpha: float = 6.0
    beta: float = 14.0

    def __post_init__(self) -> None:
        if not (0 <= self.incentive_cost < self.value and self.contact_cost >= 0):
            raise ValueError(
                "profit: need 0 <= incentive_cost < value and contact_cost >= 0, found "
                f"incentive_cost {self.incentive_cost}, value {self.value}, "
                f"contact_cost {self.contact_cost}"
            )
        if self.alpha <= 0 or self.beta <= 0:
            raise ValueError("profit: alpha and beta of the Beta distribution must be positive")

    def of_contact(self, left: Any) -> Any:
        """Mean profit of contacting customers of whom that share would leave."""
        accepted = left * self.alpha / (self.alpha + self.beta)
        kept = accepted * (self.value - self.incentive_cost)
        return kept - (1 - left) * self.incentive_cost - self.contact_cost


@dataclass(frozen=True)
class Cutoff:
    """The most profitable cut-off: contact those at or above `threshold`."""

    threshold: float
    share: float
    profit: float


@dataclass(frozen=True)
class _Ranked:
    """Rows from the highest score down; `ends` are the last rows of equal scores."""

    order: np.ndarray
    outcome: np.ndarray
    probability: np.ndarray
    squared_error: np.ndarray
    surprise: np.ndarray
    ends: np.ndarray
    bins: np.ndarray


def grade_probabilities(
    outcome: ArrayLike,
    probability: ArrayLike,
    *,
    profit: RetentionProfit | None = None,
    metrics: Sequence[str] = METRICS,
) -> dict[str, float]:
    """Number of rows, base rate and the metrics asked for.

    auc, pr_auc (average precision), log_loss, brier, ece (15 bins of equal size), lift_10 (share
    of the outcome in the top tenth over the base rate), emp (expected maximum profit of a churn
    campaign, money per customer). Metrics of ranking are NaN where only one class is present.

    Raises
    ------
    ValueError
        On shapes that differ, outcomes that are not 0/1, probabilities outside [0, 1], or an
        unknown metric.
    """
    ranked = _rank(outcome, probability)
    grades = _grades(ranked, np.ones(len(ranked.order)), metrics, profit or RetentionProfit())
    head = {"rows": float(len(ranked.order)), "base_rate": float(ranked.outcome.mean())}
    return {**head, **grades}


def bootstrap_grades(
    outcome: ArrayLike,
    probabilities: Mapping[str, ArrayLike],
    *,
    cluster: ArrayLike | None = None,
    repeats: int,
    seed: int,
    metrics: Sequence[str] = METRICS,
) -> pd.DataFrame:
    """Metrics of several models on the same rows, with intervals, and gains over the first.

    Whole clusters (a customer's snapshots) are drawn with replacement, the same draw for every
    model, so that gains are paired. Intervals of 95% are percentiles; the calibration error has
    none, since drawing again adds to it.

    Returns
    -------
    DataFrame
        model, metric, value, lo, hi, gain, gain_lo, gain_hi; gain is this model minus the first.

    Raises
    ------
    ValueError
        As `grade_probabilities`.
    """
    profit = RetentionProfit()
    ranked = {name: _rank(outcome, values) for name, values in probabilities.items()}
    rows = len(next(iter(ranked.values())).order)
    groups = np.arange(rows) if cluster is None else pd.factorize(np.asarray(cluster), sort=True)[0]
    size = int(groups.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = np.empty((repeats + 1, len(ranked), len(metrics)))
    for repeat in range(repeats + 1):
        counts = np.bincount(rng.integers(0, size, size), minlength=size) if repeat else None
        weights = np.ones(rows) if counts is None else counts[groups].astype(np.float64)
        computed = [metric for metric in metrics if metric != "ece" or not repeat]
        for position, model in enumerate(ranked.values()):
            grades = _grades(model, weights[model.order], computed, profit)
            drawn[repeat, position] = [grades.get(metric, np.nan) for metric in metrics]
    gains = drawn - drawn[:, :1]
    records = []
    for position, name in enumerate(ranked):
        for number, metric in enumerate(metrics):
            value, gain = drawn[0, position, number], gains[0, position, number]
            lo, hi = gain_lo, gain_hi = [float("nan")] * 2
            if metric != "ece":
                lo, hi = percentile_interval(drawn[1:, position, number])
                gain_lo, gain_hi = percentile_interval(gains[1:, position, number])
            records.append((name, metric, value, lo, hi, gain, gain_lo, gain_hi))
    columns = ["model", "metric", "value", "lo", "hi", "gain", "gain_lo", "gain_hi"]
    return pd.DataFrame(records, columns=columns)


def grade_slices(
    outcome: ArrayLike,
    probabilities: Mapping[str, ArrayLike],
    slices: Mapping[str, ArrayLike],
) -> pd.DataFrame:
    """Metrics of each model in each level of each slice.

    Parameters
    ----------
    slices
        Name of the slice -> level of each row; a missing level is shown as "missing".

    Returns
    -------
    DataFrame
        slice, level, model, rows, base_rate and the columns of `METRICS`.
    """
    outcomes = np.asarray(outcome)
    records: list[dict[str, object]] = []
    for name, values in slices.items():
        given = pd.Series(np.asarray(values)).astype("object")
        levels = given.where(given.notna(), "missing").astype(str).to_numpy()
        for level in sorted(set(levels)):
            kept = levels == level
            for model, probability in probabilities.items():
                grades = grade_probabilities(outcomes[kept], np.asarray(probability)[kept])
                records.append({"slice": name, "level": level, "model": model, **grades})
    return pd.DataFrame(records, columns=["slice", "level", "model", "rows", "base_rate", *METRICS])


def log_loss(outcome: ArrayLike, probability: ArrayLike) -> np.ndarray:
    """Log loss of each row in nats, (n,), of outcomes 0 or 1."""
    y = np.asarray(outcome, dtype=np.float64)
    p = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return -np.where(y == 1, np.log(p), np.log1p(-p))


def best_cutoff(outcome: ArrayLike, probability: ArrayLike, profit: RetentionProfit) -> Cutoff:
    """The cut-off that earns most per customer at the mean chance of acceptance.

    Raises
    ------
    ValueError
        As `grade_probabilities`.
    """
    ranked = _rank(outcome, probability)
    rows = len(ranked.order)
    totals = np.r_[0.0, np.cumsum(profit.of_contact(ranked.outcome))[ranked.ends]] / rows
    best = int(np.argmax(totals))
    if best == 0:
        return Cutoff(threshold=float("inf"), share=0.0, profit=0.0)
    last = ranked.ends[best - 1]
    return Cutoff(float(ranked.probability[last]), float((last + 1) / rows), float(totals[best]))


def auc_scores(outcome: ArrayLike, probability: ArrayLike) -> np.ndarray:
    """A number per row whose mean is the AUC and whose spread is its error, (n,).

    They are the AUC plus its influence function, so that the difference of two models' scores gives
    the error of a paired gain, by customer too (DeLong, DeLong & Clarke-Pearson, Biometrics 44,
    1988). NaN where only one class is present.

    Raises
    ------
    ValueError
        As `grade_probabilities`.
    """
    _rank(outcome, probability)
    y, p = np.asarray(outcome, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    positive = y == 1
    if positive.all() or not positive.any():
        return np.full(len(y), np.nan)
    below = np.where(positive, _share_below(p[~positive], p), 1 - _share_below(p[positive], p))
    area = below[positive].mean()
    share = np.where(positive, positive.mean(), 1 - positive.mean())
    scores: np.ndarray = area + (below - area) / share
    return scores


def _share_below(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Share of `values` below each of `at`; equal ones count half."""
    ordered = np.sort(values)
    left, right = (np.searchsorted(ordered, at, side=side) for side in ("left", "right"))
    return (left + right) / (2 * len(values))


def _rank(outcome: ArrayLike, probability: ArrayLike) -> _Ranked:
    outcomes = np.asarray(outcome, dtype=np.float64)
    probabilities = np.asarray(probability, dtype=np.float64)
    if outcomes.ndim != 1 or outcomes.shape != probabilities.shape or not len(outcomes):
        raise ValueError(
            "grade: outcome and probability must be flat, of one length and not empty, found "
            f"shapes {outcomes.shape} and {probabilities.shape}"
        )
    if not np.isin(outcomes, (0.0, 1.0)).all():
        raise ValueError("grade: outcome must be 0 or 1 in every row; drop rows without a label")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError(
            "grade: probability must lie in [0, 1], found values outside or NaN; "
            "calibrate the score first"
        )
    order = np.lexsort((outcomes, -probabilities))
    ranked = probabilities[order]
    ends = np.flatnonzero(np.r_[np.diff(ranked) < 0, True])
    middles = (np.r_[0, ends[:-1] + 1] + ends) / 2
    sizes = np.diff(np.r_[-1, ends])
    bins = np.repeat((middles * ECE_BINS / len(order)).astype(int), sizes)
    happened = outcomes[order]
    squared_error, surprise = (ranked - happened) ** 2, log_loss(happened, ranked)
    return _Ranked(order, happened, ranked, squared_error, surprise, ends, bins)


def _grades(
    ranked: _Ranked, weights: np.ndarray, metrics: Sequence[str], profit: RetentionProfit
) -> dict[str, float]:
    """Metrics of ranked rows under weights (rows drawn that often)."""
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown:
        raise ValueError(f"grade: unknown metric {unknown[0]!r}; one of {', '.join(METRICS)}")
    hits = weights * ranked.outcome
    caught = np.r_[0.0, np.cumsum(hits)[ranked.ends]]
    reached = np.r_[0.0, np.cumsum(weights)[ranked.ends]]
    positives, total = caught[-1], reached[-1]
    two_classes = 0 < positives < total
    grades = {}
    for metric in metrics:
        if metric in ("log_loss", "brier", "ece"):
            grades[metric] = _honesty(ranked, weights, hits, metric)
        elif not two_classes:
            grades[metric] = float("nan")
        elif metric == "auc":
            false = reached - caught
            area = np.sum(np.diff(false) * (caught[1:] + caught[:-1]) / 2)
            grades[metric] = float(area / (positives * (total - positives)))
        elif metric == "pr_auc":
            precision = caught[1:] / np.maximum(reached[1:], SMALLEST_PROBABILITY)
            grades[metric] = float(np.sum(np.diff(caught) * precision) / positives)
        elif metric == "lift_10":
            gain = np.interp(LIFT_SHARE * total, reached, caught) / positives
            grades[metric] = float(gain / LIFT_SHARE)
        else:
            grades[metric] = _expected_maximum_profit(ranked, weights, profit)
    return grades


def _honesty(ranked: _Ranked, weights: np.ndarray, hits: np.ndarray, metric: str) -> float:
    total = weights.sum()
    if metric == "brier":
        return float(np.sum(weights * ranked.squared_error) / total)
    if metric == "log_loss":
        return float(np.sum(weights * ranked.surprise) / total)
    expected = np.bincount(ranked.bins, weights * ranked.probability, minlength=ECE_BINS)
    observed = np.bincount(ranked.bins, hits, minlength=ECE_BINS)
    return float(np.abs(expected - observed).sum() / total)


def _expected_maximum_profit(
    ranked: _Ranked, weights: np.ndarray, profit: RetentionProfit
) -> float:
    """Expected maximum profit of a churn campaign, money per customer.

    The chance that a leaver accepts is uncertain, Beta(alpha, beta); for each chance the best
    share of the ranking is contacted, and the profit of that is averaged. Contacting a leaver
    earns ``chance * (value - incentive) - contact``, a stayer ``-(incentive + contact)``.

    Verbraken, Verbeke & Baesens, IEEE TKDE 25(5), 2013. The optimum only moves along the convex
    hull of the ROC curve, whose corners are those of isotonic regression (Fawcett &
    Niculescu-Mizil 2007), and the integral over the Beta law between two corners is closed.
    """
    hits, rows = weights * ranked.outcome, weights
    starts = np.r_[0, ranked.ends[:-1] + 1]
    hit, row = np.add.reduceat(hits, starts), np.add.reduceat(rows, starts)
    kept = row > 0
    hit, row = hit[kept], row[kept]
    falling = isotonic_regression(hit / row, sample_weight=row, increasing=False)
    corners = np.flatnonzero(np.r_[np.diff(falling) < 0, True])
    total = row.sum()
    caught = np.r_[0.0, np.cumsum(hit)[corners]] / total
    bothered = np.r_[0.0, np.cumsum(row - hit)[corners]] / total
    kept_value = profit.value - profit.incentive_cost
    wasted = profit.incentive_cost + profit.contact_cost
    with np.errstate(divide="ignore"):
        ratio = np.diff(bothered) / np.diff(caught)
    turns = np.clip((wasted * ratio + profit.contact_cost) / kept_value, 0.0, 1.0)
    bounds = np.r_[0.0, turns, 1.0]
    mean = profit.alpha / (profit.alpha + profit.beta)
    mass = np.diff(beta_distribution.cdf(bounds, profit.alpha, profit.beta))
    moment = mean * np.diff(beta_distribution.cdf(bounds, profit.alpha + 1, profit.beta))
    fixed = -profit.contact_cost * caught - wasted * bothered
    return float((kept_value * caught * moment + fixed * mass).sum())
