"""How far those who are sent an offer lie from the customers who told what offers do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ...models.evaluation.drift import ALARM, drift
from ..storage.stage_outputs import feature_names
from ..tables.comparable_rows import comparable


def send_list_drift(features: Path, sent: pd.DataFrame, control: str) -> str:
    """One sentence where features differ strongly, empty where none does.

    Parameters
    ----------
    features
        Folder of features, with winback.parquet.
    sent
        (n, ...) features of the customers who are sent an offer.
    control
        Name of no offer.
    """
    if sent.empty:
        return ""
    tested = comparable(pd.read_parquet(features / "winback.parquet"), control)
    names = feature_names(features, sent)
    distances = drift(tested[names], sent[names])
    apart = distances[distances["level"] == "alarm"]
    if apart.empty:
        return ""
    most = ", ".join(f"{row.feature} {row.distance:.2f}" for row in apart.head(3).itertuples())
    return (
        f"{len(apart)} of {len(names)} features of those sent differ strongly from the customers "
        f"that the effects were learned on (population stability index above {ALARM:g}; most: "
        f"{most})"
    )
