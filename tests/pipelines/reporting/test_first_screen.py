"""The first screen says where there is an experiment and where not, and what weakens its claims."""

from types import SimpleNamespace

import pandas as pd
import pytest

from winback.pipelines.reporting.first_screen import cards
from winback.pipelines.reporting.kept import Kept
from winback.pipelines.reporting.summary import Findings


def without_decision(kept):
    """The cards of a source without an experiment among lost customers, the first left out."""
    cells = pd.DataFrame({"customers": [9, 1], "at_risk": [6, 1]})
    findings = Findings(
        source=SimpleNamespace(experiment=None, churn=None),
        as_of=pd.Timestamp("2020-01-01"),
        metrics={},
        policies=pd.DataFrame(),
        decision={},
        listed=SimpleNamespace(cells=cells),
        skipped={},
        objective="profit",
        level=0.95,
        kept=kept,
    )
    return cards(findings, inputs=None)[1:]


@pytest.mark.parametrize(
    ("kept", "where"),
    [
        (None, "in this source"),
        (Kept(pd.DataFrame(), pd.DataFrame()), "among lost customers"),
    ],
)
def test_it_is_said_where_there_is_no_experiment(kept, where):
    for card in without_decision(kept):
        assert card.answer.startswith(f"Nobody can tell: there is no randomized experiment {where}")


def test_offers_and_policy_point_to_the_chapter_on_active_customers():
    *_, offers, policy = without_decision(Kept(pd.DataFrame(), pd.DataFrame()))
    for card in (offers, policy):
        assert card.details == (
            "There is one among active customers: see the chapter 'Active customers'.",
        )
    *_, offers, policy = without_decision(None)
    assert offers.details == policy.details == ()
