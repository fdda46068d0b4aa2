"""A response that falls with the dose is pointed out, one within noise is not."""

import pandas as pd

from winback.pipelines.reporting.doses import falls

DOSES = {"none": 0.0, "off_10": 10.0, "off_20": 20.0}


def lines(arm, against, estimate, p_holm, outcome="returned"):
    row = {
        "arm": arm, "against": against, "outcome": outcome, "estimate": estimate, "p_holm": p_holm
    }  # fmt: skip
    return list(falls(pd.DataFrame([row]), DOSES, level=0.95))


def test_a_deeper_dose_that_brought_fewer_back_is_named():
    expected = "off 20 brought fewer customers back than off 10, beyond noise (p = .010)"
    assert lines("off_20", "off_10", -0.1, 0.01)[0].startswith(expected)
    assert lines("off_10", "off_20", 0.1, 0.01)[0].startswith(expected)


def test_a_rise_noise_another_outcome_and_another_offer_are_not():
    assert lines("off_20", "off_10", 0.1, 0.01) == []
    assert lines("off_20", "off_10", -0.1, 0.06) == []
    assert lines("off_20", "off_10", -0.1, 0.01, outcome="profit") == []
    assert lines("call", "off_10", -0.1, 0.01) == []
