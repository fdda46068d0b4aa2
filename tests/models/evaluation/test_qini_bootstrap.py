import numpy as np
import pytest

from winback.models.evaluation import qini_bootstrap
from winback.models.evaluation.qini import gain_at, multi_armed_qini
from winback.models.evaluation.qini_bootstrap import bootstrap


def _world(n=400, seed=0):
    rng = np.random.default_rng(seed)
    effects, costs = rng.normal(0.3, 1, (n, 3)), rng.uniform(0.2, 2, (n, 3))
    return effects, costs, effects + rng.normal(0, 2, (n, 3))


@pytest.mark.parametrize("knots", [10_000, 64])
def test_each_replicate_is_the_curve_of_its_half(monkeypatch, knots):
    """Exact where no breakpoint is skipped; close where pieces are merged."""
    monkeypatch.setattr(qini_bootstrap, "MOST_KNOTS", knots)
    effects, costs, scores = _world()
    curve = multi_armed_qini(effects, costs, scores)
    budgets = np.linspace(0, 0.7 * curve.spend[-1], 9)
    result = bootstrap({"ours": curve}, budgets, rng=np.random.default_rng(1), replicates=20)
    kept = qini_bootstrap.half_samples(400, 20, np.random.default_rng(1))
    for draw, weights in zip(result.draws["ours"], kept.T, strict=True):
        expected = gain_at(multi_armed_qini(effects, costs, scores, weights=weights), budgets)
        assert draw == pytest.approx(expected, abs=1e-5 if knots > 1000 else 0.05)


def test_a_customer_of_weight_two_counts_twice_in_each_replicate():
    effects, costs, scores = _world(200)
    weights = np.random.default_rng(0).integers(1, 4, 200).astype(float)
    curve = multi_armed_qini(effects, costs, scores, weights=weights)
    result = bootstrap({"c": curve}, [0.1, 0.3], rng=np.random.default_rng(1), replicates=10)
    kept = qini_bootstrap.half_samples(200, 10, np.random.default_rng(1))
    for draw, half in zip(result.draws["c"], kept.T, strict=True):
        again = multi_armed_qini(effects, costs, scores, weights=weights * half)
        assert draw == pytest.approx(gain_at(again, [0.1, 0.3]), abs=1e-5)


def test_standard_error_of_an_offer_for_all_is_that_of_the_mean():
    rng = np.random.default_rng(2)
    scores = rng.normal(1, 3, (2000, 1))
    curve = multi_armed_qini(np.ones((2000, 1)), np.ones(1), scores)
    table = bootstrap({"all": curve}, [0.5, 1.0], rng=rng, replicates=1000).curve("all")
    assert table["gain"].iloc[1] == pytest.approx(scores.mean())
    assert table["se"].iloc[1] == pytest.approx(scores.std() / np.sqrt(2000), rel=0.1)
    assert table["hi"].iloc[1] - table["gain"].iloc[1] == pytest.approx(1.959964 * table["se"][1])


def test_intervals_cover_the_true_curve_as_often_as_they_say():
    """The truth is the curve of a very large sample of the same law."""
    truth = gain_at(multi_armed_qini(*_world(400_000, seed=99)), 0.3)
    covered = []
    for seed in range(200):
        curve = multi_armed_qini(*_world(500, seed=seed))
        rng = np.random.default_rng(seed)
        row = bootstrap({"ours": curve}, [0.1, 0.3], rng=rng, replicates=100).curve("ours").iloc[1]
        covered.append(row["lo"] <= truth <= row["hi"])
    assert 0.89 <= np.mean(covered) <= 0.99


def test_comparison_is_paired_and_sharper_than_the_two_curves():
    effects, costs, scores = _world(3000)
    noise = np.random.default_rng(3).normal(0, 0.3, effects.shape)
    curves = {
        "ours": multi_armed_qini(effects, costs, scores),
        "near": multi_armed_qini(effects + noise, costs, scores),
    }
    result = bootstrap(curves, np.linspace(0, 0.8, 30), rng=np.random.default_rng(4))
    lead = (result.draws["ours"] - result.draws["near"])[:, 10:].std(axis=0)
    assert (lead < 0.7 * result.curve("ours")["se"][10:]).all()  # unpaired it would be 1.4


def test_same_seed_gives_the_same_bytes():
    curve = multi_armed_qini(*_world())
    one, two = (
        bootstrap({"c": curve}, [0.1, 0.2], rng=np.random.default_rng(7), replicates=30)
        for _ in range(2)
    )
    assert one.draws["c"].tobytes() == two.draws["c"].tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budgets": [0.2, 0.1]}, "budgets: must be at least two rising numbers"),
        ({"budgets": [0.2]}, "budgets: must be at least two rising numbers"),
        (
            {"curves": {"a": multi_armed_qini(*_world()), "b": multi_armed_qini(*_world(5))}},
            r"same customers, found rows \{'a': 400, 'b': 5\}",
        ),
    ],
)
def test_comparisons_that_cannot_be_paired_are_refused(change, message):
    given = {"curves": {"a": multi_armed_qini(*_world())}, "budgets": [0.1, 0.2]}
    with pytest.raises(ValueError, match=message):
        bootstrap(**{**given, **change}, rng=np.random.default_rng(0))
