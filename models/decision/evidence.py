"""How many customers of the experiment resemble a customer, by reason and time since lapsing.

Where there were none, nobody knows what an offer does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

BANDS_DAYS = (90.0, 180.0, 360.0)
UNKNOWN = -1  # the band of a customer of whom the lapse is not known
USUAL = 0.9  # share of the experiment's customers whose lapse counts as usual


@dataclass(frozen=True)
class KindsTested:
    """Rows of the experiment by kind: the stated reason for leaving and the band of the lapse.

    Attributes
    ----------
    reason, lapse
        Columns of the features that tell the kind (text; days); empty where there is none.
    edges
        Ends of the bands in days, the last of them the longest lapse that was tested; beyond it
        lies a band of which the experiment says nothing.
    rows
        Number of customers in the experiment by kind.
    usual_lapse
        Days since leaving that nine in ten of the experiment's customers had at most; None where
        unknown.
    """

    reason: str
    lapse: str
    edges: tuple[float, ...]
    rows: Mapping[str, int]
    usual_lapse: float | None = None


def count_tested(tested: pd.DataFrame, *, reason: str, lapse: str) -> KindsTested:
    """Kinds of the experiment's customers, with the columns that exist of `reason` and `lapse`."""
    has_lapse = lapse in tested.columns and bool(tested[lapse].notna().any())
    edges: tuple[float, ...] = ()
    usual = None
    if has_lapse:
        usual = float(tested[lapse].quantile(USUAL, interpolation="lower"))
        longest = float(tested[lapse].max())
        edges = (*(edge for edge in BANDS_DAYS if edge < longest), longest)
    empty = KindsTested(
        reason if reason in tested.columns else "", lapse if has_lapse else "", edges, {}
    )
    counted = _kinds(empty, tested).value_counts().sort_index()
    rows = {str(kind): int(number) for kind, number in counted.items()}
    return KindsTested(empty.reason, empty.lapse, edges, rows, usual)


def rows_alike(tested: KindsTested, frame: pd.DataFrame) -> np.ndarray:
    """Rows of the experiment of each customer's kind (n,); NaN for an unknown lapse not tested."""
    rows = _kinds(tested, frame).map(dict(tested.rows)).to_numpy(dtype=np.float64)
    known = frame[tested.lapse].notna().to_numpy() if tested.lapse else True
    return np.where(np.isnan(rows) & known, 0.0, rows)


def beyond_usual(tested: KindsTested, frame: pd.DataFrame) -> np.ndarray:
    """(n,) bool: customers who left longer ago than nine in ten of the experiment's customers."""
    if tested.usual_lapse is None:
        return np.zeros(len(frame), dtype=bool)
    days = frame[tested.lapse].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(days > tested.usual_lapse)


def _kinds(tested: KindsTested, frame: pd.DataFrame) -> pd.Series:
    kind = pd.Series("", index=frame.index)
    if tested.reason:
        kind = kind + frame[tested.reason].astype("object").fillna("not stated").astype("str")
    if tested.lapse:
        days = frame[tested.lapse].to_numpy(dtype=np.float64, na_value=np.nan)
        band = np.where(np.isnan(days), UNKNOWN, np.searchsorted(tested.edges, days))
        kind = kind + " " + pd.Series(band, index=frame.index).astype("str")
    return kind
