"""The sheet to send from: whole numbers stay whole where some of them are not known."""

import numpy as np
import pandas as pd
from decided import FOUR, decide, facts_of, learn

from winback.models.decision.campaign import send_sheet
from winback.models.decision.evidence import KindsTested


def test_the_customers_that_a_forecast_rests_on_are_a_whole_number_or_missing():
    facts = facts_of(FOUR, lapse=[np.nan, 5.0, 5.0, 5.0])
    tested = KindsTested("", "lapse", (10.0,), {" 0": 500})
    decision = learn(FOUR, facts, tested=tested)
    table = decide(FOUR.assign(value_discount=900.0, value_upgrade=900.0), facts, tested=tested)
    sheet = send_sheet(decision, table, facts, "spring")
    assert sheet["customer_id"].tolist() == [0, 1]
    expected = pd.array([None, 500], dtype="Int64")
    assert pd.array(sheet["experiment_rows"]).equals(expected)
