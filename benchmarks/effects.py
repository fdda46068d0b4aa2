"""Whether an isotonic step would calibrate effects better, and whether group intervals cover.

    python benchmarks/effects.py [--quick] [--seeds N] [--rows N] [--world NAME]

On the worlds of `zoo.py`, whose truth is known. The isotonic map is fitted per offer on the doubly
robust scores and out-of-fold effects that `OfferUplift` keeps, and judged on the other half of the
rows. Coverage is that of the true mean effect of ten groups of like predictions, at 90%.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from results import show
from scipy import stats
from sklearn.isotonic import IsotonicRegression
from uplift_tables import CONTROL, Table
from worlds import WORLDS, table

from winback.models.uplift.uplift import OfferUplift

GROUPS = 10


def judge(drawn: Table) -> dict[str, float]:
    """RMSE with and without the isotonic step, and coverage and width of the intervals."""
    model = OfferUplift(control=CONTROL)
    model.fit(drawn.train, drawn.outcome, offer=drawn.offer, propensity=drawn.propensity)
    effects = model.predict(drawn.score)
    low, high = model.predict_interval(drawn.score, coverage=0.9)
    ours, stepped, covered, widths = [], [], [], []
    for place, offer in enumerate(model.offers_, start=1):
        if drawn.truth is None:
            raise ValueError("table: the truth is needed")
        true = (drawn.truth[offer] - drawn.truth[CONTROL]).to_numpy()
        effect = effects[offer].to_numpy()
        step = IsotonicRegression(out_of_bounds="clip")
        step.fit(model.held_out_[offer], model.scores_[:, place] - model.scores_[:, 0])
        ours.append(np.mean((effect - true) ** 2))
        stepped.append(np.mean((step.predict(effect) - true) ** 2))
        for rows in np.array_split(np.argsort(effect, kind="stable"), GROUPS):
            ends = low[offer].to_numpy()[rows].mean(), high[offer].to_numpy()[rows].mean()
            covered.append(ends[0] <= true[rows].mean() <= ends[1])
            widths.append((ends[1] - ends[0]) / max(float(np.abs(true).mean()), 1e-12))
    found = {
        "rmse": float(np.sqrt(np.mean(ours))),
        "rmse isotonic": float(np.sqrt(np.mean(stepped))),
        "coverage of 90%": float(np.mean(covered)),
    }
    if drawn.truth is not None and drawn.truth.nunique(axis=1).max() > 1:
        found["width in mean effects"] = float(np.mean(widths))
    return found


def main() -> None:
    """Parse the arguments and print one row per world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows, two seeds")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--world", choices=WORLDS, action="append")
    asked = parser.parse_args()
    seeds = asked.seeds or (2 if asked.quick else 5)
    rows = asked.rows or (8_000 if asked.quick else 40_000)
    records = [
        {"world": world, "seed": seed, **judge(table(world, rows, seed))}
        for world in asked.world or WORLDS
        for seed in range(seeds)
    ]
    frame = pd.DataFrame(records)
    frame["isotonic / ours"] = frame["rmse isotonic"] / frame["rmse"]
    means = frame.drop(columns="seed").groupby("world", sort=False).mean()
    show(f"effects of {seeds} seeds, {rows // 2:,} rows to learn from", means)
    ratio = np.log(frame["isotonic / ours"])
    reach = stats.t.ppf(0.975, len(ratio) - 1) * ratio.std() / np.sqrt(len(ratio))
    ends = np.exp([ratio.mean(), ratio.mean() - reach, ratio.mean() + reach])
    print(f"\nisotonic / ours, all: {ends[0]:.3f} [{ends[1]:.3f}, {ends[2]:.3f}]")
    print(f"coverage of 90% intervals, all: {frame['coverage of 90%'].mean():.3f}")


if __name__ == "__main__":
    main()
