"""Which rows of winback.parquet are of the experiment, and which can be compared across offers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...models.uplift.input_rows import sent_propensity

OF_CAMPAIGNS = ["chosen", "every_offer_open"]  # columns that only our own campaigns fill
COMPARED = ["offer", "propensity", *OF_CAMPAIGNS]  # columns that `comparable` reads


def of_experiment(rows: pd.DataFrame) -> np.ndarray:
    """(rows,) bool: rows of winback.parquet that no campaign of ours chose."""
    return rows["chosen"].isna().to_numpy()


def comparable(rows: pd.DataFrame, control: str) -> pd.DataFrame:
    """Rows of winback.parquet that could have been sent every offer, by chance.

    Those of the experiment, and of our own campaigns customers who could have explored each offer.
    Only they show what offers change: the other customers had no chance of some offers. The chance
    of the offer sent is filled in where the experiment does not tell it.
    """
    experiment = of_experiment(rows)
    explores = rows["every_offer_open"].fillna(1).to_numpy() > 0
    kept = experiment | (explores & (rows["chosen"] != control).to_numpy())
    rows = rows.assign(propensity=rows["propensity"].astype(float))
    rows.loc[experiment, "propensity"] = sent_propensity(
        rows.loc[experiment, "offer"].to_numpy(),
        rows.loc[experiment, "propensity"],
        rows.index[experiment],
    )
    return rows[kept].reset_index(drop=True)
