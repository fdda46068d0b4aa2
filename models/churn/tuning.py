"""Hyperparameters of the churn model by seeded random search within a number of fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pandas as pd

from ..evaluation.probability import grade_probabilities
from ..evaluation.time_split import split_by_time
from ..formula.formula import evaluate
from ..regression.blend import Boosting, choose, fit_blend
from .churn import OUTPUT, check_parts, ordered_snapshots

LEAVES = (7, 15, 31, 63)
RATES = (0.02, 0.03, 0.05, 0.08)
LEAF_ROWS = (20, 50, 100, 200, 500)
ROUNDS = (60, 120, 200, 300, 450)


def tune_churn(
    snapshots: pd.DataFrame,
    *,
    features: Sequence[str],
    gap_days: float | None,
    fits: int,
    calibrate_share: float,
    test_share: float,
    start: Boosting,
    seed: int,
    threads: int = 1,
) -> pd.DataFrame:
    """Random search on the training part, graded by log loss on the calibration part.

    The first fit has the settings of `start`; the test part is never looked at, so that the grade
    of the model fitted afterwards stays honest.

    Returns
    -------
    DataFrame
        One row per fit: the fields of `Boosting` (pass a row's values to
        `fit_churn`) and log_loss, the best first.

    Raises
    ------
    ValueError
        As `fit_churn`, or if `fits` is below 1.
    """
    if fits < 1:
        raise ValueError(f"tune_churn: fits must be at least 1, found {fits}")
    rows = ordered_snapshots(snapshots, features)
    split = split_by_time(
        rows,
        gap_days=gap_days,
        calibrate_share=calibrate_share,
        test_share=test_share,
        seed=seed,
        features=features,
    )
    outcome = rows["churned"].to_numpy(dtype=np.float64)
    check_parts(split.part, outcome, ("train", "calibrate"), dated=gap_days is not None)
    train, calibrate = split.part == "train", split.part == "calibrate"
    frame, calibrate_rows = rows.loc[train, list(features)], rows.loc[calibrate, list(features)]
    rng = np.random.default_rng(seed)
    records = []
    for number in range(fits):
        boosting = _drawn(start, rng) if number else start
        blend = fit_blend(frame, outcome[train], boosting, seed=seed, threads=threads)
        formula = blend.formula(choose(blend, calibrate_rows, outcome[calibrate]), OUTPUT)
        probability = evaluate(formula, calibrate_rows, threads=threads)[OUTPUT].to_numpy()
        grade = grade_probabilities(outcome[calibrate], probability, metrics=("log_loss",))
        records.append({**asdict(boosting), "log_loss": grade["log_loss"]})
    return pd.DataFrame(records).sort_values("log_loss", kind="stable", ignore_index=True)


def _drawn(start: Boosting, rng: np.random.Generator) -> Boosting:
    return replace(
        start,
        num_leaves=int(rng.choice(LEAVES)),
        learning_rate=float(rng.choice(RATES)),
        least_rows_in_leaf=int(rng.choice(LEAF_ROWS)),
        rounds=int(rng.choice(ROUNDS)),
    )
