import numpy as np
import pandas as pd
import pytest

from winback.models.formula.formula import encode, learn_columns
from winback.models.regression.additive import MOST_LEVELS, basis_matrix, learn_basis
from winback.models.regression.level_means import level_means


def shops(rows=8000, levels=200):
    rng = np.random.default_rng(0)
    code = rng.integers(0, levels, rows)
    frame = pd.DataFrame({"shop": [f"s{one:03}" for one in code], "kind": code.astype(str)})
    frame["kind"] = np.where(code % 2, "odd", "even")
    columns = learn_columns(frame)
    return rng, code, columns, encode(columns, frame)


def test_a_column_of_many_levels_becomes_the_mean_outcome_of_each():
    rng, code, columns, matrix = shops()
    true = rng.normal(size=200)
    basis, values = level_means(columns, matrix, true[code] + rng.normal(size=len(code)))
    assert values.shape == (len(code), 1)  # the column of two levels keeps its indicators
    assert np.corrcoef(values[:, 0], true[code])[0, 1] > 0.95
    at = basis_matrix(basis, matrix)[:, 1]
    assert np.corrcoef(at, true[code])[0, 1] > 0.97
    assert at.std() == pytest.approx(1.0)


def test_rows_do_not_predict_themselves():
    rng, _, columns, matrix = shops(rows=800)  # four rows a level, and nothing to learn
    noise = rng.normal(size=800)
    basis, values = level_means(columns, matrix, noise)
    assert abs(np.corrcoef(values[:, 0], noise)[0, 1]) < 0.1
    assert np.corrcoef(basis_matrix(basis, matrix)[:, 1], noise)[0, 1] > 0.3


def test_unknown_and_missing_levels_are_the_average_where_none_was_missing():
    rng, _, columns, matrix = shops()
    basis, _ = level_means(columns, matrix, rng.normal(size=len(matrix)))
    unknown = np.full((1, 2), np.nan)
    assert abs(basis_matrix(basis, unknown)[0, 1]) < 0.5


def test_only_the_most_frequent_levels_have_indicators():
    _, _, columns, matrix = shops()
    basis = learn_basis(columns, matrix)
    assert sum(one.position == 0 for one in basis) <= MOST_LEVELS
    assert sum(one.position == 1 for one in basis) == 2
