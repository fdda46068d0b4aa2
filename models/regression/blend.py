"""Probability of an event: gradient boosting and an additive model, averaged in log odds.

On a few thousand rows the additive model is hard to beat, on many the boosting finds what it
misses, and their mean in log odds is better than either. How much of each, and after how many
rounds the boosting stops, is read off rows that neither was fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from ..formula.formula import (
    Column,
    Expression,
    Formula,
    encode,
    evaluate,
    learn_columns,
)
from .additive import additive_expression, basis_matrix, learn_basis
from .boosting import booster_text, dataset, reproducible

BOOSTER = "boosting.txt"
LOG_ODDS = "log_odds"
ADDITIVE_ROWS = 40_000  # beyond them the additive model gains nothing
PRECISION = 10.0  # prior precision of its coefficients, of functions of unit scale
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the boosting, tried on held-out rows
ROUND_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Boosting:
    """Settings of the gradient boosting; see LightGBM's parameters of the same meaning."""

    learning_rate: float = 0.04
    num_leaves: int = 8
    rounds: int = 300
    least_rows_in_leaf: int = 50
    feature_share: float = 0.5
    ridge: float = 5.0


PLAIN = Boosting()


@dataclass(frozen=True)
class Choice:
    """Share of the boosting in the blend, and its rounds."""

    weight: float = 0.5
    rounds: int | None = None


@dataclass(frozen=True)
class Blend:
    """Both models, fitted on the same rows."""

    columns: tuple[Column, ...]
    booster: lgb.Booster
    additive: Expression
    threads: int

    def formula(self, choice: Choice, output: str) -> Formula:
        """The blend as a formula, with its log odds under the name `LOG_ODDS`."""
        expressions: dict[str, Expression] = {
            LOG_ODDS: [
                "sum",
                [choice.weight, ["booster", BOOSTER, []]],
                [1.0 - choice.weight, self.additive],
            ],
            output: ["sigmoid", ["ref", LOG_ODDS]],
        }
        text = booster_text(self.booster, rounds=choice.rounds)
        return Formula(self.columns, expressions, (output,), {BOOSTER: text})


def fit_blend(
    frame: pd.DataFrame, outcome: np.ndarray, boosting: Boosting, *, seed: int, threads: int = 1
) -> Blend:
    """Fit both models of a 0/1 outcome (rows,) on rows in a fixed order.

    Of more than `ADDITIVE_ROWS` rows a sample is drawn for the additive model.
    """
    columns = learn_columns(frame)
    matrix = encode(columns, frame)
    booster = grow(matrix, outcome, columns, boosting, seed=seed, threads=threads)
    additive_rows = _sample(len(matrix), ADDITIVE_ROWS, np.random.default_rng(seed))
    basis = learn_basis(columns, matrix[additive_rows])
    smooth = LogisticRegression(C=1 / PRECISION, max_iter=500)
    with threadpool_limits(limits=1, user_api="blas"):  # BLAS rounds by its number of threads
        smooth.fit(basis_matrix(basis, matrix[additive_rows])[:, 1:], outcome[additive_rows])
    coefficients = np.r_[smooth.intercept_, smooth.coef_[0]]
    return Blend(columns, booster, additive_expression(basis, coefficients), threads)


def grow(
    matrix: np.ndarray,
    outcome: np.ndarray,
    columns: Sequence[Column],
    boosting: Boosting,
    *,
    seed: int,
    threads: int = 1,
) -> lgb.Booster:
    """Gradient boosting of a 0/1 outcome on encoded rows."""
    settings = {
        **reproducible(seed=seed, threads=threads),
        "objective": "binary",
        "learning_rate": boosting.learning_rate,
        "num_leaves": boosting.num_leaves,
        "min_data_in_leaf": min(boosting.least_rows_in_leaf, max(5, len(matrix) // 50)),
        "feature_fraction": boosting.feature_share,
        "lambda_l2": boosting.ridge,
        "max_bin": 127,
    }
    data = dataset(matrix, columns, settings, outcome)
    return lgb.train(settings, data, num_boost_round=boosting.rounds)


def choose(blend: Blend, frame: pd.DataFrame, outcome: np.ndarray) -> Choice:
    """The weight and the number of rounds with the least log loss on held-out rows.

    Ties and near ties go to equal weights and fewer rounds: another choice must gain at least a
    thousandth of the loss.
    """
    matrix = encode(blend.columns, frame)
    plain = Formula(blend.columns, {"additive": blend.additive}, ("additive",))
    smooth = evaluate(plain, frame)["additive"].to_numpy()
    rounds = sorted({max(1, round(share * blend.booster.num_trees())) for share in ROUND_SHARES})
    losses = {}
    for number in rounds:
        raw = blend.booster.predict(
            matrix, raw_score=True, num_iteration=number, num_threads=blend.threads
        )
        for weight in WEIGHTS:
            odds = weight * np.asarray(raw) + (1 - weight) * smooth
            losses[weight, number] = float(np.mean(np.logaddexp(0, odds) - outcome * odds))
    best = min(losses.values())
    near = [pair for pair, loss in losses.items() if loss <= best * 1.001]
    weight, number = min(near, key=lambda pair: (abs(pair[0] - 0.5), pair[1]))
    return Choice(weight, number)


def _sample(rows: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted positions of all rows, or of a random sample of them."""
    return np.arange(rows) if rows <= most else np.sort(rng.choice(rows, most, replace=False))
