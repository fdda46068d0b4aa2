"""The rule for logged propensities: the probability of the offer sent is above 0 and at most 1."""

from __future__ import annotations

import numpy as np


def propensity_fault(propensity: np.ndarray) -> str:
    """What is wrong with these propensities (rows,), and the cure; empty if all lie in (0, 1]."""
    outside = int((~((propensity > 0) & (propensity <= 1))).sum())
    if not outside:
        return ""
    return (
        f"must lie in (0, 1], found {outside} rows outside; log the probability of the offer that "
        "was sent, or leave these rows out"
    )
