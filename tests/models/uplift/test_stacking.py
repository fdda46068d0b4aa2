import numpy as np
import pytest

from winback.models.uplift.residuals import Residuals, residuals_of
from winback.models.uplift.stacking import Stack, combine, fit_stack, slope_of


def experiment(seed, rows=40000, *, size=0.2):
    """Two offers against none, with normal effects and unit noise."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(rows, 2)) * size
    arm = rng.integers(0, 3, rows)
    effect = np.column_stack([np.zeros(rows), np.array([0.2, 0.3]) + true])
    outcome = effect[np.arange(rows), arm] + rng.normal(size=rows)
    residuals = residuals_of(outcome, arm, np.full(rows, 1 / 3), np.zeros((rows, 3)), binary=False)
    return rng, true, residuals


def test_a_learner_twice_too_wide_is_halved_and_noise_gets_no_weight():
    rng, true, residuals = experiment(0)
    effects = {"wide": 2 * true + 5, "noise": rng.normal(size=true.shape) * 0.1}
    stack = fit_stack([effects], residuals, plain=residuals, first="wide")
    assert abs(stack.shared["wide"] - 0.5) < 0.08
    assert abs(stack.own["wide"] - 0.5) < 0.08
    assert stack.shared["noise"] == stack.own["noise"] == 0
    found = combine(stack, effects, np.array([0.2, 0.3]))
    assert np.abs(found - found.mean(axis=0) - true).max() < 0.2
    np.testing.assert_allclose(found.mean(axis=0), [0.2, 0.3])


def test_the_first_learner_is_believed_where_the_rows_say_little():
    rng, true, residuals = experiment(1, 300, size=0.05)
    weak = {"first": true, "other": rng.normal(size=true.shape) * 0.05}
    stack = fit_stack([weak], residuals, plain=residuals, first="first")
    assert min(stack.shared["first"], stack.own["first"]) > 0.5
    assert max(stack.shared["other"], stack.own["other"]) < 0.1


def test_a_better_learner_takes_over_from_the_first():
    rng, true, residuals = experiment(2)
    effects = {"first": true + rng.normal(size=true.shape) * 0.6, "better": true}
    stack = fit_stack([effects], residuals, plain=residuals, first="first")
    for part in (stack.shared, stack.own):
        assert part["better"] > 0.8
        assert part["first"] < 0.1


def test_noise_joins_with_little_weight():
    joined = []
    for seed in range(20):
        rng, true, residuals = experiment(seed, 2000, size=0.0)
        effects = {name: rng.normal(size=true.shape) * 0.1 for name in "abcd"}
        stack = fit_stack([effects], residuals, plain=residuals, first="a")
        joined.append(sum(stack.shared[name] + stack.own[name] for name in "bcd"))
    assert np.mean(joined) < 0.15


def test_two_learners_that_are_alike_share_the_weight():
    rng, true, residuals = experiment(5)
    effects = {"flat": np.full(true.shape, 0.2)}
    effects |= {name: true + 0.05 * rng.normal(size=true.shape) for name in "ab"}
    stack = fit_stack([effects], residuals, plain=residuals, first="flat")
    assert stack.own["a"] + stack.own["b"] == pytest.approx(0.95, abs=0.15)
    assert min(stack.own["a"], stack.own["b"]) > 0.2


def test_slopes_follow_the_average_customer_where_weights_do_not():
    _, true, residuals = experiment(6)
    plain = Residuals(residuals.left * 0.5, residuals.information, residuals.sent)
    stack = fit_stack([{"a": true}], residuals, plain=plain, first="a")
    np.testing.assert_allclose(stack.slopes * np.array(stack.shared["a"]), 0.5, atol=0.1)


def test_weights_of_a_learner_split_shared_and_own():
    stack = Stack({"a": 1.0}, {"a": 0.0}, np.ones(2))
    np.testing.assert_allclose(stack.learner_weights("a"), np.full((2, 2), 0.5))
    stack = Stack({"a": 1.0}, {"a": 1.0}, np.array([1.0, 0.5]))
    np.testing.assert_allclose(stack.learner_weights("a"), [[1, 0], [0, 0.5]])


def test_a_constant_learner_does_no_harm():
    _, true, residuals = experiment(3)
    effects = {"flat": np.full(true.shape, 0.2), "right": true}
    assert fit_stack([effects], residuals, plain=residuals, first="flat").used() == ["right"]


def test_slope_is_that_of_least_squares_with_a_robust_error():
    effect, score = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 4.0, 4.0])
    slope, error = slope_of(score, effect)
    assert slope == pytest.approx(1.2)
    residual = score - score.mean() - 1.2 * (effect - 1.5)
    by_hand = np.sqrt((((effect - 1.5) * residual) ** 2).sum()) / 5.0
    assert error == pytest.approx(by_hand)
    assert np.isnan(slope_of(score, np.ones(4))[0])
