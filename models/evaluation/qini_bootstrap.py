"""How sure a Qini curve is, and whether one curve lies above another.

The half-sample bootstrap of Sverdrup, Wu, Athey and Wager (2025): each replicate keeps every
customer, or cluster of customers, with probability one half and reads the curve anew. All curves
see the same halves, so their differences are paired. The allocation is not learned again: it is
the model's, and only its judges are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from ..intervals import normal_reach
from .qini import QiniCurve, gain_at

MOST_KNOTS = 512  # pieces into which a replicate divides the curve


@dataclass(frozen=True)
class QiniBootstrap:
    """Half-sample replicates of several curves, drawn together so that they can be compared.

    Attributes
    ----------
    budgets
        Budgets per customer, rising.
    gains
        Gain of each curve at each budget, on all rows.
    draws
        The same in each replicate, shape (replicates, budgets).
    """

    budgets: np.ndarray
    gains: Mapping[str, np.ndarray]
    draws: Mapping[str, np.ndarray]

    def curve(self, name: str, *, against: str | None = None, level: float = 0.95) -> pd.DataFrame:
        """Gain of a curve, or its lead over another, at each budget: budget, gain, lo, hi, se."""
        gain, draws = self._paired(name, against)
        return _intervals(self.budgets, gain, draws, level)

    def area(self, name: str, *, against: str | None = None, level: float = 0.95) -> pd.DataFrame:
        """One row, as `curve`, for the mean gain over all budgets up to `budget`."""
        gain, draws = self._paired(name, against)
        width = self.budgets[-1] - self.budgets[0]
        mean = np.trapezoid(gain, self.budgets, axis=-1) / width
        means = np.trapezoid(draws, self.budgets, axis=-1) / width
        return _intervals(self.budgets[-1:], np.array([mean]), means[:, None], level)

    def leads(self, *, level: float = 0.95) -> pd.DataFrame:
        """Mean lead over the range of budgets for each pair: curve, against, gain, lo, hi, se."""
        rows = [
            self.area(first, against=second, level=level).assign(curve=first, against=second)
            for first, second in combinations(self.gains, 2)
        ]
        return pd.concat(rows, ignore_index=True)[["curve", "against", "gain", "lo", "hi", "se"]]

    def _paired(self, name: str, against: str | None) -> tuple[np.ndarray, np.ndarray]:
        if against is None:
            return self.gains[name], self.draws[name]
        return (
            self.gains[name] - self.gains[against],
            self.draws[name] - self.draws[against],
        )


def bootstrap(
    curves: Mapping[str, QiniCurve],
    budgets: Sequence[float] | np.ndarray,
    *,
    rng: np.random.Generator,
    replicates: int = 200,
    clusters: Any = None,
) -> QiniBootstrap:
    """Half-sample replicates of curves; a replicate has at most 512 straight pieces.

    Parameters
    ----------
    curves
        Curves over the same customers in the same order, by name.
    budgets
        Budgets per customer at which gains are wanted.
    rng
        Source of the halves.
    replicates
        Number of halves.
    clusters
        n labels of groups that are kept or dropped together, such as households.

    Raises
    ------
    ValueError
        If curves differ in their customers or budgets do not rise.
    """
    sizes = {name: curve.n for name, curve in curves.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"curves: must be over the same customers, found rows {sizes}")
    asked = np.asarray(budgets, dtype=np.float64)
    if asked.ndim != 1 or len(asked) < 2 or (np.diff(asked) <= 0).any():
        raise ValueError("budgets: must be at least two rising numbers; sort them and drop repeats")
    kept = half_samples(next(iter(sizes.values())), clusters, replicates, rng)
    gains = {name: gain_at(curve, asked) for name, curve in curves.items()}
    draws = {name: _replicate_gains(curve, kept, asked) for name, curve in curves.items()}
    return QiniBootstrap(asked, gains, draws)


def half_samples(rows: int, clusters: Any, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Fair coins: 1 where a replicate keeps a row, else 0; one coin per cluster if there are any.

    Returns
    -------
    ndarray of float32, shape (rows, replicates).

    Raises
    ------
    ValueError
        If there is not one cluster label per row.
    """
    groups = None if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    if groups is not None and len(groups) != rows:
        raise ValueError(f"clusters: must have {rows} rows, found {len(groups)}")
    units = rows if groups is None else int(groups.max()) + 1
    width = -(-replicates // 8)
    coins = np.frombuffer(rng.bytes(units * width), dtype=np.uint8).reshape(units, width)
    kept = np.unpackbits(coins, axis=1, count=replicates).astype(np.float32)
    return kept if groups is None else kept[groups]


def _replicate_gains(curve: QiniCurve, kept: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    steps, pieces = curve.steps, len(curve.spend)
    knots = np.unique(np.linspace(0, pieces - 1, min(pieces, MOST_KNOTS)).round().astype(np.int64))
    block = np.searchsorted(knots, steps.breakpoint)
    weight = steps.weights[steps.customer]
    sums = []
    for amount in (steps.cost, steps.score):
        entries = ((weight * amount).astype(np.float32), (block, steps.customer))
        table = csr_array(entries, shape=(len(knots), curve.n))
        sums.append(np.cumsum((table @ kept).astype(np.float64), axis=0).T)
    total = np.maximum(steps.weights @ kept, np.finfo(np.float32).tiny)[:, None]
    spend, gain = sums[0] / total, sums[1] / total
    return np.stack([np.interp(budgets, spend[b], gain[b]) for b in range(len(spend))])


def _intervals(
    budgets: np.ndarray, gain: np.ndarray, draws: np.ndarray, level: float
) -> pd.DataFrame:
    se = draws.std(axis=0, ddof=1)
    reach = normal_reach(level) * se
    return pd.DataFrame(
        {"budget": budgets, "gain": gain, "lo": gain - reach, "hi": gain + reach, "se": se}
    )
