"""How many customers of the experiment were like each of today's.

Where there were none, nobody knows what an offer does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

BANDS_DAYS = (90.0, 180.0, 360.0)


def rows_alike(tested: pd.DataFrame, asked: pd.DataFrame, *, reason: str, lapse: str) -> np.ndarray:
    """Rows of the experiment with the same reason for leaving and a lapse of the same band.

    The bands end at 90, 180 and 360 days and at the longest lapse that was tested; beyond it lies
    a band of which the experiment says nothing.

    Parameters
    ----------
    tested
        (rows, ...) customers of the experiment, with the columns that exist of `reason` (text)
        and `lapse` (days).
    asked
        (n, ...) customers to decide on, same columns.

    Returns
    -------
    numpy.ndarray
        (n,) counts.
    """
    cells = [_cells(frame, tested, reason, lapse) for frame in (tested, asked)]
    return cells[1].map(cells[0].value_counts()).fillna(0).to_numpy(dtype=np.int64)


def _cells(frame: pd.DataFrame, tested: pd.DataFrame, reason: str, lapse: str) -> pd.Series:
    cell = pd.Series("", index=frame.index)
    if reason in tested.columns:
        cell = cell + frame[reason].astype("object").fillna("not stated").astype("str")
    if lapse in tested.columns and tested[lapse].notna().any():
        longest = float(tested[lapse].max())
        edges = [edge for edge in BANDS_DAYS if edge < longest] + [longest]
        band = np.searchsorted(edges, frame[lapse].to_numpy(dtype=np.float64, na_value=np.nan))
        cell = cell + " " + pd.Series(band, index=frame.index).astype("str")
    return cell
