"""What the gates of `winback promote` let pass, by how much worse the challenger is.

    python benchmarks/gates.py [--quick]

Champion and challenger are compared on customers who are new to both, 300 to 5,000 of them. Two
questions, each with the margins of params.yaml:

* offers: customers earn about 400 with a standard deviation of 1,000, and four offers add to it by
  customer. Both models see the additions through errors of their own; the challenger's are larger,
  so that its offers lose what the row says.
* ranking: both forecast a return with errors of their own in log odds, the challenger's larger.

A twin is as good as the champion, with other errors: a model of another seed. Shares stand beside
95% intervals (Wilson); `before` is the share that a gate lets pass which only asks that no loss is
shown at 5%.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from results import show
from scipy.special import expit

from winback.models.evaluation.gates import (
    LEVEL,
    Gate,
    earned,
    policy_gates,
    probability_gates,
)
from winback.models.evaluation.probability import auc_scores
from winback.models.intervals import mean_estimate, paired_difference, wilson_interval
from winback.pipelines.settings.params import read_params

SIZES = (300, 1_000, 5_000)
LARGE = 400_000  # customers by whom the true loss is known
NAMES = ("none", "discount", "bundle", "upgrade", "gift")
OFFERS_WORSE = (0.0, 20.0, 80.0, 150.0)  # money by which its view of each offer errs more
RANKING_WORSE = (0.0, 0.1, 0.25, 0.45)  # log odds by which its forecasts err more
Drawn = tuple[Gate, bool]


def offers(worse: float, rows: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Scores (rows, 5) of the offers, and what the challenger and the champion choose."""
    lasting = rng.normal([0, 60, 80, 50, 60], 80, (rows, len(NAMES)))
    seen = lasting + rng.normal(0, 25, lasting.shape)  # what both have learned alike
    noisy = [seen + rng.normal(0, spread, seen.shape) for spread in (20 + worse, 20)]
    scores = 400 + lasting + rng.normal(0, 1_000, (rows, 1))
    scores = scores + rng.normal(0, 600, scores.shape)  # the correction by the offer that was sent
    chosen = [np.array(NAMES)[values.argmax(axis=1)] for values in noisy]
    return scores, lasting, *chosen


def value_gate(worse: float, rows: int, margin: float, rng: np.random.Generator) -> Drawn:
    """The gate of what the offers earn, and whether no loss was shown."""
    scores, _, ours, theirs = offers(worse, rows, rng)
    *_, gate = policy_gates(scores, NAMES, ours, theirs, margin=margin)
    gain = paired_difference(earned(scores, NAMES, ours), earned(scores, NAMES, theirs))
    return gate, gain.hi >= 0


def value_loss(worse: float, rng: np.random.Generator) -> float:
    """What the challenger's offers truly lose, per customer, as a share of the champion's."""
    _, lasting, ours, theirs = offers(worse, LARGE, rng)
    got = [float(earned(400 + lasting, NAMES, chosen).mean()) for chosen in (ours, theirs)]
    return 1 - got[0] / got[1]


def forecasts(worse: float, rows: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Outcomes, and the chances that the challenger and the champion forecast, each (rows,)."""
    truth = rng.normal(-1, 0.8, rows)
    outcome = (rng.random(rows) < expit(truth)).astype(float)
    chances = [expit(truth + rng.normal(0, spread, rows)) for spread in (0.25 + worse, 0.25)]
    return outcome, *chances


def auc_gate(worse: float, rows: int, margin: float, rng: np.random.Generator) -> Drawn:
    """The gate of the ranking, and whether no loss was shown."""
    outcome, ours, theirs = forecasts(worse, rows, rng)
    *_, gate = probability_gates("return", outcome, ours, theirs, margin=margin)
    gain = mean_estimate(auc_scores(outcome, ours) - auc_scores(outcome, theirs))
    return gate, gain.hi >= 0


def auc_loss(worse: float, rng: np.random.Generator) -> float:
    """How much AUC the challenger truly loses."""
    outcome, ours, theirs = forecasts(worse, LARGE, rng)
    return float((auc_scores(outcome, theirs) - auc_scores(outcome, ours)).mean())


def asked(
    gate: Callable[[float, int, float, np.random.Generator], Drawn],
    loss: Callable[[float, np.random.Generator], float],
    worse: tuple[float, ...],
    margin: float,
    runs: int,
) -> Iterator[dict[str, object]]:
    """One row per challenger and number of customers."""
    for more in worse:
        lost = loss(more, np.random.default_rng(0)) if more else 0.0
        for rows in SIZES:
            drawn = [gate(more, rows, margin, np.random.default_rng([1, n])) for n in range(runs)]
            passed = float(np.mean([found.passed for found, _ in drawn]))
            low, high = wilson_interval(passed, runs)
            yield {
                "challenger": f"loses {lost:.4f}" if more else "twin",
                "margin": margin,
                "rows": rows,
                "passed": passed,
                "lo": float(low),
                "hi": float(high),
                "underpowered": float(np.mean([found.underpowered for found, _ in drawn])),
                "before": float(np.mean([unhurt for _, unhurt in drawn])),
                "of": runs,
            }


def main() -> None:
    """Parse the arguments, draw, and print one table per question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few runs")
    runs = 40 if parser.parse_args().quick else 200
    limits = read_params(Path(__file__).parents[1] / "params.yaml").promote
    ends = f"one-sided at {(1 - LEVEL) / 2:.0%}"
    for title, gate, loss, worse, margin in (
        ("offers, share of value", value_gate, value_loss, OFFERS_WORSE, limits.value_margin),
        ("ranking, AUC", auc_gate, auc_loss, RANKING_WORSE, limits.auc_margin),
    ):
        records = asked(gate, loss, worse, margin, runs)
        show(f"{title}, {ends}", pd.DataFrame(records).set_index("challenger"), decimals=3)


if __name__ == "__main__":
    main()
