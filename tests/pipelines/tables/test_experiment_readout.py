"""Which columns of winback.parquet are read out."""

import numpy as np
import pandas as pd
import pytest

from winback.models.offers import Offer
from winback.pipelines.settings.experiments import Experiment
from winback.pipelines.tables.experiment_readout import sent_rows

ROWS = pd.DataFrame(
    {
        "customer_id": [1, 2],
        "offer": ["gift", "none"],
        "every_offer_open": True,
        "chosen": None,
        "campaign": None,
        "propensity": 0.5,
        "returned": [1, 0],
        "returned_at": pd.NaT,
        "value": np.nan,
        "cost": [10.0, 0.0],
        "orders_total": [3, 4],
    }
)
EXPERIMENT = Experiment({"gift": Offer(10.0, 0.5)})


@pytest.mark.parametrize("paid", [True, False])
def test_what_offers_cost_is_read_before_their_value_is_known(paid):
    rows = ROWS if paid else ROWS.assign(cost=np.nan)
    frame, contact = sent_rows(rows, EXPERIMENT, ["orders_total"])
    assert "value" not in frame
    assert ("cost" in frame) == paid
    assert contact == {"gift": 0.5}
