import numpy as np
import pandas as pd
import pytest

from winback.models.formula.formula import Formula, encode, evaluate, learn_columns
from winback.models.regression.additive import (
    additive_expression,
    basis_matrix,
    fit_additive,
    learn_basis,
    offer_coding,
)


def table(rows=4000, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(50, 12, rows),
            "spend": np.round(np.exp(rng.normal(2, 1, rows)) * (rng.random(rows) < 0.6), 2),
            "flag": rng.integers(0, 2, rows),
            "same": 7.0,
            "city": rng.choice(["a", "b", "c"], rows),
        }
    )
    frame.loc[rng.random(rows) < 0.2, "age"] = np.nan
    return frame


def designed(frame):
    columns = learn_columns(frame)
    matrix = encode(columns, frame)
    basis = learn_basis(columns, matrix)
    return columns, basis, basis_matrix(basis, matrix)


def test_basis_functions_are_centred_and_a_constant_column_has_none():
    columns, basis, design = designed(table())
    np.testing.assert_allclose(design[:, 1:].mean(axis=0), 0, atol=0.05)
    assert "same" not in {columns[one.position].name for one in basis}
    assert design[:, 1:].std(axis=0).max() < 1.4


def test_expression_is_the_design_times_the_coefficients():
    frame = table()
    columns, basis, design = designed(frame)
    coefficients = np.random.default_rng(1).normal(size=design.shape[1])
    formula = Formula(columns, {"y": additive_expression(basis, coefficients)}, ("y",))
    np.testing.assert_allclose(evaluate(formula, frame)["y"], design @ coefficients, atol=1e-9)


def test_an_unknown_category_counts_as_the_average_one():
    frame = table()
    columns, basis, design = designed(frame)
    formula = Formula(columns, {"y": additive_expression(basis, np.ones(design.shape[1]))}, ("y",))
    strange = evaluate(formula, frame.head(300).assign(city="nowhere"))["y"]
    shares = frame["city"].value_counts(normalize=True)
    levels = {
        city: evaluate(formula, frame.head(300).assign(city=city))["y"] for city in shares.index
    }
    average = sum(shares[city] * levels[city] for city in shares.index)
    np.testing.assert_allclose(strange, average, atol=1e-9)


@pytest.mark.parametrize("family", ["binary", "amount", "count"])
def test_a_strong_effect_is_found_and_noise_is_shrunk_away(family):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(size=(9000, 6))).add_prefix("x")
    _, _, design = designed(frame)
    arm = rng.integers(0, 2, 9000)
    linear = -1.0 + 0.5 * frame["x0"] + 0.8 * arm * frame["x1"]
    outcome = {
        "binary": (rng.random(9000) < 1 / (1 + np.exp(-linear))).astype(float),
        "amount": (linear + rng.normal(size=9000)).to_numpy(),
        "count": rng.poisson(np.exp(linear)).astype(float),
    }[family]
    found = fit_additive(design, outcome, arm, offer_coding(2), family=family)
    effect = found[1] - found[0]
    assert abs(effect[2] - 0.8) < 0.12
    assert np.abs(np.delete(effect, [0, 2])).max() < 0.06
    np.testing.assert_allclose(found[:, 1], 0.5, atol=0.08)
    np.testing.assert_allclose(found[:, 0], -1.0, atol=0.1)


def test_many_rows_without_shrinkable_noise_give_the_maximum_likelihood_line():
    rng = np.random.default_rng(3)
    outcome = rng.normal(size=200_0) * 0.01
    frame = pd.DataFrame({"flag": rng.integers(0, 2, 2000)})
    _, _, design = designed(frame)
    outcome = outcome + 3.0 * frame["flag"].to_numpy()
    found = fit_additive(design, outcome, np.zeros(2000, int), np.ones((1, 1)), family="amount")
    plain, *_ = np.linalg.lstsq(design, outcome, rcond=None)
    np.testing.assert_allclose(found[0], plain, rtol=1e-3)


def test_rare_events_do_not_diverge():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(rng.normal(size=(20000, 8))).add_prefix("x")
    _, _, design = designed(frame)
    chance = 1 / (1 + np.exp(-(-5.5 + frame["x0"])))
    outcome = (rng.random(20000) < chance).astype(float)
    arm = rng.integers(0, 3, 20000)
    found = fit_additive(design, outcome, arm, offer_coding(3), family="binary")
    predicted = 1 / (1 + np.exp(-design @ found.T))
    np.testing.assert_allclose(predicted.mean(axis=0), outcome.mean(), atol=0.004)
    assert predicted.max() < 0.6


def test_coding_has_a_shared_part_and_each_offers_own():
    np.testing.assert_array_equal(offer_coding(2), [[1, -0.5], [1, 0.5]])
    np.testing.assert_array_equal(
        offer_coding(3), [[1, -0.5, 0, 0], [1, 0.5, 1, 0], [1, 0.5, 0, 1]]
    )


@pytest.mark.parametrize("family", ["amount", "binary"])
def test_a_weight_counts_a_row_as_often_as_repeating_it(family):
    _, _, design = designed(table(600))
    rng = np.random.default_rng(1)
    arm, times = rng.integers(0, 2, 600), rng.integers(1, 5, 600)
    outcome = 3.0 + 0.5 * design[:, 1] * arm + rng.normal(size=600) * times
    outcome = outcome if family == "amount" else (outcome > 3).astype(float)
    coding = offer_coding(2)
    weighted = fit_additive(design, outcome, arm, coding, family=family, weight=times.astype(float))
    rows = np.repeat(np.arange(600), times)
    repeated = fit_additive(design[rows], outcome[rows], arm[rows], coding, family=family)
    np.testing.assert_allclose(weighted, repeated, atol=1e-8)
