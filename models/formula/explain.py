"""Explanation of outputs: each feature's contribution (SHAP), per customer and on average.

Boosters give SHAP values (LightGBM's own TreeSHAP). They are carried through whatever a formula
does after its boosters - sums, calibration maps, differences of two probabilities - so that the
shares always add up to the output less its base.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .formula import Expression, Formula, applied, encode

if TYPE_CHECKING:
    from lightgbm import Booster

MOST_ROWS = 4_000  # that an importance is averaged over
OFFER = "offer"  # share of the offer itself, where a booster takes it as an input


@dataclass(frozen=True)
class _Shares:
    """An expression: value (rows,), base, and shares (rows, columns + 1), the last of the offer."""

    value: np.ndarray
    base: float
    shares: np.ndarray


def contributions(formula: Formula, frame: pd.DataFrame, output: str) -> tuple[pd.DataFrame, float]:
    """Contribution of every input column to one output.

    Returns
    -------
    shares
        (rows, columns), with a column "offer" where a booster takes the offer as an input. Row
        sums plus the base are the output.
    base
        The output with every booster at its mean score and every linear column at its mean.

    Raises
    ------
    ValueError
        If the output is unknown, or the frame misses columns.

    Notes
    -----
    Lundberg et al. 2020 (TreeSHAP); steps of one variable share out their change in proportion
    (the rescale rule of Shrikumar, Greenside & Kundaje 2017), products by the mean of both orders.
    """
    if output not in formula.outputs:
        raise ValueError(
            f"explain: no output '{output}'; this model has {', '.join(formula.outputs)}"
        )
    return _named_shares(_Walk(formula, encode(formula.columns, frame), 1), frame, output)


def _named_shares(walk: _Walk, frame: pd.DataFrame, output: str) -> tuple[pd.DataFrame, float]:
    attribution = walk.shares(["ref", output])
    names = [column.name for column in walk.formula.columns]
    table = pd.DataFrame(attribution.shares[:, :-1], columns=names, index=frame.index)
    if attribution.shares[:, -1].any():
        table[OFFER] = attribution.shares[:, -1]
    return table, attribution.base


def importance(
    formula: Formula,
    frame: pd.DataFrame,
    *,
    outputs: Sequence[str],
    families: Mapping[str, str],
    threads: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean absolute contribution to each output, in its unit, of each feature and each family.

    Features of a family often say nearly the same and pull against each other; their sum does not.
    A frame of more than `MOST_ROWS` is thinned out: every second row, every third, and so on.

    Parameters
    ----------
    families
        Family of each feature, from the data dictionary; a feature without one is a family itself.

    Returns
    -------
    features
        output, feature, importance, direction: 1 where larger values raise the output, -1 where
        they lower it, 0 where it depends or the feature is a category. Most important first.
    families
        output, family, importance; most important first.
    """
    frame = frame.iloc[:: max(1, -(-len(frame) // MOST_ROWS))]
    numbers = [column.name for column in formula.columns if column.levels is None]
    walk = _Walk(formula, encode(formula.columns, frame), threads)
    ranks = frame[numbers].rank() if numbers else pd.DataFrame(index=frame.index)
    by_feature, by_family = [], []
    for output in outputs:
        shares, _ = _named_shares(walk, frame, output)
        table = pd.DataFrame(
            {
                "output": output,
                "feature": shares.columns,
                "importance": shares.abs().mean().to_numpy(),
                "direction": [_direction(ranks, shares, str(name)) for name in shares.columns],
            }
        )
        by_feature.append(
            table.sort_values(["importance", "feature"], ascending=[False, True], kind="stable")
        )
        named = [families.get(str(name), str(name)) for name in shares.columns]
        mean = shares.T.groupby(named).sum().abs().mean(axis=1).sort_values(ascending=False)
        by_family.append(pd.DataFrame({"output": output, "family": mean.index, "importance": mean}))
    return pd.concat(by_feature, ignore_index=True), pd.concat(by_family, ignore_index=True)


def _direction(ranks: pd.DataFrame, shares: pd.DataFrame, name: str) -> int:
    if name not in ranks or ranks[name].nunique() < 2 or shares[name].std() == 0:
        return 0
    together = ranks[name].corr(shares[name])
    return int(np.sign(together)) if abs(together) >= 0.3 else 0


def drivers(
    formula: Formula,
    frame: pd.DataFrame,
    output: str,
    *,
    top: int = 3,
    words: Callable[[str, object], str],
) -> list[str]:
    """One line per row: the features that move this output most, those that raise it first.

    Parameters
    ----------
    words
        Words for a feature and its value in a row.

    Returns
    -------
    list of str
        Such as ``because: silent for long, has an open complaint; despite: large orders``. A
        feature whose words stand there already is left out.
    """
    shares, _ = contributions(formula, frame, output)
    shares = shares[[name for name in shares.columns if name in frame.columns]]
    columns = list(shares.columns)
    matrix = shares.to_numpy()
    values = {name: frame[name].tolist() for name in columns}
    strongest = np.argsort(-np.abs(matrix), axis=1, kind="stable")[:, :top]
    lines = []
    for row, positions in enumerate(strongest):
        sides: dict[str, list[str]] = {"because": [], "despite": []}
        for position in positions:
            share, name = matrix[row, position], columns[position]
            said = words(name, values[name][row])
            if share != 0 and said not in sides["because"] + sides["despite"]:
                sides["because" if share > 0 else "despite"].append(said)
        parts = [f"{side}: {', '.join(said)}" for side, said in sides.items() if said]
        lines.append("; ".join(parts))
    return lines


class _Walk:
    """One pass over a formula's expressions on one matrix; named ones are done once."""

    def __init__(self, formula: Formula, matrix: np.ndarray, threads: int) -> None:
        self.formula, self.matrix, self.threads = formula, matrix, threads
        self.computed: dict[str, _Shares] = {}
        self.empty = np.zeros((len(matrix), matrix.shape[1] + 1))

    def shares(self, expression: Expression) -> _Shares:
        match expression:
            case ["const", number]:
                return _Shares(np.full(len(self.matrix), float(number)), float(number), self.empty)
            case ["ref", name]:
                if name not in self.computed:
                    self.computed[name] = self.shares(self.formula.expressions[name])
                return self.computed[name]
            case ["booster", file, extra]:
                return self._booster(file, extra)
            case ["additive", intercept, terms]:
                return self._additive(float(intercept), terms)
            case ["sum", *terms]:
                total = _Shares(np.zeros(len(self.matrix)), 0.0, self.empty)
                for weight, part in terms:
                    part_shares = self.shares(part)
                    total = _Shares(
                        total.value + weight * part_shares.value,
                        total.base + weight * part_shares.base,
                        total.shares + weight * part_shares.shares,
                    )
                return total
            case ["product", *parts]:
                product = self.shares(["const", 1.0])
                for part in parts:
                    product = _times(product, self.shares(part))
                return product
            case [("sigmoid" | "exp" | "interp" | "clip"), *_, part]:
                return _through(partial(applied, expression[:-1]), self.shares(part))
        raise ValueError(f"formula: unknown expression {str(expression)[:80]}")

    def _booster(self, file: str, extra: Sequence[float]) -> _Shares:
        rows = self.matrix
        if extra:
            constants = np.broadcast_to(np.asarray(extra, float), (len(rows), len(extra)))
            rows = np.hstack([rows, constants])
        booster = _parsed(self.formula.boosters[file])
        shap = np.asarray(booster.predict(rows, pred_contrib=True, num_threads=self.threads))
        width = self.matrix.shape[1]
        offer = shap[:, width:-1].sum(axis=1)
        shares = np.column_stack([shap[:, :width], offer])
        base = float(shap[0, -1]) if len(shap) else 0.0
        return _Shares(shap.sum(axis=1), base, shares)

    def _additive(self, intercept: float, terms: Sequence[Sequence[Any]]) -> _Shares:
        shares = self.empty.copy()
        for position, xs, ys, missing in terms:
            values = self.matrix[:, position]
            shares[:, position] += np.where(np.isnan(values), missing, np.interp(values, xs, ys))
        return _Shares(intercept + shares.sum(axis=1), intercept, shares)


@lru_cache(maxsize=16)
def _parsed(text: str) -> Booster:
    from lightgbm import Booster  # brings all of scikit-learn: other uses need not wait for it

    return Booster(model_str=text)


def _through(step: Callable[[np.ndarray], np.ndarray], part: _Shares) -> _Shares:
    """A function of one variable: its change from the base, shared out in proportion."""
    value = step(part.value)
    base = float(step(np.array([part.base]))[0])
    moved = part.value - part.base
    still = np.abs(moved) < 1e-9
    slope = np.where(still, 0.0, (value - base) / np.where(still, 1.0, moved))
    return _Shares(value, base, part.shares * slope[:, None])


def _times(left: _Shares, right: _Shares) -> _Shares:
    """A product: each side's change times the mean of the other's value and base."""
    shares = left.shares * ((right.value + right.base) / 2)[:, None]
    shares = shares + right.shares * ((left.value + left.base) / 2)[:, None]
    return _Shares(left.value * right.value, left.base * right.base, shares)
