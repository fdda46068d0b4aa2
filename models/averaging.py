"""Averages over models that rows make more or less likely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def likelihood_mean(found: Sequence[ArrayLike], logs: Sequence[float]) -> np.ndarray:
    """Mean of what each model found, weighted by its likelihood (Hoeting et al. 1999).

    Parameters
    ----------
    found
        Arrays of one shape, one a model.
    logs
        Logarithms of the likelihoods up to a constant, one a model.
    """
    weight = np.exp(np.asarray(logs) - max(logs))
    return np.tensordot(weight / weight.sum(), np.asarray(found), axes=1)
