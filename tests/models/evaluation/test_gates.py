"""What lets a challenger pass, on rows where the answer is known."""

import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.gates import (
    LEVEL,
    baseline_gate,
    moment_gates,
    not_worse,
    policy_gates,
    probability_gates,
    slice_gate,
)
from winback.models.intervals import mean_estimate, paired_difference

ROWS = 4_000


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(3)
    chance = rng.beta(2, 6, ROWS)
    return chance, (rng.random(ROWS) < chance).astype(int), rng


def passed(gates):
    return {gate.name: gate.passed for gate in gates}


def test_the_truth_passes_and_chance_does_not(world):
    chance, outcome, rng = world
    assert all(passed(probability_gates("churn", outcome, chance, margin=0.02)).values())
    shuffled = rng.permutation(chance)
    assert passed(probability_gates("churn", outcome, shuffled, margin=0.02)) == {
        "churn_auc": False,
        "churn_calibration": False,
    }


def test_a_calibrated_model_passes_in_a_small_sample_and_a_doubled_one_does_not(world):
    chance, outcome, _ = world
    assert passed(probability_gates("x", outcome[:200], chance[:200], margin=0.02))["x_calibration"]
    doubled = np.minimum(2 * chance, 1)
    assert not passed(probability_gates("x", outcome, doubled, margin=0.02))["x_calibration"]


def test_a_worse_ranking_than_the_champions_is_vetoed_and_an_equal_one_is_not(world):
    chance, outcome, rng = world
    noisy = np.clip(chance + rng.normal(0, 0.15, ROWS), 0, 1)
    name = "churn_auc_over_champion"
    assert not passed(probability_gates("churn", outcome, noisy, chance, margin=0.02))[name]
    assert passed(probability_gates("churn", outcome, chance, chance, margin=0.02))[name]
    assert passed(probability_gates("churn", outcome, chance, noisy, margin=0.02))[name]


def test_no_baseline_may_surely_rank_better():
    table = pd.DataFrame(
        {
            "model": ["churn", "rfm_logistic", "alert_rule"],
            "value": [0.6, 0.55, 0.59],
            "gain_lo": [0.0, -0.07, -0.02],
        }
    )
    gate = baseline_gate(table, model="churn")
    assert (gate.passed, gate.figure) == (True, "+0.0100 over alert_rule")
    table.loc[2, "value"] = 0.6002
    gate = baseline_gate(table, model="churn")
    assert (gate.passed, gate.figure) == (True, "-0.0002 over alert_rule")  # noise
    table.loc[2, ["value", "gain_lo"]] = [0.63, 0.01]
    assert not baseline_gate(table, model="churn").passed


def test_offers_that_lose_to_one_offer_for_all_or_to_the_champion_are_vetoed():
    rng = np.random.default_rng(5)
    effect = rng.normal(0, 1, (ROWS, 2))  # what each of two offers adds
    scores = np.column_stack([np.zeros(ROWS), effect + 0.2]) + rng.normal(0, 1, (ROWS, 3))
    names = ("none", "gift", "call")
    best = np.array(names)[1 + np.argmax(effect, axis=1)]
    worst = np.array(names)[1 + np.argmin(effect, axis=1)]
    single = np.full(ROWS, "gift")

    def verdicts(*offers):
        return passed(policy_gates(scores, names, *offers, margin=0.05))

    assert verdicts(best) == {"policy_over_single_offers": True}
    assert verdicts(worst) == {"policy_over_single_offers": False}
    assert verdicts(single, best)["policy_over_champion"] is False
    assert verdicts(best, single)["policy_over_champion"] is True
    assert verdicts(single, single)["policy_over_champion"] is True


def test_where_nobody_returned_no_ranking_can_be_judged():
    (gate,) = probability_gates("return", np.zeros(300), np.full(300, 0.1), margin=0.02)
    assert (gate.passed, gate.underpowered) == (False, True)
    assert gate.figure == "all 300 rows have the outcome 0"


def gate_of(gain, margin):
    return not_worse("x", mean_estimate(gain, level=LEVEL), margin=margin)


def spread(mean, rows):
    """Numbers of this mean whose standard deviation is 1."""
    values = np.tile([-1.0, 1.0], rows // 2)
    return mean + values


@pytest.mark.parametrize(
    ("mean", "rows", "passes", "underpowered"),
    [
        (0.0, 4_000, True, False),  # ends at +-.026
        (-0.02, 4_000, True, False),  # loses, within the margin for certain
        (-0.03, 4_000, False, False),  # loses for certain, perhaps more than the margin
        (0.0, 400, False, True),  # ends at +-.082: neither is ruled out
        (-0.2, 400, False, False),
        (0.2, 400, True, False),
    ],
)
def test_a_loss_beyond_the_margin_has_to_be_ruled_out(mean, rows, passes, underpowered):
    gate = gate_of(spread(mean, rows), 0.05)
    assert (gate.passed, gate.underpowered) == (passes, underpowered)


def test_an_underpowered_gate_says_which_loss_would_show():
    figure = gate_of(spread(0.0, 400), 0.05).figure
    assert figure.endswith("may lose 0.05; so few rows show a loss from 0.1403 on")


@pytest.mark.parametrize("rows", [300, 1_000, 5_000])
def test_a_challenger_that_loses_more_passes_in_one_of_twenty_whatever_the_rows(rows):
    rng = np.random.default_rng(7)
    tries = [gate_of(rng.normal(-0.05, 1, rows), 0.05).passed for _ in range(400)]
    assert sum(tries) <= 33  # 20 expected


def test_a_twin_is_let_pass_where_the_rows_suffice_and_hardly_ever_vetoed_where_not():
    rng = np.random.default_rng(8)
    enough = [gate_of(rng.normal(0, 0.5, 5_000), 0.05).passed for _ in range(200)]
    assert all(enough)  # the margin is seven errors
    few = [gate_of(rng.normal(0, 1, 300), 0.05) for _ in range(400)]
    assert sum(not gate.passed and not gate.underpowered for gate in few) <= 33  # 20 expected


def test_the_margin_of_offers_is_a_share_of_what_those_of_the_champion_earn():
    scores = np.column_stack([np.zeros(ROWS), np.full(ROWS, 100.0), np.full(ROWS, 96.0)])
    names = ("none", "gift", "call")
    gift, call = np.full(ROWS, "gift"), np.full(ROWS, "call")
    verdicts = passed(policy_gates(scores, names, call, gift, margin=0.05))
    assert verdicts["policy_over_champion"]
    assert not passed(policy_gates(scores, names, call, gift, margin=0.03))["policy_over_champion"]


def test_a_gain_in_pairs_is_told_from_the_pairs_difference():
    """Two models that err alike: their gain is known much better than either."""
    rng = np.random.default_rng(9)
    shared = rng.normal(0, 10, ROWS)
    ours, theirs = shared + rng.normal(0, 0.1, ROWS), shared
    assert not_worse("x", paired_difference(ours, theirs, level=LEVEL), margin=0.05).passed


def slices_of(rng, levels=8, rows=ROWS):
    return {name: rng.integers(0, levels, rows) for name in ("reason", "tenure", "complaints")}


def test_equally_good_models_pass_the_slices_nineteen_times_in_twenty():
    rng = np.random.default_rng(11)
    tries = [
        slice_gate("x", rng.normal(0, 1, 2_000), slices_of(rng, rows=2_000)) for _ in range(200)
    ]
    assert 186 <= sum(gate.passed for gate in tries) <= 199  # 190 expected


def test_one_slice_that_is_worse_off_is_found_though_all_others_gain():
    rng = np.random.default_rng(12)
    slices = slices_of(rng)
    gain = rng.normal(0.05, 1, ROWS)
    assert slice_gate("x", gain, slices).passed
    gain[slices["tenure"] == 3] -= 0.3
    gate = slice_gate("x", gain, slices)
    assert not gate.passed
    assert gate.figure.endswith("at tenure 3, the worst of 24")
    assert gain.mean() > 0


def test_rows_of_one_customer_count_once_and_small_slices_not_at_all():
    rng = np.random.default_rng(13)
    gain = np.repeat(rng.normal(0, 1, 120), 50)  # 50 snapshots that share their fate
    gain -= gain.mean() + 0.15
    customers = np.repeat(np.arange(120), 50)
    everybody = {"all": np.full(6_000, "x")}
    assert not slice_gate("x", gain, everybody).passed
    assert slice_gate("x", gain, everybody, cluster=customers).passed
    few = {"all": np.where(customers < 99, "few", None)}
    assert slice_gate("x", gain, few, cluster=customers).figure == "no slice has 100 customers"


@pytest.mark.parametrize(
    ("as_of", "champion", "verdict"),
    [
        ("2020-03-01", None, {"age": True}),
        ("2020-03-01", "2020-03-01", {"age": True, "as_of_not_older": True}),
        ("2020-03-01", "2020-03-02", {"age": True, "as_of_not_older": False}),
        ("2020-01-01", "2019-01-01", {"age": False, "as_of_not_older": True}),
        ("2020-04-02", None, {"age": False}),  # trained for a moment after today's data
    ],
)
def test_an_old_model_and_one_older_than_the_champion_are_vetoed(as_of, champion, verdict):
    gates = moment_gates(
        as_of=pd.Timestamp(as_of),
        champion=pd.Timestamp(champion) if champion else None,
        today=pd.Timestamp("2020-04-01"),
        oldest_days=60,
    )
    assert passed(gates) == verdict


def test_an_age_of_a_second_is_no_day():
    today = pd.Timestamp("2020-04-01 00:00:01")
    gates = moment_gates(
        as_of=pd.Timestamp("2020-04-01"), champion=None, today=today, oldest_days=60
    )
    assert gates[0].figure == "0.0 days, at most 60"
