"""Which rows a model has not learned from, remembered so that it can be graded fairly later.

A shipped model learns from everybody but the customers kept apart by a hash that never changes. How
many these are is written in training, because settings may change before the model is graded, and a
model that is graded on rows it learned from looks better than it is. Features may be built anew in
the meantime, with later dates and more customers. Customers kept apart stay so as long as their ids
and groups stay the same, which a sample of the rows of an experiment checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..groups import GROUP, group_labels, has_groups
from .held_out import kept_apart
from .twins import twin_keys

KEYS = ["customer_id", "as_of", "offer"]
SAMPLED = 200
STILL_THERE = 0.9  # of the sample; some customers are erased for good reason


def remember_share(
    share: float, *, columns: Sequence[str] = (), grouped: bool = False
) -> dict[str, Any]:
    """The memory of a model that left out the share of customers that `kept_apart` gives.

    Which of the rows are still there is not checked: of snapshots, other dates are cut each time.
    With `columns`, rows that agree in these were kept apart together (see `twins`); `grouped` says
    whether whole groups were (see `models.groups`).

    Returns
    -------
    dict
        share and, if there are any, columns and grouped; JSON.
    """
    memory: dict[str, Any] = {"share": share}
    if columns:
        memory["columns"] = [*columns]
    return memory | ({"grouped": True} if grouped else {})


def remember_offers(rows: pd.DataFrame, *, share: float) -> dict[str, Any]:
    """The same for a model of offers, with a sample of its rows.

    Parameters
    ----------
    rows
        (n, ...) the training table before anything was left out: customer_id, as_of, offer and,
        where there is one, group_id.

    Returns
    -------
    dict
        share and keys (32 bits of a hash of each of 200 rows' keys); JSON.
    """
    grouped = has_groups(rows)
    sample = np.sort(_hashed_keys(rows, grouped))[:SAMPLED]
    memory = remember_share(share, grouped=grouped)
    return memory | {"keys": [int(key) for key in _short(sample)]}


def unseen(memory: Mapping[str, Any], rows: pd.DataFrame) -> np.ndarray:
    """True for the rows that the model cannot have learned from, (n,) bool.

    Parameters
    ----------
    memory
        What `remember_share` or `remember_offers` returned.
    rows
        (n, ...) the training table as it is today.

    Raises
    ------
    ValueError
        If an earlier version of winback trained the model and kept other rows apart, if the rows
        of its training are not among those of today, or a column is missing that told rows apart.
    """
    if not {"share"} <= set(memory) <= {"share", "keys", "columns", "grouped"}:
        raise ValueError("an earlier version of winback trained it, which kept other rows apart")
    grouped = bool(memory.get("grouped", False))
    if grouped and not has_groups(rows):
        raise ValueError(
            "its training kept whole groups apart, and customers.group_id is not there any more, "
            "so the rows that it has not seen are not known"
        )
    if "keys" in memory:
        still_there = np.isin(memory["keys"], _short(_hashed_keys(rows, grouped)))
        if still_there.mean() < STILL_THERE:
            raise ValueError(
                f"only {still_there.sum()} of {len(still_there)} sampled rows of its training are "
                "among those of today, so the rows that it has not seen are not known"
            )
    alike = twin_keys(rows, memory["columns"]) if "columns" in memory else rows["customer_id"]
    alike = group_labels(rows, alone=alike) if grouped else alike
    return kept_apart(alike, share=memory["share"])


def _hashed_keys(rows: pd.DataFrame, grouped: bool) -> np.ndarray:
    """64 bits for the key of each row."""
    seconds = rows["as_of"].astype("datetime64[s]").astype("int64")
    keys = rows[[*KEYS, GROUP] if grouped else KEYS].assign(as_of=seconds)
    text = keys["customer_id"].astype("str")
    for name in keys.columns.drop("customer_id"):
        text = text + "|" + keys[name].astype("object").fillna("").astype("str")
    return pd.util.hash_array(text.to_numpy(object), categorize=False)


def _short(hashed: np.ndarray) -> np.ndarray:
    """Half of the bits: enough to find a row again among millions, too few to tell who it is."""
    return hashed & np.uint64(0xFFFFFFFF)
