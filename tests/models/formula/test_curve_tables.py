"""Sums of piecewise linear functions equal np.interp, term by term."""

import numpy as np

from winback.models.formula.curve_tables import add_up, gather

RNG = np.random.default_rng(3)
MANY = np.cumsum(RNG.random(300))
SUMS = [
    (
        0.5,
        [
            [0, [-1.0, 0.25, 3.0], [2.0, -1.0, 7.0], -4.0],
            [1, [0.0, 1.0, 2.0], [0.1, 0.2, 0.3], 0.0],  # a category's codes
            [3, MANY.tolist(), RNG.normal(size=300).tolist(), 1.0],
        ],
    ),
    (
        -2.0,
        [
            [0, [0.25, 5.0], [1.0, 1e6], 3.0],  # other knots than the sum before
            [0, [0.0], [0.125], 8.0],  # one knot, and the column a second time
            [2, [1e-9, 2e-9, 1e4], [5.0, -5.0, 0.0], 0.0],
        ],
    ),
    (7.0, []),
]


def slowly(matrix):
    totals = []
    for constant, terms in SUMS:
        total = np.full(len(matrix), constant)
        for position, xs, ys, missing in terms:
            values = matrix[:, position]
            total += np.where(np.isnan(values), missing, np.interp(values, xs, ys))
        totals.append(total)
    return np.array(totals)


def customers(rows=4_000):
    matrix = RNG.normal(scale=3.0, size=(rows, 4))
    matrix[:, 1] = RNG.integers(0, 3, rows)
    matrix[:, 2] = RNG.choice([0.0, 1e-9, 1.5e-9, 2e-9, 3.0, 1e4, 1e5], rows)
    matrix[:, 3] = RNG.choice([*MANY, -1.0, 7.0, 1e3], rows)
    matrix[:9, 0] = [-1.0, 0.25, 3.0, 5.0, 0.0, np.inf, -np.inf, np.nan, -0.0]
    matrix[RNG.random(matrix.shape) < 0.1] = np.nan
    return matrix


def test_sums_equal_np_interp_at_knots_between_outside_and_where_missing():
    matrix = customers()
    found = add_up(gather(SUMS), np.ascontiguousarray(matrix.T))
    np.testing.assert_allclose(found, slowly(matrix), rtol=1e-9, atol=1e-12)
    assert np.isfinite(found).all()


def test_no_sum_is_no_row():
    assert add_up(gather([]), customers(50).T).shape == (0, 50)
