"""Tables over bits give what LightGBM's own prediction gives, whatever the trees."""

import lightgbm as lgb
import numpy as np
import pytest

from winback.models.formula.tree_tables import look_up, plant

SETTINGS = {
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "min_data_in_leaf": 3,
    "learning_rate": 0.3,
}
ROWS = 3_000


@pytest.fixture(scope="module")
def matrix():
    """Noise, whole numbers, holes, a category of 40 levels with holes, and a one-hot pair."""
    rng = np.random.default_rng(5)
    found = rng.normal(size=(ROWS, 7))
    found[:, 1] = rng.integers(-2, 3, ROWS)
    found[rng.random(ROWS) < 0.2, 2] = np.nan
    found[:, 4] = rng.integers(0, 40, ROWS)
    found[rng.random(ROWS) < 0.1, 4] = np.nan
    offer = rng.integers(0, 3, ROWS)
    found[:, 5], found[:, 6] = offer == 1, offer == 2
    return found


@pytest.fixture(scope="module")
def outcome(matrix):
    rng = np.random.default_rng(6)
    known = np.nan_to_num(matrix)
    signal = known[:, 0] * known[:, 1] + np.sin(known[:, 4] ** 2) + known[:, 5] * (known[:, 2] > 0)
    return signal + rng.normal(size=ROWS)


def grow(matrix, outcome, *, rounds=40, categories=(4,), **settings):
    data = lgb.Dataset(matrix, outcome, categorical_feature=list(categories))
    return lgb.train({**SETTINGS, "objective": "l2", **settings}, data, rounds)


def strange(matrix):
    """What training never saw: holes everywhere, infinities, unseen and impossible categories."""
    rng = np.random.default_rng(7)
    found = matrix.copy()
    found[rng.random(found.shape) < 0.1] = np.nan
    found[::17, 0], found[::19, 1] = np.inf, -np.inf
    found[::23, 4], found[::29, 4] = 5_000.0, -1.0
    found[::13, 1] = 0.0
    return found


@pytest.mark.parametrize(
    ("leaves", "objective", "categories"),
    [
        (2, "l2", ()),
        (4, "l2", (4,)),
        (8, "l2", (4,)),
        (10, "l2", ()),
        (63, "l2", (4,)),
        (31, "binary", ()),
    ],
)
def test_tables_equal_the_prediction_of_lightgbm(matrix, outcome, leaves, objective, categories):
    target = outcome > 0 if objective == "binary" else outcome
    booster = grow(matrix, target, categories=categories, num_leaves=leaves, objective=objective)
    forest = plant([("b.txt", booster.model_to_string(), ())], matrix.shape[1])
    for rows in (matrix, strange(matrix)):
        expected = booster.predict(rows, raw_score=True)
        np.testing.assert_allclose(look_up(forest, rows.T)[0], expected, rtol=1e-12, atol=1e-12)


def test_boosters_side_by_side_with_constants_for_their_last_columns(matrix, outcome):
    wide = grow(matrix, outcome, num_leaves=10)
    narrow = grow(matrix[:, :5], outcome, num_leaves=4)
    asked = [("wide", wide.model_to_string(), offer) for offer in ((0, 0), (1.0, 0.0), (0.0, 1))]
    forest = plant([*asked, ("narrow", narrow.model_to_string(), ())], 5)
    found = look_up(forest, np.ascontiguousarray(matrix[:, :5].T))
    for place, (_, _, offer) in enumerate(asked):
        given = np.hstack([matrix[:, :5], np.tile(np.asarray(offer, float), (ROWS, 1))])
        np.testing.assert_allclose(found[place], wide.predict(given, raw_score=True), atol=1e-12)
    np.testing.assert_allclose(found[3], narrow.predict(matrix[:, :5]), atol=1e-12)
    assert np.abs(found[1] - found[0]).max() > 0.1


def test_a_booster_without_splits_is_its_constant(matrix):
    booster = grow(matrix, np.full(ROWS, 2.5), num_leaves=4)
    forest = plant([("b.txt", booster.model_to_string(), ())], matrix.shape[1])
    np.testing.assert_array_equal(look_up(forest, matrix.T)[0], booster.predict(matrix))


def test_no_booster_is_no_score(matrix):
    assert look_up(plant([], 7), matrix.T).shape == (0, ROWS)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"linear_tree": True}, "has linear leaves"),
        ({"zero_as_missing": True}, "takes zero for missing"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "one sum of trees over 7"),
        ({"objective": "multiclass", "num_class": 3}, "one sum of trees over 7"),
    ],
)
def test_what_is_never_trained_here_is_refused(matrix, outcome, settings, words):
    target = np.digitize(outcome, (-1, 1)) if "num_class" in settings else outcome
    booster = grow(matrix, target, rounds=2, categories=(), **settings)
    with pytest.raises(ValueError, match=f"'b.txt' .*{words}"):
        plant([("b.txt", booster.model_to_string(), ())], 7)


def test_a_booster_of_other_columns_is_refused(matrix, outcome):
    text = grow(matrix, outcome, rounds=2).model_to_string()
    with pytest.raises(ValueError, match="one sum of trees over 6 columns"):
        plant([("b.txt", text, (1.0,))], 5)
