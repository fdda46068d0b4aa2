"""Training of LightGBM boosters that are reproducible byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np

from ..formula.formula import Column


@dataclass(frozen=True)
class Shape:
    """How large and how slow one booster is.

    `trees` is the number of rounds, `leaf_share` the least share of the fitted rows in a leaf.
    """

    trees: int
    leaves: int
    rate: float = 0.1
    leaf_share: float = 0.004
    ridge: float = 10.0
    objective: str = "regression"


def reproducible(*, seed: int, threads: int = 1) -> dict[str, Any]:
    """LightGBM settings with which equal rows give equal boosters."""
    return {
        "verbosity": -1,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "seed": seed,
    }


def dataset(
    matrix: np.ndarray,
    columns: Sequence[Column],
    settings: dict[str, Any],
    outcome: np.ndarray | None = None,
) -> lgb.Dataset:
    """LightGBM's table of encoded rows; numbers may follow in the matrix after the columns."""
    return lgb.Dataset(
        matrix,
        outcome,
        feature_name=[f"c{position}" for position in range(matrix.shape[1])],
        categorical_feature=[i for i, column in enumerate(columns) if column.levels is not None],
        params=settings,
        free_raw_data=False,
    )


class BinnedRows:
    """Encoded rows, binned once; small, heavily shrunk boosters are grown on subsets of them.

    One thread: at this size more of them cost more than they give.
    """

    def __init__(self, matrix: np.ndarray, columns: Sequence[Column], *, seed: int) -> None:
        self.matrix = matrix
        self._common: dict[str, Any] = {
            **reproducible(seed=seed),
            "max_bin": 63,
            "min_data_in_bin": 5,
            "min_data_per_group": 100,
            "cat_smooth": 20,
            "cat_l2": 20,
            "max_cat_to_onehot": 8,
            "feature_pre_filter": False,
            "zero_as_missing": False,
        }
        self._data = dataset(matrix, columns, self._common).construct()

    def grow(
        self,
        rows: np.ndarray,
        target: np.ndarray,
        shape: Shape,
        *,
        weight: np.ndarray | None = None,
        offset: np.ndarray | None = None,
    ) -> lgb.Booster:
        """A booster of `target` (len(rows),) on those rows, added to `offset` on the link scale.

        Rows are positions in ascending order. Without an offset the booster holds its own
        intercept.
        """
        data = self._data.subset(rows.tolist())
        data.construct()
        data.set_label(target)
        if weight is not None:
            data.set_weight(weight)
        if offset is not None:
            data.set_init_score(offset)
        settings = {
            **self._common,
            "objective": shape.objective,
            "num_leaves": shape.leaves,
            "learning_rate": shape.rate,
            "min_data_in_leaf": max(20, int(shape.leaf_share * len(rows))),
            "min_sum_hessian_in_leaf": 1e-3,
            "lambda_l2": shape.ridge,
        }
        return lgb.train(settings, data, num_boost_round=shape.trees)

    def raw(
        self,
        booster: lgb.Booster,
        rows: np.ndarray,
        extra: Sequence[float] = (),
        *,
        first: int = 0,
        trees: int | None = None,
    ) -> np.ndarray:
        """Raw scores of a booster on rows, of all its trees or of so many from the `first` on.

        `extra` overrides the trailing columns.
        """
        matrix = self.matrix[rows]
        if len(extra):
            matrix[:, -len(extra) :] = extra
        scores = booster.predict(
            matrix, raw_score=True, num_threads=1, start_iteration=first, num_iteration=trees
        )
        return np.asarray(scores, dtype=np.float64)


def booster_text(booster: lgb.Booster, *, rounds: int | None = None) -> str:
    """The booster, or its first rounds, as LightGBM's text.

    The settings that it was grown with, such as the number of threads, are left out.
    """
    return booster.model_to_string(num_iteration=rounds).split("\nparameters:\n")[0] + "\n"
