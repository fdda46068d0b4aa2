import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.survival import MONTH_DAYS
from winback.models.formula.formula import Formula, encode, evaluate, learn_columns
from winback.models.regression.additive import basis_matrix, learn_basis
from winback.models.returns.second_lifetime import fit_second_lifetime
from winback.models.returns.value import Lifetimes, fit_value

HORIZON = 730.0


def lives(seed, rows=6000, followed=(100, 900)):
    """Second lifetimes with a hazard of 3% to 12% a month; the second offer halves it."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"risk": rng.random(rows), "bill": rng.gamma(8, 5, rows)})
    arm = rng.integers(0, 2, rows)
    rate = (0.03 + 0.09 * frame["risk"].to_numpy()) * np.where(arm == 1, 0.5, 1.0)
    length = rng.exponential(1 / rate) * MONTH_DAYS
    follow = rng.uniform(*followed, rows)
    days, ended = np.minimum(length, follow), (length <= follow).astype(float)
    months = np.minimum(length, HORIZON) / MONTH_DAYS
    value = months * frame["bill"].to_numpy() * rng.gamma(20, 0.05, rows)
    complete = (length <= follow) | (follow >= HORIZON)
    return frame, arm, days, ended, np.where(follow >= HORIZON, value, np.nan), rate, complete


def expected_months(rate):
    horizon = HORIZON / MONTH_DAYS
    return (1 - np.exp(-rate * horizon)) / rate


def test_expected_months_are_those_of_the_exponential_despite_censoring():
    frame, arm, days, ended, _, rate, _ = lives(0)
    columns = learn_columns(frame)
    matrix = encode(columns, frame)
    design = basis_matrix(learn_basis(columns, matrix), matrix)
    model = fit_second_lifetime(design, arm, 2, days=days, ended=ended, horizon_days=HORIZON)
    found = model.months(design)[np.arange(len(arm)), arm]
    true = expected_months(rate)
    assert abs(found.mean() / true.mean() - 1) < 0.03
    assert np.sqrt(np.mean((found - true) ** 2)) < 0.12 * true.mean()
    naive = np.minimum(days, HORIZON).mean() / MONTH_DAYS
    assert naive < 0.9 * true.mean()


def test_expression_of_months_is_the_same_number():
    frame, arm, days, ended, *_ = lives(1, 1500)
    columns = learn_columns(frame)
    matrix = encode(columns, frame)
    basis = learn_basis(columns, matrix)
    design = basis_matrix(basis, matrix)
    model = fit_second_lifetime(design, arm, 2, days=days, ended=ended, horizon_days=HORIZON)
    formula = Formula(columns, {"m": model.expressions(basis)[1]}, ("m",))
    np.testing.assert_allclose(evaluate(formula, frame)["m"], model.months(design)[:, 1])


@pytest.mark.parametrize("with_lifetimes", [True, False])
def test_value_is_calibrated_and_ranks_the_offers(with_lifetimes):
    frame, arm, days, ended, value, rate, _ = lives(2)
    columns = learn_columns(frame)
    matrix = encode(columns, frame)
    model = fit_value(
        columns,
        matrix,
        arm=arm,
        offers=2,
        returned=np.ones(len(arm)),
        value=value,
        fold=np.arange(len(arm)) % 3,
        lifetimes=Lifetimes(days, ended, HORIZON) if with_lifetimes else None,
    )
    outputs = {f"v{place}": one for place, one in enumerate(model.expressions)}
    found = evaluate(Formula(columns, outputs, tuple(outputs)), frame).to_numpy()
    own = np.where(arm == 1, rate * 2, rate)
    true = np.column_stack([expected_months(own), expected_months(own / 2)])
    true *= frame[["bill"]].to_numpy()
    assert np.abs(found.mean(axis=0) / true.mean(axis=0) - 1).max() < 0.08
    assert np.corrcoef(found[:, 0], true[:, 0])[0, 1] > 0.9
    assert found[:, 1].mean() > found[:, 0].mean() * 1.15
    assert np.corrcoef(model.held_out[:, 1], true[:, 1])[0, 1] > 0.9


def test_months_times_margin_wins_where_few_values_are_complete():
    frame, arm, days, ended, value, *_ = lives(3, followed=(200, 770))
    columns = learn_columns(frame)
    model = fit_value(
        columns,
        encode(columns, frame),
        arm=arm,
        offers=2,
        returned=np.ones(len(arm)),
        value=value,
        fold=np.arange(len(arm)) % 3,
        lifetimes=Lifetimes(days, ended, HORIZON),
    )
    assert np.isfinite(value).mean() < 0.1
    assert model.way == "hazard"


def test_too_few_rows_are_refused():
    columns = learn_columns(pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="at least 30 returned rows with a value, found 1"):
        fit_value(
            columns,
            np.ones((2, 1)),
            arm=np.zeros(2, int),
            offers=2,
            returned=np.array([1.0, 0.0]),
            value=np.array([5.0, np.nan]),
            fold=np.zeros(2, int),
        )
    with pytest.raises(ValueError, match="at least 50 that ended within 30 days, found 0"):
        fit_second_lifetime(
            np.ones((4, 1)),
            np.zeros(4, int),
            2,
            days=np.full(4, 9.0),
            ended=np.zeros(4),
            horizon_days=30.0,
        )


@pytest.mark.parametrize("seed", range(4))
def test_forty_returners_an_offer_do_not_tell_the_offers_values_apart(seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"bill": rng.gamma(4, 10, 400)})
    arm = np.arange(400) % 10
    value = frame["bill"].to_numpy() * np.exp(rng.normal(-0.5, 1.0, 400))
    model = fit_value(
        learn_columns(frame),
        encode(learn_columns(frame), frame),
        arm=arm,
        offers=10,
        returned=np.ones(400),
        value=value,
        fold=rng.integers(0, 3, 400),
    )
    outputs = {f"v{place}": one for place, one in enumerate(model.expressions)}
    found = evaluate(Formula(learn_columns(frame), outputs, tuple(outputs)), frame).mean()
    seen = np.bincount(arm, weights=value) / 40
    assert np.ptp(found) < 0.4 * np.ptp(seen)
    assert abs(found.mean() / value.mean() - 1) < 0.05


def test_months_are_told_whichever_way_predicts_the_value():
    frame, arm, days, ended, value, rate, _ = lives(2)
    columns = learn_columns(frame)

    def fitted(lifetimes):
        return fit_value(
            columns,
            encode(columns, frame),
            arm=arm,
            offers=2,
            returned=np.ones(len(arm)),
            value=value,
            fold=np.arange(len(arm)) % 3,
            lifetimes=lifetimes,
        )

    assert fitted(None).months == ()
    model = fitted(Lifetimes(days, ended, HORIZON))
    outputs = {f"m{place}": one for place, one in enumerate(model.months)}
    found = evaluate(Formula(columns, outputs, tuple(outputs)), frame).to_numpy()
    own = np.where(arm == 1, rate * 2, rate)
    true = np.column_stack([expected_months(own), expected_months(own / 2)])
    assert np.abs(found.mean(axis=0) / true.mean(axis=0) - 1).max() < 0.05
    assert np.abs(model.months_held_out.mean(axis=0) / true.mean(axis=0) - 1).max() < 0.05
