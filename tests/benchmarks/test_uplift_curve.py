import numpy as np
import pandas as pd
import pytest
from uplift_curve import uplift_curve


def causalml_oracle(score, offered, y):
    """causalml 0.18: get_cumlift, get_cumgain, get_qini, auuc_score and qini_score, row by row."""
    ranked = sorted(zip(score, offered, y, strict=True), key=lambda row: -row[0])
    lift, qini = [0.0], [0.0]
    for k in range(1, len(ranked) + 1):
        top = ranked[:k]
        with_offer = [outcome for _, sent, outcome in top if sent]
        without = [outcome for _, sent, outcome in top if not sent]
        both = with_offer and without
        lift.append(np.mean(with_offer) - np.mean(without) if both else np.nan)
        qini.append(
            sum(with_offer) - sum(without) * len(with_offer) / len(without) if without else np.nan
        )
    lift = pd.Series(lift).interpolate().to_numpy()
    qini = pd.Series(qini).interpolate().to_numpy()
    gain = lift * np.arange(len(lift))
    points = len(lift)

    def qini_score(curve):
        return (curve.sum() - np.linspace(0, curve[-1], points).sum()) / points

    return {
        "lift": lift,
        "gain": gain,
        "qini": qini,
        "auuc": gain.sum() / points,
        "qini_score": qini_score(qini),
        "auuc_normalized": (gain / abs(gain[-1])).sum() / points,
        "qini_score_normalized": qini_score(qini / abs(qini[-1])),
    }


def _experiment(n, seed, chance=0.5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    offered = rng.random(n) < chance
    y = (rng.random(n) < 0.3 + 0.1 * np.tanh(x) * offered).astype(float)
    return x + 0.01 * rng.normal(size=n), offered, y


@pytest.mark.parametrize(("seed", "chance"), [(0, 0.5), (1, 0.9), (2, 0.1), (3, 0.5)])
def test_definitions_are_those_of_causalml(seed, chance):
    score, offered, y = _experiment(150, seed, chance)
    ours = uplift_curve(score, offered, y)
    for name, expected in causalml_oracle(score, offered, y).items():
        assert getattr(ours, name) == pytest.approx(expected, abs=1e-10), name


def test_four_customers_by_hand():
    curve = uplift_curve([4, 3, 2, 1], [True, False, True, False], [1, 0, 0, 1])
    assert curve.targeted.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.lift == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert curve.gain == pytest.approx([0, 0.5, 2, 1.5, 0])
    assert curve.qini == pytest.approx([0, 0.5, 1, 1, 0])
    assert curve.auuc == pytest.approx(4 / 5)
    assert curve.qini_score == pytest.approx(2.5 / 5)


def test_a_score_without_opinion_is_worth_nothing_whatever_the_order_of_rows():
    _, offered, y = _experiment(400, 1)
    for rows in (np.arange(400), np.random.default_rng(0).permutation(400)):
        curve = uplift_curve(np.zeros(400), offered[rows], y[rows])
        assert curve.qini_score == pytest.approx(0.0, abs=1e-9)
        assert curve.lift[1:] == pytest.approx(y[offered].mean() - y[~offered].mean())


def test_rows_of_equal_score_may_stand_in_any_order():
    score, offered, y = _experiment(300, 2)
    score, rows = score.round(1), np.random.default_rng(1).permutation(300)
    plain = uplift_curve(score, offered, y)
    mixed = uplift_curve(score[rows], offered[rows], y[rows])
    assert mixed.gain == pytest.approx(plain.gain, abs=1e-9)
    assert mixed.qini_score == pytest.approx(plain.qini_score, abs=1e-9)


def test_inverse_propensity_weights_undo_unequal_chances():
    """The lower half of the ranking was offered more often; its effect is lower."""
    rng = np.random.default_rng(3)
    n = 200_000
    x = rng.random(n)
    chance = np.where(x < 0.5, 0.8, 0.2)
    offered = rng.random(n) < chance
    y = x + offered * x
    weights = np.where(offered, 1 / chance, 1 / (1 - chance))
    curve = uplift_curve(x, offered, y, weights=weights)
    assert curve.lift[-1] == pytest.approx(0.5, abs=0.01)
    assert abs(uplift_curve(x, offered, y).lift[-1] - 0.5) > 0.1
    middle = np.searchsorted(curve.targeted, 0.5)
    assert curve.lift[middle] == pytest.approx(0.75, abs=0.01)


def test_scaling_all_weights_changes_nothing():
    score, offered, y = _experiment(200, 5)
    weights = np.random.default_rng(0).uniform(1, 3, 200)
    one, ten = (uplift_curve(score, offered, y, weights=w) for w in (weights, 10 * weights))
    assert ten.auuc == pytest.approx(one.auuc, rel=1e-12)
    assert uplift_curve(score, offered, y, weights=np.full(200, 3.0)).auuc == pytest.approx(
        uplift_curve(score, offered, y).auuc, rel=1e-12
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [True, True], [0, 1]), "offered: must hold both True and False"),
        (([1, np.nan], [True, False], [0, 1]), "uplift: must be finite"),
        (([1, 2, 3], [True, False], [0, 1]), "uplift: must have 2 rows, found 3"),
        (([1, 2], [True, False], [0, np.inf]), "outcome: must be finite"),
    ],
)
def test_malformed_input_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        uplift_curve(*arguments)


def test_weights_must_be_positive():
    with pytest.raises(ValueError, match="weights: must be positive"):
        uplift_curve([1, 2], [True, False], [0, 1], weights=[0, 1])
