"""What weakens the claims is said where it does."""

from types import SimpleNamespace

import pandas as pd
import pytest

from winback.pipelines.reporting import weaknesses as module
from winback.pipelines.reporting.weaknesses import _worse_than_nothing, weaknesses


def test_what_ingest_found_doubtful_comes_first(monkeypatch):
    findings = SimpleNamespace(
        source=SimpleNamespace(simulate=None),
        listed=SimpleNamespace(cells=pd.DataFrame()),
        decision={},
        metrics={},
        doubts=("the newest order is of 2024-12-26; set as_of",),
    )
    monkeypatch.setattr(module, "unequal", lambda _: iter(()))
    said = list(weaknesses(findings, SimpleNamespace(), {"active": 2}))
    assert said[0] == "The newest order is of 2024-12-26; set as_of."
    assert len(said) == 2


@pytest.mark.parametrize(
    ("objective", "none", "ours", "told"),
    [
        ("profit", 5.9, 3.7, "no offer to anybody is worth $5.90 each, our policy $3.70"),
        ("returns", 0.2, 0.1, "no offer to anybody is worth 20.0% each, our policy 10.0%"),
        ("profit", 3.7, 5.9, ""),
        ("roi", 1.0, 0.5, ""),
    ],
)
def test_a_policy_that_earns_less_than_nothing_sent_is_told(objective, none, ours, told):
    rows = pd.DataFrame(
        [(objective, "treat_none", none), (objective, "ours", ours), ("another", "ours", 9.0)],
        columns=["objective", "policy", "value_per_customer"],
    )
    findings = SimpleNamespace(
        policies=rows, objective=objective, source=SimpleNamespace(currency="$")
    )
    said = list(_worse_than_nothing(findings))
    assert len(said) == bool(told)
    assert told in " ".join(said)
