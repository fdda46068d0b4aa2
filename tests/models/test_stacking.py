import numpy as np
import pytest

from winback.models.stacking import Stack, combine, fit_stack, policy_gain, slope_of


def scores_and_effects(seed, rows=20000):
    rng = np.random.default_rng(seed)
    true = np.column_stack([rng.normal(size=rows), rng.normal(size=rows)]) * 0.1
    scores = true + rng.normal(size=(rows, 2)) + [0.2, 0.3]
    return rng, true, scores


def test_a_learner_twice_too_wide_is_halved_and_noise_gets_no_weight():
    rng, true, scores = scores_and_effects(0)
    effects = {"wide": 2 * true + 5, "noise": rng.normal(size=true.shape) * 0.1}
    stack = fit_stack(effects, scores, first="noise")
    assert abs(stack.shared["wide"] - 0.5) < 0.05
    assert abs(stack.own["wide"] - 0.5) < 0.05
    assert max(stack.shared["noise"], stack.own["noise"]) < 0.2
    found = combine(stack, effects, scores.mean(axis=0))
    assert np.abs(found - found.mean(axis=0) - true).max() < 0.15
    np.testing.assert_allclose(found.mean(axis=0), scores.mean(axis=0))


def test_without_heterogeneity_every_weight_is_zero_more_often_than_not():
    empty = 0
    for seed in range(12):
        rng, true, scores = scores_and_effects(seed, 2000)
        effects = {name: rng.normal(size=true.shape) for name in ("a", "b", "c")}
        empty += not fit_stack(effects, scores - true, first="a").used()
    assert empty >= 7


def test_weights_of_a_learner_split_shared_and_own():
    stack = Stack({"a": 1.0}, {"a": 0.0}, np.ones(2))
    np.testing.assert_allclose(stack.learner_weights("a"), np.full((2, 2), 0.5))
    stack = Stack({"a": 1.0}, {"a": 1.0}, np.array([1.0, 0.5]))
    np.testing.assert_allclose(stack.learner_weights("a"), [[1, 0], [0, 0.5]])


def test_a_constant_learner_does_no_harm():
    _, true, scores = scores_and_effects(3)
    effects = {"flat": np.full(true.shape, 0.2), "right": true}
    assert fit_stack(effects, scores, first="flat").used() == ["right"]


def test_slope_is_that_of_least_squares_with_a_robust_error():
    effect, score = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 4.0, 4.0])
    slope, error = slope_of(score, effect)
    assert slope == pytest.approx(1.2)
    residual = score - score.mean() - 1.2 * (effect - 1.5)
    by_hand = np.sqrt((((effect - 1.5) * residual) ** 2).sum()) / 5.0
    assert error == pytest.approx(by_hand)
    assert np.isnan(slope_of(score, np.ones(4))[0])


def test_gain_of_a_policy_is_the_mean_difference_to_one_offer_for_all():
    scores = np.array([[0.0, 1.0], [0.0, -2.0], [0.0, 3.0]])
    gain, error = policy_gain(scores, np.array([1, 0, 1]), 1)
    assert gain == pytest.approx(2 / 3)
    assert error == pytest.approx(np.std([0, 2, 0]) / np.sqrt(3))
