"""Rows that share their fate: customers of one household, shop or account.

They come back or stay away together, so that four of them say less than four strangers do. Such
rows stay on one side of every split and count together in every error. That an offer to one changes
what another does is not part of it: the effect of an offer is then that of offering it to the share
of a group that got it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

GROUP = "group_id"


def group_labels(rows: pd.DataFrame, *, alone: pd.Series | None = None) -> pd.Series:
    """Label of each row's group, (n,): equal labels stay together.

    Parameters
    ----------
    rows
        (n, ...) customer_id and, where the source has it, group_id (text; missing: no group).
    alone
        (n,) labels of rows without a group; by default their customer_id.
    """
    labels = rows["customer_id"] if alone is None else alone
    if not has_groups(rows):
        return labels
    of_group = "group:" + rows[GROUP].astype("str")
    return labels.astype("str").astype("object").where(rows[GROUP].isna(), of_group)


def has_groups(rows: pd.DataFrame) -> bool:
    """Whether any row has a group_id."""
    return GROUP in rows.columns and bool(rows[GROUP].notna().any())


def shared_labels(rows: pd.DataFrame) -> np.ndarray | None:
    """Codes of the groups, (n,); None where no two rows share one, or no ids are known."""
    if "customer_id" not in rows.columns:
        return None
    codes, labels = pd.factorize(group_labels(rows), sort=True)
    return codes if len(labels) < len(codes) else None


def drawn_together(rows: pd.DataFrame) -> np.ndarray | None:
    """Codes of the rows that may have been drawn as one, (n,): groups, in each campaign anew."""
    groups = shared_labels(rows)
    if groups is None or "campaign" not in rows.columns:
        return groups
    return rows.groupby([groups, "campaign"], dropna=False).ngroup().to_numpy()


def drawn_units(offer: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Positions of the rows that stand for what was drawn by itself.

    Where no group has two offers, whole groups were drawn, and the first row of each stands for
    it; else every row was.

    Parameters
    ----------
    offer : (n,) the offer or arm of each row.
    groups : (n,) labels; None: every row was drawn by itself.
    """
    if groups is None:
        return np.arange(len(offer))
    sent = np.asarray(offer)
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    whole = bool((sent[first][group] == sent).all())
    return np.sort(first) if whole else np.arange(len(sent))
