"""Choices of active customers by risk and by uplift, in a world whose answers are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.graded import grade_rows
from winback.models.evaluation.retention import (
    BY_RISK,
    BY_UPLIFT,
    by_share,
    chosen_by,
    single_offer,
)
from winback.models.offers import Offer

NAMES = ("nothing", "rebate")
ROWS = 6_000


def futility(seed=0):
    """A fifth at risk .5, whom the rebate drives away by .2; a fifth at .2 whom it keeps by .15."""
    rng = np.random.default_rng(seed)
    kind = np.arange(ROWS) % 5
    leaves = np.select([kind == 0, kind == 1], [0.5, 0.2], 0.1)
    effect = np.select([kind == 0, kind == 1], [-0.2, 0.15], 0.0)
    stay = np.column_stack([1 - leaves, 1 - leaves + effect])
    sent = rng.integers(0, 2, ROWS)
    rows = pd.DataFrame(
        {
            "offer": np.array(NAMES)[sent],
            "propensity": 0.5,
            "returned": rng.random(ROWS) < stay[np.arange(ROWS), sent],
        }
    )
    predictions = pd.DataFrame(
        {f"stay_probability_{name}": stay[:, k] for k, name in enumerate(NAMES)}
    )
    judged = grade_rows(
        rows,
        predictions,
        offers={"rebate": Offer()},
        control="nothing",
        objective="returns",
        rule={},
    )
    return judged, leaves, kind


def test_both_choices_contact_as_many_and_find_others():
    judged, risk, kind = futility()
    sent = chosen_by(judged, risk=risk, single="rebate")
    assert set(kind[sent[BY_UPLIFT] == "rebate"]) == {1}  # all whom it promises a gain
    assert set(kind[sent[BY_RISK] == "rebate"]) == {0}
    fewer = chosen_by(judged, risk=risk, single="rebate", share=0.1)
    assert [(offers == "rebate").sum() for offers in fewer.values()] == [600, 600]


def test_gains_by_share_are_the_true_ones_within_their_intervals():
    judged, risk, _ = futility(seed=1)
    table = by_share(
        judged, risk=risk, single="rebate", shares=(0.1, 0.2, 1.0), level=0.999
    ).set_index(["share", "policy"])
    truth = {
        (0.1, BY_RISK): -0.02,
        (0.2, BY_RISK): -0.04,
        (0.1, BY_UPLIFT): 0.015,
        (0.2, BY_UPLIFT): 0.03,
        (0.2, "difference"): 0.07,
        (1.0, BY_UPLIFT): -0.01,
        (1.0, "difference"): 0.0,
    }
    for key, gain in truth.items():
        row = table.loc[key]
        assert row["lo"] <= gain <= row["hi"]
    assert table.loc[(0.2, "difference"), "lo"] > 0
    assert table.loc[(1.0, "difference"), "gain"] == pytest.approx(0)


def test_risk_sends_the_best_offer_even_where_none_is_best():
    judged, _, _ = futility()
    judged = replace(
        judged,
        names=(*judged.names, "call"),
        expected=np.column_stack([judged.expected, judged.expected[:, 0] - 0.001]),
    )
    assert single_offer(judged, "rebate") == "rebate"
    assert single_offer(judged, "nothing") == "call"  # the rebate loses .01


def test_uplift_sends_each_the_offer_that_promises_most():
    judged, risk, _ = futility()
    call = judged.expected[:, 0] + np.where(np.arange(ROWS) < 10, 0.5, -0.5)
    judged = replace(
        judged,
        names=(*judged.names, "call"),
        expected=np.column_stack([judged.expected, call]),
    )
    sent = chosen_by(judged, risk=risk, single="rebate")[BY_UPLIFT]
    assert (sent[:10] == "call").all()
    assert set(sent[10:]) == {"nothing", "rebate"}
