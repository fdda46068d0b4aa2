"""Choice of customers by a hash of their id, or of their group's, whatever the order of rows.

Held out are those on whom one training is graded. Kept apart are those from whom no shipped model
ever learns, so that any two of them can be compared on customers new to both.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

KEPT_APART = "winbackkeptapart"  # never changes: with another key old models have seen them


def held_out(customer_id: pd.Series, *, share: float, seed: int) -> np.ndarray:
    """True for about `share` of the customers, always the same ones for a seed.

    Parameters
    ----------
    customer_id
        (n,) text or integers; equal ids fall on the same side. Labels of groups keep these whole
        (`models.groups.group_labels`).
    share
        Wanted share, in (0, 1).
    seed
        Another seed holds out others.

    Returns
    -------
    numpy.ndarray
        (n,) bool.

    Raises
    ------
    ValueError
        If `share` is not strictly between 0 and 1.
    """
    return _below(customer_id, share, key=f"winback{seed:09d}", name="test_share")


def kept_apart(customer_id: pd.Series, *, share: float) -> np.ndarray:
    """True for about `share` of the customers, the same ones in every training and for every seed.

    Otherwise as `held_out`; those of a smaller share are among those of a larger one.
    """
    return _below(customer_id, share, key=KEPT_APART, name="kept_apart")


def _below(customer_id: pd.Series, share: float, *, key: str, name: str) -> np.ndarray:
    """Whether the number that each id draws in [0, 1), under a key of 16 characters, is below."""
    if not 0 < share < 1:
        raise ValueError(f"{name} must lie between 0 and 1, found {share}")
    text = customer_id.astype("str").to_numpy(dtype=object)
    hashed = pd.util.hash_array(text, hash_key=key, categorize=False)
    draws: np.ndarray = (hashed >> np.uint64(11)) / float(1 << 53)
    return np.asarray(draws < share)


def value_is_known(value: pd.Series, returned: pd.Series) -> np.ndarray:
    """(n,) bool: rows of which the value is known; all of them where no value is known at all.

    The value of an offer is known, returned or not, once its horizon has passed.

    Raises
    ------
    ValueError
        If values are missing for customers who returned and for nobody else.
    """
    known = value.notna().to_numpy()
    if known.all() or not known.any():
        return np.ones(len(value), dtype=bool)
    if returned.to_numpy(dtype=bool)[~known].all():
        raise ValueError(
            f"offers: column 'value' is empty for {int((~known).sum()):,} customers who returned; "
            "give what each return was worth, or leave the column out"
        )
    return known
