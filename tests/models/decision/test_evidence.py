"""Cells of the experiment: counts by reason and lapse, nothing beyond what was tested."""

import numpy as np
import pandas as pd

from winback.models.decision.evidence import count_tested, rows_alike

TESTED = pd.DataFrame(
    {
        "reason": ["price", "price", "price", "service", None],
        "lapse": [10.0, 20.0, 100.0, 10.0, 150.0],
    }
)


def alike(*asked):
    frame = pd.DataFrame(asked, columns=["reason", "lapse"])
    return rows_alike(count_tested(TESTED, reason="reason", lapse="lapse"), frame).tolist()


def test_customers_are_counted_by_reason_and_band_of_lapse():
    assert alike(("price", 5.0), ("price", 90.0), ("price", 91.0), ("service", 5.0)) == [2, 2, 1, 1]


def test_a_missing_reason_is_a_reason_of_its_own():
    assert alike((None, 149.0), (None, 5.0)) == [1, 0]


def test_an_unknown_lapse_is_a_kind_of_its_own_and_not_known_where_it_was_not_tested():
    """0 rows would exclude these customers, and what is unknown excludes nobody."""
    np.testing.assert_array_equal(alike(("price", np.nan), ("price", 5.0)), [np.nan, 2])
    unknown = pd.DataFrame({"reason": ["price"] * 2, "lapse": np.nan})
    tested = count_tested(pd.concat([TESTED, unknown]), reason="reason", lapse="lapse")
    assert rows_alike(tested, unknown).tolist() == [2, 2]
    beyond = pd.DataFrame({"reason": ["price"], "lapse": [150.1]})
    assert rows_alike(tested, beyond).tolist() == [0]


def test_nothing_is_known_of_reasons_and_lapses_that_were_not_tested():
    assert alike(("moved", 5.0), ("price", 150.1)) == [0, 0]


def test_without_reason_and_lapse_everybody_is_alike():
    tested, asked = pd.DataFrame({"x": [1, 2, 3]}), pd.DataFrame({"x": [4, 5]})
    assert rows_alike(count_tested(tested, reason="reason", lapse="lapse"), asked).tolist() == [
        3,
        3,
    ]
