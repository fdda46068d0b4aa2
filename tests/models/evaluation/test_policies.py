"""Policies side by side: a world small enough to know every answer."""

import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.graded import Graded, grade_rows, tailored_rule
from winback.models.evaluation.policies import compare, decide, paired_gains, policies
from winback.models.offers import Offer

NAMES = ("none", "discount", "upgrade")


def a_world(*, crossing: bool, rows: int = 4000, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Offers at random; with `crossing` the two groups want different offers."""
    rng = np.random.default_rng(seed)
    group = np.arange(rows) % 2
    truth = np.where(
        (group == 0)[:, None] | (not crossing), [0.1, 0.5, 0.2], [0.1, 0.2, 0.5]
    ).astype(float)
    offer = rng.integers(0, 3, rows)
    returned = (rng.random(rows) < truth[np.arange(rows), offer]).astype(int)
    frame = pd.DataFrame(
        {
            "offer": np.array(NAMES)[offer],
            "propensity": 1 / 3,
            "returned": returned,
            "value": returned * 100.0,
            "cost": returned * np.array([0.0, 20.0, 10.0])[offer],
            "departure_reason": np.where(group == 0, "price", "service"),
        }
    )
    return frame, truth


def graded(frame: pd.DataFrame, truth: np.ndarray, objective: str = "returns") -> Graded:
    profit = truth * (100 - np.array([0.0, 20.0, 10.0])) - np.array([0.0, 1.0, 1.0])
    predictions = pd.DataFrame(
        {f"return_probability_{name}": truth[:, k] for k, name in enumerate(NAMES)}
        | {f"expected_profit_{name}": profit[:, k] for k, name in enumerate(NAMES)}
    )
    return grade_rows(
        frame,
        predictions,
        offers={"discount": Offer(20.0, 1.0), "upgrade": Offer(10.0, 1.0)},
        control="none",
        objective=objective,
        rule={"price": "discount", "service": "upgrade"},
        rule_cost=8.0,
    )


def test_crossing_effects_are_personalized_and_a_common_best_offer_is_not():
    crossing = decide(graded(*a_world(crossing=True)))
    common = decide(graded(*a_world(crossing=False)))
    assert crossing["personalize"]
    assert not common["personalize"]
    assert common["best_single"] == "discount"


def test_noise_does_not_earn_personal_offers():
    frame, truth = a_world(crossing=False)
    noise = truth + np.random.default_rng(1).normal(0, 0.5, truth.shape)
    assert not decide(graded(frame, np.clip(noise, 0, 1)))["personalize"]


def test_how_evident_a_gain_is_is_told_by_the_rows_of_what_ships():
    """The choice is made on the rows of the graded models; all of them show what few do not."""
    frame, truth = a_world(crossing=True, rows=4_000)
    few = graded(frame[:100].reset_index(drop=True), truth[:100])
    alone, with_all = decide(few), decide(few, ships=graded(frame, truth))
    assert alone["personalize"]
    assert {"personalize", "best_single"} & {
        name for name in alone if alone[name] == with_all[name]
    } == {"personalize", "best_single"}
    assert (alone["n"], with_all["n"]) == (100, 4_000)
    assert with_all["gain_error"] < 0.3 * alone["gain_error"]
    assert with_all["evidence"]
    common = graded(*a_world(crossing=False))
    assert not decide(common, ships=graded(frame, truth))["evidence"]


def test_an_offer_of_a_few_rows_is_seldom_the_best_for_all():
    rng = np.random.default_rng(5)
    best = {True: 0, False: 0}
    for _ in range(200):
        sent = np.repeat([0, 1, 2], [1_500, 1_500, 40])
        scores = np.full((len(sent), 3), 0.2)
        lucky = (rng.random(len(sent)) < 0.2) - 0.2
        share = np.array([1_500, 1_500, 40]) / len(sent)
        scores[np.arange(len(sent)), sent] += lucky / share[sent]
        expected = np.full(scores.shape, 0.2)
        best[True] += decide(Graded(NAMES, scores, expected, expected))["best_single"] == NAMES[2]
        best[False] += int(scores.mean(axis=0).argmax()) == 2
    assert best[False] > 60
    assert best[True] < 0.85 * best[False]


def test_the_best_single_offer_is_not_flattered_by_having_been_picked():
    """Two offers as good as each other for all: whichever the rows favour is overstated."""
    rng = np.random.default_rng(6)
    gains, plain = [], []
    better = np.arange(400) % 2 == 0
    expected = np.column_stack([np.zeros(400), np.where(better, 0.2, 0), np.where(better, 0, 0.2)])
    for _ in range(200):
        scores = expected + rng.normal(size=expected.shape)
        decided = decide(Graded(NAMES, scores, expected, expected))
        best = NAMES.index(decided["best_single"])
        gains.append(decided["gain"])
        personal = np.where(better, scores[:, 1], scores[:, 2])
        plain.append(float((personal - scores[:, best]).mean()))
    true = 0.1  # of the personal choice over either offer for all
    error = np.std(plain) / np.sqrt(len(plain))
    assert np.mean(plain) < true - 3 * error
    assert abs(np.mean(gains) - true) < 0.7 * abs(np.mean(plain) - true)


def test_values_are_those_of_the_truth_within_their_intervals():
    frame, truth = a_world(crossing=True, rows=20_000)
    table = compare(graded(frame, truth), personalize=True, best_single="discount")
    value = table.set_index("policy")
    assert value.loc["ours", "value_per_customer"] == pytest.approx(0.5, abs=0.02)
    assert value.loc["discount_for_all", "value_per_customer"] == pytest.approx(0.35, abs=0.02)
    assert value.loc["treat_none", "value_per_customer"] == pytest.approx(0.1, abs=0.02)
    assert value.loc["ours", "gain_lo"] > 0.1
    assert value.loc["discount_for_all", "gain_over_best_single"] == 0.0
    assert (value["lo"] < value["value_per_customer"]).all()


def test_profit_subtracts_the_cost_of_acceptance_and_of_contact():
    frame, truth = a_world(crossing=True, rows=20_000)
    table = compare(graded(frame, truth, "profit"), personalize=True, best_single="upgrade")
    value = table.set_index("policy")["value_per_customer"]
    assert value["upgrade_for_all"] == pytest.approx(0.35 * 90 - 1, abs=1.5)
    assert value["ours"] == pytest.approx((0.5 * 80 + 0.5 * 90) / 2 - 1, abs=1.5)
    # The tailored rule sends what ours sends, and pays for finding out the reason.
    assert value["ours"] - value["tailored"] == pytest.approx(8.0)


def test_return_on_money_is_the_ratio_of_gain_to_money_spent():
    frame, truth = a_world(crossing=True, rows=40_000)
    table = compare(graded(frame, truth, "roi"), personalize=True, best_single="upgrade")
    value = table.set_index("policy")["value_per_customer"]
    gain, spent = 0.35 * 90 - 1 - 10, 0.35 * 10 + 1
    assert value["upgrade_for_all"] == pytest.approx(gain / spent, rel=0.1)
    assert "treat_none" not in value.index


def test_the_response_model_never_sends_nothing():
    frame, truth = a_world(crossing=True)
    truth[:, 0] = 0.9
    sent = policies(graded(frame, truth), personalize=True, best_single="discount")
    assert sent["response_model"][:, 0].sum() == 0
    assert sent["ours"][:, 0].all()


def test_the_tailored_rule_tosses_a_coin_where_the_reason_names_no_offer():
    reason = pd.Series(["price", "moved", None])
    rule = tailored_rule(reason, rule={"price": "discount", "service": "upgrade"}, names=NAMES)
    assert rule.tolist() == [[0, 1, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]]


def test_a_rule_with_an_unknown_offer_is_refused():
    with pytest.raises(ValueError, match="unknown offers gift; the experiment has none"):
        tailored_rule(pd.Series(["price"]), rule={"price": "gift"}, names=NAMES)


def test_under_limits_gains_are_over_one_offer_within_them():
    frame, truth = a_world(crossing=True, rows=20_000)
    judged = graded(frame, truth)
    deployed = np.where(np.arange(20_000) % 10 == 0, "discount", "none")
    reach = {"discount": 0.1, "upgrade": 0.05}
    table = compare(
        judged, personalize=True, best_single="upgrade", deployed=deployed, reach=reach
    ).set_index("policy")
    # Both promise .35 for .1 of the customers they go to; there are more discounts to send.
    assert set(table["over"]) == {"discount_within_limits"}
    assert table.loc["discount_within_limits", "sent"] == pytest.approx(0.1)
    values = table["value_per_customer"]
    expected = 0.1 * values["discount_for_all"] + 0.9 * values["treat_none"]
    assert values["discount_within_limits"] == pytest.approx(expected)
    assert table.loc["ours", "gain_over_best_single"] == pytest.approx(
        values["ours"] - values["discount_within_limits"]
    )
    assert table.loc["ours", "gain_lo"] > 0
    assert table.loc["ours", "sent"] == pytest.approx(0.1)


def test_gains_are_over_the_best_single_offer_where_limits_let_it_go_to_all():
    frame, truth = a_world(crossing=True)
    judged = graded(frame, truth)
    for best, over in (("upgrade", "upgrade_for_all"), ("none", "treat_none")):
        table = compare(
            judged, personalize=True, best_single=best, reach={"discount": 0.1, "upgrade": 1.0}
        )
        assert set(table["over"]) == {over}
        assert "upgrade_within_limits" not in set(table["policy"])


def test_within_limits_nothing_is_sent_where_every_offer_promises_a_loss():
    frame, truth = a_world(crossing=False)
    judged = graded(frame, np.array([0.9, 0.5, 0.2]) + 0 * truth)
    table = compare(
        judged, personalize=True, best_single="discount", reach={"discount": 0.1, "upgrade": 0.1}
    )
    assert set(table["over"]) == {"treat_none"}


def test_ours_is_what_is_deployed_and_a_rule_costs_what_it_keeps_from_customers():
    frame, truth = a_world(crossing=True, rows=20_000)
    judged = graded(frame, truth)
    best = np.where(np.arange(20_000) % 2 == 0, "discount", "upgrade")
    excluded = np.arange(20_000) % 4 < 2  # a half, whose returns fall from .5 to .1
    deployed = np.where(excluded, "none", best)
    table = compare(judged, personalize=True, best_single="discount", deployed=deployed)
    value = table.set_index("policy")["value_per_customer"]
    assert value["before_rules"] == pytest.approx(0.5, abs=0.02)
    assert value["ours"] == pytest.approx(0.3, abs=0.02)
    gains = paired_gains(judged, deployed, {"half": best, "idle": deployed}).set_index("policy")
    assert gains.loc["half", "customers"] == 10_000
    assert gains.loc["half", "lo"] < 0.2 < gains.loc["half", "hi"]
    found = gains.loc["half", "gain"]
    assert found == pytest.approx(value["before_rules"] - value["ours"])
    assert gains.loc["idle", ["customers", "gain"]].tolist() == [0, 0]
