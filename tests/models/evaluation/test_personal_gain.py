import numpy as np
import pytest

from winback.models.evaluation.personal_gain import is_evident, is_likely, pooled_means


def test_a_gain_is_evident_beyond_the_noise():
    assert is_evident(1.7, 1.0, 1_000)
    assert not is_evident(1.6, 1.0, 1_000)
    assert not is_evident(1.0, 0.0, 1_000)


def test_few_groups_need_a_larger_gain():
    assert not is_evident(2.0, 1.0, 6)
    assert is_evident(2.1, 1.0, 6)


def test_a_gain_is_likely_however_faint_on_few_rows_and_not_on_many():
    assert is_likely(0.1, 1.0, 900)
    assert not is_likely(0.1, 1.0, 4_000)
    assert is_likely(0.7, 1.0, 40_000)
    assert not is_likely(0.9, 1.0, 100_000)
    assert is_likely(0.1, 0.0, 100_000)  # without noise


def test_what_is_evident_is_likely_on_however_many_rows():
    assert is_likely(1.7, 1.0, 10_000_000)
    assert not is_likely(1.6, 1.0, 10_000_000)


@pytest.mark.parametrize("rows", [10, 100_000])
def test_no_gain_and_a_loss_are_not_likely(rows):
    assert not is_likely(0.0, 0.0, rows)
    assert not is_likely(0.0, 1.0, rows)
    assert not is_likely(-2.0, 1.0, rows)


def test_means_with_small_errors_stay_and_those_of_few_rows_move_to_the_others():
    means, errors = np.array([0.10, 0.14, 0.15, 0.30]), np.array([0.005, 0.005, 0.005, 0.08])
    pooled = pooled_means(means, errors)
    np.testing.assert_allclose(pooled[:3], means[:3], atol=0.003)
    assert 0.12 < pooled[3] < 0.19
    assert pooled_means(means[:1], errors[:1]) == pytest.approx(0.10)


def test_a_rare_arm_without_an_effect_is_seldom_the_best():
    rng = np.random.default_rng(0)
    rows, true = np.array([3000, 3000, 3000, 60]), np.array([0.15, 0.18, 0.19, 0.15])
    errors = np.sqrt(true * (1 - true) / rows)
    draws = rng.normal(true, errors, size=(400, 4))
    plain = np.mean([draw.argmax() == 3 for draw in draws])
    pooled = np.mean([pooled_means(draw, errors).argmax() == 3 for draw in draws])
    assert plain > 0.1
    assert pooled < 0.6 * plain
