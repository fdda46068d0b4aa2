"""Recommendations: money right, rules first, and the reasons in words."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from decided import FOUR, OFFERS, decide, facts_of, learn, many, predicted

from winback.models.decision.decision import decision_from_json, decision_to_json
from winback.models.decision.evidence import KindsTested
from winback.models.decision.recommend import (
    DECISION_COLUMNS,
    recommend,
)
from winback.models.offers import of_own_offer


def test_profit_is_gain_minus_cost_on_acceptance_and_contact():
    table = decide(FOUR)
    assert table["recommended_offer"].tolist() == ["discount", "upgrade", "none", "none"]
    # .5 * (900 - 120) - 1 - .1 * 900 = 299 and .4 * (900 - 105) - 1 - 90 = 227
    np.testing.assert_allclose(table["expected_incremental_profit"], [299, 227, 0, 0])
    assert table["propensity"].tolist() == [1, 1, 1, 1]
    assert table["strategy"].tolist() == ["win back", "win back", "end", "end"]


def test_reasons_say_why_in_words():
    reasons = decide(FOUR, facts_of(FOUR))["reasons"]
    assert reasons[0] == ("discount: 50 in 100 return instead of 10, gain +299.00")
    assert reasons[2] == "do not disturb: every offer makes a return less likely"
    assert reasons[3] == "not worth it: discount would gain -5.20"


def test_every_rule_that_leaves_a_customer_without_an_offer_is_named():
    table = decide(FOUR)
    expected = ["-", "-", "do_not_disturb", "smallest_profit"]
    assert table["excluded_by"].fillna("-").tolist() == expected
    assert list(recommend(learn(FOUR), facts_of(FOUR), FOUR).columns) == [*DECISION_COLUMNS]


def test_a_decision_read_from_its_file_decides_the_same_for_each_customer_alone():
    predictions = many(300)
    rows = facts_of(predictions, departures_so_far=np.arange(300) % 3.0)
    decision = learn(
        predictions,
        rows,
        budget=2_000,
        capacity={"upgrade": 20},
        holdout_share=0.2,
        tested=KindsTested("", "", (), {"": 500}),
    )
    body = decision_to_json(decision)
    again = decision_from_json(body)
    assert again == decision
    assert decision_to_json(again) == body
    together = recommend(decision, rows, predictions)
    alone = pd.concat(
        [recommend(again, rows.iloc[[row]], predictions.iloc[[row]]) for row in range(300)]
    )
    pd.testing.assert_frame_equal(alone, together)
    with pytest.raises(ValueError, match="does not fit this version"):
        decision_from_json(b'{"control": "none"}')


def test_the_file_is_strict_json_where_nobody_is_active():
    decision = learn(FOUR)
    assert decision.strategy.high_value is None
    json.loads(decision_to_json(decision), parse_constant=pytest.fail)
    endless = replace(decision, strategy=replace(decision.strategy, high_value=np.inf))
    with pytest.raises(ValueError, match="not JSON compliant"):
        decision_to_json(endless)


def test_a_column_that_a_rule_needs_is_never_silently_absent():
    rows = facts_of(FOUR, departures_so_far=0.0)
    with pytest.raises(ValueError, match="1 columns are missing: departures_so_far"):
        recommend(learn(FOUR, rows), facts_of(FOUR), FOUR)


def test_the_objective_picks_the_offer():
    # Kumar's averages: discount earns most, upgrade returns most on its cost
    one = predicted([[0.0, 0.45, 0.41, 930]])
    assert decide(one)["recommended_offer"][0] == "discount"
    assert decide(one, objective="roi")["recommended_offer"][0] == "upgrade"
    assert decide(one, objective="returns")["recommended_offer"][0] == "discount"
    loss = predicted([[0.0, 0.45, 0.41, 100]])
    assert decide(loss)["recommended_offer"][0] == "none"
    assert decide(loss, objective="roi")["recommended_offer"][0] == "none"
    assert decide(loss, objective="returns")["recommended_offer"][0] == "discount"


def test_roi_is_the_return_on_all_the_money_decided_row_by_row():
    few = predicted([[0.0, 0.45, 0.41, 930], *[[0.1, 0.3, 0.28, 500]] * 5])
    rows = facts_of(few)
    decision = learn(few, rows, objective="roi")
    together = recommend(decision, rows, few)
    alone = [recommend(decision, rows.iloc[[row]], few.iloc[[row]]) for row in range(len(few))]
    pd.testing.assert_frame_equal(pd.concat(alone), together)

    def returned(offers):
        gain = of_own_offer(few, offers, "expected_profit_") - few["expected_profit_none"]
        chance = of_own_offer(few, offers, "return_probability_")
        cost = [OFFERS[name].expected_cost(p) for name, p in zip(offers, chance, strict=True)]
        return float(gain.sum() / np.sum(cost))

    ours = returned(together["recommended_offer"])
    for first, other in product(OFFERS, repeat=2):
        assert returned([first, *[other] * 5]) <= ours + 1e-9


def test_without_evidence_for_personal_offers_all_get_the_best_single_one():
    table = decide(FOUR, personalize=False, best_single="upgrade")
    assert set(table["recommended_offer"]) == {"upgrade"}
    assert table["reasons"].str.contains("best single offer").all()
    nobody = decide(FOUR, personalize=False, best_single="none")
    assert set(nobody["recommended_offer"]) == {"none"}


def test_the_single_offer_is_not_sent_where_it_is_expected_to_lose():
    """What the experiment likes best may lose among the customers of today."""
    poor = predicted([[0.5, 0.52, 0.5, 300], [0.5, 0.54, 0.5, 300], [0.1, 0.2, 0.1, 900]])
    loses = poor["expected_profit_discount"] < poor["expected_profit_none"]
    assert loses.tolist() == [True, True, False]
    few = decide(poor, personalize=False)
    assert set(few["recommended_offer"]) == {"none"}
    assert set(few["excluded_by"]) == {"no_offer_is_best"}
    more = predicted([[0.5, 0.52, 0.5, 300], [0.1, 0.6, 0.1, 900]])
    assert set(decide(more, personalize=False)["recommended_offer"]) == {"discount"}


def test_hard_rules_come_before_any_gain():
    rich = predicted([[0.1, 0.6, 0.5, 900]] * 6)
    facts = facts_of(
        rich,
        departures_so_far=[2, 1, np.nan, 0, 0, 0],
        days_since_last_contact=[90, 99, np.nan, 30, 90, 90],
        days_since_last_offer=[90, 29, np.nan, 30, 90, 90],
        departure_reason=["price", "price", None, "price", "moved", "rare"],
    )
    tested = KindsTested("departure_reason", "", (), {"price": 500, "not stated": 100, "rare": 5})
    for personalize in (True, False):
        table = decide(rich, facts, personalize=personalize, tested=tested)
        offered = (table["recommended_offer"] == "discount").tolist()
        assert offered == [False, False, True, True, False, False]
        assert table["strategy"].dropna().tolist() == ["end", "win back", "win back", "end"]
        assert table["strategy"].isna().tolist() == [False, True, False, False, False, True]
    assert "lost 2 times" in table["reasons"][0]
    assert "less than 30 days ago" in table["reasons"][1]
    assert "no offer mends" in table["reasons"][4]
    assert "too few customers" in table["reasons"][5]


def test_active_customers_get_a_risk_and_a_strategy_but_no_offer():
    both = FOUR.assign(churn_probability=[0.4, np.nan, np.nan, np.nan])
    both.loc[0, [name for name in FOUR if name not in ("customer_id", "as_of")]] = np.nan
    facts = facts_of(both, spend_360d=[500.0, 1, 1, 1])
    facts.loc[0, "population"] = "active"
    table = decide(both, facts)
    assert table["recommended_offer"].isna().tolist() == [True, False, False, False]
    assert np.isnan(table["expected_incremental_profit"][0])
    assert table["strategy"][0] == "protect"
    assert table["reasons"][0] == "40 in 100 like this one leave"


@pytest.mark.parametrize("wrong", ["Active", "LOST", "lost "])
def test_a_population_that_nobody_knows_is_refused(wrong):
    facts = facts_of(FOUR)
    facts.loc[2, "population"] = wrong
    with pytest.raises(ValueError, match=r"must be one of active, lost, experiment, found .*: 1\)"):
        decide(FOUR, facts)


def test_priorities_rank_by_gain_where_nothing_else_is_known():
    table = decide(many(500))
    gain = table.groupby("priority")["expected_incremental_profit"].mean()
    assert gain["A"] > gain["B"] > gain["C"]


def test_without_an_experiment_there_are_risks_and_no_offers():
    frame = FOUR[["customer_id", "as_of"]].assign(churn_probability=0.2)
    facts = facts_of(frame).assign(population=["active", "active", "lost", "lost"])
    table = decide(frame, facts, offers={})
    assert table["recommended_offer"].tolist()[2:] == ["none", "none"]
    assert table["recommended_offer"].isna().tolist() == [True, True, False, False]
    assert table["strategy"].isna().all()  # nothing tells what anybody is worth
    worth = facts.assign(days_since_last_order=[9, 9, 20, 200], spend_360d=[1.0, 1, 1, 99])
    told = decide(frame, worth, offers={})
    assert told["strategy"].tolist()[2:] == ["end", "win back"]
    assert told["reasons"][2] == "no experiment says what to offer; others come first"
    assert told["reasons"][3] == "no experiment says what to offer; rule of thumb by lapse: 15% off"


def test_returns_objective_needs_no_money():
    chances = FOUR[[name for name in FOUR if not name.startswith("expected_profit")]]
    assert decide(chances, objective="returns")["recommended_offer"][0] == "discount"
    with pytest.raises(ValueError, match="expected_profit_none, expected_profit_discount"):
        decide(chances)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": "revenue"}, "one of profit, roi, returns, found 'revenue'"),
        ({"control": "discount"}, "must not be among the offers"),
        ({"capacity": {"gift": 3}}, "'gift' is no offer"),
        ({"best_single": "gift"}, "'gift' is no offer"),
    ],
)
def test_bad_arguments_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        decide(FOUR, **changes)
