"""Recommendations for active customers beside those for the lost."""

import numpy as np
import pandas as pd
from decided import FOUR, decide, facts_of, learn

from winback.models.decision.decision import decision_from_json, decision_to_json
from winback.models.decision.learn import OfferEvidence
from winback.models.decision.recommend import (
    DECISION_COLUMNS,
    recommend,
    sent_offers,
)
from winback.models.offers import Offer

REBATE = OfferEvidence(
    "nothing",
    {"rebate": Offer(10.0, 1.0)},
    {"profit": {"personalize": True, "best_single": "rebate"}},
    None,
)


def beside_active(predictions):
    """The lost of a test, and behind them three active customers: kept, unmoved, driven away."""
    active = pd.DataFrame(
        {
            "customer_id": [100, 101, 102],
            "stay_probability_nothing": [0.8, 0.8, 0.8],
            "stay_probability_rebate": [0.95, 0.8, 0.6],
            "uplift_rebate": [0.15, 0.0, -0.2],
            "expected_profit_nothing": [160.0, 160.0, 160.0],  # a stay is worth 200
            "expected_profit_rebate": [179.5, 151.0, 113.0],
            "churn_probability": [0.2, 0.2, 0.2],
        }
    )
    both = pd.concat([predictions, active], ignore_index=True)
    population = ["lost"] * len(predictions) + ["active"] * len(active)
    return both, facts_of(both).assign(population=population)


def test_active_customers_get_the_offer_that_keeps_them_and_the_lost_theirs():
    outputs, facts = beside_active(FOUR)
    table = decide(outputs, facts, retention=REBATE)
    expected = ["discount", "upgrade", "none", "none", "rebate", "nothing", "nothing"]
    assert table["recommended_offer"].tolist() == expected
    np.testing.assert_allclose(table["expected_incremental_profit"][4:], [19.5, 0, 0])
    assert table["excluded_by"][5:].tolist() == ["smallest_profit", "do_not_disturb"]
    assert table["strategy"][4] == "protect"
    alone = decide(FOUR)
    columns = [name for name in DECISION_COLUMNS if name != "priority"]
    pd.testing.assert_frame_equal(table.loc[:3, columns], alone[columns], check_dtype=False)
    without = decide(outputs, facts)
    assert without["recommended_offer"][4:].isna().all()


def test_rules_about_the_lost_do_not_hold_for_the_active_and_those_on_contacts_do():
    outputs, facts = beside_active(FOUR)
    facts = facts.assign(
        departures_so_far=5, departure_reason="moved", days_since_last_contact=[99] * 6 + [1]
    )
    table = decide(outputs, facts, retention=REBATE)
    assert table["recommended_offer"][4] == "rebate"
    assert table["excluded_by"][6] == "cooldown_days"


def test_a_budget_is_one_for_both_populations():
    outputs, facts = beside_active(FOUR)
    # discount costs 61 and gains 299, upgrade 43 for 227, rebate .95 * 10 + 1 = 10.5 for 19.5
    for budget, last in ((110.0, "nothing"), (115.0, "rebate")):
        decision = learn(outputs, facts, retention=REBATE, budget=budget)
        sent = recommend(decision, facts, outputs)["recommended_offer"]
        assert sent[[0, 1, 4]].tolist() == ["discount", "upgrade", last]
    one = learn(outputs, facts, retention=REBATE, capacity={"rebate": 0.0})
    assert one.retention is not None
    assert recommend(one, facts, outputs)["recommended_offer"][4] == "nothing"


def test_the_file_holds_the_decision_on_the_active_only_where_there_is_one():
    outputs, facts = beside_active(FOUR)
    decision = learn(outputs, facts, retention=REBATE, holdout_share=0.3)
    read = decision_from_json(decision_to_json(decision))
    pd.testing.assert_frame_equal(
        recommend(read, facts, outputs), recommend(decision, facts, outputs)
    )
    assert read.retention is not None
    assert sent_offers(read.retention, outputs[4:], outputs[4:]).tolist() == [
        "rebate",
        "nothing",
        "nothing",
    ]
    text = decision_to_json(learn(outputs, facts))
    assert b"retention" not in text
    assert b"population" not in text
