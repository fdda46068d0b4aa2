"""Confidence intervals of Qini curves by a half-sample bootstrap.

After Sverdrup, Wu, Athey and Wager (2025): each replicate keeps every customer with probability
one half and computes the curve again. All curves see the same halves, so their differences are
paired. The allocation is not learned again: only the scores that grade it are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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

    def curve(self, name: str, *, level: float = 0.95) -> pd.DataFrame:
        """Gain of a curve at each budget: budget, gain, lo, hi, se."""
        gain, se = self.gains[name], self.draws[name].std(axis=0, ddof=1)
        reach = normal_reach(level) * se
        columns = {"budget": self.budgets, "gain": gain, "lo": gain - reach, "hi": gain + reach}
        return pd.DataFrame({**columns, "se": se})


def bootstrap(
    curves: Mapping[str, QiniCurve],
    budgets: Sequence[float] | np.ndarray,
    *,
    rng: np.random.Generator,
    replicates: int = 200,
    groups: np.ndarray | None = None,
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
    groups
        (n,) labels of customers who share their fate and are drawn together; None: each by itself.

    Raises
    ------
    ValueError
        If curves differ in their customers or budgets do not rise.
    """
    sizes = {name: curve.n for name, curve in curves.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"curves: must be over the same customers, found rows {sizes}")
    budget_grid = np.asarray(budgets, dtype=np.float64)
    if budget_grid.ndim != 1 or len(budget_grid) < 2 or (np.diff(budget_grid) <= 0).any():
        raise ValueError("budgets: must be at least two rising numbers; sort them and drop repeats")
    rows = next(iter(sizes.values()))
    group = np.arange(rows) if groups is None else pd.factorize(groups)[0]
    kept = half_samples(int(group.max()) + 1, replicates, rng)
    kept = kept if groups is None else kept[group]
    gains = {name: gain_at(curve, budget_grid) for name, curve in curves.items()}
    draws = {name: _replicate_gains(curve, kept, budget_grid) for name, curve in curves.items()}
    return QiniBootstrap(budget_grid, gains, draws)


def half_samples(rows: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """1 where a replicate keeps a row, else 0, each with probability one half.

    Returns
    -------
    ndarray of float32, shape (rows, replicates).
    """
    width = -(-replicates // 8)
    coins = np.frombuffer(rng.bytes(rows * width), dtype=np.uint8).reshape(rows, width)
    return np.unpackbits(coins, axis=1, count=replicates).astype(np.float32)


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
