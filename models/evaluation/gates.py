"""Gates: the conditions under which a challenger may replace the champion, each with a figure.

The challenger and the champion answer for the same customers, whom the challenger has never seen. A
gate against chance or a baseline demands that the challenger is better; a gate against the
champion, that it is not worse beyond chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..intervals import Estimate, mean_estimate, paired_difference
from .probability import ECE_BINS, bootstrap_grades

LARGEST_ECE = 0.03
REPEATS = 100
LEAST_IN_SLICE = 100  # customers; fewer say nothing by themselves
FALSE_ALARMS = 0.05  # of all slices together, where the two are equally good


@dataclass(frozen=True)
class Gate:
    """One condition: its name, whether it holds, and the figure that shows it."""

    name: str
    passed: bool
    figure: str


def probability_gates(
    name: str,
    outcome: ArrayLike,
    challenger: ArrayLike,
    champion: ArrayLike | None = None,
    *,
    cluster: ArrayLike | None = None,
    seed: int,
) -> list[Gate]:
    """AUC above chance, calibration, and AUC not below the champion's.

    Parameters
    ----------
    name
        Of the probability; the gates are NAME_auc, NAME_calibration and NAME_auc_over_champion.
    outcome
        (n,) 0 or 1.
    challenger, champion
        (n,) probabilities of the same rows; no champion, no gate against it.
    cluster
        (n,) customers, where one has several rows.

    Notes
    -----
    The calibration error (15 bins of equal size) of a perfectly calibrated model is not zero in a
    sample; what sampling adds on average is allowed on top of `LARGEST_ECE`.
    """
    y = np.asarray(outcome, dtype=np.float64)
    models = {"challenger": challenger} if champion is None else {"champion": champion}
    table = bootstrap_grades(
        y,
        {**models, "challenger": challenger},
        cluster=cluster,
        repeats=REPEATS,
        seed=seed,
        metrics=("auc", "ece"),
    )
    rows = table[table["model"] == "challenger"].to_dict("records")
    grades: dict[str, dict[Any, Any]] = {row["metric"]: row for row in rows}
    auc, ece = grades["auc"], float(grades["ece"]["value"])
    by_chance = float(np.sqrt(2 / np.pi * ECE_BINS * y.mean() * (1 - y.mean()) / len(y)))
    gates = [
        Gate(
            f"{name}_auc",
            bool(auc["lo"] > 0.5),
            f"{auc['value']:.4f} ({auc['lo']:.4f} to {auc['hi']:.4f}), chance is 0.5",
        ),
        Gate(
            f"{name}_calibration",
            bool(ece <= LARGEST_ECE + by_chance),
            f"error {ece:.4f}, at most {LARGEST_ECE} and {by_chance:.4f} by chance",
        ),
    ]
    if champion is not None:
        gates.append(
            Gate(
                f"{name}_auc_over_champion",
                bool(auc["gain_hi"] >= 0),
                f"{auc['gain']:+.4f} ({auc['gain_lo']:+.4f} to {auc['gain_hi']:+.4f})",
            )
        )
    return gates


def baseline_gate(metrics: pd.DataFrame, *, model: str) -> Gate:
    """AUC above that of every baseline, from the training stage's table of grades.

    Parameters
    ----------
    metrics
        Columns model, slice, metric, value, as `models.churn` writes them.
    model
        The row that is not a baseline.
    """
    whole = metrics[(metrics["slice"] == "all") & (metrics["metric"] == "auc")]
    aucs = whole.set_index("model")["value"]
    others = aucs.drop(model)
    if others.empty:
        return Gate(f"{model}_auc_over_baselines", True, "no baseline could be fitted")
    return Gate(
        f"{model}_auc_over_baselines",
        bool(aucs[model] > others.max()),
        f"{aucs[model] - others.max():+.4f} over {others.idxmax()}",
    )


def policy_gates(
    scores: np.ndarray,
    names: tuple[str, ...],
    challenger: ArrayLike,
    champion: ArrayLike | None = None,
) -> list[Gate]:
    """The challenger's offers earn no less than any single offer for all, nor the champion's.

    Parameters
    ----------
    scores
        (n, K) AIPW scores: what each customer would have brought with each offer.
    names
        The K offers, the control first.
    challenger, champion
        (n,) names of the offer that each recommends, all of them in `names`.
    """
    ours = earned(scores, names, challenger)
    gains = {
        name: paired_difference(ours, scores[:, position]) for position, name in enumerate(names)
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
    gain = paired_difference(ours, earned(scores, names, champion))
    return [*gates, Gate("policy_over_champion", bool(gain.hi >= 0), _interval(gain))]


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
        (n,) customers, where one has several rows.

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
        Gate("age", bool(0 <= age <= oldest_days), f"{age:g} days, at most {oldest_days:g}"),
    ]
    if champion is not None:
        gates.append(Gate("as_of_not_older", as_of >= champion, f"{as_of}, champion {champion}"))
    return gates


def _interval(gain: Estimate) -> str:
    return f"{gain.value:+.4g} ({gain.lo:+.4g} to {gain.hi:+.4g})"
