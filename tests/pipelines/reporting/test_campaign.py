"""What the report says of the lead of personal offers."""

import pandas as pd
import pytest

from winback.pipelines.reporting.campaign import _keeps_to_limits, _segments, _verdict

ALL = {"over": "gift_for_all"}
CLEAR, FAINT = ALL | {"gain_lo": 1.0, "gain_hi": 2.0}, ALL | {"gain_lo": -1.0, "gain_hi": 2.0}
WORSE = {"over": "pen_within_limits", "gain_lo": -2.0, "gain_hi": -1.0}


@pytest.mark.parametrize(
    ("decided", "ours", "told"),
    [
        ({"personalize": False, "gain": 1.0}, CLEAR, "gift for all; an offer per customer is not"),
        ({"personalize": True, "gain": -0.1, "evidence": False}, CLEAR, "and gone on all rows"),
        ({"personalize": True, "gain": 1.0, "evidence": False}, CLEAR, "is expected, not evident"),
        ({"personalize": True, "gain": 1.0, "evidence": True}, FAINT, "within noise on the held-"),
        ({"personalize": True, "gain": 1.0, "evidence": True}, CLEAR, "ahead of gift for all bey"),
        (
            {"personalize": True, "gain": 1.0, "evidence": True},
            WORSE,
            "behind pen at random within the limits beyond noise",
        ),
    ],
)
def test_the_lead_is_told_as_sure_as_it_is(decided, ours, told):
    assert told in _verdict(ours, decided | {"best_single": "gift"})


def test_where_limits_bind_only_policies_that_keep_to_them_are_compared():
    graded = pd.DataFrame({"policy": ["treat_none", "mail_for_all", "random", "ours"]})
    assert _keeps_to_limits(graded).all()
    limited = pd.DataFrame({"policy": [*graded["policy"], "mail_within_limits"]})
    assert _keeps_to_limits(limited).tolist() == [True, False, False, True, True]


def test_what_to_do_is_told_of_those_of_whom_something_is_known():
    cells = pd.DataFrame({"strategy": ["end", None], "priority": ["B", "C"], "customers": [2, 9]})
    chart, figures, _ = _segments(cells)
    assert chart.headline == "What to do with each customer: most often not known"
    assert [row["cells"][0]["text"] for row in figures.rows] == ["not known", "end"]
    (said,) = _segments(cells.tail(1))
    assert "nothing tells what they are worth" in said.text
