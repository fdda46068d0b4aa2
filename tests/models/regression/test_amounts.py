"""Amounts whose noise is a factor: sums and factors are told apart, and both are recovered."""

import numpy as np
import pandas as pd
import pytest

from winback.models.formula.formula import Formula, encode, evaluate, learn_columns
from winback.models.regression.additive import (
    basis_matrix,
    fit_additive,
    learn_basis,
    offer_coding,
)
from winback.models.regression.amounts import fit_amounts

ROWS = 6_000


@pytest.fixture(scope="module")
def customers():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"size": rng.uniform(0, 10, ROWS), "age": rng.uniform(20, 70, ROWS)})
    arm = rng.integers(0, 2, ROWS)
    noise = np.exp(rng.normal(-0.32, 0.8, ROWS))  # of mean 1
    return frame, arm, noise


def sums(frame, offered):
    """An offer adds 30 to everybody, who spend 50 to 450."""
    return 50 + 40 * frame["size"].to_numpy() + 30 * offered


def factors(frame, offered):
    """An offer adds a fifth to everybody, who spend by two factors."""
    size, age = frame["size"].to_numpy(), frame["age"].to_numpy()
    return np.exp(3 + 0.3 * (size - 5) + 0.04 * (age - 45)) * 1.2**offered


def fitted(frame, arm, amount, weight=None):
    columns = learn_columns(frame)
    basis = learn_basis(columns, encode(columns, frame))
    design = basis_matrix(basis, encode(columns, frame))
    return fit_amounts(design, amount, arm, offer_coding(2), weight=weight), basis, design


@pytest.mark.parametrize(("world", "of_logarithms"), [(sums, False), (factors, True)])
def test_what_an_offer_adds_is_found_in_the_form_it_has(customers, world, of_logarithms):
    frame, arm, noise = customers
    amounts, _, design = fitted(frame, arm, world(frame, arm) * noise)
    assert amounts.of_logarithms == of_logarithms
    means, true = amounts.means(design), np.column_stack([world(frame, code) for code in (0, 1)])
    assert np.abs(means / true - 1).mean() < 0.08
    added, is_so = means[:, 1] - means[:, 0], true[:, 1] - true[:, 0]
    assert np.sqrt(((added - is_so) ** 2).mean()) < 0.5 * np.sqrt((is_so**2).mean())


def test_sums_told_as_factors_err_by_twice_as_much(customers):
    frame, arm, noise = customers
    amount = sums(frame, arm) * noise
    amounts, _, design = fitted(frame, arm, amount)
    logs = fit_additive(design, np.log(amount), arm, offer_coding(2), family="amount")
    said = np.exp(design @ logs.T)
    said *= amount.sum() / said[np.arange(ROWS), arm].sum()

    def error(means):
        return np.sqrt(((means[:, 1] - means[:, 0] - 30) ** 2).mean())

    assert error(amounts.means(design)) < 0.5 * error(said)


@pytest.mark.parametrize("world", [sums, factors])
def test_the_expressions_say_the_same(customers, world):
    frame, arm, noise = customers
    amounts, basis, design = fitted(frame, arm, world(frame, arm) * noise)
    expressions = {f"amount {code}": one for code, one in enumerate(amounts.expressions(basis))}
    formula = Formula(learn_columns(frame), expressions, tuple(expressions))
    np.testing.assert_allclose(evaluate(formula, frame), amounts.means(design), rtol=1e-9)


def test_one_huge_order_changes_the_mean_and_not_what_the_offer_adds_in_its_share(customers):
    frame, arm, noise = customers
    amount = sums(frame, arm) * noise
    plain, _, design = fitted(frame, arm, amount)
    huge = amount.copy()
    huge[np.argmax(arm)] *= 1_000
    with_it, _, _ = fitted(frame, arm, huge)
    before, after = plain.means(design), with_it.means(design)
    assert after.mean() > 1.05 * before.mean()
    np.testing.assert_allclose(after[:, 1] / after[:, 0], before[:, 1] / before[:, 0], atol=0.03)


def test_an_amount_that_is_always_the_same_is_what_is_expected(customers):
    frame, arm, _ = customers
    amounts, _, design = fitted(frame, arm, np.full(ROWS, 25.0))
    np.testing.assert_allclose(amounts.means(design), 25.0, rtol=1e-6)


def test_a_weight_of_two_is_a_row_twice(customers):
    frame, arm, noise = customers
    amount = sums(frame, arm) * noise
    twice = np.arange(ROWS) % 3 == 0
    weighted, _, design = fitted(frame, arm, amount, weight=1.0 + twice)
    rows = np.concatenate([np.arange(ROWS), np.flatnonzero(twice)])
    repeated = fit_amounts(design[rows], amount[rows], arm[rows], offer_coding(2))
    np.testing.assert_allclose(weighted.means(design), repeated.means(design), rtol=0.02)
