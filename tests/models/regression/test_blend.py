"""The blend: it takes from each model what held-out rows say, and stays a formula."""

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from winback.models.formula.formula import evaluate
from winback.models.regression.blend import Boosting, Choice, choose, fit_blend

SMALL = Boosting(rounds=60, num_leaves=6, learning_rate=0.1)


def table(rows, kind, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["a", "b", "c"])
    frame["kind"] = rng.choice(["x", "y"], rows)
    score = frame["a"] if kind == "smooth" else 3 * np.sign(frame["a"] * frame["b"])
    score = score - (frame["kind"] == "x")
    return frame, (rng.random(rows) < 1 / (1 + np.exp(-score))).astype(float).to_numpy()


@pytest.mark.parametrize(("kind", "lowest", "highest"), [("smooth", 0, 0.5), ("crossed", 0.75, 1)])
def test_the_weight_follows_what_the_rows_hold(kind, lowest, highest):
    blend = fit_blend(*table(3000, kind), SMALL, seed=0)
    assert lowest <= choose(blend, *table(3000, kind, seed=1)).weight <= highest


def test_fewer_rounds_are_kept_where_more_only_learn_noise():
    frame, outcome = table(800, "smooth")
    blend = fit_blend(
        frame, outcome, Boosting(rounds=400, num_leaves=31, learning_rate=0.2), seed=0
    )
    choice = choose(blend, *table(3000, "smooth", seed=1))
    assert choice.rounds == 80
    text = blend.formula(choice, "p").boosters["boosting.txt"]
    assert len(text) < len(blend.formula(Choice(), "p").boosters["boosting.txt"]) / 3


def test_the_formula_is_the_weighted_mean_of_log_odds():
    frame, outcome = table(1500, "smooth")
    blend = fit_blend(frame, outcome, SMALL, seed=0)

    def odds(weight):
        p = evaluate(blend.formula(Choice(weight), "p"), frame)["p"]
        return np.log(p / (1 - p))

    np.testing.assert_allclose(odds(0.25), 0.25 * odds(1.0) + 0.75 * odds(0.0), atol=1e-9)


def test_a_column_without_values_and_a_constant_one_do_no_harm():
    frame, outcome = table(500, "smooth")
    frame = frame.assign(empty=np.nan, same=1.0, blank=pd.Series([None] * 500, dtype="object"))
    blend = fit_blend(frame, outcome, SMALL, seed=0)
    assert np.isfinite(evaluate(blend.formula(Choice(), "p"), frame)["p"]).all()


def test_blas_threads_do_not_change_a_bit():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(20_000, 12))).add_prefix("x")
    outcome = (rng.random(20_000) < 1 / (1 + np.exp(-frame["x0"] * frame["x1"]))).to_numpy(float)
    few = Boosting(rounds=2)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append(fit_blend(frame, outcome, few, seed=0).additive)
    assert found[0] == found[1]
