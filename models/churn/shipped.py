"""The churn model that ships: fitted on snapshots of all dates, the graded one's successor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..evaluation.held_out import held_out
from ..evaluation.twins import twin_keys
from ..formula.formula import Formula
from ..groups import group_labels
from ..regression.blend import Boosting
from .churn import check_parts, fit_calibrated, ordered_snapshots


def fit_shipped(
    snapshots: pd.DataFrame,
    *,
    features: Sequence[str],
    gap_days: float | None,
    boosting: Boosting,
    calibrate_share: float,
    seed: int,
    threads: int = 1,
) -> Formula:
    """The model that ships: fitted on snapshots of all dates, the latest ones too.

    It has no grades of its own. Those of `fit_churn`, which makes the same model from the earlier
    dates alone, say how well this way of fitting does on later dates.

    Parameters
    ----------
    snapshots, features, gap_days, boosting
        See `fit_churn`.
    calibrate_share
        Share of the customers by whom weights and rounds are chosen and the model is calibrated.

    Raises
    ------
    ValueError
        On unsound snapshots, or if a part lacks leavers or stayers.
    """
    rows = ordered_snapshots(snapshots, features)
    outcome = rows["churned"].to_numpy(dtype=np.float64)
    alike = rows["customer_id"] if gap_days is not None else twin_keys(rows, features)
    together = group_labels(rows, alone=alike)
    calibrate = held_out(together, share=calibrate_share, seed=seed)
    parts = np.where(calibrate, "calibrate", "train")
    check_parts(parts, outcome, ("train", "calibrate"), dated=gap_days is not None)
    frame = rows[list(features)]
    return fit_calibrated(
        frame, outcome, ~calibrate, calibrate, boosting, seed=seed, threads=threads
    )
