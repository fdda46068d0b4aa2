import numpy as np
import pytest

from winback.models.uplift.residuals import design_effect, residuals_of


def experiment(rows=6000, *, binary=True):
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    shares = np.array([0.6, 0.3, 0.1])
    arm = rng.choice(3, rows, p=shares)
    chance = np.clip(0.3 + 0.1 * x, 0.05, 0.95)[:, None] + [0.0, 0.05, 0.1]
    mean = chance[np.arange(rows), arm]
    outcome = (
        (rng.random(rows) < mean) * 1.0 if binary else mean + rng.normal(size=rows) * chance[:, 0]
    )
    return x, arm, shares, chance, outcome


@pytest.mark.parametrize("binary", [True, False])
def test_moments_are_those_of_weighted_least_squares_with_unit_noise(binary):
    x, arm, shares, chance, outcome = experiment(binary=binary)
    residuals = residuals_of(outcome, arm, shares[arm], chance, binary=binary)
    effect = np.column_stack([x, 2 * x])
    gram, pull = residuals.moments([effect])
    # By hand: the outcome on the effect of the offer sent and on the offers.
    sent = np.eye(3)[arm] - np.bincount(arm) / len(arm)
    column = (sent[:, 1:] * effect).sum(axis=1)
    left = outcome - chance @ (np.bincount(arm) / len(arm))
    root = np.sqrt(residuals.information)
    design = np.column_stack([column, sent[:, 1:]]) * root[:, None]
    fit = np.linalg.lstsq(design, left * root, rcond=None)[0]
    assert pull[0] / gram[0, 0] == pytest.approx(fit[0])
    error = np.sqrt(np.linalg.inv(design.T @ design)[0, 0])
    assert 1 / np.sqrt(gram[0, 0]) == pytest.approx(error)
    assert (root**2 * residuals.left**2).mean() == pytest.approx(1.0, abs=0.1)


def test_a_constant_effect_explains_nothing_beyond_the_averages():
    _, arm, shares, chance, outcome = experiment()
    residuals = residuals_of(outcome, arm, shares[arm], chance, binary=True)
    gram, pull = residuals.moments([np.full((len(arm), 2), 0.3)])
    assert abs(gram[0, 0]) < 1e-12
    assert abs(pull[0]) < 1e-9


def test_chances_that_differ_by_row_do_not_look_like_an_effect():
    rng = np.random.default_rng(1)
    rows = 40_000
    x = rng.normal(size=rows)
    sent = 1 / (1 + np.exp(-1.5 * x))
    arm = (rng.random(rows) < sent).astype(int)
    outcome = x**2 + 0.5 * arm + rng.normal(size=rows)
    wrong = np.full((rows, 2), outcome.mean())  # knows nothing of x
    residuals = residuals_of(outcome, arm, np.where(arm, sent, 1 - sent), wrong, binary=False)
    gram, pull = residuals.moments([x[:, None]])
    assert abs(pull[0]) < 4 * np.sqrt(gram[0, 0])


def test_rows_of_great_variance_count_for_less():
    _, arm, shares, chance, outcome = experiment(binary=True)
    residuals = residuals_of(outcome, arm, shares[arm], chance, binary=True)
    dealt = np.bincount(arm) / len(arm)
    variance = (chance * (1 - chance)) @ dealt
    product = residuals.information * variance * shares[arm] / dealt[arm]
    np.testing.assert_allclose(product, product[0])


def test_plain_residuals_count_every_customer_alike():
    _, arm, shares, chance, outcome = experiment(binary=True)
    even = residuals_of(outcome, arm, shares[arm], chance, binary=True, plain=True)
    product = even.information * shares[arm] / (np.bincount(arm) / len(arm))[arm]
    np.testing.assert_allclose(product, product[0])


def test_wrong_means_of_one_offer_do_not_look_like_an_effect():
    rng = np.random.default_rng(3)
    rows = 40_000
    x = rng.random(rows)
    arm = rng.integers(0, 2, rows)
    chance = np.column_stack([np.full(rows, 0.97), 0.2 + 0.6 * x])  # of very unlike variance
    outcome = (rng.random(rows) < chance[np.arange(rows), arm]).astype(float)
    wrong = np.column_stack([chance[:, 0], chance[:, 1] + 0.1 * (x - 0.5)])
    wrong[:, 0] += 0.02 - 0.05 * x
    true = chance[:, 1:] - chance[:, :1]
    residuals = residuals_of(outcome, arm, np.full(rows, 0.5), wrong, binary=True)
    gram, pull = residuals.moments([true])
    assert abs(pull[0] / gram[0, 0] - 1) < 3 / np.sqrt(gram[0, 0])


def test_groups_that_share_their_fate_say_less():
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(2000), 4)
    arm = rng.integers(0, 2, 2000)[group]
    outcome = rng.normal(size=2000)[group] + 0.1 * rng.normal(size=8000)
    column = rng.normal(size=2000)[group][:, None]
    means, half = np.zeros((8000, 2)), np.full(8000, 0.5)
    grams = [
        residuals_of(outcome, arm, half, means, binary=False, groups=one).moments([column])[0]
        for one in (None, group)
    ]
    assert grams[0][0, 0] / grams[1][0, 0] == pytest.approx(4, rel=0.1)
    assert design_effect(arm, outcome, group, 2) == pytest.approx(4, rel=0.1)
    assert design_effect(arm, outcome, np.arange(8000), 2) == pytest.approx(1)
