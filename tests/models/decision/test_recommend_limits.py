"""Recommendations within limits: budget and capacity kept, holdout and exploration written down."""

import numpy as np
import pandas as pd
import pytest
from decided import FOUR, OFFERS, decide, facts_of, learn, many

from winback.models.decision.decision import decision_to_json
from winback.models.decision.recommend import (
    recommend,
)


def expected_spend(table):
    return spend_of(table[~table["holdout"].astype(bool)], "recommended_offer")


def spend_of(table, column):
    spend = 0.0
    for name, terms in OFFERS.items():
        mine = table[table[column] == name]
        chance = mine[f"return_probability_{name}"]
        spend += (chance * terms.cost_on_acceptance + terms.contact_cost).sum()
    return spend


def test_budget_and_capacity_hold_after_the_holdout():
    table = decide(
        many(), budget=20_000, capacity={"discount": 100, "upgrade": 90}, holdout_share=0.1
    )
    sent = table.loc[~table["holdout"].astype(bool), "recommended_offer"].value_counts()
    assert sent["discount"] <= 100
    assert sent["upgrade"] <= 90
    tight = decide(many(), budget=5_000, holdout_share=0.1)
    assert 0.98 * 5_000 < expected_spend(tight) <= 5_000
    assert expected_spend(decide(many(), budget=5_000)) <= 5_000
    assert tight["reasons"].str.contains("beyond the budget").any()


@pytest.mark.parametrize("objective", ["profit", "roi"])
def test_the_decision_does_not_depend_on_where_parts_end(objective):
    rows = facts_of(many(), spend_360d=np.arange(len(many())) % 97, spend_total=5.0)
    rows["population"] = np.where(np.arange(len(rows)) % 3, "lost", "active")
    limits = {"budget": 20_000, "capacity": {"upgrade": 90}, "holdout_share": 0.1}
    told = {"objective": objective, **limits}
    whole, parts = (learn(many(), rows, part_rows=size, **told) for size in (len(rows), 37))
    assert decision_to_json(parts) == decision_to_json(whole)
    assert whole.prices.money > 0
    assert set(whole.priority) == {"active", "lost"}


def test_a_larger_budget_never_earns_less():
    earned = [
        decide(many(), budget=budget)["expected_incremental_profit"].sum()
        for budget in (0, 1_000, 5_000, 20_000, 1e9)
    ]
    assert earned == sorted(earned)
    assert earned[0] == 0


def test_the_holdout_is_random_within_every_offer_with_its_probability_written_down():
    table = decide(many(), holdout_share=0.1)
    offered = table["recommended_offer"] != "none"
    held = table["holdout"].astype(bool)
    assert not held[~offered].any()
    assert (table.loc[~offered, "propensity"] == 1).all()
    assert (table.loc[held, "propensity"] == 0.1).all()
    assert (table.loc[offered & ~held, "propensity"] == 0.9).all()
    for _, group in table[offered].groupby("recommended_offer"):
        assert 0.06 < group["holdout"].mean() < 0.14


def test_some_explore_and_the_logged_probability_is_that_of_what_is_sent():
    table = decide(many(), holdout_share=0.1, exploration_share=0.2)
    offered = table["recommended_offer"] != "none"
    held = table["holdout"].astype(bool)
    assert (table.loc[held | ~offered, "assigned_offer"] == "none").all()
    sent = table[offered & ~held]
    other = sent["assigned_offer"] != sent["recommended_offer"]
    assert other.mean() == pytest.approx(0.1, abs=0.03)
    np.testing.assert_allclose(sent["propensity"], np.where(other, 0.09, 0.81))
    for name in ("none", *OFFERS):
        weight = (1 / table["propensity"])[offered & (table["assigned_offer"] == name)]
        assert weight.sum() == pytest.approx(offered.sum(), rel=0.15)


def test_exploring_keeps_to_the_budget_and_spares_scarce_offers():
    table = decide(many(), budget=20_000, holdout_share=0.1, exploration_share=0.5)
    assert 0.95 * 20_000 < spend_of(table, "assigned_offer") <= 1.02 * 20_000
    scarce = decide(many(), capacity={"upgrade": 90}, exploration_share=0.5)
    sent = scarce["assigned_offer"].value_counts()
    assert sent["upgrade"] <= 90


def test_what_is_assigned_is_unknown_without_an_id():
    rows = facts_of(FOUR).drop(columns="customer_id")
    found = recommend(learn(FOUR, holdout_share=0.1), rows, FOUR)
    assert found["holdout"].tolist() == [None, None, False, False]
    assert found["assigned_offer"].fillna("-").tolist() == ["-", "-", "none", "none"]
    assert np.isnan(found["propensity"][0])


def test_row_order_changes_nothing():
    predictions = many(400)
    order = np.random.default_rng(1).permutation(400)
    expected = decide(predictions, holdout_share=0.2, budget=3_000)
    shuffled = predictions.iloc[order].reset_index(drop=True)
    found = decide(shuffled, holdout_share=0.2, budget=3_000)
    found = found.sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(found, expected)


def test_the_next_best_offer_goes_to_all_where_the_best_is_no_longer_sent():
    told = {"personalize": False, "best_single": "discount"}
    others = decide(many(), capacity={"discount": 0}, **told)["recommended_offer"]
    assert set(others) == {"upgrade"}
    nobody = decide(many(), capacity={"discount": 0, "upgrade": 0}, **told)["recommended_offer"]
    assert set(nobody) == {"none"}
    personal = decide(many(), capacity={"discount": 0})["recommended_offer"]
    assert set(personal) == {"none", "upgrade"}
