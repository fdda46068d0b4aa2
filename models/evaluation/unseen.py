"""Which rows a model has not learned from, remembered so that it can be graded fairly later.

The memory is written in training, because settings may change before the model is graded, and a
model that is graded on rows it learned from looks better than it is. Features may be built anew in
the meantime, with later dates and more customers. Dates after the training's stay unseen for
certain; customers held out by a hash do as long as their ids stay the same, which a sample checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .held_out import held_out
from .time_split import split_by_time
from .twins import twin_keys

KEYS = ("customer_id", "as_of", "offer")
SAMPLED = 200
STILL_THERE = 0.9  # of the sample; some customers are erased for good reason


def remember_customers(rows: pd.DataFrame, *, share: float, seed: int) -> dict[str, Any]:
    """The memory of a model that held out customers, see `held_out.held_out`.

    Parameters
    ----------
    rows
        (n, ...) the training table before anything was left out: customer_id, as_of and, where
        one was sent, offer.

    Returns
    -------
    dict
        share, seed and keys (32 bits of a hash of each of 200 rows' keys); JSON.
    """
    sample = np.sort(_hashed_keys(rows))[:SAMPLED]
    return {"share": share, "seed": seed, "keys": [int(key) for key in _short(sample)]}


def remember_snapshots(
    rows: pd.DataFrame,
    *,
    gap_days: float | None,
    calibrate_share: float,
    test_share: float,
    seed: int,
    features: Sequence[str] = (),
) -> dict[str, Any]:
    """The memory of a model whose rows `time_split.split_by_time` split, with its arguments.

    Returns
    -------
    dict
        from (the first as_of of the test part); or, where the parts are of other customers
        instead of later dates, what `remember_customers` returns; with `columns`, where the parts
        are of rows that differ in them.
    """
    if gap_days is None:
        return {**remember_customers(rows, share=test_share, seed=seed), "columns": [*features]}
    part = split_by_time(
        rows, gap_days=gap_days, calibrate_share=calibrate_share, test_share=test_share, seed=seed
    ).part
    first = rows["as_of"][part == "test"].min()
    if (rows["as_of"][part == "train"] < first).all():
        return {"from": str(first)}
    return remember_customers(rows, share=test_share, seed=seed)


def unseen(memory: Mapping[str, Any], rows: pd.DataFrame) -> np.ndarray:
    """True for the rows that the model cannot have learned from, (n,) bool.

    Parameters
    ----------
    memory
        What `remember_snapshots` or `remember_customers` returned.
    rows
        (n, ...) the training table as it is today.

    Raises
    ------
    ValueError
        If customers were held out, and those of the training are not among those of today, or a
        column that told rows apart is missing.
    """
    if "from" in memory:
        later: np.ndarray = (rows["as_of"] >= pd.Timestamp(memory["from"])).to_numpy()
        return later
    still_there = np.isin(memory["keys"], _short(_hashed_keys(rows)))
    if still_there.mean() < STILL_THERE:
        raise ValueError(
            f"only {still_there.sum()} of {len(still_there)} sampled rows of its training are "
            "among those of today, so the rows that it has not seen are not known"
        )
    apart = rows["customer_id"]
    if "columns" in memory:
        apart = twin_keys(rows, memory["columns"])
    return held_out(apart, share=memory["share"], seed=memory["seed"])


def _hashed_keys(rows: pd.DataFrame) -> np.ndarray:
    """64 bits for the key of each row."""
    seconds = rows["as_of"].astype("datetime64[s]").astype("int64")
    keys = rows[[name for name in KEYS if name in rows.columns]].assign(as_of=seconds)
    text = keys["customer_id"].astype("str")
    for name in keys.columns.drop("customer_id"):
        text = text + "|" + keys[name].astype("str")
    return pd.util.hash_array(text.to_numpy(object), categorize=False)


def _short(hashed: np.ndarray) -> np.ndarray:
    """Half of the bits: enough to find a row again among millions, too few to tell who it is."""
    return hashed & np.uint64(0xFFFFFFFF)
