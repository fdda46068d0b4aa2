"""Rules at their limits: who is excluded, by which of them, and never on the unknown."""

import numpy as np
import pytest

from winback.models.decision.eligibility import HARD_RULES, Rules, excluded_by

NAN = np.nan
OPEN = {
    "times_lost": 0.0,
    "days_since_last_contact": 90.0,
    "reason": "price",
    "experiment_rows": 500.0,
}


USUAL = Rules()


def excluded(rules=USUAL, **facts):
    rows = max((len(values) for values in facts.values()), default=1)
    columns = {
        name: np.array(facts.get(name, [usual] * rows), dtype=object if name == "reason" else float)
        for name, usual in OPEN.items()
    }
    return excluded_by(rules, columns).tolist()


@pytest.mark.parametrize(
    ("fact", "values", "rule"),
    [
        ("times_lost", [1, 2, NAN], "lost_limit"),
        ("days_since_last_contact", [30, 29, NAN], "cooldown_days"),
        ("reason", ["price", "moved", None], "hopeless_reasons"),
        ("experiment_rows", [100, 99, NAN], "least_experiment_rows"),
    ],
)
def test_a_rule_excludes_beyond_its_limit_and_never_on_the_unknown(fact, values, rule):
    assert excluded(**{fact: values}) == ["", rule, ""]
    assert excluded(Rules(**{rule: None}), **{fact: values}) == ["", "", ""]


def test_the_first_rule_that_applies_is_named():
    facts = {"times_lost": [5], "days_since_last_contact": [1], "reason": ["moved"]}
    assert excluded(**facts) == [HARD_RULES[0]]
    assert excluded(Rules(lost_limit=None), **facts) == [HARD_RULES[1]]
