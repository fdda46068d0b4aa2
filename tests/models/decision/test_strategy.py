"""Rules of practice: every strategy, letter, step and class on a table that shows it."""

import numpy as np
import pandas as pd
import pytest

from winback.models.decision.eligibility import (
    contacted_recently,
    do_not_disturb,
    gone_for_good,
    lost_too_often,
    not_worth_it,
    too_little_evidence,
)
from winback.models.decision.strategy import (
    DEPARTURE_CLASSES,
    STRATEGIES,
    departure_class,
    lapse_discount,
    priorities,
    strategies,
)

ACTIVE, LOST = "active", "lost"


def test_each_strategy_has_its_customer():
    rows = [
        # population, value, cost_to_serve, growth, risk, tenure_days, expected
        (ACTIVE, 500, 10, 0.0, 0.5, 30, "start"),
        (ACTIVE, 500, 10, 0.0, 0.5, 400, "protect"),
        (ACTIVE, 300, 350, 0.3, 0.0, 400, "re-engineer"),
        (ACTIVE, 500, 10, 0.2, 0.01, 400, "enhance"),
        (ACTIVE, 500, 10, 0.0, 0.01, 400, "harvest"),
        (ACTIVE, 50, 80, 0.3, 0.01, 400, "end"),
        (ACTIVE, 50, 10, 0.0, 0.9, 400, "harvest"),
        (LOST, 500, 10, 0.0, np.nan, 400, "win back"),
        (LOST, 50, 10, 0.0, np.nan, 400, "end"),
    ]
    names = ["population", "value", "cost_to_serve", "growth", "risk", "tenure_days", "expected"]
    facts = pd.DataFrame(rows, columns=names)
    found = strategies(facts, worth_winning=facts["value"] > 100, high_value=300)
    assert found.tolist() == facts["expected"].tolist()
    assert set(found) == set(STRATEGIES)


def test_unknown_facts_trigger_no_rule():
    facts = pd.DataFrame({"population": [ACTIVE, LOST]})
    assert strategies(facts, worth_winning=[True, True]).tolist() == ["harvest", "win back"]
    with pytest.raises(ValueError, match="'population' is missing"):
        strategies(pd.DataFrame({"value": [1.0]}), worth_winning=[True])


def test_valuable_means_above_the_median_of_the_active():
    facts = pd.DataFrame(
        {"population": [ACTIVE] * 3 + [LOST], "value": [1.0, 2, 3, 1e9], "risk": [0.9] * 4}
    )
    found = strategies(facts, worth_winning=[False] * 4)
    assert found.tolist() == ["harvest", "protect", "protect", "end"]


def test_priorities_rank_three_things_together():
    rising = np.arange(10.0)
    found = priorities(rising, rising * 100, rising)
    assert found.tolist() == ["C"] * 5 + ["B"] * 3 + ["A"] * 2
    nothing = np.full(10, np.nan)
    assert priorities(nothing, rising, nothing).tolist() == found.tolist()
    assert set(priorities(nothing, nothing, nothing)) == {"C"}


def test_equal_customers_get_equal_letters():
    same = np.r_[np.zeros(5), np.ones(5)]
    found = priorities(same, same, same)
    assert len(set(found[:5])) == len(set(found[5:])) == 1
    with pytest.raises(ValueError, match="leave a C"):
        priorities(same, same, same, a_share=0.6, b_share=0.4)


def test_lapse_discount_steps_at_90_180_360_days():
    days = [0, 89.9, 90, 180, 359, 360, 5000, np.nan]
    assert lapse_discount(days).tolist() == [0, 0, 10, 15, 15, 20, 20, 0]
    assert lapse_discount([31], days=[30], percent=[5]).tolist() == [5]
    with pytest.raises(ValueError, match="days must rise"):
        lapse_discount([1], days=[90, 30], percent=[1, 2])


def test_departure_classes_are_those_of_stauss_and_friege():
    found = departure_class(pd.Series(["price", "competitor", "involuntary", None, "whim"]))
    assert found.tolist() == [
        "bought away",
        "pulled away",
        "intentionally pushed away",
        "unknown",
        "unknown",
    ]
    assert len(set(DEPARTURE_CLASSES.values())) == 5


def test_rules_exclude_at_their_limit_and_never_on_the_unknown():
    nan = np.nan
    assert lost_too_often([1, 2, nan], limit=2).tolist() == [False, True, False]
    assert contacted_recently([29, 30, nan], cooldown_days=30).tolist() == [True, False, False]
    reason = pd.Series(["moved", "price", None])
    assert gone_for_good(reason, reasons={"moved"}).tolist() == [True, False, False]
    assert too_little_evidence([99, 100, nan], least_rows=100).tolist() == [True, False, False]
    assert do_not_disturb([[-0.1, 0.0, nan]]).tolist() == [[True, False, False]]
    assert not_worth_it([[0.0, 0.1, nan]], smallest_profit=0).tolist() == [[True, False, False]]
