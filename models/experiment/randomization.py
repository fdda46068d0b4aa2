"""Whether an experiment was what it claims to be, before anybody believes its result.

Each check refuses a broken experiment by an `ExperimentError` that names the check: customers in
two arms, outcomes before the offer, a control that was paid, a lost or too small arm, propensities
that cannot be, and a sample ratio mismatch. What a sample of this size could not have noticed is
reported beside what it did not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import chdtrc, chdtri, chndtrinc, ndtr

from .covariates import Design

SHARE_TOLERANCE = 0.005
SHUFFLES = 4000  # of the arms, where they differ
MOST_ROWS = 20_000  # on which arms are predicted
ENOUGH_WORSE = 10  # shuffles beyond the real arms, after which their share is known


class ExperimentError(ValueError):
    """The experiment cannot be read out; `check` names what is wrong with it."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"experiment, {check}: {message}")
        self.check = check


class SampleRatioMismatch(ExperimentError):
    """The arms have other sizes than randomization can explain."""


@dataclass(frozen=True)
class SampleRatio:
    """Observed against planned sizes of the arms.

    Attributes
    ----------
    p_value
        Probability of sizes at least as far from the plan, had nothing gone wrong.
    alpha
        Level below which the experiment is refused.
    detectable_loss
        Share of the rows of one arm, the hardest to watch, whose loss this sample would have
        noticed with a chance of 80%; smaller losses may stay unseen.
    arms
        Reconciliation: arm, planned_share, expected, rows, difference, z, p_value,
        detectable_loss.
    """

    p_value: float
    alpha: float
    detectable_loss: float
    arms: pd.DataFrame

    @property
    def mismatch(self) -> bool:
        """Whether the sizes are refused."""
        return self.p_value < self.alpha


def sample_ratio(
    arms: Sequence[str] | np.ndarray | pd.Series,
    planned: Mapping[str, float],
    *,
    alpha: float = 0.001,
) -> SampleRatio:
    """Pearson's test of the sizes of the arms, with what it could not have seen.

    Parameters
    ----------
    arms
        Arm of each of n rows.
    planned
        Planned share of each arm; they sum to one.
    alpha
        Level of the alarm; 0.001 is customary for a test that runs on every experiment.

    Raises
    ------
    ExperimentError
        If planned shares do not sum to one, an arm is not in the plan, or a planned arm has no
        rows.
    """
    names = list(planned)
    share = np.array([planned[name] for name in names], dtype=np.float64)
    if (share <= 0).any() or abs(share.sum() - 1) > SHARE_TOLERANCE:
        raise ExperimentError(
            "propensities",
            f"the shares of the arms must be positive and sum to 1, found "
            f"{', '.join(f'{name} {part:.4g}' for name, part in zip(names, share, strict=True))}, "
            f"sum {share.sum():.4g}; log the probability with which each offer was drawn, or find "
            "the arm that is missing",
        )
    counts = pd.Series(np.asarray(arms)).astype(str).value_counts()
    strangers = sorted(set(counts.index) - set(names))
    if strangers:
        raise ExperimentError(
            "unknown arm", f"{strangers[:5]} are not in the plan {names}; correct the plan"
        )
    rows = np.array([int(counts.get(name, 0)) for name in names])
    lost = [name for name, count in zip(names, rows, strict=True) if count == 0]
    if lost:
        raise ExperimentError(
            "lost arm",
            f"no row is left of {lost}, planned {[planned[name] for name in lost]}; find where its "
            "rows were dropped",
        )
    total, share = int(rows.sum()), share / share.sum()
    expected = total * share
    z = (rows - expected) / np.sqrt(expected * (1 - share))
    p_value = float(chdtrc(len(names) - 1, ((rows - expected) ** 2 / expected).sum()))
    losses = detectable_losses(share, total, alpha=alpha)
    table = _reconciled(names, rows, expected, z, losses, total)
    return SampleRatio(p_value, alpha, float(losses.max()), table)


def detectable_losses(share: np.ndarray, rows: int, *, alpha: float = 0.001) -> np.ndarray:
    """Per arm, the share of its rows whose loss `sample_ratio` notices 4 times in 5.

    Losing the share d of an arm planned at p moves Pearson's statistic by
    n p (1 - p) (d / (1 - p d))^2, the non-centrality of a chi-squared law.
    """
    degrees = len(share) - 1
    needed = chndtrinc(chdtri(degrees, alpha), degrees, 1 - 0.8)
    reach = np.sqrt(needed / (rows * share * (1 - share)))
    return np.minimum(reach / (1 + share * reach), 1.0)


def propensity_ratio(
    offers: np.ndarray, propensity: np.ndarray, names: Sequence[str], *, alpha: float = 0.001
) -> SampleRatio:
    """Sample ratio where the chances differ among customers: inverse propensities must add to n.

    For each offer the sum of 1 / propensity over those who were sent it has mean n. Their joint
    distance from n is judged by a Wald test; `expected` are the rows that would make it so.
    """
    total = len(offers)
    sent = np.stack([offers == name for name in names], axis=1)
    moments = sent / propensity[:, None] - 1.0
    mean = moments.mean(axis=0)
    covariance = moments.T @ moments / total
    rank = int(np.linalg.matrix_rank(covariance, tol=1e-8, hermitian=True))
    statistic = total * mean @ np.linalg.pinv(covariance, rcond=1e-8, hermitian=True) @ mean
    rows = sent.sum(axis=0)
    expected = rows / (1 + mean)
    z = mean * np.sqrt(total / np.diag(covariance))
    p_value = float(chdtrc(rank, statistic))
    losses = detectable_losses(rows / total, total, alpha=alpha)
    table = _reconciled(names, rows, expected, z, losses, total)
    return SampleRatio(p_value, alpha, float(losses.max()), table)


def _reconciled(
    names: Sequence[str],
    rows: np.ndarray,
    expected: np.ndarray,
    z: np.ndarray,
    losses: np.ndarray,
    total: int,
) -> pd.DataFrame:
    """Table `SampleRatio.arms`: rows of each arm beside those expected of `total`."""
    return pd.DataFrame(
        {
            "arm": list(names),
            "planned_share": expected / total,
            "expected": expected,
            "rows": rows,
            "difference": rows - expected,
            "z": z,
            "p_value": 2 * ndtr(-np.abs(z)),
            "detectable_loss": losses,
        }
    )


def standardized_differences(design: Design, arms: np.ndarray, control: str) -> pd.DataFrame:
    """Difference of each covariate's mean between each arm and the control, in standard deviations.

    Returns
    -------
    DataFrame with columns covariate, arm, smd: one row per covariate and arm but the control.
    Beyond 0.1 is customarily called unbalanced.
    """
    moments = {}
    for arm in sorted(set(arms)):
        group = design.matrix[arms == arm]
        moments[arm] = group.mean(axis=0), group.var(axis=0, ddof=1)
    mean, variance = moments.pop(control)
    tables = []
    for arm, (other_mean, other_variance) in moments.items():
        spread = np.sqrt((variance + other_variance) / 2)
        gap = other_mean - mean
        smd = np.divide(gap, spread, out=np.zeros_like(gap), where=spread > 0)
        tables.append(pd.DataFrame({"covariate": design.names, "arm": arm, "smd": smd}))
    return pd.concat(tables, ignore_index=True)


def arm_prediction_test(design: Design, arms: np.ndarray, *, rng: np.random.Generator) -> float:
    """Permutation p-value of how well the covariates and their squares predict the arm.

    The statistic is the arms' share of the variance of the whitened covariates (Pillai's trace);
    under honest randomization no shuffle of the arms should do worse than the real one more often
    than chance. Shuffles stop as soon as ten of them do so (Besag and Clifford 1991, "Sequential
    Monte Carlo p-values"), so that honest arms cost a few dozen and only arms that differ cost all
    of them; the smallest p-value is 1 / (1 + `SHUFFLES`). Larger samples are judged on
    `MOST_ROWS` random rows.
    """
    matrix, labels = design.matrix, np.unique(arms, return_inverse=True)[1]
    if len(labels) > MOST_ROWS:
        chosen = np.sort(rng.choice(len(labels), MOST_ROWS, replace=False))
        matrix, labels = matrix[chosen], labels[chosen]
    spread = np.column_stack([matrix, np.clip(matrix**2, 0, 9)])
    spread -= spread.mean(axis=0)
    values, vectors = np.linalg.eigh(spread.T @ spread)
    kept = values > 1e-9 * values[-1]
    white = (spread @ (vectors[:, kept] / np.sqrt(values[kept]))).astype(np.float32)
    counts = np.bincount(labels)
    one_hot = np.eye(len(counts), dtype=np.float32)

    def trace(given: np.ndarray) -> float:
        sums = one_hot[given].T @ white
        return float(((sums**2).sum(axis=1) / counts).sum())

    observed, worse = trace(labels), 0
    for shuffles in range(1, SHUFFLES + 1):
        worse += trace(rng.permutation(labels)) >= observed
        if worse == ENOUGH_WORSE:
            return worse / shuffles
    return (1 + worse) / (1 + SHUFFLES)


def weighted_balance(
    design: Design, offers: np.ndarray, propensity: np.ndarray, names: Sequence[str]
) -> tuple[float, str, str]:
    """Whether 1 / propensity makes those who were sent each offer like all customers.

    For each offer and covariate (clipped at 3 standard deviations) the sum of
    (sent / propensity - 1) x covariate is about zero where the propensities are true. How far from
    it chance leads is not normal where few were sent an offer and few have a trait: then one
    customer is a large part of the sum. So its errors are counted down as in Bernstein's inequality
    (Boucheron, Lugosi & Massart, Concentration Inequalities, 2013, 2.8), to none where each
    customer is a small part. A variance that few rows of a trait tell is at least that of as many
    rows like all.

    Returns
    -------
    p-value of the largest deviation (Bonferroni over offers and covariates), and the covariate and
    the offer in which it is.
    """
    facts = np.clip(design.matrix, -3, 3)
    sent = np.stack([offers == name for name in names], axis=1)
    excess = sent / propensity[:, None] - 1.0
    like_all = np.outer((excess**2).mean(axis=0), (facts**2).sum(axis=0))
    error = np.sqrt(np.maximum((excess**2).T @ facts**2, like_all))
    largest = np.stack([np.abs(each[:, None] * facts).max(axis=0) for each in excess.T])
    sums = np.abs(excess.T @ facts)
    z = np.divide(sums, error, out=np.zeros_like(sums), where=error > 0)
    part = np.divide(largest, error, out=np.zeros_like(sums), where=error > 0)
    z /= np.sqrt(1.0 + part * z / 3.0)
    offer, covariate = np.unravel_index(z.argmax(), z.shape)
    p_value = min(1.0, float(2 * ndtr(-z[offer, covariate])) * z.size)
    return p_value, design.names[covariate], str(names[offer])


def check_logged(
    offers: np.ndarray, propensity: np.ndarray, names: Sequence[str], *, alpha: float = 1e-4
) -> SampleRatio:
    """Refuse logged propensities that the offers really sent contradict.

    Parameters
    ----------
    offers
        (n,) name of the offer sent.
    propensity
        (n,) logged probability of that offer.
    names
        All offers, the control among them.
    alpha
        Level of the refusal.

    Raises
    ------
    ExperimentError
        If 1 / propensity over those who were sent an offer does not add to n.
    """
    ratio = propensity_ratio(offers, propensity, names, alpha=alpha)
    if ratio.mismatch:
        worst = ratio.arms.iloc[int(ratio.arms["z"].abs().to_numpy().argmax())]
        raise ExperimentError(
            "propensities",
            f"1 / propensity over those who were sent '{worst['arm']}' adds to "
            f"{len(offers) * worst['rows'] / worst['expected']:.0f} for {len(offers)} rows: the "
            "logged chances are not those with which the offers were sent, or some customers could "
            "not be sent every offer; log the true chances, or leave out the offers that were not "
            "open to all",
        )
    return ratio
