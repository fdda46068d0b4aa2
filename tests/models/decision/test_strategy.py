"""Rules of practice: every strategy, letter, step and class on a table that shows it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from winback.models.decision.strategy import (
    DEPARTURE_CLASSES,
    StrategyLimits,
    departure_class,
    lapse_discount,
    learn_priorities,
    priorities,
    strategies,
)

ACTIVE, LOST = "active", "lost"
LIMITS = StrategyLimits(new_days=90, high_risk=0.1, high_value=300)


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
        (ACTIVE, 50, 10, 0.2, 0.9, 400, "harvest"),  # nobody sells more to who is leaving
        (LOST, 500, 10, 0.0, np.nan, 400, "win back"),
        (LOST, 50, 10, 0.0, np.nan, 400, "end"),
    ]
    names = ["population", "value", "cost_to_serve", "growth", "risk", "tenure_days", "expected"]
    facts = pd.DataFrame(rows, columns=names)
    found = strategies(
        {name: facts[name].to_numpy() for name in names[1:-1]},
        lost=(facts["population"] == LOST).to_numpy(),
        worth_winning=(facts["value"] > 100).to_numpy(),
        judged=np.full(len(facts), True),
        limits=LIMITS,
    )
    assert found.tolist() == facts["expected"].tolist()


def test_of_whom_nothing_is_known_nothing_is_said():
    names = ("value", "cost_to_serve", "growth", "risk", "tenure_days")
    found = strategies(
        dict.fromkeys(names, np.full(3, np.nan)),
        lost=np.array([False, True, True]),
        worth_winning=np.array([True, True, False]),
        judged=np.array([False, True, False]),
        limits=LIMITS,
    )
    assert found.tolist() == ["", "win back", ""]


def test_at_a_risk_alone_nobody_is_called_of_little_value():
    facts = {"value": np.nan, "cost_to_serve": np.nan, "growth": 0.3, "tenure_days": 400.0}
    found = strategies(
        {name: np.full(2, fact) for name, fact in facts.items()} | {"risk": np.array([0.9, 0.01])},
        lost=np.full(2, False),
        worth_winning=np.full(2, False),
        judged=np.full(2, False),
        limits=LIMITS,
    )
    assert found.tolist() == ["", "enhance"]


def test_without_a_limit_nobody_is_valuable():
    facts = {"value": 500.0, "cost_to_serve": 10.0, "growth": 0.0, "risk": 0.5, "tenure_days": 400}
    found = strategies(
        {name: np.array([fact]) for name, fact in facts.items()},
        lost=np.array([False]),
        worth_winning=np.array([False]),
        judged=np.array([True]),
        limits=replace(LIMITS, high_value=None),
    )
    assert found.tolist() == ["harvest"]


def letters(*columns):
    return priorities(learn_priorities(*columns), *columns)


def test_priorities_rank_three_things_together():
    rising = np.arange(10.0)
    found = letters(rising, rising * 100, rising)
    assert found.tolist() == ["C"] * 5 + ["B"] * 3 + ["A"] * 2
    nothing = np.full(10, np.nan)
    assert letters(nothing, rising, nothing).tolist() == found.tolist()
    assert set(letters(nothing, nothing, nothing)) == {"C"}


def test_equal_customers_get_equal_letters():
    same = np.r_[np.zeros(5), np.ones(5)]
    found = letters(same, same, same)
    assert len(set(found[:5])) == len(set(found[5:])) == 1


def test_a_customer_alone_gets_the_letter_that_the_population_gave():
    columns = [np.random.default_rng(seed).gamma(2, 100, 500) for seed in range(3)]
    cuts = learn_priorities(*columns)
    together = priorities(cuts, *columns)
    alone = [priorities(cuts, *(column[[row]] for column in columns))[0] for row in range(500)]
    assert together.tolist() == alone
    assert 95 <= (together == "A").sum() <= 105
    assert 145 <= (together == "B").sum() <= 155


def test_lapse_discount_rises_at_each_step():
    lapsed = [0, 89.9, 90, 180, 359, 360, 5000, np.nan]
    found = lapse_discount(lapsed, days=[90, 180, 360], percent=[10, 15, 20])
    assert found.tolist() == [0, 0, 10, 15, 15, 20, 20, 0]
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
