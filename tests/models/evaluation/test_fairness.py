"""Offers by protected group, on lists in which every rate and ratio is known."""

import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.fairness import (
    NOT_STATED,
    bands_of,
    by_group,
    counted,
    groups_of,
)


def listed(group, offered, *, lost, gain=6.0):
    """Lost customers of a group, of whom the first are recommended the gift."""
    return pd.DataFrame(
        {
            "group": group,
            "recommended_offer": ["gift"] * offered + ["none"] * (lost - offered),
            "expected_incremental_profit": [gain] * offered + [0.0] * (lost - offered),
            "uplift_gift": [0.25] * offered + [-0.5] * (lost - offered),
            "churn_probability": np.nan,
        }
    )


def active(group, risk, *, rows):
    return pd.DataFrame({"group": group, "churn_probability": [risk] * rows})


def judged(*parts):
    rows = pd.concat(parts, ignore_index=True)
    return by_group(counted(rows, rows.pop("group"), control="none")).set_index("group")


def test_rates_and_ratio_are_those_of_the_list_and_four_fifths_is_the_limit():
    table = judged(
        listed("a", 50, lost=100),
        listed("b", 39, lost=100),
        listed("c", 40, lost=100),
        listed("d", 29, lost=29),
        active("a", 0.2, rows=30),
        active("b", 0.4, rows=29),
    )
    assert table["offer_rate"].to_dict() == pytest.approx(
        {"a": 0.5, "b": 0.39, "c": 0.4, "d": np.nan}, nan_ok=True
    )
    assert table["ratio"]["b"] == pytest.approx(0.78)
    assert table["alert"].to_dict() == {"a": False, "b": True, "c": False, "d": False}
    assert table["candidates"]["d"] == 29  # named, and neither judged nor the highest
    assert table["uplift"]["a"] == pytest.approx(0.25)  # of those who have an offer
    assert table["gain"]["a"] == pytest.approx(3.0)  # of all candidates
    assert table["churn_risk"]["a"] == pytest.approx(0.2)
    assert np.isnan(table["churn_risk"]["b"])
    # Wilson for 50 of 100: (0.5 + z2/200) / (1 + z2/100) -+ ...
    assert (table["lo"]["a"], table["hi"]["a"]) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_each_figure_needs_enough_of_the_customers_whose_mean_it_is():
    few_known = listed("b", 30, lost=100)
    few_known.loc[29:, "expected_incremental_profit"] = np.nan
    table = judged(listed("a", 29, lost=100), few_known)
    assert table["offer_rate"].tolist() == pytest.approx([0.29, 0.30])
    assert table["uplift"].tolist() == pytest.approx([np.nan, 0.25], nan_ok=True)
    assert table["gain"].tolist() == pytest.approx([1.74, np.nan], nan_ok=True)


def test_where_nobody_gets_an_offer_nobody_is_judged():
    table = judged(listed("a", 0, lost=50), listed("b", 0, lost=50))
    assert table["ratio"].isna().all()
    assert not table["alert"].any()
    assert (table["offer_rate"] == 0).all()


def test_a_list_without_offers_has_risks_alone():
    rows = active("a", 0.3, rows=40)
    table = by_group(counted(rows, rows.pop("group"), control="")).set_index("group")
    assert table["candidates"]["a"] == 0
    assert table["churn_risk"]["a"] == pytest.approx(0.3)


def grouped(values):
    return groups_of(values, bands_of(values))


def test_numbers_and_dates_are_groups_in_bands():
    ages = grouped(pd.Series([*range(20, 80), np.nan]))
    assert ages.nunique() == 5
    assert ages.iloc[-1] == NOT_STATED
    born = grouped(pd.Series(pd.date_range("1950-01-01", periods=60, freq="YE")))
    assert born.nunique() == 4
    assert set(grouped(pd.Series([True, False, None]))) == {"True", "False", NOT_STATED}
    assert set(grouped(pd.Series([True, False]))) == {"True", "False"}
    assert set(grouped(pd.Series([1, 2]))) == {"1", "2"}
    assert set(grouped(pd.Series([1, 2.5, np.nan]))) == {"1", "2.5", NOT_STATED}
    mails = pd.Series([f"{number}@example.org" for number in range(3)])
    assert grouped(mails).tolist() == mails.tolist()


def test_counts_of_parts_add_up_to_those_of_all():
    rows = pd.concat([listed("a", 50, lost=100), active("b", 0.2, rows=40)], ignore_index=True)
    whole = counted(rows, rows["group"], control="none")
    parts = [counted(part, part["group"], control="none") for part in (rows[:70], rows[70:])]
    pd.testing.assert_frame_equal(pd.concat(parts).groupby(level=0).sum(), whole)
