"""Recommendations: money right, rules first, limits kept, holdout random and written down."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from winback.models.decision.decision import decision_from_json, decision_to_json
from winback.models.decision.draws import Draws
from winback.models.decision.eligibility import Rules
from winback.models.decision.evidence import KindsTested
from winback.models.decision.learn import Limits, OfferEvidence, learn_decision
from winback.models.decision.reasons import sentences
from winback.models.decision.recommend import (
    DECISION_COLUMNS,
    recommend,
    sent_offers,
    weigh,
)
from winback.models.decision.strategy import lapse_discount
from winback.models.offers import Offer, of_own_offer

OFFERS = {
    "discount": Offer(120.0, 1.0),
    "upgrade": Offer(105.0, 1.0),
}


def predicted(rows):
    """Each row: p_none, p_discount, p_upgrade, value; profit as the data contract says."""
    frame = pd.DataFrame(rows, columns=["p_none", "p_discount", "p_upgrade", "value"])
    out = pd.DataFrame({"customer_id": np.arange(len(frame)), "as_of": pd.Timestamp("2026-01-01")})
    costs = {"none": (0, 0), "discount": (120, 1), "upgrade": (105, 1)}
    for name, (paid, contact) in costs.items():
        chance = frame[f"p_{name}"]
        out[f"return_probability_{name}"] = chance
        if name != "none":
            out[f"uplift_{name}"] = chance - frame["p_none"]
        out[f"expected_profit_{name}"] = chance * (frame["value"] - paid) - contact
    return out


def facts_of(predictions, **columns):
    base = pd.DataFrame({"customer_id": predictions["customer_id"], "population": "lost"})
    return base.assign(**columns)


def learn(predictions, facts=None, *, part_rows=10_000, **changes):
    arguments = {
        "control": "none",
        "offers": OFFERS,
        "objective": "profit",
        "personalize": True,
        "best_single": "discount",
        "holdout_share": 0.0,
        "exploration_share": 0.0,
        "budget": None,
        "capacity": None,
        "seed": 0,
        **changes,
    }
    rows = facts_of(predictions) if facts is None else facts
    told = {name: arguments[name] for name in ("personalize", "best_single")}
    return learn_decision(
        [
            (rows.iloc[first : first + part_rows], predictions.iloc[first : first + part_rows])
            for first in range(0, len(rows), part_rows)
        ],
        experiment=OfferEvidence(
            arguments["control"],
            arguments["offers"],
            {arguments["objective"]: told} if arguments["offers"] else {},
            arguments.get("tested"),
        ),
        objective=arguments["objective"],
        rules=Rules(),
        limits=Limits(arguments["budget"], arguments["capacity"]),
        draws=Draws(
            arguments["holdout_share"], arguments["exploration_share"], str(arguments["seed"])
        ),
        new_days=90,
        high_risk=0.1,
        retention=arguments.get("retention"),
    )


def decide(predictions, facts=None, **changes):
    rows = facts_of(predictions) if facts is None else facts
    decision = learn(predictions, rows, **changes)
    table = pd.concat([predictions, recommend(decision, rows, predictions)], axis=1)
    risk = predictions.get("churn_probability", pd.Series(np.nan, index=table.index))
    percent = lapse_discount(rows.get("days_since_last_order", np.full(len(rows), np.nan)))
    weighed = weigh(decision, rows, predictions)
    return table.assign(
        reasons=sentences(
            decision,
            weighed,
            risk=risk.to_numpy(),
            percent=percent,
            strategy=table["strategy"].to_numpy(),
        )
    )


# discount is best for 0, upgrade for 1; 2 is hurt by both; 3 gains too little to pay
FOUR = predicted(
    [[0.1, 0.5, 0.2, 900], [0.1, 0.3, 0.4, 900], [0.3, 0.2, 0.1, 900], [0.1, 0.11, 0.1, 900]]
)


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
    assert decision_to_json(again) == body
    together = recommend(decision, rows, predictions)
    alone = pd.concat(
        [recommend(again, rows.iloc[[row]], predictions.iloc[[row]]) for row in range(300)]
    )
    pd.testing.assert_frame_equal(alone, together)
    with pytest.raises(ValueError, match="does not fit this version"):
        decision_from_json(b'{"control": "none"}')


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


def many(rows=3000, seed=0):
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.02, 0.3, rows)
    lift = rng.normal(0.15, 0.12, (rows, 2))
    chance = np.clip(base[:, None] + lift, 0.01, 0.99)
    return predicted(np.column_stack([base, chance, rng.gamma(3, 300, rows)]))


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
