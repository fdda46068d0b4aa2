"""What is said of the customers who come first fits them, beside customers like them."""

import numpy as np
import pandas as pd
import pytest

from winback.models.formula.answers import Answers
from winback.models.formula.formula import Column, Formula
from winback.pipelines.scoring.first_reasons import First, why_first

NAMES = ("days_since_last_order", "bought_mens")
MEANINGS = {
    "days_since_last_order": "days since the last order",
    "bought_mens": "1 if true: bought mens",
}


def formula(output):
    """Both features raise the output, the days more."""
    terms = [[0, [0.0, 900.0], [0.0, 900.0], 0.0], [1, [0.0, 1.0], [0.1, 0.2], 0.0]]
    return Formula(tuple(map(Column, NAMES)), {output: ["additive", 0.0, terms]}, (output,))


def said(tmp_path, **columns):
    """Of the active customer 3 and the lost customer 6, by id."""
    current = tmp_path / "current.parquet"
    frame = pd.DataFrame(
        {
            "customer_id": range(1, 10),
            "days_since_last_order": [5.0, 10.0, 89.0, 20.0, 500.0, 300.0, 600.0, 700.0, 800.0],
            "bought_mens": np.int8([1, 1, 1, 1, 0, 0, 1, 1, 1]),
            **columns,
        }
    )
    frame.to_parquet(current, index=False)
    gaining = pd.DataFrame({"customer_id": [6], "recommended_offer": ["gift"]})
    risky = pd.DataFrame({"customer_id": [3]})
    answers = Answers(formula("churn_probability"), formula("uplift_gift"))
    return why_first(First(1, gaining, risky), answers, current, np.zeros(9, bool), MEANINGS)


@pytest.fixture
def both(tmp_path):
    return said(tmp_path, population=["active"] * 4 + ["lost"] * 5)


def test_high_and_low_are_meant_among_the_active_or_among_the_lost(both):
    assert "because: has not ordered for long" in both[3]
    assert "because: ordered lately" in both[6]


def test_a_flag_is_said_by_its_value_whatever_most_have(both):
    assert both[3].endswith(", bought mens")
    assert both[6].endswith(", not bought mens")


def test_without_populations_everybody_is_compared_with(tmp_path):
    both = said(tmp_path)
    assert "ordered lately" in both[3]
    assert "ordered lately" in both[6]
