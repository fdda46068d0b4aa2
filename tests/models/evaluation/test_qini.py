import heapq
import time

import numpy as np
import pytest
from scipy.optimize import linprog

from winback.models.evaluation.qini import average_qini, gain_at, multi_armed_qini


def linear_programme(effects, costs, budget):
    """The largest mean effect that a mean spend of `budget` buys."""
    n, k = effects.shape
    at_most_one = np.kron(np.eye(n), np.ones(k))
    spend = costs.reshape(1, -1) / n
    solution = linprog(
        -effects.ravel() / n,
        A_ub=np.vstack([at_most_one, spend]),
        b_ub=np.append(np.ones(n), budget),
        bounds=(0, 1),
        method="highs",
    )
    assert solution.success
    return -solution.fun


def greedy(effects, costs, scores):
    """The curve by a queue of customers, one purchase at a time, as the paper tells it."""
    n, k = effects.shape
    spend, gain, held = [0.0], [0.0], [(0.0, 0.0, 0.0)] * n
    queue = []

    def offer_next(i):
        cost, effect, _ = held[i]
        options = [
            ((effects[i, j] - effect) / (costs[i, j] - cost), costs[i, j], j)
            for j in range(k)
            if costs[i, j] > cost and effects[i, j] > effect
        ]
        if options:
            ratio, _, j = max(options)
            heapq.heappush(queue, (-ratio, i, j))

    for i in range(n):
        offer_next(i)
    while queue:
        _, i, j = heapq.heappop(queue)
        spend.append(spend[-1] + (costs[i, j] - held[i][0]) / n)
        gain.append(gain[-1] + (scores[i, j] - held[i][2]) / n)
        held[i] = (costs[i, j], effects[i, j], scores[i, j])
        offer_next(i)
    return np.array(spend), np.array(gain)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lowest_cost", [0.1, 0.0, -0.6])
def test_every_budget_buys_as_much_as_the_linear_programme(seed, lowest_cost):
    rng = np.random.default_rng(seed)
    effects = rng.normal(0.2, 1, (40, 4))
    costs = np.maximum(rng.uniform(lowest_cost - 0.3, 2, (40, 4)), lowest_cost)
    curve = multi_armed_qini(effects, costs, effects)
    budgets = np.linspace(max(curve.spend[0], 0.0), 1.05 * curve.spend[-1], 10)
    expected = [linear_programme(effects, costs, budget) for budget in budgets]
    assert gain_at(curve, budgets) == pytest.approx(expected, abs=1e-9)


def test_curve_judged_by_scores_follows_the_purchases_of_the_greedy_oracle():
    rng = np.random.default_rng(5)
    effects, costs = rng.normal(0.1, 1, (300, 3)), rng.uniform(0.2, 2, (300, 3))
    scores = effects + rng.normal(0, 3, (300, 3))
    spend, gain = greedy(effects, costs, scores)
    curve = multi_armed_qini(effects, costs, scores)
    assert curve.spend == pytest.approx(spend, abs=1e-12)
    assert curve.gain == pytest.approx(gain, abs=1e-12)
    assert (np.diff(curve.ratio) < 0).all()


def test_three_customers_by_hand():
    """Offer a costs 1, offer b costs 2. The second customer skips a, which lies under the hull."""
    effects = np.array([[4.0, 5.0], [1.0, 6.0], [-1.0, -2.0]])
    scores = np.array([[30.0, 60.0], [9.0, 12.0], [99.0, 99.0]])
    curve = multi_armed_qini(effects, np.array([1.0, 2.0]), scores)
    assert curve.spend == pytest.approx([0, 1 / 3, 3 / 3, 4 / 3])
    assert curve.gain == pytest.approx([0, 30 / 3, 42 / 3, 72 / 3])
    assert curve.ratio == pytest.approx([4, 3, 1])
    assert gain_at(curve, [0.5, 9.0]) == pytest.approx([10 + (0.5 - 1 / 3) * 6, 24])


def test_free_offers_are_given_at_no_budget_and_savings_start_left_of_zero():
    effects = np.array([[2.0, 3.0], [-1.0, 1.0]])
    costs = np.array([[0.0, 1.0], [-2.0, 1.0]])
    curve = multi_armed_qini(effects, costs, effects)
    assert curve.spend == pytest.approx([-1.0, -0.5, 1.0])
    assert curve.gain == pytest.approx([0.5, 1.0, 2.0])
    with pytest.raises(ValueError, match=r"at least -1 per customer, .* found -1\.5"):
        gain_at(curve, -1.5)


def test_equal_customers_share_one_straight_piece_whatever_their_order():
    effects, costs = np.tile([[1.0, 1.5]], (6, 1)), np.array([1.0, 2.0])
    scores = np.arange(12.0).reshape(6, 2)
    curve = multi_armed_qini(effects, costs, scores)
    turned = multi_armed_qini(effects, costs, scores[::-1])
    assert curve.spend == pytest.approx([0, 1, 2])
    assert curve.gain == pytest.approx([0, 5, 6])
    assert turned.gain == pytest.approx(curve.gain)


def test_shuffled_customers_and_reordered_offers_give_the_same_curve():
    rng = np.random.default_rng(2)
    effects, costs = rng.normal(0, 1, (500, 4)), rng.uniform(0, 2, (500, 4))
    scores = rng.normal(0, 1, (500, 4))
    rows, columns = rng.permutation(500), [2, 0, 3, 1]
    plain = multi_armed_qini(effects, costs, scores)
    mixed = multi_armed_qini(*(a[rows][:, columns] for a in (effects, costs, scores)))
    assert mixed.spend == pytest.approx(plain.spend, abs=1e-12)
    assert mixed.gain == pytest.approx(plain.gain, abs=1e-12)


def test_a_weight_of_two_is_the_customer_twice_and_of_zero_not_at_all():
    rng = np.random.default_rng(4)
    effects, costs = rng.normal(0, 1, (60, 3)), rng.uniform(-0.2, 2, (60, 3))
    scores = rng.normal(0, 1, (60, 3))
    weights = rng.integers(0, 3, 60)
    weighted = multi_armed_qini(effects, costs, scores, weights=weights)
    copied = multi_armed_qini(*(np.repeat(a, weights, axis=0) for a in (effects, costs, scores)))
    budgets = np.linspace(weighted.spend[0], weighted.spend[-1], 50)
    assert gain_at(weighted, budgets) == pytest.approx(gain_at(copied, budgets), abs=1e-12)


def test_hulls_do_not_depend_on_the_size_of_the_pieces(monkeypatch):
    rng = np.random.default_rng(8)
    arrays = [rng.normal(0, 1, (100, 3)) for _ in range(3)]
    whole = multi_armed_qini(*arrays)
    monkeypatch.setattr("winback.models.concave_hull.CHUNK_ROWS", 7)
    assert (multi_armed_qini(*arrays).gain == whole.gain).all()


def test_without_personalization_the_curve_runs_straight_to_the_average_offer():
    rng = np.random.default_rng(6)
    effects, scores = rng.normal([1.0, 3.0], 1, (400, 2)), rng.normal(2, 1, (400, 2))
    costs = rng.uniform(0.5, 1.5, (400, 2)) + np.array([0.0, 1.0])
    curve = average_qini(effects, costs, scores)
    mean_cost = costs.mean(axis=0)
    assert curve.spend == pytest.approx([0, mean_cost[1]])
    assert curve.gain == pytest.approx([0, scores[:, 1].mean()])


def test_offers_that_cost_next_to_nothing_are_bought_first():
    effects, costs = np.array([[1.0, 9.0]] * 3), np.array([5e-324, 1.0])
    curve = multi_armed_qini(effects, costs, effects)
    assert curve.spend == pytest.approx([0, 0, 1])
    assert curve.gain == pytest.approx([0, 1, 9])


def test_nothing_worth_buying_is_a_curve_of_one_point():
    curve = multi_armed_qini(-np.ones((5, 2)), np.ones(2), np.ones((5, 2)))
    assert curve.spend.tolist() == [0.0]
    assert gain_at(curve, [0.0, 3.0]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"effects": np.ones(4)}, r"effects: must be a matrix \(n, K\)"),
        ({"costs": np.ones(3)}, r"costs: must have shape \(4, 2\), found \(3,\)"),
        ({"scores": np.ones((3, 2))}, r"scores: must have shape \(4, 2\), found \(3, 2\)"),
        ({"effects": np.full((4, 2), np.nan)}, "effects: must be finite"),
        ({"costs": np.array([1, np.inf])}, "costs: must be finite"),
        ({"weights": np.ones(3)}, r"weights: must have shape \(4,\), found \(3,\)"),
        ({"weights": [1, -1, 1, 1]}, "weights: must be non-negative and not all zero"),
        ({"weights": np.zeros(4)}, "weights: must be non-negative and not all zero"),
    ],
)
def test_malformed_input_is_refused_by_name(change, message):
    given = {"effects": np.ones((4, 2)), "costs": np.ones(2), "scores": np.ones((4, 2))}
    with pytest.raises(ValueError, match=message):
        multi_armed_qini(**{**given, **change})


def test_work_grows_no_faster_than_sorting():
    """A quadratic allocation would need hours for a hundred thousand customers."""
    rng = np.random.default_rng(0)
    effects, costs = rng.normal(0, 1, (100_000, 4)), rng.uniform(0.1, 2, (100_000, 4))
    start = time.process_time()
    multi_armed_qini(effects, costs, effects)
    assert time.process_time() - start < 2.0
