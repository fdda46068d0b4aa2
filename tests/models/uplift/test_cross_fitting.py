import numpy as np

from winback.models.uplift.cross_fitting import canonical_order, stratified_folds


def test_every_fold_holds_its_share_of_each_offer_and_outcome():
    rng = np.random.default_rng(0)
    arm, outcome = rng.integers(0, 3, 3000), rng.integers(0, 2, 3000).astype(float)
    fold = stratified_folds(arm, outcome, 5, rng)
    for code in range(3):
        for state in (0.0, 1.0):
            counts = np.bincount(fold[(arm == code) & (outcome == state)], minlength=5)
            assert np.ptp(counts) <= 1


def test_equal_rows_do_not_make_one_fold_a_copy_of_another():
    cell = np.repeat(np.arange(200), 50)  # equal rows stand together, as the order leaves them
    fold = stratified_folds(np.zeros(10_000, dtype=int), np.zeros(10_000), 5, rng_of(1))
    counts = np.array([np.bincount(fold[cell == one], minlength=5) for one in range(200)])
    assert abs(counts.var() / (50 * 0.2 * 0.8) - 1) < 0.15  # as if drawn by lot


def test_order_follows_values_and_not_positions():
    rng = rng_of(2)
    values = rng.integers(0, 5, (500, 3)).astype(float)
    shuffled = values[rng.permutation(500)]
    np.testing.assert_array_equal(
        values[canonical_order(values, 7)], shuffled[canonical_order(shuffled, 7)]
    )


def test_groups_stay_in_one_fold():
    group = np.random.default_rng(3).integers(0, 300, 1000)
    arm = np.arange(300)[group] % 2
    fold = stratified_folds(arm, np.zeros(1000), 5, rng_of(4), groups=group)
    assert all(len(set(fold[group == one])) == 1 for one in np.unique(group))
    assert np.bincount(fold, minlength=5).min() > 150


def rng_of(seed):
    return np.random.default_rng(seed)
