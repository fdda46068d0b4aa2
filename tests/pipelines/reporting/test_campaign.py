"""What the report says of the lead of personal offers."""

import pytest

from winback.pipelines.reporting.campaign import _verdict

CLEAR, FAINT = {"gain_lo": 1.0, "gain_hi": 2.0}, {"gain_lo": -1.0, "gain_hi": 2.0}


@pytest.mark.parametrize(
    ("decided", "ours", "told"),
    [
        ({"personalize": False, "gain": 1.0}, CLEAR, "gift for all; an offer per customer is not"),
        ({"personalize": True, "gain": -0.1, "evidence": False}, CLEAR, "and gone on all rows"),
        ({"personalize": True, "gain": 1.0, "evidence": False}, CLEAR, "is expected, not evident"),
        ({"personalize": True, "gain": 1.0, "evidence": True}, FAINT, "within noise on the held-"),
        ({"personalize": True, "gain": 1.0, "evidence": True}, CLEAR, "ahead of gift for all bey"),
    ],
)
def test_the_lead_is_told_as_sure_as_it_is(decided, ours, told):
    assert told in _verdict(ours, decided, "gift")
