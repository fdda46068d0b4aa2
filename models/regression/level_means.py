"""Target encoding of columns with many levels: mean outcome per level, shrunk.

An indicator per level would cost a coefficient each. Rows that a model is fitted on get the mean of
the other rows alone (four fifths of them), so that a level of few rows does not predict itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..formula.formula import Column
from .additive import MOST_LEVELS, Basis

_PARTS = 5
_PRIOR_ROWS = 20.0  # as many rows of the average outcome are added to each level


def level_means(
    columns: Sequence[Column], matrix: np.ndarray, outcome: np.ndarray
) -> tuple[tuple[Basis, ...], np.ndarray]:
    """Basis functions of the columns with over `MOST_LEVELS` levels, and their values here.

    Parameters
    ----------
    columns, matrix : encoded columns (rows, columns), rows in an order that says nothing.
    outcome : (rows,).

    Returns
    -------
    Basis functions for other rows, and (rows, functions) values of these rows, each from the other
    parts of them.
    """
    part = np.arange(len(matrix)) % _PARTS
    basis: list[Basis] = []
    values = []
    for position, column in enumerate(columns):
        if column.levels is None or len(column.levels) <= MOST_LEVELS:
            continue
        levels = len(column.levels)
        codes = np.where(np.isnan(matrix[:, position]), levels, matrix[:, position]).astype(int)
        ys = _shrunk(codes, outcome, levels)
        spread = max(float(ys[codes].std()), 1e-9)
        centre = float(ys[codes].mean())
        own = np.empty(len(matrix))
        for number in range(_PARTS):
            rest = part != number
            own[~rest] = _shrunk(codes[rest], outcome[rest], levels)[codes[~rest]]
        values.append((own - centre) / spread)
        ys = (ys - centre) / spread
        at = tuple(map(float, range(levels)))
        basis.append(Basis(position, at, tuple(ys[:-1].tolist()), float(ys[-1])))
    return tuple(basis), np.column_stack(values) if values else np.empty((len(matrix), 0))


def _shrunk(codes: np.ndarray, outcome: np.ndarray, levels: int) -> np.ndarray:
    """Mean of each level (and of the missing ones, the last), (levels + 1,)."""
    count = np.bincount(codes, minlength=levels + 1)
    total = np.bincount(codes, weights=outcome, minlength=levels + 1)
    return np.asarray((total + _PRIOR_ROWS * outcome.mean()) / (count + _PRIOR_ROWS))
