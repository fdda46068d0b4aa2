"""Fast evaluation of sums of piecewise linear functions of single columns.

All functions of a column share its knots, so that a row is placed between them once and every
function is then a look-up. Like `formula`, this module imports nothing of winback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_COUNTED = 100  # knots up to which comparing with all is faster than searching


@dataclass(frozen=True)
class _Column:
    """The functions of one column over the intervals of its knots.

    Interval 0 lies before the first knot, interval k starts at knot k - 1, and the last holds the
    missing values. There a function is `heights` + `rises` * (x - `starts`) / `widths`.
    """

    position: int
    knots: np.ndarray  # (knots, 1)
    starts: np.ndarray  # (intervals,)
    widths: np.ndarray  # (intervals,)
    sums: np.ndarray  # (functions,) to which sum each belongs
    heights: np.ndarray  # (functions, intervals)
    rises: np.ndarray  # (functions, intervals)


@dataclass(frozen=True)
class Curves:
    """Sums of functions: their constants (sums, 1) and the columns that they read."""

    constants: np.ndarray
    columns: tuple[_Column, ...]


def gather(sums: Sequence[tuple[float, Sequence[Any]]]) -> Curves:
    """Prepare sums, each a constant and terms [column position, xs, ys, value where missing]."""
    by_column: dict[int, list[tuple[int, Sequence[Any]]]] = {}
    for sum_index, (_, terms) in enumerate(sums):
        for term in terms:
            by_column.setdefault(int(term[0]), []).append((sum_index, term))
    columns = tuple(
        _column(position, column_terms) for position, column_terms in sorted(by_column.items())
    )
    constants = np.array([[float(constant)] for constant, _ in sums]).reshape(-1, 1)
    return Curves(constants, columns)


def _column(position: int, terms: Sequence[tuple[int, Sequence[Any]]]) -> _Column:
    knots = np.unique(np.concatenate([np.asarray(xs, float) for _, (_, xs, _, _) in terms]))
    sums = sorted({sum_index for sum_index, _ in terms})
    heights = np.zeros((len(sums), len(knots) + 2))
    for sum_index, (_, xs, ys, missing) in terms:
        at = np.interp(knots, xs, ys)
        heights[sums.index(sum_index)] += np.concatenate([at[:1], at, [float(missing)]])
    rises = np.zeros_like(heights)
    rises[:, 1:-2] = np.diff(heights[:, 1:-1], axis=1)
    starts, widths = np.zeros(len(knots) + 2), np.ones(len(knots) + 2)
    starts[1:-1], widths[1:-2] = knots, np.diff(knots)
    return _Column(position, knots[:, None], starts, widths, np.array(sums), heights, rises)


def add_up(curves: Curves, columns: np.ndarray) -> np.ndarray:
    """The sums (sums, rows) of encoded columns (columns, rows); two rows at least.

    A row's sums do not depend on the rows beside it.
    """
    totals = np.repeat(curves.constants, columns.shape[1], axis=1)
    for column in curves.columns:
        values = columns[column.position]
        if len(column.knots) <= _COUNTED:
            passed = (values >= column.knots).view(np.uint8)
            index = np.add.reduce(passed, axis=0, dtype=np.uint8).astype(np.intp)
        else:
            index = np.searchsorted(column.knots[:, 0], values, side="right")
        index[np.isnan(values)] = len(column.starts) - 1
        inside = np.fmin(np.fmax(values, column.knots[0]), column.knots[-1])
        inside -= column.starts.take(index)
        inside /= column.widths.take(index)
        contribution = column.rises.take(index, axis=1)
        contribution *= inside
        contribution += column.heights.take(index, axis=1)
        totals[column.sums] += contribution
    return totals
