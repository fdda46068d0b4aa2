"""Of which offers the value is known: by campaign and age, never by who returned."""

import pandas as pd
import pytest

from winback.models.experiment.maturity import value_known

NOW = pd.Timestamp("2024-06-01")
OLD, YOUNG = pd.Timestamp("2023-01-01"), pd.Timestamp("2024-01-01")


def known(*rows):
    """Rows are (campaign, as_of, returned, value)."""
    frame = pd.DataFrame(rows, columns=["campaign", "as_of", "returned", "value"])
    frame["value"] = frame["value"].astype(float)
    return value_known(frame, now=NOW, horizon_days=365).tolist()


def test_of_a_young_campaign_nobody_is_known_whether_they_returned_or_not():
    rows = [("a", OLD, 1, 9), ("a", OLD, 0, 0), ("b", YOUNG, 1, None), ("b", YOUNG, 0, None)]
    assert known(*rows, ("b", YOUNG, 0, 0)) == [True, True, False, False, False]


def test_values_that_were_told_are_known_at_any_age():
    assert known(("b", YOUNG, 1, 9), ("b", YOUNG, 0, None)) == [True, True]


def test_where_a_campaign_goes_on_its_old_offers_are_known():
    assert known((None, OLD, 0, 0), (None, YOUNG, 1, None), (None, OLD, 1, 9)) == [
        True,
        False,
        True,
    ]


def test_a_value_that_never_came_hides_its_campaign_and_no_other():
    rows = [("a", OLD, 1, None), ("a", OLD, 1, 9), ("b", OLD, 1, 9)]
    assert known(*rows) == [False, False, True]


@pytest.mark.parametrize(("days", "expected"), [(152, True), (153, False)])
def test_the_horizon_is_over_when_its_days_are(days, expected):
    frame = pd.DataFrame({"campaign": ["a"], "as_of": [YOUNG], "returned": [1], "value": [None]})
    again = frame.assign(as_of=NOW, value=None)
    rows = pd.concat([frame.assign(value=9.0), again], ignore_index=True)
    assert value_known(rows, now=NOW, horizon_days=days).tolist() == [expected, False]
