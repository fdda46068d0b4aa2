"""How far those who are sent an offer lie from the customers who told what offers do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ...models.evaluation.drift import ALARM, Counts, distances
from ..settings.sources import PARTS, Population
from ..storage.stage_outputs import feature_names
from ..tables.comparable_rows import comparable

OF_OFFERS = ("past_offers", "past_offers_accepted", "days_since_last_offer")


def tested_customers(features: Path, population: Population, control: str) -> pd.DataFrame:
    """Features of the customers who told what offers do, from a folder of features.

    They were "lost" or "active"; `control` is the name of no offer. Of offers that were sent before
    nothing is told: whoever was in the experiment has had one more of them since.
    """
    tested = comparable(pd.read_parquet(features / f"{PARTS[population]}.parquet"), control)
    return tested[[name for name in feature_names(features, tested) if name not in OF_OFFERS]]


def send_list_drift(tested: pd.DataFrame, sent: Counts) -> str:
    """One sentence where features differ strongly, empty where none does.

    Parameters
    ----------
    tested
        (n, features) see `tested_customers`.
    sent
        `drift.counted` of the same features of the customers who are sent an offer.
    """
    compared = distances(tested, sent)
    apart = compared[compared["level"] == "alarm"]
    if apart.empty:
        return ""
    most = ", ".join(f"{row.feature} {row.distance:.2f}" for row in apart.head(3).itertuples())
    return (
        f"{len(apart)} of {len(compared)} features of those sent differ strongly from the "
        f"customers that the effects were learned on (population stability index above {ALARM:g}; "
        f"most: {most})"
    )
