import numpy as np
import pytest

from winback.models.evaluation.offpolicy import (
    difference,
    effective_rows,
    offer_scores,
    policy_matrix,
    policy_scores,
    value,
)

OFFERS = ["none", "discount", "upgrade"]
# Four customers, propensities by hand.
SENT = np.array(["none", "discount", "discount", "upgrade"])
OUTCOME = np.array([1.0, 2.0, 4.0, 8.0])
PROPENSITY = np.array([0.5, 0.25, 0.5, 0.25])
POLICY = np.array(["discount", "discount", "discount", "upgrade"])
PREDICTIONS = np.array([[1, 3, 5], [1, 3, 5], [0, 5, 5], [2, 3, 4]], dtype=float)
LOG = {"sent": SENT, "outcome": OUTCOME, "propensity": PROPENSITY, "offers": OFFERS}


def test_ipw_scores_are_outcomes_over_propensities_where_policy_and_experiment_agree():
    scores = policy_scores(POLICY, **LOG, method="ipw")
    assert scores.tolist() == [0.0, 2 / 0.25, 4 / 0.5, 8 / 0.25]


def test_dr_scores_are_predictions_corrected_where_the_offer_was_sent():
    scores = policy_scores(POLICY, **LOG, predictions=PREDICTIONS, method="dr")
    assert scores.tolist() == [3.0, 3 - 1 / 0.25, 5 - 1 / 0.5, 4 + 4 / 0.25]


def test_snipw_divides_by_the_sum_of_weights_and_its_scores_average_to_it():
    scores = policy_scores(POLICY, **LOG, method="snipw")
    assert scores.mean() == pytest.approx((4 * 2 + 2 * 4 + 4 * 8) / (4 + 2 + 4), abs=1e-12)
    deviations = np.array([0, 4 * (2 - 4.8), 2 * (4 - 4.8), 4 * (8 - 4.8)]) / 2.5
    assert scores == pytest.approx(4.8 + deviations, abs=1e-12)
    moved = policy_scores(POLICY, **{**LOG, "outcome": OUTCOME + 100}, method="snipw")
    assert moved.mean() == pytest.approx(scores.mean() + 100, abs=1e-10)


def test_a_stochastic_policy_is_the_mixture_of_its_deterministic_parts():
    first, second = np.repeat("none", 4), POLICY
    mixed = 0.3 * policy_matrix(first, OFFERS) + 0.7 * policy_matrix(second, OFFERS)
    for method, predictions in (("ipw", None), ("dr", PREDICTIONS)):
        parts = [
            policy_scores(p, **LOG, predictions=predictions, method=method) for p in (first, second)
        ]
        whole = policy_scores(mixed, **LOG, predictions=predictions, method=method)
        assert whole == pytest.approx(0.3 * parts[0] + 0.7 * parts[1], abs=1e-12)


def test_inputs_are_left_as_they_were():
    before = PREDICTIONS.copy()
    offer_scores(SENT, OUTCOME, PROPENSITY, offers=OFFERS, predictions=PREDICTIONS)
    assert (before == PREDICTIONS).all()


def test_standard_error_without_clusters_is_the_textbook_one():
    scores = np.array([1.0, 2.0, 4.0, 9.0])
    estimate = value(scores)
    assert estimate.value == 4.0
    assert estimate.se == pytest.approx(scores.std(ddof=1) / 2, abs=1e-15)
    assert estimate.hi - estimate.value == pytest.approx(3.182446305284263 * estimate.se)
    assert estimate.n == 4


def test_copying_every_row_into_a_household_leaves_the_clustered_error_as_it_was():
    scores = np.random.default_rng(1).normal(size=60)
    one = value(scores)
    copied = value(np.repeat(scores, 3), clusters=np.repeat(np.arange(60), 3))
    assert copied.se == pytest.approx(one.se, rel=1e-12)
    assert value(np.repeat(scores, 3)).se < one.se / 1.7


def test_paired_difference_of_a_policy_with_itself_is_exactly_zero():
    scores = policy_scores(POLICY, **LOG, method="snipw")
    gap = difference(scores, scores)
    assert (gap.value, gap.se, gap.lo, gap.hi) == (0.0, 0.0, 0.0, 0.0)


def test_effective_rows_count_agreeing_rows_of_equal_weight():
    n = effective_rows(
        np.repeat("discount", 4), sent=SENT, propensity=np.full(4, 0.25), offers=OFFERS
    )
    assert n == pytest.approx(2.0)


def _experiment(rng: np.random.Generator, n: int):
    """Unequal propensities that depend on a covariate, and the true value of a policy."""
    x = rng.normal(size=n)
    chance = np.where(x[:, None] > 0, [0.5, 0.3, 0.2], [0.2, 0.2, 0.6])
    means = np.stack([1 + x, 1.5 + 2 * x, 2 - x], axis=1)
    drawn = (rng.random(n)[:, None] > chance.cumsum(axis=1)).sum(axis=1)
    y = means[np.arange(n), drawn] + rng.normal(size=n)
    policy = np.where(x > 0.2, "discount", "upgrade")
    log = {
        "sent": np.array(OFFERS)[drawn],
        "outcome": y,
        "propensity": chance[np.arange(n), drawn],
        "offers": OFFERS,
    }
    return policy, log, means


@pytest.mark.parametrize("method", ["ipw", "snipw", "dr"])
def test_intervals_cover_the_truth_as_often_as_they_say(method):
    # E[policy] = E[(1.5+2x) 1(x>.2)] + E[(2-x) 1(x<=.2)]
    from scipy.stats import norm

    above, density = norm.sf(0.2), norm.pdf(0.2)
    truth = 1.5 * above + 2 * density + 2 * (1 - above) + density
    covered = []
    for seed in range(400):
        policy, log, means = _experiment(np.random.default_rng(seed), 500)
        predictions = means + 0.3 if method == "dr" else None
        scores = policy_scores(policy, **log, predictions=predictions, method=method)
        estimate = value(scores)
        covered.append(estimate.lo <= truth <= estimate.hi)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_doubly_robust_is_sharper_than_inverse_propensity():
    policy, log, means = _experiment(np.random.default_rng(3), 4000)
    ipw = value(policy_scores(policy, **log, method="ipw"))
    dr = value(policy_scores(policy, **log, predictions=means, method="dr"))
    assert dr.se**2 < 0.6 * ipw.se**2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sent": np.array(["none", "gift", "none", "none"])}, "offer: must be one of .*'gift'"),
        ({"propensity": np.array([0.5, 0.0, 0.5, 1.2])}, r"must lie in \(0, 1\], found 2 rows"),
        ({"propensity": np.array([0.5, np.nan, 0.5, 0.2])}, "found 1 rows outside"),
        ({"outcome": np.array([1, np.nan, 2, 3])}, "outcome: must be finite"),
        ({"outcome": np.array([1.0, 2.0])}, "outcome: must have 4 rows, found 2"),
        ({"method": "magic"}, "must be one of ipw, snipw, dr, found 'magic'"),
        ({"method": "dr"}, "method 'dr' needs them, found none"),
        ({"predictions": PREDICTIONS}, "method 'ipw' does not use them"),
        (
            {"method": "dr", "predictions": PREDICTIONS[:, :2]},
            r"of shape \(4, 3\), found shape \(4, 2\)",
        ),
    ],
)
def test_malformed_logs_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        policy_scores(POLICY, **{**LOG, "method": "ipw", **change})


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (np.array(["none", "gift", "none", "none"]), "policy: must be one of .*'gift'"),
        (np.full((4, 3), 0.4), "sum to 1 in every row, found sums from 1.2 to 1.2"),
        (np.array([[1.2, -0.2, 0.0]] * 4), "probabilities must be non-negative"),
        (np.full((4, 2), 0.5), r"one column per offer \(3\), found 2"),
        (np.array(["none"]), "policy: must have 4 rows, found 1"),
    ],
)
def test_malformed_policies_are_refused_by_name(policy, message):
    with pytest.raises(ValueError, match=message):
        policy_scores(policy, **LOG, method="ipw")


def test_a_policy_that_no_row_speaks_for_is_refused_by_snipw():
    policy = np.array(["upgrade", "none", "none", "none"])
    with pytest.raises(ValueError, match="agrees with no offer that was sent"):
        policy_scores(policy, **LOG, method="snipw")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": [1.0]}, "at least 2 rows, found 1"),
        ({"scores": [1.0, 2.0], "clusters": ["a", "a"]}, "at least 2 clusters, found 1"),
        ({"scores": [1.0, np.inf]}, "scores: must be finite"),
        ({"scores": [1.0, 2.0], "level": 95}, "level: must lie between 0 and 1, found 95"),
        ({"scores": [1.0, 2.0], "clusters": ["a"]}, "clusters: must have 2 rows, found 1"),
    ],
)
def test_intervals_of_too_little_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        value(arguments.pop("scores"), **arguments)
