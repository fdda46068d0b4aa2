import numpy as np
import pytest
from scipy.stats import norm

from winback.models.evaluation.offpolicy import offer_scores
from winback.models.intervals import mean_estimate

OFFERS = ["none", "discount", "upgrade"]
# Four customers, propensities by hand.
SENT = np.array(["none", "discount", "discount", "upgrade"])
OUTCOME = np.array([1.0, 2.0, 4.0, 8.0])
PROPENSITY = np.array([0.5, 0.25, 0.5, 0.25])
POLICY = np.array([[0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
PREDICTIONS = np.array([[1, 3, 5], [1, 3, 5], [0, 5, 5], [2, 3, 4]], dtype=float)
LOG = {"sent": SENT, "outcome": OUTCOME, "propensity": PROPENSITY, "offers": OFFERS}


def test_without_predictions_a_score_is_the_outcome_over_the_propensity_of_the_offer_sent():
    assert offer_scores(**LOG).tolist() == [[2, 0, 0], [0, 8, 0], [0, 8, 0], [0, 0, 32]]


def test_with_predictions_they_are_corrected_where_the_offer_was_sent():
    scores = (POLICY * offer_scores(**LOG, predictions=PREDICTIONS)).sum(axis=1)
    assert scores.tolist() == [3.0, 3 - 1 / 0.25, 5 - 1 / 0.5, 4 + 4 / 0.25]


def test_inputs_are_left_as_they_were():
    before = PREDICTIONS.copy()
    offer_scores(SENT, OUTCOME, PROPENSITY, offers=OFFERS, predictions=PREDICTIONS)
    assert (before == PREDICTIONS).all()


def _experiment(rng: np.random.Generator, n: int):
    """Unequal propensities that depend on a covariate, and the true value of a policy."""
    x = rng.normal(size=n)
    chance = np.where(x[:, None] > 0, [0.5, 0.3, 0.2], [0.2, 0.2, 0.6])
    means = np.stack([1 + x, 1.5 + 2 * x, 2 - x], axis=1)
    drawn = (rng.random(n)[:, None] > chance.cumsum(axis=1)).sum(axis=1)
    y = means[np.arange(n), drawn] + rng.normal(size=n)
    policy = np.where(x[:, None] > 0.2, [0, 1, 0], [0, 0, 1])
    log = {
        "sent": np.array(OFFERS)[drawn],
        "outcome": y,
        "propensity": chance[np.arange(n), drawn],
        "offers": OFFERS,
    }
    return policy, log, means


@pytest.mark.parametrize("predicted", [False, True])
def test_intervals_cover_the_truth_as_often_as_they_say(predicted):
    # E[policy] = E[(1.5+2x) 1(x>.2)] + E[(2-x) 1(x<=.2)]
    above, density = norm.sf(0.2), norm.pdf(0.2)
    truth = 1.5 * above + 2 * density + 2 * (1 - above) + density
    covered = []
    for seed in range(400):
        policy, log, means = _experiment(np.random.default_rng(seed), 500)
        scores = offer_scores(**log, predictions=means + 0.3 if predicted else None)
        estimate = mean_estimate((policy * scores).sum(axis=1))
        covered.append(estimate.lo <= truth <= estimate.hi)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_predictions_sharpen_the_value_of_a_policy():
    policy, log, means = _experiment(np.random.default_rng(3), 4000)
    plain = mean_estimate((policy * offer_scores(**log)).sum(axis=1))
    predicted = mean_estimate((policy * offer_scores(**log, predictions=means)).sum(axis=1))
    assert predicted.se**2 < 0.6 * plain.se**2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sent": np.array(["none", "gift", "none", "none"])}, "offer: must be one of .*'gift'"),
        ({"propensity": np.array([0.5, 0.0, 0.5, 1.2])}, r"must lie in \(0, 1\], found 2 rows"),
        ({"propensity": np.array([0.5, np.nan, 0.5, 0.2])}, "found 1 rows outside"),
        ({"outcome": np.array([1, np.nan, 2, 3])}, "outcome: must be finite"),
        ({"outcome": np.array([1.0, 2.0])}, "outcome: must have 4 rows, found 2"),
        ({"predictions": PREDICTIONS[:, :2]}, r"of shape \(4, 3\), found shape \(4, 2\)"),
    ],
)
def test_malformed_logs_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        offer_scores(**{**LOG, **change})
