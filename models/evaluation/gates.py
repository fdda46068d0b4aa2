"""Gates: the conditions under which a challenger may replace the champion, each with a figure.

The challenger and the champion answer for the same customers, whom neither has ever seen. A gate
against chance or a baseline demands that the challenger is better. A gate against the champion
demands, of ranking and of what the offers earn, that a loss beyond a stated margin is ruled out
(non-inferiority): that few rows show no loss means little. Where the rows can rule out neither such
a loss nor that there is none, the gate says so instead of guessing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..intervals import Estimate, detectable_effect, mean_estimate, paired_difference
from .probability import ECE_BINS, auc_scores, grade_probabilities

LARGEST_ECE = 0.03
LEVEL = 0.9  # of the intervals, so that each end is passed by chance in 5 of 100 cases
LEAST_IN_SLICE = 100  # customers; fewer say nothing by themselves
FALSE_ALARMS = 0.05  # of all slices together, where the two are equally good


@dataclass(frozen=True)
class Gate:
    """One condition: its name, whether it holds, and the figure that shows it.

    `underpowered`: it does not hold because there are too few rows to tell.
    """

    name: str
    passed: bool
    figure: str
    underpowered: bool = False


def not_worse(name: str, gain: Estimate, *, margin: float) -> Gate:
    """The challenger loses no more than a margin against the champion.

    Parameters
    ----------
    name
        Of the gate.
    gain
        Of the challenger over the champion, paired, with its interval at `LEVEL`.
    margin
        Largest loss let pass, in the unit of the gain.

    Notes
    -----
    It passes if the lower end of the interval lies above the loss let pass: a challenger that loses
    more passes in at most 5 of 100 cases, on any number of rows. It is vetoed if the whole interval
    lies below zero. An interval that holds both zero and a larger loss is underpowered; the figure
    then says which loss so many rows would notice in 4 of 5 cases.
    """
    figure = f"{_interval(gain)}, may lose {margin:.4g}"
    if gain.lo >= -margin:
        return Gate(name, True, figure)
    if gain.hi < 0:
        return Gate(name, False, figure)
    noticed = f"{figure}; so few rows show a loss from {detectable_effect(gain.se):.4g} on"
    return Gate(name, False, noticed, underpowered=True)


def probability_gates(
    name: str,
    outcome: ArrayLike,
    challenger: ArrayLike,
    champion: ArrayLike | None = None,
    *,
    margin: float,
    cluster: ArrayLike | None = None,
) -> list[Gate]:
    """AUC above chance, calibration, and AUC not below the champion's, see `not_worse`.

    Parameters
    ----------
    name
        Of the probability; the gates are NAME_auc, NAME_calibration and NAME_auc_over_champion.
    outcome
        (n,) 0 or 1.
    challenger, champion
        (n,) probabilities of the same rows; no champion, no gate against it.
    margin
        Largest loss of AUC against the champion.
    cluster
        (n,) labels of rows that share their fate, such as a customer's.

    Notes
    -----
    The calibration error (15 bins of equal size) of a perfectly calibrated model is not zero in a
    sample; what sampling adds on average is allowed on top of `LARGEST_ECE`.
    """
    y = np.asarray(outcome, dtype=np.float64)
    if y.min() == y.max():
        same = f"all {len(y):,} rows have the outcome {y[0]:g}"
        return [Gate(f"{name}_auc", False, same, underpowered=True)]
    ranks = auc_scores(y, challenger)
    auc = mean_estimate(ranks, clusters=cluster, level=LEVEL)
    ece = grade_probabilities(y, challenger, metrics=("ece",))["ece"]
    by_chance = float(np.sqrt(2 / np.pi * ECE_BINS * y.mean() * (1 - y.mean()) / len(y)))
    largest = LARGEST_ECE + by_chance
    gates = [
        Gate(
            f"{name}_auc",
            auc.lo > 0.5,
            f"{auc.value:.4f} ({auc.lo:.4f} to {auc.hi:.4f}), chance is 0.5",
        ),
        Gate(
            f"{name}_calibration",
            ece <= largest,
            f"error {ece:.4f}, at most {largest:.4f}, of which {by_chance:.4f} by chance",
        ),
    ]
    if champion is None:
        return gates
    gain = mean_estimate(ranks - auc_scores(y, champion), clusters=cluster, level=LEVEL)
    return [*gates, not_worse(f"{name}_auc_over_champion", gain, margin=margin)]


def baseline_gate(aucs: pd.DataFrame, *, model: str) -> Gate:
    """AUC not surely below that of a baseline.

    Parameters
    ----------
    aucs
        A row for each model: model, value, and gain_lo, the lower end of the 95% interval of what
        it has more than `model`.
    model
        The row that is not a baseline.
    """
    name = f"{model}_auc_over_baselines"
    by_model = aucs.set_index("model")
    value = by_model["value"]
    others = value.drop(model)
    if others.empty:
        return Gate(name, True, "no baseline could be fitted")
    best = str(others.idxmax())
    lead = value[model] - others.max()
    return Gate(name, bool(by_model["gain_lo"][best] <= 0), f"{lead:+.4f} over {best}")


def policy_gates(
    scores: np.ndarray,
    names: tuple[str, ...],
    challenger: ArrayLike,
    champion: ArrayLike | None = None,
    *,
    margin: float,
    cluster: ArrayLike | None = None,
) -> list[Gate]:
    """What the challenger's offers earn, against any single offer for all and the champion's.

    Against a single offer nothing may show a loss; against the champion `not_worse` holds.

    Parameters
    ----------
    scores
        (n, K) AIPW scores: what each customer would have brought with each offer.
    names
        The K offers, the control first.
    challenger, champion
        (n,) names of the offer that each recommends, all of them in `names`.
    margin
        Largest loss against the champion, as a share of what its offers earn per customer.
    cluster
        (n,) labels of rows that share their fate; None: every row by itself.
    """
    ours = earned(scores, names, challenger)
    gains = {
        name: paired_difference(ours, scores[:, position], clusters=cluster)
        for position, name in enumerate(names)
    }
    hardest = min(gains, key=lambda name: gains[name].hi)
    gates = [
        Gate(
            "policy_over_single_offers",
            bool(gains[hardest].hi >= 0),
            f"{_interval(gains[hardest])} over {hardest} for all",
        )
    ]
    if champion is None:
        return gates
    theirs = earned(scores, names, champion)
    gain = paired_difference(ours, theirs, clusters=cluster, level=LEVEL)
    allowed = margin * abs(float(theirs.mean()))
    return [*gates, not_worse("policy_over_champion", gain, margin=allowed)]


def earned(scores: np.ndarray, names: tuple[str, ...], chosen: ArrayLike) -> np.ndarray:
    """Score of the offer chosen for each row, (n,), from the (n, K) scores of the K offers."""
    places = pd.Index(names).get_indexer(pd.Index(np.asarray(chosen)))
    earns: np.ndarray = scores[np.arange(len(scores)), places]
    return earns


def slice_gate(
    name: str,
    gain: ArrayLike,
    slices: Mapping[str, ArrayLike],
    *,
    cluster: ArrayLike | None = None,
) -> Gate:
    """No slice of customers has significantly worse results with the challenger.

    Parameters
    ----------
    name
        Of the gate.
    gain
        (n,) how much better the challenger did on each row, such as the champion's loss less its
        own.
    slices
        Name of the slice -> (n,) level of each row; a missing level is one of its own.
    cluster
        (n,) labels of rows that share their fate, such as a customer's.

    Notes
    -----
    Each level of at least 100 customers is tested one-sidedly at 5% over the number of levels
    (Bonferroni), so that two equally good models pass in at least 95 of 100 cases.
    """
    gains = np.asarray(gain, dtype=np.float64)
    customers = None if cluster is None else pd.factorize(np.asarray(cluster))[0]
    kept = {}
    for slice_name, levels in slices.items():
        labels = pd.Series(np.asarray(levels, dtype=object)).fillna("missing").astype("str")
        for level, rows in labels.groupby(labels).indices.items():
            number = len(rows) if customers is None else len(np.unique(customers[rows]))
            if number >= LEAST_IN_SLICE:
                kept[f"{slice_name} {level}"] = rows
    if not kept:
        return Gate(name, True, f"no slice has {LEAST_IN_SLICE} customers")
    level = 1 - 2 * FALSE_ALARMS / len(kept)
    estimates = {
        label: mean_estimate(
            gains[rows], clusters=None if customers is None else customers[rows], level=level
        )
        for label, rows in kept.items()
    }
    worst = min(estimates, key=lambda label: (estimates[label].hi, estimates[label].value))
    figure = f"{_interval(estimates[worst])} at {worst}, the worst of {len(kept)}"
    return Gate(name, bool(estimates[worst].hi >= 0), figure)


def moment_gates(
    *, as_of: pd.Timestamp, champion: pd.Timestamp | None, today: pd.Timestamp, oldest_days: float
) -> list[Gate]:
    """Trained on data no older than the champion's, and not too long before today's.

    Parameters
    ----------
    as_of, champion
        The moments for which the two were trained; no champion, no gate against it.
    today
        The moment of today's features.
    oldest_days
        Largest age allowed.
    """
    age = (today - as_of) / pd.Timedelta(days=1)
    gates = [
        Gate("age", bool(0 <= age <= oldest_days), f"{age:.1f} days, at most {oldest_days:g}"),
    ]
    if champion is not None:
        gates.append(Gate("as_of_not_older", as_of >= champion, f"{as_of}, champion {champion}"))
    return gates


def _interval(gain: Estimate) -> str:
    return f"{gain.value:+.4g} ({gain.lo:+.4g} to {gain.hi:+.4g})"
