"""`winback tune`: search better settings of the churn model; writes nothing."""

from __future__ import annotations

from pathlib import Path

from ..models.churn.tuning import tune_churn
from .settings.boosting import boosting
from .settings.params import Machine, TrainChurn
from .settings.sources import Source
from .storage.stage_outputs import why_skipped
from .tables.training_rows import drawn_rows

SETTINGS = ("learning_rate", "num_leaves", "rounds", "least_rows_in_leaf")  # of params.yaml


def tune(source: Source, params: TrainChurn, machine: Machine, *, features: Path, fits: int) -> str:
    """The settings tried, best first, and the command that reruns the pipeline with the best.

    Raises
    ------
    ValueError
        If the source has no churn to learn.
    """
    why = why_skipped(features, "churn")
    if why or source.churn is None:
        raise ValueError(f"there is no churn model to tune: {why}")
    rows, names = drawn_rows(
        features, "churn", machine, most=params.largest_sample, seed=params.seed
    )
    tried = tune_churn(
        rows,
        features=names,
        gap_days=source.churn.gap_days,
        fits=fits,
        calibrate_share=params.calibrate_share,
        test_share=params.test_share,
        start=boosting(params),
        seed=params.seed,
        threads=machine.threads,
    )
    best = tried.iloc[0]
    options = " ".join(f"-S train_churn.{name}={best[name]:g}" for name in SETTINGS)
    shown = tried[[*SETTINGS, "log_loss"]].to_string(index=False)
    return (
        f"{shown}\n\nBest on customers held out of training; the test part was not looked at:\n\n"
        f"  dvc exp run {options}"
    )
