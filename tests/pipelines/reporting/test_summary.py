"""The summary that a run prints."""

from types import SimpleNamespace

import pandas as pd

from winback.models.decision.campaign import SENT
from winback.pipelines.campaign import campaign_text
from winback.pipelines.reporting.summary import Findings, summary


def test_one_customer_is_said_as_one(tmp_path):
    cells = pd.DataFrame(
        {
            "customers": [1],
            "at_risk": [1],
            "churn_probability": [0.2],
            "recommended_offer": ["gift"],
            "holdout": [False],
            "expected_incremental_profit": [3.0],
        }
    )
    ours = dict.fromkeys(["value_per_customer", "lo", "hi", "gain_over_best_single"], 1.0)
    ours |= {"gain_lo": 1.0, "gain_hi": 1.0, "n": 5.0, "objective": "profit", "policy": "ours"}
    ours |= {"over": "gift_for_all"}
    chosen = {"best_single": "gift", "personalize": True}
    findings = Findings(
        source=SimpleNamespace(title="A shop", experiment=None),
        as_of=pd.Timestamp("2020-01-01"),
        metrics={"churn": {"churn": {"auc": 0.7, "lift_10": 2.0}}},
        policies=pd.DataFrame([ours]),
        decision={"control": "none", "by_objective": {"profit": chosen}},
        listed=SimpleNamespace(cells=cells),
        skipped={},
        objective="profit",
        level=0.95,
    )
    told = summary(findings, report=tmp_path / "report.html")
    assert "active    1 customer, 0 expected" in told
    assert "lost      1 customer, 1 of them" in told
    assert "gift                 1 customer, expected gain 3" in told
    assert "1 customers" not in told
    chosen |= {"best_single": "none", "personalize": False}
    told = summary(findings, report=tmp_path / "report.html")
    assert "no offer is expected to gain, so nobody is sent one" in told
    assert "none for all" not in told


def test_a_campaign_to_one_customer_is_said_so(tmp_path):
    drawn = {"campaign": "spring", "funnel": {SENT: 1}, "offers": {"gift": {"customers": 1}}}
    told = campaign_text(drawn | {"notes": []}, tmp_path)
    assert told.startswith("Campaign spring: 1 customer to contact\n")
