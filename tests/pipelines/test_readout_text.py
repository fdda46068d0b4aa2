"""What a readout says in words: offers against each other, and those that are alike."""

import numpy as np
import pandas as pd

from winback.models.experiment.readout import readout
from winback.pipelines.readout import text

RATES = {"none": 0.1, "bundle": 0.2, "gift": 0.4, "mail": 0.2}


def said(offers, rows=4000):
    rng = np.random.default_rng(0)
    offer = rng.choice(offers, rows)
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(rows),
            "offer": offer,
            "propensity": 1 / len(offers),
            "returned": (rng.random(rows) < pd.Series(offer).map(RATES)).astype(int),
        }
    )
    return text(readout(frame, control="none", rng=rng))


def test_offers_that_cannot_be_told_apart_are_named():
    shown = said([*RATES])
    assert "Offers against each other, Holm over the pairs:" in shown
    assert "These offers cannot be told apart by return: bundle and mail\n" in shown


def test_offers_that_differ_are_not_called_alike_and_a_single_offer_has_no_pair():
    assert "cannot be told apart" not in said(["none", "gift", "mail"])
    assert "against each other" not in said(["none", "gift"])
