"""The largest of many probabilities, from counts in narrow steps, so that those of parts add up."""

from __future__ import annotations

import numpy as np

STEPS = 65_536


def stepwise(probabilities: np.ndarray) -> np.ndarray:
    """(2, STEPS) how many of (n,) probabilities lie in each step of [0, 1], and their sums."""
    steps = np.minimum((probabilities * STEPS).astype(int), STEPS - 1)
    return np.array([np.bincount(steps, weights, STEPS) for weights in (None, probabilities)])


def sum_of_highest(counts: np.ndarray, count: int) -> float:
    """Sum of the `count` largest of what `stepwise` counted; those of the last step count alike."""
    known, sums = counts[:, ::-1]
    whole = int(np.searchsorted(np.cumsum(known), count, side="right"))
    rest = count - known[:whole].sum()
    mean = sums[whole] / known[whole] if rest and whole < STEPS else 0.0
    return float(sums[:whole].sum() + rest * mean)
