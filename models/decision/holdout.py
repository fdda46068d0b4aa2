"""Who of a campaign gets nothing, at random and with the chance written down."""

from __future__ import annotations

import numpy as np
import pandas as pd


def hold_out(
    keys: pd.DataFrame, chosen: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Who gets nothing instead (rows,), and the probability of what each is assigned (rows,).

    Within each offer the customers stand in the order of a seeded hash of customer and as_of, so
    that another campaign holds out others; the first ones are held out, in a number rounded at
    random, so that everybody's chance is exactly `share`.
    """
    text = (keys["customer_id"].astype("str") + keys["as_of"].astype("str")).to_numpy(dtype=object)
    place = pd.util.hash_array(text, hash_key=f"holdout{seed:09d}", categorize=False)
    held = np.zeros(len(chosen), dtype=bool)
    for option in np.unique(chosen[chosen > 0]):
        rows = np.flatnonzero(chosen == option)
        rounding = np.random.default_rng([seed, int(option)]).random()
        number = int(np.floor(share * len(rows) + rounding))
        held[rows[np.argsort(place[rows], kind="stable")[:number]]] = True
    return held, np.where(chosen == 0, 1.0, np.where(held, share, 1 - share))
