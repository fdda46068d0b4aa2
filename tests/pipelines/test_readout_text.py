"""What a readout says in words: the verdict first, offers against each other, and those alike."""

import numpy as np
import pandas as pd
import pytest

from winback.models.experiment.randomization import ExperimentError
from winback.models.experiment.readout import readout
from winback.pipelines.reporting.readout_text import (
    full_text,
    leading_effects,
    short_text,
    verdict,
    verdict_of_broken,
)
from winback.pipelines.settings.sources import Source

RATES = {"none": 0.1, "bundle": 0.2, "gift": 0.4, "mail": 0.2}
SOURCE = Source(name="shop", title="A shop", currency="$", simulate={})


def an_experiment(offers, rows=4000, worth=None, **costs):
    rng = np.random.default_rng(0)
    offer = rng.choice(offers, rows)
    returned = (rng.random(rows) < pd.Series(offer).map(RATES)).astype(int)
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(rows),
            "offer": offer,
            "propensity": 1 / len(offers),
            "returned": returned,
        }
    )
    if worth is not None:
        frame["value"] = worth * returned
    return readout(frame, control="none", rng=rng, contact_cost=costs or None)


def test_offers_that_cannot_be_told_apart_are_named():
    shown = full_text(an_experiment([*RATES]), SOURCE)
    assert "Offers against each other, Holm over the pairs:" in shown
    assert "These offers cannot be told apart by the share returned: mail and bundle" in shown


def test_offers_that_differ_are_not_called_alike_and_a_single_offer_has_no_pair():
    assert "cannot be told apart" not in full_text(an_experiment(["none", "gift", "mail"]), SOURCE)
    assert "against each other" not in full_text(an_experiment(["none", "gift"]), SOURCE)


def test_the_verdict_names_the_best_arm_by_profit_with_its_interval():
    found = an_experiment([*RATES], worth=100.0, gift=35.0, mail=1.0)
    best = leading_effects(found).iloc[0]
    told = verdict(found, SOURCE)
    assert best["arm"] == "bundle"
    assert told.startswith(f"Honest experiment. Best profit: bundle, +${best['estimate']:.2f} (")
    assert f"(${best['lo']:.2f} to ${best['hi']:.2f}) a customer over no offer" in told
    assert told.endswith("; bundle and mail cannot be told apart.")


def test_without_values_the_verdict_is_by_the_share_that_returned():
    told = verdict(an_experiment([*RATES]), SOURCE)
    assert told.startswith("Honest experiment. Best share returned: gift, +")
    assert " points (" in told


def test_an_offer_that_changes_nothing_is_not_called_best(monkeypatch):
    monkeypatch.setitem(RATES, "mail", RATES["none"])
    told = verdict(an_experiment(["none", "mail"]), SOURCE)
    assert told.startswith("Honest experiment. No arm is known to beat no offer")


def test_the_short_text_is_the_verdict_and_a_line_an_arm():
    found = an_experiment([*RATES], worth=100.0, gift=35.0)
    shown = short_text(found, SOURCE).splitlines()
    assert shown[0] == verdict(found, SOURCE)
    for outcome in ("profit", "share returned"):
        head = next(n for n, line in enumerate(shown) if f"customers  {outcome}" in line)
        assert {line.split()[0] for line in shown[head + 1 : head + 5]} == set(RATES)
    assert len(shown) < 20
    assert max(map(len, shown[1:])) < 100


@pytest.mark.parametrize("check", ["balance", "sample ratio", "a check of tomorrow"])
def test_a_broken_experiment_has_a_verdict_in_words(check):
    told = verdict_of_broken(ExperimentError(check, "..."))
    assert told.startswith("Broken experiment: ")
    assert told.endswith("so no effect of it can be trusted and none is shown.")
